//! What an operator has to know first: the few sentences on top of the page, the worst first.
//!
//! They are computed of the same model that is shown below them, so that a sentence never speaks
//! of something that the page does not have.

use crate::page::{BalancerState, ContextState, Coverage, Level, Node, NodeState, Page};
use crate::text;

/// Most sentences; what is more is counted in the last one.
pub const MAX_SENTENCES: usize = 12;

/// Most names in a sentence.
const MAX_NAMES: usize = 3;

/// A node that reports is silent once its last STATUS is older than this; they come every 10 s.
const SILENT_AFTER_SECONDS: u64 = 60;

/// From this part of failed requests on it is a warning, in percent.
const WARN_PERCENT: f64 = 1.0;

/// From this part of failed requests on it is a problem, in percent.
const BAD_PERCENT: f64 = 5.0;

/// One sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// How grave it is.
    pub level: Level,
    /// The sentence; names in it are made visible and cut.
    pub text: String,
    /// Where to look, a path of the page; empty where there is nothing more to see.
    pub link: String,
}

/// What needs attention, the worst first; empty when all is well.
pub fn attention(page: &Page) -> Vec<Attention> {
    let mut all = Vec::new();
    balancer(page, &mut all);
    contexts(page, &mut all);
    nodes(page, &mut all);
    traffic(page, &mut all);
    peers(page, &mut all);
    clusters(page, &mut all);
    all.sort_by_key(|one| one.level);
    if all.len() > MAX_SENTENCES {
        let more = all.len() - (MAX_SENTENCES - 1);
        all.truncate(MAX_SENTENCES - 1);
        say(&mut all, Level::Warn, format!("{more} more warnings"), "/contexts");
    }
    all
}

fn balancer(page: &Page, all: &mut Vec<Attention>) {
    if page.state != BalancerState::Ready {
        let text = format!("The balancer is {}: {}", page.state.word(), page.state.meaning());
        say(all, Level::Warn, text, "");
    }
    if page.waiting > 0 {
        let text = format!("{} wait for a node", text::many(page.waiting, "request"));
        say(all, Level::Warn, text, "");
    }
}

/// Contexts are told in sums: a group of nodes that is down takes many contexts with it.
fn contexts(page: &Page, all: &mut Vec<Attention>) {
    let coverage = Coverage::of(page);
    let name = |context: &&Coverage<'_>| match context.alias {
        Some(alias) => format!("{}{}", text::plain(alias), text::plain(context.path)),
        None => text::plain(context.path),
    };
    let wanted = |context: &&Coverage<'_>| {
        // Stopped everywhere is somebody's wish.
        context.places.iter().any(|place| place.state != ContextState::Stopped)
    };
    let dead: Vec<_> = coverage.iter().filter(wanted).filter(|c| c.take_any() == 0).collect();
    if !dead.is_empty() {
        let (names, verb) = (names(dead.iter().map(name)), has(dead.len()));
        let text = format!("{names} {verb} no node: clients get 503");
        say(all, Level::Bad, text, "/contexts?only=trouble");
    }
    let old = |c: &&Coverage<'_>| c.take_any() > 0 && c.take_new() == 0;
    let closed: Vec<_> = coverage.iter().filter(old).collect();
    if !closed.is_empty() {
        let (names, verb) = (names(closed.iter().map(name)), has(closed.len()));
        let text = format!("{names} {verb} no node for new sessions: new clients get 503");
        say(all, Level::Bad, text, "/contexts?only=trouble");
    }
    let last = |c: &&Coverage<'_>| c.take_new() == 1 && c.places.len() > 1;
    let lonely: Vec<_> = coverage.iter().filter(last).collect();
    if !lonely.is_empty() {
        let (names, verb) = (names(lonely.iter().map(name)), has(lonely.len()));
        let text = format!("{names} {verb} one node left for new sessions");
        say(all, Level::Warn, text, "/contexts?only=trouble");
    }
}

fn has(count: usize) -> &'static str {
    if count == 1 { "has" } else { "have" }
}

fn nodes(page: &Page, all: &mut Vec<Attention>) {
    let mut told = |level, what: &str, matches: &dyn Fn(&Node) -> bool| {
        let found: Vec<&Node> = page.nodes().filter(|node| matches(node)).collect();
        let Some(first) = found.first() else { return };
        let link = match found.len() {
            1 => format!("/nodes/{}", text::encoded(&first.route)),
            _ => "/?only=trouble".to_owned(),
        };
        let names = names(found.iter().map(|node| text::plain(&node.route)));
        let is = if found.len() == 1 { "is" } else { "are" };
        say(all, level, format!("{names} {is} {what}"), &link);
    };
    told(Level::Bad, "down: no answer to connects and probes", &|node| {
        node.state == NodeState::Down
    });
    told(Level::Bad, "in an error state, by their own report (load -1)", &|node| {
        node.state == NodeState::Error
    });
    told(Level::Warn, "silent: no STATUS for more than a minute", &|node| {
        let silent = node.seconds_since_status.is_some_and(|age| age > SILENT_AFTER_SECONDS);
        node.state.is_alive() && silent
    });
    told(Level::Warn, "almost overloaded (load 10 or less)", &|node| {
        node.state.takes_new() && (1..=10).contains(&node.load.number())
    });
    told(Level::Warn, "answering with errors to one of a hundred requests or more", &|node| {
        node.pace.error_percent().is_some_and(|percent| percent >= WARN_PERCENT)
    });
}

/// What is over is told on the tab of the topology alone: it would stand on top for good.
fn clusters(page: &Page, all: &mut Vec<Attention>) {
    for cluster in &page.clusters {
        let name = text::plain(&cluster.name);
        if cluster.error.is_some() {
            say(all, Level::Warn, format!("No member of cluster {name} answers"), "/topology");
        }
        for warning in cluster.warnings.iter().filter(|warning| !warning.is_past) {
            let text = format!("Cluster {name}: {}", text::sentence(&warning.text));
            say(all, warning.level, text, "/topology");
        }
    }
}

fn traffic(page: &Page, all: &mut Vec<Attention>) {
    let Some(percent) = page.pace.error_percent() else { return };
    let level = match percent {
        percent if percent >= BAD_PERCENT => Level::Bad,
        percent if percent >= WARN_PERCENT => Level::Warn,
        _ => return,
    };
    let window = page.pace.window.label();
    say(all, level, format!("{percent:.1} % of the requests of the last {window} failed"), "");
}

fn peers(page: &Page, all: &mut Vec<Attention>) {
    for peer in &page.peers {
        let name = text::plain(&peer.name);
        if !peer.answers {
            let text = format!("The peer {name} does not answer: verbs do not reach it");
            say(all, Level::Warn, text, "/topology");
        }
        if !peer.disagreements.is_empty() {
            let count = text::many(peer.disagreements.len() as u64, "point");
            let text = format!("The peer {name} disagrees with us in {count}");
            say(all, Level::Warn, text, "/topology");
        }
    }
}

fn say(all: &mut Vec<Attention>, level: Level, text: String, link: &str) {
    all.push(Attention { level, text, link: link.to_owned() });
}

/// `a`, `a, b and c`, `a, b, c and 7 more`.
pub(crate) fn names(names: impl ExactSizeIterator<Item = String>) -> String {
    let count = names.len();
    let shown: Vec<String> = names.take(MAX_NAMES).collect();
    match count.saturating_sub(MAX_NAMES) {
        0 => match shown.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
            None => String::new(),
        },
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples::{node, page};

    fn said(page: &Page) -> Vec<String> {
        attention(page)
            .into_iter()
            .map(|one| format!("{}: {}", one.level.word(), one.text))
            .collect()
    }

    #[test]
    fn a_good_day_needs_no_words() {
        assert_eq!(said(&page(vec![node("a", None, 2), node("b", None, 2)])), Vec::<String>::new());
    }

    #[test]
    fn the_worst_stands_first_and_says_what_clients_get() {
        let mut down = node("b", None, 2);
        down.state = NodeState::Down;
        let mut slow = node("a", None, 1);
        slow.load = crate::page::Load::new(5);
        let mut page = page(vec![slow, down]);
        page.waiting = 3;
        assert_eq!(
            said(&page),
            [
                "problem: /app1 has no node: clients get 503",
                "problem: b is down: no answer to connects and probes",
                "warning: 3 requests wait for a node",
                "warning: /app0 has one node left for new sessions",
                "warning: a is almost overloaded (load 10 or less)",
            ]
        );
    }

    #[test]
    fn a_context_that_was_stopped_everywhere_is_no_alarm_but_a_disabled_one_is() {
        let mut only = node("a", None, 2);
        only.virtual_hosts[0].contexts[0].state = ContextState::Stopped;
        only.virtual_hosts[0].contexts[1].state = ContextState::Disabled;
        assert_eq!(
            said(&page(vec![only])),
            ["problem: /app1 has no node for new sessions: new clients get 503"]
        );
    }

    #[test]
    fn failed_requests_are_told_from_one_in_a_hundred_on() {
        for (errors, level) in [(9, None), (10, Some(Level::Warn)), (50, Some(Level::Bad))] {
            let mut page = page(vec![node("a", None, 1)]);
            (page.pace.requests, page.pace.errors) = (1_000, errors);
            assert_eq!(attention(&page).first().map(|one| one.level), level, "{errors}");
        }
    }

    #[test]
    fn many_names_are_counted_and_many_sentences_too() {
        let down = |at| {
            let mut node = node(&format!("n{at}"), None, 0);
            node.state = NodeState::Down;
            node
        };
        assert_eq!(
            said(&page((0..30).map(down).collect())),
            ["problem: n0, n1, n2 and 27 more are down: no answer to connects and probes"]
        );
        let mut page = page(vec![node("a", None, 1)]);
        page.peers = (0..40)
            .map(|at| crate::page::Peer {
                name: format!("p{at}"),
                answers: false,
                why_not: None,
                seconds_since_answer: None,
                disagreements: Vec::new(),
            })
            .collect();
        let said = said(&page);
        assert_eq!(said.len(), MAX_SENTENCES);
        assert_eq!(said.last().unwrap(), "warning: 29 more warnings");
    }
}
