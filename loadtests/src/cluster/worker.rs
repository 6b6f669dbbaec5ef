//! Clients that work with a cluster through all of its members, and note what they see.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::asker::Asker;
use super::clock::{Nanos, now};
use super::history::{Entry, History, Outcome};
use super::words::{Answer, Ask};

/// How long a client waits for an answer; the members' own bound is below.
pub const ANSWER: Duration = Duration::from_secs(5);
/// What a client does between two operations, so that a round's history stays small.
const PAUSE: std::ops::Range<u64> = 2..10;
/// After what did not happen, which may be a member that is not there.
const LULL: Duration = Duration::from_millis(20);
/// How long a checkout is held by its holder, and by the cluster if it hears nothing.
const HELD: std::ops::Range<u64> = 1..20;
const HOLD: Duration = Duration::from_secs(3);
const LOCK_WAIT: Duration = Duration::from_millis(500);
/// Keys of one kind in a round.
const FEW: u32 = 4;
const MANY: u32 = 20;

/// What the clients of a round have seen.
#[derive(Debug, Default)]
pub struct Histories {
    /// Writes, reads and compare-and-set of few keys by many.
    pub register: History,
    /// Writes of many keys, each by one.
    pub durable: History,
    /// Increments.
    pub counter: History,
    /// Checkouts, each with a commit that adds one: the counters have these too.
    pub lock: History,
}

/// Clients at work. Dropping it stops them at once.
#[derive(Debug)]
pub struct Work {
    histories: Arc<Histories>,
    stop: watch::Sender<bool>,
    clients: JoinSet<()>,
}

/// A kind of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Register,
    Durable,
    Counter,
    Lock,
}

struct Client {
    kind: Kind,
    histories: Arc<Histories>,
    asker: Asker,
    round: u32,
    /// `member/kind-number`; a name ends with what is unknown, and a new one begins.
    stem: String,
    lives: u32,
    operations: u32,
    /// What it saw last of each register.
    seen: Vec<Value>,
}

// === impl Work ===

impl Work {
    /// Starts clients of every kind at each of these members; the keys are this round's.
    pub fn start(members: &[(String, PathBuf)], round: u32) -> Work {
        let histories = Arc::new(Histories::default());
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        let kinds = [Kind::Register, Kind::Register, Kind::Durable, Kind::Counter, Kind::Lock];
        for (name, socket) in members {
            for (number, kind) in kinds.into_iter().enumerate() {
                let stem = format!("{name}/{number}-{round}");
                let client = Client::new(kind, histories.clone(), socket, round, stem);
                clients.spawn(client.run(stopped.clone()));
            }
        }
        Work { histories, stop, clients }
    }

    /// Stops the clients, each after its operation, and gives what they saw.
    pub async fn stop(mut self) -> Arc<Histories> {
        let _ = self.stop.send(true);
        while self.clients.join_next().await.is_some() {}
        self.histories
    }
}

// === impl Histories ===

impl Histories {
    /// Reads everything once more through each of these members, with patience, so that what is lost
    /// is seen to be lost.
    pub async fn read_all(&self, members: &[(String, PathBuf)], patience: Duration) {
        for (name, socket) in members {
            let client = format!("{name}/final");
            let mut asker = Asker::new(socket);
            let histories =
                [(&self.register, "read"), (&self.durable, "final"), (&self.counter, "read")];
            for (history, op) in histories {
                for key in history.keys() {
                    let ask = Ask::Get { key: key.clone() };
                    let began = now();
                    loop {
                        let start = now();
                        let answer = asker.ask(&ask, ANSWER).await;
                        if answer.ok == Outcome::Ok {
                            history.note(&client, op, &key, start, (answer.ok, answer.value));
                            break;
                        }
                        if now() - began > patience.as_nanos() as Nanos {
                            // The judge sees that there is no last read.
                            eprintln!("{client}: {key} cannot be read: {}", answer.why);
                            break;
                        }
                        tokio::time::sleep(LULL).await;
                    }
                }
            }
        }
    }
}

// === impl Client ===

impl Client {
    fn new(
        kind: Kind,
        histories: Arc<Histories>,
        socket: &Path,
        round: u32,
        stem: String,
    ) -> Client {
        let seen = vec![Value::Null; FEW as usize];
        let asker = Asker::new(socket);
        Client { kind, histories, asker, round, stem, lives: 1, operations: 0, seen }
    }

    async fn run(mut self, stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            self.operations += 1;
            let outcome = match self.kind {
                Kind::Register => self.register().await,
                Kind::Durable => self.durable().await,
                Kind::Counter => self.counter().await,
                Kind::Lock => self.lock().await,
            };
            let pause = Duration::from_millis(rand::random_range(PAUSE));
            tokio::time::sleep(if outcome == Outcome::Ok { pause } else { LULL }).await;
            if outcome == Outcome::Unknown {
                self.lives += 1;
            }
        }
    }

    fn name(&self) -> String {
        format!("{}.{}", self.stem, self.lives)
    }

    /// A value that nobody else writes.
    fn fresh(&self) -> Value {
        json!(format!("{}:{}", self.stem, self.operations))
    }

    async fn ask(&mut self, ask: &Ask) -> (Nanos, Answer) {
        (now(), self.asker.ask(ask, ANSWER).await)
    }

    async fn register(&mut self) -> Outcome {
        let number = rand::random_range(0..FEW);
        let key = format!("r{number}-{}", self.round);
        let (fresh, seen) = (self.fresh(), self.seen[number as usize].clone());
        let (op, ask) = match rand::random_range(0..5) {
            0 | 1 => ("write", Ask::Put { key: key.clone(), value: fresh.clone() }),
            2 if !seen.is_null() => {
                ("cas", Ask::Cas { key: key.clone(), old: seen.clone(), new: fresh.clone() })
            }
            _ => ("read", Ask::Get { key: key.clone() }),
        };
        let (start, answer) = self.ask(&ask).await;
        let value = match op {
            "write" => fresh.clone(),
            "cas" => json!([seen, fresh]),
            _ => answer.value.clone(),
        };
        if answer.ok == Outcome::Ok {
            self.seen[number as usize] = if op == "read" { answer.value } else { fresh };
        }
        self.histories.register.note(&self.name(), op, &key, start, (answer.ok, value));
        answer.ok
    }

    async fn durable(&mut self) -> Outcome {
        let key = format!("d{}-{}", self.operations % MANY, self.stem);
        let value = self.fresh();
        let (start, answer) = self.ask(&Ask::Put { key: key.clone(), value: value.clone() }).await;
        self.histories.durable.note(&self.name(), "write", &key, start, (answer.ok, value));
        answer.ok
    }

    async fn counter(&mut self) -> Outcome {
        let key = format!("c{}-{}", rand::random_range(0..2), self.round);
        let (start, Answer { ok, value, .. }) = self.ask(&Ask::Incr { key: key.clone() }).await;
        let value = if ok == Outcome::Ok { value } else { json!([1, null]) };
        self.histories.counter.note(&self.name(), "incr", &key, start, (ok, value));
        ok
    }

    async fn lock(&mut self) -> Outcome {
        let key = format!("l{}-{}", rand::random_range(0..2), self.round);
        let millis = |time: Duration| time.as_millis() as u64;
        let (wait_ms, hold_ms) = (millis(LOCK_WAIT), millis(HOLD));
        let (start, answer) = self.ask(&Ask::Lock { key: key.clone(), wait_ms, hold_ms }).await;
        let acquired = now();
        if answer.ok != Outcome::Ok {
            return answer.ok;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(HELD))).await;
        let number = answer.value[1].as_u64().unwrap_or(0) + 1;
        let commit = Ask::Commit { key: key.clone(), value: json!(number) };
        let (asked, Answer { ok, .. }) = self.ask(&commit).await;
        // A checkout is its holder's as far as its commit stands: one whose commit is refused was
        // another's by then, and nothing is said of it.
        let proven = if ok == Outcome::Ok { Outcome::Ok } else { Outcome::Unknown };
        let (client, fence) = (self.name(), answer.value[0].clone());
        let held = |op, start, end, value| {
            let (key, client) = (key.clone(), client.clone());
            Entry { op, key, value, start, end, ok: proven, client }
        };
        self.histories.lock.push(held("acquire", start, acquired, fence));
        self.histories.lock.push(held("release", asked, now(), Value::Null));
        let value = if ok == Outcome::Ok { json!([1, number]) } else { json!([1, null]) };
        self.histories.counter.note(&client, "incr", &key, start, (ok, value));
        ok
    }
}
