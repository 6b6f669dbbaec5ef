//! The management of a member: where it listens, and how those who ask are kept out or let in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use muster_protocol::cluster::PeerAddress;
use muster_protocol::signature::{Secret, Secrets};

use super::{ClusterBuilder, JoinError, with_offset};
use crate::engine::Embedded;
use crate::finding::Finder;
use crate::manage::{self, Management};
use crate::node::Node;

/// Where the management listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manage {
    is_on: bool,
    bind: IpAddr,
    port: u16,
}

impl Default for Manage {
    fn default() -> Self {
        Self { is_on: true, bind: IpAddr::V4(Ipv4Addr::LOCALHOST), port: manage::PORT }
    }
}

// === impl ClusterBuilder ===

impl ClusterBuilder {
    /// The address where operators and balancers ask this member for its cluster
    /// ([`crate::manage`]). Default: 127.0.0.1. Any other than loopback needs a secret, which all
    /// requests are signed with then, or mutual TLS, which it speaks then where there is no secret.
    pub fn manage_bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.manage.bind = address.into();
        self
    }

    /// The port of it, to which the offset is added; 0 takes a free one, as does the cluster's
    /// port 0. Default: 7790.
    pub fn manage_port(mut self, port: u16) -> Self {
        self.manage.port = port;
        self
    }

    /// Nobody can ask this member, not even the others, which then show it as silent.
    pub fn no_management(mut self) -> Self {
        self.manage.is_on = false;
        self
    }

    pub(super) async fn start_management(
        &self,
        node: &Node,
        engine: &Arc<Embedded>,
        secret: Option<&Secret>,
    ) -> Result<Option<Management>, JoinError> {
        let Manage { is_on, bind, port } = self.manage;
        if !is_on {
            return Ok(None);
        }
        let port = if self.port == 0 { 0 } else { with_offset(port, self.offset)? };
        let secrets = secret.cloned().map(|secret| Secrets::new([secret]));
        // On loopback whoever is on this machine may ask; a secret is asked for wherever there is one.
        let files = self.tls.as_ref().filter(|_| secrets.is_none() && !bind.is_loopback());
        let tls = files
            .map(manage::Tls::of)
            .transpose()
            .map_err(|bad| JoinError::Start(bad.to_string()))?;
        let bind = SocketAddr::new(bind, port);
        let settings =
            manage::Settings { bind, secrets, tls, ..manage::Settings::new(&self.cluster) };
        let inside = Arc::new(node.clone());
        let management = manage::start(settings, engine.clone(), Some(inside)).await?;
        for finder in self.finders.iter().flatten() {
            if let (Finder::Balancers(balancers), Some(url)) = (finder, url(&management, node)) {
                balancers.manage_at(url);
            }
        }
        Ok(Some(management))
    }
}

/// Where balancers reach the management; none where it listens everywhere and it is not known as
/// which address.
fn url(management: &Management, node: &Node) -> Option<String> {
    let address = management.address();
    if !address.ip().is_unspecified() {
        return Some(management.url());
    }
    let channel: PeerAddress = node.address().parse().ok()?;
    let host = channel.host.as_str();
    let is_known = !matches!(host, "0.0.0.0" | "[::]");
    is_known.then(|| management.url_at(&format!("{host}:{}", address.port())))
}
