//! How fast requests may come to a context (`[[rate_limit]]`), for each client or for all.
//!
//! The rule is governor's GCRA: a client that has been quiet may send its burst at once, then
//! its rate. The memory is ours, for it must be bounded: each shard remembers so many clients,
//! those whose limit is whole again are forgotten first, and while it is full the strangers share
//! one limit among them. So a flood from many addresses costs the strangers, not those that are
//! known, and no memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};
use muster_protocol::names::ContextPath;

use crate::config::{RateBy, RateLimit};
use crate::trusted::client_of;

/// So many requests can be judged at once without waiting for each other.
const SHARDS: usize = 64;

/// A full shard is swept once in so long: more often would find little, at a price.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// All limits of the configuration. Share it.
#[derive(Debug)]
pub struct RateLimits<C: Clock = MonotonicClock> {
    contexts: HashMap<ContextPath, Vec<Limit<C>>>,
}

#[derive(Debug)]
struct Limit<C: Clock> {
    by: RateBy,
    limiter: RateLimiter<Option<IpAddr>, Memory, C, NoOpMiddleware<C::Instant>>,
}

/// The request comes too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit of the context is used up for {retry_after:?}")]
pub struct TooFast {
    /// When one like it would be taken.
    pub retry_after: Duration,
}

/// What is remembered of clients; `None` is all of them.
#[derive(Debug)]
struct Memory {
    /// The time that one request is worth.
    period: u64,
    most_each: usize,
    shards: Vec<Mutex<Shard>>,
    /// Keyed, so that no client can choose addresses that fall into one shard.
    hasher: RandomState,
}

/// For each client when its limit is whole again, in nanoseconds since the start.
#[derive(Debug, Default)]
struct Shard {
    clients: HashMap<Option<IpAddr>, Nanos>,
    /// What those share that find no place.
    strangers: Option<Nanos>,
    next_sweep: u64,
}

// === impl RateLimits ===

impl RateLimits {
    /// The limits of the configuration, by the clock of the machine.
    pub fn new(limits: &[RateLimit]) -> RateLimits {
        RateLimits::with_clock(limits, &MonotonicClock)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    /// The limits of the configuration, by some clock.
    pub fn with_clock(limits: &[RateLimit], clock: &C) -> RateLimits<C> {
        let mut contexts: HashMap<ContextPath, Vec<Limit<C>>> = HashMap::new();
        for limit in limits {
            contexts.entry(limit.context.clone()).or_default().push(Limit::new(limit, clock));
        }
        RateLimits { contexts }
    }

    /// Whether there is no limit at all, so that nothing has to be asked.
    pub fn is_empty(&self) -> bool {
        self.contexts.is_empty()
    }

    /// Judges a request of that client to that context, and counts it where it may come. Where a
    /// context has a limit for each client and one for all, it must be within both.
    ///
    /// # Errors
    /// When it comes too early; the answer is 429 with Retry-After.
    pub fn check(&self, context: &ContextPath, client: IpAddr) -> Result<(), TooFast> {
        let Some(limits) = self.contexts.get(context) else { return Ok(()) };
        limits.iter().try_for_each(|limit| limit.check(client))
    }
}

// === impl Limit ===

impl<C: Clock + Clone> Limit<C> {
    fn new(limit: &RateLimit, clock: &C) -> Limit<C> {
        let period = Duration::from_secs_f64(1.0 / limit.requests_per_second);
        let quota = Quota::with_period(period)
            .expect("the rate is at most a million a second")
            .allow_burst(limit.burst);
        let memory = Memory::new(period, limit.max_clients);
        Limit { by: limit.by, limiter: RateLimiter::new(quota, memory, clock.clone()) }
    }

    fn check(&self, client: IpAddr) -> Result<(), TooFast> {
        let who = match self.by {
            RateBy::Address => Some(client_of(client)),
            RateBy::Context => None,
        };
        self.limiter.check_key(&who).map_err(|not_until| {
            let retry_after = not_until.wait_time_from(self.limiter.clock().now());
            TooFast { retry_after }
        })
    }
}

// === impl Memory ===

impl Memory {
    fn new(period: Duration, most: usize) -> Memory {
        Memory {
            period: u64::try_from(period.as_nanos()).unwrap_or(u64::MAX),
            most_each: most.div_ceil(SHARDS),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }
}

impl StateStore for Memory {
    type Key = Option<IpAddr>;

    fn measure_and_replace<T, F, E>(&self, key: &Self::Key, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let shard = (self.hasher.hash_one(key) % SHARDS as u64) as usize;
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(whole_at) = shard.clients.get_mut(key) {
            let (outcome, next) = judge(Some(*whole_at))?;
            *whole_at = next;
            return Ok(outcome);
        }
        let (outcome, next) = judge(None)?;
        // Of a client without a past, the limit is whole again one period from now.
        let now = next.as_u64().saturating_sub(self.period);
        if shard.has_room(self.most_each, now) {
            shard.clients.insert(*key, next);
            return Ok(outcome);
        }
        let (outcome, next) = judge(shard.strangers)?;
        shard.strangers = Some(next);
        Ok(outcome)
    }
}

// === impl Shard ===

impl Shard {
    /// Whether one more client can be remembered, once those are forgotten whose limit is whole.
    fn has_room(&mut self, most: usize, now: u64) -> bool {
        if self.clients.len() >= most && now >= self.next_sweep {
            self.clients.retain(|_, whole_at| whole_at.as_u64() > now);
            self.next_sweep = now.saturating_add(SWEEP_EVERY.as_nanos() as u64);
        }
        self.clients.len() < most
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limit(context: &str, rate: f64, burst: u32, by: RateBy) -> RateLimit {
        RateLimit {
            context: context.parse().unwrap(),
            requests_per_second: rate,
            burst: burst.try_into().unwrap(),
            by,
            max_clients: 1024,
        }
    }

    struct World {
        clock: FakeRelativeClock,
        limits: RateLimits<FakeRelativeClock>,
    }

    impl World {
        fn of(limits: &[RateLimit]) -> World {
            let clock = FakeRelativeClock::default();
            World { limits: RateLimits::with_clock(limits, &clock), clock }
        }

        fn asks(&self, client: impl Into<IpAddr>, context: &str) -> Result<(), Duration> {
            let checked = self.limits.check(&context.parse().unwrap(), client.into());
            checked.map_err(|too_fast| too_fast.retry_after)
        }

        /// How many of so many requests may come now.
        fn taken(&self, client: impl Into<IpAddr> + Copy, context: &str, of: usize) -> usize {
            (0..of).filter(|_| self.asks(client, context).is_ok()).count()
        }

        /// How many clients are remembered at the end.
        fn remembered(self) -> usize {
            let limits = self.limits.contexts.into_values().flatten();
            let shards = limits.flat_map(|limit| limit.limiter.into_state_store().shards);
            shards.map(|shard| shard.into_inner().unwrap().clients.len()).sum()
        }
    }

    const ONE: [u8; 4] = [192, 0, 2, 1];
    const OTHER: [u8; 4] = [192, 0, 2, 2];

    #[test]
    fn after_its_burst_a_client_keeps_its_rate_and_others_are_not_its_concern() {
        let world = World::of(&[limit("/api", 10.0, 20, RateBy::Address)]);
        assert_eq!(world.taken(ONE, "/api", 100), 20);
        assert_eq!(world.asks(ONE, "/api"), Err(SECOND / 10));
        assert_eq!(world.taken(OTHER, "/api", 100), 20);
        world.clock.advance(SECOND);
        assert_eq!(world.taken(ONE, "/api", 100), 10);
        world.clock.advance(60 * SECOND);
        assert_eq!(world.taken(ONE, "/api", 100), 20);
    }

    #[test]
    fn a_limit_by_context_is_shared_by_all_clients() {
        let world = World::of(&[limit("/api", 10.0, 20, RateBy::Context)]);
        assert_eq!(world.taken(ONE, "/api", 15), 15);
        assert_eq!(world.taken(OTHER, "/api", 15), 5);
        assert_eq!(world.remembered(), 1);
    }

    #[test]
    fn other_contexts_have_no_limit() {
        let world = World::of(&[limit("/api", 1.0, 1, RateBy::Address)]);
        assert_eq!(world.taken(ONE, "/shop", 100), 100);
        assert!(World::of(&[]).limits.is_empty());
    }

    #[test]
    fn a_request_must_be_within_the_limit_of_its_client_and_of_all() {
        let both = [limit("/", 1.0, 4, RateBy::Address), limit("/", 1.0, 6, RateBy::Context)];
        let world = World::of(&both);
        assert_eq!(world.taken(ONE, "/", 10), 4);
        assert_eq!(world.taken(OTHER, "/", 10), 2);
    }

    #[test]
    fn a_rate_below_one_a_second_is_a_rate_too() {
        let world = World::of(&[limit("/", 0.001, 1, RateBy::Address)]);
        assert_eq!(world.asks(ONE, "/"), Ok(()));
        assert_eq!(world.asks(ONE, "/"), Err(1000 * SECOND));
        world.clock.advance(1000 * SECOND);
        assert_eq!(world.asks(ONE, "/"), Ok(()));
    }

    #[test]
    fn a_client_of_ipv6_cannot_change_its_address_to_get_more() {
        let world = World::of(&[limit("/", 1.0, 2, RateBy::Address)]);
        let asks = |text: &str| world.asks(text.parse::<IpAddr>().unwrap(), "/");
        assert!(asks("2001:db8::1").is_ok() && asks("2001:db8::2").is_ok());
        assert!(asks("2001:db8::3").is_err());
        assert!(asks("2001:db8:0:1::3").is_ok());
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_shares_one_limit() {
        let world = World::of(&[limit("/", 1.0, 2, RateBy::Address)]);
        assert_eq!(world.taken(ONE, "/", 1), 1);
        let stranger = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let taken = (0..100_000).filter(|&number| world.asks(stranger(number), "/").is_ok());
        // All that found a place, and for each shard the burst of those that found none.
        assert_eq!(taken.count(), 1023 + 2 * SHARDS);
        // Who was known before keeps what it has.
        assert_eq!(world.taken(ONE, "/", 10), 1);
        world.clock.advance(10 * SECOND);
        let taken = (200_000..201_000).filter(|&number| world.asks(stranger(number), "/").is_ok());
        assert!(taken.count() >= 500);
        assert!(world.remembered() <= 1024);
    }
}
