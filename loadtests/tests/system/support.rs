//! What the stories share.

use std::time::Duration;

use muster_loadtests::scenario::{End, Scenario};
use muster_loadtests::testkit::{Balancer, Node, NodeOptions};
use tokio::sync::{Mutex, MutexGuard};

/// How long a story waits for what should be there in a moment.
pub(crate) const SOON: Duration = Duration::from_secs(10);

static LOAD: Mutex<()> = Mutex::const_new(());

/// Held by stories that send much: one at a time, so that none judges another's load.
pub(crate) async fn quiet_machine() -> MutexGuard<'static, ()> {
    LOAD.lock().await
}

/// How many rounds a story of chance takes: a few here, `MUSTER_ROUNDS` in a long run.
pub(crate) fn rounds(few: u32) -> u32 {
    std::env::var("MUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(few)
}

/// A node with a load, a context `/` and nothing else of note.
pub(crate) async fn node(balancer: &Balancer, route: &str, load: i32) -> Node {
    node_with(balancer, route, NodeOptions { load, ..NodeOptions::default() }).await
}

/// A registered node that takes traffic.
pub(crate) async fn node_with(balancer: &Balancer, route: &str, options: NodeOptions) -> Node {
    let node = Node::register(route, balancer.mcmp, &options).await.unwrap();
    if options.load > 0 {
        balancer.await_usable(&[route], SOON).await.unwrap();
    }
    node
}

/// Closed-loop GETs of a path.
pub(crate) fn gets(balancer: &Balancer, path: &str, connections: usize, end: End) -> Scenario {
    let mut scenario = Scenario::get(&format!("http://{}{path}", balancer.http)).unwrap();
    (scenario.connections, scenario.end) = (connections, end);
    scenario.check().unwrap()
}
