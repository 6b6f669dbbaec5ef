//! Whether a datagram may be believed: its age, its sequence, its digests.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use subtle::ConstantTimeEq as _;

use super::digest::old;
use super::{Datagram, Key, Server};

/// Most servers whose sequence is remembered at once; only those who know the key get there.
const MAX_SERVERS: usize = 1024;

/// What a receiver asks of a datagram.
#[derive(Debug, Clone)]
pub struct Rules {
    /// With a key, a datagram must be signed with one of them, young and new; without one, anybody
    /// is believed.
    pub keys: Vec<Key>,
    /// Whether the old digest is enough, for balancers that have no other. It covers neither the
    /// status nor the address: who hears one datagram can send others in its name within its age.
    pub accept_md5: bool,
    /// How far a datagram's date may be from now, either way; 30 s is usual.
    pub max_age: Duration,
}

/// Judges datagrams, and remembers what it needs to know a replay.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    /// Of each server the last sequence and its date; those that are too old to be replayed go.
    seen: BTreeMap<Server, (u64, SystemTime)>,
}

/// Why a datagram is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refusal {
    /// It is not signed, though a key is set.
    #[error("it is not signed, or by the old digest only")]
    Unsigned,
    /// It is signed with another key, or was changed on its way.
    #[error("its digest is wrong: another key, or changed on its way")]
    WrongDigest,
    /// It was sent too long ago.
    #[error("its date is too old: recorded and sent again, or the clocks differ")]
    Old,
    /// It was sent in the future.
    #[error("its date is in the future: the clocks differ")]
    Future,
    /// This server has said this, or something later, already.
    #[error("its sequence was heard already")]
    Replayed,
    /// Too many servers that know the key.
    #[error("more than {MAX_SERVERS} servers advertise")]
    TooMany,
}

// === impl Rules ===

impl Rules {
    /// The usual rules with these keys.
    pub fn new(keys: Vec<Key>) -> Rules {
        Rules { keys, accept_md5: false, max_age: Duration::from_secs(30) }
    }
}

// === impl Verifier ===

impl Verifier {
    /// Judges by these rules.
    pub fn new(rules: Rules) -> Verifier {
        Verifier { rules, seen: BTreeMap::new() }
    }

    /// Whether a datagram may be believed. On an error nothing has changed.
    pub fn verify(&mut self, datagram: &Datagram<'_>, now: SystemTime) -> Result<(), Refusal> {
        // The digest first: who does not know the key learns nothing of what was seen.
        self.check_digest(datagram)?;
        match self.rules.keys.is_empty() {
            true => Ok(()),
            false => {
                self.check_time(datagram, now)?;
                self.check_sequence(datagram, now)
            }
        }
    }

    fn check_digest(&self, datagram: &Datagram<'_>) -> Result<(), Refusal> {
        let keys = &self.rules.keys;
        let is_good = match (&datagram.new_digest, &datagram.digest) {
            // As real clients do: a digest that is there must be the one of those without a key.
            (_, Some(digest)) if keys.is_empty() => is_old(None, datagram, digest),
            (_, None) if keys.is_empty() => true,
            (Some(digest), _) => keys.iter().any(|key| key.has_signed(datagram.signed, digest)),
            (None, Some(digest)) if self.rules.accept_md5 => {
                keys.iter().any(|key| is_old(Some(key), datagram, digest))
            }
            (None, _) => return Err(Refusal::Unsigned),
        };
        if is_good { Ok(()) } else { Err(Refusal::WrongDigest) }
    }

    fn check_time(&self, datagram: &Datagram<'_>, now: SystemTime) -> Result<(), Refusal> {
        let (date, bound) = (datagram.announcement.date, self.rules.max_age);
        if now.duration_since(date).is_ok_and(|age| age > bound) {
            return Err(Refusal::Old);
        }
        // A date has whole seconds, so it is never later than its datagram.
        match date.duration_since(now).is_ok_and(|ahead| ahead > bound) {
            true => Err(Refusal::Future),
            false => Ok(()),
        }
    }

    fn check_sequence(&mut self, datagram: &Datagram<'_>, now: SystemTime) -> Result<(), Refusal> {
        let said = &datagram.announcement;
        if self.seen.get(&said.server).is_some_and(|(last, _)| said.sequence <= *last) {
            return Err(Refusal::Replayed);
        }
        let bound = self.rules.max_age;
        // Whatever of these is sent again is refused by its date.
        self.seen.retain(|_, (_, date)| now.duration_since(*date).map_or(true, |age| age <= bound));
        if self.seen.len() >= MAX_SERVERS && !self.seen.contains_key(&said.server) {
            return Err(Refusal::TooMany);
        }
        self.seen.insert(said.server.clone(), (said.sequence, said.date));
        Ok(())
    }
}

fn is_old(key: Option<&Key>, datagram: &Datagram<'_>, digest: &[u8; 16]) -> bool {
    let [date, sequence, server] = datagram.covered;
    // A derived key has no old digest: the one that needs no key proves nothing.
    let has_one = key.is_none_or(Key::has_old_digest);
    has_one && bool::from(old(key, date, sequence, server).ct_eq(digest))
}
