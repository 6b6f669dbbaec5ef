//! Other balancers beside this one (`[peers]`).

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use muster_protocol::signature::Secret;

use super::asked::Asked;
use super::mcmp::show_secret;
use super::reader::{Section, text};
use super::tls::show_path;

/// Most peers.
const MAX_PEERS: usize = 16;

/// Most bytes of a balancer's name.
const MAX_NAME: usize = 64;

/// `[peers]`: balancers that stand side by side tell each other the verbs, drains and overrides of
/// their operators.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Peers {
    /// The name of this balancer among its peers, 1 to 64 bytes, another one at each. Default: one
    /// made up at each start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The managers of the other balancers, such as `https://10.0.0.2:6667`, up to 16. Default
    /// none.
    pub urls: Vec<String>,
    /// What all of them sign with, 16 to 255 bytes; never shown. Mandatory with `urls`, here or in
    /// a file; with it alone, this balancer listens to others and tells them nothing by itself.
    /// Default none.
    #[serde(serialize_with = "show_secret", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// File with the secret, in the place of `secret`. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Between two exchanges with a peer, 100 ms to 1 hour; verbs are told at once besides.
    /// Default 5 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long an exchange may take, 10 ms to 1 minute. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// PEM file of the authorities of the peers' certificates. Default: the system's.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
}

impl Default for Peers {
    fn default() -> Self {
        Peers {
            name: None,
            urls: Vec::new(),
            secret: None,
            secret_file: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            ca: None,
        }
    }
}

impl Peers {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Peers {
        let default = Peers::default();
        let name = |name: &str| match name.len() {
            1..=MAX_NAME => Ok(name.to_owned()),
            length => Err(format!("a name has 1 to {MAX_NAME} bytes, not {length}")),
        };
        let Asked { secret, secret_file, interval, timeout, ca } =
            Asked::read(section, default.interval, default.timeout);
        let name = section.maybe("name", |value| name(text(value)?));
        let urls = section.list("urls", Vec::new(), 0..=MAX_PEERS, url);
        if !urls.is_empty() && secret.is_none() && secret_file.is_none() {
            section.fault("secret", "it is missing: peers believe only who knows it");
        }
        Peers { name, urls, secret, secret_file, interval, timeout, ca }
    }
}

fn url(text: &str) -> Result<String, String> {
    url_like(text, "a manager", "https://10.0.0.2:6667")
}

/// A URL with nothing behind its address.
pub(super) fn url_like(text: &str, what: &str, example: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is no url of {what} ({example})");
    let uri: Uri = text.parse().map_err(|_| bad())?;
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) if is_bare => Ok(text.trim_end_matches('/').to_owned()),
        _ => Err(bad()),
    }
}
