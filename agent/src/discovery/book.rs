//! Which balancers are followed, as values: who was heard when, and whom nobody misses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use muster_protocol::advertise::{Announcement, Phase, Server};

/// Between two looks at a balancer that is advertised no more and has not gone yet.
const LOOK: Duration = Duration::from_secs(1);

/// The balancers that advertise themselves and are followed.
#[derive(Debug)]
pub(crate) struct Book {
    silence: Duration,
    most: usize,
    /// Balancers of the configuration: they are followed anyway.
    configured: BTreeSet<SocketAddr>,
    entries: BTreeMap<SocketAddr, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Whoever said last that it takes messages there: after a restart or a hand-over another one.
    server: Server,
    since: Instant,
    heard: Instant,
    /// It said that it drains or ends.
    is_over: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Register there.
    Follow(SocketAddr),
    /// Have nothing more to do with it.
    Leave(SocketAddr),
}

impl Book {
    /// An empty one, that follows at most so many.
    pub(crate) fn new(silence: Duration, most: usize) -> Book {
        Book { silence, most, configured: BTreeSet::new(), entries: BTreeMap::new() }
    }

    /// Balancers of the configuration, which need no entry.
    pub(crate) fn set_configured(&mut self, configured: BTreeSet<SocketAddr>) {
        self.configured = configured;
    }

    /// Whether nothing is known of a balancer at this address.
    pub(crate) fn is_new(&self, address: SocketAddr) -> bool {
        !self.entries.contains_key(&address) && !self.configured.contains(&address)
    }

    /// A datagram that may be believed. `answers` says whether a balancer answers messages.
    pub(crate) fn heard(
        &mut self,
        said: &Announcement,
        now: Instant,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Vec<Change> {
        match (said.phase, said.manager) {
            (Phase::Serving, Some(manager)) => {
                self.serves(manager.address, &said.server, now, answers)
            }
            // Of one that was restarted or took over, the old self may say good-bye late.
            _ => {
                let entries = self.entries.values_mut();
                entries
                    .filter(|entry| entry.server == said.server)
                    .for_each(|entry| entry.is_over = true);
                self.look(now, answers)
            }
        }
    }

    /// Who is to be left now: advertised no more, and no answer to messages either.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Vec<Change> {
        let silence = self.silence;
        let gone = self
            .entries
            .extract_if(.., |address, entry| entry.is_missed(silence, now) && !answers(*address));
        gone.map(|(address, _)| Change::Leave(address)).collect()
    }

    /// When to look again; `None` while nobody is followed.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        let when = |entry: &Entry| match entry.is_missed(self.silence, now) {
            true => now + LOOK,
            false => entry.heard + self.silence + LOOK,
        };
        self.entries.values().map(when).min()
    }

    fn serves(
        &mut self,
        address: SocketAddr,
        server: &Server,
        now: Instant,
        answers: impl Fn(SocketAddr) -> bool,
    ) -> Vec<Change> {
        if let Some(entry) = self.entries.get_mut(&address) {
            (entry.server, entry.heard, entry.is_over) = (server.clone(), now, false);
            return Vec::new();
        }
        let mut changes = Vec::new();
        let is_nobody = address.ip().is_unspecified() || address.ip().is_multicast();
        if is_nobody || self.configured.contains(&address) {
            return changes;
        }
        if self.entries.len() >= self.most {
            let Some(place) = self.useless(now, answers) else { return changes };
            self.entries.remove(&place);
            changes.push(Change::Leave(place));
        }
        let entry = Entry { server: server.clone(), since: now, heard: now, is_over: false };
        self.entries.insert(address, entry);
        changes.push(Change::Follow(address));
        changes
    }

    /// The one that has had the most time to answer a message and does not. A newcomer gets as
    /// much time as a silent one, so that a flood of addresses is followed slowly.
    fn useless(&self, now: Instant, answers: impl Fn(SocketAddr) -> bool) -> Option<SocketAddr> {
        let had_time = |entry: &Entry| now.duration_since(entry.since) >= self.silence;
        let useless = self.entries.iter().filter(|(place, e)| had_time(e) && !answers(**place));
        useless.min_by_key(|(_, entry)| entry.since).map(|(place, _)| *place)
    }
}

impl Entry {
    /// Whether it is advertised no more.
    fn is_missed(&self, silence: Duration, now: Instant) -> bool {
        self.is_over || now.duration_since(self.heard) > silence
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use muster_protocol::advertise::{Manager, Protocol};

    use super::*;

    const SILENCE: Duration = Duration::from_secs(35);

    fn place(number: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 7], number))
    }

    fn says(phase: Phase, bits: u128, port: Option<u16>) -> Announcement {
        let protocol = Protocol::Http;
        let manager = port.map(|port| Manager { address: place(port), protocol });
        let server = Server::from_bits(bits);
        Announcement { phase, date: UNIX_EPOCH, sequence: 1, server, manager }
    }

    fn serving(bits: u128, port: u16) -> Announcement {
        says(Phase::Serving, bits, Some(port))
    }

    const ALL: fn(SocketAddr) -> bool = |_| true;
    const NONE: fn(SocketAddr) -> bool = |_| false;

    #[test]
    fn a_balancer_is_followed_once_and_a_configured_one_never() {
        let (mut book, now) = (Book::new(SILENCE, 64), Instant::now());
        book.set_configured([place(2)].into());
        assert_eq!(book.heard(&serving(1, 1), now, NONE), [Change::Follow(place(1))]);
        assert_eq!(book.heard(&serving(1, 1), now, NONE), []);
        assert_eq!(book.heard(&serving(2, 2), now, NONE), []);
        assert!(book.is_new(place(3)) && !book.is_new(place(1)) && !book.is_new(place(2)));
    }

    #[test]
    fn a_silent_balancer_is_left_when_it_answers_no_message_either() {
        let (mut book, start) = (Book::new(SILENCE, 64), Instant::now());
        book.heard(&serving(1, 1), start, NONE);
        assert_eq!(book.look(start + SILENCE, NONE), []);
        let late = start + SILENCE + LOOK;
        assert_eq!(book.next_look(start), Some(late));
        assert_eq!(book.look(late, ALL), [], "it still answers");
        assert_eq!(book.next_look(late), Some(late + LOOK));
        assert_eq!(book.look(late, NONE), [Change::Leave(place(1))]);
        assert_eq!(book.next_look(late), None);
    }

    #[test]
    fn a_good_bye_is_believed_once_no_message_is_answered() {
        for phase in [Phase::Draining, Phase::Gone] {
            let (mut book, now) = (Book::new(SILENCE, 64), Instant::now());
            book.heard(&serving(1, 1), now, ALL);
            let bye = says(phase, 1, None);
            assert_eq!(book.heard(&bye, now, ALL), []);
            assert_eq!(book.heard(&bye, now, NONE), [Change::Leave(place(1))]);
            assert_eq!(book.heard(&serving(2, 1), now, NONE), [Change::Follow(place(1))]);
        }
    }

    #[test]
    fn the_good_bye_of_a_former_self_does_not_count() {
        let (mut book, now) = (Book::new(SILENCE, 64), Instant::now());
        book.heard(&serving(1, 1), now, ALL);
        assert_eq!(book.heard(&serving(2, 1), now, ALL), []);
        assert_eq!(book.heard(&says(Phase::Gone, 1, None), now, NONE), []);
        assert_eq!(book.heard(&says(Phase::Gone, 2, None), now, NONE), [Change::Leave(place(1))]);
    }

    #[test]
    fn a_flood_of_addresses_takes_no_place_from_those_that_answer_and_comes_slowly() {
        let (mut book, start) = (Book::new(SILENCE, 3), Instant::now());
        let good = |address| address == place(1);
        let follow = |book: &mut Book, port, now| book.heard(&serving(9, port), now, good).len();
        book.heard(&serving(1, 1), start, good);
        let followed: usize = (2..5000).map(|port| follow(&mut book, port, start)).sum();
        assert_eq!(followed, 2, "as many as there was room for");
        let later = start + SILENCE;
        assert_eq!(
            book.heard(&serving(9, 6000), later, good),
            [Change::Leave(place(2)), Change::Follow(place(6000))]
        );
        assert_eq!(follow(&mut book, 6001, later), 2);
        assert_eq!(follow(&mut book, 6002, later), 0, "the last place is the one that answers");
    }

    #[test]
    fn an_address_that_is_nobodys_is_not_followed() {
        let mut book = Book::new(SILENCE, 3);
        for address in ["0.0.0.0:1", "224.0.1.105:1", "[::]:1"] {
            let manager = Manager { address: address.parse().unwrap(), protocol: Protocol::Http };
            let said = Announcement { manager: Some(manager), ..serving(1, 1) };
            assert_eq!(book.heard(&said, Instant::now(), NONE), []);
        }
    }
}
