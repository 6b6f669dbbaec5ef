//! The judge: what a client sent and heard, what the node got, and whether that is right.

use std::fmt;
use std::sync::Arc;

use super::backend::{Got, Record, SERIAL};
use super::case::{self, CaseId};
use super::heads::text;
use super::reading::{Answer, Named as _, Remark, Request};
use super::vector::{Ends, Refusal, Right, Vector, Wanted};
use super::wire::Heard;

/// The end of the target of the request that shows that the connection goes on well.
pub const CANARY: &str = "/canary";

/// How right it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Right,
    /// A good request was not served as it should be, or a bad one refused in the wrong manner.
    Wrong(String),
    /// A bad request was served, but nobody can read it in another way.
    Lenient(String),
    /// Node and proxy may read different requests, or a client gets another's answer.
    Hard(String),
}

/// What the client heard.
#[derive(Debug, Clone, Default)]
pub struct Transcript {
    /// The answers to what the vector sent, in order; the last may be what ended it.
    pub heard: Vec<Heard>,
    /// The answer to the canary, where one was sent.
    pub canary: Option<Heard>,
    /// Whether the connection was seen to be closed.
    pub is_closed: bool,
    /// Whether the tunnel echoed; `None` without one.
    pub echoed: Option<bool>,
}

/// All that is known of a case.
pub struct Evidence<'e> {
    /// Its number.
    pub id: CaseId,
    /// What the client heard.
    pub transcript: &'e Transcript,
    /// What the node got of it, in order.
    pub records: &'e [Arc<Record>],
}

// === impl Verdict ===

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Right => write!(f, "right"),
            Verdict::Wrong(why) => write!(f, "WRONG   {why}"),
            Verdict::Lenient(why) => write!(f, "LENIENT {why}"),
            Verdict::Hard(why) => write!(f, "HARD    {why}"),
        }
    }
}

/// Judges one vector: the worst of what can be said.
pub fn judge(vector: &Vector, evidence: &Evidence<'_>) -> Verdict {
    let records: Vec<&Record> =
        evidence.records.iter().map(|r| &**r).filter(|r| !r.is_for(CANARY)).collect();
    let verdicts = [
        readings(vector, &records),
        answers(vector, evidence, &records),
        canary(vector, evidence),
        match &vector.right {
            Right::Refused(refusal) => refused(refusal, evidence, &records),
            Right::Served(wanted) => served(vector, wanted, evidence, &records),
            Right::Either(refusal, wanted) => {
                let was_served = records.iter().any(|r| r.request().is_some());
                match was_served {
                    true => served(vector, wanted, evidence, &records),
                    false => refused(refusal, evidence, &records),
                }
            }
        },
    ];
    verdicts.into_iter().max().unwrap_or(Verdict::Right)
}

// === What holds for every vector ===

/// What reached the node must read in one way, and as no more requests than were sent.
fn readings(vector: &Vector, records: &[&Record]) -> Verdict {
    for record in records {
        if let Got::Broken(fault) = &record.got {
            return Verdict::Hard(format!("the node got {fault}: {}", shown(&record.raw)));
        }
        if record.request().is_some_and(|r| text(&r.target).ends_with("/smuggled")) {
            return Verdict::Hard(format!("smuggled to the node: {}", shown(&record.raw)));
        }
    }
    let requests = records.iter().filter(|r| r.request().is_some()).count();
    match requests > vector.wanted().len().max(1) {
        true => Verdict::Hard(format!("{requests} requests reached the node")),
        false => Verdict::Right,
    }
}

/// What the client heard must read in one way, and be the answers to its own requests.
fn answers(vector: &Vector, evidence: &Evidence<'_>, records: &[&Record]) -> Verdict {
    let mut whole = records.iter().filter(|r| r.request().is_some());
    for heard in &evidence.transcript.heard {
        let answer = match heard {
            Heard::Broken(fault) => return Verdict::Hard(format!("the client got {fault}")),
            Heard::Answer(answer) => answer,
            Heard::Ended | Heard::Late => continue,
        };
        if answer.status == 101 && vector.ends != Ends::Tunnel {
            return Verdict::Hard("a tunnel was opened".to_owned());
        }
        let Some(serial) = serial(answer) else { continue };
        match whole.next() {
            Some(record) if record.serial == serial => {}
            _ => return Verdict::Hard("the client got the answer to another request".to_owned()),
        }
    }
    Verdict::Right
}

/// A connection that goes on must serve its next request, and that one only.
fn canary(vector: &Vector, evidence: &Evidence<'_>) -> Verdict {
    let answer = match &evidence.transcript.canary {
        None => return Verdict::Right,
        Some(Heard::Answer(answer)) => answer,
        Some(Heard::Broken(fault)) => return Verdict::Hard(format!("then the client got {fault}")),
        Some(Heard::Ended | Heard::Late) => {
            return match (vector.ends, &vector.right) {
                (Ends::Open, Right::Served(_)) => {
                    Verdict::Wrong("the next request on the connection was not served".to_owned())
                }
                _ => Verdict::Right,
            };
        }
    };
    let own = evidence.records.iter().find(|r| r.is_for(CANARY)).map(|r| r.serial);
    match serial(answer) {
        Some(serial) if Some(serial) != own => {
            Verdict::Hard("the next request got another's answer".to_owned())
        }
        Some(_) => Verdict::Right,
        None => Verdict::Wrong(format!("the next request got {}", answer.status)),
    }
}

// === A request to refuse ===

fn refused(refusal: &Refusal, evidence: &Evidence<'_>, records: &[&Record]) -> Verdict {
    let finals: Vec<&Answer> = finals(evidence.transcript).collect();
    if finals.len() > 1 {
        return Verdict::Hard("what followed the bad request was answered".to_owned());
    }
    if let Some(request) = records.iter().find_map(|r| r.request()) {
        return let_in(refusal, request);
    }
    let is_mute = finals.is_empty() && evidence.transcript.is_closed;
    match finals[..] {
        [] if is_mute && refusal.in_body => Verdict::Right,
        [] if is_mute => Verdict::Wrong("closed without an answer".to_owned()),
        [] => Verdict::Wrong("neither refused nor served".to_owned()),
        [answer, ..] if answer.status < 400 => {
            Verdict::Lenient(format!("answered with {} without a node", answer.status))
        }
        [answer, ..] if !refusal.statuses.contains(&answer.status) => {
            Verdict::Wrong(format!("refused with {}, not {:?}", answer.status, refusal.statuses))
        }
        [answer, ..] if !evidence.transcript.is_closed && !is_certain(answer.status) => {
            Verdict::Lenient("refused, but the connection is open".to_owned())
        }
        _ if !refusal.in_body && !records.is_empty() => {
            Verdict::Wrong("it had reached the node before it was refused".to_owned())
        }
        _ => Verdict::Right,
    }
}

/// Whether a request with such an answer was read to its end, so that the connection may go on.
pub fn is_certain(status: u16) -> bool {
    status < 400 || matches!(status, 404 | 405 | 417)
}

fn let_in(refusal: &Refusal, request: &Request) -> Verdict {
    let lost = refusal.keeps.iter().find(|name| request.headers.all(name).next().is_none());
    if let Some(name) = lost {
        return Verdict::Hard(format!("{name} was taken out on the client's word"));
    }
    match request.remarks.first() {
        Some(remark) => Verdict::Lenient(format!("the node got {remark}")),
        None => Verdict::Lenient("the node got a cleaned request".to_owned()),
    }
}

// === A request to serve ===

fn served(
    vector: &Vector,
    wanted: &[Wanted],
    evidence: &Evidence<'_>,
    records: &[&Record],
) -> Verdict {
    let requests: Vec<&Request> = records.iter().filter_map(|r| r.request()).collect();
    let statuses: Vec<u16> = finals(evidence.transcript).map(|a| a.status).collect();
    if requests.len() < wanted.len() {
        return Verdict::Wrong(format!(
            "{} of {} requests reached the node, the client got {statuses:?}",
            requests.len(),
            wanted.len()
        ));
    }
    let differences = wanted.iter().zip(requests).map(|(w, request)| compare(w, request, evidence));
    let worst = differences.max().unwrap_or(Verdict::Right);
    worst.max(statuses_of(vector, wanted, &statuses)).max(end(vector, evidence))
}

fn compare(wanted: &Wanted, request: &Request, evidence: &Evidence<'_>) -> Verdict {
    let target = case::fill(&wanted.target, evidence.id);
    if request.body != case::fill(&wanted.body, evidence.id) {
        return Verdict::Hard(format!("the node got another body: {}", shown(&request.body)));
    }
    if request.method != wanted.method || request.target != target {
        return Verdict::Wrong(format!(
            "the node got {} {}",
            request.method,
            shown(&request.target)
        ));
    }
    headers(wanted, request).map_or(Verdict::Right, |why| why)
}

fn headers(wanted: &Wanted, request: &Request) -> Option<Verdict> {
    let headers = &request.headers[..];
    let host = headers.only("host").map(text);
    let is_free = |remark: &&Remark| wanted.host.is_none() && **remark == Remark::BadHost;
    if let Some(remark) = request.remarks.iter().find(|remark| !is_free(remark)) {
        return Some(Verdict::Lenient(format!("the node got {remark}")));
    }
    if wanted.host.is_some() && host.as_deref() != wanted.host {
        return Some(Verdict::Lenient(format!("the node got the Host {host:?}")));
    }
    if let Some(name) = wanted.lacks.iter().find(|name| headers.all(name).next().is_some()) {
        return Some(Verdict::Lenient(format!("{name} reached the node")));
    }
    let lines: Vec<String> =
        headers.iter().map(|h| format!("{}: {}", h.name, text(&h.value))).collect();
    if let Some(told) = wanted.hides.iter().find(|t| lines.iter().any(|l| l.contains(**t))) {
        return Some(Verdict::Lenient(format!("{told} reached the node")));
    }
    let differs = |(name, values): &&(&'static str, Vec<&'static [u8]>)| {
        headers.all(name).ne(values.iter().copied())
    };
    wanted.has.iter().find(differs).map(|(name, _)| Verdict::Wrong(format!("{name} was changed")))
}

fn statuses_of(vector: &Vector, wanted: &[Wanted], statuses: &[u16]) -> Verdict {
    let mut right: Vec<u16> = wanted.iter().map(|w| w.status).collect();
    if vector.ends == Ends::Refused {
        right.push(400);
    }
    match right == statuses {
        true => Verdict::Right,
        false => Verdict::Wrong(format!("the client got {statuses:?}")),
    }
}

fn end(vector: &Vector, evidence: &Evidence<'_>) -> Verdict {
    let transcript = evidence.transcript;
    match vector.ends {
        Ends::Closed | Ends::Refused if !transcript.is_closed => {
            Verdict::Wrong("the connection is still open".to_owned())
        }
        Ends::Tunnel if transcript.echoed != Some(true) => {
            Verdict::Wrong("the tunnel does not echo".to_owned())
        }
        Ends::Open | Ends::Any | Ends::Closed | Ends::Refused | Ends::Tunnel => Verdict::Right,
    }
}

// === Helpers ===

fn finals(transcript: &Transcript) -> impl Iterator<Item = &Answer> {
    transcript.heard.iter().filter_map(|heard| match heard {
        Heard::Answer(answer) if !answer.is_interim() => Some(answer),
        _ => None,
    })
}

/// Whose answer it is; `None` where the proxy itself answered.
pub fn serial(answer: &Answer) -> Option<u64> {
    text(answer.headers.only(SERIAL)?).parse().ok()
}

/// The first bytes as text.
pub fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(160)];
    format!("\"{}\"", cut.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::reading::{self, Reading};
    use crate::hostile::vector::{get, post};

    const ID: CaseId = 7;

    fn record(serial: u64, raw: &[u8]) -> Arc<Record> {
        let raw = case::fill(raw, ID);
        let got = match reading::request(&raw) {
            Reading::Whole { value, .. } => Got::Whole(value),
            Reading::More => Got::Partial,
            Reading::Broken(fault) => Got::Broken(fault),
        };
        Arc::new(Record { serial, connection: 1, raw, got })
    }

    fn heard(status: u16, lines: &str) -> Heard {
        let raw = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n{lines}\r\n");
        match reading::answer(raw.as_bytes(), false, false) {
            Reading::Whole { value, .. } => Heard::Answer(value),
            other => panic!("{other:?}"),
        }
    }

    fn verdict(vector: &Vector, records: &[Arc<Record>], heard: Vec<Heard>) -> Verdict {
        let transcript = Transcript { heard, is_closed: true, ..Transcript::default() };
        judge(vector, &Evidence { id: ID, transcript: &transcript, records })
    }

    fn bad() -> Vector {
        Vector::refused("a bad one", get("X : y\r\n"))
    }

    #[test]
    fn a_refusal_that_reached_nobody_is_right() {
        assert_eq!(verdict(&bad(), &[], vec![heard(400, "")]), Verdict::Right);
        assert!(matches!(verdict(&bad(), &[], vec![heard(502, "")]), Verdict::Wrong(_)));
        assert!(matches!(verdict(&bad(), &[], vec![Heard::Ended]), Verdict::Wrong(_)));
    }

    #[test]
    fn a_bad_request_that_arrives_clean_is_lenient_and_one_that_arrives_as_it_came_is_hard() {
        let ok = || vec![heard(200, "X-Serial: 1\r\n")];
        let clean = verdict(&bad(), &[record(1, &get(""))], ok());
        assert!(matches!(clean, Verdict::Lenient(_)), "{clean}");
        let as_it_came = verdict(&bad(), &[record(1, &get("X : y\r\n"))], ok());
        assert!(matches!(as_it_came, Verdict::Hard(_)), "{as_it_came}");
    }

    #[test]
    fn a_request_that_nobody_sent_is_hard() {
        let vector = Vector::served("a good one", post("", ""), Wanted::post(""));
        let first = record(1, &post("", ""));
        let served = vec![heard(200, "X-Serial: 1\r\n")];
        assert_eq!(verdict(&vector, std::slice::from_ref(&first), served.clone()), Verdict::Right);
        let smuggled = record(2, &crate::hostile::vector::smuggled());
        let two = verdict(&vector, &[first.clone(), smuggled], served);
        assert!(matches!(two, Verdict::Hard(_)), "{two}");
        let foreign = verdict(&vector, &[first], vec![heard(200, "X-Serial: 9\r\n")]);
        assert!(matches!(foreign, Verdict::Hard(_)), "{foreign}");
    }

    #[test]
    fn a_good_request_that_is_refused_or_changed_is_wrong() {
        let vector = Vector::served("a good one", get(""), Wanted::get().has("x-a", b"b"));
        assert!(matches!(verdict(&vector, &[], vec![heard(400, "")]), Verdict::Wrong(_)));
        let changed = verdict(&vector, &[record(1, &get(""))], vec![heard(200, "X-Serial: 1\r\n")]);
        assert_eq!(changed, Verdict::Wrong("x-a was changed".to_owned()));
    }
}
