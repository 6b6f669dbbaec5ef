//! What two balancers show otherwise.

use super::Disagreement;
use super::message::Seen;

/// Most differences that are told.
const MOST: usize = 1_000;

/// What differs, by node and context: nodes that only one knows, contexts in another state.
pub(super) fn differences(here: &Seen, there: &Seen) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let nodes = here.0.keys().chain(there.0.keys().filter(|node| !here.0.contains_key(*node)));
    for node in nodes {
        if found.len() >= MOST {
            break;
        }
        let differs = |context: Option<&String>, here: &str, there: &str| Disagreement {
            node: node.clone(),
            context: context.cloned(),
            here: here.to_owned(),
            there: there.to_owned(),
        };
        match (here.0.get(node), there.0.get(node)) {
            (Some(_), None) => found.push(differs(None, "registered", "unknown")),
            (None, _) => found.push(differs(None, "unknown", "registered")),
            (Some(here), Some(there)) => {
                let all = here.keys().chain(there.keys().filter(|name| !here.contains_key(*name)));
                for context in all {
                    let states = [here.get(context), there.get(context)];
                    let [ours, theirs] =
                        states.map(|state| state.map_or("unknown", |state| state.word()));
                    if ours != theirs {
                        found.push(differs(Some(context), ours, theirs));
                    }
                }
            }
        }
    }
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::super::message::State;
    use super::*;

    fn seen(nodes: &[(&str, &[(&str, State)])]) -> Seen {
        let contexts = |contexts: &[(&str, State)]| {
            contexts.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect()
        };
        Seen(nodes.iter().map(|(node, of)| ((*node).to_owned(), contexts(of))).collect())
    }

    #[test]
    fn nodes_that_only_one_knows_and_contexts_in_another_state_are_told() {
        let here = seen(&[("a", &[("h/x", State::Stopped), ("h/y", State::Enabled)]), ("b", &[])]);
        let there = seen(&[("a", &[("h/x", State::Enabled), ("h/z", State::Enabled)]), ("c", &[])]);
        let told: Vec<String> = differences(&here, &there)
            .iter()
            .map(|d| {
                format!("{} {} {} {}", d.node, d.context.as_deref().unwrap_or("-"), d.here, d.there)
            })
            .collect();
        assert_eq!(
            told,
            [
                "a h/x stopped enabled",
                "a h/y enabled unknown",
                "a h/z unknown enabled",
                "b - registered unknown",
                "c - unknown registered",
            ]
        );
        assert_eq!(differences(&here, &here), []);
    }
}
