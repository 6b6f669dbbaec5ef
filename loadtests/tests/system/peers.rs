//! Two balancers side by side: what operators say at one holds at both.

use std::process::Output;
use std::time::{Duration, Instant};

use muster_loadtests::testkit::{Balancer, Client, Farm, Node, NodeOptions, binaries, eventually};
use serde_json::Value;

use super::support::SOON;

const SECRET: &str = "a secret of both balancers";

/// The command line against a balancer.
async fn muster(balancer: &Balancer, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binaries::find("muster").unwrap());
    let url = format!("http://{}", balancer.manager);
    command.args(arguments).args(["--url", &url]);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output());
    output.await.expect("the command line ends").unwrap()
}

async fn done(balancer: &Balancer, arguments: &[&str]) -> String {
    let output = muster(balancer, arguments).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    said
}

/// Each context of a node with its state.
async fn states(balancer: &Balancer, node: &str) -> Result<String, String> {
    let mut client = Client::new(balancer.manager);
    let answer = client.get(&format!("/api/v1/nodes/{node}")).await.map_err(|e| e.to_string())?;
    let shown: Value = answer.json().ok_or_else(|| answer.text())?;
    let contexts = shown["contexts"].as_array().ok_or_else(|| shown.to_string())?;
    let states: Vec<String> = contexts.iter().map(|c| c["state"].to_string()).collect();
    Ok(states.join(","))
}

async fn await_state(balancer: &Balancer, node: &str, wanted: &str) {
    let what = format!("{node} is {wanted}");
    let shown = eventually(&what, SOON * 6, || async {
        match states(balancer, node).await? {
            states if states == format!("\"{wanted}\"") => Ok(()),
            states => Err(states),
        }
    });
    shown.await.unwrap();
}

fn settings(name: &str, peers: &[&Balancer]) -> String {
    let urls: Vec<String> =
        peers.iter().map(|peer| format!("\"http://{}\"", peer.manager)).collect();
    format!(
        "[peers]\nname = \"{name}\"\nsecret = \"{SECRET}\"\ninterval = \"300ms\"\nurls = [{}]\n",
        urls.join(",")
    )
}

/// Two balancers that know each other, with the nodes a and b registered at both.
async fn pair(farm: &Farm) -> (Balancer, Balancer, Vec<Node>) {
    let first = farm.balancer(&settings("A", &[])).await.unwrap();
    let second = farm.balancer(&settings("B", &[&first])).await.unwrap();
    first.reload(&settings("A", &[&second])).unwrap();
    let mut nodes = Vec::new();
    for balancer in [&first, &second] {
        for route in ["a", "b"] {
            let options = NodeOptions { load: 100, ..NodeOptions::default() };
            nodes.push(Node::register(route, balancer.mcmp, &options).await.unwrap());
        }
        balancer.await_usable(&["a", "b"], SOON * 6).await.unwrap();
    }
    let know = eventually("the balancers know each other", SOON * 6, || async {
        for balancer in [&first, &second] {
            let mut client = Client::new(balancer.manager);
            let answer = client.get("/api/v1/peers").await.map_err(|e| e.to_string())?;
            let peers = answer.json().ok_or("no JSON")?;
            if peers[0]["is_reachable"] != true {
                return Err(peers.to_string());
            }
        }
        Ok(())
    });
    know.await.unwrap();
    (first, second, nodes)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_at_one_balancer_holds_at_the_other_and_outlives_the_first() {
    let farm = Farm::new().unwrap();
    let (mut first, second, _nodes) = pair(&farm).await;
    let begun = Instant::now();
    done(&first, &["disable", "a"]).await;
    await_state(&second, "a", "disabled").await;
    println!("disabled at the other balancer after {:?}", begun.elapsed());
    done(&second, &["override", "b", "--set", "load=7"]).await;
    let load = eventually("the load is overridden at the first", SOON * 6, || async {
        let answer = Client::new(first.manager).get("/api/v1/nodes/b").await;
        let shown = answer.map_err(|e| e.to_string())?.json().ok_or("no JSON")?;
        if shown["load"] == 7 { Ok(()) } else { Err(shown.to_string()) }
    });
    load.await.unwrap();

    // kill -9 of the first: nothing that was said is lost, and it hears all when it is back.
    first.process.kill().unwrap();
    assert_eq!(states(&second, "a").await.unwrap(), "\"disabled\"");
    done(&second, &["stop", "b"]).await;
    first.process.restart().await.unwrap();
    let mut again = Vec::new();
    for route in ["a", "b"] {
        let options = NodeOptions { load: 100, ..NodeOptions::default() };
        again.push(Node::register(route, first.mcmp, &options).await.unwrap());
    }
    await_state(&first, "a", "disabled").await;
    await_state(&first, "b", "stopped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_only_one_balancer_knows_are_shown() {
    let farm = Farm::new().unwrap();
    let (first, second, _nodes) = pair(&farm).await;
    let options = NodeOptions { load: 100, ..NodeOptions::default() };
    let _lonely = Node::register("lonely", second.mcmp, &options).await.unwrap();
    let shown = eventually("the difference is shown", SOON * 6, || async {
        let answer = Client::new(first.manager).get("/api/v1/peers").await;
        let peers = answer.map_err(|e| e.to_string())?.json().ok_or("no JSON")?;
        let all = peers[0]["disagreements"].as_array().cloned().unwrap_or_default();
        let is_it = |d: &Value| d["node"] == "lonely" && d["here"] == "unknown";
        if all.iter().any(is_it) { Ok(()) } else { Err(peers.to_string()) }
    });
    shown.await.unwrap();
    assert!(done(&first, &["peers"]).await.contains("DIFFERS IN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_know_the_secret_is_not_heard() {
    let farm = Farm::new().unwrap();
    let first = farm.balancer(&settings("A", &[])).await.unwrap();
    let strange = settings("B", &[&first]).replace(SECRET, "the secret of somebody else");
    let second = farm.balancer(&strange).await.unwrap();
    let node = |balancer: &Balancer| {
        let at = balancer.mcmp;
        async move {
            let options = NodeOptions { load: 100, ..NodeOptions::default() };
            Node::register("a", at, &options).await.unwrap()
        }
    };
    let _nodes = (node(&first).await, node(&second).await);
    done(&second, &["stop", "a"]).await;
    let refused = eventually("the peer refuses", SOON * 6, || async {
        let answer = Client::new(second.manager).get("/api/v1/peers").await;
        let peers = answer.map_err(|e| e.to_string())?.json().ok_or("no JSON")?;
        let error = peers[0]["error"].as_str().unwrap_or_default().to_owned();
        if error.contains("403") { Ok(()) } else { Err(peers.to_string()) }
    });
    refused.await.unwrap();
    assert_eq!(states(&first, "a").await.unwrap(), "\"enabled\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_shows_changes_and_ends_with_its_codes() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[drain]\nquiet = \"0s\"\n").await.unwrap();
    let options = NodeOptions { load: 100, ..NodeOptions::default() };
    let _node = Node::register("a", balancer.mcmp, &options).await.unwrap();
    balancer.await_usable(&["a"], SOON * 6).await.unwrap();

    assert!(done(&balancer, &["nodes"]).await.contains("1 enabled"));
    let contexts = done(&balancer, &["contexts"]).await;
    assert!(contexts.starts_with("NODE"), "{contexts}");
    let changed = done(&balancer, &["disable", "a", "--context", "/"]).await;
    assert!(changed.contains("1 enabled") && changed.contains("1 disabled"), "{changed}");
    done(&balancer, &["enable", "a"]).await;
    let drained = done(&balancer, &["drain", "a", "--deadline", "1m", "--wait"]).await;
    assert!(drained.contains("empty"), "{drained}");
    assert_eq!(states(&balancer, "a").await.unwrap(), "\"stopped\"");
    assert!(done(&balancer, &["drains"]).await.contains("ended"));

    let refused = muster(&balancer, &["stop", "nobody"]).await;
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no node is registered with the route nobody (404)"), "{said}");
    assert_eq!(muster(&balancer, &["drain"]).await.status.code(), Some(2));
    let audit = done(&balancer, &["audit", "--json"]).await;
    let audit: Value = serde_json::from_str(&audit).unwrap();
    let verbs: Vec<&str> =
        audit.as_array().unwrap().iter().filter_map(|entry| entry["verb"].as_str()).collect();
    for verb in ["CONFIG", "ENABLE-APP", "disable", "enable", "drain", "drain_ended", "stop"] {
        assert!(verbs.contains(&verb), "{verb} is missing in {verbs:?}");
    }
    assert!(done(&balancer, &["reload"]).await.contains("configuration"));
    assert!(done(&balancer, &["override", "a", "--set", "load=3"]).await.contains("load"));
    assert!(done(&balancer, &["override", "a", "--reset"]).await.contains("node a"));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_drain_ends_when_it_has_lasted_too_long() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[drain]\nquiet = \"1h\"\n").await.unwrap();
    let options = NodeOptions { load: 100, ..NodeOptions::default() };
    let _node = Node::register("a", balancer.mcmp, &options).await.unwrap();
    balancer.await_usable(&["a"], SOON * 6).await.unwrap();
    let waited = ["drain", "a", "--deadline", "1h", "--wait", "--wait-timeout", "100ms"];
    assert_eq!(muster(&balancer, &waited).await.status.code(), Some(3));
    done(&balancer, &["drain", "a", "--cancel"]).await;
    assert_eq!(states(&balancer, "a").await.unwrap(), "\"enabled\"");
    let waited = ["drain", "a", "--deadline", "1s", "--wait"];
    assert_eq!(muster(&balancer, &waited).await.status.code(), Some(4), "the deadline ended it");
}
