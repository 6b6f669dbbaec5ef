//! The form of MCMP bodies: `k=v&k=v`, percent-encoded, where `+` stays a plus.
//!
//! It is stricter than a browser's form: a key without a value, a bare `=` in a value, a broken
//! escape and any character that no name may hold are errors, because each of them has crashed a
//! balancer or split a line of a report. Empty pairs (`a=1&&b=2`, a `&` at the end) say nothing
//! and are skipped.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::names::is_forbidden;

/// Why bytes are no form; it names the key where one could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// A key stands alone, or its value is empty.
    #[error("{key:?} has no value")]
    NoValue {
        /// The key as sent.
        key: String,
    },
    /// A pair has no key.
    #[error("a value has no key")]
    NoKey,
    /// A value holds a second, bare `=`.
    #[error("{key:?} has a bare = in its value")]
    BareEquals {
        /// The key as sent.
        key: String,
    },
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("{key:?} is not percent-encoded UTF-8")]
    Encoding {
        /// The key as sent.
        key: String,
    },
    /// A decoded character that no key or value may hold.
    #[error("{key:?} holds the character {character:?}")]
    Forbidden {
        /// The key as sent.
        key: String,
        /// The character: one of `< > " '` or a control character.
        character: char,
    },
}

/// The decoded pairs in the order in which they stand; no key and no value is empty.
///
/// ```
/// let pairs = muster_protocol::form::decode(b"JVMRoute=a+b&Context=%2Fshop")?;
/// assert_eq!(pairs[0], ("JVMRoute".to_owned(), "a+b".to_owned()));
/// assert_eq!(pairs[1].1, "/shop");
/// # Ok::<(), muster_protocol::form::FormError>(())
/// ```
pub fn decode(body: &[u8]) -> Result<Vec<(String, String)>, FormError> {
    body.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).map(decode_pair).collect()
}

fn decode_pair(pair: &[u8]) -> Result<(String, String), FormError> {
    let (key, value) = match pair.iter().position(|&b| b == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, &[][..]),
    };
    let shown = || String::from_utf8_lossy(key).into_owned();
    if key.is_empty() {
        return Err(FormError::NoKey);
    }
    if value.is_empty() {
        return Err(FormError::NoValue { key: shown() });
    }
    if value.contains(&b'=') {
        return Err(FormError::BareEquals { key: shown() });
    }
    let decoded = |bytes| {
        let text = decode_text(bytes).ok_or_else(|| FormError::Encoding { key: shown() })?;
        match text.chars().find(|&c| is_forbidden(c)) {
            Some(character) => Err(FormError::Forbidden { key: shown(), character }),
            None => Ok(text),
        }
    };
    Ok((decoded(key)?, decoded(value)?))
}

/// The text of percent-encoded bytes, or `None` where an escape or the UTF-8 is broken.
pub(crate) fn decode_text(bytes: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'%' => decoded.push(hex_digit(*rest.next()?)? << 4 | hex_digit(*rest.next()?)?),
            byte => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// What real clients leave bare. A plus is encoded, since some balancers read it as a blank.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// A form under construction; pairs stand in the order in which they are added.
///
/// ```
/// use muster_protocol::form::Form;
/// let mut form = Form::new();
/// form.add("JVMRoute", "a").add("Context", "/shop");
/// assert_eq!(form.into_text(), "JVMRoute=a&Context=%2Fshop");
/// ```
#[derive(Debug, Default, Clone)]
pub struct Form {
    text: String,
}

// === impl Form ===

impl Form {
    /// An empty form.
    pub fn new() -> Form {
        Form::default()
    }

    /// Adds a pair. The key is written as it is, the value percent-encoded.
    pub fn add(&mut self, key: &str, value: impl std::fmt::Display) -> &mut Form {
        if !self.text.is_empty() {
            self.text.push('&');
        }
        self.text.push_str(key);
        self.text.push('=');
        self.text.extend(utf8_percent_encode(&value.to_string(), ENCODED));
        self
    }

    /// Adds a comma list; its commas are encoded as the values are. An empty list adds nothing.
    pub fn add_list<T: AsRef<str>>(&mut self, key: &str, values: &[T]) -> &mut Form {
        let mut list = String::new();
        for (at, value) in values.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(list, "{comma}{}", value.as_ref()).expect("a String takes any text");
        }
        match list.is_empty() {
            true => self,
            false => self.add(key, list),
        }
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn no_value(key: &str) -> FormError {
        FormError::NoValue { key: key.to_owned() }
    }

    #[test]
    fn a_plus_stays_a_plus() {
        assert_eq!(decode(b"a=b+c").unwrap(), [("a".to_owned(), "b+c".to_owned())]);
    }

    #[test]
    fn a_key_without_a_value_is_an_error() {
        assert_eq!(decode(b"JVMRoute"), Err(no_value("JVMRoute")));
        assert_eq!(decode(b"JVMRoute=a&Context"), Err(no_value("Context")));
        assert_eq!(decode(b"JVMRoute=&Host=b"), Err(no_value("JVMRoute")));
        assert_eq!(decode(b"=b"), Err(FormError::NoKey));
        assert_eq!(decode(b"a=b=c"), Err(FormError::BareEquals { key: "a".to_owned() }));
    }

    #[test]
    fn an_empty_pair_says_nothing() {
        assert_eq!(decode(b"").unwrap(), []);
        assert_eq!(decode(b"&a=1&&b=2&").unwrap().len(), 2);
    }

    #[test]
    fn markup_and_control_characters_are_refused() {
        for bad in ["%3C", "%3e", "%22", "%27", "%0D", "%0a", "%00", "<", "'"] {
            let body = format!("a=x{bad}y");
            assert!(matches!(decode(body.as_bytes()), Err(FormError::Forbidden { .. })), "{bad}");
            let body = format!("x{bad}y=a");
            assert!(matches!(decode(body.as_bytes()), Err(FormError::Forbidden { .. })), "{bad}");
        }
    }

    #[test]
    fn a_broken_escape_is_an_error() {
        for bad in ["%", "%2", "%zz", "%+1", "%ff"] {
            let body = format!("a={bad}");
            assert!(matches!(decode(body.as_bytes()), Err(FormError::Encoding { .. })), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_was_added_is_read_again(value in "[^<>\"'\\p{Cc}]{1,40}") {
            let mut form = Form::new();
            form.add("Key", &value).add("Next", 7);
            let pairs = decode(form.into_text().as_bytes()).unwrap();
            prop_assert_eq!(&pairs[0], &("Key".to_owned(), value));
            prop_assert_eq!(&pairs[1].1, "7");
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
