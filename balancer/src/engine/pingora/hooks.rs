//! Pingora's hooks: each fetches what the policy needs and delivers what it says.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{
    ALLOW, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Version};
use muster_protocol::mcmp::{self, Address};
use muster_routing::retry::Failure;
use muster_routing::session;
use pingora_core::modules::http::HttpModules;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use super::connection;
use super::upgrade::UpgradeConnect;
use crate::proxy::edge::Asked;
use crate::proxy::exchange::Target;
use crate::proxy::headers::{self, Head};
use crate::proxy::{Edge, Ending, Exchange, Refused};
use crate::trusted::Networks;

/// Pingora takes a bound of nothing for none at all.
const LEAST_WAIT: Duration = Duration::from_millis(1);

pub(super) struct Hooks {
    edge: Arc<Edge>,
    /// Numbers the attempts after a lost race: connections are pooled by it, so that each gets a
    /// fresh one.
    afresh: AtomicU64,
}

impl Hooks {
    pub(super) fn new(edge: Arc<Edge>) -> Hooks {
        Hooks { edge, afresh: AtomicU64::new(1) }
    }

    /// Refuses what needs no node to be refused.
    fn gate(&self, head: &RequestHeader) -> Result<(), Refused> {
        // MCMP has a port of its own; a proxy has no business with its commands.
        if mcmp::method(head.method.as_str()).is_some() {
            return Err(Refused::Method);
        }
        if head_bytes(head) > self.edge.policy.max_head_bytes {
            return Err(Refused::HeadTooLong);
        }
        let length =
            head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        match (self.edge.policy.body_limit, length) {
            (Some(limit), Some(length)) if limit < length => Err(Refused::BodyTooLong),
            _ => Ok(()),
        }
    }

    async fn choose(&self, head: &RequestHeader, exchange: &mut Exchange) -> Result<(), Refused> {
        // Other cookies may hold any byte; a session's own route is plain text.
        let values = head.headers.get_all(COOKIE).iter();
        let texts: Vec<Cow<'_, str>> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let cookies: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.or(head.uri.host()).unwrap_or_default();
        let asked = Asked { client: None, host, path: head.uri.path(), cookies: &cookies };
        self.edge.choose(exchange, asked).await
    }

    fn peer(&self, exchange: &Exchange, target: &Target, is_upgrade: bool) -> Box<HttpPeer> {
        let policy = &self.edge.policy;
        let config = &target.node.config;
        let mut peer = HttpPeer::new(target.socket, false, String::new());
        let options = &mut peer.options;
        options.connection_timeout = Some(shorter(policy.connect_timeout, config.ping));
        options.total_connection_timeout = options.connection_timeout;
        let silence = config.timeout.unwrap_or(policy.read_timeout);
        let silence = silence.min(self.edge.time_left(exchange)).max(LEAST_WAIT);
        options.read_timeout = Some(silence);
        options.write_timeout = options.read_timeout;
        if is_upgrade {
            let connect = shorter(policy.connect_timeout, config.ping);
            options.custom_l4 = Some(Arc::new(UpgradeConnect { connect, answer: silence }));
            options.read_timeout = Some(policy.tunnel_timeout);
        }
        options.idle_timeout = Some(shorter(policy.idle_timeout, config.ttl));
        if exchange.raced || is_upgrade {
            options.idle_timeout = Some(LEAST_WAIT);
            peer.group_key = self.afresh.fetch_add(1, Ordering::Relaxed);
        }
        Box::new(peer)
    }

    /// Ends an exchange that took too long; a tunnel has no end of its own.
    fn check_time(&self, session: &Session, exchange: &mut Exchange, who: Refused) -> Result<()> {
        if session.was_upgraded() || !self.edge.time_left(exchange).is_zero() {
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
        if let Some(connection) = connection::of(session) {
            connection.head_is_read();
        }
        if session.is_upgrade_req() {
            session.set_read_timeout(Some(self.edge.policy.tunnel_timeout));
        }
        let head = session.req_header();
        let chosen = match self.gate(head) {
            Ok(()) => self.choose(head, exchange).await,
            Err(refused) => Err(refused),
        };
        let Err(refused) = chosen else { return Ok(false) };
        exchange.refused = Some(refused);
        let is_head = head.method == http::Method::HEAD;
        let (answer, body) = answer(refused)?;
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
            && let Err(refused) = self.choose(session.req_header(), exchange).await
        {
            exchange.refused = Some(refused);
            return Err(Error::new_up(ErrorType::HTTPStatus(refused.status())));
        }
        exchange.is_answered = false;
        match &exchange.target {
            Some(target) => Ok(self.peer(exchange, target, session.is_upgrade_req())),
            None => Err(Error::new_in(ErrorType::InternalError)),
        }
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        headers::forward(head, client(session), false, &Networks::NONE);
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
        match self.edge.policy.body_limit {
            Some(limit) if session.body_bytes_read() > limit && !session.was_upgraded() => {
                exchange.refused = Some(Refused::BodyTooLong);
                Err(Error::new_down(ErrorType::HTTPStatus(Refused::BodyTooLong.status())))
            }
            _ => Ok(()),
        }
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        _head: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if !std::mem::replace(&mut exchange.is_answered, true)
            && let Some(in_flight) = &exchange.in_flight
        {
            in_flight.answered();
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        _exchange: &mut Exchange,
    ) -> Result<()> {
        if session.req_header().version == Version::HTTP_10 {
            // HTTP/1.0 knows no chunks: the answer ends with the connection.
            head.remove_header(&TRANSFER_ENCODING);
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
        if *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        let is_answered = exchange.is_answered || session.response_written().is_some();
        let failure = match error.etype() {
            _ if is_answered => Failure::Answered,
            ErrorType::ReadTimedout | ErrorType::WriteTimedout => Failure::TimedOut,
            _ => Failure::Unanswered { reused },
        };
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
                if let Ok((head, body)) = answer(refused) {
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

/// Whether a connect failed for reasons of this machine: no files, no ports, no rights.
fn is_own_fault(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::SocketError | ErrorType::BindError | ErrorType::InternalError
    )
}

/// Whether the whole body can be sent again. Pingora keeps what it has read, but does not end an
/// empty body of chunks a second time.
fn is_replayable(session: &Session) -> bool {
    let is_chunked = session.req_header().headers.contains_key(TRANSFER_ENCODING);
    let is_unended = is_chunked && session.body_bytes_read() == 0;
    !is_unended && !session.as_ref().retry_buffer_truncated()
}

/// What the head takes on the wire, but for the version and some blanks.
fn head_bytes(head: &RequestHeader) -> usize {
    let line =
        |(name, value): (&http::HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    head.raw_path().len() + head.headers.iter().map(line).sum::<usize>()
}

fn answer(refused: Refused) -> Result<(ResponseHeader, Bytes)> {
    let body = Bytes::from(refused.body());
    let mut head = ResponseHeader::build(refused.status(), Some(4))?;
    head.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    if let Some(allow) = refused.allow() {
        head.insert_header(ALLOW, allow)?;
    }
    if let Some(after) = refused.retry_after() {
        head.insert_header(RETRY_AFTER, after.as_secs())?;
    }
    Ok((head, body))
}

/// The balancer's bound, or the node's own if that is shorter; zero means that it has none.
fn shorter(bound: Duration, of_node: Duration) -> Duration {
    if of_node.is_zero() { bound } else { bound.min(of_node) }
}

fn client(session: &Session) -> Option<IpAddr> {
    session.client_addr().and_then(|client| client.as_inet()).map(|client| client.ip())
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}
