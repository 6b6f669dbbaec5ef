//! How often somebody may fail to log in: counted by address and by name, bounded, forgotten.
//!
//! After some failures each further attempt has to wait, twice as long with each failure. The
//! wait is by address *and* by name: a crowd of addresses cannot try one name, nor one address all
//! names. Whoever knows a name can so delay its owner by a minute, which is the price of the
//! second; tokens and certificates are not delayed.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 4;

/// The first wait.
const FIRST: Duration = Duration::from_secs(2);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// When failures are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(15 * 60);

/// Most addresses, and most names, that are remembered.
const MOST: usize = 10_000;

/// Most bytes of a name that is remembered; longer ones count as one.
const MAX_NAME: usize = 64;

/// The failures of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    addresses: HashMap<IpAddr, Failures>,
    names: HashMap<String, Failures>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// How long the next attempt has to wait; nothing, mostly.
    pub(super) fn wait(&self, from: IpAddr, name: &str, now: Instant) -> Option<Duration> {
        let by_address = self.addresses.get(&network(from)).and_then(|f| f.wait(now));
        let by_name = self.names.get(cut(name)).and_then(|f| f.wait(now));
        by_address.max(by_name)
    }

    /// An attempt is made; it counts as failed until [`Throttle::succeeded`] says otherwise, so
    /// that many at once count like many in a row.
    pub(super) fn attempt(&mut self, from: IpAddr, name: &str, now: Instant) {
        count(&mut self.addresses, network(from), now);
        count(&mut self.names, cut(name).to_owned(), now);
    }

    /// It was the right password: the name is clear. The address is given its attempt back and no
    /// more, or somebody with one good name could try all others from there.
    pub(super) fn succeeded(&mut self, from: IpAddr, name: &str) {
        self.names.remove(cut(name));
        if let Some(failures) = self.addresses.get_mut(&network(from)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }
}

impl Failures {
    fn wait(self, now: Instant) -> Option<Duration> {
        let over = self.count.checked_sub(FREE + 1)?;
        let wait = FIRST.saturating_mul(1 << over.min(10)).min(LONGEST);
        let gone = now.saturating_duration_since(self.last);
        (gone < wait).then(|| wait - gone)
    }
}

fn count<K: Eq + Hash + Clone>(all: &mut HashMap<K, Failures>, key: K, now: Instant) {
    let recent = |failures: &Failures| now.saturating_duration_since(failures.last) < FORGOTTEN;
    if !all.contains_key(&key) && all.len() >= MOST {
        all.retain(|_, failures| recent(failures));
    }
    if !all.contains_key(&key) && all.len() >= MOST {
        let oldest = all.iter().min_by_key(|(_, failures)| failures.last);
        let oldest = oldest.map(|(key, _)| key.clone());
        oldest.and_then(|key| all.remove(&key));
    }
    let failures = all.entry(key).or_insert(Failures { count: 0, last: now });
    if !recent(failures) {
        failures.count = 0;
    }
    *failures = Failures { count: failures.count.saturating_add(1), last: now };
}

/// An IPv6 client has a whole /64 of addresses.
fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

fn cut(name: &str) -> &str {
    name.get(..MAX_NAME).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn some_failures_are_free_and_each_further_one_waits_twice_as_long() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..FREE {
            throttle.attempt(at("10.0.0.1"), "anna", now);
        }
        assert_eq!(throttle.wait(at("10.0.0.1"), "anna", now), None);
        let mut waits = Vec::new();
        for _ in 0..7 {
            throttle.attempt(at("10.0.0.1"), "anna", now);
            waits.extend(throttle.wait(at("10.0.0.1"), "anna", now).map(|wait| wait.as_secs()));
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60]);
        let later = now + LONGEST;
        assert_eq!(throttle.wait(at("10.0.0.1"), "anna", later), None);
    }

    #[test]
    fn neither_one_address_nor_one_name_can_be_tried_at_will() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..8 {
            throttle.attempt(at(&format!("10.0.1.{n}")), "anna", now);
            throttle.attempt(at("2001:db8::1"), &format!("name{n}"), now);
        }
        assert!(throttle.wait(at("10.9.9.9"), "anna", now).is_some(), "the name");
        assert!(throttle.wait(at("2001:db8::ffff"), "bert", now).is_some(), "the network");
        assert!(throttle.wait(at("10.9.9.9"), "bert", now).is_none());
        throttle.succeeded(at("10.0.1.1"), "anna");
        assert!(throttle.wait(at("10.9.9.9"), "anna", now).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..MOST as u32 + 50 {
            let name = format!("{n}{}", "x".repeat(100));
            throttle.attempt(IpAddr::from(n.to_be_bytes()), &name, now + Duration::from_millis(1));
        }
        assert_eq!((throttle.addresses.len(), throttle.names.len()), (MOST, MOST));
        assert!(throttle.names.keys().all(|name| name.len() <= MAX_NAME));
    }
}
