//! The gate of HTTP/2: a request passes only if it has one reading as HTTP/1 too.
//!
//! Most nodes are spoken to in HTTP/1, so the request is written down as its head would be, and
//! read by the same strict codec that reads the heads of HTTP/1: there is one rule for both. What
//! cannot be written down without changing the text (a blank in the path) is refused before.
//!
//! The HTTP/2 library has refused some already, with a reset of the stream: control characters in
//! header values, headers that concern a connection, a body that is not as long as it was said to
//! be. It takes a fragment off the path.

use http::header::{COOKIE, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};
use muster_http1::{BadRequest, HeadLimits, parse_request};

use crate::text::push_line;

/// What separates the crumbs of a cookie that came in several lines (RFC 9113, 8.2.3).
const BETWEEN_CRUMBS: &[u8] = b"; ";

/// Checks the request, and makes it one with a Host, a target without scheme and host, and one
/// Cookie line: what both engines tell nodes.
///
/// # Errors
/// Why it must not be passed on. The request is then as far from changed as it has to be to be
/// logged.
pub(super) fn admit(parts: &mut Parts, limits: &HeadLimits) -> Result<(), BadRequest> {
    // CONNECT has no path; the codec refuses it by its name.
    let target = parts.uri.path_and_query().map_or("*", PathAndQuery::as_str).to_owned();
    check_target(&target, &parts.method)?;
    let host = host(parts)?;
    join_cookies(parts);
    check_as_http1(parts, &target, host.as_bytes(), limits)?;
    parts.headers.insert(HOST, host);
    parts.uri = Uri::try_from(target).map_err(|_| BadRequest::BadTarget)?;
    Ok(())
}

/// Refuses what would be another text once it stands in a line.
fn check_target(target: &str, method: &Method) -> Result<(), BadRequest> {
    let is_one_word = target.bytes().all(|byte| byte > b' ' && byte != 0x7F);
    let is_origin = target.starts_with('/');
    let is_asterisk = target == "*" && matches!(*method, Method::OPTIONS | Method::CONNECT);
    match is_one_word && (is_origin || is_asterisk) {
        true => Ok(()),
        false => Err(BadRequest::BadTarget),
    }
}

/// The host that is asked for: of `:authority` and Host, which must not differ.
fn host(parts: &Parts) -> Result<HeaderValue, BadRequest> {
    if !matches!(parts.uri.scheme_str(), None | Some("http" | "https")) {
        return Err(BadRequest::BadTarget);
    }
    let mut said = parts.headers.get_all(HOST).iter();
    match (parts.uri.authority(), said.next(), said.next()) {
        (_, _, Some(_)) => Err(BadRequest::BadHost),
        (None, None, None) => Err(BadRequest::NoHost),
        (None, Some(said), None) => Ok(said.clone()),
        (Some(authority), said, None) => {
            let authority = authority.as_str();
            let is_same =
                |said: &HeaderValue| said.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
            match said.is_none_or(is_same) {
                true => HeaderValue::from_str(authority).map_err(|_| BadRequest::BadHost),
                false => Err(BadRequest::BadHost),
            }
        }
    }
}

/// HTTP/2 lets a cookie come in crumbs; HTTP/1 knows one line.
fn join_cookies(parts: &mut Parts) {
    let mut crumbs = parts.headers.get_all(COOKIE).iter();
    let (Some(first), Some(_)) = (crumbs.next(), crumbs.next()) else { return };
    let mut whole = first.as_bytes().to_vec();
    for crumb in parts.headers.get_all(COOKIE).iter().skip(1) {
        whole.extend_from_slice(BETWEEN_CRUMBS);
        whole.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(whole) = HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)) {
        parts.headers.insert(COOKIE, whole);
    }
}

/// Writes the head as HTTP/1 and reads it with the codec.
fn check_as_http1(
    parts: &Parts,
    target: &str,
    host: &[u8],
    limits: &HeadLimits,
) -> Result<(), BadRequest> {
    let mut text = Vec::with_capacity(512);
    for part in [parts.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    push_line("host", host, &mut text);
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != HOST) {
        push_line(name.as_str(), value.as_bytes(), &mut text);
    }
    text.extend_from_slice(b"\r\n");
    match parse_request(&text, limits)? {
        // Nothing of it may be a second request, or the beginning of a body.
        Some(head) if head.length == text.len() => Ok(()),
        Some(_) | None => Err(BadRequest::BadRequestLine),
    }
}

#[cfg(test)]
mod tests {
    use muster_http1::Syntax;

    use super::*;

    fn admitted(request: http::request::Builder) -> Result<Parts, BadRequest> {
        let mut parts = request.body(()).unwrap().into_parts().0;
        admit(&mut parts, &HeadLimits::default()).map(|()| parts)
    }

    fn get(uri: &str) -> http::request::Builder {
        http::Request::builder().uri(uri)
    }

    #[test]
    fn a_request_is_told_with_a_host_a_path_and_one_cookie_line() {
        let request = get("https://shop.example/a;b?c=%20d").header("cookie", "a=1");
        let parts = admitted(request.header("cookie", "JSESSIONID=k.a")).unwrap();
        assert_eq!(parts.uri, "/a;b?c=%20d");
        assert_eq!(parts.headers["host"], "shop.example");
        assert_eq!(parts.headers.get_all("cookie").iter().count(), 1);
        assert_eq!(parts.headers["cookie"], "a=1; JSESSIONID=k.a");
    }

    #[test]
    fn authority_and_host_must_be_one_host() {
        let both = |host: &str| admitted(get("https://shop.example/").header("host", host));
        assert!(both("Shop.example").is_ok());
        assert_eq!(both("other.example").unwrap_err(), BadRequest::BadHost);
        assert_eq!(admitted(get("/")).unwrap_err(), BadRequest::NoHost);
        assert_eq!(admitted(get("/").header("host", "a b")).unwrap_err(), BadRequest::BadHost);
        let twice = get("/").header("host", "a").header("host", "a");
        assert_eq!(admitted(twice).unwrap_err(), BadRequest::BadHost);
        assert_eq!(admitted(get("https://u@a/")).unwrap_err(), BadRequest::BadHost);
        assert_eq!(admitted(get("ftp://a/")).unwrap_err(), BadRequest::BadTarget);
    }

    #[test]
    fn what_http_1_cannot_say_in_one_way_is_refused() {
        let at = || get("https://a/");
        let several = at().header("content-length", "3").header("content-length", "3");
        let length = Err(BadRequest::Syntax(Syntax::ContentLength));
        assert_eq!(admitted(several).map(drop), length);
        assert_eq!(admitted(at().header("content-length", "+3")).map(drop), length);
        let both = at().header("content-length", "3").header("transfer-encoding", "chunked");
        let refused = admitted(both).unwrap_err();
        assert_eq!(refused, BadRequest::Syntax(Syntax::LengthAndTransferEncoding));
        for (method, refused) in [
            ("TRACE", BadRequest::Method),
            ("CONNECT", BadRequest::Method),
            (&*"M".repeat(33), BadRequest::BadMethod),
        ] {
            assert_eq!(admitted(at().method(method)).unwrap_err(), refused, "{method}");
        }
        assert_eq!(admitted(get("https://a/caf\u{e9}")).unwrap_err(), BadRequest::BadTarget);
    }

    #[test]
    fn the_asterisk_is_for_options_alone() {
        let star = |method| admitted(get("*").method(method).header("host", "a")).map(drop);
        assert_eq!(star("OPTIONS"), Ok(()));
        assert_eq!(star("GET"), Err(BadRequest::BadTarget));
    }

    #[test]
    fn limits_hold_as_in_http_1() {
        let long = "x".repeat(40_000);
        let refused = admitted(get("https://a/").header("x", &long)).unwrap_err();
        assert_eq!(refused, BadRequest::HeadTooLong);
        let refused = admitted(get(&format!("https://a/{}", &long[..9000]))).unwrap_err();
        assert_eq!(refused, BadRequest::TargetTooLong);
        let many = (0..101).fold(get("https://a/"), |get, n| get.header(format!("x-{n}"), "y"));
        assert_eq!(admitted(many).unwrap_err(), BadRequest::TooManyHeaders);
        let crumbs = (0..200).fold(get("https://a/"), |get, n| get.header("cookie", n));
        assert!(admitted(crumbs).is_ok(), "crumbs are one line");
    }
}
