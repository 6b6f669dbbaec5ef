//! Policies by name, with a default: what singletons choose by name follows a change at once.

use std::collections::BTreeMap;

use muster_singleton::{Election, Policy as Rules, Preference};

/// How a provider is chosen, and how many candidates there must be.
///
/// ```
/// use muster_agent::singleton::Policy;
/// let policy = Policy::youngest().prefer("node1").prefer_address("10.0.0.2:7700").quorum(3);
/// assert_eq!(policy.to_string(), "simple(-1), prefers node1 @10.0.0.2:7700, quorum 3");
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Policy(pub(crate) Rules);

/// Policies by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policies {
    /// The name of the one that counts where none is chosen.
    pub default: String,
    /// All.
    pub named: BTreeMap<String, Policy>,
}

/// What a singleton was told of its policy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Choice {
    pub(super) policy: Chosen,
    /// Wins over the policy's.
    pub(super) quorum: Option<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) enum Chosen {
    #[default]
    Default,
    Named(String),
    Own(Policy),
}

// === impl Policy ===

impl Policy {
    /// The oldest member.
    pub fn oldest() -> Self {
        Self::at(0)
    }

    /// The youngest member.
    pub fn youngest() -> Self {
        Self::at(-1)
    }

    /// By age: 0 is the oldest member, 1 the second oldest, -1 the youngest. A position beyond the
    /// number of candidates is taken modulo that number.
    pub fn at(position: i32) -> Self {
        Self(Rules { election: Election::Simple { position }, ..Rules::default() })
    }

    /// Any member. A provider stays while it is there.
    pub fn random() -> Self {
        Self(Rules { election: Election::Random, ..Rules::default() })
    }

    /// The member of this name runs it whenever it is there; earlier preferences win over later ones.
    pub fn prefer(mut self, node: impl Into<String>) -> Self {
        self.0.preferences.push(Preference::Name(node.into()));
        self
    }

    /// The same by the address of the member's channel: `host:port`, or `host`.
    pub fn prefer_address(mut self, address: impl Into<String>) -> Self {
        self.0.preferences.push(Preference::Address(address.into()));
        self
    }

    /// With fewer candidates nobody runs it: more than half of those that there will be, as a rule.
    /// 0 is taken as 1.
    pub fn quorum(mut self, candidates: u16) -> Self {
        self.0.quorum = candidates.max(1);
        self
    }

    /// How it elects.
    #[must_use]
    pub fn election(&self) -> Election {
        self.0.election
    }

    /// Who is preferred.
    #[must_use]
    pub fn preferences(&self) -> &[Preference] {
        &self.0.preferences
    }

    /// Its quorum.
    #[must_use]
    pub fn least(&self) -> u16 {
        self.0.quorum
    }
}

impl std::fmt::Display for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Policies ===

impl Default for Policies {
    /// One called `default`: the oldest member.
    fn default() -> Self {
        let default = "default".to_owned();
        Self { named: BTreeMap::from([(default.clone(), Policy::default())]), default }
    }
}

impl Policies {
    /// The policy of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Policy> {
        self.named.get(name)
    }

    /// One more, or another one of that name.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, policy: Policy) -> Self {
        self.named.insert(name.into(), policy);
        self
    }

    /// What a singleton's choice comes to. A name that is there no more counts as the default.
    pub(super) fn resolve(&self, choice: &Choice) -> Policy {
        let default = || self.get(&self.default).cloned().unwrap_or_default();
        let policy = match &choice.policy {
            Chosen::Default => default(),
            Chosen::Named(name) => self.get(name).cloned().unwrap_or_else(default),
            Chosen::Own(policy) => policy.clone(),
        };
        match choice.quorum {
            Some(quorum) => policy.quorum(quorum),
            None => policy,
        }
    }
}

// === impl Choice ===

impl Choice {
    /// The policy's name on page and in reports.
    pub(super) fn name(&self, policies: &Policies) -> String {
        match &self.policy {
            Chosen::Default => policies.default.clone(),
            Chosen::Named(name) => name.clone(),
            Chosen::Own(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_by_name_by_default_or_its_own_and_its_quorum_wins() {
        let policies = Policies::default().with("young", Policy::youngest().quorum(2));
        let of = |policy, quorum| policies.resolve(&Choice { policy, quorum }).to_string();
        let young = || Chosen::Named("young".to_owned());
        assert_eq!(of(Chosen::Default, None), "simple(0)");
        assert_eq!(of(young(), None), "simple(-1), quorum 2");
        assert_eq!(of(young(), Some(3)), "simple(-1), quorum 3");
        assert_eq!(of(Chosen::Named("gone".to_owned()), None), "simple(0)");
        assert_eq!(of(Chosen::Own(Policy::random()), None), "random");
    }
}
