//! Values as bytes: one byte for the format, then the value in it. Format 1 is postcard's. A format
//! that is not known is an error that says so, never a guess.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The format that is written.
pub(crate) const FORMAT: u8 = 1;

/// Why a value cannot be read, or not be written.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CodecError {
    /// The type's own serialization failed.
    #[error("the value cannot be written: {0}")]
    Unwritable(String),
    /// There is not even a format.
    #[error("there are no bytes where a value should be")]
    Empty,
    /// Written by a later release.
    #[error("the value has format {0}, and this release reads format 1: it is a later one's")]
    Format(u8),
    /// The bytes are no value of this type: it was another one's, or its fields have changed.
    #[error("the bytes are no such value: {0}")]
    Unreadable(String),
}

/// A value as bytes.
///
/// # Errors
/// What the type's own serialization says.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    postcard::to_extend(value, vec![FORMAT])
        .map_err(|error| CodecError::Unwritable(error.to_string()))
}

/// Bytes as a value.
///
/// # Errors
/// When they are none, another format's, or another type's.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (format, bytes) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *format != FORMAT {
        return Err(CodecError::Format(*format));
    }
    let (value, rest) = postcard::take_from_bytes(bytes)
        .map_err(|error| CodecError::Unreadable(error.to_string()))?;
    match rest.len() {
        0 => Ok(value),
        more => Err(CodecError::Unreadable(format!("{more} bytes are left over"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written_and_in_no_other_way() {
        let bytes = encode(&("cart", 7_u64)).unwrap();
        assert_eq!(bytes, [1, 4, b'c', b'a', b'r', b't', 7]);
        assert_eq!(decode(&bytes), Ok(("cart".to_owned(), 7_u64)));
        assert_eq!(decode::<u64>(&[]), Err(CodecError::Empty));
        assert_eq!(decode::<u64>(&[2, 7]), Err(CodecError::Format(2)));
        let left = CodecError::Unreadable("1 bytes are left over".to_owned());
        assert_eq!(decode::<u64>(&[1, 7, 7]), Err(left));
        assert!(matches!(decode::<String>(&[1, 9, b'a']), Err(CodecError::Unreadable(_))));
    }
}
