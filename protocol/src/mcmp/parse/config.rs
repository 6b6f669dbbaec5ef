//! CONFIG, key by key (reference: CONFIG table).

use std::time::Duration;

use super::fields::{Fields, bad_value, too_big};
use super::{ParseError, mandatory_route, virtual_host};
use crate::mcmp::command::{Address, BalancerSettings, FlushPackets, NodeConfig, Scheme};

/// The first length of `Type` that is refused.
const TYPE_LIMIT: usize = 16;

pub(super) fn config(fields: &Fields) -> Result<NodeConfig, ParseError> {
    fields.not_empty()?;
    let default = NodeConfig::new(mandatory_route(fields)?, address(fields)?);
    Ok(NodeConfig {
        balancer: fields.name("Balancer")?.unwrap_or(default.balancer),
        settings: settings(fields)?,
        domain: fields.name("Domain")?,
        reversed: fields.flag("Reversed")?.unwrap_or(default.reversed),
        flush_packets: flush_packets(fields)?.unwrap_or(default.flush_packets),
        flush_wait: fields.number("flushwait")?.map_or(default.flush_wait, milliseconds),
        ping: fields.number("ping")?.map_or(default.ping, seconds),
        smax: smax(fields)?,
        ttl: fields.number("ttl")?.map_or(default.ttl, seconds),
        timeout: fields.number("Timeout")?.filter(|&timeout| timeout > 0).map(seconds),
        virtual_host: virtual_host(fields)?,
        ..default
    })
}

fn address(fields: &Fields) -> Result<Address, ParseError> {
    Ok(Address {
        scheme: scheme(fields)?.unwrap_or(Scheme::Ajp),
        host: match fields.name("Host")? {
            Some(host) => host,
            None => "localhost".parse().expect("the default host is good"),
        },
        port: fields.port()?.unwrap_or(8009),
    })
}

fn scheme(fields: &Fields) -> Result<Option<Scheme>, ParseError> {
    let Some(word) = fields.one("Type")? else { return Ok(None) };
    match Scheme::from_word(word) {
        Some(scheme) => Ok(Some(scheme)),
        None if word.len() >= TYPE_LIMIT => too_big("Type", word.len(), TYPE_LIMIT),
        None => bad_value("Type", word),
    }
}

fn settings(fields: &Fields) -> Result<BalancerSettings, ParseError> {
    let default = BalancerSettings::default();
    Ok(BalancerSettings {
        sticky: fields.flag("StickySession")?.unwrap_or(default.sticky),
        sticky_force: fields.flag("StickySessionForce")?.unwrap_or(default.sticky_force),
        sticky_remove: fields.flag("StickySessionRemove")?.unwrap_or(default.sticky_remove),
        cookie: fields.name("StickySessionCookie")?.unwrap_or(default.cookie),
        path: fields.name("StickySessionPath")?.unwrap_or(default.path),
        wait_worker: fields.number("WaitWorker")?.map_or(default.wait_worker, seconds),
        max_attempts: fields.number("Maxattempts")?.unwrap_or(default.max_attempts),
    })
}

fn flush_packets(fields: &Fields) -> Result<Option<FlushPackets>, ParseError> {
    let Some(word) = fields.one("flushpackets")? else { return Ok(None) };
    match FlushPackets::from_word(word) {
        Some(flush) => Ok(Some(flush)),
        None => bad_value("flushpackets", word),
    }
}

/// A bad `smax` is ignored, as every real balancer does.
fn smax(fields: &Fields) -> Result<Option<u32>, ParseError> {
    let number = fields.one("smax")?.and_then(|text| text.parse::<i32>().ok());
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

fn seconds(number: u32) -> Duration {
    Duration::from_secs(number.into())
}

fn milliseconds(number: u32) -> Duration {
    Duration::from_millis(number.into())
}
