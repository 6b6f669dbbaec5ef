//! Where a request carries its session id: in a cookie, or in a path parameter.
//!
//! Nothing is copied: this runs for every request. The rules are those of the recorded balancers
//! (reference: choosing the node): the cookie comes before the path parameter, names are
//! case-sensitive, the route is the text after the first dot, quotes are stripped.

use std::ops::Range;

use muster_protocol::session_id::route_of;

/// The routes that the request's session ids name, cookies first.
///
/// A browser may send two cookies of one name (of two paths), so there may be several.
pub fn routes<'r>(
    cookies: &'r [&'r str],
    cookie_name: &'r str,
    path: &'r str,
    parameter: &'r str,
) -> impl Iterator<Item = Option<&'r str>> {
    ids(cookies, cookie_name).chain(path_parameter(path, parameter)).map(route_of)
}

/// The values of the cookies of this name.
pub fn ids<'r>(cookies: &'r [&'r str], name: &'r str) -> impl Iterator<Item = &'r str> {
    let pairs = cookies.iter().flat_map(|header| header.split(';'));
    pairs.filter_map(move |pair| {
        let value = pair.trim_start_matches([' ', '\t']).strip_prefix(name)?;
        value.strip_prefix('=').map(|value| value.trim_end_matches([' ', '\t']))
    })
}

/// The value of `;name=value` in a path.
pub fn path_parameter<'r>(path: &'r str, name: &str) -> Option<&'r str> {
    value_of_parameter(path, name).map(|at| &path[at])
}

/// A path without its `;name=value`.
pub fn without_parameter(path: &str, name: &str) -> String {
    match value_of_parameter(path, name) {
        Some(at) => format!("{}{}", &path[..at.start - name.len() - 2], &path[at.end..]),
        None => path.to_owned(),
    }
}

fn value_of_parameter(path: &str, name: &str) -> Option<Range<usize>> {
    path.match_indices(';').find_map(|(semicolon, _)| {
        path[semicolon + 1..].strip_prefix(name)?.strip_prefix('=')?;
        let start = semicolon + name.len() + 2;
        let length = path[start..].find([';', '/', '?']).unwrap_or(path.len() - start);
        Some(start..start + length)
    })
}

/// A Cookie header without the cookies of this name; `None` when nothing is left.
pub fn without_cookie(header: &str, name: &str) -> Option<String> {
    let keep = |pair: &&str| {
        let own = pair.trim_start().split('=').next();
        own != Some(name)
    };
    let left: Vec<&str> = header.split(';').filter(keep).map(str::trim).collect();
    (!left.is_empty()).then(|| left.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'r>(cookies: &'r [&'r str], path: &'r str) -> Vec<Option<&'r str>> {
        routes(cookies, "JSESSIONID", path, "jsessionid").collect()
    }

    #[test]
    fn the_cookie_comes_before_the_path_parameter() {
        assert_eq!(found(&["x=1; JSESSIONID=k.a"], "/p;jsessionid=k.b/q"), [Some("a"), Some("b")]);
    }

    #[test]
    fn the_route_is_what_follows_the_first_dot_without_quotes() {
        assert_eq!(found(&["JSESSIONID=\"k.a.b\""], "/"), [Some("a.b")]);
        assert_eq!(found(&["JSESSIONID=k"], "/"), [None]);
        assert!(found(&["jsessionid=k.a; XJSESSIONID=k.a"], "/;JSESSIONID=k.a").is_empty());
    }

    #[test]
    fn two_cookies_of_one_name_are_both_seen() {
        assert_eq!(found(&["JSESSIONID=k.a; JSESSIONID=k.b"], "/"), [Some("a"), Some("b")]);
    }

    #[test]
    fn an_id_can_be_taken_out_of_a_request() {
        assert_eq!(without_parameter("/p;jsessionid=k.b/q;z=1", "jsessionid"), "/p/q;z=1");
        assert_eq!(without_parameter("/p;other=1", "jsessionid"), "/p;other=1");
        assert_eq!(without_cookie("a=1; JSESSIONID=k.a;b=2", "JSESSIONID").unwrap(), "a=1; b=2");
        assert_eq!(without_cookie("JSESSIONID=k.a", "JSESSIONID"), None);
    }
}
