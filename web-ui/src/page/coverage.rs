//! Contexts across nodes: who serves what, and what would be left.

use std::collections::BTreeMap;

use super::{Context, ContextState, Node, Page};

/// A context with all the nodes that have it.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage<'p> {
    /// The host name, where host names count.
    pub alias: Option<&'p str>,
    /// Where it is mounted.
    pub path: &'p str,
    /// Its nodes, in the order of the page.
    pub places: Vec<Place<'p>>,
}

/// A context on one node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place<'p> {
    /// The node.
    pub node: &'p Node,
    /// What the context takes there.
    pub state: ContextState,
    /// Its requests that are at the node now.
    pub requests_in_flight: u64,
    /// Its requests so far.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
}

// === impl Coverage ===

impl<'p> Coverage<'p> {
    /// All contexts, by host name and path. Where host names do not count, a context that stands
    /// on several virtual hosts of a node is one, in the state that takes most.
    pub fn of(page: &'p Page) -> Vec<Coverage<'p>> {
        let mut all = BTreeMap::<(Option<&str>, &str), Vec<Place<'p>>>::new();
        for node in page.nodes() {
            for host in &node.virtual_hosts {
                for context in &host.contexts {
                    let place = Place::new(node, context);
                    match page.by_alias {
                        false => join(all.entry((None, &context.path)).or_default(), place),
                        true => host.aliases.iter().for_each(|alias| {
                            join(all.entry((Some(alias), &context.path)).or_default(), place);
                        }),
                    }
                }
            }
        }
        let coverage = |((alias, path), places)| Coverage { alias, path, places };
        all.into_iter().map(coverage).collect()
    }

    /// Nodes that take requests of new sessions.
    pub fn take_new(&self) -> usize {
        self.places.iter().filter(|place| place.takes_new()).count()
    }

    /// Nodes that take any request at all.
    pub fn take_any(&self) -> usize {
        self.places.iter().filter(|place| place.takes_any()).count()
    }

    /// Its places in a state.
    pub fn places_in(&self, state: ContextState) -> usize {
        self.places.iter().filter(|place| place.state == state).count()
    }

    /// Its requests that are at nodes now.
    pub fn requests_in_flight(&self) -> u64 {
        self.places.iter().map(|place| place.requests_in_flight).sum()
    }

    /// Its requests so far.
    pub fn requests(&self) -> u64 {
        self.places.iter().map(|place| place.requests).sum()
    }

    /// Those of them that failed.
    pub fn errors(&self) -> u64 {
        self.places.iter().map(|place| place.errors).sum()
    }
}

// === impl Place ===

impl<'p> Place<'p> {
    fn new(node: &'p Node, context: &Context) -> Place<'p> {
        Place {
            node,
            state: context.state,
            requests_in_flight: context.requests_in_flight,
            requests: context.requests,
            errors: context.errors,
        }
    }

    /// Whether it takes requests of new sessions.
    pub fn takes_new(&self) -> bool {
        self.node.state.takes_new() && self.state == ContextState::Enabled
    }

    /// Whether it takes any request at all.
    pub fn takes_any(&self) -> bool {
        self.node.state.is_alive() && self.state != ContextState::Stopped
    }
}

/// The counts of a context are the same on each host of a node.
fn join<'p>(places: &mut Vec<Place<'p>>, place: Place<'p>) {
    match places.last_mut() {
        Some(last) if std::ptr::eq(last.node, place.node) => {
            last.state = last.state.min(place.state);
        }
        _ => places.push(place),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{node, page};
    use super::super::{NodeState, VirtualHost};
    use super::*;

    #[test]
    fn a_context_has_the_nodes_that_take_its_requests() {
        let mut down = node("b", None, 1);
        down.state = NodeState::Down;
        let mut old = node("c", None, 1);
        old.virtual_hosts[0].contexts[0].state = ContextState::Disabled;
        let page = page(vec![node("a", None, 2), down, old]);
        let all = Coverage::of(&page);
        assert_eq!(all.iter().map(|c| c.path).collect::<Vec<_>>(), ["/app0", "/app1"]);
        assert_eq!((all[0].take_new(), all[0].take_any(), all[0].places.len()), (1, 2, 3));
        assert_eq!(all[0].requests(), 120);
    }

    #[test]
    fn a_context_on_two_hosts_of_a_node_is_one_unless_host_names_count() {
        let mut two = node("a", None, 1);
        let mut other: VirtualHost = two.virtual_hosts[0].clone();
        other.aliases = vec!["shop.example".to_owned()];
        other.contexts[0].state = ContextState::Stopped;
        two.virtual_hosts.insert(0, other);
        let mut page = page(vec![two]);
        let one = Coverage::of(&page);
        assert_eq!((one.len(), one[0].places.len(), one[0].take_new()), (1, 1, 1));
        page.by_alias = true;
        let seen: Vec<_> = Coverage::of(&page).iter().map(|c| (c.alias, c.take_new())).collect();
        assert_eq!(seen, [(Some("localhost"), 1), (Some("shop.example"), 0)]);
    }
}
