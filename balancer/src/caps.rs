//! How much one client may take: connections at once, and requests over time.
//!
//! | module | idea |
//! |---|---|
//! | `caps` | connections of one client at once (`http.max_connections_per_address`) |
//! | `caps::rate` | requests to a context over time (`[[rate_limit]]`) |
//!
//! A client is an IPv4 address or an IPv6 /64. Clients are counted in shards, each under a short
//! lock that is taken when a connection begins and when it ends, never for a request.

pub mod rate;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::counter::Counter;

use crate::trusted::{Networks, client_of};

/// So many connections can begin or end at once without waiting for each other.
const SHARDS: usize = 64;

/// Counts the connections of clients. Share it among the listeners.
#[derive(Debug)]
pub struct Caps {
    /// 0 is no limit.
    most: usize,
    uncounted: Networks,
    shards: Arc<Shards>,
    refused: Counter,
}

/// Who has how many; outlives a change of the limit.
#[derive(Debug)]
struct Shards {
    shards: [Mutex<Counts>; SHARDS],
    /// Keyed, so that no client can choose addresses that fall into one shard.
    hasher: RandomState,
}

type Counts = HashMap<IpAddr, usize>;

/// A connection that has its place. Keep it as long as the connection: the place is free again
/// when it is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place(Option<(Arc<Shards>, IpAddr)>);

/// The client has as many connections as it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{client} has {most} connections, which is the limit")]
pub struct TooMany {
    /// The client: an address, or the first of an IPv6 /64.
    pub client: IpAddr,
    /// `http.max_connections_per_address`.
    pub most: usize,
}

// === impl Caps ===

impl Caps {
    /// At most so many connections of each client; 0 is no limit. Loopback addresses and those
    /// of `uncounted` are not counted, for many clients come through one of them. Refusals are
    /// added to `refused`.
    pub fn new(most: usize, uncounted: Networks, refused: Counter) -> Arc<Caps> {
        let shards = std::array::from_fn(|_| Mutex::default());
        let shards = Arc::new(Shards { shards, hasher: RandomState::new() });
        Arc::new(Caps { most, uncounted, shards, refused })
    }

    /// The same with another limit: whoever has a place keeps it, and is counted.
    pub fn after_reload(&self, most: usize, uncounted: Networks) -> Arc<Caps> {
        let (shards, refused) = (self.shards.clone(), self.refused.clone());
        Arc::new(Caps { most, uncounted, shards, refused })
    }

    /// Takes a place for a connection of that address: the peer's, or the one that the PROXY
    /// protocol named.
    ///
    /// # Errors
    /// When there is none; the connection is to be closed, and is counted as refused already.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Place, TooMany> {
        let client = client_of(address);
        if self.most == 0 || client_is_near(address) || self.uncounted.contains(address) {
            return Ok(Place(None));
        }
        let mut counts = self.shards.counts(client);
        let count = counts.entry(client).or_insert(0);
        if *count >= self.most {
            drop(counts);
            self.refused.inc();
            return Err(TooMany { client, most: self.most });
        }
        *count += 1;
        drop(counts);
        Ok(Place(Some((self.shards.clone(), client))))
    }
}

// === impl Shards ===

impl Shards {
    fn leave(&self, client: IpAddr) {
        let mut counts = self.counts(client);
        if let Entry::Occupied(mut count) = counts.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn counts(&self, client: IpAddr) -> MutexGuard<'_, Counts> {
        let shard = self.hasher.hash_one(client) % SHARDS as u64;
        self.shards[shard as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn client_is_near(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((shards, client)) = self.0.take() {
            shards.leave(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn caps(most: usize) -> Arc<Caps> {
        Caps::new(most, Networks::parse(&["10.0.0.0/8"]).unwrap(), Counter::default())
    }

    #[test]
    fn a_client_at_its_limit_waits_for_one_of_its_own_connections_to_end() {
        let caps = caps(2);
        let first = caps.admit(ip("192.0.2.7")).unwrap();
        let _second = caps.admit(ip("::ffff:192.0.2.7")).unwrap();
        let refused = caps.admit(ip("192.0.2.7")).unwrap_err();
        assert_eq!(refused.to_string(), "192.0.2.7 has 2 connections, which is the limit");
        assert_eq!(caps.refused.get(), 1);
        let _other = caps.admit(ip("192.0.2.8")).unwrap();
        drop(first);
        let _third = caps.admit(ip("192.0.2.7")).unwrap();
        assert!(caps.admit(ip("192.0.2.7")).is_err());
    }

    #[test]
    fn a_limit_that_changes_counts_those_who_were_there_before() {
        let before = caps(2);
        let first = before.admit(ip("192.0.2.7")).unwrap();
        let after = before.after_reload(1, Networks::NONE);
        assert!(after.admit(ip("192.0.2.7")).is_err());
        drop(first);
        let _next = after.admit(ip("192.0.2.7")).unwrap();
        assert!(after.admit(ip("192.0.2.7")).is_err());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let caps = caps(1);
        let _place = caps.admit(ip("2001:db8:0:1::1")).unwrap();
        assert!(caps.admit(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(caps.admit(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn who_stands_for_many_clients_is_not_counted() {
        let caps = caps(1);
        for address in ["127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", "10.1.2.3"] {
            let places: Vec<_> = (0..5).map(|_| caps.admit(ip(address))).collect();
            assert!(places.iter().all(Result::is_ok), "{address}");
        }
    }

    #[test]
    fn without_a_limit_everybody_is_admitted_and_nobody_remembered() {
        let caps = caps(0);
        let _places: Vec<_> = (0..100).map(|_| caps.admit(ip("192.0.2.7")).unwrap()).collect();
        assert!(caps.shards.shards.iter().all(|counts| counts.lock().unwrap().is_empty()));
    }

    #[test]
    fn who_has_left_is_forgotten() {
        let caps = caps(1_000);
        let places: Vec<_> = (0..=255u8)
            .flat_map(|last| [IpAddr::from([192, 0, 2, last]), IpAddr::from([198, 51, 100, last])])
            .map(|address| caps.admit(address).unwrap())
            .collect();
        drop(places);
        assert!(caps.shards.shards.iter().all(|counts| counts.lock().unwrap().is_empty()));
    }

    #[test]
    fn of_many_threads_no_more_than_the_limit_are_admitted() {
        let caps = caps(50);
        let admitted: usize = std::thread::scope(|scope| {
            let admit = || (0..30).filter_map(|_| caps.admit(ip("192.0.2.7")).ok()).collect();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(admit)).collect();
            let places: Vec<Vec<Place>> =
                threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            places.iter().map(Vec::len).sum()
        });
        assert_eq!(admitted, 50);
        assert_eq!(caps.refused.get(), 8 * 30 - 50);
    }
}
