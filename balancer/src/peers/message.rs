//! What balancers tell each other, and its signature.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use http::{HeaderMap, HeaderName, HeaderValue};
use muster_protocol::signature::Field;
use muster_routing::context::ContextState;
use muster_routing::rows::Rows;
use muster_routing::word::Word;
use serde::{Deserialize, Serialize};

/// What one says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Says {
    /// Who.
    pub(super) name: String,
    /// Words: those of just now, or all of them.
    pub(super) words: Vec<Word>,
    /// What all of its words amount to.
    pub(super) digest: u64,
    /// What it was told last of the other's nodes amounts to that.
    pub(super) seen: Option<u64>,
}

/// What the other one answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answers {
    /// Who.
    pub(super) name: String,
    /// All of its words, where they amount to something else than what it was told.
    pub(super) words: Vec<Word>,
    /// What all of its words amount to.
    pub(super) digest: u64,
    /// What its nodes amount to.
    pub(super) seen_digest: u64,
    /// How its nodes stand, where that is news.
    pub(super) seen: Option<Seen>,
}

/// How a balancer's nodes stand: for each its contexts, by virtual host and path, with their states
/// (`enabled`, `disabled`, `stopped`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Seen(pub(super) BTreeMap<String, BTreeMap<String, State>>);

/// Which requests a context takes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// All.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// None.
    Stopped,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::Disabled => "disabled",
            State::Stopped => "stopped",
        }
    }
}

impl Seen {
    /// As these rows show them.
    pub(super) fn of(rows: &Rows) -> Seen {
        let mut seen = Seen::default();
        for node in &rows.nodes {
            let contexts = seen.0.entry(node.config.route.to_string()).or_default();
            for host in &node.hosts {
                // Two balancers may have heard the aliases in another order.
                let alias = host.aliases.iter().min().map(|alias| alias.as_str());
                for context in &host.contexts {
                    let name = format!("{}{}", alias.unwrap_or_default(), context.path);
                    let state = match context.state {
                        ContextState::Enabled => State::Enabled,
                        ContextState::Disabled => State::Disabled,
                        ContextState::Stopped => State::Stopped,
                    };
                    contexts.insert(name, state);
                }
            }
        }
        seen
    }

    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// What words amount to. Balancers of other versions may come to something else: then they tell
/// each other all of their words each time, and nothing worse.
pub(super) fn digest(words: &[Word]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for word in words {
        (&word.stamp, word.about.key()).hash(&mut hasher);
    }
    hasher.finish()
}

pub(super) fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// Puts a signature's headers beside the others.
pub(super) fn add(headers: &mut HeaderMap, name: &str, value: &str) {
    let named = HeaderName::from_bytes(name.as_bytes()).ok();
    if let (Some(name), Ok(value)) = (named, HeaderValue::from_str(value)) {
        headers.insert(name, value);
    }
}
