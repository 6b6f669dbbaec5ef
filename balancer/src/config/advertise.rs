//! How nodes are told of this balancer over multicast (`[advertise]`).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::advertise::{GROUP, Key};
use serde::Serializer;
use toml::de::DeValue;

use super::SECOND;
use super::reader::{Section, count, duration, text};

/// What is shown in the place of a key.
const MASK: &str = "********";

/// Most bytes of a key's file: a key and the end of its line.
const MAX_KEY_FILE: u64 = 1024;

/// `[advertise]`: nodes that have no list of balancers follow it. One datagram of some 300 bytes
/// for each address of `mcmp.listen`, at the start, at each interval and at each change of state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Advertise {
    /// Where it is sent: `"loopback"`, for addresses of `mcmp.listen` that are loopback, to nodes on
    /// this machine; `"always"`, for all of them, so that a whole network hears where messages are
    /// taken; `"never"`. Default `"loopback"`.
    pub send: Send,
    /// Group and port, `ip:port`: an IPv4 multicast address. Default `"224.0.1.105:23364"`, which
    /// mod_cluster has always used.
    pub group: SocketAddrV4,
    /// How many routers it may pass, 0 to 255; 1 stays on the own network, 0 on the own machine.
    /// Default 1.
    pub ttl: u8,
    /// Between two datagrams, 100 ms to 1 hour; nodes take silence for an end after some 35 s.
    /// Default 10 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// What only this balancer and its nodes know, 1 to 255 bytes (AdvertiseSecurityKey of
    /// mod_cluster): nodes that have it too believe nobody else. Default: one that is made of
    /// `mcmp.secret` where there is one, for our own agents; real clients find no key in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_key: Option<SecurityKey>,
    /// The file whose first line is the key, in the place of `security_key`. Default none.
    #[serde(serialize_with = "super::tls::show_path", skip_serializing_if = "Option::is_none")]
    pub security_key_file: Option<PathBuf>,
    /// The IPv4 address of the network interface that it is sent on. Default: each address of
    /// `mcmp.listen` on its own; of `0.0.0.0` the one that the system takes; an IPv6 address is
    /// advertised only where this is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<Ipv4Addr>,
    /// The address that nodes are told, `ip:port`, where it is another than that of `mcmp.listen`,
    /// as behind an address translation. Default: each address of `mcmp.listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
}

/// Where it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Send {
    /// To nodes on this machine.
    #[default]
    Loopback,
    /// To whole networks.
    Always,
    /// Nowhere.
    Never,
}

/// A key that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityKey(Key);

/// A key's file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("advertise.security_key_file: cannot use {}", file.display())]
pub struct KeyFileError {
    file: PathBuf,
    source: std::io::Error,
}

// === impl Advertise ===

impl Default for Advertise {
    fn default() -> Self {
        let SocketAddr::V4(group) = GROUP else { unreachable!("mod_cluster's group is IPv4") };
        Advertise {
            send: Send::default(),
            group,
            ttl: 1,
            interval: Duration::from_secs(10),
            security_key: None,
            security_key_file: None,
            interface: None,
            address: None,
        }
    }
}

impl Advertise {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Advertise {
        let default = Advertise::default();
        let advertise = Advertise {
            send: section.read("send", default.send, Send::read),
            group: section.read("group", default.group, group),
            ttl: section.read("ttl", default.ttl, |value| {
                count(0..=255)(value).map(|ttl| u8::try_from(ttl).unwrap_or(u8::MAX))
            }),
            interval: section.read(
                "interval",
                default.interval,
                duration(SECOND / 10..=3600 * SECOND),
            ),
            security_key: section.maybe("security_key", |value| {
                Key::new(text(value)?).map(SecurityKey).map_err(|error| error.to_string())
            }),
            security_key_file: section.maybe("security_key_file", super::tls::file),
            interface: section.maybe("interface", |value| {
                let text = text(value)?;
                let told = || format!("{text:?} is no IPv4 address of an interface (10.0.0.7)");
                text.parse().map_err(|_| told())
            }),
            address: section.maybe("address", address),
        };
        if section.has("security_key") && section.has("security_key_file") {
            section.fault("security_key_file", "advertise.security_key is there already");
        }
        advertise
    }

    /// The key, from wherever it is kept.
    ///
    /// # Errors
    /// Where its file cannot be read or holds none.
    pub fn key(&self) -> Result<Option<Key>, KeyFileError> {
        let Some(file) = &self.security_key_file else {
            return Ok(self.security_key.as_ref().map(|key| key.0.clone()));
        };
        read_key(file).map(Some).map_err(|source| KeyFileError { file: file.clone(), source })
    }
}

fn read_key(file: &std::path::Path) -> std::io::Result<Key> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(file)?.take(MAX_KEY_FILE).read_to_string(&mut text)?;
    Key::new(text.lines().next().unwrap_or_default()).map_err(std::io::Error::other)
}

// === impl Send ===

impl Send {
    fn read(value: &DeValue<'_>) -> Result<Send, String> {
        match text(value)? {
            "loopback" => Ok(Send::Loopback),
            "always" => Ok(Send::Always),
            "never" => Ok(Send::Never),
            other => Err(format!("{other:?} is none of loopback, always, never")),
        }
    }
}

// === impl SecurityKey ===

impl fmt::Debug for SecurityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl serde::Serialize for SecurityKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

// === addresses ===

fn group(value: &DeValue<'_>) -> Result<SocketAddrV4, String> {
    let text = text(value)?;
    let group: Option<SocketAddrV4> = text.parse().ok();
    group
        .filter(|group| group.ip().is_multicast() && group.port() != 0)
        .ok_or_else(|| format!("{text:?} is no IPv4 multicast address (224.0.1.105:23364)"))
}

fn address(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    let text = text(value)?;
    let address: Option<SocketAddr> = text.parse().ok();
    address
        .filter(|address| !address.ip().is_unspecified() && address.port() != 0)
        .ok_or_else(|| format!("{text:?} is no address that a node could connect to (ip:port)"))
}
