//! The head of a request as one packet, FORWARD_REQUEST. (reference: AJP13, points 3 to 6, 9, 10)

use super::body::Body;
use super::codes::{self, NAME_IS_CODED};
use super::hop::{is_connection, is_hop_by_hop, is_nominated};
use super::packet::{HEADER, PacketSize, put_decimal, put_number, put_string};

/// The head of a request, and what the node is told of its connection.
///
/// Its words are those of a request that has passed the balancer's gate. The secret is why this
/// can't be printed.
#[derive(Clone)]
pub struct Forward<'f, H> {
    /// Any method; only its spelling counts.
    pub method: &'f str,
    /// The version, as `HTTP/1.1`.
    pub protocol: &'f str,
    /// The path as it came, without its query.
    pub uri: &'f str,
    /// What follows the question mark, which is not part of it.
    pub query: Option<&'f str>,
    /// The client's address, without its port.
    pub remote_addr: &'f str,
    /// The client's port.
    pub remote_port: u16,
    /// The host that the client asked for, without its port.
    pub server_name: &'f str,
    /// The port that the client asked for.
    pub server_port: u16,
    /// Present when the client came over TLS, even where nothing of it is known.
    pub tls: Option<Tls<'f>>,
    /// The route of the node that is asked.
    pub route: Option<&'f str>,
    /// What a node demands that is configured with a secret; other nodes overlook it.
    pub secret: Option<&'f str>,
    /// The request's body: its length is sent from here and never from the headers.
    pub body: Body,
    /// All headers: one entry for each, so that several of one name stay several. A request of
    /// HTTP/2 has no Host; its authority belongs here as one.
    ///
    /// What ends at this hop, `Expect`, and what frames the body are left out.
    pub headers: H,
}

/// What is known of the client's TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tls<'f> {
    /// The cipher suite's name.
    pub cipher: Option<&'f str>,
    /// Bits of the cipher's key.
    pub key_size: Option<u16>,
    /// The version, as `TLSv1.3`.
    pub protocol: Option<&'f str>,
    /// The client's own certificate, and what it sent of its chain, as PEM.
    pub certificate: Option<&'f str>,
}

/// The head does not fit into a packet: 431, and nothing has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the head takes an AJP packet of {length} bytes, the limit is {limit}")]
pub struct HeadTooLong {
    /// Bytes that its packet would have.
    pub length: usize,
    /// Most bytes that the node takes.
    pub limit: usize,
}

/// Appends the packet that asks a node. On an error `out` is as it was.
///
/// ```
/// use muster_protocol::ajp::{Body, Forward, PacketSize, write_forward};
/// let forward = Forward {
///     method: "GET",
///     protocol: "HTTP/1.1",
///     uri: "/app/",
///     query: None,
///     remote_addr: "192.0.2.1",
///     remote_port: 40_000,
///     server_name: "example.com",
///     server_port: 80,
///     tls: None,
///     route: None,
///     secret: None,
///     body: Body::None,
///     headers: [("host", &b"example.com"[..])].into_iter(),
/// };
/// let mut out = Vec::new();
/// write_forward(&forward, PacketSize::default(), &mut out)?;
/// assert_eq!(out[..2], [0x12, 0x34]);
/// # Ok::<(), muster_protocol::ajp::HeadTooLong>(())
/// ```
pub fn write_forward<'h, H>(
    forward: &Forward<'_, H>,
    max_packet_size: PacketSize,
    out: &mut Vec<u8>,
) -> Result<(), HeadTooLong>
where
    H: Iterator<Item = (&'h str, &'h [u8])> + Clone,
{
    let start = out.len();
    out.extend_from_slice(&codes::TO_NODE);
    put_number(out, 0);
    put_line(forward, out);
    let is_whole = put_headers(forward, out);
    put_attributes(forward, out);
    let (length, limit) = (out.len() - start, max_packet_size.bytes());
    match u16::try_from(length - HEADER) {
        Ok(content) if length <= limit && is_whole => {
            out[start + 2..start + HEADER].copy_from_slice(&content.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(HeadTooLong { length, limit })
        }
    }
}

/// What stands before the headers.
fn put_line<H>(forward: &Forward<'_, H>, out: &mut Vec<u8>) {
    out.push(codes::FORWARD_REQUEST);
    out.push(codes::method(forward.method).unwrap_or(codes::METHOD_IS_NAMED));
    put_string(out, forward.protocol.as_bytes());
    put_string(out, forward.uri.as_bytes());
    put_string(out, forward.remote_addr.as_bytes());
    // The client's host name: nobody looked it up.
    put_number(out, codes::NULL);
    put_string(out, forward.server_name.as_bytes());
    put_number(out, forward.server_port);
    out.push(u8::from(forward.tls.is_some()));
}

/// Whether all of them could be written.
fn put_headers<'h, H>(forward: &Forward<'_, H>, out: &mut Vec<u8>) -> bool
where
    H: Iterator<Item = (&'h str, &'h [u8])> + Clone,
{
    let count_at = out.len();
    put_number(out, 0);
    let (mut count, mut is_whole) = (put_framing(forward.body, out), true);
    let has_connection = forward.headers.clone().any(|(name, _)| is_connection(name));
    for (name, value) in forward.headers.clone() {
        let ends_here = is_hop_by_hop(name)
            || name.eq_ignore_ascii_case("content-length")
            || has_connection && is_nominated(forward.headers.clone(), name);
        if !ends_here {
            is_whole &= put_name(name, out);
            put_string(out, value);
            count += 1;
        }
    }
    out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes()[2..]);
    is_whole && count <= u32::from(u16::MAX)
}

/// The header that tells where the body ends; returns how many that are.
fn put_framing(body: Body, out: &mut Vec<u8>) -> u32 {
    match body {
        Body::None => return 0,
        Body::Length(length) => {
            put_name("content-length", out);
            put_decimal(out, length);
        }
        // Undertow takes a request with neither for one without a body.
        Body::Unknown => {
            put_name("transfer-encoding", out);
            put_string(out, b"chunked");
        }
    }
    1
}

/// `false` when the name is so long that it would be read as a number.
fn put_name(name: &str, out: &mut Vec<u8>) -> bool {
    match codes::request_header(name) {
        Some(code) => out.extend_from_slice(&code),
        None => put_string(out, name.as_bytes()),
    }
    name.len() < usize::from(NAME_IS_CODED) << 8
}

fn put_attributes<H>(forward: &Forward<'_, H>, out: &mut Vec<u8>) {
    let tls = forward.tls.unwrap_or_default();
    put_attribute(codes::QUERY, forward.query, out);
    put_attribute(codes::ROUTE, forward.route, out);
    put_attribute(codes::TLS_CERTIFICATE, tls.certificate, out);
    put_attribute(codes::TLS_CIPHER, tls.cipher, out);
    if let Some(bits) = tls.key_size {
        out.push(codes::TLS_KEY_SIZE);
        put_number(out, bits);
    }
    put_attribute(codes::SECRET, forward.secret, out);
    if codes::method(forward.method).is_none() {
        put_attribute(codes::METHOD, Some(forward.method), out);
    }
    // Tomcat answers 403 to a named attribute that it does not know; it knows these two.
    put_attribute(codes::NAMED, Some("AJP_REMOTE_PORT"), out);
    put_decimal(out, u64::from(forward.remote_port));
    if let Some(protocol) = tls.protocol {
        put_attribute(codes::NAMED, Some("AJP_SSL_PROTOCOL"), out);
        put_string(out, protocol.as_bytes());
    }
    out.push(codes::ATTRIBUTES_END);
}

fn put_attribute(code: u8, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.push(code);
        put_string(out, value.as_bytes());
    }
}
