//! What stands above sessions, on three real processes: components and identities survive kill -9.

#[cfg(feature = "system")]
mod behind;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use muster_loadtests::testkit::binaries::find;
use muster_loadtests::testkit::client::Limits;
use muster_loadtests::testkit::process::{Process, Spec};
use muster_loadtests::testkit::{Client, Failure, eventually};
use tempfile::TempDir;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);
/// Calls that must be acknowledged before a kill, and after it.
const AT_LEAST: u64 = 60;

/// Members `n1` to `n3`.
struct Shop {
    nodes: Vec<Process>,
    _folder: TempDir,
}

impl Shop {
    async fn open() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let mut nodes: Vec<Process> = Vec::new();
        for number in 1..=3 {
            let name = format!("n{number}");
            let mut arguments = vec!["--name".to_owned(), name.clone()];
            if let Some(first) = nodes.first() {
                let channel = first.listening("channel").unwrap();
                arguments.extend(["--peer".to_owned(), channel.to_string()]);
            }
            let (program, folder) = (find("muster-shop-node").unwrap(), folder.path().to_owned());
            nodes.push(Process::start(Spec { name, program, arguments, folder }).await.unwrap());
        }
        let shop = Shop { nodes, _folder: folder };
        shop.are_together().await;
        shop
    }

    /// All that are left are in one view, and the data has all its copies.
    async fn are_together(&self) {
        let (carts, path) = (self.addresses("carts"), format!("/together/{}", self.nodes.len()));
        for address in carts {
            let together = eventually("all are together", PATIENCE, || async {
                let answer = client(address).get(&path).await.map_err(|error| error.to_string())?;
                if answer.text() == "true" { Ok(()) } else { Err(answer.text()) }
            });
            together.await.unwrap();
        }
    }

    fn addresses(&self, what: &str) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.listening(what).unwrap()).collect()
    }

    fn kill_first(&mut self) {
        self.nodes.remove(0).kill().unwrap();
    }
}

fn client(address: SocketAddr) -> Client {
    Client::with(address, Limits { timeout: PATIENCE, ..Limits::default() })
}

// === Components ===

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Done,
    NotDone,
    Unknown,
}

/// What all clients know of one cart.
#[derive(Default)]
struct Ledger {
    next: AtomicU64,
    done: AtomicU64,
    calls: Mutex<BTreeMap<u64, Fate>>,
    /// What was last told of a call that was not done.
    last_refusal: Mutex<String>,
}

async fn call(address: SocketAddr, path: &str) -> (Fate, String) {
    match client(address).send(Method::POST, path, &[], "").await {
        Ok(answer) => {
            let fate = match answer.status {
                StatusCode::OK => Fate::Done,
                StatusCode::CONFLICT => Fate::NotDone,
                _ => Fate::Unknown,
            };
            (fate, format!("{} {}", answer.status.as_u16(), answer.text()))
        }
        Err(failure @ Failure::Connect { .. }) => (Fate::NotDone, failure.to_string()),
        Err(failure) => (Fate::Unknown, failure.to_string()),
    }
}

/// Calls the cart at one member after the other, without an end.
async fn calls(ledger: Arc<Ledger>, carts: Vec<SocketAddr>, cart: String, from: usize) {
    for address in carts.iter().cycle().skip(from) {
        let number = ledger.next.fetch_add(1, Ordering::Relaxed);
        // Who is stopped in its middle does not know.
        ledger.calls.lock().unwrap().insert(number, Fate::Unknown);
        let (fate, told) = call(*address, &format!("/carts/{cart}/{number}")).await;
        ledger.calls.lock().unwrap().insert(number, fate);
        match fate {
            Fate::Done => drop(ledger.done.fetch_add(1, Ordering::Relaxed)),
            Fate::NotDone | Fate::Unknown => {
                *ledger.last_refusal.lock().unwrap() = format!("{number}: {told}");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn more_are_done(ledger: &Ledger) {
    let wanted = ledger.done.load(Ordering::Relaxed) + AT_LEAST;
    eventually("calls are acknowledged", PATIENCE, || async {
        let done = ledger.done.load(Ordering::Relaxed);
        let refusal = ledger.last_refusal.lock().unwrap();
        if done >= wanted { Ok(()) } else { Err(format!("{done} of {wanted}, last {refusal:?}")) }
    })
    .await
    .unwrap();
}

impl Ledger {
    /// Holds what was told against what is kept: each acknowledged call once, none twice.
    async fn judge(&self, at: SocketAddr, cart: &str) {
        let after = format!("/carts/{cart}/{}", u64::MAX);
        assert_eq!(call(at, &after).await.0, Fate::Done);
        let kept = client(at).get(&format!("/carts/{cart}")).await.unwrap();
        let kept: Vec<u64> = serde_json::from_slice(&kept.body).unwrap();
        let mut times: BTreeMap<u64, u32> = BTreeMap::new();
        kept.iter().for_each(|number| *times.entry(*number).or_default() += 1);
        let calls = self.calls.lock().unwrap();
        let mut unknown = (0, 0);
        for (number, fate) in &*calls {
            let times = times.get(number).copied().unwrap_or(0);
            let is_as_told = match fate {
                Fate::Done => times == 1,
                Fate::NotDone => times == 0,
                Fate::Unknown => times <= 1,
            };
            assert!(is_as_told, "call {number} is {fate:?} and was done {times} times");
            if *fate == Fate::Unknown {
                unknown.0 += 1 - times;
                unknown.1 += times;
            }
        }
        let (done, all) = (self.done.load(Ordering::Relaxed), calls.len());
        let (not, was) = unknown;
        println!("{done} calls done, of {all}; of {} that nobody answered {was} were", not + was);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_loses_no_acknowledged_call_and_does_none_twice_when_its_nodes_are_killed() {
    let mut shop = Shop::open().await;
    let carts = shop.addresses("carts");
    let created = client(carts[0]).send(Method::POST, "/carts", &[], "").await;
    let cart = created.unwrap().text();
    let ledger = Arc::new(Ledger::default());
    let mut clients = JoinSet::new();
    for from in 0..6 {
        clients.spawn(calls(ledger.clone(), carts.clone(), cart.clone(), from));
    }
    for _ in 0..2 {
        more_are_done(&ledger).await;
        shop.kill_first();
        more_are_done(&ledger).await;
        shop.are_together().await;
    }
    clients.shutdown().await;
    // What was under way on a live member still comes to its end.
    ledger.judge(shop.addresses("carts")[0], &cart).await;
}

// === Identities ===

/// One person's browser, wherever it is sent to: the applications are on two hosts.
#[derive(Default)]
struct Browser {
    own: BTreeMap<&'static str, BTreeMap<String, String>>,
    shared: BTreeMap<String, String>,
}

impl Browser {
    async fn get(&mut self, shop: &Shop, node: usize, app: &'static str, path: &str) -> String {
        let mut client = client(shop.addresses(app)[node]);
        let own = self.own.entry(app).or_default();
        own.iter().chain(&self.shared).for_each(|(name, value)| client.jar.set(name, value));
        let answer = client.get(path).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            let jar = if set.contains("Domain=example.com") { &mut self.shared } else { &mut *own };
            jar.insert(name.to_owned(), value.to_owned());
        }
        answer.text()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_stands_when_the_node_that_took_its_login_is_killed() {
    let mut shop = Shop::open().await;
    let mut ann = Browser::default();
    assert_eq!(ann.get(&shop, 0, "shop", "/who").await, "nobody");
    assert_eq!(ann.get(&shop, 0, "shop", "/login/ann").await, "welcome");
    assert_eq!(ann.get(&shop, 0, "shop", "/who").await, "ann 1");
    assert_eq!(ann.get(&shop, 1, "bank", "/who").await, "ann 1");
    shop.kill_first();
    // Both others know her, in both applications, and her sessions are as she left them.
    assert_eq!(ann.get(&shop, 0, "shop", "/who").await, "ann 2");
    assert_eq!(ann.get(&shop, 1, "shop", "/who").await, "ann 3");
    assert_eq!(ann.get(&shop, 1, "bank", "/who").await, "ann 2");
    let kept = (ann.own.clone(), ann.shared.clone());
    assert_eq!(ann.get(&shop, 1, "bank", "/logout").await, "true");
    // With the cookies from before the logout she is nobody on either host, and her sessions ended.
    (ann.own, ann.shared) = kept;
    for (node, app) in [(0, "shop"), (1, "bank"), (1, "shop"), (0, "bank")] {
        assert_eq!(ann.get(&shop, node, app, "/who").await, "nobody");
    }
    ann.get(&shop, 0, "bank", "/login/ann").await;
    assert_eq!(ann.get(&shop, 1, "shop", "/who").await, "ann 1");
}
