//! The generator: carries a scenario out and gives back what it saw.
//!
//! Open loop: request number i is due at start + i / rate, whatever the answers do, and its
//! latency counts from that instant. A request that waits because all connections are busy is
//! slow, not absent, so a stall shows in full (no coordinated omission).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::record::{Class, Record};
use crate::scenario::{End, LARGEST_BODY, LONGEST, Pace, Scenario};
use crate::testkit::client::{Connection, Failure, Jar, Limits, owner_route};

/// How far ahead the pacer looks, at most, before it asks whether the run is over.
const LONGEST_NAP: Duration = Duration::from_millis(50);

/// What a run has seen and how long it took.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was seen.
    pub record: Record,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Connections opened, the first of each included.
    pub opened: u64,
}

/// What all connections of a run share.
struct Run {
    scenario: Scenario,
    start: Instant,
    /// Numbers given out, those beyond the total included.
    given: AtomicU64,
    sent: AtomicU64,
    /// Permits for requests that are due (open loop).
    due: Semaphore,
    over: AtomicBool,
    /// Told once a worker has found nothing more to send.
    all_given: Notify,
}

/// One connection with its clients' cookie jars, used in turn.
struct Worker {
    run: Arc<Run>,
    connection: Connection,
    jars: Vec<Jar>,
    turn: usize,
    record: Record,
}

/// Carries a scenario out. It ends at the scenario's end plus, at most, one request's timeout.
pub async fn run(scenario: Scenario) -> Outcome {
    run_until(scenario, std::future::pending()).await
}

/// The same, ended early when `over` completes: what is in flight then is still awaited, and what
/// was not sent by then is no failure.
pub async fn run_until(scenario: Scenario, over: impl Future<Output = ()>) -> Outcome {
    let run = Arc::new(Run::new(scenario));
    let guard = Over(run.clone());
    let pacer = match run.scenario.pace {
        Pace::AsAnswered => None,
        Pace::PerSecond(rate) => {
            let run = run.clone();
            Some(tokio::task::spawn_blocking(move || run.pace(rate)))
        }
    };
    let mut workers = JoinSet::new();
    for number in 0..run.scenario.connections {
        workers.spawn(Worker::new(run.clone(), number).work());
    }
    let ended_early = tokio::select! {
        () = over => true,
        () = run.all_given.notified() => false,
    };
    if ended_early {
        run.over.store(true, Ordering::Relaxed);
    }
    let (mut record, mut opened) = (Record::default(), 0);
    while let Some(ended) = workers.join_next().await {
        if let Ok((part, connections)) = ended {
            record.merge(part);
            opened += connections;
        }
    }
    let elapsed = run.start.elapsed();
    drop(guard);
    if let Some(pacer) = pacer {
        // It has seen that the run is over.
        let _ = pacer.await;
    }
    let unsent = if ended_early { 0 } else { run.unsent() };
    if unsent > 0 {
        record.failures.insert(Class::Unsent, unsent);
    }
    Outcome { record, elapsed, opened }
}

/// Ends the pacer, also when the run is dropped half-way.
struct Over(Arc<Run>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

// === impl Run ===

impl Run {
    fn new(scenario: Scenario) -> Run {
        Run {
            scenario,
            start: Instant::now(),
            given: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            due: Semaphore::new(0),
            over: AtomicBool::new(false),
            all_given: Notify::new(),
        }
    }

    /// Requests of the whole run, where that is known before.
    fn total(&self) -> Option<u64> {
        match (self.scenario.end, self.scenario.pace) {
            (End::Count(count), _) => Some(count),
            (End::After(time), Pace::PerSecond(rate)) => {
                Some((time.as_secs_f64() * rate).round() as u64)
            }
            (End::After(_), Pace::AsAnswered) => None,
        }
    }

    /// When no more requests are sent, due or not.
    fn deadline(&self) -> Instant {
        self.start
            + match (self.scenario.end, self.scenario.pace) {
                (End::After(time), Pace::AsAnswered) => time,
                // What is due at the end may still be waiting for a connection.
                (End::After(time), Pace::PerSecond(_)) => time + self.scenario.timeout,
                (End::Count(_), _) => LONGEST,
            }
    }

    fn due_at(&self, number: u64, rate: f64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / rate)
    }

    /// Lets requests through as they come due. It sleeps on a thread of its own, for the
    /// runtime's timer is only good to a millisecond.
    fn pace(&self, rate: f64) {
        let total = self.total().unwrap_or(u64::MAX);
        let mut let_through = 0;
        while let_through < total && !self.over.load(Ordering::Relaxed) {
            let wait = self.due_at(let_through, rate).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                std::thread::sleep(wait.min(LONGEST_NAP));
                continue;
            }
            self.due.add_permits(1);
            let_through += 1;
        }
        // Wakes those that wait for a request that will never be due.
        self.due.close();
    }

    /// The next request's number and due instant; `None` when there is none any more.
    async fn next(&self) -> Option<(u64, Instant)> {
        if let Pace::PerSecond(_) = self.scenario.pace {
            let permit = tokio::time::timeout_at(self.deadline().into(), self.due.acquire());
            match permit.await {
                Ok(Ok(permit)) => permit.forget(),
                // Closed: all requests are due by now, and some may still be there to take.
                Ok(Err(_)) => {}
                Err(_) => return None,
            }
        }
        let now = Instant::now();
        if now >= self.deadline() || self.over.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        if self.total().is_some_and(|total| number >= total) {
            return None;
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        match self.scenario.pace {
            Pace::AsAnswered => Some((number, now)),
            Pace::PerSecond(rate) => Some((number, self.due_at(number, rate))),
        }
    }

    /// Requests that came due and were never sent.
    fn unsent(&self) -> u64 {
        match self.scenario.pace {
            Pace::AsAnswered => 0,
            Pace::PerSecond(_) => {
                let total = self.total().unwrap_or(0);
                total.saturating_sub(self.sent.load(Ordering::Relaxed))
            }
        }
    }
}

// === impl Worker ===

impl Worker {
    /// The worker of this number, with its share of the clients.
    fn new(run: Arc<Run>, number: usize) -> Worker {
        let scenario = &run.scenario;
        let limits = Limits { timeout: scenario.timeout, max_body: LARGEST_BODY };
        let connection = Connection::new(scenario.address, limits);
        let (clients, connections) = (scenario.clients, scenario.connections);
        let own = clients / connections + usize::from(number < clients % connections);
        let jars = vec![Jar::default(); own.max(1)];
        Worker { run, connection, jars, turn: 0, record: Record::default() }
    }

    async fn work(mut self) -> (Record, u64) {
        while let Some((number, due)) = self.run.next().await {
            self.exchange(number, due).await;
        }
        self.run.all_given.notify_one();
        (self.record, self.connection.opened())
    }

    async fn exchange(&mut self, number: u64, due: Instant) {
        let turn = self.turn;
        self.turn = (turn + 1) % self.jars.len();
        let cookie = self.run.scenario.session_cookie.as_deref();
        let session = cookie.and_then(|name| self.jars[turn].get(name));
        let owner = session.and_then(owner_route).map(str::to_owned);
        let result = match self.request(number, &self.jars[turn]) {
            Ok(request) => self.connection.send(request).await,
            Err(error) => Err(Failure::Request { reason: error.to_string() }),
        };
        self.record.note(due.elapsed(), &result, owner.as_deref());
        if let (Some(_), Ok(answer)) = (cookie, &result) {
            self.jars[turn].learn(&answer.headers);
        }
    }

    fn request(&self, number: u64, jar: &Jar) -> http::Result<Request<Full<Bytes>>> {
        let scenario = &self.run.scenario;
        let mut request = Request::builder()
            .method(&scenario.method)
            .uri(&scenario.path)
            .header(header::HOST, &scenario.host);
        for (name, value) in &scenario.headers {
            request = request.header(name, value);
        }
        if let Some(prefix) = &scenario.request_ids {
            request = request.header("x-request-id", format!("{prefix}{number}"));
        }
        if let Some(cookies) = jar.header() {
            request = request.header(header::COOKIE, HeaderValue::try_from(cookies)?);
        }
        request.body(Full::new(scenario.body.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Manner, Node, eventually};

    async fn node_and_scenario() -> (Node, Scenario) {
        let node = Node::start("a").await.unwrap();
        let scenario = Scenario::get(&format!("http://{}/", node.address)).unwrap();
        (node, scenario)
    }

    #[tokio::test]
    async fn a_closed_loop_sends_as_many_as_asked_over_its_connections() {
        let (node, mut scenario) = node_and_scenario().await;
        (scenario.connections, scenario.end) = (4, End::Count(103));
        let outcome = run(scenario.check().unwrap()).await;
        assert_eq!((outcome.record.ok, outcome.record.failed(), outcome.opened), (103, 0, 4));
        assert_eq!((node.count(), outcome.record.by("a")), (103, 103));
    }

    #[tokio::test]
    async fn an_open_loop_counts_latency_from_the_due_instant() {
        let (node, mut scenario) = node_and_scenario().await;
        // One connection can answer one in 50 ms; five come due in the first 10 ms.
        node.set_manner(Manner::Late(Duration::from_millis(50)));
        (scenario.pace, scenario.end) = (Pace::PerSecond(500.0), End::Count(5));
        let outcome = run(scenario.check().unwrap()).await;
        assert_eq!((outcome.record.ok, outcome.record.failed()), (5, 0));
        assert!(outcome.record.latency(1.0) >= Duration::from_millis(240), "{outcome:?}");
    }

    #[tokio::test]
    async fn what_an_open_loop_could_not_send_is_told() {
        let (node, mut scenario) = node_and_scenario().await;
        node.set_manner(Manner::Late(Duration::from_secs(60)));
        scenario.timeout = Duration::from_millis(100);
        scenario.pace = Pace::PerSecond(200.0);
        scenario.end = End::After(Duration::from_millis(100));
        let outcome = run(scenario.check().unwrap()).await;
        let record = outcome.record;
        assert_eq!((record.ok, record.failed()), (0, 20));
        assert!(record.failed_by(Class::Timeout) > 0, "{record:?}");
        assert!(record.failed_by(Class::Unsent) > 0, "{record:?}");
    }

    #[tokio::test]
    async fn a_run_that_is_ended_early_waits_for_what_is_in_flight() {
        let (node, mut scenario) = node_and_scenario().await;
        for pace in [Pace::AsAnswered, Pace::PerSecond(50.0)] {
            (scenario.pace, scenario.end) = (pace, End::After(Duration::from_secs(600)));
            let before = node.count();
            let some = async || (node.count() > before + 5).then_some(()).ok_or("few");
            let over = async { drop(eventually("some", Duration::from_secs(5), some).await) };
            let record = run_until(scenario.clone().check().unwrap(), over).await.record;
            assert_eq!((record.ok, record.failed()), (node.count() - before, 0), "{pace:?}");
        }
    }

    #[tokio::test]
    async fn a_dead_address_fails_each_request_by_connect() {
        let (node, mut scenario) = node_and_scenario().await;
        drop(node);
        scenario.address = crate::testkit::ports::free_address().unwrap();
        scenario.end = End::Count(3);
        let outcome = run(scenario.check().unwrap()).await;
        assert_eq!(outcome.record.failed_by(Class::Connect), 3);
    }

    #[tokio::test]
    async fn each_request_has_an_id_of_its_own_and_its_upload() {
        let (node, mut scenario) = node_and_scenario().await;
        (scenario.connections, scenario.end) = (3, End::Count(30));
        scenario.method = http::Method::POST;
        scenario.body = Bytes::from(vec![b'x'; 1000]);
        scenario.request_ids = Some("r-".to_owned());
        assert_eq!(run(scenario.check().unwrap()).await.record.ok, 30);
        let seen = node.seen();
        let ids: std::collections::BTreeSet<_> =
            seen.iter().map(|s| s.headers["x-request-id"].to_str().unwrap().to_owned()).collect();
        assert_eq!((ids.len(), seen.len()), (30, 30));
        assert!(seen.iter().all(|s| s.body.len() == 1000));
    }
}
