//! Who is heard on the manager listener, and with which headers every answer leaves.
//!
//! A browser is the danger: a page of another site can make it send requests here. It can do so
//! under a name of that site that suddenly resolves to our address (DNS rebinding), so only names
//! of our own are answered to; and it can post forms, so a POST must come from our own origin.
//! The token in the form is checked besides.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use tokio::time::timeout;

use super::{ManagerState, REQUEST_TIMEOUT, refuse};

/// Why a request is not heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denied {
    /// No `Host`, or one that is none.
    #[error("the request says for no host, or not for one")]
    NoHost,
    /// A name that is not ours.
    #[error("this listener does not answer to the host {0:?}")]
    Host(String),
    /// A POST from a page of another origin.
    #[error("a page of {0:?} may change nothing here")]
    Origin(String),
}

impl Denied {
    fn status(&self) -> StatusCode {
        match self {
            Denied::NoHost => StatusCode::BAD_REQUEST,
            Denied::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Denied::Origin(_) => StatusCode::FORBIDDEN,
        }
    }
}

/// The middleware: a request that is not heard, or that takes too long, is answered here.
pub(super) async fn admit(
    State(state): State<Arc<ManagerState>>,
    request: Request,
    next: Next,
) -> Response {
    let heard = authority(request.uri(), request.headers()).and_then(|host| {
        check_host(&host, state.own, &state.settings.hosts)?;
        check_origin(request.method(), &host, request.headers())
    });
    if let Err(denied) = heard {
        tracing::warn!(%denied, "a request to the manager");
        return refuse(denied.status(), &denied.to_string());
    }
    match timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let mut late = refuse(StatusCode::REQUEST_TIMEOUT, "the request took too long");
            late.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            late
        }
    }
}

/// Whom the request is for: the target's authority where it has one, else the one `Host`.
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Denied> {
    if let Some(authority) = uri.authority() {
        return Ok(authority.clone());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host.as_bytes()).map_err(|_| Denied::NoHost),
        _ => Err(Denied::NoHost),
    }
}

/// The port does not count: it may be a tunnel's, and rebinding cannot change the name.
fn check_host(host: &Authority, own: SocketAddr, names: &[String]) -> Result<(), Denied> {
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_ours = match bare.parse::<IpAddr>() {
        // Bound to all addresses, any of them may be ours. An address cannot be rebound.
        Ok(ip) => ip.is_loopback() || ip == own.ip() || own.ip().is_unspecified(),
        Err(_) => {
            let is = |own: &str| name.eq_ignore_ascii_case(own);
            is("localhost") || names.iter().any(|own| is(own))
        }
    };
    match is_ours {
        true => Ok(()),
        false => Err(Denied::Host(name.to_owned())),
    }
}

/// Browsers say `Origin: null` for the forms of a page with our `no-referrer`; then
/// `Sec-Fetch-Site`, which no page can set, must say where the form was. Tools say neither.
fn check_origin(method: &Method, host: &Authority, headers: &HeaderMap) -> Result<(), Denied> {
    if method.is_safe() {
        return Ok(());
    }
    let site = headers.get(SEC_FETCH_SITE);
    let Some(origin) = headers.get(header::ORIGIN) else {
        return match site.is_none_or(|site| site == "same-origin") {
            true => Ok(()),
            false => Err(Denied::Origin("another site".to_owned())),
        };
    };
    let text = origin.to_str().unwrap_or_default();
    let is_ours = match text {
        "null" => site.is_some_and(|site| site == "same-origin"),
        _ => text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .is_some_and(|origin| origin.eq_ignore_ascii_case(host.as_str())),
    };
    match is_ours {
        true => Ok(()),
        false => Err(Denied::Origin(text.to_owned())),
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a browser may do with an answer of ours: nothing but show it, with our own style.
pub(super) const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The outermost layer: every answer leaves with [`HEADERS`], refusals too.
pub(super) async fn harden(mut response: Response) -> Response {
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(host: &str, own: &str) -> Result<(), Denied> {
        let authority = Authority::try_from(host).map_err(|_| Denied::NoHost)?;
        check_host(&authority, own.parse().unwrap(), &["manager.example.com".to_owned()])
    }

    fn origin(method: Method, fields: &[(HeaderName, &'static str)]) -> bool {
        let headers: HeaderMap = fields
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        check_origin(&method, &Authority::from_static("localhost:6667"), &headers).is_ok()
    }

    #[test]
    fn only_names_of_our_own_are_answered_to() {
        for good in [
            "localhost",
            "LOCALHOST:6667",
            "127.0.0.1:6667",
            "127.8.8.8",
            "[::1]:6667",
            "10.1.2.3:6667",
            "Manager.example.com",
        ] {
            assert_eq!(host(good, "10.1.2.3:6667"), Ok(()), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "10.1.2.4", "[fe80::1]", "127.1"] {
            assert!(matches!(host(bad, "10.1.2.3:6667"), Err(Denied::Host(_))), "{bad}");
        }
        assert_eq!(host("10.9.9.9", "0.0.0.0:6667"), Ok(()), "bound to all addresses");
        assert!(host("evil.example", "0.0.0.0:6667").is_err());
    }

    #[test]
    fn a_request_says_once_for_which_host_it_is() {
        let mut headers = HeaderMap::new();
        assert_eq!(authority(&Uri::from_static("/"), &headers), Err(Denied::NoHost));
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert!(authority(&Uri::from_static("/"), &headers).is_ok());
        let target = Uri::from_static("http://evil.example/");
        assert_eq!(authority(&target, &headers).unwrap(), "evil.example");
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        assert_eq!(authority(&Uri::from_static("/"), &headers), Err(Denied::NoHost));
    }

    #[test]
    fn a_post_comes_from_our_own_page_or_from_no_page() {
        const ORIGIN: HeaderName = header::ORIGIN;
        let post = |fields: &[(HeaderName, &'static str)]| origin(Method::POST, fields);
        assert!(post(&[]), "curl");
        assert!(post(&[(ORIGIN, "http://localhost:6667")]), "fetch of our page");
        assert!(post(&[(ORIGIN, "null"), (SEC_FETCH_SITE, "same-origin")]), "a form of our page");
        assert!(!post(&[(ORIGIN, "null")]), "a sandboxed frame");
        assert!(!post(&[(ORIGIN, "null"), (SEC_FETCH_SITE, "cross-site")]));
        assert!(!post(&[(ORIGIN, "http://localhost:8080")]), "another port is another origin");
        assert!(!post(&[(ORIGIN, "http://evil.example")]));
        assert!(!post(&[(SEC_FETCH_SITE, "cross-site")]));
        assert!(origin(Method::GET, &[(ORIGIN, "http://evil.example")]), "GET changes nothing");
    }
}
