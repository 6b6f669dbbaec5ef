//! What nodes may answer: the suite of hostile answers against the balancer.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use muster_loadtests::hostile::answers;
use muster_loadtests::hostile::backend::Backend;
use muster_loadtests::hostile::client::Front;
use muster_loadtests::hostile::siege::run_answers;
use muster_loadtests::testkit::Farm;

use super::support::quiet_machine;

/// How long a client waits; the balancer's own bounds are much shorter.
const WITHIN: Duration = Duration::from_secs(20);

async fn besieged(front: Front, least: usize) {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let node = Backend::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let balancer = farm
        .balancer(&format!(
            "[upstream]\nread_timeout = \"1s\"\ntotal_timeout = \"3s\"\n\
             [[node]]\nroute = \"a\"\nurl = \"http://{}\"\n",
            node.address()
        ))
        .await
        .unwrap();
    let report = run_answers(front, balancer.http, &node, &answers::all(), WITHIN).await;
    println!("{report}");
    assert!(report.count() >= least, "{}", report.count());
    assert_eq!(report.failed(), 0, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_a_node_harms_its_client_or_the_next_one() {
    besieged(Front::Http1, 158).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_of_a_node_harms_a_client_of_http_2_or_the_next_one() {
    besieged(Front::Http2, 150).await;
}
