//! A session cookie of another library, with our route: it takes the whole cookie for its id, so
//! the route is taken off before it sees the request and put on after it has answered. Pure.

use muster_protocol::names::Route;
use muster_protocol::session_id::route_of;

/// Bytes of a cookie that is sent again after a failover at most: browsers keep no larger one.
const LONGEST: usize = 4096;

/// How a session cookie gets its route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoutedCookie {
    name: String,
    route: Option<Route>,
    attributes: String,
}

/// What a request showed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Without its route.
    value: String,
    is_ours: bool,
}

// === impl RoutedCookie ===

impl RoutedCookie {
    /// The cookie of this name, and this node's route; without one nothing is put on.
    /// `attributes` are what its library sends with it, such as `Path=/; HttpOnly`: with them it is
    /// sent again after a failover.
    #[must_use]
    pub fn new(name: &str, route: Option<Route>, attributes: &str) -> Self {
        Self { name: name.to_owned(), route, attributes: attributes.to_owned() }
    }

    /// A `Cookie` header without the route, and what was shown; none where it lacks this cookie.
    #[must_use]
    pub fn strip(&self, header: &str) -> Option<(String, Shown)> {
        let mut shown = None;
        let pairs = header.split(';').map(|pair| {
            let Some(value) = self.value_of(pair) else { return pair.trim() };
            let (bare, _) = value.split_once('.').unwrap_or((value, ""));
            let is_ours = route_of(value) == self.route.as_ref().map(Route::as_str);
            // Of two with one name the first counts, as it does for cookie jars of libraries.
            shown.get_or_insert(Shown { value: bare.trim_end().to_owned(), is_ours });
            // The name, the equals sign and the bare value stand at the pair's beginning.
            let pair = pair.trim();
            pair[..pair.len() - (value.len() - bare.len())].trim_end()
        });
        let header = pairs.collect::<Vec<_>>().join("; ");
        shown.map(|shown| (header, shown))
    }

    /// A `Set-Cookie` header with our route; none where it is to stay as it is: another cookie's.
    /// One that removes the cookie counts as this cookie's, and stays as it is.
    #[must_use]
    pub fn append(&self, set_cookie: &str) -> Option<String> {
        let (pair, rest) = match set_cookie.find(';') {
            Some(at) => set_cookie.split_at(at),
            None => (set_cookie, ""),
        };
        let value = self.value_of(pair)?;
        Some(match &self.route {
            Some(route) if !value.is_empty() => format!("{}={value}.{route}{rest}", self.name),
            _ => set_cookie.to_owned(),
        })
    }

    /// The `Set-Cookie` header that tells a client after a failover that its session is here now;
    /// none where it knows, or showed what no library would have sent.
    #[must_use]
    pub fn renew(&self, shown: &Shown) -> Option<String> {
        let route = self.route.as_ref()?;
        let Shown { value, is_ours } = shown;
        if *is_ours || value.is_empty() || value.len() > LONGEST || !value.bytes().all(is_plain) {
            return None;
        }
        let Self { name, attributes, .. } = self;
        let separator = if attributes.is_empty() { "" } else { "; " };
        Some(format!("{name}={value}.{route}{separator}{attributes}"))
    }

    fn value_of<'a>(&self, pair: &'a str) -> Option<&'a str> {
        let (name, value) = pair.trim().split_once('=')?;
        (name == self.name).then_some(value)
    }
}

/// Letters, digits and what base64 and percent-encoding use: a value that stands in a cookie as it
/// is.
fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_~+/=%*!".contains(&b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cookie(route: Option<&str>) -> RoutedCookie {
        let route = route.map(|route| route.parse().unwrap());
        RoutedCookie::new("id", route, "Path=/; HttpOnly")
    }

    fn shown(header: &str) -> Option<(String, String, bool)> {
        let (header, Shown { value, is_ours }) = cookie(Some("b")).strip(header)?;
        Some((header, value, is_ours))
    }

    #[test]
    fn the_route_is_taken_off_this_cookie_and_no_other() {
        let told = |header: &str, value: &str, is_ours| {
            Some((header.to_owned(), value.to_owned(), is_ours))
        };
        assert_eq!(shown("id=k7.b"), told("id=k7", "k7", true));
        assert_eq!(shown("a=1.2;id=k7.a ; id2=x.y"), told("a=1.2; id=k7; id2=x.y", "k7", false));
        assert_eq!(shown("id=k7"), told("id=k7", "k7", false));
        assert_eq!(shown("id=k7.b.c"), told("id=k7", "k7", false));
        assert_eq!(shown("id=k7.b; id=other.a"), told("id=k7; id=other", "k7", true));
        assert_eq!(shown("id2=k7.b; xid=k7.b; id"), None);
        assert_eq!(shown(""), None);
    }

    #[test]
    fn the_route_is_put_on_this_cookie_and_not_on_its_removal() {
        let (with, without) = (cookie(Some("b")), cookie(None));
        let append = |header: &str| with.append(header);
        assert_eq!(append("id=k7; Path=/").as_deref(), Some("id=k7.b; Path=/"));
        assert_eq!(append("id=k7").as_deref(), Some("id=k7.b"));
        assert_eq!(append("id=; Max-Age=0").as_deref(), Some("id=; Max-Age=0"));
        assert_eq!(append("id2=k7"), None);
        assert_eq!(without.append("id=k7; Path=/").as_deref(), Some("id=k7; Path=/"));
    }

    #[test]
    fn who_comes_from_another_node_is_told_the_new_route_and_nothing_strange_is_sent_back() {
        let with = cookie(Some("b"));
        let renewed = |header: &str| with.renew(&with.strip(header).unwrap().1);
        let expected = Some("id=k7.b; Path=/; HttpOnly");
        assert_eq!(renewed("id=k7.a").as_deref(), expected);
        assert_eq!(renewed("id=k7").as_deref(), expected);
        for none in ["id=k7.b", "id=", "id=.a", "id=k 7.a", "id=k\"7.a", "id=k\r7.a"] {
            assert_eq!(renewed(none), None, "{none:?}");
        }
        let none = cookie(None);
        assert_eq!(none.renew(&none.strip("id=k7.a").unwrap().1), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), odd in "[id=.; ab\"]{0,20}") {
            for text in [text, odd] {
                let with = cookie(Some("b"));
                let _ = with.append(&text);
                if let Some((header, shown)) = with.strip(&text) {
                    let renewed = with.renew(&shown);
                    prop_assert!(renewed.is_none_or(|renewed| renewed.starts_with("id=")));
                    let (again, _) = with.strip(&header).unwrap();
                    prop_assert_eq!(again, header);
                }
            }
        }
    }
}
