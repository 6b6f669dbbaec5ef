//! Gives hostile answers to a proxy and looks what its client gets, and whether others are served.
//!
//! One after the other, so that what an answer leaves behind on a connection meets the next
//! request; only the slow ones, which leave nothing behind, go side by side.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::answer::{Ask, HostileAnswer};
use super::backend::Backend;
use super::case::{self, CaseId};
use super::judge::Verdict;
use super::probe;
use super::report::Report;
use super::wire::{Heard, Wire};

/// How many clients ask after each answer, each on a connection of its own.
const PROBES: usize = 3;

/// Between two attempts of a probe.
const PAUSE: Duration = Duration::from_millis(50);

/// Most interim answers that a client hears for one request.
const INTERIMS: usize = 1_000_000;

/// Gives all answers; `within` bounds what a client waits, and how long the proxy may take until
/// it serves others again. The case ids are the places in the list.
pub async fn run_answers(
    proxy: SocketAddr,
    backend: &Backend,
    answers: &[HostileAnswer],
    within: Duration,
) -> Report {
    let mut report = Report::new("hostile answers");
    let mut slow = Vec::new();
    for (id, answer) in (1..).zip(answers) {
        match answer.is_slow {
            true => slow.push((id, answer)),
            false => {
                let verdict = verdict(strike(proxy, backend, answer, id, within).await);
                report.add(&answer.name, verdict);
            }
        }
    }
    let strikes = slow.iter().map(|(id, answer)| strike(proxy, backend, answer, *id, within));
    for ((_, answer), done) in slow.iter().zip(join_all(strikes).await) {
        report.add(&answer.name, verdict(done));
    }
    report
}

fn verdict(done: Result<(), String>) -> Verdict {
    match done {
        Ok(()) => Verdict::Right,
        Err(why) => Verdict::Wrong(why),
    }
}

/// One answer, and the clients after it.
async fn strike(
    proxy: SocketAddr,
    backend: &Backend,
    answer: &HostileAnswer,
    id: CaseId,
    within: Duration,
) -> Result<(), String> {
    probe::fresh(proxy, backend, id, "before", within).await?;
    backend.script(id, answer.script.clone());
    if let Some(words) = &answer.first_words {
        backend.drop_idle();
        tokio::time::sleep(PAUSE).await;
        backend.speak_first(id, words.clone());
    }
    let mut wire = Wire::connect(proxy).await.map_err(|e| format!("no connection: {e}"))?;
    wire.write(&case::fill(&answer.request(), id), within).await;
    let heard = hear(&mut wire, answer.ask == Ask::Head, within).await;
    let checked = answer.check(&heard);
    if answer.is_awaited {
        backend.await_played(id, within).await;
        tokio::time::sleep(PAUSE).await;
    }
    let was_asked = backend.records(id).iter().any(|record| record.is_at("attack"));
    if !was_asked && answer.first_words.is_none() {
        return Err(format!("the node was never asked, the client heard {heard:?}"));
    }
    let next = match heard {
        Heard::Answer(got) if got.is_whole && !got.until_close && got.status != 101 => {
            probe::next(&mut wire, backend, id, within).await
        }
        Heard::Answer(_) | Heard::Ended | Heard::Broken(_) | Heard::Late => Ok(()),
    };
    for count in 0..PROBES {
        let probed = probe::fresh(proxy, backend, id, &format!("probe-{count}"), within).await;
        checked.clone().and(next.clone()).and(probed)?;
    }
    Ok(())
}

async fn hear(wire: &mut Wire, is_head: bool, within: Duration) -> Heard {
    let hearing = async {
        for _ in 0..INTERIMS {
            match wire.hear(is_head, within).await {
                Heard::Answer(answer) if answer.is_interim() => {}
                heard => return heard,
            }
        }
        Heard::Late
    };
    tokio::time::timeout(within, hearing).await.unwrap_or(Heard::Late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::run::{Bounds, run_vectors};
    use crate::hostile::{answers, vectors};

    /// With nobody between, everything that the suite calls bad gets through: it bites.
    #[tokio::test]
    async fn without_a_proxy_the_suites_find_much() {
        let node = Backend::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let answers: Vec<_> = answers::all().into_iter().filter(|a| !a.is_slow).collect();
        let within = Duration::from_secs(2);
        let report = run_answers(node.address(), &node, &answers, within).await;
        assert!(report.failed() > 60, "{report}");
        let bounds = Bounds { answer: Duration::from_millis(200), ..Bounds::default() };
        let bounds = Bounds { close: Duration::from_millis(50), ..bounds };
        let node = Backend::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let report = run_vectors(node.address(), &node, &vectors::all(), bounds).await;
        assert!(report.hard() > 60 && report.lenient() > 20, "{report}");
    }
}
