//! Plays vectors through a proxy, one after the other, and judges them.
//!
//! The proxy's only node is the [`Backend`]. One after the other, so that connections to it are
//! used again by the next case: what one leaves behind, the next one hears.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::backend::Backend;
use super::case::{self, CaseId, PLACE};
use super::client::Front;
use super::judge::{CANARY, Evidence, Transcript, Verdict, is_certain, judge};
use super::probe;
use super::report::Report;
use super::vector::{Ends, HOST, Right, Step, Vector};
use super::wire::{Heard, Wire};

/// The gap between two writes that shall arrive apart.
const GAP: Duration = Duration::from_millis(20);

/// Most answers that are heard beyond the expected ones.
const SURPLUS: usize = 4;

/// The time between the last byte at the node and the judgement.
const QUIET: Duration = Duration::from_millis(100);

/// How long a client waits.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// For an answer.
    pub answer: Duration,
    /// For the end of a connection that should end.
    pub close: Duration,
    /// Until the proxy serves at all.
    pub ready: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            answer: Duration::from_secs(3),
            close: Duration::from_millis(1500),
            ready: Duration::from_secs(10),
        }
    }
}

/// Plays all vectors and judges them; the case ids are their places in the list.
pub async fn run_vectors(
    proxy: SocketAddr,
    backend: &Backend,
    vectors: &[Vector],
    bounds: Bounds,
) -> Report {
    let mut played = Vec::new();
    let mut report = Report::new("vectors");
    if let Err(why) = probe::fresh(Front::Http1, proxy, backend, 0, "before", bounds.ready).await {
        report.add("a plain request before all", Verdict::Wrong(why));
        return report;
    }
    for (id, vector) in (1..).zip(vectors) {
        played.push((id, vector, play(proxy, vector, id, bounds).await));
    }
    // What was refused at the front may still be on its way to the node.
    backend.settle(QUIET).await;
    for (id, vector, transcript) in played {
        let records = backend.take(id);
        let verdict = match &transcript {
            Ok(transcript) => judge(vector, &Evidence { id, transcript, records: &records }),
            Err(error) => Verdict::Wrong(format!("no connection: {error}")),
        };
        report.add(&vector.name, verdict);
    }
    report
}

/// Plays one vector.
async fn play(
    proxy: SocketAddr,
    vector: &Vector,
    id: CaseId,
    bounds: Bounds,
) -> io::Result<Transcript> {
    let mut wire = Wire::connect(proxy).await?;
    let mut transcript = Transcript::default();
    for step in &vector.steps {
        take_step(&mut wire, step, id, bounds, &mut transcript).await;
    }
    let expected = vector.wanted().len().max(1);
    let mut goes_on = transcript.heard.is_empty();
    for place in transcript.heard.len()..expected {
        let heard = wire.hear_final(vector.is_head(place), bounds.answer).await;
        goes_on = is_good(&heard);
        transcript.heard.push(heard);
        if !goes_on {
            break;
        }
    }
    let half_closed = vector.steps.iter().any(|step| matches!(step, Step::HalfClose));
    let may_go_on = match &vector.right {
        Right::Refused(_) => !half_closed,
        Right::Served(_) | Right::Either(..) => matches!(vector.ends, Ends::Open | Ends::Any),
    };
    if vector.ends == Ends::Tunnel && goes_on {
        wire.write(b"ping", bounds.answer).await;
        let echo = wire.hear_bytes(4, bounds.answer).await;
        transcript.echoed = Some(echo.as_deref() == Some(b"ping"));
    } else if may_go_on && goes_on {
        let canary =
            format!("GET /{PLACE}{CANARY} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
        wire.write(&case::fill(canary.as_bytes(), id), bounds.answer).await;
        transcript.canary = Some(wire.hear_final(false, bounds.answer).await);
    }
    if vector.ends != Ends::Tunnel || !goes_on {
        await_close(&mut wire, bounds, &mut transcript).await;
    }
    Ok(transcript)
}

async fn take_step(
    wire: &mut Wire,
    step: &Step,
    id: CaseId,
    bounds: Bounds,
    transcript: &mut Transcript,
) {
    match step {
        Step::Write(bytes) => wire.write(&case::fill(bytes, id), bounds.answer).await,
        Step::Pause => tokio::time::sleep(GAP).await,
        Step::HalfClose => wire.half_close().await,
        Step::Interim => match wire.hear(false, bounds.answer).await {
            Heard::Answer(answer) if answer.is_interim() => {}
            heard => transcript.heard.push(heard),
        },
    }
}

async fn await_close(wire: &mut Wire, bounds: Bounds, transcript: &mut Transcript) {
    for _ in 0..SURPLUS {
        match wire.hear_final(false, bounds.close).await {
            Heard::Ended => {
                transcript.is_closed = true;
                return;
            }
            Heard::Late => return,
            Heard::Broken(fault) => return transcript.heard.push(Heard::Broken(fault)),
            Heard::Answer(answer) => transcript.heard.push(Heard::Answer(answer)),
        }
    }
}

fn is_good(heard: &Heard) -> bool {
    match heard {
        Heard::Answer(answer) => {
            is_certain(answer.status) && answer.is_whole && !answer.until_close
        }
        Heard::Ended | Heard::Broken(_) | Heard::Late => false,
    }
}
