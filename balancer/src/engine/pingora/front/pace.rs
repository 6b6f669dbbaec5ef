//! How long an exchange over HTTP/2 may stand still, and in all.
//!
//! The bounds are those of HTTP/1: a client may be silent within its body, or slow, only for so
//! long; once its body is there the node may be; and the whole has an end. A gRPC exchange is
//! treated as a tunnel instead, as a WebSocket is: its ends may talk in any order, be silent for
//! minutes, and go on for days, so only silence of both counts (`upstream.tunnel_timeout`). Its
//! deadline is the caller's own: the caller takes the request back, and so do we.

use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use crate::proxy::Policy;
use crate::proxy::policy::BodyPace;

/// Bounds of one exchange, and what has been going on.
#[derive(Debug)]
pub(in crate::engine::pingora) struct Pace {
    kind: Kind,
    /// When something moved last, in any direction.
    moved: Instant,
    /// Since when the client's next bytes are waited for, and how long it was before.
    waits_since: Option<Instant>,
    waited: Duration,
}

#[derive(Debug)]
enum Kind {
    /// Question, then answer.
    Exchange {
        /// When it must be over.
        end: Instant,
        /// How slow the client may be.
        body: BodyPace,
        /// How long the node may be silent; it is known once a node is chosen.
        silence: Duration,
    },
    /// Both talk as they like.
    Tunnel { silence: Duration },
}

/// Whether these are the headers of a gRPC request.
pub(in crate::engine::pingora) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.and_then(|kind| kind.get(..GRPC.len())).is_some_and(|kind| kind.eq_ignore_ascii_case(GRPC))
}

// === impl Pace ===

impl Pace {
    pub(in crate::engine::pingora) fn new(
        headers: &HeaderMap,
        policy: &Policy,
        now: Instant,
    ) -> Pace {
        match is_grpc(headers) {
            true => Pace::with(Kind::Tunnel { silence: policy.tunnel_timeout }, now),
            false => Pace::exchange(policy, now),
        }
    }

    /// The pace of what is no gRPC.
    pub(in crate::engine::pingora) fn exchange(policy: &Policy, now: Instant) -> Pace {
        let kind = Kind::Exchange {
            end: now + policy.total_timeout,
            body: policy.client_body,
            silence: policy.read_timeout,
        };
        Pace::with(kind, now)
    }

    fn with(kind: Kind, now: Instant) -> Pace {
        Pace { kind, moved: now, waits_since: None, waited: Duration::ZERO }
    }

    /// When the whole must be over.
    pub(in crate::engine::pingora) fn end(&self) -> Instant {
        match &self.kind {
            Kind::Exchange { end, .. } => *end,
            Kind::Tunnel { silence } => self.moved + *silence,
        }
    }

    /// The node that was chosen may be silent for so long.
    pub(in crate::engine::pingora) fn set_silence(&mut self, of_node: Duration) {
        match &mut self.kind {
            Kind::Exchange { silence, .. } => *silence = of_node,
            Kind::Tunnel { .. } => {}
        }
    }

    /// Something moved.
    pub(in crate::engine::pingora) fn moves(&mut self, now: Instant) {
        self.moved = now;
    }

    /// Until when the client's next bytes are waited for, of whose body `received` bytes came.
    pub(in crate::engine::pingora) fn client_until(
        &mut self,
        received: usize,
        now: Instant,
    ) -> Instant {
        let since = *self.waits_since.get_or_insert(now);
        match &self.kind {
            Kind::Tunnel { silence } => self.moved + *silence,
            Kind::Exchange { end, body, .. } => {
                (since + body.left(received as u64, self.waited)).min(*end)
            }
        }
    }

    /// The client's next bytes are there.
    pub(in crate::engine::pingora) fn client_spoke(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take() {
            self.waited += now.saturating_duration_since(since);
        }
        self.moves(now);
    }

    /// Until when the node is waited for.
    pub(in crate::engine::pingora) fn node_until(&self) -> Instant {
        match &self.kind {
            Kind::Tunnel { silence } => self.moved + *silence,
            Kind::Exchange { end, silence, .. } => (self.moved + *silence).min(*end),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn exchange(start: Instant) -> Pace {
        let kind = Kind::Exchange {
            end: start + 600 * SECOND,
            body: BodyPace { silence: 30 * SECOND, grace: 10 * SECOND, rate: 500 },
            silence: 60 * SECOND,
        };
        Pace::with(kind, start)
    }

    #[test]
    fn a_client_may_be_slow_only_for_the_time_that_its_bytes_earn() {
        let start = Instant::now();
        let mut pace = exchange(start);
        assert_eq!(pace.client_until(0, start), start + 10 * SECOND);
        assert_eq!(pace.client_until(0, start + SECOND), start + 10 * SECOND, "it goes on waiting");
        pace.client_spoke(start + 8 * SECOND);
        let again = start + 20 * SECOND;
        assert_eq!(pace.client_until(500, again), again + 3 * SECOND);
        pace.client_spoke(again);
        assert_eq!(pace.client_until(1 << 20, again), again + 30 * SECOND);
    }

    #[test]
    fn a_node_may_be_silent_from_the_last_move_on_and_never_beyond_the_end() {
        let start = Instant::now();
        let mut pace = exchange(start);
        pace.set_silence(5 * SECOND);
        assert_eq!(pace.node_until(), start + 5 * SECOND);
        pace.moves(start + 4 * SECOND);
        assert_eq!(pace.node_until(), start + 9 * SECOND);
        pace.moves(start + 599 * SECOND);
        assert_eq!(pace.node_until(), start + 600 * SECOND);
    }

    #[test]
    fn a_tunnel_that_moves_has_no_end() {
        let start = Instant::now();
        let mut pace = Pace::with(Kind::Tunnel { silence: 3_600 * SECOND }, start);
        pace.set_silence(SECOND);
        let late = start + 100_000 * SECOND;
        pace.moves(late);
        assert_eq!(pace.client_until(0, late), late + 3_600 * SECOND);
        assert_eq!(pace.node_until(), late + 3_600 * SECOND);
    }

    #[test]
    fn grpc_is_known_by_the_kind_of_its_content() {
        let is = |kind: &'static str| {
            is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert!(is("application/grpc") && is("application/grpc+proto") && is("Application/GRPC"));
        assert!(!is("application/json") && !is("app") && !is_grpc(&HeaderMap::new()));
    }
}
