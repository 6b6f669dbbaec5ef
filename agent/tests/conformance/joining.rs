//! The way into a cluster over sockets, and why somebody is not let in.

use std::net::Ipv4Addr;
use std::time::Duration;

use muster_agent::cluster::JoinError;
use muster_agent::{Cluster, ClusterBuilder, Mode};

use crate::fixture::{eventually, soon};

fn builder(name: &str) -> ClusterBuilder {
    let secret = "known to all of this cluster";
    Cluster::builder(name).port(0).segments(16).detection(Duration::from_secs(1)).secret(secret)
}

async fn why_not(builder: ClusterBuilder) -> String {
    let refused = soon("an answer", builder.join()).await;
    refused.err().map(|error: JoinError| error.to_string()).unwrap()
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_named_with_its_value() {
    let strangers = Cluster::builder("a").bind(Ipv4Addr::new(192, 0, 2, 1));
    let expected = "bind 192.0.2.1:7700 is no loopback address: set a cluster secret or mutual TLS, \
                    or bind to 127.0.0.1";
    assert_eq!(why_not(strangers).await, expected);
    let short = why_not(builder("a").secret("short")).await;
    assert!(short.contains("secret") && !short.contains("short"), "{short}");
    let far = why_not(Cluster::builder("a").offset(60_000)).await;
    assert_eq!(far, "offset has the bad value \"60000\": with port 7700 it is beyond 65535");
    let file = why_not(builder("a").secret_file("/nowhere/secret")).await;
    assert!(file.contains("/nowhere/secret"), "{file}");
    let cluster = why_not(builder("a").cluster("my shop")).await;
    assert!(cluster.contains("\"my shop\""), "{cluster}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_of_one_secret_share_data_and_a_second_of_a_name_is_refused() {
    let one = builder("one").find_nobody().join().await.unwrap();
    let address = one.me().address.to_string();
    let two = builder("two").members([&address]).join().await.unwrap();
    eventually("two members", || async { one.view().members.len() == 2 }).await;
    let cache = |member: &Cluster| {
        member.cache::<u8, String>("shared").mode(Mode::Replicated).create().unwrap()
    };
    cache(&one).put(&1, &"from one".to_owned()).await.unwrap();
    assert_eq!(cache(&two).get(&1).await, Ok(Some("from one".to_owned())));
    let again = why_not(builder("two").members([&address])).await;
    assert!(again.contains("two"), "{again}");
    // Who does not know the secret finds nobody, and is alone.
    let stranger = builder("three").secret("another secret altogether").members([&address]);
    let stranger = stranger.join().await.unwrap();
    assert_eq!((stranger.view().members.len(), one.view().members.len()), (1, 2));
    // What a member keeps is handed over before it goes.
    one.leave().await;
    assert_eq!(cache(&two).get(&1).await, Ok(Some("from one".to_owned())));
    two.leave().await;
    stranger.leave().await;
}
