//! How a component is named.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::str::FromStr;

use muster_grid::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::session::Immutable;

/// Digits of a handle: how many there are is for the engine that mints them.
const DIGITS: std::ops::RangeInclusive<usize> = 32..=64;

/// Names one component of type `T` by at least 128 bits of chance, as hexadecimal digits. It tells nothing
/// of members: every member can call the component, and a call is quickest where its primary is. It
/// may be kept anywhere, as an attribute of a session or in a form.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "")]
pub struct Handle<T> {
    id: String,
    kind: PhantomData<fn() -> T>,
}

/// What was to be a handle is none.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("{0:?} is no component's handle, which has 32 to 64 hexadecimal digits")]
pub struct BadHandle(String);

// === impl Handle ===

impl<T> Handle<T> {
    /// Of a group that the map has minted.
    pub(super) fn minted(group: &Bytes) -> Self {
        Self { id: String::from_utf8_lossy(group).into_owned(), kind: PhantomData }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.id
    }

    pub(super) fn group(&self) -> Bytes {
        self.id.as_bytes().into()
    }
}

impl<T> FromStr for Handle<T> {
    type Err = BadHandle;

    fn from_str(text: &str) -> Result<Self, BadHandle> {
        text.to_owned().try_into()
    }
}

impl<T> TryFrom<String> for Handle<T> {
    type Error = BadHandle;

    fn try_from(id: String) -> Result<Self, BadHandle> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        match DIGITS.contains(&id.len()) && id.bytes().all(is_digit) {
            true => Ok(Self { id, kind: PhantomData }),
            false => Err(BadHandle(id.chars().take(*DIGITS.end()).collect())),
        }
    }
}

impl<T> From<Handle<T>> for String {
    fn from(handle: Handle<T>) -> String {
        handle.id
    }
}

impl<T: 'static> Immutable for Handle<T> {}

// Not derived: a handle is all this whatever its component is.

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self { id: self.id.clone(), kind: PhantomData }
    }
}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Handle<T> {}

impl<T> Hash for Handle<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<T> fmt::Display for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.id).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::codec;

    struct Cart;

    #[test]
    fn a_handle_is_read_as_it_was_written_and_nothing_else_is_one() {
        let text = "0123456789abcdef0123456789abcdef";
        let handle: Handle<Cart> = text.parse().unwrap();
        assert_eq!(handle.to_string(), text);
        let bytes = codec::encode(&handle).unwrap();
        assert_eq!(codec::decode::<Handle<Cart>>(&bytes), Ok(handle));
        for bad in ["", "0123", "0123456789ABCDEF0123456789abcdef", &text[1..]] {
            assert_eq!(bad.parse::<Handle<Cart>>(), Err(BadHandle(bad.to_owned())));
        }
        let bytes = codec::encode("no handle").unwrap();
        assert!(codec::decode::<Handle<Cart>>(&bytes).is_err());
    }
}
