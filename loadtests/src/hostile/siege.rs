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
use super::client::{Client, Front};
use super::judge::Verdict;
use super::probe;
use super::report::Report;
use super::wire::Heard;

/// How many clients ask after each answer, each on a connection of its own.
const PROBES: usize = 3;

/// Between two attempts of a probe.
const PAUSE: Duration = Duration::from_millis(50);

/// Gives all answers; `within` bounds what a client waits, and how long the proxy may take until
/// it serves others again. The case ids are the places in the list. HTTP/2 knows no upgrade, so
/// answers to one are not given to its clients.
pub async fn run_answers(
    front: Front,
    proxy: SocketAddr,
    backend: &Backend,
    answers: &[HostileAnswer],
    within: Duration,
) -> Report {
    let mut report = Report::new("hostile answers");
    let mut slow = Vec::new();
    let can_ask = |answer: &HostileAnswer| front == Front::Http1 || answer.ask != Ask::Upgrade;
    for (id, answer) in (1..).zip(answers.iter().filter(|answer| can_ask(answer))) {
        match answer.is_slow {
            true => slow.push((id, answer)),
            false => {
                let verdict = verdict(strike((front, proxy), backend, answer, id, within).await);
                report.add(&answer.name, verdict);
            }
        }
    }
    let strikes =
        slow.iter().map(|(id, answer)| strike((front, proxy), backend, answer, *id, within));
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
    (front, proxy): (Front, SocketAddr),
    backend: &Backend,
    answer: &HostileAnswer,
    id: CaseId,
    within: Duration,
) -> Result<(), String> {
    probe::fresh(front, proxy, backend, id, "before", within).await?;
    backend.script(id, answer.script.clone());
    if let Some(words) = &answer.first_words {
        backend.drop_idle();
        tokio::time::sleep(PAUSE).await;
        backend.speak_first(id, words.clone());
    }
    let client = Client::connect(front, proxy).await;
    let mut client = client.map_err(|e| format!("no connection: {e}"))?;
    let request = case::fill(&answer.request(), id);
    let heard = client.ask(&request, answer.ask == Ask::Head, within).await;
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
            probe::next(&mut client, backend, id, within).await
        }
        Heard::Answer(_) | Heard::Ended | Heard::Broken(_) | Heard::Late => Ok(()),
    };
    for count in 0..PROBES {
        let probed =
            probe::fresh(front, proxy, backend, id, &format!("probe-{count}"), within).await;
        checked.clone().and(next.clone()).and(probed)?;
    }
    Ok(())
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
        let report = run_answers(Front::Http1, node.address(), &node, &answers, within).await;
        assert!(report.failed() > 60, "{report}");
        let bounds = Bounds { answer: Duration::from_millis(200), ..Bounds::default() };
        let bounds = Bounds { close: Duration::from_millis(50), ..bounds };
        let node = Backend::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let report = run_vectors(node.address(), &node, &vectors::all(), bounds).await;
        assert!(report.hard() > 60 && report.lenient() > 20, "{report}");
    }
}
