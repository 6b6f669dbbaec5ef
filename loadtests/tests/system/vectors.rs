//! What clients may send: the suite of vectors against the balancer.

use std::net::{Ipv4Addr, SocketAddr};

use muster_loadtests::hostile::backend::Backend;
use muster_loadtests::hostile::run::{Bounds, run_vectors};
use muster_loadtests::hostile::vectors;
use muster_loadtests::testkit::Farm;

use super::support::quiet_machine;

#[tokio::test(flavor = "multi_thread")]
async fn no_vector_smuggles_none_passes_leniently_and_good_ones_are_served() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let node = Backend::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let limit = vectors::BODY_LIMIT;
    let balancer = farm
        .balancer(&format!(
            "[http]\nbody_limit = {limit}\n[[node]]\nroute = \"a\"\nurl = \"http://{}\"\n",
            node.address()
        ))
        .await
        .unwrap();
    let vectors = vectors::all();
    let report = run_vectors(balancer.http, &node, &vectors, Bounds::default()).await;
    println!("{report}");
    assert!(report.count() >= 120);
    assert_eq!((report.hard(), report.lenient(), report.wrong()), (0, 0, 0), "{report}");
}
