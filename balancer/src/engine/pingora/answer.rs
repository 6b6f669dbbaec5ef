//! The gate of answers: one passes only if it has one reading as HTTP/1.
//!
//! Pingora reads answers more leniently than our own engine, so each head is written down again
//! and read by the same strict codec. What Pingora has made one thing of before that, such as a
//! line that ends in a bare line feed, is one thing for the client too.

use http::header::{CONNECTION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, StatusCode, Version};
use muster_http1::{BadResponse, HeadLimits, MAX_HEAD_BYTES, Question, parse_response};
use pingora_http::ResponseHeader;

use crate::text::push_line;

/// Headers that concern one connection of HTTP/1 (RFC 9112, 9; RFC 9113, 8.2.2).
const OF_A_CONNECTION: [HeaderName; 4] = [
    CONNECTION,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Checks a node's head, and takes out what concerns the node's connection but for how the body is
/// framed. A granted upgrade keeps its lines.
///
/// # Errors
/// Why it must not be passed on.
pub(super) fn admit(head: &mut ResponseHeader, question: Question) -> Result<(), BadResponse> {
    check(head, question)?;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        strip(head);
    }
    Ok(())
}

/// Takes out what must not be said in HTTP/2.
pub(super) fn strip_framing(head: &mut ResponseHeader) {
    strip(head);
    head.remove_header(&TRANSFER_ENCODING);
}

fn check(head: &ResponseHeader, question: Question) -> Result<(), BadResponse> {
    let version = if head.version == Version::HTTP_10 { "1.0" } else { "1.1" };
    let mut text = format!("HTTP/{version} {} \r\n", head.status.as_str()).into_bytes();
    for (name, value) in &head.headers {
        push_line(name.as_str(), value.as_bytes(), &mut text);
    }
    text.extend_from_slice(b"\r\n");
    let limits = HeadLimits { bytes: MAX_HEAD_BYTES, ..HeadLimits::default() };
    match parse_response(&text, &limits, question)? {
        Some(parsed) if parsed.length == text.len() => Ok(()),
        Some(_) | None => Err(BadResponse::HeadTooLong),
    }
}

/// Takes out what concerns the node's connection, by name and by what Connection names.
fn strip(head: &mut ResponseHeader) {
    let mut named = Vec::new();
    for value in head.headers.get_all(CONNECTION) {
        let options = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        named.extend(options.filter_map(|option| HeaderName::from_bytes(option).ok()));
    }
    for name in named.iter().chain(&OF_A_CONNECTION) {
        head.remove_header(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, lines: &[(&'static str, &str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in lines {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn admitted(
        mut head: ResponseHeader,
        asks_upgrade: bool,
    ) -> Result<ResponseHeader, BadResponse> {
        admit(&mut head, Question { is_head: false, asks_upgrade }).map(|()| head)
    }

    #[test]
    fn what_has_two_readings_is_no_answer() {
        for lines in [
            &[("transfer-encoding", "identity")][..],
            &[("transfer-encoding", "chunked, identity")],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "5, 5")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
        ] {
            assert!(admitted(head(200, lines), false).is_err(), "{lines:?}");
        }
        let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
        assert!(admitted(head(101, &upgrade), false).is_err(), "nobody has asked");
        assert!(admitted(head(101, &upgrade[..1]), true).is_err(), "to what?");
        let granted = admitted(head(101, &upgrade), true).unwrap();
        assert_eq!(granted.headers["upgrade"], "websocket");
    }

    #[test]
    fn what_concerns_the_nodes_connection_stays_behind() {
        let lines = [
            ("connection", "close, x-inner"),
            ("x-inner", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("x-outer", "1"),
        ];
        let mut head = admitted(head(200, &lines), false).unwrap();
        let left = |head: &ResponseHeader| -> Vec<String> {
            head.headers.keys().map(|name| name.as_str().to_owned()).collect()
        };
        assert_eq!(left(&head), ["transfer-encoding", "x-outer"]);
        strip_framing(&mut head);
        assert_eq!(left(&head), ["x-outer"]);
    }
}
