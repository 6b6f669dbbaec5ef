//! Registered, lost, forgotten, refused, and registered again.

use std::time::Duration;

use muster_agent::{BalancerState, Fault};

use crate::fake::Fake;
use crate::{agent, eventually, nowhere, registered, soon};

const CONFIG: &str =
    "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
const ENABLE: &str = "ENABLE-APP / JVMRoute=node1&Alias=localhost&Context=/shop";
const STATUS: &str = "STATUS / JVMRoute=node1&Load=60";

#[tokio::test]
async fn a_node_speaks_byte_for_byte_as_the_recorded_tomcat_does() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let agent = agent("tc1").balancer(&address).context("/counter").start().await.unwrap();
    registered(&agent).await;
    let head = format!("Host: {address}\r\n");
    let tail = "User-Agent: ClusterListener/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    let bytes = fake.state().bytes.clone();
    assert_eq!(bytes[0], format!("INFO / HTTP/1.1\r\n{head}{tail}"));
    let form = "JVMRoute=tc1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    let length = form.len();
    assert_eq!(
        bytes[1],
        format!("CONFIG / HTTP/1.1\r\n{head}Content-Length: {length}\r\n{tail}{form}")
    );
    let form = "JVMRoute=tc1&Alias=localhost&Context=%2Fcounter";
    assert_eq!(
        bytes[2],
        format!("ENABLE-APP / HTTP/1.1\r\n{head}Content-Length: 47\r\n{tail}{form}")
    );
}

#[tokio::test]
async fn a_registered_node_reports_at_each_tick_over_one_connection() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    eventually("four reports", || fake.count("STATUS") >= 4).await;
    assert_eq!(fake.heard()[..4], ["INFO /", CONFIG, ENABLE, STATUS]);
    assert_eq!(fake.heard_but_status(), ["INFO /", CONFIG, ENABLE]);
    assert_eq!(fake.state().connections, 1);
    assert_eq!(agent.status().balancers[0].state, BalancerState::Registered { id: 1 });
}

#[tokio::test]
async fn contexts_named_later_are_enabled_on_the_way() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let node = agent("node1").balancer(&address).alias("a.example").alias("B.example");
    let node = node.exclude_context("/secret").auto_enable_contexts(false).start().await.unwrap();
    let shop = node.deploy("/shop/").unwrap();
    assert_eq!(
        node.deploy("/shop").unwrap_err().to_string(),
        "the context /shop is deployed already"
    );
    assert!(node.deploy("shop").is_err());
    node.deploy("/secret").unwrap();
    let form = "JVMRoute=node1&Alias=a.example,b.example&Context=/shop";
    eventually("disabled", || fake.heard().contains(&format!("DISABLE-APP / {form}"))).await;
    shop.enable();
    eventually("enabled", || fake.heard().contains(&format!("ENABLE-APP / {form}"))).await;
    assert_eq!(fake.heard().iter().filter(|line| line.contains("secret")).count(), 0);
}

#[tokio::test]
async fn a_balancer_that_answers_with_another_id_hears_everything_again() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    registered(&agent).await;
    fake.state().id = 2;
    eventually("registered again", || fake.count("ENABLE-APP") == 2).await;
    assert_eq!(fake.heard_but_status(), ["INFO /", CONFIG, ENABLE, "INFO /", CONFIG, ENABLE]);
}

#[tokio::test]
async fn a_restarted_balancer_is_found_long_before_the_next_tick() {
    let fake = Fake::start(1).await;
    let address = fake.address();
    let node = agent("node1").balancer(address.to_string()).context("/shop");
    let node = node.status_interval(Duration::from_secs(3600)).start().await.unwrap();
    registered(&node).await;
    fake.stop().await;
    let mut status = node.watch();
    let lost = status.wait_for(|status| !status.is_registered());
    soon("the loss is seen", lost).await.unwrap();
    let fake = Fake::start_at(address, 2).await;
    registered(&node).await;
    assert_eq!(fake.heard(), ["INFO /", CONFIG, ENABLE, STATUS]);
}

#[tokio::test]
async fn a_balancer_that_forgot_the_node_says_mem_and_hears_everything_again() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    registered(&agent).await;
    fake.state().is_known = false;
    eventually("registered again", || fake.count("ENABLE-APP") == 2).await;
}

#[tokio::test]
async fn syntax_is_the_end_until_a_refresh() {
    let fake = Fake::start(1).await;
    let syntax = "500 Internal Server Error\r\nType: SYNTAX\r\nMess: SYNTAX: Type field too big";
    fake.state().refusals.push(("CONFIG", syntax));
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    let refused = BalancerState::Refused { reason: "SYNTAX: Type field too big".to_owned() };
    eventually("refused", || agent.status().balancers[0].state == refused).await;
    assert_eq!(fake.heard(), ["INFO /", CONFIG]);
    fake.state().refusals.clear();
    agent.refresh();
    registered(&agent).await;
    assert_eq!(fake.heard()[2..6], ["INFO /", CONFIG, ENABLE, STATUS]);
}

#[tokio::test]
async fn a_server_that_is_no_balancer_is_asked_again_and_again() {
    let fake = Fake::start(1).await;
    fake.state().refusals.push(("INFO", "501 Not Implemented"));
    let agent = agent("node1").balancer(fake.address().to_string()).start().await.unwrap();
    let reason = "the balancer answered 501 Not Implemented".to_owned();
    let waiting = BalancerState::Waiting { reason };
    eventually("waiting", || agent.status().balancers[0].state == waiting).await;
    eventually("again", || fake.count("INFO") >= 3).await;
}

#[tokio::test]
async fn neither_a_dead_balancer_nor_a_silent_one_holds_up_another() {
    let (good, silent) = (Fake::start(1).await, Fake::start(2).await);
    silent.state().is_silent = true;
    let node = agent("node1").balancer(nowhere().await.to_string());
    let node = node.balancer(silent.address().to_string()).balancer(good.address().to_string());
    let node = node.socket_timeout(Duration::from_secs(3600)).context("/shop");
    let node = node.stop_context_timeout(Duration::from_millis(10)).start().await.unwrap();
    let mut status = node.watch();
    let is_good = status.wait_for(|status| status.balancers[2].is_registered());
    soon("the good one knows the node", is_good).await.unwrap();
    let states = node.status().balancers;
    assert!(!states[0].is_registered() && states[1].state == BalancerState::Registering);
    let drained = soon("the node has left", node.stop()).await;
    assert_eq!(drained.requests_left, 0);
    assert_eq!(good.heard().last().unwrap(), "REMOVE-APP /* JVMRoute=node1");
}

#[tokio::test]
async fn a_silent_balancer_is_given_up_after_the_socket_timeout() {
    let silent = Fake::start(1).await;
    silent.state().is_silent = true;
    let node = agent("node1").balancer(silent.address().to_string());
    let node = node.socket_timeout(Duration::from_millis(20)).start().await.unwrap();
    let reason = "no answer within 20ms".to_owned();
    let waiting = BalancerState::Waiting { reason };
    eventually("given up", || node.status().balancers[0].state == waiting).await;
    silent.state().is_silent = false;
    registered(&node).await;
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read() {
    let fake = Fake::start(1).await;
    let node = agent("node1").balancer(fake.address().to_string()).answer_limit(8);
    let node = node.start().await.unwrap();
    let waiting = BalancerState::Waiting { reason: "the answer is too long".to_owned() };
    eventually("not read", || node.status().balancers[0].state == waiting).await;
}

#[tokio::test]
async fn a_balancer_that_keeps_no_connection_is_spoken_to_all_the_same() {
    let fake = Fake::start(1).await;
    fake.state().hangs_up = true;
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    eventually("five reports", || fake.count("STATUS") >= 5).await;
    assert_eq!(fake.count("CONFIG"), 1, "a closed connection is no lost balancer");
    assert!(agent.status().is_registered());
}

#[tokio::test]
async fn several_listeners_of_one_process_are_several_nodes() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let one = agent("one").balancer(&address).context("/shop").start().await.unwrap();
    let two = agent("two").balancer(&address).context("/shop").start().await.unwrap();
    registered(&one).await;
    registered(&two).await;
    let _ = soon("one has left", one.stop()).await;
    let before = fake.count("STATUS / JVMRoute=two");
    eventually("two goes on", || fake.count("STATUS / JVMRoute=two") > before + 2).await;
    assert_eq!(fake.count("REMOVE-APP /* JVMRoute=two"), 0);
}

#[tokio::test]
async fn a_dropped_agent_is_silent_and_closes_its_connections() {
    let fake = Fake::start(1).await;
    let address = fake.address().to_string();
    let agent = agent("node1").balancer(&address).context("/shop").start().await.unwrap();
    registered(&agent).await;
    let shop = agent.deployment("/shop").unwrap();
    drop(agent);
    eventually("no connection", || fake.state().open == 0).await;
    assert_eq!(fake.count("REMOVE-APP"), 0);
    let drained = soon("nobody is left to ask", shop.undeploy()).await;
    assert_eq!(drained.unreached, 1);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_with_their_values() {
    let error = agent("no<de").start().await.unwrap_err();
    assert!(matches!(error.faults[..], [Fault::Name(_), Fault::Missing("balancer")]));
    assert!(error.to_string().contains("JVMRoute has the bad value \"no<de\""), "{error}");
}
