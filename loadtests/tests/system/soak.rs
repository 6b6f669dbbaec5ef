//! Everything at once, for a while: nodes that die, hang and leave, reloads, upgrades, clients that
//! are slow or leave, and messages that are none. At the end nothing has piled up.

use std::time::{Duration, Instant};

use muster_loadtests::generator;
use muster_loadtests::scenario::End;
use muster_loadtests::testkit::{
    Balancer, Client, Counter, CounterOptions, Farm, Fault, NodeOptions, eventually, mcmp,
};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::support::{gets, node_with, quiet_machine, upgrade};

const PATIENCE: Duration = Duration::from_secs(60);

/// What may be added to the memory of the first third: allocators keep what they once had.
const MEMORY_SLACK_KIB: u64 = 48 * 1024;

/// Idle connections to nodes come and go.
const FILES_SLACK: usize = 64;

/// How long it goes on: `MUSTER_MINUTES`, and some seconds in the plain run.
pub(crate) fn lasts() -> Duration {
    let minutes = std::env::var("MUSTER_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    minutes.map_or(Duration::from_secs(15), |minutes: u64| Duration::from_secs(minutes * 60))
}

/// Resident memory in KiB, and open files.
fn level(pid: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let memory = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
    (memory, std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count))
}

struct World {
    farm: Farm,
    balancer: Balancer,
    hurt: Vec<Counter>,
    round: usize,
}

impl World {
    /// One thing that happens, each in its turn.
    async fn next(&mut self, may_upgrade: bool) {
        self.round += 1;
        let round = self.round;
        let count = self.hurt.len();
        match round % 9 {
            0 => {
                let victim = &mut self.hurt[round / 9 % count];
                victim.process.kill().unwrap();
                victim.process.restart().await.unwrap();
            }
            1 => self.reload().await,
            2 => {
                let victim = &self.hurt[round / 9 % count].process;
                victim.inflict(Fault::Freeze).unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
                victim.inflict(Fault::Thaw).unwrap();
            }
            3 => self.slow_clients().await,
            4 => {
                let victim = &mut self.hurt[round / 9 % count];
                victim.process.inflict(Fault::Terminate).unwrap();
                victim.process.await_end(PATIENCE).await.unwrap();
                victim.process.restart().await.unwrap();
            }
            5 => self.clients_that_leave().await,
            6 => self.undeploy().await,
            7 => self.no_messages().await,
            _ if may_upgrade => {
                self.balancer.upgrade(PATIENCE).await.unwrap();
            }
            _ => self.reload().await,
        }
    }

    async fn reload(&self) {
        let before = self.read_again();
        let toml = format!("[http]\nread_timeout = \"{}s\"\n", 30 + self.round % 30);
        self.balancer.reload(&format!("{DRAIN}{toml}")).unwrap();
        let read = eventually("the reload is done", PATIENCE, || async {
            if self.read_again() > before { Ok(()) } else { Err(self.balancer.process.errors()) }
        });
        read.await.unwrap();
    }

    fn read_again(&self) -> usize {
        self.balancer.process.errors().matches("was read again").count()
    }

    /// They have begun, and go without an answer.
    async fn slow_clients(&self) {
        let mut begun = Vec::new();
        for _ in 0..20 {
            let Ok(mut stream) = TcpStream::connect(self.balancer.http).await else { continue };
            let _ =
                stream.write_all(b"POST /hurt HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n").await;
            begun.push(stream);
        }
    }

    async fn clients_that_leave(&self) {
        for _ in 0..50 {
            let Ok(mut stream) = TcpStream::connect(self.balancer.http).await else { continue };
            let _ = stream.write_all(b"GET /counter HTTP/1.1\r\nHost: x\r\n\r\n").await;
        }
    }

    /// Another application of the steady node comes and goes.
    async fn undeploy(&self) {
        let form = "JVMRoute=steady&Alias=localhost&Context=%2Fother";
        for verb in ["ENABLE-APP", "DISABLE-APP", "STOP-APP", "REMOVE-APP"] {
            mcmp::accepted(self.balancer.mcmp, verb, "/", form).await.unwrap();
        }
    }

    async fn no_messages(&self) {
        for form in ["", "JVMRoute", "JVMRoute=<x>", "JVMRoute=a&Port=0&Host=h", "\u{0}=%zz"] {
            for method in ["CONFIG", "ENABLE-APP", "STATUS", "NONSENSE"] {
                let _ = mcmp::send(self.balancer.mcmp, method, "/", form).await;
            }
        }
        if let Ok(mut stream) = TcpStream::connect(self.balancer.mcmp).await {
            let _ = stream.write_all(&[0xff; 5000]).await;
        }
    }

    /// The level once nobody asks for anything.
    async fn level(&self) -> (u64, usize) {
        assert!(Client::new(self.balancer.http).get("/steady").await.is_ok());
        level(self.balancer.process.id())
    }
}

const DRAIN: &str = "drain_timeout = \"20s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_for_long_a_request_that_need_not_fail_does_not() {
    let _quiet = quiet_machine().await;
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&format!("{DRAIN}[log]\naccess = \"off\"\n")).await.unwrap();
    let mut hurt = Vec::new();
    for name in ["a", "b", "c"] {
        let options = CounterOptions { load: Some(50), ..CounterOptions::default() };
        hurt.push(farm.counter(name, &balancer, &options).await.unwrap());
    }
    let options =
        NodeOptions { load: 100, contexts: &["/steady", "/ws"], ..NodeOptions::default() };
    let _steady = node_with(&balancer, "steady", options).await;
    balancer.await_usable(&["a", "b", "c", "steady"], PATIENCE).await.unwrap();
    let steady = gets(&balancer, "/steady", 8, End::After(Duration::from_secs(3600)));
    let shaken = gets(&balancer, "/counter?nosession", 8, End::After(Duration::from_secs(3600)));
    let mut world = World { farm, balancer, hurt, round: 0 };

    let (began, lasts) = (Instant::now(), lasts());
    let over = tokio::sync::watch::Sender::new(false);
    let mut told = over.subscribe();
    let other = tokio::spawn(generator::run_until(shaken, async move {
        let _ = told.wait_for(|over| *over).await;
    }));
    let mut first = None;
    let outcome = generator::run_until(steady, async {
        // Upgrades come in the first third: then one process is looked at for the rest.
        while began.elapsed() < lasts {
            let is_first_third = began.elapsed() < lasts / 3;
            if !is_first_third && first.is_none() {
                world.balancer.process.await_old(PATIENCE).await.unwrap();
                first = Some(world.level().await);
            }
            let (_, socket) = upgrade(&world.balancer).await;
            world.next(is_first_third).await;
            drop(socket);
        }
    });
    let record = outcome.await.record;
    over.send_replace(true);
    let shaken = other.await.unwrap().record;
    let last = world.level().await;
    let first = first.unwrap_or(last);
    eprintln!(
        "{} things in {:?}: steady {} good, failed {:?}; shaken {} good, failed {:?}; \
         memory {} to {} KiB, files {} to {}",
        world.round,
        began.elapsed(),
        record.ok,
        record.failures,
        shaken.ok,
        shaken.failures,
        first.0,
        last.0,
        first.1,
        last.1
    );
    assert_eq!(record.failed(), 0, "{:?}", record.failures);
    assert!(shaken.ok > shaken.failed() * 100, "{:?}", shaken.failures);
    assert!(last.0 <= first.0 * 3 / 2 + MEMORY_SLACK_KIB, "memory: {first:?} to {last:?}");
    assert!(last.1 <= first.1 + FILES_SLACK, "files: {first:?} to {last:?}");
    let log = world.balancer.process.errors();
    assert!(!log.contains("panicked") && !log.contains("by a defect"), "{log}");
    drop(world.farm);
}
