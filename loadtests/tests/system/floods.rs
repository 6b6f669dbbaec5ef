//! Floods of HTTP/2: each ends with GOAWAY within a bound, and others are served meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use muster_loadtests::testkit::h2::frames::{fields, flag, frame, get, kind};
use muster_loadtests::testkit::h2::{H2Client, Wire};
use muster_loadtests::testkit::{Balancer, Farm};

use super::support::{node, quiet_machine};

/// GOAWAY's reason for a client that goes too far (RFC 9113, 7).
const ENHANCE_YOUR_CALM: u32 = 11;

const WHOLE: u8 = flag::END_STREAM | flag::END_HEADERS;

/// Floods a balancer on one connection while honest requests are made on another. Gives how many
/// times the bytes were taken, and GOAWAY's reason.
async fn flooded(most: u32, before: &[u8], bytes: impl Fn(u32) -> Vec<u8>) -> (u32, Option<u32>) {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let is_over = AtomicBool::new(false);
    let flooding = async {
        let mut wire = Wire::connect(balancer.http).await.unwrap();
        assert!(wire.send(before).await);
        let ended = wire.flood(most, bytes).await;
        is_over.store(true, Ordering::Relaxed);
        ended
    };
    let (ended, served) = tokio::join!(flooding, serve(&balancer, &is_over));
    assert!(served > 0, "nobody else was served");
    ended.expect("a flood ends")
}

/// Honest requests until the flood is over, and one more.
async fn serve(balancer: &Balancer, is_over: &AtomicBool) -> u32 {
    let client = H2Client::plain(balancer.http).await.unwrap();
    let mut served = 0;
    loop {
        let was_over = is_over.load(Ordering::Relaxed);
        assert_eq!(client.get("/").await.unwrap().status, 200);
        served += 1;
        if was_over {
            return served;
        }
    }
}

fn odd(number: u32) -> u32 {
    2 * number + 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_in_goaway() {
    let (taken, reason) = flooded(20_000, &[], |number| {
        let head = frame(kind::HEADERS, WHOLE, odd(number), &get(&[]));
        [head, frame(kind::RST_STREAM, 0, odd(number), &[0, 0, 0, 8])].concat()
    })
    .await;
    assert!(
        taken < 20_000 && reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_that_a_client_makes_us_send_end_in_goaway() {
    // A window that is opened too far is an error of the stream (CVE-2025-8671).
    let (taken, reason) = flooded(20_000, &[], |number| {
        let head = frame(kind::HEADERS, flag::END_HEADERS, odd(number), &get(&[]));
        let most = frame(kind::WINDOW_UPDATE, 0, odd(number), &[0x7F, 0xFF, 0xFF, 0xFF]);
        [head, most].concat()
    })
    .await;
    assert!(
        taken < 20_000 && reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_refused_without_end_end_in_goaway() {
    let (taken, _) = flooded(20_000, &[], |number| {
        frame(kind::HEADERS, WHOLE, odd(number), &get(&[("connection", "close")]))
    })
    .await;
    assert!(taken < 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_ends_in_goaway() {
    let begun = frame(kind::HEADERS, flag::END_STREAM, 1, &get(&[]));
    let (taken, reason) = flooded(20_000, &begun, |number| {
        frame(kind::CONTINUATION, 0, 1, &fields(&[(&format!("x-{number}"), "y")]))
    })
    .await;
    assert!(
        taken < 20_000 && reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
    // And one of nothing at all.
    let (taken, _) = flooded(20_000, &begun, |_| frame(kind::CONTINUATION, 0, 1, &[])).await;
    assert!(taken < 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_frames_that_unfold_to_large_heads_cost_a_bounded_head_each() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let mut wire = Wire::connect(balancer.http).await.unwrap();
    // A field of 3,000 bytes that is remembered (its index is 62), then named 4,000 times.
    let mut bomb = get(&[]);
    bomb.extend([0x40, 1, b'x', 127]);
    bomb.extend([0xB9, 0x16]);
    bomb.extend([b'y'; 3_000]);
    bomb.extend([0xBE; 4_000]);
    for stream in [1, 3, 5] {
        assert!(wire.send(&frame(kind::HEADERS, WHOLE, stream, &bomb)).await);
        let Some(answer) = wire.answer(stream).await else { break };
        assert!(answer.kind != kind::HEADERS || answer.status() == Some(431), "{answer:?}");
    }
    assert_eq!(node.count(), 0);
    assert_eq!(H2Client::plain(balancer.http).await.unwrap().get("/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_parts_of_a_body_without_end_end_in_goaway() {
    let begun = frame(kind::HEADERS, flag::END_HEADERS, 1, &get(&[]));
    let (taken, reason) = flooded(50_000, &begun, |_| frame(kind::DATA, 0, 1, &[])).await;
    assert!(
        taken < 50_000 && reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_settings_and_unknown_frames_without_end_end_in_goaway() {
    const PRIORITY: u8 = 2;
    const UNKNOWN: u8 = 0x77;
    let floods = [
        frame(kind::PING, 0, 0, &[0; 8]),
        frame(kind::PING, flag::END_STREAM, 0, &[0; 8]),
        frame(kind::SETTINGS, 0, 0, &[]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
        frame(UNKNOWN, 0, 0, &[]),
    ];
    for flood in floods {
        let (taken, reason) = flooded(50_000, &[], |_| flood.clone()).await;
        let is_calm = reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM);
        assert!(taken < 50_000 && is_calm, "{reason:?}: {:?}", &flood[..9]);
    }
}
