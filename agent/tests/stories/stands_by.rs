//! A context that another node serves, and one whose provider this node is.

use muster_agent::singleton::{Policy, Singleton, SingletonDeployment, State};
use muster_agent::{Cluster, ContextState};

use crate::fake::Fake;
use crate::{agent, eventually, registered, soon};

fn app(method: &str) -> String {
    format!("{method} / JVMRoute=node1&Alias=localhost&Context=/shop")
}

#[tokio::test]
async fn a_deployment_stands_by_until_this_node_is_its_provider() {
    let fake = Fake::start(1).await;
    let node = agent("node1").balancer(fake.address().to_string()).start().await.unwrap();
    let cluster = Cluster::builder("node1").local();
    let shop = SingletonDeployment::builder("/shop").policy(Policy::oldest().quorum(2));
    let shop = shop.deploy(&node, &cluster).unwrap();
    registered(&node).await;
    let stands_by = || fake.heard_but_status().ends_with(&[app("DISABLE-APP"), app("STOP-APP")]);
    eventually("it stands by", stands_by).await;
    assert!(!shop.is_active());
    let _ = soon("undeployed", shop.undeploy()).await;

    let shop = SingletonDeployment::builder("/shop").deploy(&node, &cluster).unwrap();
    soon("it runs here", shop.singleton().reaches(|state| state == State::Running)).await;
    let enabled = || {
        let status = node.status();
        let context = status.balancers[0].contexts.values().next().copied();
        context == Some(ContextState::Enabled)
    };
    eventually("it is enabled", enabled).await;
    assert!(shop.is_active());
    // What is attached ends with it.
    let daemon = Singleton::daemon("mailer").start(&cluster, |_| async { Ok(()) }).unwrap();
    soon("the daemon runs", daemon.reaches(|state| state == State::Running)).await;
    shop.deployment().attach(daemon.clone());
    let drained = soon("undeployed", shop.undeploy()).await;
    assert!(drained.is_complete());
    assert_eq!(daemon.status().state, State::Closed);
    assert_eq!(*fake.heard_but_status().last().unwrap(), app("REMOVE-APP"));
}
