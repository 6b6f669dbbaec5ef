//! `muster cluster` against the management of a real member.

use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::local::Local;
use muster_agent::engine::{Engine, Mode};
use muster_agent::manage::{self, Management, Settings};
use muster_agent::settings::Setting;
use muster_agent::{Cluster, Sessions};
use muster_loadtests::testkit::binaries;
use muster_protocol::signature::Secrets;
use serde_json::Value;

const SECRET: &str = "the secret of these stories";

struct World {
    cluster: Cluster,
    management: Management,
}

async fn world(secret: Option<&str>) -> World {
    let engine: Arc<dyn Engine> = Arc::new(Local::new("one"));
    let cluster = Cluster::over(engine.clone());
    let cache = cluster.cache::<String, u64>("counters").mode(Mode::Distributed).create().unwrap();
    cache.put(&"visits".to_owned(), &1).await.unwrap();
    Sessions::builder("shop").cluster(&cluster).distributable(true).start().unwrap();
    let secrets = secret.map(|secret| Secrets::new([secret.parse().unwrap()]));
    let bind = ([127, 0, 0, 1], 0).into();
    let settings = Settings { bind, secrets, ..Settings::new("shop") };
    let management = manage::start(settings, engine, None).await.unwrap();
    management.answer_for(&cluster);
    World { cluster, management }
}

impl World {
    async fn muster(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = tokio::process::Command::new(binaries::find("muster").unwrap());
        command.arg("cluster").args(arguments).args(["--at", &self.management.url()]);
        command.env_remove("MUSTER_CLUSTER_SECRET").envs(environment.iter().copied());
        let output = tokio::time::timeout(Duration::from_secs(120), command.output());
        output.await.expect("the command line ends").unwrap()
    }

    async fn said(&self, arguments: &[&str]) -> String {
        let output = self.muster(arguments, &[]).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_asked_on_the_command_line() {
    let world = world(None).await;
    let status = world.said(&[]).await;
    for wanted in ["cluster      shop", "coordinator  one", "engine       local", "MEMBER", "up"] {
        assert!(status.contains(wanted), "{wanted} is missing in\n{status}");
    }
    let members: Value = serde_json::from_str(&world.said(&["members", "--json"]).await).unwrap();
    assert_eq!((&members[0]["name"], &members[0]["state"]), (&"one".into(), &"up".into()));
    let caches = world.said(&["caches"]).await;
    assert!(caches.contains("counters") && caches.contains("distributed"), "{caches}");
    let sessions = world.said(&["sessions"]).await;
    assert!(sessions.contains("web/shop") && sessions.contains("distributed"), "{sessions}");
    let sessions = world.said(&["sessions", "web/shop"]).await;
    assert!(sessions.starts_with("web/shop: distributed, 0 active"), "{sessions}");
    let cache = world.said(&["caches", "counters"]).await;
    assert!(cache.starts_with("counters: distributed, 1 entries"), "{cache}");
    assert_eq!(world.said(&["clear", "counters"]).await, "the cache counters is empty\n");
    let cache: Value =
        serde_json::from_str(&world.said(&["caches", "counters", "--json"]).await).unwrap();
    assert_eq!(cache["entries"], 0);
    assert!(world.said(&["segments"]).await.starts_with("view "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_set_for_all_members_on_the_command_line() {
    let world = world(None).await;
    let carts = Setting::whole("shop.limits.carts", 1..=1000).default("100").about("open carts");
    world.cluster.settings().register(carts).unwrap();
    assert_eq!(world.said(&["get", "shop.limits.carts"]).await, "100\n");
    let set = world.said(&["set", "shop.limits.carts", "250", "--by", "ann"]).await;
    assert_eq!(
        set,
        "shop.limits.carts is 250; the settings have version 1\n".replace("250", "\"250\"")
    );
    assert_eq!(world.said(&["get", "shop.limits.carts"]).await, "250\n");
    let list = world.said(&["list"]).await;
    assert!(list.starts_with("version 1\n") && list.contains("open carts"), "{list}");
    let history = world.said(&["history"]).await;
    assert!(history.contains("ann  shop.limits.carts  -     250"), "{history}");
    let late = ["set", "shop.limits.carts", "300", "--if-version", "0"];
    for (arguments, said) in [
        (&late[..], "the settings have version 1 by now, not 0"),
        (&["set", "shop.limits.carts", "2000"], "a whole number from 1 to 1000 is possible"),
        (&["set", "shop.limits.orders", "2"], "knows no setting"),
    ] {
        let output = world.muster(arguments, &[]).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && error.contains(said), "{error}");
    }
    world.said(&["unset", "shop.limits.carts", "--if-version", "1"]).await;
    assert_eq!(world.said(&["get", "shop.limits.carts"]).await, "100\n");
    let events = world.said(&["events"]).await;
    assert!(events.contains("shop.limits.carts is at its default again"), "{events}");
    let grave = world.said(&["events", "--gravity", "warning"]).await;
    assert!(!grave.contains("shop.limits.carts is at its default again"), "{grave}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_with_its_exit_code() {
    let world = world(None).await;
    for (arguments, code, said) in [
        (vec!["quorum", "2"], 1, "has neither voters nor segments"),
        (vec!["forget", "two"], 1, "has neither voters nor segments"),
        (vec!["clear", "none"], 1, "no cache \"none\""),
        (vec!["sessions", "web/none"], 1, "there is no deployment web \"none\""),
        (vec!["sessions", "none"], 2, "it is web/APPLICATION, bean/NAME or sso/NAME"),
        (vec!["caches", "none"], 1, "there is no cache \"none\""),
        (vec!["quorum", "0"], 2, "a number of 1 or more"),
        (vec!["quorum", "none", "--at", "x"], 2, "--at"),
    ] {
        let output = world.muster(&arguments, &[]).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_comes_from_a_file_or_the_environment_and_a_wrong_one_is_refused() {
    let world = world(Some(SECRET)).await;
    let refused = world.muster(&["status"], &[]).await;
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(error.contains("the message is not signed"), "{error}");
    let wrong = [("MUSTER_CLUSTER_SECRET", "another secret of some length")];
    let wrong = world.muster(&["status"], &wrong).await;
    let error = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(1) && error.contains("signature is wrong"), "{error}");
    let known = world.muster(&["status"], &[("MUSTER_CLUSTER_SECRET", SECRET)]).await;
    assert!(known.status.success(), "{known:?}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{SECRET}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    assert!(world.said(&["members", "--secret-file", path]).await.contains("one"));
}
