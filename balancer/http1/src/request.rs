//! A request's head: read once, with every doubt refused.

mod refuse;
mod write;

use std::mem::MaybeUninit;

use arrayvec::ArrayVec;
use httparse::{Header, Request, Status};

use crate::fault::Syntax;
use crate::host;
use crate::lines::{Facts, Line, Lines, MAX_COOKIES};
use crate::span::Span;
use crate::target::Target;
use crate::{MAX_HEAD_BYTES, MAX_HEADERS};

pub use refuse::BadRequest;
pub use write::{RequestChanges, TraceLines};

/// The first bytes of HTTP/2 without TLS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No method in use is longer.
const MAX_METHOD: usize = 32;

/// How much of a head is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, its empty line among them; at most
    /// [`MAX_HEAD_BYTES`](crate::MAX_HEAD_BYTES).
    pub bytes: usize,
    /// Header lines; at most [`MAX_HEADERS`](crate::MAX_HEADERS).
    pub headers: usize,
    /// Bytes of the request target.
    pub target: usize,
}

/// The version of a message. Others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none, and no line says so.
    None,
    /// As many bytes as Content-Length says, which may be 0.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A request's head. Its [`Span`]s are places in the bytes it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// Bytes of the head with its empty line: here the body begins.
    pub length: usize,
    /// The method as it came: never CONNECT or TRACE.
    pub method: Span,
    /// The target as it came.
    pub target: Span,
    /// Path and query; of a whole URL what follows its host, or `/`; `*` of `OPTIONS *`. What a
    /// node is asked for is [`RequestHead::origin`].
    pub origin: Span,
    /// The origin without its query.
    pub path: Span,
    /// The host with its port: that of a whole URL, with which a Host line has to agree, else of
    /// the Host line. Empty only in HTTP/1.0.
    pub host: Span,
    /// The client's version.
    pub version: Version,
    /// How the body is framed.
    pub body: RequestBody,
    /// Whether the client would send another request on its connection.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends its body. Never in HTTP/1.0.
    pub expects_continue: bool,
    /// What the connection shall become, of an exact upgrade request: GET, HTTP/1.1, no body
    /// lines, `Connection: upgrade`, one Upgrade line with one protocol that is not h2c. Anything
    /// else is an ordinary request, whose upgrade lines end here.
    pub upgrade: Option<Span>,
    /// Values of the Cookie lines, of the first eight: further ones reach the node, but do not
    /// count for routing.
    pub cookies: ArrayVec<Span, MAX_COOKIES>,
    /// The value of `traceparent`, where there is one line of it.
    pub traceparent: Option<Span>,
    lines: Lines,
    is_absolute: bool,
    is_oddly_chunked: bool,
    has_host_line: bool,
    has_forwarding: bool,
}

/// Reads the head that `bytes` begin with; `None` when more bytes are needed.
///
/// The verdict does not depend on how the bytes were split. A call costs as much as it is given
/// bytes: see [`worth_parsing`] for clients that send theirs one by one.
///
/// ```
/// # use muster_http1::{HeadLimits, parse_request};
/// let bytes = b"GET /shop?x HTTP/1.1\r\nHost: shop.example\r\n\r\n";
/// let head = parse_request(bytes, &HeadLimits::default())?.expect("it is whole");
/// assert_eq!((head.path.text(bytes), head.host.text(bytes)), ("/shop", "shop.example"));
/// # Ok::<(), muster_http1::BadRequest>(())
/// ```
///
/// # Errors
/// The first reason for which the head must not be passed on. The connection is then of no more
/// use, for nobody knows where the next request would begin.
pub fn parse_request(bytes: &[u8], limits: &HeadLimits) -> Result<Option<RequestHead>, BadRequest> {
    match bytes.first() {
        None => return Ok(None),
        Some(b'\r' | b'\n') => return Err(Syntax::LeadingEmptyLine.into()),
        Some(b'P') if is_preface(bytes) => {
            let is_whole = bytes.len() >= PREFACE.len();
            return if is_whole { Err(BadRequest::Preface) } else { Ok(None) };
        }
        Some(_) => {}
    }
    let most = limits.bytes.min(MAX_HEAD_BYTES);
    let window = &bytes[..bytes.len().min(most)];
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let headers = &mut headers[..limits.headers.min(MAX_HEADERS)];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(window, headers) {
        Ok(Status::Complete(length)) => checked(window, length, &request, limits).map(Some),
        Ok(Status::Partial) => match refuse::early(window, &request, limits) {
            Some(refusal) => Err(refusal),
            None if bytes.len() >= most => Err(BadRequest::HeadTooLong),
            None => Ok(None),
        },
        Err(error) => Err(refuse::translate(window, &request, error, limits)),
    }
}

/// Whether another [`parse_request`] or [`parse_response`](crate::parse_response) can say more
/// than the last one did, which said `None` when there were `seen` bytes.
///
/// Only with the end of a line something new can be told, or where the limit is reached: asked
/// first, a head that comes byte by byte is parsed once for each of its lines at most.
pub fn worth_parsing(bytes: &[u8], seen: usize, limits: &HeadLimits) -> bool {
    let new = bytes.get(seen..).unwrap_or_default();
    seen == 0 || bytes.len() >= limits.bytes.min(MAX_HEAD_BYTES) || new.contains(&b'\n')
}

fn is_preface(bytes: &[u8]) -> bool {
    let length = bytes.len().min(PREFACE.len());
    bytes[..length] == PREFACE[..length]
}

/// Checks what the parser let pass, and puts the head together.
#[inline]
fn checked(
    head: &[u8],
    length: usize,
    request: &Request<'_, '_>,
    limits: &HeadLimits,
) -> Result<RequestHead, BadRequest> {
    let method = request.method.unwrap_or_default().as_bytes();
    let target = request.path.unwrap_or_default().as_bytes();
    if method.len() > MAX_METHOD {
        return Err(BadRequest::BadMethod);
    }
    if target.len() > limits.target {
        return Err(BadRequest::TargetTooLong);
    }
    if matches!(method, b"CONNECT" | b"TRACE") {
        return Err(BadRequest::Method);
    }
    let is_http10 = request.version == Some(0);
    let mut facts = Facts::default();
    facts.read(head, length, request.headers)?;
    facts.framing.check(is_http10)?;
    let whole = Span::within(head, target);
    let target = Target::read(head, whole, method == b"OPTIONS").ok_or(BadRequest::BadTarget)?;
    let host = host_line(head, &facts, is_http10)?;
    if !host.is_empty() && !target.is_for(head, host) {
        return Err(BadRequest::BadHost);
    }
    if facts.connection.is_odd || facts.is_oddly_listed {
        return Err(BadRequest::BadOption);
    }
    let body = match facts.framing.length {
        Some(length) => RequestBody::Length(length),
        None if facts.framing.is_chunked => RequestBody::Chunked,
        None => RequestBody::None,
    };
    let may_upgrade = method == b"GET" && !is_http10 && body == RequestBody::None;
    Ok(RequestHead {
        length,
        method: Span::within(head, method),
        target: whole,
        origin: target.origin,
        path: target.path,
        host: target.authority.unwrap_or(host),
        version: if is_http10 { Version::Http10 } else { Version::Http11 },
        body,
        keep_alive: !facts.connection.close && (!is_http10 || facts.connection.keep_alive),
        expects_continue: facts.expects_continue && !is_http10,
        upgrade: facts.upgrade(head).filter(|_| may_upgrade),
        cookies: std::mem::take(&mut facts.cookies),
        traceparent: facts.traceparent.filter(|_| !facts.has_several_traceparents),
        is_absolute: target.authority.is_some(),
        is_oddly_chunked: facts.framing.is_odd,
        has_host_line: facts.host.is_some(),
        has_forwarding: facts.has_forwarding,
        lines: facts.lines,
    })
}

/// The one Host line, which HTTP/1.0 may leave out or empty.
#[inline]
fn host_line(head: &[u8], facts: &Facts, is_http10: bool) -> Result<Span, BadRequest> {
    if facts.has_several_hosts {
        return Err(BadRequest::BadHost);
    }
    match facts.host {
        Some(host) if host::is_host(host.of(head)) => Ok(host),
        Some(host) if is_http10 && host.is_empty() => Ok(host),
        Some(_) => Err(BadRequest::BadHost),
        None if is_http10 => Ok(Span::default()),
        None => Err(BadRequest::NoHost),
    }
}

// === impl HeadLimits ===

impl Default for HeadLimits {
    /// 32 KiB, 100 lines, and 8 KiB for the target.
    fn default() -> Self {
        Self { bytes: 32 * 1024, headers: MAX_HEADERS, target: 8 * 1024 }
    }
}

// === impl RequestHead ===

impl RequestHead {
    /// Path and query as a node is asked for them: for the OPTIONS of a URL without a path it is
    /// `*` (RFC 9112, 3.2.4).
    pub fn origin<'b>(&self, head: &'b [u8]) -> &'b [u8] {
        let has_path = !self.is_absolute || self.origin.start() >= self.host.end();
        if !has_path && self.method.of(head) == b"OPTIONS" {
            return b"*";
        }
        self.origin.of(head)
    }

    /// All header lines as they came. Reads them again: for those who rewrite by hand (AJP).
    pub fn headers<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Line<'b>> {
        self.lines.iter(head)
    }

    /// Whether the client speaks of clients before it: `Forwarded` or `X-Forwarded-*`.
    pub fn has_forwarding(&self) -> bool {
        self.has_forwarding
    }
}
