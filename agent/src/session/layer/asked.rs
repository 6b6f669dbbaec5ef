//! Which session ids a request shows, in its cookies and in its path. Pure.

use cookie::Cookie;
use http::header::{COOKIE, HeaderMap};
use http::uri::{PathAndQuery, Uri};
use muster_protocol::names::StickyName;
use muster_protocol::session_id::SessionId;

/// Ids of one request that are looked at: browsers send one for each path that is a part of the
/// request's, and nobody else needs more.
pub(super) const MOST_ASKED: usize = 4;

/// The well-formed ids that a request shows, those of its cookies first, each once. What is no
/// session id is nobody's fault that could be told: it is passed over.
pub(super) fn asked(
    headers: &HeaderMap,
    path: &str,
    cookie: &StickyName,
    parameter: Option<&StickyName>,
) -> Vec<SessionId> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(Cookie::split_parse).flatten();
    let cookies = cookies.filter(|found| found.name() == cookie.as_str());
    let mut asked: Vec<SessionId> = Vec::new();
    let mut show = |value: &str| {
        if let Ok(id) = value.parse::<SessionId>()
            && asked.len() < MOST_ASKED
            && asked.iter().all(|known| known.id() != id.id())
        {
            asked.push(id);
        }
    };
    cookies.for_each(|found| show(found.value()));
    if let Some(parameter) = parameter {
        parameters(path).filter_map(|part| value_of(part, parameter)).for_each(show);
    }
    asked
}

/// The request's address without this path parameter; `None` where it has none.
pub(super) fn without_parameter(uri: &Uri, parameter: &StickyName) -> Option<Uri> {
    let path = uri.path();
    parameters(path).find_map(|part| value_of(part, parameter))?;
    let segments = path.split('/').map(|segment| {
        let is_other = |part: &&str| value_of(part, parameter).is_none();
        let mut parts = segment.split(';');
        let name = parts.next().unwrap_or_default();
        parts.filter(is_other).fold(name.to_owned(), |kept, part| kept + ";" + part)
    });
    let mut text = segments.collect::<Vec<_>>().join("/");
    if let Some(query) = uri.query() {
        text = text + "?" + query;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

/// What stands behind a `;` in a path, up to the next `;` or the segment's end.
fn parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').flat_map(|segment| segment.split(';').skip(1))
}

fn value_of<'p>(part: &'p str, parameter: &StickyName) -> Option<&'p str> {
    part.strip_prefix(parameter.as_str())?.strip_prefix('=')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> StickyName {
        text.parse().unwrap()
    }

    fn shown(cookies: &[&str], path: &str) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        let asked = asked(&headers, path, &name("JSESSIONID"), Some(&name("jsessionid")));
        asked.iter().map(SessionId::to_string).collect()
    }

    #[test]
    fn cookies_come_before_the_path_and_each_id_once() {
        assert_eq!(shown(&["a=b; JSESSIONID=k7.one; c=d"], "/x"), ["k7.one"]);
        assert_eq!(shown(&[], "/x;jsessionid=k8.one/y"), ["k8.one"]);
        let both = ["JSESSIONID=k7.one; JSESSIONID=k6.two", "JSESSIONID=k7.two"];
        assert_eq!(shown(&both, "/x;a=b;jsessionid=k8"), ["k7.one", "k6.two", "k8"]);
    }

    #[test]
    fn what_is_no_session_id_is_passed_over() {
        let long = format!("JSESSIONID={}", "x".repeat(300));
        let bad = ["JSESSIONID=", "JSESSIONID=a b.one", "JSESSIONID=a.<b>"];
        assert_eq!(shown(&bad, "/x;jsessionid="), [""; 0]);
        assert_eq!(shown(&[&long, "JSESSIONID=k7"], "/;jsessionid=<>"), ["k7"]);
        assert_eq!(shown(&["jsessionid=k7; XJSESSIONID=k7"], "/jsessionid=k7"), [""; 0]);
    }

    #[test]
    fn a_request_cannot_make_many_be_looked_at() {
        let many: Vec<String> = (0..100).map(|i| format!("JSESSIONID=k{i}")).collect();
        assert_eq!(shown(&[&many.join("; ")], "/").len(), MOST_ASKED);
    }

    #[test]
    fn the_parameter_is_taken_out_of_the_path_and_all_else_stays() {
        let without = |text: &str| {
            let uri: Uri = text.parse().unwrap();
            without_parameter(&uri, &name("jsessionid")).map(|uri| uri.to_string())
        };
        assert_eq!(
            without("/a;jsessionid=k7.one/b?x=;jsessionid=1").unwrap(),
            "/a/b?x=;jsessionid=1"
        );
        assert_eq!(without("/a;v=1;jsessionid=k7;w=2").unwrap(), "/a;v=1;w=2");
        assert_eq!(without("http://h:1/;jsessionid=k7").unwrap(), "http://h:1/");
        assert_eq!(without("/a;jsessionidx=1"), None);
        assert_eq!(without("*"), None);
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "(/|;|=|jsessionid|a|\\?|%2e){0,12}") {
            if let Ok(uri) = format!("/{path}").parse::<Uri>() {
                let parameter = name("jsessionid");
                if let Some(without) = without_parameter(&uri, &parameter) {
                    prop_assert_eq!(without_parameter(&without, &parameter), None);
                    prop_assert_eq!(without.query(), uri.query());
                }
            }
        }
    }
}
