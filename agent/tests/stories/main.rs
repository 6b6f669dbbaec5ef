//! The agent against a fake balancer that records every byte: what a node says, and when.

mod configures;
mod discovers;
mod drains;
mod fake;
mod finds;
mod jobs;
mod lives;
mod loads;
mod manages;
mod protects;
mod queues;
mod signs;
mod stands_by;
mod works;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use fake::Fake;
use muster_agent::{Agent, Builder};

/// The bound of every wait in these tests; none is expected to come near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent for a node that listens nowhere, with short pauses.
fn agent(name: &str) -> Builder {
    let address = SocketAddr::from(([127, 0, 0, 1], 8080));
    Agent::builder()
        .node_name(name)
        .listen(address)
        .fixed_load(muster_agent::Load::Usable(60))
        .status_interval(Duration::from_millis(50))
        .retry(Duration::from_millis(5), Duration::from_millis(20))
}

/// Waits for something that comes without being called.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect(what)
}

/// Asks again and again until it is so.
async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    soon(what, async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

async fn registered(agent: &Agent) {
    soon("the node is registered", agent.registered()).await;
}

/// An address where nobody listens.
async fn nowhere() -> SocketAddr {
    let fake = Fake::start(1).await;
    let address = fake.address();
    fake.stop().await;
    address
}
