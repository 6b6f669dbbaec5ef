//! The way of an attempt: over the bridge to our own engine, or by Pingora's own connection.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_protocol::mcmp::Scheme;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use super::asked::{is_http2, is_stream, is_tls};
use super::connection;
use super::hooks::Hooks;
use super::peer::{LEAST_WAIT, Wanted};
use crate::engine::bridge::BridgeConnect;
use crate::engine::http1::Caller;
use crate::proxy::Exchange;
use crate::proxy::exchange::Target;
use crate::tls::TlsFacts;

impl Hooks {
    /// The node of this attempt, as Pingora wants it; `None` where it can't be verified.
    pub(super) fn peer(
        &self,
        exchange: &Exchange,
        target: &Target,
        session: &mut Session,
        bridge: Option<BridgeConnect>,
    ) -> Option<Box<HttpPeer>> {
        let is_watched = is_http2(session);
        if is_watched {
            session.set_read_timeout(Some(self.peers.silence(&target.node.config)));
        }
        let is_upgrade = session.is_upgrade_req();
        let has_body = !session.as_mut().is_body_empty();
        let time_left = match is_stream(session) {
            true => Duration::MAX,
            false => self.edge.time_left(exchange),
        };
        let is_bridged = bridge.is_some();
        let wanted = Wanted { is_upgrade, is_watched, is_bridged, has_body, time_left };
        let mut peer = self.peers.peer(target, wanted)?;
        if let Some(bridge) = bridge {
            peer.options.custom_l4 = Some(Arc::new(bridge));
        }
        if exchange.raced || is_upgrade || is_bridged {
            peer.options.idle_timeout = Some(LEAST_WAIT);
            peer.group_key = self.afresh.fetch_add(1, Ordering::Relaxed);
        }
        Some(peer)
    }

    /// The way over the bridge, where the node is one for our own engine: it speaks AJP, or the
    /// client HTTP/2 and the node HTTP/1. With HTTP/1 on both sides Pingora is here to be compared.
    pub(super) fn bridge(
        &self,
        exchange: &Exchange,
        target: &Target,
        session: &Session,
    ) -> Option<BridgeConnect> {
        let is_ours = match target.node.config.address.scheme {
            Scheme::Ajp => true,
            // A stream of gRPC has bounds of its own.
            Scheme::Http | Scheme::Https => is_http2(session) && !is_stream(session),
            Scheme::H2 | Scheme::H2c => false,
        };
        if !is_ours {
            return None;
        }
        let own = connection::of(session).and_then(connection::Connection::tls_facts);
        let tls = session.req_header().extensions.get::<Arc<TlsFacts>>().cloned();
        let address = session.client_addr().and_then(|client| client.as_inet()).copied();
        let address = address.unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into());
        Some(BridgeConnect {
            target: Target { strip_session: false, ..target.clone() },
            within: self.edge.policy.connect_within(&target.node.config),
            is_fresh: exchange.raced,
            caller: Caller { address, is_tls: is_tls(session) },
            tls: tls.or(own.map(Arc::new)),
            broken: Arc::default(),
        })
    }
}
