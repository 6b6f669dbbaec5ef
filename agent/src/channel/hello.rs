//! The first words on a connection, each way: who speaks, of which cluster, in which versions. The
//! dialler speaks first. Whoever is not wanted is told why, in a sentence.

use muster_cluster::{MemberId, NodeId};
use muster_grid::wire;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How every connection begins; the line end shows text protocols what this is not.
const MAGIC: [u8; 8] = *b"MUSTER\r\n";
/// Magic, least and highest version, length of the greeting.
pub(crate) const PREFACE: usize = 16;
/// Bytes of a greeting at most.
pub(crate) const MOST: usize = 4096;
/// Wire versions that this release speaks: this one and that of the release before.
pub(crate) const VERSIONS: (u16, u16) = (wire::VERSIONS.0 as u16, wire::VERSIONS.1 as u16);

/// Which of the two connections to a peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Lane {
    /// Calls and replication.
    Calls,
    /// State transfer, so that it never delays a call.
    Bulk,
}

/// Who speaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// Node.
    pub(crate) node: u128,
    /// Which of its lives.
    pub(crate) incarnation: u64,
    /// Random for each process: tells two processes with one data directory apart.
    pub(crate) boot: u64,
    /// Whether it is in a view.
    pub(crate) is_in: bool,
    /// Its name.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: String,
    /// What the connection is for: the dialler's word counts.
    pub(crate) lane: Lane,
    /// That it knows the cluster's secret, where there is one.
    pub(crate) proof: Option<[u8; 32]>,
}

/// The first words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Greeting {
    /// Welcome.
    Hello(Hello),
    /// Not welcome.
    Refused(Refused),
}

/// Why a connection is refused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Error, Serialize, Deserialize)]
pub(crate) enum Refused {
    /// It proved nothing, or with another secret.
    #[error("the cluster secret of the other side is another one, or it has none")]
    Secret,
    /// Another cluster.
    #[error("the other side is of cluster {theirs:?}, this one is {ours:?}")]
    Cluster {
        /// Who asked.
        theirs: String,
        /// Who answers.
        ours: String,
    },
    /// No common version.
    #[error(
        "the other side speaks versions {} to {} of the cluster's wire, this one {} to {}",
        theirs.0, theirs.1, ours.0, ours.1
    )]
    Version {
        /// Who asked.
        theirs: (u16, u16),
        /// Who answers.
        ours: (u16, u16),
    },
    /// Two processes with one data directory, or copies of one.
    #[error(
        "the node id {node:032x} belongs to {name:?} at {address}, which is alive: was its data directory copied?"
    )]
    IdTaken {
        /// The id.
        node: u128,
        /// Who has it.
        name: String,
        /// Where.
        address: String,
    },
    /// A field out of bounds.
    #[error("name or address of the other side is empty or too long")]
    Malformed,
    /// A bound was reached.
    #[error("too many peers are linked already")]
    Full,
}

/// Why the first words are not understood.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
pub(crate) enum BadHello {
    /// Something else listens or talks there.
    #[error("the other side does not speak the cluster's protocol")]
    Magic,
    /// Too long.
    #[error("a greeting of {0} bytes: at most 4096 are possible")]
    Long(usize),
    /// Not a greeting.
    #[error("a greeting that cannot be read")]
    Malformed,
}

/// The bytes of a greeting.
pub(crate) fn write(greeting: &Greeting) -> Vec<u8> {
    let body = postcard::to_stdvec(greeting).unwrap_or_default();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSIONS.0.to_le_bytes());
    bytes.extend(VERSIONS.1.to_le_bytes());
    bytes.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// The other side's versions, and the length of what follows.
///
/// # Errors
/// When it is not the cluster's protocol, or too long.
pub(crate) fn preface(bytes: &[u8; PREFACE]) -> Result<((u16, u16), usize), BadHello> {
    let [m0, m1, m2, m3, m4, m5, m6, m7, a0, a1, b0, b1, l0, l1, l2, l3] = *bytes;
    if [m0, m1, m2, m3, m4, m5, m6, m7] != MAGIC {
        return Err(BadHello::Magic);
    }
    let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
    if len > MOST {
        return Err(BadHello::Long(len));
    }
    Ok(((u16::from_le_bytes([a0, a1]), u16::from_le_bytes([b0, b1])), len))
}

/// A greeting. What a later release adds at its end is passed over.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read(body: &[u8]) -> Result<Greeting, BadHello> {
    postcard::take_from_bytes(body).map(|(greeting, _)| greeting).map_err(|_| BadHello::Malformed)
}

/// The version that both sides speak: the highest of the common ones.
///
/// # Errors
/// When there is none.
pub(crate) fn version(theirs: (u16, u16)) -> Result<u8, Refused> {
    let ours = VERSIONS;
    let highest = theirs.1.min(ours.1);
    if highest < theirs.0.max(ours.0) {
        return Err(Refused::Version { theirs, ours });
    }
    // It is at most ours, which fits.
    Ok(u8::try_from(highest).unwrap_or(wire::VERSION))
}

/// What is to be done with the other side, as far as its words alone say it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Link with it.
    Welcome,
    /// It is this very process, found at one of its addresses.
    Oneself,
    /// Tell it why not.
    Refuse(Refused),
    /// It has this node's id, and it stays.
    WeAreTheCopy(Refused),
}

/// Judges the other side's words. Its secret is checked before.
pub(crate) fn judge(ours: &Hello, theirs: &Hello) -> Verdict {
    if theirs.cluster != ours.cluster {
        let (theirs, ours) = (theirs.cluster.clone(), ours.cluster.clone());
        return Verdict::Refuse(Refused::Cluster { theirs, ours });
    }
    if theirs.name.is_empty() || theirs.name.len() > 128 || theirs.address.len() > 256 {
        return Verdict::Refuse(Refused::Malformed);
    }
    if theirs.node != ours.node {
        return Verdict::Welcome;
    }
    if theirs.boot == ours.boot {
        return Verdict::Oneself;
    }
    // Both are alive: whoever is in a view stays. Where that does not tell them apart, both sides
    // must come to the same end.
    if (ours.is_in, ours.boot) > (theirs.is_in, theirs.boot) {
        Verdict::Refuse(taken(ours))
    } else {
        Verdict::WeAreTheCopy(taken(theirs))
    }
}

/// The refusal of whoever has the same id as this one.
pub(crate) fn taken(by: &Hello) -> Refused {
    Refused::IdTaken { node: by.node, name: by.name.clone(), address: by.address.clone() }
}

impl Hello {
    /// Node and life.
    pub(crate) fn id(&self) -> MemberId {
        MemberId { node: NodeId(self.node), incarnation: self.incarnation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hello(node: u128, boot: u64) -> Hello {
        Hello {
            cluster: "c".into(),
            node,
            incarnation: 1,
            boot,
            is_in: false,
            name: "a".into(),
            address: "127.0.0.1:7700".into(),
            lane: Lane::Calls,
            proof: None,
        }
    }

    #[test]
    fn another_cluster_is_refused_and_told_both_names() {
        let theirs = Hello { cluster: "d".into(), ..hello(2, 2) };
        let Verdict::Refuse(why) = judge(&hello(1, 1), &theirs) else { panic!("not refused") };
        assert_eq!(why.to_string(), "the other side is of cluster \"d\", this one is \"c\"");
    }

    #[test]
    fn of_two_processes_with_one_id_the_one_in_a_view_stays_and_both_say_so() {
        let (one, two) = (Hello { is_in: true, ..hello(1, 1) }, hello(1, 2));
        assert!(matches!(judge(&one, &two), Verdict::Refuse(Refused::IdTaken { .. })));
        assert!(matches!(judge(&two, &one), Verdict::WeAreTheCopy(_)));
        let one = hello(1, 1);
        assert!(matches!(judge(&one, &two), Verdict::WeAreTheCopy(_)));
        assert!(matches!(judge(&two, &one), Verdict::Refuse(_)));
        assert_eq!(judge(&one, &one), Verdict::Oneself);
    }

    #[test]
    fn two_releases_speak_the_highest_version_that_both_know() {
        assert_eq!(version((0, 1)), Ok(1));
        assert_eq!(version((1, 7)), Ok(1));
        let none = version((2, 3)).map_err(|why| why.to_string());
        let sentence =
            "the other side speaks versions 2 to 3 of the cluster's wire, this one 1 to 1";
        assert_eq!(none, Err(sentence.to_owned()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(head: [u8; PREFACE], body: Vec<u8>) {
            let _ = preface(&head);
            let _ = read(&body);
        }

        #[test]
        fn what_was_written_is_read_and_what_follows_is_passed_over(node: u128, boot: u64, more: Vec<u8>) {
            let said = Greeting::Hello(hello(node, boot));
            let bytes = write(&said);
            let (head, body) = bytes.split_first_chunk().expect("longer than its preface");
            prop_assert_eq!(preface(head), Ok((VERSIONS, body.len())));
            prop_assert_eq!(read(&[body, &more].concat()), Ok(said));
        }
    }
}
