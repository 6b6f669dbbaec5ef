//! A node that hangs: alive for the kernel, silent for everyone else.

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{CounterOptions, Farm, Fault, eventually};

use super::support::{SOON, gets, quiet_machine};

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_node_is_left_out_after_some_probes_and_used_again_when_it_thaws() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let quick = "[upstream]\nread_timeout = \"1s\"\n\
                 [health]\nprobe_interval = \"500ms\"\nrevive_interval = \"200ms\"\n\
                 probe_timeout = \"500ms\"\n";
    let balancer = farm.balancer(quick).await.unwrap();
    let options = CounterOptions { load: Some(100), ..CounterOptions::default() };
    let a = farm.counter("a", &balancer, &options).await.unwrap();
    let _b = farm.counter("b", &balancer, &options).await.unwrap();
    balancer.await_usable(&["a", "b"], SOON).await.unwrap();
    balancer.await_served("/counter?nosession", SOON).await.unwrap();

    a.process.inflict(Fault::Freeze).unwrap();
    let left_out = eventually("20 answers in a row without a", SOON, || async {
        let mut client = balancer.client();
        for _ in 0..20 {
            let answer = client.get("/counter?nosession").await.map_err(|e| e.to_string())?;
            if answer.status != 200 {
                return Err(answer.status.to_string());
            }
        }
        Ok(())
    });
    left_out.await.unwrap();
    let load = gets(&balancer, "/counter?nosession", 16, End::Count(500));
    let record = generator::run(load).await.record;
    assert_eq!((record.failed(), record.by("b")), (0, 500), "{record:?}");

    a.process.inflict(Fault::Thaw).unwrap();
    let back = eventually("a answers again", SOON, || async {
        let answer = balancer.client().get("/counter?nosession").await;
        let node = answer.map_err(|e| e.to_string())?.node();
        if node.as_deref() == Some("a") { Ok(()) } else { Err(format!("{node:?}")) }
    });
    back.await.unwrap();
}
