//! Pingora's hooks: each fetches what the policy needs and delivers what it says.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, COOKIE, HOST, TE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use muster_http1::{BadRequest, Question};
use muster_protocol::mcmp::{self, Address, Scheme};
use muster_routing::retry::Failure;
use muster_routing::session;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::answer;
use super::asked::{
    client, is_http2, is_late, is_own_fault, is_replayable, is_stream, is_tls, version,
};
use super::connection;
use super::own;
use super::peer::Peers;
use super::traced;
use crate::config::NodeTls;
use crate::engine::bridge::Cause;
use crate::proxy::edge::Asked;
use crate::proxy::exchange::Target;
use crate::proxy::headers::{self, Head};
use crate::proxy::{Edge, Ending, Exchange, Refused};

/// What an answer fails of that may be asked for elsewhere.
const WITHDRAWN: ErrorType = ErrorType::Custom("withdrawn");

pub(super) struct Hooks {
    pub(super) edge: Arc<Edge>,
    pub(super) peers: Peers,
    /// Numbers the attempts that want a connection of their own: connections are pooled by it.
    pub(super) afresh: AtomicU64,
}

impl Hooks {
    pub(super) fn new(edge: Arc<Edge>, node_tls: &NodeTls) -> Hooks {
        let peers = Peers::new(edge.clone(), node_tls);
        Hooks { edge, peers, afresh: AtomicU64::new(1) }
    }

    /// Refuses what needs no node to be refused.
    fn gate(&self, session: &Session) -> Result<(), Refused> {
        let head = session.req_header();
        // MCMP has a port of its own; a proxy has no business with its commands.
        if mcmp::method(head.method.as_str()).is_some() {
            return Err(Refused::Method);
        }
        if let Some(bad) = head.extensions.get::<BadRequest>() {
            return Err(Refused::Malformed(*bad));
        }
        if let Some(fault) = connection::of(session).and_then(connection::Connection::fault) {
            return Err(fault);
        }
        let length =
            head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        match length {
            Some(length) if self.edge.policy.is_too_long(length) => Err(Refused::BodyTooLong),
            _ => Ok(()),
        }
    }

    /// Puts what the node is told of the client in the place of what the client says, and gives
    /// the client.
    fn tell(&self, session: &mut Session) -> Option<IpAddr> {
        let (peer, is_tls) = (client(session), is_tls(session));
        let head = session.req_header_mut();
        if head.headers.get(HOST).is_some_and(HeaderValue::is_empty) {
            // HTTP/1.0 without one.
            head.remove_header(&HOST);
        }
        headers::forward(head, peer, is_tls, &self.edge.policy.trusted)
    }

    async fn choose(
        &self,
        head: &RequestHeader,
        client: Option<IpAddr>,
        exchange: &mut Exchange,
    ) -> Result<(), Refused> {
        // Other cookies may hold any byte; a session's own route is plain text.
        let values = head.headers.get_all(COOKIE).iter();
        let texts: Vec<Cow<'_, str>> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let cookies: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or(head.uri.host()).unwrap_or_default();
        let asked = Asked { client, host, path: head.uri.path(), cookies: &cookies };
        self.edge.choose(exchange, asked).await
    }

    /// Whether the request may be served elsewhere, for its answer says only that it is not here.
    fn is_withdrawn(&self, session: &Session, status: StatusCode, exchange: &Exchange) -> bool {
        let head = session.req_header();
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (path, method) = (head.uri.path(), head.method.as_str());
        is_replayable(session)
            && self.edge.is_withdrawn(exchange, status.as_u16(), host, path, method)
    }

    /// Ends an exchange that took too long; a tunnel has no end of its own, nor has gRPC.
    fn check_time(&self, session: &Session, exchange: &mut Exchange, who: Refused) -> Result<()> {
        if session.was_upgraded() || is_stream(session) || !self.edge.time_left(exchange).is_zero()
        {
            return Ok(());
        }
        exchange.refused = Some(who);
        Error::e_explain(ErrorType::HTTPStatus(who.status()), "the exchange took too long")
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        self.edge.begin()
    }

    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, exchange: &mut Exchange) -> Result<bool> {
        if session.is_upgrade_req() {
            session.set_read_timeout(Some(self.edge.policy.tunnel_timeout));
        }
        let client = self.tell(session);
        self.edge.trace(exchange, || traced::opening(session));
        let chosen = match self.gate(session) {
            Ok(()) => self.choose(session.req_header(), client, exchange).await,
            Err(refused) => Err(refused),
        };
        let Err(refused) = chosen else { return Ok(false) };
        exchange.refused = Some(refused);
        let is_head = session.req_header().method == Method::HEAD;
        let (answer, body) = own::answer(refused)?;
        session.write_response_header(Box::new(answer), is_head).await?;
        if !is_head {
            session.write_response_body(Some(body), true).await?;
        }
        Ok(true)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
    ) -> Result<Box<HttpPeer>> {
        // The first choice was made when the request came in.
        if exchange.in_flight.is_none()
            && let Err(refused) = self.choose(session.req_header(), client(session), exchange).await
        {
            exchange.refused = Some(refused);
            return Err(Error::new_up(ErrorType::HTTPStatus(refused.status())));
        }
        exchange.is_answered = false;
        let Some(target) = &exchange.target else {
            return Err(Error::new_in(ErrorType::InternalError));
        };
        let bridge = self.bridge(exchange, target, session);
        let broken = bridge.as_ref().map(|bridge| bridge.broken.clone());
        let peer = self.peer(exchange, target, session, bridge);
        exchange.broken = broken;
        match peer {
            Some(peer) => Ok(peer),
            None => {
                exchange.refused = Some(Refused::NodeFailed);
                Err(Error::new_up(ErrorType::HTTPStatus(Refused::NodeFailed.status())))
            }
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let is_h2 =
            |target: &Target| matches!(target.node.config.address.scheme, Scheme::H2 | Scheme::H2c);
        if is_http2(session)
            && session.req_header().headers.get(TE).is_some_and(|te| te == "trailers")
            && exchange.target.as_ref().is_some_and(is_h2)
        {
            // Taken out with what concerns one connection; servers of gRPC look for it.
            head.insert_header(TE, "trailers")?;
        }
        traced::tell(head, exchange)?;
        if let Some(target) = exchange.target.as_ref().filter(|_| !head.headers.contains_key(HOST))
        {
            // HTTP/1.0 knows no Host; the node is spoken to in HTTP/1.1, which must have one.
            let Address { host, port, .. } = &target.node.config.address;
            head.insert_header(HOST, format!("{host}:{port}"))?;
        }
        if let Some(target) = exchange.target.as_ref().filter(|target| target.strip_session) {
            let settings = &target.node.settings;
            headers::strip_session(head, settings);
            let path = std::str::from_utf8(head.raw_path()).unwrap_or_default();
            let stripped = session::without_parameter(path, settings.path.as_str());
            if stripped != path {
                head.set_raw_path(stripped.as_bytes())?;
            }
        }
        Ok(())
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        _end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if body.is_none() {
            return Ok(());
        }
        self.check_time(session, exchange, Refused::ClientSlow)?;
        let is_too_long = self.edge.policy.is_too_long(session.body_bytes_read() as u64);
        if is_too_long && !session.was_upgraded() {
            exchange.refused = Some(Refused::BodyTooLong);
            return Err(Error::new_down(ErrorType::HTTPStatus(Refused::BodyTooLong.status())));
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        self.check_time(session, exchange, Refused::NodeSilent)?;
        let question = Question {
            is_head: session.req_header().method == Method::HEAD,
            asks_upgrade: session.is_upgrade_req(),
        };
        if let Err(error) = answer::admit(head, question) {
            tracing::debug!(%error, "a node's answer is refused");
            exchange.is_answered = true;
            return Err(Error::because(ErrorType::InvalidHTTPHeader, "an answer", error).into_up());
        }
        if self.is_withdrawn(session, head.status, exchange) {
            return Err(Error::new_up(WITHDRAWN));
        }
        if !std::mem::replace(&mut exchange.is_answered, true) {
            exchange.answered();
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        _exchange: &mut Exchange,
    ) -> Result<()> {
        if session.req_header().version == Version::HTTP_10
            && head.remove_header(&TRANSFER_ENCODING).is_some()
        {
            // HTTP/1.0 knows no chunks: the answer ends with the connection.
            session.set_keepalive(None);
        }
        if connection::of(session).is_some_and(connection::Connection::is_last)
            && head.status != StatusCode::SWITCHING_PROTOCOLS
        {
            // What follows may be the tunnel that was not opened.
            session.set_keepalive(None);
        }
        Ok(())
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        exchange: &mut Exchange,
    ) -> Result<Option<Duration>> {
        self.check_time(session, exchange, Refused::NodeSilent).map(|()| None)
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        exchange: &mut Exchange,
        mut error: Box<Error>,
    ) -> Box<Error> {
        match is_own_fault(&error) {
            true => tracing::warn!(%error, "no connection could be made to any node"),
            false => self.edge.leave_out(exchange),
        }
        let method = session.req_header().method.as_str();
        error.set_retry(self.edge.failed(exchange, Failure::Connect, method, true));
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        exchange: &mut Exchange,
        reused: bool,
    ) -> Box<Error> {
        let broken = exchange.broken.as_ref().and_then(|broken| broken.cause());
        if let Some(Cause::Refused(refused)) = broken {
            exchange.refused = Some(refused);
            error.set_retry(false);
            return error;
        }
        let fault = connection::of(session).and_then(connection::Connection::fault);
        let is_silent = is_late(&error, Refused::NodeSilent) || fault == Some(Refused::NodeSilent);
        if *error.esource() != ErrorSource::Upstream && !is_silent && broken.is_none() {
            if is_late(&error, Refused::ClientSlow) {
                exchange.refused = Some(Refused::ClientSlow);
            }
            if fault.is_some() {
                exchange.refused = fault;
            }
            error.set_retry(false);
            return error;
        }
        let is_answered = exchange.is_answered || session.response_written().is_some();
        let failure = match (broken, error.etype()) {
            _ if is_answered => Failure::Answered,
            (Some(Cause::Failed(failure)), _) => failure,
            (_, kind) if *kind == WITHDRAWN => Failure::Withdrawn,
            _ if is_silent => Failure::TimedOut,
            (_, ErrorType::ReadTimedout | ErrorType::WriteTimedout) => Failure::TimedOut,
            _ => Failure::Unanswered { reused },
        };
        if failure == Failure::Connect {
            // The bridge asked the node once more, on a new connection.
            self.edge.leave_out(exchange);
        }
        let replayable = is_replayable(session);
        let method = session.req_header().method.as_str();
        error.set_retry(self.edge.failed(exchange, failure, method, replayable));
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        exchange: &mut Exchange,
    ) -> FailToProxy {
        tracing::debug!(%error, "a request failed");
        let error_code = match (exchange.refused, error.esource(), error.etype()) {
            (Some(refused), ..) => {
                if let Ok((head, body)) = own::answer(refused) {
                    let _ = session.write_error_response(head, body).await;
                }
                refused.status()
            }
            (None, ErrorSource::Downstream, ErrorType::HTTPStatus(code)) => *code,
            // The client is gone, or sent what cannot be read.
            (None, ErrorSource::Downstream, _) => 0,
            (None, ErrorSource::Upstream | ErrorSource::Internal | ErrorSource::Unset, _) => {
                let _ = session.respond_error(500).await;
                500
            }
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(
        &self,
        session: &mut Session,
        _error: Option<&Error>,
        exchange: &mut Exchange,
    ) {
        let head = session.req_header();
        let ending = Ending {
            client: client(session),
            method: head.method.as_str(),
            target: head.raw_path(),
            version: version(head.version),
            status: session.response_written().map(|answer| answer.status.as_u16()),
            received: session.body_bytes_read() as u64,
            sent: session.body_bytes_sent() as u64,
        };
        self.edge.end(exchange, ending);
    }

    fn suppress_error_log(&self, _: &Session, _: &Exchange, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Exchange,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }
}

impl Head for RequestHeader {
    fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: &'static str, value: HeaderValue) {
        // It fails only where there are more headers than a map can hold.
        let _ = self.insert_header(name, value);
    }

    fn remove(&mut self, name: &str) {
        self.remove_header(name);
    }
}
