//! What a node is told of the client, and what it must not be told by the client.
//!
//! No client is trusted yet: what it says in `Forwarded` or `X-Forwarded-*` is replaced.

use std::net::IpAddr;

use http::header::{COOKIE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue};
use muster_protocol::mcmp::BalancerSettings;
use muster_routing::session;

/// The client as the node is told.
pub(crate) const FOR: &str = "X-Forwarded-For";
/// The Host that the client asked for.
pub(crate) const HOST_ASKED: &str = "X-Forwarded-Host";
/// `http` or `https`.
pub(crate) const PROTO: &str = "X-Forwarded-Proto";

/// A request's head as either engine has it.
pub(crate) trait Head {
    /// Its headers.
    fn headers(&self) -> &HeaderMap;
    /// Puts one value in the place of all that the header has.
    fn set(&mut self, name: &'static str, value: HeaderValue);
    /// Takes a header out.
    fn remove(&mut self, name: &str);
}

/// Tells the node who asks, by which name and how.
pub(crate) fn forward(head: &mut impl Head, client: Option<IpAddr>, is_tls: bool) {
    if head.headers().contains_key(FORWARDED) {
        head.remove(FORWARDED.as_str());
    }
    for name in foreign(head.headers()) {
        head.remove(name.as_str());
    }
    match client.and_then(|client| HeaderValue::from_str(&client.to_string()).ok()) {
        Some(client) => head.set(FOR, client),
        None => head.remove(FOR),
    }
    match head.headers().get(HOST).cloned() {
        Some(host) => head.set(HOST_ASKED, host),
        None => head.remove(HOST_ASKED),
    }
    head.set(PROTO, HeaderValue::from_static(if is_tls { "https" } else { "http" }));
}

/// What else of its kind a client sends: X-Forwarded-Port, -Prefix, -Ssl and the like.
fn foreign(headers: &HeaderMap) -> Vec<HeaderName> {
    let ours =
        |name: &str| [FOR, HOST_ASKED, PROTO].iter().any(|own| own.eq_ignore_ascii_case(name));
    let is_foreign =
        |name: &&HeaderName| name.as_str().starts_with("x-forwarded-") && !ours(name.as_str());
    headers.keys().filter(is_foreign).cloned().collect()
}

/// Takes the session's cookie out of the request (StickySessionRemove). The path parameter is
/// the engine's to take out, for it owns the target.
pub(crate) fn strip_session(head: &mut impl Head, settings: &BalancerSettings) {
    // A cookie may hold any byte. One char a byte keeps them all as they came.
    let left = |value: &HeaderValue| {
        let text: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
        session::without_cookie(&text, settings.cookie.as_str())
    };
    let cookies: Vec<String> = head.headers().get_all(COOKIE).iter().filter_map(left).collect();
    let bytes: Vec<u8> = cookies.join("; ").chars().map(|c| c as u8).collect();
    match HeaderValue::from_bytes(&bytes) {
        Ok(cookies) if !cookies.is_empty() => head.set("Cookie", cookies),
        _ => head.remove(COOKIE.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Head for HeaderMap {
        fn headers(&self) -> &HeaderMap {
            self
        }
        fn set(&mut self, name: &'static str, value: HeaderValue) {
            self.insert(name, value);
        }
        fn remove(&mut self, name: &str) {
            HeaderMap::remove(self, name);
        }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_a_client_says_of_itself_is_replaced() {
        let mut head = headers(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-for", "10.0.0.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-port", "81"),
            ("forwarded", "for=10.0.0.1"),
        ]);
        forward(&mut head, Some(IpAddr::from([192, 0, 2, 7])), false);
        let expected = headers(&[
            ("host", "shop.example"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "shop.example"),
        ]);
        assert_eq!(head, expected);
    }

    #[test]
    fn only_the_session_cookie_is_stripped() {
        let settings = BalancerSettings::default();
        let mut head = headers(&[("cookie", "a=1; JSESSIONID=k.a"), ("cookie", "b=2")]);
        strip_session(&mut head, &settings);
        assert_eq!(head, headers(&[("cookie", "a=1; b=2")]));
        let mut head = HeaderMap::new();
        head.append(
            "cookie",
            HeaderValue::from_bytes(b"name=Jos\xc3\xa9; JSESSIONID=k.a").unwrap(),
        );
        strip_session(&mut head, &settings);
        assert_eq!(head["cookie"].as_bytes(), b"name=Jos\xc3\xa9");
        let mut head = headers(&[("cookie", "JSESSIONID=k.a")]);
        strip_session(&mut head, &settings);
        assert!(head.is_empty());
    }
}
