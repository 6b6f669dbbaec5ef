//! Policies as the settings of the cluster have them: what is set there wins over what the members'
//! programs say, on all members at once.

use std::sync::Arc;

use muster_singleton::{Election, Preference};

use super::policies::{Policies, Policy};
use crate::settings::{Setting, SettingsView, Value};

/// Their keys begin so.
pub(super) const PREFIX: &str = "singleton.policies.";
/// The name of the default policy.
const DEFAULT: &str = "singleton.policies.default";

/// The settings that there are.
pub(super) fn settings() -> [Setting; 5] {
    let is_name = |text: &str| !text.is_empty();
    [
        Setting::checked(DEFAULT, "the name of a policy", is_name)
            .about("the policy of singletons that name none"),
        Setting::whole("singleton.policies.*.quorum", 1..=1_000)
            .about("candidates that must be there, or nobody runs what has this policy"),
        Setting::choice("singleton.policies.*.election", &["simple", "random"])
            .about("by age, or any"),
        Setting::whole("singleton.policies.*.position", i64::from(i32::MIN)..=i64::from(i32::MAX))
            .about("of a simple election: 0 is the oldest, -1 the youngest"),
        Setting::checked("singleton.policies.*.prefers", "names and @addresses", |_| true)
            .about("nodes that are preferred, the first one most: names, or @host:port"),
    ]
}

/// What holds: what the program says, with what is set on top.
pub(super) fn on_top(base: &Arc<Policies>, view: &SettingsView) -> Arc<Policies> {
    let mut policies = (**base).clone();
    for (key, value) in view.set() {
        let Some(rest) = key.strip_prefix(PREFIX) else { continue };
        let Some((name, field)) = rest.split_once('.') else { continue };
        let mut policy = policies.get(name).cloned().unwrap_or_default();
        apply(&mut policy, field, value);
        policies.named.insert(name.to_owned(), policy);
    }
    // A name that there is no policy of counts as not set.
    if let Some(name) = view.text(DEFAULT).filter(|name| policies.get(name).is_some()) {
        policies.default = name;
    }
    Arc::new(policies)
}

fn apply(policy: &mut Policy, field: &str, value: &Value) {
    let rules = &mut policy.0;
    match (field, value) {
        ("quorum", Value::Whole(quorum)) => rules.quorum = u16::try_from(*quorum).unwrap_or(1),
        ("position", Value::Whole(position)) => {
            let position = i32::try_from(*position).unwrap_or(0);
            // Keys come in the order of their names: `election` before `position`.
            if rules.election != Election::Random {
                rules.election = Election::Simple { position };
            }
        }
        ("election", Value::Text(word)) if word == "random" => rules.election = Election::Random,
        ("election", Value::Text(_)) if rules.election == Election::Random => {
            rules.election = Election::default();
        }
        ("prefers", Value::Text(nodes)) => {
            let preference = |node: &str| match node.strip_prefix('@') {
                Some(address) => Preference::Address(address.to_owned()),
                None => Preference::Name(node.to_owned()),
            };
            rules.preferences = nodes.split_whitespace().map(preference).collect();
        }
        _ => {}
    }
}
