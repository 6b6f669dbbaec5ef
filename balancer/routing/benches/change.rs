//! What changes cost with 3,000 nodes of one context: it must not grow with nodes times nodes.

use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use muster_protocol::mcmp::parse::parse;
use muster_routing::health::{Probed, Timing};
use muster_routing::registry::Heard;
use muster_routing::{Limits, Moment, Registry, Request, decide};

const NODES: usize = 3_000;
const START: Moment = Moment::from_secs(1);

fn tell(registry: &mut Registry, method: &str, body: &str) {
    let command = parse(method, "/", body.as_bytes()).expect("the bench speaks well");
    let heard = registry.questions(&command).iter().map(|q| (q.id, Probed::Answered)).collect();
    let applied = registry.apply(&command, &Heard(heard), START);
    applied.expect("the bench asks for nothing odd");
}

/// Each node's tables are published, as a balancer does.
fn join(registry: &mut Registry, nodes: std::ops::Range<usize>) {
    let mut published = registry.table().clone();
    for n in nodes {
        tell(registry, "CONFIG", &format!("JVMRoute=n{n}&Type=http&Host=h{n}&Port=80"));
        tell(registry, "ENABLE-APP", &format!("JVMRoute=n{n}&Alias=h&Context=/app"));
        tell(registry, "STATUS", &format!("JVMRoute=n{n}&Load={}", 5 * (1 + n % 20)));
        published = registry.table().clone();
    }
    drop(published);
}

fn empty() -> Registry {
    Registry::new(Limits::default(), Timing::default(), false)
}

/// Half of the nodes carry traffic, the others warm up.
fn half_warm() -> Registry {
    let mut registry = empty();
    join(&mut registry, 0..NODES / 2);
    let request = Request { host: "h", path: "/app", cookies: &[], tried: &[], max_in_flight: 0 };
    drop(decide(registry.table(), &request).expect("somebody takes it").count());
    join(&mut registry, NODES / 2..NODES);
    registry
}

fn changes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("changes");
    group.bench_function("register all", |bencher| {
        let register = |mut registry: Registry| {
            join(&mut registry, 0..NODES);
            registry
        };
        bencher.iter_batched(empty, register, BatchSize::PerIteration);
    });
    let mut registry = half_warm();
    let mut wait = 0;
    let mut published = registry.table().clone();
    group.bench_function("settings", |bencher| {
        bencher.iter(|| {
            wait += 1;
            let body = format!("JVMRoute=n0&Type=http&Host=h0&Port=80&WaitWorker={wait}");
            tell(&mut registry, "CONFIG", &body);
            published = registry.table().clone();
        });
    });
    group.bench_function("tick, half of them warm up", |bencher| {
        let tick = |mut registry: Registry| {
            let table = registry.table().clone();
            let due = registry.tick(START + Duration::from_secs(3));
            (registry, table, due)
        };
        bencher.iter_batched(half_warm, tick, BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(10);
    targets = changes
}
criterion_main!(benches);
