//! A balancer that shows the cluster of its nodes, which tell it where their management is.

use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::Mode;
use muster_agent::finding::{self, Finder, Finding, Me, Rendezvous};
use muster_agent::manage::{self, Management, Settings};
use muster_agent::{Agent, Cluster, Load};
use muster_loadtests::testkit::{Balancer, Client, Farm, eventually};
use muster_protocol::signature::Secrets;
use serde_json::Value;
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "the secret of the cluster";

/// A node whose process is a member of a cluster.
struct Node {
    _agent: Agent,
    _finding: Finding,
    _management: Management,
    _cluster: Cluster,
    _http: TcpListener,
}

impl Node {
    async fn start(balancer: &Balancer, secret: Option<&str>) -> Node {
        let cluster = Cluster::builder("one").local();
        let cache = cluster.cache::<String, u64>("counters").mode(Mode::Distributed);
        cache.create().unwrap().put(&"visits".to_owned(), &7).await.unwrap();
        let secrets = secret.map(|secret| Secrets::new([secret.parse().unwrap()]));
        let bind = ([127, 0, 0, 1], 0).into();
        let settings = Settings { bind, secrets, ..Settings::new("shop") };
        let management = manage::start(settings, Arc::clone(cluster.engine()), None).await.unwrap();
        let rendezvous = Rendezvous::new();
        rendezvous.manage_at(management.url());
        let me = Me {
            cluster: "shop".parse().unwrap(),
            node: 1,
            incarnation: 1,
            address: "127.0.0.1:17705".parse().unwrap(),
        };
        let finders = vec![Finder::Balancers(rendezvous.clone())];
        let finding = finding::start(me, None, finders, |_| {}).unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = Agent::builder().node_name("node1").fixed_load(Load::Usable(50));
        let agent = agent.listen(http.local_addr().unwrap()).balancer(balancer.mcmp.to_string());
        let agent = agent.status_interval(Duration::from_millis(100)).rendezvous(&rendezvous);
        let agent = agent.start().await.unwrap();
        Node {
            _agent: agent,
            _finding: finding,
            _management: management,
            _cluster: cluster,
            _http: http,
        }
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

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_of_a_node_is_asked_and_shown_and_forgotten_with_it() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[cluster]\ninterval = \"100ms\"\n").await.unwrap();
    let node = Node::start(&balancer, None).await;
    shows(&balancer, |clusters| {
        let cluster = &clusters[0];
        cluster["name"] == "shop"
            && cluster["nodes"][0] == "node1"
            && cluster["report"]["members"][0]["state"] == "up"
            && cluster["caches"]["caches"][0]["entries"] == 1
    })
    .await;
    let mut client = Client::new(balancer.manager);
    let page = client.get("/caches/shop/counters").await.unwrap().text();
    assert!(page.contains("distributed"), "{page}");
    // A member that does not answer any more is shown with what it said last, and why.
    node._management.stop().await;
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
    let _node = Node::start(&balancer, Some(SECRET)).await;
    let _same = Node::start(&other, Some(SECRET)).await;
    shows(&balancer, |clusters| clusters[0]["report"]["me"] == "one").await;
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
    let _node = Node::start(&balancer, None).await;
    shows(&balancer, |clusters| clusters[0]["error"] == "no member says where its management is")
        .await;
}
