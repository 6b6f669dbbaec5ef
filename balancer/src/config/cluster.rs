//! Clusters of back ends (`[cluster]`).

use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::signature::Secret;

use super::asked::Asked;
use super::mcmp::show_secret;
use super::peers::url_like;
use super::reader::{Section, flag};
use super::tls::{file, show_path};

/// Most members that are named.
const MAX_MEMBERS: usize = 16;

/// `[cluster]`: which clusters of back ends the page shows. Their members answer on their management
/// port, and any one of them for its whole cluster; this balancer asks in the background.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Cluster {
    /// The managements of members, such as `http://10.0.0.1:7790`, up to 16: one or two of each
    /// cluster are enough. Default none.
    pub members: Vec<String>,
    /// Whether members are asked whose nodes say where their management is. Only addresses that
    /// the node may register itself are. Default true.
    pub follow: bool,
    /// What requests to members are signed with, 16 to 255 bytes: the cluster's secret; never
    /// shown. Default none.
    #[serde(serialize_with = "show_secret", skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// File with the secret in its first line, in the place of `secret`. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// Between two looks at all clusters, 100 ms to 1 hour. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// How long a member may take to answer, 10 ms to 1 minute. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// PEM file of the authorities of the certificates of `members` with https. Default: the
    /// system's.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// PEM file of the certificate that `members` with https and mutual TLS are shown, followed by
    /// those of its issuers. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key, not encrypted; mandatory with `certificate`.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster {
            members: Vec::new(),
            follow: true,
            secret: None,
            secret_file: None,
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
            ca: None,
            certificate: None,
            key: None,
        }
    }
}

impl Cluster {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Cluster {
        let default = Cluster::default();
        let url = |text: &str| url_like(text, "a management", "http://10.0.0.1:7790");
        let Asked { secret, secret_file, interval, timeout, ca } =
            Asked::read(section, default.interval, default.timeout);
        let members = section.list("members", Vec::new(), 0..=MAX_MEMBERS, url);
        let follow = section.read("follow", default.follow, flag);
        let certificate = section.maybe("certificate", file);
        let key = section.maybe("key", file);
        super::mcmp::check_pair(section);
        Cluster { members, follow, secret, secret_file, interval, timeout, ca, certificate, key }
    }
}
