//! Whose a route is: who registered it, and who else may speak for it.
//!
//! Three kinds of proof say who somebody is, and a weaker one never takes what a stronger one
//! holds: a client certificate, a secret with an agent's instance id, an address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use muster_protocol::cluster::Members;

use crate::cluster::Seated;

/// Most bytes of an instance id or of a certificate's subject.
pub const MAX_NAME: usize = 255;

/// Who somebody is, by what was proven.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Nothing but where the connection comes from.
    Address(IpAddr),
    /// A process that knows the shared secret, and its id.
    Instance(Arc<str>),
    /// The subject of a client certificate of our authorities.
    Certificate(Arc<str>),
}

/// Who sent a message, and what it said beside the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Who it is.
    pub owner: Owner,
    /// Where its connection comes from.
    pub from: IpAddr,
    /// Sessions that the node holds, where it says so with its STATUS.
    pub sessions: Option<u64>,
    /// Those of them that end with the node, where it says so: others have the rest.
    pub bound_sessions: Option<u64>,
    /// The node's place in its cluster, where it says so with CONFIG and STATUS.
    pub seated: Option<Arc<Seated>>,
    /// Whom the node sees in its cluster, where it says so with STATUS.
    pub members: Option<Members>,
}

/// A text that is no owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no owner")]
pub struct BadOwner(pub String);

// === impl Owner ===

impl Owner {
    /// Whether what this one proved is worth as much as what the other one proved.
    fn is_as_strong_as(&self, other: &Owner) -> bool {
        self.strength() >= other.strength()
    }

    fn strength(&self) -> u8 {
        match self {
            Owner::Address(_) => 0,
            Owner::Instance(_) => 1,
            Owner::Certificate(_) => 2,
        }
    }
}

impl fmt::Display for Owner {
    /// A text that [`FromStr`] reads again, for who keeps owners over a restart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Address(ip) => write!(f, "address:{ip}"),
            Owner::Instance(id) => write!(f, "instance:{id}"),
            Owner::Certificate(subject) => write!(f, "certificate:{subject}"),
        }
    }
}

impl FromStr for Owner {
    type Err = BadOwner;

    fn from_str(text: &str) -> Result<Owner, BadOwner> {
        let bad = || BadOwner(text.to_owned());
        let (kind, name) = text.split_once(':').ok_or_else(bad)?;
        let is_name = (1..=MAX_NAME).contains(&name.len());
        match kind {
            "address" => name.parse().map(Owner::Address).map_err(|_| bad()),
            "instance" if is_name => Ok(Owner::Instance(name.into())),
            "certificate" if is_name => Ok(Owner::Certificate(name.into())),
            _ => Err(bad()),
        }
    }
}

// === impl Sender ===

impl Sender {
    /// Somebody at an address, of whom nothing else is known.
    pub fn at(from: IpAddr) -> Sender {
        Sender {
            owner: Owner::Address(from),
            from,
            sessions: None,
            bound_sessions: None,
            seated: None,
            members: None,
        }
    }
}

/// Who registered a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) owner: Owner,
    pub(crate) from: IpAddr,
}

/// What somebody may do with a node of another claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// It is the owner.
    Own,
    /// It may take the route when the node does not answer.
    WhenGone,
    /// None, whether the node answers or not.
    None,
}

// === impl Claim ===

impl Claim {
    pub(crate) fn of(sender: &Sender) -> Claim {
        Claim { owner: sender.owner.clone(), from: sender.from }
    }

    /// What the sender may do with the node of this claim. `is_in_place` says whether it would
    /// leave the node where it is: an agent that was started again has another instance id, and
    /// comes back at its old address, where it answers the old one's probe itself.
    pub(crate) fn right_of(&self, sender: &Sender, is_in_place: bool) -> Right {
        if self.owner == sender.owner {
            return Right::Own;
        }
        let comes_back = is_in_place && self.from == sender.from;
        match (&self.owner, &sender.owner) {
            // A certificate has a name that outlives the process.
            (Owner::Certificate(_), _) => Right::None,
            (held, by) if !by.is_as_strong_as(held) => Right::None,
            _ if comes_back => Right::Own,
            _ => Right::WhenGone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(owner: &str, from: &str) -> Claim {
        Claim { owner: owner.parse().unwrap(), from: from.parse().unwrap() }
    }

    fn sender(owner: &str, from: &str) -> Sender {
        let Claim { owner, from } = claim(owner, from);
        Sender { owner, ..Sender::at(from) }
    }

    #[test]
    fn an_owner_is_read_as_it_is_shown() {
        for text in ["address:10.0.0.1", "address:::1", "instance:ab:cd", "certificate:CN=a, O=b"] {
            assert_eq!(text.parse::<Owner>().unwrap().to_string(), text);
        }
        for bad in ["", "address", "address:x", "instance:", "else:a"] {
            assert_eq!(bad.parse::<Owner>(), Err(BadOwner(bad.to_owned())), "{bad}");
        }
        assert!(format!("instance:{}", "x".repeat(256)).parse::<Owner>().is_err());
    }

    #[test]
    fn the_owner_may_do_everything_from_anywhere() {
        for owner in ["address:10.0.0.1", "instance:a", "certificate:CN=a"] {
            let right = claim(owner, "10.0.0.1").right_of(&sender(owner, "10.0.0.2"), false);
            assert_eq!(right, Right::Own, "{owner}");
        }
    }

    #[test]
    fn a_weaker_proof_never_takes_what_a_stronger_one_holds() {
        let owners = ["address:10.0.0.1", "instance:a", "certificate:CN=a"];
        let others = ["address:10.0.0.2", "instance:b", "certificate:CN=b"];
        for (held, owner) in owners.into_iter().enumerate() {
            for (by, other) in others.into_iter().enumerate() {
                let right = claim(owner, "10.0.0.1").right_of(&sender(other, "10.0.0.2"), true);
                let expected = match held {
                    2 => Right::None,
                    held if by < held => Right::None,
                    _ => Right::WhenGone,
                };
                assert_eq!(right, expected, "{owner} {other}");
            }
        }
    }

    #[test]
    fn an_agent_that_was_started_again_comes_back_from_its_address_to_its_address() {
        let old = claim("instance:a", "10.0.0.1");
        let new = |from| sender("instance:b", from);
        assert_eq!(old.right_of(&new("10.0.0.1"), true), Right::Own);
        assert_eq!(old.right_of(&new("10.0.0.1"), false), Right::WhenGone);
        assert_eq!(old.right_of(&new("10.0.0.2"), true), Right::WhenGone);
        let certificate = claim("certificate:CN=a", "10.0.0.1");
        let other = sender("certificate:CN=b", "10.0.0.1");
        assert_eq!(certificate.right_of(&other, true), Right::None);
    }
}
