//! What a session costs a request: lock, read, write, commit, on the engine of one process, so that
//! there is no network in it. `cargo bench -p muster-agent --bench session [WORDS OF A NAME]`.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_agent::Sessions;
use muster_agent::session::{Finished, Granularity};
use tokio::runtime::Runtime;

/// The session of the comparison in docs/performance.md.
const FILL: usize = 10;
const SIZE: usize = 4096;

fn sessions(granularity: Granularity) -> Sessions {
    let sessions = Sessions::builder("bench").granularity(granularity).max_inactive(None);
    sessions.start().expect("its settings are good")
}

/// A session with so many attributes of this size; its id.
async fn filled(sessions: &Sessions, count: usize, size: usize) -> String {
    let request = sessions.request(None);
    let session = request.session().await.expect("nobody else has it");
    session.set("count", &0_u64).expect("it fits");
    for number in 0..count {
        session.set_raw(&format!("fill{number}"), vec![7; size].into()).expect("it fits");
    }
    match request.finish().await {
        Ok(Finished::New(id)) => id,
        other => unreachable!("a new session: {other:?}"),
    }
}

/// A request that counts, and writes one attribute anew, if there is one.
async fn touch(sessions: &Sessions, id: &str, value: Option<&Bytes>) {
    let request = sessions.request(Some(id));
    let session = request.session().await.expect("nobody else has it");
    let count = session.get::<u64>("count").ok().flatten().unwrap_or_default();
    session.set("count", &(count + 1)).expect("it fits");
    if let Some(value) = value {
        session.set_raw("fill0", value.clone()).expect("it fits");
    }
    black_box(request.finish().await.expect("it is written"));
}

/// A look without its lock.
async fn read(sessions: &Sessions, id: &str) {
    let read = sessions.read(id).await.expect("it can be read");
    black_box(read.and_then(|session| session.get::<u64>("count").ok().flatten()));
}

fn requests(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let _within = runtime.enter();
    let value = Bytes::from(vec![8; SIZE]);
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(1));
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let sessions = sessions(granularity);
        let small = runtime.block_on(filled(&sessions, 0, 0));
        let large = runtime.block_on(filled(&sessions, FILL, SIZE));
        group.bench_function(format!("{granularity:?}, a counter"), |bencher| {
            bencher.iter(|| runtime.block_on(touch(&sessions, &small, None)));
        });
        group.bench_function(format!("{granularity:?}, {FILL} x {SIZE}, one written"), |bencher| {
            bencher.iter(|| runtime.block_on(touch(&sessions, &large, Some(&value))));
        });
        group.bench_function(format!("{granularity:?}, {FILL} x {SIZE}, read"), |bencher| {
            bencher.iter(|| runtime.block_on(read(&sessions, &large)));
        });
    }
    group.finish();
}

criterion_group!(benches, requests);
criterion_main!(benches);
