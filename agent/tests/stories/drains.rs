//! Contexts that go, and the node's good-bye.

use std::time::Duration;

use muster_agent::{Drained, SessionDraining, Sessions};

use crate::fake::Fake;
use crate::{agent, eventually, registered, soon};

fn app(method: &str) -> String {
    format!("{method} / JVMRoute=node1&Alias=localhost&Context=/shop")
}

#[tokio::test]
async fn an_undeployed_context_is_drained_first() {
    let fake = Fake::start(1).await;
    fake.state().in_flight = 2;
    let address = fake.address().to_string();
    let node = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    registered(&node).await;
    let shop = node.deployment("/shop").unwrap();
    let undeploying = tokio::spawn(shop.undeploy());
    eventually("asked twice", || fake.count("STOP-APP") >= 2).await;
    assert!(!undeploying.is_finished());
    assert_eq!(fake.count("REMOVE-APP"), 0);
    fake.state().in_flight = 0;
    let drained = soon("undeployed", undeploying).await.unwrap();
    assert!(drained.is_complete());
    let heard = fake.heard_but_status();
    assert_eq!(heard[3], app("DISABLE-APP"));
    assert!(heard[4..heard.len() - 1].iter().all(|line| *line == app("STOP-APP")));
    assert_eq!(*heard.last().unwrap(), app("REMOVE-APP"));
    assert!(node.deployment("/shop").is_none());
    node.deploy("/shop").unwrap();
    eventually("enabled again", || fake.count("ENABLE-APP") == 2).await;
}

#[tokio::test]
async fn requests_that_do_not_end_are_waited_for_only_so_long() {
    let fake = Fake::start(1).await;
    fake.state().in_flight = 3;
    let node = agent("node1").balancer(fake.address().to_string()).context("/shop");
    let node = node.stop_context_timeout(Duration::from_millis(50)).start().await.unwrap();
    registered(&node).await;
    let drained = soon("given up", node.deployment("/shop").unwrap().undeploy()).await;
    assert_eq!(drained, Drained { requests_left: 3, ..Drained::default() });
    assert_eq!(fake.count("REMOVE-APP"), 1);
}

#[tokio::test]
async fn a_node_that_stops_drains_removes_and_leaves() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let node = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    registered(&node).await;
    let drained = soon("stopped", node.stop()).await;
    assert!(drained.is_complete());
    assert_eq!(
        fake.heard_but_status()[3..],
        [
            app("DISABLE-APP"),
            app("STOP-APP"),
            app("REMOVE-APP"),
            "REMOVE-APP /* JVMRoute=node1".to_owned()
        ]
    );
}

/// An application with one session, and its id.
async fn shop() -> (Sessions, String) {
    let sessions = Sessions::builder("shop").start().expect("sessions");
    let request = sessions.request(None);
    let id = request.session().await.expect("nobody has it").create().expect("it is new");
    request.finish().await.expect("it is written");
    (sessions, id)
}

#[tokio::test]
async fn a_context_waits_for_its_sessions_before_its_requests() {
    let fake = Fake::start(1).await;
    let (sessions, id) = shop().await;
    let node = agent("node1").balancer(fake.address().to_string());
    let node = node.stop_context_timeout(Duration::from_secs(3600)).start().await.unwrap();
    let shop = node.deploy("/shop").unwrap();
    shop.serves(&sessions);
    registered(&node).await;
    let undeploying = tokio::spawn(shop.undeploy());
    eventually("no new sessions", || fake.count("DISABLE-APP") == 1).await;
    assert!(!undeploying.is_finished());
    assert_eq!(fake.count("STOP-APP"), 0);
    sessions.invalidate(&id).await.unwrap();
    assert!(soon("undeployed", undeploying).await.unwrap().is_complete());
    assert_eq!(fake.heard_but_status()[3..], ["DISABLE-APP", "STOP-APP", "REMOVE-APP"].map(app));
}

#[tokio::test]
async fn sessions_that_do_not_end_are_waited_for_only_so_long_or_not_at_all() {
    for (draining, sessions_left) in [(SessionDraining::Default, 1), (SessionDraining::Never, 0)] {
        let fake = Fake::start(1).await;
        let (sessions, _) = shop().await;
        let node = agent("node1").balancer(fake.address().to_string());
        let node = node.context_with("/shop", &sessions).session_draining(draining);
        let node = node.stop_context_timeout(Duration::from_millis(50)).start().await.unwrap();
        registered(&node).await;
        let drained = soon("stopped", node.stop()).await;
        assert_eq!(drained, Drained { sessions_left, ..Drained::default() });
    }
}

#[tokio::test]
async fn every_balancer_is_drained() {
    let (one, two) = (Fake::start(1).await, Fake::start(2).await);
    let node = agent("node1").balancer(one.address().to_string());
    let node = node.balancer(two.address().to_string()).context("/shop").start().await.unwrap();
    registered(&node).await;
    assert!(soon("undeployed", node.deployment("/shop").unwrap().undeploy()).await.is_complete());
    for fake in [&one, &two] {
        assert_eq!(*fake.heard_but_status().last().unwrap(), app("REMOVE-APP"));
    }
}

#[tokio::test]
async fn an_undeploy_does_not_wait_for_a_balancer_that_is_gone() {
    let fake = Fake::start(1).await;
    let address = fake.address();
    let node = agent("node1").balancer(address.to_string()).context("/shop");
    let node = node.stop_context_timeout(Duration::from_secs(3600)).start().await.unwrap();
    registered(&node).await;
    fake.stop().await;
    let drained = soon("undeployed", node.deployment("/shop").unwrap().undeploy()).await;
    assert_eq!(drained, Drained { unreached: 1, ..Drained::default() });
    let fake = Fake::start_at(address, 2).await;
    registered(&node).await;
    assert_eq!(fake.count("ENABLE-APP"), 0, "it is told of no context that is gone");
}
