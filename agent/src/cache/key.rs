//! Keys and groups as names of the engine's groups. A key outside of a group is a group of its own:
//! a zero, then the key as postcard; its one entry has the empty key. A key group is a one, then its
//! name in UTF-8; its entries' keys are the keys as postcard. Postcard writes a value in one way
//! only, so a key always has the same name.

use std::ops::Deref;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CacheError;

/// Bytes of a name at most, with the byte for its kind.
const MOST: usize = 1024;
/// Names up to here cost no allocation.
const INLINE: usize = 120;

const ALONE: u8 = 0;
const GROUP: u8 = 1;

/// The name of a group as the engine knows it.
#[derive(Clone, Debug)]
pub(super) struct Name(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    Short([u8; INLINE], usize),
    Long(Vec<u8>),
}

// === impl Name ===

impl Name {
    /// The name of a key outside of a group.
    #[inline]
    pub(super) fn of<K: Serialize + ?Sized>(key: &K) -> Result<Self, CacheError> {
        let mut short = [ALONE; INLINE];
        match postcard::to_slice(key, &mut short[1..]) {
            Ok(written) => {
                let len = 1 + written.len();
                Ok(Self(Bytes::Short(short, len)))
            }
            Err(postcard::Error::SerializeBufferFull) => {
                let long = postcard::to_extend(key, vec![ALONE]).map_err(unwritable)?;
                check(long.len())?;
                Ok(Self(Bytes::Long(long)))
            }
            Err(error) => Err(unwritable(error)),
        }
    }

    /// The name of a key group.
    pub(super) fn of_group(name: &str) -> Result<Self, CacheError> {
        check(1 + name.len())?;
        let mut long = vec![GROUP];
        long.extend_from_slice(name.as_bytes());
        Ok(Self(Bytes::Long(long)))
    }

    /// Whether it is one key's own.
    pub(super) fn is_single(&self) -> bool {
        self.first() == Some(&ALONE)
    }
}

impl Deref for Name {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short(short, len) => &short[..*len],
            Bytes::Long(long) => long,
        }
    }
}

/// A key as it stands within a group.
pub(super) fn within<K: Serialize>(key: &K) -> Result<muster_grid::Bytes, CacheError> {
    let bytes = postcard::to_stdvec(key).map_err(unwritable)?;
    check(bytes.len())?;
    Ok(bytes.into())
}

/// The group, if it is a key group, and the key.
pub(super) fn read<K: DeserializeOwned>(
    group: &[u8],
    key: &[u8],
) -> Result<(Option<String>, K), CacheError> {
    let unreadable = |why: String| CacheError::Key(format!("is no such key: {why}"));
    let decoded =
        |bytes: &[u8]| postcard::from_bytes(bytes).map_err(|error| unreadable(error.to_string()));
    match group.split_first() {
        Some((&ALONE, name)) => Ok((None, decoded(name)?)),
        Some((&GROUP, name)) => {
            let name = std::str::from_utf8(name).map_err(|error| unreadable(error.to_string()))?;
            Ok((Some(name.to_owned()), decoded(key)?))
        }
        _ => Err(unreadable("it has another layout".to_owned())),
    }
}

fn check(len: usize) -> Result<(), CacheError> {
    match len {
        ..=MOST => Ok(()),
        _ => Err(CacheError::Key(format!("has {} bytes: at most 1023 are possible", len - 1))),
    }
}

fn unwritable(error: postcard::Error) -> CacheError {
    CacheError::Key(format!("cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_alone_or_in_a_group() {
        for key in ["k".to_owned(), "k".repeat(INLINE), "k".repeat(1000)] {
            let name = Name::of(&key).unwrap();
            assert_eq!(read(&name, &[]), Ok((None, key.clone())));
            let group = Name::of_group("cart").unwrap();
            let found = read(&group, &within(&key).unwrap());
            assert_eq!(found, Ok((Some("cart".to_owned()), key)));
        }
        assert_ne!(*Name::of(&"cart").unwrap(), *Name::of_group("cart").unwrap());
    }

    #[test]
    fn a_key_that_is_too_long_or_another_types_is_refused() {
        let long = CacheError::Key("has 1024 bytes: at most 1023 are possible".to_owned());
        assert_eq!(Name::of(&"k".repeat(1022)).map(|_| ()), Err(long.clone()));
        assert_eq!(Name::of_group(&"k".repeat(1024)).map(|_| ()), Err(long));
        assert!(matches!(read::<String>(&[ALONE, 9], &[]), Err(CacheError::Key(_))));
        assert!(matches!(read::<String>(&[7], &[]), Err(CacheError::Key(_))));
    }
}
