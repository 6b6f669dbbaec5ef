//! Many more sessions than are in memory: a node's memory stays as with few, every session can be
//! read, and a restart keeps them.

use muster_loadtests::sessions::stored::Stored;

use crate::system::support::quiet_machine;

/// Sessions of a plain run; of a long one `MUSTER_STORED` says how many.
const FEW: usize = 2_000;
/// Of so many one is in memory.
const ONE_OF: usize = 100;
/// Bytes of each.
const BYTES: usize = 4_096;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_few_of_many_sessions_in_memory_and_keeps_all_over_a_restart() {
    let _quiet = quiet_machine().await;
    let long = std::env::var("MUSTER_STORED").ok().and_then(|many| many.parse().ok());
    let all = long.unwrap_or(FEW);
    let most = all / ONE_OF;
    let mut nodes = Stored::start(2, most, &[]).await.unwrap();
    // As many as two of a hundred: all of them are primaries or backups of both.
    let mut sessions = nodes.fill(2 * most, BYTES).await.unwrap();
    let few = nodes.resident();
    sessions.extend(nodes.fill(all - 2 * most, BYTES).await.unwrap());
    let filled = nodes.resident();
    nodes.ask_all(&mut sessions, 0).await.unwrap();
    nodes.ask_all(&mut sessions, 1).await.unwrap();
    let read = nodes.resident();
    nodes.end_in_turn().await.unwrap();
    let began = std::time::Instant::now();
    nodes.start_again().await.unwrap();
    let took = began.elapsed().as_secs_f64();
    nodes.ask_all(&mut sessions, 0).await.unwrap();
    let again = nodes.resident();
    let mb = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    let times = read.max(filled) as f64 / few as f64;
    eprintln!(
        "round passivation: {all} sessions of {BYTES} bytes, {most} in memory: {:.0} MB resident at \
         {} sessions, {:.0} at all, {:.0} after each was read at each node ({times:.2} times); all back \
         {took:.1} s after the restart, {:.0} MB",
        mb(few),
        2 * most,
        mb(filled),
        mb(read),
        mb(again),
    );
    // The development build takes more for itself, and has fewer sessions.
    assert!(long.is_none() || times <= 1.5, "{times:.2} times");
}
