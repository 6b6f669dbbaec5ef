//! The same behind the balancer, with two hosts and each node in a network namespace: kill -9, SIGSTOP
//! and cut cables, while people who are signed in ask both applications and others fill a cart.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use muster_loadtests::sessions::{Nodes, NodesPlan};
use muster_loadtests::testkit::binaries::find;
use muster_loadtests::testkit::{Fault, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Ledger, PATIENCE, call, calls, client, more_are_done};
use crate::system::support::{quiet_machine, rounds};

const PEOPLE: usize = 12;
const CALLERS: usize = 4;
/// Between two requests of one person.
const EVERY: Duration = Duration::from_millis(100);
/// Longer than it takes until the others go on without a node.
const HURT_FOR: Duration = Duration::from_secs(5);

/// What can happen to a node.
#[derive(Debug, Clone, Copy)]
enum Hurt {
    Killed,
    Frozen,
    /// No cable to the other nodes.
    CutOff,
    /// No cable at all.
    Alone,
}

/// Somebody with a browser, signed in once.
struct Person {
    name: String,
    balancer: SocketAddr,
    /// Of each host.
    own: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Of the domain.
    shared: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u64>,
}

/// What all people saw.
#[derive(Debug, Default)]
struct Seen {
    good: u64,
    /// Requests that were counted and not seen to be.
    doubled: u64,
    failed: BTreeMap<String, u64>,
    /// What must never be: nobody, somebody else, or a count that was seen before.
    wrong: Vec<String>,
}

// === impl Person ===

impl Person {
    fn new(number: usize, balancer: SocketAddr) -> Person {
        let (own, shared, counts) = Default::default();
        Person { name: format!("ann{number}"), balancer, own, shared, counts }
    }

    /// Asks an application on its own host, and takes the cookies of the answer.
    async fn ask(&mut self, app: &'static str, what: &str) -> Result<String, String> {
        let mut client = client(self.balancer);
        let own = self.own.entry(app).or_default();
        own.iter().chain(&self.shared).for_each(|(name, value)| client.jar.set(name, value));
        let (path, host) = (format!("/{app}/{what}"), format!("{app}.example.com"));
        let answer = client.send(Method::GET, &path, &[("host", &host)], "").await;
        let answer = answer.map_err(|failure| failure.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("{} {}", answer.status.as_u16(), answer.text()));
        }
        for set in answer.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            let jar = if set.contains("Domain=example.com") { &mut self.shared } else { &mut *own };
            jar.insert(name.to_owned(), value.to_owned());
        }
        Ok(answer.text())
    }

    /// Asks who it is, now and then, at one host and the other.
    async fn browse(mut self, seen: Arc<Mutex<Seen>>, stop: CancellationToken) {
        let mut beat = tokio::time::interval(EVERY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for app in ["shop", "bank"].into_iter().cycle() {
            if stop.run_until_cancelled(beat.tick()).await.is_none() {
                return;
            }
            let told = self.ask(app, "who").await;
            seen.lock().unwrap().note(&mut self, app, told);
        }
    }
}

// === impl Seen ===

impl Seen {
    fn note(&mut self, person: &mut Person, app: &'static str, told: Result<String, String>) {
        let told = match told {
            Ok(told) => told,
            Err(why) => return *self.failed.entry(why).or_default() += 1,
        };
        let last = person.counts.entry(app).or_default();
        match told.split_once(' ').map(|(name, count)| (name, count.parse::<u64>())) {
            Some((name, Ok(count))) if name == person.name && count > *last => {
                self.good += 1;
                self.doubled += count - *last - 1;
                *last = count;
            }
            _ => self.wrong.push(format!("{told:?} to {} of {app} after {last}", person.name)),
        }
    }

    fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

async fn hurt(nodes: &mut Nodes, at: usize, hurt: Hurt) {
    let net = nodes.net.as_ref().unwrap();
    let process = &mut nodes.nodes[at].process;
    match hurt {
        Hurt::Killed => process.kill().unwrap(),
        Hurt::Frozen => process.inflict(Fault::Freeze).unwrap(),
        Hurt::Alone => net.isolate(at + 1).unwrap(),
        Hurt::CutOff => {
            let others: Vec<usize> = (1..=3).filter(|other| *other != at + 1).collect();
            net.cut(&[at + 1], &others).unwrap();
        }
    }
    // The script of the round: not a wait for anything.
    tokio::time::sleep(HURT_FOR).await;
    match hurt {
        Hurt::Killed => process.restart().await.unwrap(),
        Hurt::Frozen => process.inflict(Fault::Thaw).unwrap(),
        Hurt::Alone | Hurt::CutOff => net.heal().unwrap(),
    }
    nodes.await_whole().await.unwrap();
}

async fn sign_in(balancer: SocketAddr) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        let mut person = Person::new(number, balancer);
        let login = format!("login/{}", person.name);
        assert_eq!(person.ask("shop", &login).await.as_deref(), Ok("welcome"));
        people.push(person);
    }
    people
}

async fn new_cart(balancer: SocketAddr) -> String {
    let created = eventually("there is a cart", PATIENCE, || async {
        let created = client(balancer).send(Method::POST, "/carts", &[], "").await;
        let created = created.map_err(|failure| failure.to_string())?;
        match created.status {
            StatusCode::OK => Ok(created.text()),
            status => Err(status.to_string()),
        }
    });
    created.await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_stay_signed_in_and_carts_keep_each_call_whatever_happens_to_a_node() {
    let _quiet = quiet_machine().await;
    let program = Some(find("muster-shop-node").unwrap());
    let plan = NodesPlan { is_apart: true, quorum: Some(2), program, ..NodesPlan::three() };
    let mut nodes = Nodes::start(&plan).await.unwrap();
    let balancer = nodes.balancer.http;
    let (seen, ledger) = (Arc::<Mutex<Seen>>::default(), Arc::new(Ledger::default()));
    let stop = CancellationToken::new();
    let (mut people, mut callers) = (JoinSet::new(), JoinSet::new());
    for person in sign_in(balancer).await {
        people.spawn(person.browse(seen.clone(), stop.clone()));
    }
    let cart = new_cart(balancer).await;
    for _ in 0..CALLERS {
        callers.spawn(calls(ledger.clone(), vec![balancer], cart.clone(), 0));
    }
    let mut at = 0;
    for _ in 0..rounds(1) {
        for what in [Hurt::Killed, Hurt::Frozen, Hurt::CutOff, Hurt::Alone] {
            more_are_done(&ledger).await;
            let before = seen.lock().unwrap().failures();
            hurt(&mut nodes, at % 3, what).await;
            at += 1;
            let seen = seen.lock().unwrap();
            println!("round {at}, {what:?}: {} failed; so far {seen:?}", seen.failures() - before);
            // One of each who was there, at most, and none where a dead process says so itself.
            let may_fail = if matches!(what, Hurt::Killed) { 0 } else { PEOPLE as u64 };
            assert!(seen.failures() - before <= may_fail && seen.wrong.is_empty(), "{seen:?}");
        }
    }
    more_are_done(&ledger).await;
    stop.cancel();
    while people.join_next().await.is_some() {}
    callers.shutdown().await;
    // What was under way on a live member still comes to its end.
    let after = call(balancer, &format!("/carts/{cart}/{}", u64::MAX - 1)).await;
    assert_eq!(after.0, super::Fate::Done, "{}", after.1);
    ledger.judge(balancer, &cart).await;
    let seen = seen.lock().unwrap();
    println!("all: {seen:?}");
    assert!(seen.wrong.is_empty() && seen.good > 0, "{seen:?}");
}
