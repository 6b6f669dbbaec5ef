//! One balancer after the other: a binary upgrade, and a warm start after kill -9.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{
    Balancer, Client, CounterOptions, Farm, H2Client, NodeOptions, eventually, mcmp,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{SOON, gets, node, node_with, quiet_machine, rounds, upgrade};

/// More than a start on a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn echoes(stream: &mut TcpStream, what: &[u8]) {
    stream.write_all(what).await.unwrap();
    let mut back = vec![0; what.len()];
    let echo = stream.read_exact(&mut back);
    tokio::time::timeout(SOON, echo).await.expect("an echo comes").unwrap();
    assert_eq!(back, what);
}

/// What STATUS answers: the id by which nodes notice a restart.
async fn id(balancer: &Balancer, route: &str) -> String {
    let form = format!("JVMRoute={route}&Load=100");
    let told = mcmp::accepted(balancer.mcmp, "STATUS", "/", &form).await.unwrap();
    told.rsplit("id=").next().unwrap().trim().to_owned()
}

async fn log_says(balancer: &Balancer, what: &str) {
    let said = eventually(what, PATIENCE, || async {
        let log = balancer.process.errors();
        if log.contains(what) { Ok(()) } else { Err(log) }
    });
    said.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_takes_over_and_nodes_and_clients_notice_nothing() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("threads = 2\ndrain_timeout = \"20s\"\n").await.unwrap();
    let (_a, _b) = (node(&balancer, "a", 100).await, node(&balancer, "b", 50).await);
    let form = "JVMRoute=b&Alias=localhost&Context=%2F";
    mcmp::accepted(balancer.mcmp, "DISABLE-APP", "/", form).await.unwrap();
    let mut client = Client::new(balancer.http);
    for _ in 0..10 {
        client.get("/").await.unwrap();
    }
    let (first, before) = (id(&balancer, "a").await, balancer.process.id());
    let (_, mut socket) = upgrade(&balancer).await;
    // Another number of threads, so other sockets on the same address.
    for threads in [1, 3] {
        let toml = format!("threads = {threads}\ndrain_timeout = \"20s\"\n");
        std::fs::write(&balancer.file, toml).unwrap();
        let now = balancer.upgrade(PATIENCE).await.unwrap();
        assert_ne!(now, before);
        // No STATUS has come since.
        let answer = Client::new(balancer.http).get("/").await.unwrap();
        assert_eq!(answer.node().as_deref(), Some("a"), "b is disabled still");
        assert_eq!(id(&balancer, "a").await, first);
        assert!(mcmp::has_context(balancer.mcmp, "b", "/", "DISABLED").await.unwrap());
        let nodes = mcmp::nodes(balancer.mcmp).await.unwrap();
        assert!(nodes.iter().any(|node| node.name == "a" && node.elected >= 10), "{nodes:?}");
        // The tunnel lives in the process that it came to.
        echoes(&mut socket, b"still here").await;
    }
    drop(socket);
    balancer.process.await_old(PATIENCE).await.unwrap();
    assert!(Client::new(balancer.http).get("/").await.unwrap().status.is_success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_that_cannot_start_leaves_the_old_one_as_it_was() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let first = id(&balancer, "a").await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("[tls]\nlisten = [\"{}\"]\n", taken.local_addr().unwrap());
    for (number, toml) in ["threads = 0\n", &other].into_iter().enumerate() {
        std::fs::write(&balancer.file, toml).unwrap();
        balancer.process.inflict(muster_loadtests::testkit::Fault::Succeed).unwrap();
        let failed = eventually("no upgrade", PATIENCE, || async {
            let log = balancer.process.errors();
            let count = log.matches("no upgrade: this process goes on").count();
            if count > number { Ok(()) } else { Err(log) }
        });
        failed.await.unwrap();
        assert!(Client::new(balancer.http).get("/").await.unwrap().status.is_success());
        assert_eq!(id(&balancer, "a").await, first);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_and_reloads_under_load_cost_no_request() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("drain_timeout = \"30s\"\n").await.unwrap();
    let options = CounterOptions { status_interval: Some("10s"), ..CounterOptions::default() };
    let _a = farm.counter("a", &balancer, &options).await.unwrap();
    let _b = farm.counter("b", &balancer, &options).await.unwrap();
    let echo = NodeOptions { load: 100, contexts: &["/ws"], ..NodeOptions::default() };
    let _echo = node_with(&balancer, "echo", echo).await;
    balancer.await_usable(&["a", "b"], PATIENCE).await.unwrap();
    balancer.await_served("/counter?nosession", PATIENCE).await.unwrap();

    // HTTP/2 clients that open a connection now and then, as browsers do.
    let at = balancer.http;
    let over = Arc::new(AtomicBool::new(false));
    let until = over.clone();
    let h2 = tokio::spawn(async move {
        let (mut good, mut bad) = (0u64, Vec::new());
        while !until.load(Ordering::Relaxed) {
            let Ok(client) = H2Client::plain(at).await else {
                bad.push("no connection".to_owned());
                continue;
            };
            for _ in 0..20 {
                match client.get("/counter?nosession").await {
                    Ok(answer) if answer.status.is_success() => good += 1,
                    Ok(answer) => bad.push(answer.status.to_string()),
                    // A client that was told to go opens another connection.
                    Err(error) if format!("{error:#}").contains("GOAWAY") => break,
                    Err(error) => {
                        let error = format!("{error:#}");
                        if !error.contains("not a result of an error") {
                            bad.push(error);
                        }
                        break;
                    }
                }
            }
        }
        (good, bad)
    });

    let load = gets(&balancer, "/counter?nosession", 16, End::After(Duration::from_secs(3600)));
    let (reloads, upgrades) = (rounds(5), rounds(5).div_ceil(5).max(2));
    let outcome = generator::run_until(load, async {
        for number in 1..=reloads {
            let toml =
                format!("drain_timeout = \"30s\"\n[http]\nread_timeout = \"{}s\"\n", 30 + number);
            let (_, mut socket) = upgrade(&balancer).await;
            let before = balancer.process.errors().matches("was read again").count();
            balancer.reload(&toml).unwrap();
            let read = eventually("the reload is done", PATIENCE, || async {
                let log = balancer.process.errors();
                if log.matches("was read again").count() > before { Ok(()) } else { Err(log) }
            });
            read.await.unwrap();
            echoes(&mut socket, b"ping").await;
            if number % reloads.div_ceil(upgrades) == 0 {
                balancer.upgrade(PATIENCE).await.unwrap();
                // It lives in the old process, until its end or the deadline.
                echoes(&mut socket, b"pong").await;
            }
        }
    });
    let record = outcome.await.record;
    over.store(true, Ordering::Relaxed);
    let (good, bad) = h2.await.unwrap();
    eprintln!(
        "{reloads} reloads, {upgrades} upgrades: HTTP/1 {} good, failed {:?}; HTTP/2 {good} good, \
         failed {bad:?}",
        record.ok, record.failures
    );
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert!(bad.is_empty() && good > 0, "{good} good, {bad:?}");
    balancer.process.await_old(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_traffic_flows_again_without_a_word_of_the_nodes() {
    let farm = Farm::new().unwrap();
    let file = farm.folder().join("registry.json");
    let toml = format!("[state]\nfile = \"{}\"\nwrite_delay = \"10ms\"\n", file.display());
    let mut balancer = farm.balancer(&toml).await.unwrap();
    // These nodes say nothing by themselves.
    let (_a, _b) = (node(&balancer, "a", 100).await, node(&balancer, "b", 100).await);
    let form = "JVMRoute=b&Alias=localhost&Context=%2F";
    mcmp::accepted(balancer.mcmp, "STOP-APP", "/", form).await.unwrap();
    let first = id(&balancer, "a").await;
    let kept = eventually("the stop is kept", PATIENCE, || async {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let is_kept = text.contains("JVMRoute=a") && text.contains("\"stopped\"");
        if is_kept && text.contains("\"load\":100") { Ok(()) } else { Err(text) }
    });
    kept.await.unwrap();
    balancer.process.kill().unwrap();
    balancer.process.restart().await.unwrap();
    balancer.await_served("/", PATIENCE).await.unwrap();
    for _ in 0..10 {
        let answer = Client::new(balancer.http).get("/").await.unwrap();
        assert_eq!(answer.node().as_deref(), Some("a"), "b is stopped still");
    }
    log_says(&balancer, "the registry of the last process").await;
    // Nodes hear that it is another process, and register again.
    assert_ne!(id(&balancer, "a").await, first);

    // A file that is of no use is put aside, and the start goes on without it.
    balancer.process.kill().unwrap();
    std::fs::write(&file, "{\"by\":\"x\",\"saved_ms\":1}\n{}").unwrap();
    balancer.process.restart().await.unwrap();
    log_says(&balancer, "is of no use").await;
    assert!(file.with_extension("json.bad").exists());
    assert_eq!(Client::new(balancer.http).get("/").await.unwrap().status, 404);
}
