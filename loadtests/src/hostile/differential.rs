//! The same generated requests through two proxies to one node: what arrives must be alike, or
//! both refuse.
//!
//! There is no third class: what one serves and the other refuses shows two rules where there
//! shall be one, even where either alone would do no harm.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use super::backend::{Backend, Got, Record};
use super::case::{self, CaseId, PLACE};
use super::client::Front;
use super::generate::{self, Generated};
use super::judge::shown;
use super::probe;
use super::reading::{Named as _, Request};
use super::wire::{Heard, Wire};

/// Requests that are under way at a time, to each proxy.
const TOGETHER: usize = 64;

/// Requests between two comparisons.
const BATCH: u64 = 512;

/// How long a proxy may take until it serves at all.
const READY: Duration = Duration::from_secs(10);

/// The time between the last byte at the node and a comparison.
const QUIET: Duration = Duration::from_millis(30);

/// Most differences that are kept; all are counted.
const SHOWN: usize = 50;

/// Headers that a proxy sets for its own hop.
const OWN: &[&str] = &[
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// Which requests, and how long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The same seed gives the same requests.
    pub seed: u64,
    /// How many.
    pub count: u64,
    /// How long a client waits for an answer at first.
    pub wait: Duration,
    /// How long it waits when a difference is looked at again.
    pub long_wait: Duration,
}

/// What came out.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Both served, and the node got the same.
    pub served: u64,
    /// Both refused.
    pub refused: u64,
    /// Only one refused, the whole or what followed a request that both served.
    pub one_sided: u64,
    /// The node got something else, or what nobody can read in one way.
    pub differing: u64,
    /// The first of what is not alike, in words.
    pub differences: Vec<String>,
}

/// What arrived of a request, without what a hop may change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Arrived {
    Request { line: String, host: String, headers: Vec<String>, body: Vec<u8> },
    Broken(String),
}

/// A request that was sent through both.
#[derive(Debug, Clone, Copy)]
struct Delivered {
    ids: [CaseId; 2],
    /// Whether one of them had no node to give it to: that says nothing of the request.
    was_unavailable: bool,
}

struct Pair<'p> {
    proxies: [SocketAddr; 2],
    backend: &'p Backend,
    plan: Plan,
    ids: AtomicU32,
}

// === impl Plan ===

impl Plan {
    /// So many requests from a seed, with the usual waits.
    pub fn new(seed: u64, count: u64) -> Plan {
        let (wait, long_wait) = (Duration::from_millis(400), Duration::from_secs(2));
        Plan { seed, count, wait, long_wait }
    }
}

// === impl Comparison ===

impl Comparison {
    /// Whether there was one rule for all.
    pub fn is_alike(&self) -> bool {
        self.one_sided == 0 && self.differing == 0
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in &self.differences {
            writeln!(f, "{difference}")?;
        }
        write!(
            f,
            "{} generated requests: {} served alike, {} refused by both, {} refused by one, \
             {} differ",
            self.served + self.refused + self.one_sided + self.differing,
            self.served,
            self.refused,
            self.one_sided,
            self.differing
        )
    }
}

/// Sends all requests of the plan through both proxies, whose only node is `backend`.
pub async fn compare(
    first: SocketAddr,
    second: SocketAddr,
    backend: &Backend,
    plan: Plan,
) -> Comparison {
    let pair = Pair { proxies: [first, second], backend, plan, ids: AtomicU32::new(1) };
    let mut comparison = Comparison::default();
    for proxy in pair.proxies {
        if let Err(why) = probe::fresh(Front::Http1, proxy, backend, 0, "before", READY).await {
            comparison.differing = plan.count;
            comparison.differences.push(format!("{proxy} before all: {why}"));
            return comparison;
        }
    }
    let mut from = 0;
    while from < plan.count {
        let to = plan.count.min(from + BATCH);
        let requests: Vec<(u64, Generated)> =
            (from..to).map(|number| (number, generate::request(plan.seed, number))).collect();
        let delivered = pair.send_all(&requests).await;
        backend.settle(QUIET).await;
        for ((number, request), delivered) in requests.iter().zip(delivered) {
            pair.judge(*number, request, delivered, &mut comparison).await;
        }
        from = to;
    }
    comparison
}

// === impl Pair ===

impl Pair<'_> {
    /// Sends a batch to both, many at a time.
    async fn send_all(&self, requests: &[(u64, Generated)]) -> Vec<Delivered> {
        let send = |(place, (_, request)): (usize, &(u64, Generated))| {
            let request = request.clone();
            async move { (place, self.send(&request, self.plan.wait).await) }
        };
        let sending: Vec<_> = requests.iter().enumerate().map(send).collect();
        // In any order: one that waits holds up no other.
        let sent = stream::iter(sending).buffer_unordered(TOGETHER);
        let mut delivered: Vec<(usize, Delivered)> = sent.collect().await;
        delivered.sort_by_key(|(place, _)| *place);
        delivered.into_iter().map(|(_, delivered)| delivered).collect()
    }

    async fn send(&self, request: &Generated, wait: Duration) -> Delivered {
        let ids = [0; 2].map(|_| self.ids.fetch_add(1, Ordering::Relaxed) % 1_000_000);
        let [first, second] = self.proxies;
        let (first, second) = tokio::join!(
            deliver(first, request, ids[0], wait),
            deliver(second, request, ids[1], wait)
        );
        // What nobody takes does not arrive: the comparison shows it.
        let was_unavailable = [first, second].iter().any(|was| *was.as_ref().unwrap_or(&true));
        Delivered { ids, was_unavailable }
    }

    /// Compares what arrived. A difference counts when it is there a second and a third time, with
    /// a longer wait.
    async fn judge(
        &self,
        number: u64,
        request: &Generated,
        mut delivered: Delivered,
        comparison: &mut Comparison,
    ) {
        let mut arrived = self.arrived(delivered.ids);
        for _ in 0..2 {
            if !delivered.was_unavailable && class(&arrived).is_alike() {
                break;
            }
            delivered = self.send(request, self.plan.long_wait).await;
            self.backend.settle(QUIET).await;
            arrived = self.arrived(delivered.ids);
        }
        let class = match class(&arrived) {
            // Nobody served it, but one for want of a node.
            Class::Refused if delivered.was_unavailable => Class::OneSided,
            class => class,
        };
        match class {
            Class::Served => comparison.served += 1,
            Class::Refused => comparison.refused += 1,
            Class::OneSided => comparison.one_sided += 1,
            Class::Differs => comparison.differing += 1,
        }
        if !class.is_alike() && comparison.differences.len() < SHOWN {
            comparison.differences.push(told(number, request, &arrived));
        }
    }

    fn arrived(&self, ids: [CaseId; 2]) -> [Vec<Arrived>; 2] {
        ids.map(|id| self.backend.take(id).iter().filter_map(|r| Arrived::of(r, id)).collect())
    }
}

/// Whether the proxy had no node to give it to.
async fn deliver(
    proxy: SocketAddr,
    request: &Generated,
    id: CaseId,
    wait: Duration,
) -> std::io::Result<bool> {
    let mut wire = Wire::connect(proxy).await?;
    wire.write(&case::fill(&request.bytes, id), wait).await;
    for place in 0..request.requests {
        let is_head = place == 0 && request.bytes.starts_with(b"HEAD ");
        match wire.hear_final(is_head, wait).await {
            Heard::Answer(answer) if answer.status < 400 && answer.is_whole => {}
            Heard::Answer(answer) if answer.status == 503 => return Ok(true),
            Heard::Answer(_) | Heard::Ended | Heard::Broken(_) | Heard::Late => break,
        }
    }
    Ok(false)
}

// === What arrived ===

impl Arrived {
    fn of(record: &Arc<Record>, id: CaseId) -> Option<Arrived> {
        match &record.got {
            Got::Whole(request) => Some(Arrived::request(request, &case::token(id))),
            Got::Broken(fault) => Some(Arrived::Broken(fault.to_string())),
            Got::Partial => None,
        }
    }

    fn request(request: &Request, token: &str) -> Arrived {
        let plain = |bytes: &[u8]| bytes.escape_ascii().to_string().replace(token, PLACE);
        let is_own = |name: &str| OWN.iter().any(|own| own.eq_ignore_ascii_case(name));
        let others = request.headers.iter().filter(|header| !is_own(&header.name));
        let mut headers: Vec<String> = others
            .map(|h| format!("{}: {}", h.name.to_ascii_lowercase(), plain(&h.value)))
            .collect();
        headers.sort();
        Arrived::Request {
            line: format!("{} {}", request.method, plain(origin(&request.target))),
            host: request.headers.only("host").map(plain).unwrap_or_default(),
            headers,
            body: request.body.clone(),
        }
    }
}

/// The path and query of a target; an absolute one means the same.
fn origin(target: &[u8]) -> &[u8] {
    match target.strip_prefix(b"http://") {
        Some(rest) => rest.iter().position(|&b| b == b'/').map_or(b"/", |at| &rest[at..]),
        None => target,
    }
}

// === The comparison ===

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Served,
    Refused,
    OneSided,
    Differs,
}

// === impl Class ===

impl Class {
    fn is_alike(self) -> bool {
        match self {
            Class::Served | Class::Refused => true,
            Class::OneSided | Class::Differs => false,
        }
    }
}

fn class([first, second]: &[Vec<Arrived>; 2]) -> Class {
    let is_broken = |arrived: &Arrived| matches!(arrived, Arrived::Broken(_));
    match () {
        () if first.iter().chain(second).any(is_broken) => Class::Differs,
        () if first.is_empty() && second.is_empty() => Class::Refused,
        () if first == second => Class::Served,
        () if first.starts_with(second) || second.starts_with(first) => Class::OneSided,
        () => Class::Differs,
    }
}

fn told(number: u64, request: &Generated, [first, second]: &[Vec<Arrived>; 2]) -> String {
    format!("{number}: {}\n  first:  {first:?}\n  second: {second:?}", shown(&request.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::reading::{self, Reading};

    fn arrived(raw: &str) -> Vec<Arrived> {
        match reading::request(raw.as_bytes()) {
            Reading::Whole { value, .. } => vec![Arrived::request(&value, "q000001")],
            other => panic!("{other:?}"),
        }
    }

    const GOOD: &str = "GET /q000001/ HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n";

    #[test]
    fn the_order_and_case_of_headers_do_not_count_but_their_values_do() {
        let other = "GET http://x/q000001/ HTTP/1.1\r\nb: 2\r\nHost: x\r\nA: 1\r\n\
                     Connection: close\r\n\r\n";
        assert_eq!(class(&[arrived(GOOD), arrived(other)]), Class::Served);
        let third = GOOD.replace("A: 1", "A: 2");
        assert_eq!(class(&[arrived(GOOD), arrived(&third)]), Class::Differs);
    }

    #[test]
    fn what_one_refuses_alone_is_not_alike_even_if_it_came_behind_another() {
        assert_eq!(class(&[vec![], vec![]]), Class::Refused);
        assert_eq!(class(&[vec![], arrived(GOOD)]), Class::OneSided);
        assert_eq!(class(&[arrived(GOOD), vec![]]), Class::OneSided);
        let both = [arrived(GOOD), arrived(GOOD)].concat();
        assert_eq!(class(&[arrived(GOOD), both.clone()]), Class::OneSided);
        assert_eq!(class(&[both.clone(), both]), Class::Served);
    }

    #[test]
    fn what_the_node_cannot_read_differs_from_itself() {
        let broken = || vec![Arrived::Broken("a bare LF".to_owned())];
        assert_eq!(class(&[broken(), broken()]), Class::Differs);
        assert_eq!(class(&[vec![], broken()]), Class::Differs);
    }
}
