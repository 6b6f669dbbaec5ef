//! The lock of the listener of nodes, with real processes: who may register, and who may not.

mod flood;
#[cfg(feature = "system")]
mod tomcat;

use std::path::Path;
use std::time::Duration;

use muster_loadtests::testkit::tls::toml_path;
use muster_loadtests::testkit::{
    Authority, Balancer, Counter, CounterOptions, Farm, Fault, eventually,
};

/// Far more than anything here takes, even on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const SECRET: &str = "the secret of these stories";

/// A counter that reports often, with further options.
pub(super) async fn counter(
    farm: &Farm,
    balancer: &Balancer,
    name: &str,
    more: &[&str],
) -> Counter {
    let options = CounterOptions {
        load: Some(100),
        status_interval: Some("200ms"),
        more: more.iter().map(ToString::to_string).collect(),
        ..CounterOptions::default()
    };
    farm.counter(name, balancer, &options).await.unwrap()
}

/// A file with a secret.
pub(super) fn secret_file(farm: &Farm, name: &str, secret: &str) -> String {
    let file = farm.folder().join(name);
    std::fs::write(&file, format!("{secret}\n")).unwrap();
    file.display().to_string()
}

pub(super) async fn is_up(balancer: &Balancer, node: &str) {
    let up = format!("muster_node_up{{node=\"{node}\"}}");
    balancer.await_metric(&up, PATIENCE, |up| up == 1.0).await.unwrap();
}

async fn refuses(balancer: &Balancer, reason: &str) {
    let refused = format!("muster_mcmp_refused_total{{reason=\"{reason}\"}}");
    balancer.await_metric(&refused, PATIENCE, |count| count > 0.0).await.unwrap();
    eventually("the refusal is logged", PATIENCE, async || {
        let logged = balancer.process.errors() + &balancer.process.output();
        let line = logged.lines().any(|line| line.contains("refused") && line.contains(reason));
        line.then_some(()).ok_or("no line of the log names it")
    })
    .await
    .unwrap();
}

async fn says(counter: &Counter, why: &str) {
    eventually("the agent says why it is not registered", PATIENCE, async || {
        let told = counter.process.errors();
        told.contains(why).then_some(()).ok_or(told)
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_secret_registers_stays_and_leaves_and_nobody_else_registers() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&format!("[mcmp]\nsecret = \"{SECRET}\"\n")).await.unwrap();
    let right = secret_file(&farm, "right", SECRET);
    let wrong = secret_file(&farm, "wrong", "another secret of some length");
    let mut good = counter(&farm, &balancer, "good", &["--secret-file", &right]).await;
    let unsigned = counter(&farm, &balancer, "unsigned", &[]).await;
    let wrong = counter(&farm, &balancer, "wrong", &["--secret-file", &wrong]).await;

    is_up(&balancer, "good").await;
    balancer.await_served("/counter", PATIENCE).await.unwrap();
    let statuses = "muster_mcmp_messages_total{method=\"STATUS\",status=\"200\"}";
    let before = balancer.metric(statuses).await.unwrap();
    balancer.await_metric(statuses, PATIENCE, |now| now >= before + 5.0).await.unwrap();

    refuses(&balancer, "unsigned").await;
    refuses(&balancer, "wrong_signature").await;
    says(&unsigned, "the message is not signed").await;
    says(&wrong, "the answer is not believed").await;
    for other in ["unsigned", "wrong"] {
        let load = format!("muster_node_load{{node=\"{other}\"}}");
        assert_eq!(balancer.metric(&load).await.unwrap(), 0.0, "{other} is registered");
    }
    let logs = balancer.process.errors() + &balancer.process.output() + &good.process.errors();
    assert!(!logs.contains(SECRET));

    good.process.inflict(Fault::Terminate).unwrap();
    assert!(good.process.await_end(PATIENCE).await.unwrap().success());
    let load = "muster_node_load{node=\"good\"}";
    balancer.await_metric(load, PATIENCE, |load| load == 0.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_does_not_believe_a_balancer_that_signs_nothing() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let secret = secret_file(&farm, "secret", SECRET);
    let counter = counter(&farm, &balancer, "a", &["--secret-file", &secret]).await;
    says(&counter, "it is not signed, so whoever answers does not know the secret").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_changes_by_a_reload_while_an_agent_keeps_its_old_one() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&format!("[mcmp]\nsecret = \"{SECRET}\"\n")).await.unwrap();
    let secret = secret_file(&farm, "secret", SECRET);
    let _old = counter(&farm, &balancer, "old", &["--secret-file", &secret]).await;
    is_up(&balancer, "old").await;
    let new = "the secret that comes after it";
    let both = format!("[mcmp]\nsecret = \"{new}\"\nold_secrets = [\"{SECRET}\"]\n");
    balancer.reload(&both).unwrap();
    let secret = secret_file(&farm, "new", new);
    let _new = counter(&farm, &balancer, "new", &["--secret-file", &secret]).await;
    is_up(&balancer, "new").await;
    is_up(&balancer, "old").await;
}

/// The listener with TLS that asks nodes for certificates.
pub(super) fn mutual(server: &Authority, nodes: &Path) -> String {
    let own = server.certificate("mcmp", &["127.0.0.1"]).unwrap();
    let [certificate, key] = [&own.chain, &own.key].map(|file| toml_path(file));
    let client_ca = toml_path(nodes);
    format!("[mcmp.tls]\ncertificate = {certificate}\nkey = {key}\nclient_ca = {client_ca}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn over_mutual_tls_who_shows_a_certificate_registers_and_nobody_else() {
    let (server, nodes) = (Authority::new().unwrap(), Authority::new().unwrap());
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&mutual(&server, &nodes.file())).await.unwrap();
    let own = nodes.certificate("node", &["node.example"]).unwrap();
    let [ca, certificate, key] =
        [&server.file(), &own.chain, &own.key].map(|file| file.display().to_string());
    let tls = ["--balancer-ca", &ca, "--certificate", &certificate, "--key", &key];
    let mut good = counter(&farm, &balancer, "good", &tls).await;
    let bare = counter(&farm, &balancer, "bare", &["--balancer-ca", &ca]).await;
    is_up(&balancer, "good").await;
    balancer.await_served("/counter", PATIENCE).await.unwrap();
    refuses(&balancer, "tls").await;
    says(&bare, "not registered").await;
    assert_eq!(balancer.metric("muster_node_load{node=\"bare\"}").await.unwrap(), 0.0);
    good.process.inflict(Fault::Terminate).unwrap();
    assert!(good.process.await_end(PATIENCE).await.unwrap().success());
}
