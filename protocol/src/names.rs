//! Checked names: past `FromStr` a [`Route`] is a good route, and no [`Alias`] passes for it.
//!
//! Limits are those of the CONFIG table in mod_cluster's wire protocol: a name is *shorter* than
//! its limit, counted in bytes. A name may not hold `<`, `>`, `"`, `'`, CR, LF or any other
//! control character, for it is shown on pages and written into line-based text.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Why a text is not a name of the wanted kind; it carries the kind and the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("{field} can't be empty")]
    Empty {
        /// The wire's name of the field.
        field: &'static str,
    },
    /// The text is as long as the limit or longer.
    #[error("{field} field too big: {length} bytes, the limit is {}", limit - 1)]
    TooBig {
        /// The wire's name of the field.
        field: &'static str,
        /// Bytes that the text has.
        length: usize,
        /// The first length that is refused.
        limit: usize,
    },
    /// The text holds a character that no name may hold.
    #[error("{field} has the bad value {value:?}: {reason}")]
    Bad {
        /// The wire's name of the field.
        field: &'static str,
        /// The text.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Whether a character may not stand in any MCMP value.
pub(crate) fn is_forbidden(c: char) -> bool {
    matches!(c, '<' | '>' | '"' | '\'') || c.is_control()
}

fn check(field: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    let bad = |reason| NameError::Bad { field, value: text.to_owned(), reason };
    if text.is_empty() {
        return Err(NameError::Empty { field });
    }
    if text.len() >= limit {
        return Err(NameError::TooBig { field, length: text.len(), limit });
    }
    if text.chars().any(is_forbidden) {
        return Err(bad("it holds one of < > \" ' or a control character"));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, limit $limit:literal, $clean:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The first length, in bytes, that is refused.
            pub const LIMIT: usize = $limit;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check($field, text, Self::LIMIT)?;
                let clean: fn(&str) -> Result<Arc<str>, NameError> = $clean;
                clean(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// A node's name (JVMRoute), the part of a session id that says who owns the session.
    ///
    /// ```
    /// use muster_protocol::names::Route;
    /// let route: Route = "node1".parse()?;
    /// assert_eq!(route.as_str(), "node1");
    /// assert!("a<b".parse::<Route>().is_err());
    /// # Ok::<(), muster_protocol::names::NameError>(())
    /// ```
    Route, "JVMRoute", limit 64, |text| Ok(text.into())
}

name! {
    /// The group that a node registers for; lower-cased, as the wire has it.
    BalancerName, "Balancer", limit 40, |text| Ok(text.to_ascii_lowercase().into())
}

name! {
    /// A failover group of nodes. Written LBGroup on the page and in INFO.
    Domain, "LBGroup", limit 20, |text| Ok(text.into())
}

name! {
    /// One host name of a virtual host; lower-cased, for host names know no case.
    Alias, "Alias", limit 255, |text| {
        match text.contains(',') {
            true => Err(NameError::Bad {
                field: "Alias", value: text.to_owned(), reason: "an alias holds no comma",
            }),
            false => Ok(text.to_ascii_lowercase().into()),
        }
    }
}

name! {
    /// Where an application is mounted: `/` or `/shop`, without a slash at the end.
    ContextPath, "Context", limit 80, |text| {
        let bad = |reason| Err(NameError::Bad { field: "Context", value: text.to_owned(), reason });
        if !text.starts_with('/') {
            return bad("a context begins with /");
        }
        if text.contains([',', '?', ';']) {
            return bad("a context holds none of , ? ;");
        }
        match text.trim_end_matches('/') {
            "" => Ok("/".into()),
            trimmed => Ok(trimmed.into()),
        }
    }
}

name! {
    /// The host of a node's address: a name, an IPv4 address, or an IPv6 address in brackets;
    /// lower-cased, and an IPv6 address in its shortest form.
    ///
    /// An IPv6 address may carry a zone, as Java writes behind a link-local one: `[fe80::1%eth0]`.
    /// The zone is kept as sent and shown again; it names an interface of the *node's* machine, so
    /// whoever connects must not take it for one of its own.
    NodeHost, "Host", limit 64, |text| {
        let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        let good = match inner {
            Some(inner) => canonical_ipv6(inner),
            None => is_host_name(text).then(|| text.to_ascii_lowercase()),
        };
        good.map(Into::into).ok_or_else(|| NameError::Bad {
            field: "Host", value: text.to_owned(), reason: "it is no host name or address",
        })
    }
}

/// Most bytes of a zone: what Linux grants the name of an interface.
const MAX_ZONE: usize = 15;

fn is_host_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// One spelling for one address (Java writes `0:0:0:0:0:0:0:1`), so that equal ones are found.
fn canonical_ipv6(text: &str) -> Option<String> {
    let (address, zone) = text.split_at(text.find('%').unwrap_or(text.len()));
    let is_zone = |zone: &str| {
        (2..=MAX_ZONE + 1).contains(&zone.len())
            && zone.bytes().all(|b| b.is_ascii_graphic() && b != b']')
    };
    let address: std::net::Ipv6Addr = address.parse().ok()?;
    (zone.is_empty() || is_zone(zone)).then(|| format!("[{address}{zone}]"))
}

name! {
    /// The name of a session cookie, or of a path parameter that carries a session id.
    StickyName, "StickySessionCookie", limit 30, |text| {
        match text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\/[]?={}".contains(&b)) {
            true => Ok(text.into()),
            false => Err(NameError::Bad {
                field: "StickySessionCookie", value: text.to_owned(), reason: "it is no token",
            }),
        }
    }
}

name! {
    /// A cluster's name: letters, digits, `.`, `_` and `-`.
    ClusterName, "cluster", limit 64, |text| {
        match text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
            true => Ok(text.into()),
            false => Err(NameError::Bad {
                field: "cluster", value: text.to_owned(),
                reason: "it holds something beside letters, digits and . _ -",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_shorter_than_its_limit() {
        assert!("x".repeat(63).parse::<Route>().is_ok());
        let error = "x".repeat(64).parse::<Route>().unwrap_err();
        assert_eq!(error.to_string(), "JVMRoute field too big: 64 bytes, the limit is 63");
    }

    #[test]
    fn aliases_and_balancer_names_know_no_case() {
        assert_eq!("Example.COM".parse::<Alias>().unwrap().as_str(), "example.com");
        assert_eq!("MyCluster".parse::<BalancerName>().unwrap().as_str(), "mycluster");
    }

    #[test]
    fn a_context_begins_with_a_slash_and_ends_without_one() {
        assert_eq!("/shop/".parse::<ContextPath>().unwrap().as_str(), "/shop");
        assert_eq!("/".parse::<ContextPath>().unwrap().as_str(), "/");
        assert!("shop".parse::<ContextPath>().is_err());
        assert!("".parse::<ContextPath>().is_err());
    }

    #[test]
    fn a_host_is_a_name_or_an_address() {
        for good in ["localhost", "10.0.0.1", "[::1]", "my-node.example.com"] {
            assert!(good.parse::<NodeHost>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "::1", "[::1", "a/b", "user@host"] {
            assert!(bad.parse::<NodeHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_local_address_keeps_its_zone_as_it_was_sent() {
        let host = "[FE80:0:0:0:0:0:0:1%Eth0]".parse::<NodeHost>().unwrap();
        assert_eq!(host.as_str(), "[fe80::1%Eth0]");
        let longest = format!("[{}%{}]", ["ffff"; 8].join(":"), "x".repeat(15));
        assert_eq!(longest.parse::<NodeHost>().unwrap().as_str(), longest);
        for zone in ["2", "eth0.100", "br-1f2e", "%25eth0"] {
            assert!(format!("[fe80::1%{zone}]").parse::<NodeHost>().is_ok(), "{zone}");
        }
        for zone in ["", "a]", "a b", "a<b", "ä", "sixteen-letters-"] {
            assert!(format!("[fe80::1%{zone}]").parse::<NodeHost>().is_err(), "{zone}");
        }
        for bad in ["fe80::1%eth0", "10.0.0.1%eth0", "[10.0.0.1%eth0]", "name%eth0", "[%eth0]"] {
            assert!(bad.parse::<NodeHost>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_name_panic_and_what_it_shows_is_read_again(text in any::<String>()) {
            fn check<T: FromStr + fmt::Display + PartialEq>(text: &str) {
                if let Ok(name) = text.parse::<T>() {
                    assert!(name.to_string().parse::<T>().is_ok_and(|again| again == name));
                }
            }
            for text in [&text, &format!("/{text}"), &format!("[fe80::1%{text}]")] {
                check::<Route>(text);
                check::<BalancerName>(text);
                check::<Domain>(text);
                check::<Alias>(text);
                check::<ContextPath>(text);
                check::<NodeHost>(text);
                check::<StickyName>(text);
                check::<ClusterName>(text);
            }
        }
    }

    #[test]
    fn no_name_holds_markup_or_control_characters() {
        for bad in ["a<b", "a>b", "a\"b", "a'b", "a\rb", "a\nb", "a\0b"] {
            assert!(bad.parse::<Route>().is_err(), "{bad:?}");
            assert!(bad.parse::<Alias>().is_err(), "{bad:?}");
            assert!(format!("/{bad}").parse::<ContextPath>().is_err(), "{bad:?}");
        }
    }
}
