//! Who is elected: a function of the candidates, of the policy, and of chance where the policy wants
//! it.

use std::fmt;

use muster_cluster::{MemberId, NodeId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A member that offers the service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Candidate {
    /// Its life.
    pub id: MemberId,
    /// Its name, unique in the cluster.
    pub name: Box<str>,
    /// Where its channel listens, `host:port`.
    pub address: Box<str>,
}

/// How a provider is chosen, and how many candidates there must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// Which of the candidates.
    pub election: Election,
    /// They win over the election, the first one that is there over the later ones.
    pub preferences: Vec<Preference>,
    /// With fewer candidates nobody runs the service. At least 1; as a rule more than half of the
    /// members that there will be.
    pub quorum: u16,
}

/// Which of the candidates, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Election {
    /// By age: 0 is the oldest, 1 the second oldest, -1 the youngest. A position beyond the number of
    /// candidates is taken modulo that number.
    Simple {
        /// Which.
        position: i32,
    },
    /// Any of them. A present provider stays: chance is asked when there is none.
    Random,
}

/// A member that shall run the service whenever it is there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Preference {
    /// The member of this name.
    Name(String),
    /// The member whose channel listens at this `host:port`, or at this host.
    Address(String),
}

/// Why nobody runs the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NoProvider {
    /// Nobody offers it.
    #[error("no member offers it")]
    Nobody,
    /// Too few offer it.
    #[error("{candidates} candidates are fewer than the quorum of {quorum}")]
    BelowQuorum {
        /// How many do.
        candidates: usize,
        /// How many must.
        quorum: u16,
    },
}

/// The member that shall run the service, out of the candidates, oldest first. `present` is who does
/// now, `moved` the node to which an operator moved it: that one wins over all while it is a candidate.
///
/// ```
/// # use muster_singleton::*;
/// # use muster_cluster::{MemberId, NodeId};
/// # let candidate = |node: u128| Candidate {
/// #     id: MemberId { node: NodeId(node), incarnation: 1 },
/// #     name: format!("node{node}").into(),
/// #     address: "".into(),
/// # };
/// let youngest = Policy { election: Election::Simple { position: -1 }, ..Policy::default() };
/// let candidates = [candidate(1), candidate(2), candidate(3)];
/// assert_eq!(elect(&youngest, &candidates, None, None, 0), Ok(candidates[2].id));
/// ```
///
/// # Errors
/// See [`NoProvider`].
pub fn elect(
    policy: &Policy,
    candidates: &[Candidate],
    present: Option<MemberId>,
    moved: Option<NodeId>,
    chance: u64,
) -> Result<MemberId, NoProvider> {
    if candidates.is_empty() {
        return Err(NoProvider::Nobody);
    }
    if candidates.len() < usize::from(policy.quorum) {
        let (candidates, quorum) = (candidates.len(), policy.quorum);
        return Err(NoProvider::BelowQuorum { candidates, quorum });
    }
    let moved_to = moved.and_then(|node| candidates.iter().find(|one| one.id.node == node));
    let preferred = || {
        let mut there = policy.preferences.iter().map(|p| candidates.iter().find(|c| p.is(c)));
        there.find_map(|found| found)
    };
    let elected = moved_to.or_else(preferred).unwrap_or_else(|| {
        let at = policy.election.position(candidates, present, chance);
        &candidates[at]
    });
    Ok(elected.id)
}

// === impl Policy ===

impl Default for Policy {
    /// The oldest, with a quorum of 1.
    fn default() -> Self {
        Self { election: Election::default(), preferences: Vec::new(), quorum: 1 }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.election {
            Election::Simple { position } => write!(f, "simple({position})")?,
            Election::Random => f.write_str("random")?,
        }
        for (at, preference) in self.preferences.iter().enumerate() {
            f.write_str(if at == 0 { ", prefers " } else { " " })?;
            match preference {
                Preference::Name(name) => f.write_str(name)?,
                Preference::Address(address) => write!(f, "@{address}")?,
            }
        }
        if self.quorum > 1 { write!(f, ", quorum {}", self.quorum) } else { Ok(()) }
    }
}

// === impl Election ===

impl Default for Election {
    fn default() -> Self {
        Self::Simple { position: 0 }
    }
}

impl Election {
    /// An index of the candidates, of which there is at least one.
    fn position(self, candidates: &[Candidate], present: Option<MemberId>, chance: u64) -> usize {
        let count = candidates.len();
        match self {
            Self::Simple { position } => {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                usize::try_from(i64::from(position).rem_euclid(count)).unwrap_or(0)
            }
            Self::Random => {
                let is_present = |one: &Candidate| Some(one.id) == present;
                let any = usize::try_from(chance % count as u64).unwrap_or(0);
                candidates.iter().position(is_present).unwrap_or(any)
            }
        }
    }
}

// === impl Preference ===

impl Preference {
    fn is(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Name(name) => **name == *candidate.name,
            Self::Address(address) => {
                let host = candidate.address.rsplit_once(':').map(|(host, _)| host);
                **address == *candidate.address || host == Some(address)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(nodes: &[u128]) -> Vec<Candidate> {
        let candidate = |node: &u128| Candidate {
            id: MemberId { node: NodeId(*node), incarnation: 1 },
            name: format!("node{node}").into(),
            address: format!("10.0.0.{node}:7700").into(),
        };
        nodes.iter().map(candidate).collect()
    }

    fn node(elected: Result<MemberId, NoProvider>) -> u128 {
        elected.expect("somebody is elected").node.0
    }

    #[test]
    fn a_position_counts_from_the_oldest_or_from_the_youngest_and_wraps_around() {
        let by = |position, count: u128| {
            let policy = Policy { election: Election::Simple { position }, ..Policy::default() };
            let nodes: Vec<u128> = (1..=count).collect();
            node(elect(&policy, &candidates(&nodes), None, None, 7))
        };
        assert_eq!([by(0, 3), by(1, 3), by(2, 3)], [1, 2, 3]);
        assert_eq!([by(-1, 3), by(-2, 3), by(-3, 3)], [3, 2, 1]);
        assert_eq!([by(3, 3), by(4, 3), by(-4, 3), by(5, 1)], [1, 2, 3, 1]);
        assert_eq!([by(i32::MIN, 1), by(i32::MAX, 2)], [1, 2]);
    }

    #[test]
    fn chance_chooses_a_provider_where_there_is_none_and_moves_none() {
        let policy = Policy { election: Election::Random, ..Policy::default() };
        let three = candidates(&[1, 2, 3]);
        let any: Vec<u128> = (0..3).map(|c| node(elect(&policy, &three, None, None, c))).collect();
        assert_eq!(any, [1, 2, 3]);
        let present = Some(three[1].id);
        assert_eq!(node(elect(&policy, &three, present, None, 0)), 2);
        assert_eq!(node(elect(&policy, &candidates(&[1, 3]), present, None, 1)), 3);
    }

    #[test]
    fn preferences_win_over_the_election_by_name_or_address_and_a_move_wins_over_them() {
        let preferences = vec![
            Preference::Name("node9".to_owned()),
            Preference::Address("10.0.0.2:7700".to_owned()),
            Preference::Address("10.0.0.3".to_owned()),
        ];
        let policy = Policy { preferences, ..Policy::default() };
        let of = |nodes: &[u128], moved: Option<u128>| {
            node(elect(&policy, &candidates(nodes), None, moved.map(NodeId), 0))
        };
        assert_eq!([of(&[1, 2, 3, 9], None), of(&[1, 2, 3], None), of(&[1, 3], None)], [9, 2, 3]);
        assert_eq!(of(&[1, 4], None), 1);
        assert_eq!([of(&[1, 2, 9], Some(2)), of(&[1, 2, 9], Some(5))], [2, 9]);
    }

    #[test]
    fn below_the_quorum_nobody_is_elected_not_even_who_is_preferred() {
        let preferences = vec![Preference::Name("node1".to_owned())];
        let policy = Policy { preferences, quorum: 2, ..Policy::default() };
        let below = NoProvider::BelowQuorum { candidates: 1, quorum: 2 };
        assert_eq!(elect(&policy, &candidates(&[1]), None, Some(NodeId(1)), 0), Err(below));
        assert_eq!(node(elect(&policy, &candidates(&[2, 1]), None, None, 0)), 1);
        assert_eq!(elect(&policy, &[], None, None, 0), Err(NoProvider::Nobody));
        assert_eq!(policy.to_string(), "simple(0), prefers node1, quorum 2");
    }
}
