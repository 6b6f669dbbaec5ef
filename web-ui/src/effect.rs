//! What a verb would do, in numbers, before it is done.
//!
//! A function of the page's model: nothing is asked and nothing changed. Verbs that take something
//! from clients lead to a page that says so, and only its button does it.

use crate::action::{Action, Target, Verb};
use crate::attention::names;
use crate::page::{ContextState, Coverage, Level, Node, Page, VirtualHost};
use crate::text;

/// What a verb would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// Nodes that it is for.
    pub nodes: usize,
    /// Contexts that would change their state.
    pub contexts: usize,
    /// Requests in flight there; they finish.
    pub requests: u64,
    /// Sessions on these nodes; `None` where nobody reports them.
    pub sessions: Option<u64>,
    /// Whether a session that loses its node gets 503 rather than another one.
    pub is_forced: bool,
    /// Contexts that no node would serve.
    pub unserved: Vec<String>,
    /// Contexts that no node would serve to new clients, though old sessions go on.
    pub closed: Vec<String>,
    /// Contexts that one node alone would serve to new clients, of those that more serve now.
    pub last: Vec<String>,
}

/// One consequence, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// How grave it is.
    pub level: Level,
    /// The sentence.
    pub text: String,
}

/// What the action would do to the page as it is.
///
/// ```
/// # use muster_web_ui::{action::*, effect::effect, page::*};
/// # let page = Page::empty("muster", "0.1.0");
/// let stop = Action::new(Verb::Stop, Target::Node("n1".to_owned()));
/// assert_eq!(effect(&page, &stop).contexts, 0);
/// ```
pub fn effect(page: &Page, action: &Action) -> Effect {
    let before = Coverage::of(page);
    let mut after = before.clone();
    let mut effect = Effect::default();
    let met: Vec<&Node> = page.nodes().filter(|node| is_met(node, &action.target)).collect();
    effect.nodes = met.len();
    effect.is_forced = met.iter().any(|node| forces(page, node));
    effect.sessions = met.iter().filter_map(|node| node.sessions).reduce(u64::saturating_add);
    let becomes = action.verb.becomes();
    for coverage in &mut after {
        let (alias, path) = (coverage.alias, coverage.path);
        for place in &mut coverage.places {
            let met =
                is_met(place.node, &action.target) && has(place.node, alias, path, &action.target);
            if met && becomes.is_some_and(|state| state != place.state) {
                effect.contexts += 1;
                effect.requests += place.requests_in_flight;
                place.state = becomes.unwrap_or(place.state);
            }
        }
    }
    for (before, after) in before.iter().zip(&after) {
        let name = || match after.alias {
            Some(alias) => format!("{}{}", text::plain(alias), text::plain(after.path)),
            None => text::plain(after.path),
        };
        match (after.take_any(), after.take_new()) {
            (0, _) if before.take_any() > 0 => effect.unserved.push(name()),
            (_, 0) if before.take_new() > 0 => effect.closed.push(name()),
            (_, 1) if before.take_new() > 1 => effect.last.push(name()),
            _ => {}
        }
    }
    effect
}

/// Whether the node is one that the target is about.
fn is_met(node: &Node, target: &Target) -> bool {
    match target {
        Target::Context { route, .. } | Target::Node(route) => node.route == *route,
        Target::Group(domain) => node.domain == *domain,
    }
}

/// Whether the target is about this context of a node that it is about.
fn has(node: &Node, alias: Option<&str>, path: &str, target: &Target) -> bool {
    let Target::Context { aliases, path: wanted, .. } = target else { return true };
    let is_its = |host: &&VirtualHost| aliases.iter().all(|alias| host.aliases.contains(alias));
    let named =
        |host: &VirtualHost| alias.is_none_or(|alias| host.aliases.iter().any(|own| own == alias));
    path == wanted && node.virtual_hosts.iter().filter(is_its).any(named)
}

fn forces(page: &Page, node: &Node) -> bool {
    page.balancers
        .iter()
        .any(|balancer| balancer.name == node.balancer && balancer.sticky_session_force)
}

// === impl Verb ===

impl Verb {
    /// The state that contexts come into at once.
    pub fn becomes(self) -> Option<ContextState> {
        match self {
            Verb::Enable => Some(ContextState::Enabled),
            Verb::Disable | Verb::Drain => Some(ContextState::Disabled),
            Verb::Stop => Some(ContextState::Stopped),
            Verb::Cancel => None,
        }
    }
}

// === impl Effect ===

impl Effect {
    /// Whether an operator should read this before it is done: what takes requests away from
    /// somebody, and all that is for many nodes but gives.
    pub fn needs_a_word(&self, verb: Verb) -> bool {
        match verb {
            Verb::Enable | Verb::Cancel => false,
            // A drain's page asks for its deadline.
            Verb::Stop | Verb::Drain => true,
            Verb::Disable => self.nodes > 1 || !self.unserved.is_empty() || !self.closed.is_empty(),
        }
    }

    /// What follows, the gravest first.
    pub fn consequences(&self, verb: Verb) -> Vec<Consequence> {
        let mut all = Vec::new();
        let mut say = |level, text: String| all.push(Consequence { level, text });
        if !self.unserved.is_empty() {
            let names = names(self.unserved.iter().cloned());
            say(Level::Bad, format!("{names} will have 0 nodes: clients get 503"));
        }
        if !self.closed.is_empty() {
            let names = names(self.closed.iter().cloned());
            say(
                Level::Bad,
                format!("{names} will have 0 nodes for new sessions: new clients get 503"),
            );
        }
        if !self.last.is_empty() {
            let names = names(self.last.iter().cloned());
            say(Level::Warn, format!("{names} will have 1 node left for new sessions"));
        }
        if let Some((level, text)) = self.fate_of_sessions(verb) {
            say(level, text);
        }
        match (self.requests, verb) {
            (0, _) => say(Level::Info, "No request is in flight there".to_owned()),
            (1, _) => say(Level::Info, "1 request in flight finishes".to_owned()),
            (count, _) => say(Level::Info, format!("{count} requests in flight finish")),
        }
        let nodes = text::many(self.nodes as u64, "node");
        let contexts = text::many(self.contexts as u64, "context");
        say(Level::Info, format!("{contexts} of {nodes} change their state"));
        all
    }

    fn fate_of_sessions(&self, verb: Verb) -> Option<(Level, String)> {
        let sessions = match self.sessions {
            Some(count) => text::many(count, "session"),
            None => "The sessions of these contexts".to_owned(),
        };
        match verb {
            Verb::Stop if self.sessions == Some(0) => None,
            Verb::Stop if self.is_forced => Some((
                Level::Bad,
                format!(
                    "{sessions} will get 503: sticky-session-force keeps them from failing over"
                ),
            )),
            Verb::Stop => Some((Level::Warn, format!("{sessions} will fail over to other nodes"))),
            Verb::Disable => Some((Level::Info, format!("{sessions} stay where they are"))),
            Verb::Drain => {
                Some((Level::Info, format!("{sessions} stay until they end or the deadline comes")))
            }
            Verb::Enable | Verb::Cancel => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::NodeState;
    use crate::page::samples::{node, page};

    fn told(page: &Page, verb: Verb, target: Target) -> Vec<String> {
        let said = effect(page, &Action::new(verb, target)).consequences(verb);
        said.into_iter().map(|one| one.text).collect()
    }

    fn needs(page: &Page, verb: Verb, target: Target) -> bool {
        effect(page, &Action::new(verb, target)).needs_a_word(verb)
    }

    #[test]
    fn a_stop_says_what_becomes_of_requests_sessions_and_contexts() {
        let mut one = node("a", None, 2);
        one.virtual_hosts[0].contexts[0].requests_in_flight = 12;
        one.sessions = Some(40);
        let page = page(vec![one, node("b", None, 1)]);
        assert_eq!(
            told(&page, Verb::Stop, Target::Node("a".into())),
            [
                "/app1 will have 0 nodes: clients get 503",
                "/app0 will have 1 node left for new sessions",
                "40 sessions will fail over to other nodes",
                "12 requests in flight finish",
                "2 contexts of 1 node change their state",
            ]
        );
    }

    #[test]
    fn forced_sessions_get_503_and_that_is_said() {
        let mut page = page(vec![node("a", None, 1), node("b", None, 1), node("c", None, 1)]);
        page.balancers[0].sticky_session_force = true;
        let said = told(&page, Verb::Stop, Target::Node("a".into()));
        assert!(said[0].contains("will get 503: sticky-session-force"), "{said:?}");
    }

    #[test]
    fn a_node_that_is_down_helps_nobody() {
        let mut down = node("b", None, 1);
        down.state = NodeState::Down;
        let page = page(vec![node("a", None, 1), down]);
        let said = told(&page, Verb::Disable, Target::Node("a".into()));
        assert_eq!(said[0], "/app0 will have 0 nodes for new sessions: new clients get 503");
        let stop_the_dead = effect(&page, &Action::new(Verb::Stop, Target::Node("b".into())));
        assert!(stop_the_dead.unserved.is_empty(), "it served nothing before");
    }

    #[test]
    fn only_what_takes_from_clients_needs_a_word() {
        let page = page(vec![node("a", Some("g"), 1), node("b", Some("g"), 1), node("c", None, 1)]);
        let a = || Target::Node("a".into());
        let group = || Target::Group(Some("g".into()));
        assert!(needs(&page, Verb::Stop, a()));
        assert!(!needs(&page, Verb::Disable, a()), "two others take new sessions");
        assert!(needs(&page, Verb::Disable, group()), "two nodes at once");
        assert!(!needs(&page, Verb::Enable, group()));
        let context = |alias: &str| Target::Context {
            route: "a".into(),
            aliases: vec![alias.into()],
            path: "/app0".into(),
        };
        assert_eq!(effect(&page, &Action::new(Verb::Stop, context("localhost"))).contexts, 1);
        assert_eq!(effect(&page, &Action::new(Verb::Stop, context("other"))).contexts, 0);
    }
}
