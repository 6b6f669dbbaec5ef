//! Back ends that know nothing but their balancer: they meet there, become one cluster, and the
//! balancer shows it.

use std::time::Duration;

use muster_agent::engine::Mode;
use muster_agent::finding::Rendezvous;
use muster_agent::{Agent, Cache, Cluster, Load};
use muster_loadtests::testkit::{Balancer, Client, Farm, eventually};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "the secret of the cluster";

/// A node whose process is a member of a cluster.
struct Node {
    agent: Agent,
    cluster: Cluster,
    cache: Cache<String, u64>,
    _http: AbortOnDropHandle<()>,
}

impl Node {
    async fn start(balancer: &Balancer, name: &str, secret: Option<&str>) -> Node {
        let (rendezvous, name) = (Rendezvous::new(), name.to_owned());
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = Agent::builder().node_name(&name).fixed_load(Load::Usable(50));
        let agent = agent.listen(http.local_addr().unwrap()).balancer(balancer.mcmp.to_string());
        // The balancer tries a node before it answers its STATUS.
        let _http = AbortOnDropHandle::new(tokio::spawn(async move {
            axum::serve(http, axum::Router::new()).await.unwrap();
        }));
        let agent = agent.status_interval(Duration::from_millis(100)).rendezvous(&rendezvous);
        let agent = agent.start().await.unwrap();
        let cluster = Cluster::builder(name).cluster("shop").port(0).segments(16);
        let cluster = cluster.detection(Duration::from_secs(1)).rendezvous(&rendezvous);
        let cluster = match secret {
            Some(secret) => cluster.secret(secret),
            None => cluster,
        };
        let cluster = cluster.join().await.unwrap();
        let cache = cluster.cache("counters").mode(Mode::Distributed).create().unwrap();
        Node { agent, cluster, cache, _http }
    }
}

/// The clusters that a balancer shows, once they are so.
async fn shows(balancer: &Balancer, is_so: impl Fn(&Value) -> bool) {
    eventually("the cluster is shown", PATIENCE, async || {
        let answer = Client::new(balancer.manager).get("/api/v1/clusters").await;
        let answer = answer.map_err(|error| error.to_string())?;
        let clusters: Value = answer.json().ok_or_else(|| answer.text())?;
        if is_so(&clusters) { Ok(()) } else { Err(clusters.to_string()) }
    })
    .await
    .unwrap();
}

/// The names of the members that are up, as the first cluster's answer has them.
fn up(clusters: &Value) -> Vec<&str> {
    let members = clusters[0]["report"]["members"].as_array().map(Vec::as_slice);
    let up = members.unwrap_or_default().iter().filter(|member| member["state"] == "up");
    let mut names: Vec<&str> = up.filter_map(|member| member["name"].as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn back_ends_meet_at_their_balancer_which_shows_their_cluster() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[cluster]\ninterval = \"100ms\"\n").await.unwrap();
    let one = Node::start(&balancer, "one", None).await;
    let two = Node::start(&balancer, "two", None).await;
    shows(&balancer, |clusters| {
        let nodes = &clusters[0]["nodes"];
        up(clusters) == ["one", "two"] && nodes.as_array().is_some_and(|nodes| nodes.len() == 2)
    })
    .await;
    one.cache.put(&"visits".to_owned(), &7).await.unwrap();
    assert_eq!(two.cache.get(&"visits".to_owned()).await.unwrap(), Some(7));
    shows(&balancer, |clusters| clusters[0]["caches"]["caches"][0]["entries"] == 1).await;
    let mut client = Client::new(balancer.manager);
    let page = client.get("/caches/shop/counters").await.unwrap().text();
    assert!(page.contains("distributed") && page.contains("two"), "{page}");
    let topology = client.get("/topology").await.unwrap().text();
    assert!(topology.contains("coordinator") && topology.contains("two came"), "{topology}");
    // Whoever is left answers for what is left.
    two.cluster.leave().await;
    shows(&balancer, |clusters| up(clusters) == ["one"] && clusters[0]["error"].is_null()).await;
    // When nobody answers any more and nobody has said that he leaves, what was said last stays, with
    // the reason.
    drop(one.agent);
    one.cluster.leave().await;
    shows(&balancer, |clusters| {
        clusters[0]["error"].is_string() && clusters[0]["report"]["me"] == "one"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_a_secret_is_shown_to_a_balancer_that_knows_it() {
    let farm = Farm::new().unwrap();
    let knows = format!("[cluster]\ninterval = \"100ms\"\nsecret = \"{SECRET}\"\n");
    let balancer = farm.balancer(&knows).await.unwrap();
    let other = farm.balancer("[cluster]\ninterval = \"100ms\"\n").await.unwrap();
    let _node = Node::start(&balancer, "one", Some(SECRET)).await;
    let _same = Node::start(&other, "two", Some(SECRET)).await;
    shows(&balancer, |clusters| up(clusters) == ["one"]).await;
    shows(&other, |clusters| {
        let error = clusters[0]["error"].as_str().unwrap_or_default();
        error.contains("the message is not signed") && clusters[0]["report"].is_null()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_where_that_is_not_wanted() {
    let farm = Farm::new().unwrap();
    let toml = "[cluster]\ninterval = \"100ms\"\nfollow = false\n";
    let balancer = farm.balancer(toml).await.unwrap();
    let _node = Node::start(&balancer, "one", None).await;
    shows(&balancer, |clusters| clusters[0]["error"] == "no member says where its management is")
        .await;
}
