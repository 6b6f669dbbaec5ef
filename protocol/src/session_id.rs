//! A session id with its route: `id.route`. The route is the text after the **first** dot and
//! says which node owns the session.

use std::fmt;
use std::str::FromStr;

use crate::names::{NameError, Route};

/// The route that a session id carries, as the text after its first dot; `None` without one.
///
/// Quotes around the whole value are stripped first. The text is not checked: compare it with
/// the routes of known nodes. Nothing is allocated.
///
/// ```
/// use muster_protocol::session_id::route_of;
/// assert_eq!(route_of("k7.node1"), Some("node1"));
/// assert_eq!(route_of("\"k7.node1.x\""), Some("node1.x"));
/// assert_eq!(route_of("k7"), None);
/// ```
pub fn route_of(value: &str) -> Option<&str> {
    let (_, route) = unquoted(value).split_once('.')?;
    (!route.is_empty()).then_some(route)
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
}

/// A session id as the node that owns it sees it: the id proper, and the route if there is one.
///
/// ```
/// use muster_protocol::session_id::SessionId;
/// let id: SessionId = "k7.node1".parse()?;
/// assert_eq!(id.id(), "k7");
/// assert_eq!(id.with_route(&"node2".parse()?).to_string(), "k7.node2");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId {
    id: String,
    route: Option<Route>,
}

/// Why a text is no session id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionIdError {
    /// Nothing stands before the dot.
    #[error("a session id can't be empty")]
    Empty,
    /// The id is longer than [`SessionId::MAX_LEN`].
    #[error("the session id has {length} bytes, the limit is {}", SessionId::MAX_LEN)]
    TooBig {
        /// Bytes that the id has.
        length: usize,
    },
    /// The id holds a character that a cookie or a path parameter can't carry.
    #[error("the session id {value:?} holds the character {character:?}")]
    Bad {
        /// The id.
        value: String,
        /// The first such character.
        character: char,
    },
    /// The route is none.
    #[error("the session id has a bad route")]
    Route(#[from] NameError),
}

// === impl SessionId ===

impl SessionId {
    /// Most bytes of the id proper.
    pub const MAX_LEN: usize = 256;

    /// An id without a route. It holds letters, digits, `-`, `_`, `~`, `+`, `*` and `!` only, so
    /// that cookies and path parameters carry it unquoted.
    pub fn new(id: &str) -> Result<SessionId, SessionIdError> {
        if id.is_empty() {
            return Err(SessionIdError::Empty);
        }
        if id.len() > SessionId::MAX_LEN {
            return Err(SessionIdError::TooBig { length: id.len() });
        }
        match id.chars().find(|&c| !is_plain(c)) {
            Some(character) => Err(SessionIdError::Bad { value: id.to_owned(), character }),
            None => Ok(SessionId { id: id.to_owned(), route: None }),
        }
    }

    /// The id proper, which stays when the session moves to another node.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The node that owned the session when this id was handed out.
    pub fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// The same session, owned by this node.
    pub fn with_route(&self, route: &Route) -> SessionId {
        SessionId { id: self.id.clone(), route: Some(route.clone()) }
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '+' | '*' | '!')
}

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, SessionIdError> {
        let text = unquoted(text);
        let session = SessionId::new(text.split_once('.').map_or(text, |(id, _)| id))?;
        match route_of(text) {
            Some(route) => Ok(session.with_route(&route.parse()?)),
            None => Ok(session),
        }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.route {
            Some(route) => write!(f, "{}.{route}", self.id),
            None => f.write_str(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_route_begins_after_the_first_dot() {
        assert_eq!(route_of("k7.a.b"), Some("a.b"));
        assert_eq!(route_of(".a"), Some("a"));
        assert_eq!(route_of("k7."), None);
        assert_eq!(route_of(""), None);
    }

    #[test]
    fn only_quotes_around_the_whole_value_are_stripped() {
        assert_eq!(route_of("\"k7.a\""), Some("a"));
        assert_eq!(route_of("\"k7.a"), Some("a"));
        assert_eq!(route_of("k7.a\""), Some("a\""));
        assert_eq!(route_of("\""), None);
    }

    #[test]
    fn an_id_that_a_cookie_cannot_carry_is_refused() {
        assert_eq!(".a".parse::<SessionId>(), Err(SessionIdError::Empty));
        for bad in ["a b", "a;b", "a,b", "a/b", "a\"b", "ä"] {
            assert!(matches!(SessionId::new(bad), Err(SessionIdError::Bad { .. })), "{bad}");
        }
        assert!(matches!("a.<b>".parse::<SessionId>(), Err(SessionIdError::Route(_))));
        assert!(SessionId::new(&"x".repeat(257)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(id in "[A-Za-z0-9_-]{1,40}", route in "[a-z0-9.-]{1,40}") {
            let session = SessionId::new(&id).unwrap().with_route(&route.parse().unwrap());
            prop_assert_eq!(session.to_string().parse::<SessionId>().unwrap(), session);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), dotted in "[\"a.<\\n ]{0,12}") {
            for text in [text, dotted] {
                let route = route_of(&text);
                prop_assert!(route.is_none_or(|route| !route.is_empty() && text.contains(route)));
                if let Ok(session) = text.parse::<SessionId>() {
                    prop_assert_eq!(session.route().map(Route::as_str), route);
                }
                let _ = SessionId::new(&text);
            }
        }
    }
}
