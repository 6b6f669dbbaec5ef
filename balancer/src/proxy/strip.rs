//! A session that leaves its domain: the id is taken out of the request (StickySessionRemove).

use muster_protocol::mcmp::BalancerSettings;
use muster_routing::session;

/// What takes the place of a request's cookies and target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stripped {
    /// One Cookie value; empty when none is left.
    pub(crate) cookies: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// Takes the session id out of cookies and target.
pub(crate) fn strip<'r>(
    cookies: impl Iterator<Item = &'r [u8]>,
    target: &[u8],
    settings: &BalancerSettings,
) -> Stripped {
    let target = String::from_utf8_lossy(target);
    Stripped {
        cookies: without_session(cookies, settings),
        target: session::without_parameter(&target, settings.path.as_str()).into_bytes(),
    }
}

/// One Cookie value of what is left of several; empty when nothing is.
pub(crate) fn without_session<'r>(
    cookies: impl Iterator<Item = &'r [u8]>,
    settings: &BalancerSettings,
) -> Vec<u8> {
    // A cookie may hold any byte. One char a byte keeps them all as they came.
    let left = |value: &[u8]| {
        let text: String = value.iter().copied().map(char::from).collect();
        session::without_cookie(&text, settings.cookie.as_str())
    };
    let cookies: Vec<String> = cookies.filter_map(left).collect();
    cookies.join("; ").chars().map(|c| c as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_id_is_taken_out() {
        let settings = BalancerSettings::default();
        let of = |cookies: &[&'static [u8]], target: &[u8]| {
            let Stripped { cookies, target } = strip(cookies.iter().copied(), target, &settings);
            (cookies, String::from_utf8(target).unwrap())
        };
        let told = of(&[b"a=1; JSESSIONID=k.a", b"b=2"], b"/p;jsessionid=k.a?q=1");
        assert_eq!(told, (b"a=1; b=2".to_vec(), "/p?q=1".to_owned()));
        let told = of(&[b"name=Jos\xc3\xa9; JSESSIONID=k.a"], b"/");
        assert_eq!(told.0, b"name=Jos\xc3\xa9");
        assert!(of(&[b"JSESSIONID=k.a"], b"/").0.is_empty());
    }
}
