//! What a decision costs with 2, 100, 1,000 and 10,000 nodes, and as many contexts: it must not
//! grow with either.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use muster_protocol::mcmp::parse::parse;
use muster_routing::health::{Probed, Timing};
use muster_routing::registry::Heard;
use muster_routing::{Limits, Moment, Registry, Request, decide};

const SIZES: [usize; 4] = [2, 100, 1_000, 10_000];

fn tell(registry: &mut Registry, method: &str, uri: &str, body: &str) {
    let command = parse(method, uri, body.as_bytes()).expect("the bench speaks well");
    let heard = registry.questions(&command).iter().map(|q| (q.id, Probed::Answered)).collect();
    let applied = registry.apply(&command, &Heard(heard), Moment::ZERO);
    applied.expect("the bench asks for nothing odd");
}

/// Nodes that all serve `/app`, with 20 different loads, each with some contexts of its own.
fn registry(nodes: usize, contexts: usize) -> Registry {
    let mut registry = Registry::new(Limits::default(), Timing::default(), false);
    for n in 0..nodes {
        tell(&mut registry, "CONFIG", "/", &format!("JVMRoute=n{n}&Type=http&Host=h{n}&Port=80"));
        tell(&mut registry, "STATUS", "/", &format!("JVMRoute=n{n}&Load={}", 5 * (1 + n % 20)));
    }
    for n in 0..nodes {
        tell(&mut registry, "ENABLE-APP", "/", &format!("JVMRoute=n{n}&Alias=h&Context=/app"));
    }
    for c in 0..contexts {
        tell(&mut registry, "ENABLE-APP", "/", &format!("JVMRoute=n0&Alias=h&Context=/app/c{c}"));
    }
    registry
}

fn route(registry: &Registry, path: &str, cookie: &str) -> u32 {
    let cookies = [cookie];
    let request = Request { host: "h", path, cookies: &cookies, tried: &[], max_in_flight: 0 };
    let decision = decide(registry.table(), &request).expect("somebody takes it");
    drop(decision.count());
    decision.node.id.0
}

fn nodes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nodes");
    for size in SIZES {
        let registry = registry(size, 0);
        let sticky = format!("other=1; JSESSIONID=0123456789abcdef.n{}", size / 2);
        group.bench_function(BenchmarkId::new("new", size), |bencher| {
            bencher.iter(|| route(&registry, black_box("/app/page"), ""));
        });
        group.bench_function(BenchmarkId::new("sticky", size), |bencher| {
            bencher.iter(|| route(&registry, black_box("/app/page"), black_box(&sticky)));
        });
    }
    group.finish();
}

fn contexts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contexts");
    for size in SIZES {
        let registry = registry(2, size);
        let path = format!("/app/c{}/page", size / 2);
        group.bench_function(BenchmarkId::new("new", size), |bencher| {
            bencher.iter(|| route(&registry, black_box(&path), ""));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .sample_size(20);
    targets = nodes, contexts
}
criterion_main!(benches);
