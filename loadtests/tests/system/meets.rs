//! Members of a cluster that know nothing but their balancer, and meet there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::finding::{self, Finder, Finding, Me, Rendezvous};
use muster_agent::{Agent, Load};
use muster_loadtests::testkit::{Balancer, Farm, eventually};
use tokio::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(60);

const SECRET: &str = "the secret of these stories";

/// A back end with a member whose channel would be at `port`.
struct Member {
    _agent: Agent,
    _finding: Finding,
    _http: TcpListener,
    found: Arc<Mutex<BTreeSet<String>>>,
}

impl Member {
    async fn start(balancer: &Balancer, secret: Option<&str>, cluster: &str, port: u16) -> Member {
        let (rendezvous, found) = (Rendezvous::new(), Arc::new(Mutex::new(BTreeSet::new())));
        let me = Me {
            cluster: cluster.parse().unwrap(),
            node: u128::from(port),
            incarnation: 1,
            address: format!("127.0.0.1:{port}").parse().unwrap(),
        };
        let tell = {
            let found = found.clone();
            move |address: &str| {
                found.lock().unwrap().insert(address.to_owned());
            }
        };
        let finders = vec![Finder::Balancers(rendezvous.clone())];
        let finding = finding::start(me, None, finders, tell).unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = Agent::builder().node_name(format!("node{port}")).fixed_load(Load::Usable(50));
        let agent = agent.listen(http.local_addr().unwrap()).balancer(balancer.mcmp.to_string());
        let agent = agent.status_interval(Duration::from_millis(100)).rendezvous(&rendezvous);
        let agent = match secret {
            Some(secret) => agent.secret(secret),
            None => agent,
        };
        let agent = agent.start().await.unwrap();
        Member { _agent: agent, _finding: finding, _http: http, found }
    }

    async fn finds(&self, addresses: &[&str]) {
        eventually("the others are found", PATIENCE, async || {
            let found = self.found.lock().unwrap();
            found.iter().eq(addresses).then_some(()).ok_or_else(|| format!("{found:?}"))
        })
        .await
        .unwrap();
    }
}

async fn meet(toml: &str, secret: Option<&str>) {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(toml).await.unwrap();
    let one = Member::start(&balancer, secret, "shop", 17701).await;
    let two = Member::start(&balancer, secret, "shop", 17702).await;
    let other = Member::start(&balancer, secret, "other", 17703).await;
    one.finds(&["127.0.0.1:17702"]).await;
    two.finds(&["127.0.0.1:17701"]).await;
    let three = Member::start(&balancer, secret, "shop", 17704).await;
    three.finds(&["127.0.0.1:17701", "127.0.0.1:17702"]).await;
    one.finds(&["127.0.0.1:17702", "127.0.0.1:17704"]).await;
    other.finds(&[]).await;
}

#[tokio::test]
async fn members_meet_at_their_balancer() {
    meet("", None).await;
}

#[tokio::test]
async fn members_meet_at_a_balancer_that_shares_a_secret_with_them() {
    meet(&format!("[mcmp]\nsecret = \"{SECRET}\"\n"), Some(SECRET)).await;
}
