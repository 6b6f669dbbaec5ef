//! Messages as bytes: a kind, for a request who waits for the answer, and the value as a cache
//! would write it.

use muster_cluster::MemberId;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::codec::{self, CodecError};

/// A message that wants no answer.
const PLAIN: u8 = 1;
/// One that wants one.
const REQUEST: u8 = 2;

/// Who waits for an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct ReplyTo {
    pub(super) member: MemberId,
    pub(super) number: u64,
}

pub(super) fn plain<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    seal(vec![PLAIN], message)
}

pub(super) fn request<T: Serialize>(to: ReplyTo, message: &T) -> Result<Vec<u8>, CodecError> {
    let head = postcard::to_extend(&to, vec![REQUEST])
        .map_err(|error| CodecError::Unwritable(error.to_string()))?;
    seal(head, message)
}

fn seal<T: Serialize>(mut head: Vec<u8>, message: &T) -> Result<Vec<u8>, CodecError> {
    head.push(codec::FORMAT);
    postcard::to_extend(message, head).map_err(|error| CodecError::Unwritable(error.to_string()))
}

/// Who waits for an answer, and the message.
pub(super) fn open<T: DeserializeOwned>(bytes: &[u8]) -> Result<(Option<ReplyTo>, T), CodecError> {
    let unreadable = |error: postcard::Error| CodecError::Unreadable(error.to_string());
    match bytes.split_first() {
        None => Err(CodecError::Empty),
        Some((&PLAIN, rest)) => Ok((None, codec::decode(rest)?)),
        Some((&REQUEST, rest)) => {
            let (to, rest) = postcard::take_from_bytes(rest).map_err(unreadable)?;
            Ok((Some(to), codec::decode(rest)?))
        }
        Some((kind, _)) => Err(CodecError::Format(*kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let to = ReplyTo { member: MemberId::default(), number: 7 };
        assert_eq!(open(&plain(&"a".to_owned()).unwrap()), Ok((None, "a".to_owned())));
        assert_eq!(open(&request(to, &5_u8).unwrap()), Ok((Some(to), 5_u8)));
        assert_eq!(open::<u8>(&[9, 1]), Err(CodecError::Format(9)));
        assert_eq!(open::<u8>(&[]), Err(CodecError::Empty));
    }
}
