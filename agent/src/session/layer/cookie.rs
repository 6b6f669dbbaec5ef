//! The session cookie: what a client is told to keep, and to forget. Pure.

use std::time::Duration;

use cookie::Cookie;
pub use cookie::SameSite;
use http::header::{HeaderMap, HeaderValue};
use http::uri::{Scheme, Uri};
use muster_protocol::names::{ContextPath, NodeHost, StickyName};

/// How the client came, as a balancer or a proxy tells it.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Whether clients send the cookie over TLS only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Secure {
    /// Where the request came over TLS: by its scheme, or by the `X-Forwarded-Proto` that a
    /// balancer sets. A server that speaks TLS itself over HTTP/1 tells neither: then
    /// [`Secure::Always`] is right.
    #[default]
    Auto,
    /// Always: a client that comes without TLS keeps no session.
    Always,
    /// Never.
    Never,
}

/// The attributes of a session's cookie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Attributes {
    pub(crate) path: Option<ContextPath>,
    pub(crate) domain: Option<NodeHost>,
    pub(crate) secure: Secure,
    pub(crate) same_site: SameSite,
    pub(crate) is_http_only: bool,
    pub(crate) max_age: Option<Duration>,
}

// === impl Attributes ===

impl Default for Attributes {
    fn default() -> Self {
        Self {
            path: None,
            domain: None,
            secure: Secure::Auto,
            same_site: SameSite::Lax,
            is_http_only: true,
            max_age: None,
        }
    }
}

impl Attributes {
    /// The header that has a client keep this id.
    pub(crate) fn keep(
        &self,
        name: &StickyName,
        value: &str,
        context: Option<&ContextPath>,
        is_secure: bool,
    ) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, value, context, is_secure);
        if let Some(max_age) = self.max_age {
            let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
            cookie.set_max_age(cookie::time::Duration::seconds(seconds));
        }
        header(&cookie)
    }

    /// The header that has a client forget its id.
    pub(crate) fn forget(
        &self,
        name: &StickyName,
        context: Option<&ContextPath>,
        is_secure: bool,
    ) -> Option<HeaderValue> {
        let mut cookie = self.cookie(name, "", context, is_secure);
        cookie.make_removal();
        header(&cookie)
    }

    fn cookie<'a>(
        &'a self,
        name: &'a StickyName,
        value: &'a str,
        context: Option<&'a ContextPath>,
        is_secure: bool,
    ) -> Cookie<'a> {
        let path = self.path.as_ref().or(context).map_or("/", ContextPath::as_str);
        let cookie = Cookie::build((name.as_str(), value)).path(path).same_site(self.same_site);
        // Browsers refuse SameSite=None without it.
        let is_secure = is_secure || self.same_site == SameSite::None;
        let mut cookie = cookie.http_only(self.is_http_only).secure(is_secure).build();
        if let Some(domain) = &self.domain {
            cookie.set_domain(domain.as_str());
        }
        cookie
    }

    /// Whether a request's cookie is for TLS only.
    pub(crate) fn is_secure(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        match self.secure {
            Secure::Always => true,
            Secure::Never => false,
            Secure::Auto => uri.scheme() == Some(&Scheme::HTTPS) || came_by_tls(headers),
        }
    }
}

/// By the last value: that is what the nearest balancer says.
fn came_by_tls(headers: &HeaderMap) -> bool {
    let last = headers.get_all(FORWARDED_PROTO).iter().next_back();
    let last = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    last.is_some_and(|proto| matches!(proto.trim(), "https" | "wss"))
}

/// None for what no header can carry: a context's path may hold any letter.
fn header(cookie: &Cookie<'_>) -> Option<HeaderValue> {
    HeaderValue::try_from(cookie.to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> StickyName {
        "JSESSIONID".parse().unwrap()
    }

    fn kept(attributes: &Attributes, is_secure: bool) -> String {
        let shop = "/shop".parse().unwrap();
        let header = attributes.keep(&name(), "k7.one", Some(&shop), is_secure).unwrap();
        header.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_for_its_context_and_not_for_scripts() {
        assert_eq!(
            kept(&Attributes::default(), false),
            "JSESSIONID=k7.one; HttpOnly; SameSite=Lax; Path=/shop"
        );
        assert_eq!(
            kept(&Attributes::default(), true),
            "JSESSIONID=k7.one; HttpOnly; SameSite=Lax; Secure; Path=/shop"
        );
    }

    #[test]
    fn every_attribute_can_be_chosen() {
        let attributes = Attributes {
            path: Some("/".parse().unwrap()),
            domain: Some("example.com".parse().unwrap()),
            same_site: SameSite::None,
            is_http_only: false,
            max_age: Some(Duration::from_secs(60)),
            ..Attributes::default()
        };
        assert_eq!(
            kept(&attributes, false),
            "JSESSIONID=k7.one; SameSite=None; Secure; Path=/; Domain=example.com; Max-Age=60",
            "no browser keeps SameSite=None without Secure"
        );
    }

    #[test]
    fn a_cookie_is_forgotten_where_it_was_kept() {
        let forget = Attributes::default().forget(&name(), None, false).unwrap();
        let forget = forget.to_str().unwrap();
        let start = "JSESSIONID=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=";
        assert!(forget.starts_with(start), "{forget}");
    }

    #[test]
    fn tls_is_seen_by_the_scheme_and_by_what_the_nearest_balancer_says() {
        let attributes = Attributes::default();
        let is_secure = |uri: &'static str, proto: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in proto {
                headers.append(FORWARDED_PROTO, HeaderValue::from_static(value));
            }
            attributes.is_secure(&Uri::from_static(uri), &headers)
        };
        assert!(is_secure("https://h/", &[]));
        assert!(is_secure("/", &["https"]));
        assert!(is_secure("/", &["http", "http, https"]));
        assert!(!is_secure("http://h/", &[]));
        assert!(!is_secure("/", &["https, http"]));
        let always = Attributes { secure: Secure::Always, ..Attributes::default() };
        let never = Attributes { secure: Secure::Never, ..Attributes::default() };
        assert!(always.is_secure(&Uri::from_static("/"), &HeaderMap::new()));
        assert!(!never.is_secure(&Uri::from_static("https://h/"), &HeaderMap::new()));
    }
}
