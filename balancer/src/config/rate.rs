//! How fast requests may come to a context (`[[rate_limit]]`). Off where there is none.

use std::num::NonZeroU32;

use muster_protocol::names::ContextPath;
use serde::Serializer;
use toml::de::DeValue;

use super::reader::{Section, count, number, parsed, text};

/// `[[rate_limit]]`: how fast requests may come to a context; the others get 429.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RateLimit {
    /// The context whose requests are limited: as a node names it, `/` for the root only. Mandatory.
    #[serde(serialize_with = "show_context")]
    pub context: ContextPath,
    /// How many in the long run, 0.001 to 1,000,000. Mandatory.
    pub requests_per_second: f64,
    /// How many at once after a pause, 1 to 1,000,000. Default: as many as in a second, at least 1.
    pub burst: NonZeroU32,
    /// `"address"`: for each client (an IPv4 address or an IPv6 /64); `"context"`: for all clients
    /// together. Default `"address"`.
    pub by: RateBy,
    /// Most clients that are remembered at once, 1,024 to 10,000,000; those that have not used
    /// anything of their limit go first, and who finds no place shares one limit with the others
    /// that do not. Default 100,000.
    pub max_clients: usize,
}

/// Who shares a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RateBy {
    /// Each client has its own.
    #[default]
    Address,
    /// All clients of the context.
    Context,
}

// === impl RateLimit ===

impl RateLimit {
    /// `max_clients` where nothing else is configured.
    pub const MAX_CLIENTS: usize = 100_000;

    pub(super) fn read(
        section: &mut Section<'_, '_>,
        seen: &mut Vec<(ContextPath, RateBy)>,
    ) -> Option<RateLimit> {
        let context = section.mandatory("context", parsed);
        let rate = section.mandatory("requests_per_second", number(0.001..=1_000_000.0));
        let burst = section.maybe("burst", count(1..=1_000_000));
        let by = section.read("by", RateBy::default(), RateBy::read);
        let max_clients =
            section.read("max_clients", RateLimit::MAX_CLIENTS, count(1024..=10_000_000));
        let (context, rate): (ContextPath, f64) = (context?, rate?);
        let second = burst.unwrap_or(rate.ceil() as usize);
        let burst = u32::try_from(second).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let limited = (context.clone(), by);
        match seen.contains(&limited) {
            true => section.fault("context", format!("{context} has such a limit already")),
            false => seen.push(limited),
        }
        Some(RateLimit { context, requests_per_second: rate, burst, by, max_clients })
    }
}

// === impl RateBy ===

impl RateBy {
    fn read(value: &DeValue<'_>) -> Result<RateBy, String> {
        match text(value)? {
            "address" => Ok(RateBy::Address),
            "context" => Ok(RateBy::Context),
            other => Err(format!("{other:?} is none of address, context")),
        }
    }
}

fn show_context<S: Serializer>(context: &ContextPath, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(context.as_str())
}
