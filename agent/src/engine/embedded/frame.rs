//! The bytes of commands, answers and messages: part of the wire, so numbers keep their meaning.
//!
//! | first byte | then |
//! |---|---|
//! | 0, a command | the length of the service's name (1 byte), the name, the command |
//! | 1, done | the answer |
//! | 2, failed | the handler's words in UTF-8 |
//! | 3, no such service | nothing |
//! | 4, too much is under way | nothing |
//!
//! A message to listeners is the length of its topic (2 bytes, big-endian), the topic, the message.

use bytes::{BufMut as _, Bytes};

/// A frame of the service for commands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Do this.
    Ask {
        /// Which service.
        service: String,
        /// What.
        command: Bytes,
    },
    /// The answer.
    Done(Bytes),
    /// The handler's error.
    Failed(String),
    /// No handler is registered.
    NoService,
    /// Too much is under way.
    Busy,
}

// === impl Frame ===

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Ask { service, command } => {
                bytes.reserve(2 + service.len() + command.len());
                bytes.put_u8(0);
                bytes.put_u8(u8::try_from(service.len()).unwrap_or(u8::MAX));
                bytes.extend_from_slice(service.as_bytes());
                bytes.extend_from_slice(command);
            }
            Self::Done(answer) => {
                bytes.reserve(1 + answer.len());
                bytes.put_u8(1);
                bytes.extend_from_slice(answer);
            }
            Self::Failed(why) => {
                bytes.put_u8(2);
                bytes.extend_from_slice(why.as_bytes());
            }
            Self::NoService => bytes.put_u8(3),
            Self::Busy => bytes.put_u8(4),
        }
        bytes
    }

    /// None for what no release has written.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let (kind, rest) = (*bytes.first()?, bytes.slice(1..));
        Some(match kind {
            0 => {
                let len = usize::from(*rest.first()?);
                let name = rest.get(1..1 + len)?;
                let service = std::str::from_utf8(name).ok()?.to_owned();
                Self::Ask { service, command: rest.slice(1 + len..) }
            }
            1 => Self::Done(rest),
            2 => Self::Failed(std::str::from_utf8(&rest).ok()?.to_owned()),
            3 => Self::NoService,
            4 => Self::Busy,
            _ => return None,
        })
    }
}

/// A message to listeners as bytes; none for a topic that is too long.
pub(super) fn encode_news(topic: &str, message: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(topic.len()).ok()?;
    let mut bytes = Vec::with_capacity(2 + topic.len() + message.len());
    bytes.put_u16(len);
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(message);
    Some(bytes)
}

/// Topic and message.
pub(super) fn decode_news(bytes: &Bytes) -> Option<(&str, Bytes)> {
    let len = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    let topic = std::str::from_utf8(bytes.get(2..2 + len)?).ok()?;
    Some((topic, bytes.slice(2 + len..)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from);
        prop_oneof![
            ("[a-z:é]{0,100}", bytes())
                .prop_map(|(service, command)| Frame::Ask { service, command }),
            bytes().prop_map(Frame::Done),
            ".{0,40}".prop_map(Frame::Failed),
            Just(Frame::NoService),
            Just(Frame::Busy),
        ]
    }

    proptest! {
        #[test]
        fn a_frame_is_read_as_it_was_written(frame in frames()) {
            prop_assert_eq!(Frame::decode(&frame.encode().into()), Some(frame));
        }

        #[test]
        fn news_are_read_as_they_were_written(topic in ".{0,40}", message in ".{0,40}") {
            let bytes = Bytes::from(encode_news(&topic, message.as_bytes()).unwrap());
            let message = Bytes::from(message);
            prop_assert_eq!(decode_news(&bytes), Some((&*topic, message)));
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let bytes = Bytes::from(bytes);
            let _ = (Frame::decode(&bytes), decode_news(&bytes));
        }
    }
}
