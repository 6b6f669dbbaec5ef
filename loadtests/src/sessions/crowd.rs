//! Browsers, each with one session and one keep-alive connection, each asking now and then and
//! waiting for its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::testkit::client::{Answer, Client, Failure, Limits};

/// What a crowd is like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where it asks.
    pub address: SocketAddr,
    /// For what.
    pub path: String,
    /// Browsers, each with its own session.
    pub browsers: usize,
    /// Between two requests of one browser; one that waits for an answer asks later.
    pub every: Duration,
    /// For one request, whatever happens.
    pub timeout: Duration,
}

/// One request as its browser saw it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Whose, from 0 on.
    pub browser: usize,
    /// When it was sent.
    pub asked: Instant,
    /// When its answer was whole, or it had failed.
    pub ended: Instant,
    /// What came.
    pub seen: Seen,
}

/// What an answer said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A session's count.
    Counted {
        /// The count.
        count: u64,
        /// Whether the session is a new one.
        is_new: bool,
        /// Who answered.
        node: String,
    },
    /// No good answer, and why.
    Failed(String),
}

/// Browsers at work. Dropping it stops them.
#[derive(Debug)]
pub struct Crowd {
    browsers: JoinSet<()>,
    stop: CancellationToken,
    visits: Arc<Mutex<Vec<Visit>>>,
}

// === impl Plan ===

impl Plan {
    /// Browsers that ask for the counter every 0.4 s.
    pub fn new(address: SocketAddr, browsers: usize) -> Plan {
        Plan {
            address,
            path: "/counter".to_owned(),
            browsers,
            every: Duration::from_millis(400),
            timeout: Duration::from_secs(30),
        }
    }
}

// === impl Crowd ===

impl Crowd {
    /// Lets them begin, spread over the time between two requests.
    pub fn start(plan: &Plan) -> Crowd {
        let (stop, visits) = (CancellationToken::new(), Arc::<Mutex<Vec<Visit>>>::default());
        let mut browsers = JoinSet::new();
        let began = Instant::now();
        for browser in 0..plan.browsers {
            let first = began + plan.every.mul_f64(browser as f64 / plan.browsers as f64);
            let (plan, stop, visits) = (plan.clone(), stop.clone(), visits.clone());
            browsers.spawn(async move {
                let limits = Limits { timeout: plan.timeout, ..Limits::default() };
                let mut client = Client::with(plan.address, limits);
                let mut beat = interval_at(first, plan.every);
                beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                while stop.run_until_cancelled(beat.tick()).await.is_some() {
                    let asked = Instant::now();
                    let seen = Seen::of(client.get(&plan.path).await);
                    let ended = Instant::now();
                    visits.lock().push(Visit { browser, asked, ended, seen });
                }
            });
        }
        Crowd { browsers, stop, visits }
    }

    /// What has ended since this was asked last.
    pub fn take(&self) -> Vec<Visit> {
        std::mem::take(&mut *self.visits.lock())
    }

    /// How many have ended since [`Crowd::take`].
    pub fn count(&self) -> usize {
        self.visits.lock().len()
    }

    /// Lets requests under way end, and gives what is left.
    pub async fn stop(mut self) -> Vec<Visit> {
        self.stop.cancel();
        while self.browsers.join_next().await.is_some() {}
        self.take()
    }
}

// === impl Seen ===

impl Seen {
    /// What a counter's answer says.
    pub fn of(answer: Result<Answer, Failure>) -> Seen {
        let answer = match answer {
            Ok(answer) if answer.status.is_success() => answer,
            Ok(answer) => {
                let text: String = answer.text().chars().take(100).collect();
                return Seen::Failed(format!("{} {}", answer.status.as_u16(), text.trim()));
            }
            Err(failure) => return Seen::Failed(failure.to_string()),
        };
        let json = answer.json().unwrap_or_default();
        match (json["count"].as_u64(), json["new"].as_bool(), json["node"].as_str()) {
            (Some(count), Some(is_new), Some(node)) => {
                Seen::Counted { count, is_new, node: node.to_owned() }
            }
            _ => Seen::Failed(format!("no count: {}", answer.text())),
        }
    }
}
