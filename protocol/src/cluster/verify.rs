//! Whether a datagram may be believed: its cluster, its signature, its age, and whether it came
//! before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::datagram::{self, BadDatagram, Datagram};
use super::{ClusterName, Key};

/// Most nodes whose last stamp is remembered at once; with a secret only those who know it get
/// there.
const MAX_NODES: usize = 4096;

/// Whom a member believes.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// The node that it is itself.
    pub node: u128,
    /// With keys, a datagram must be signed with one of them; without, it must not be signed.
    pub keys: Vec<Key>,
    /// How far a datagram's stamp may be from now, either way; 30 s is usual. Counts with keys only.
    pub max_age: Duration,
}

/// Judges datagrams, and remembers what it needs to know a replay.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    /// Of each node the last stamp.
    seen: BTreeMap<u128, u64>,
}

/// Why a datagram is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read.
    #[error(transparent)]
    Bad(#[from] BadDatagram),
    /// It is of another cluster, which may well share the group.
    #[error("it is of another cluster")]
    OtherCluster,
    /// It is our own.
    #[error("it is our own")]
    Own,
    /// It is not signed, though there is a secret here.
    #[error("it is not signed: whoever sent it has no secret")]
    Unsigned,
    /// It is signed, though there is no secret here.
    #[error("it is signed, and there is no secret here")]
    Signed,
    /// It is signed with another key, or was changed on its way.
    #[error("its signature is wrong: whoever sent it has another secret")]
    WrongSecret,
    /// It was sent too long ago.
    #[error("it is too old: recorded and sent again, or the clocks differ")]
    Old,
    /// It was sent in the future.
    #[error("it is of the future: the clocks differ")]
    Future,
    /// This node has said this, or something later, already.
    #[error("it came before")]
    Again,
    /// Too many nodes.
    #[error("more than {MAX_NODES} nodes are heard")]
    TooMany,
}

// === impl Refusal ===

impl Refusal {
    /// Whether it is worth a line in the log. Another cluster on the group, our own datagrams and
    /// those that come by two ways are nothing to worry about.
    #[must_use]
    pub fn is_notable(self) -> bool {
        !matches!(self, Refusal::OtherCluster | Refusal::Own | Refusal::Again)
    }
}

// === impl Verifier ===

impl Verifier {
    /// Judges by these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Verifier {
        Verifier { rules, seen: BTreeMap::new() }
    }

    /// What a datagram says, if it may be believed; `now` is microseconds since 1970. On an error
    /// nothing has changed.
    ///
    /// # Errors
    /// A [`Refusal`].
    pub fn judge(&mut self, bytes: &[u8], now: u64) -> Result<Datagram, Refusal> {
        let read = datagram::read(bytes)?;
        if read.said.cluster != self.rules.cluster {
            return Err(Refusal::OtherCluster);
        }
        self.check_signature(&read)?;
        if read.said.node == self.rules.node {
            return Err(Refusal::Own);
        }
        self.check_stamp(&read.said, now)?;
        Ok(read.said)
    }

    fn check_signature(&self, read: &datagram::Read<'_>) -> Result<(), Refusal> {
        let keys = &self.rules.keys;
        match &read.signature {
            None if keys.is_empty() => Ok(()),
            None => Err(Refusal::Unsigned),
            Some(_) if keys.is_empty() => Err(Refusal::Signed),
            Some(sum) if keys.iter().any(|key| key.has_signed(read.signed, sum)) => Ok(()),
            Some(_) => Err(Refusal::WrongSecret),
        }
    }

    fn check_stamp(&mut self, said: &Datagram, now: u64) -> Result<(), Refusal> {
        // Without a key anybody can write any stamp, and a wrong clock is no reason to be alone.
        if self.rules.keys.is_empty() {
            return Ok(());
        }
        let bound = u64::try_from(self.rules.max_age.as_micros()).unwrap_or(u64::MAX);
        if said.stamp < now.saturating_sub(bound) {
            return Err(Refusal::Old);
        }
        if said.stamp > now.saturating_add(bound) {
            return Err(Refusal::Future);
        }
        if self.seen.get(&said.node).is_some_and(|last| said.stamp <= *last) {
            return Err(Refusal::Again);
        }
        if self.seen.len() >= MAX_NODES && !self.seen.contains_key(&said.node) {
            // Whatever of these is sent again is refused by its age.
            self.seen.retain(|_, last| *last >= now.saturating_sub(bound));
            if self.seen.len() >= MAX_NODES {
                return Err(Refusal::TooMany);
            }
        }
        self.seen.insert(said.node, said.stamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, write};
    use super::*;

    const NOW: u64 = 1_796_000_000_000_000;
    const SECOND: u64 = 1_000_000;

    fn key(text: &str) -> Key {
        Key::derived(&text.parse().unwrap())
    }

    fn known() -> Key {
        key("correct horse battery staple")
    }

    fn verifier(keys: Vec<Key>) -> Verifier {
        let cluster = "shop".parse().unwrap();
        Verifier::new(Rules { cluster, node: 1, keys, max_age: Duration::from_secs(30) })
    }

    fn said(node: u128, stamp: u64) -> Datagram {
        let address = "10.0.0.2:7700".parse().unwrap();
        let cluster = "shop".parse().unwrap();
        Datagram { kind: Kind::Here, cluster, node, incarnation: 0, stamp, address }
    }

    #[test]
    fn who_knows_the_secret_is_believed_once() {
        let mut verifier = verifier(vec![known(), key("an older secret of some length")]);
        let bytes = write(&said(2, NOW), Some(&known()));
        assert_eq!(verifier.judge(&bytes, NOW), Ok(said(2, NOW)));
        assert_eq!(verifier.judge(&bytes, NOW), Err(Refusal::Again));
        let old = key("an older secret of some length");
        assert!(verifier.judge(&write(&said(2, NOW + 1), Some(&old)), NOW).is_ok());
        let earlier = write(&said(2, NOW), Some(&known()));
        assert_eq!(verifier.judge(&earlier, NOW), Err(Refusal::Again));
    }

    #[test]
    fn who_does_not_know_it_is_refused_and_so_is_a_changed_datagram() {
        let mut verifier = verifier(vec![known()]);
        let other = write(&said(2, NOW), Some(&key("another secret of some length")));
        assert_eq!(verifier.judge(&other, NOW), Err(Refusal::WrongSecret));
        assert_eq!(verifier.judge(&write(&said(2, NOW), None), NOW), Err(Refusal::Unsigned));
        let good = write(&said(2, NOW), Some(&known()));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(verifier.judge(&changed, NOW).is_err(), "{at}");
        }
        assert!(verifier.judge(&good, NOW).is_ok(), "nothing has changed by it");
    }

    #[test]
    fn a_member_without_a_secret_and_one_with_it_do_not_meet() {
        let bytes = write(&said(2, NOW), Some(&known()));
        assert_eq!(verifier(vec![]).judge(&bytes, NOW), Err(Refusal::Signed));
        assert!(verifier(vec![]).judge(&write(&said(2, 0), None), NOW).is_ok());
    }

    #[test]
    fn what_is_too_old_or_of_the_future_is_refused() {
        let mut verifier = verifier(vec![known()]);
        let mut at = |stamp| verifier.judge(&write(&said(2, stamp), Some(&known())), NOW);
        assert_eq!(at(NOW - 31 * SECOND), Err(Refusal::Old));
        assert_eq!(at(NOW + 31 * SECOND), Err(Refusal::Future));
        assert!(at(NOW - 30 * SECOND).is_ok());
        assert!(at(NOW + 30 * SECOND).is_ok());
    }

    #[test]
    fn our_own_datagrams_and_other_clusters_are_no_news() {
        let mut verifier = verifier(vec![known()]);
        let own = verifier.judge(&write(&said(1, NOW), Some(&known())), NOW).unwrap_err();
        let other = Datagram { cluster: "other".parse().unwrap(), ..said(2, NOW) };
        let other = verifier.judge(&write(&other, None), NOW).unwrap_err();
        assert_eq!((own, other), (Refusal::Own, Refusal::OtherCluster));
        assert!(!own.is_notable() && !other.is_notable() && Refusal::WrongSecret.is_notable());
    }

    #[test]
    fn a_key_is_never_shown_and_is_not_the_secret() {
        assert_eq!(format!("{:?}", known()), "Key(********)");
        assert_ne!(known().0.as_slice(), b"correct horse battery staple");
    }
}
