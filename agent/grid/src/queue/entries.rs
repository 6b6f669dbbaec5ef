//! Messages as entries of the grid. Up to 128 messages share a group, so that many are published or
//! done by one batch; its name is made so that it is in the queue's row.
//!
//! | key | value |
//! |---|---|
//! | `m` and the message's sequence | the message |
//! | `t` and the sequence | how often it was given, once that counts |
//! | `w` and the sequence | nothing; it goes when the message's delay is over |
//! | `x` and the sequence | a dead letter |
//! | `d` and a de-duplication id | the sequence; it goes when the window is over |
//! | `f` and the name of a lease | the greatest token of it that something was published with; in one group |

use super::Number;
use crate::batch::{Expect, Op, Put};
use crate::segment::{Bytes, Group, Space};
use std::time::Duration;

/// Bytes of a message's group at most.
pub const MOST_GROUP: usize = 1000;
/// Bytes of a de-duplication id at most.
pub const MOST_ID: usize = 1000;
/// The version of a message's value.
const VERSION: u8 = 1;
/// Instead of the length of a group's name: there is no group.
const NO_GROUP: u16 = u16::MAX;
/// Names that are tried for one in the queue's row. There are at most 4,096 rows: that none of so
/// many is in it, one chance in e^256, does not happen.
const MOST_MINTED: u32 = 1 << 20;

/// What a key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Message,
    Tries,
    Delay,
    Dead,
}

impl Kind {
    const ALL: [(Self, u8); 4] =
        [(Self::Message, b'm'), (Self::Tries, b't'), (Self::Delay, b'w'), (Self::Dead, b'x')];

    fn letter(self) -> u8 {
        match self {
            Self::Message => b'm',
            Self::Tries => b't',
            Self::Delay => b'w',
            Self::Dead => b'x',
        }
    }
}

/// A key, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    Of(Kind, u64),
    Id(Bytes),
    Fence(Bytes),
}

pub(super) fn key(kind: Kind, seq: u64) -> Bytes {
    let mut bytes = [0; 9];
    bytes[0] = kind.letter();
    bytes[1..].copy_from_slice(&seq.to_be_bytes());
    Bytes::from(&bytes)
}

pub(super) fn id_key(id: &[u8]) -> Bytes {
    [b"d", id].concat().into()
}

pub(super) fn fence_key(name: &[u8]) -> Bytes {
    [b"f", name].concat().into()
}

/// None for what no release has written.
pub(super) fn read_key(key: &[u8]) -> Option<Key> {
    let (letter, rest) = key.split_first()?;
    match *letter {
        b'd' => return Some(Key::Id(rest.into())),
        b'f' => return Some(Key::Fence(rest.into())),
        _ => {}
    }
    let (kind, _) = Kind::ALL.into_iter().find(|(_, of)| of == letter)?;
    Some(Key::Of(kind, u64::from_be_bytes(rest.try_into().ok()?)))
}

pub(super) fn put(key: Bytes, value: Bytes, ttl: Option<Duration>) -> Op {
    Op { key, expect: Expect::Any, put: Some(Put { ttl, ..Put::of(value) }) }
}

pub(super) fn remove(key: Bytes) -> Op {
    Op { key, expect: Expect::Any, put: None }
}

/// The number in the value of `t` and `d`.
pub(super) fn number(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The token in the value of `f`.
pub(super) fn token(value: &[u8]) -> u128 {
    value.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// The name of a group of messages, the first of which has this number: one in the row of the
/// group with the empty name.
pub(super) fn block(space: Space, segments: u16, first: Number) -> Option<Group> {
    let segment = |group: &Group| group.place().hash % u64::from(segments.max(1));
    let wanted = segment(&Group::new(space, b""));
    let mut name = [0; 24];
    name[..8].copy_from_slice(&first.epoch.to_be_bytes());
    name[8..12].copy_from_slice(&first.salt.to_be_bytes());
    name[12..20].copy_from_slice(&first.seq.to_be_bytes());
    let mut minted = |mint: u32| {
        name[20..].copy_from_slice(&mint.to_be_bytes());
        Group::new(space, &name)
    };
    (0..MOST_MINTED).map(&mut minted).find(|group| segment(group) == wanted)
}

/// Epoch and salt of a group's messages; none for what is no group of messages.
pub(super) fn read_block(name: &[u8]) -> Option<(u64, u32)> {
    let name: &[u8; 24] = name.try_into().ok()?;
    let (epoch, rest) = name.split_first_chunk()?;
    Some((u64::from_be_bytes(*epoch), u32::from_be_bytes(*rest.first_chunk()?)))
}

/// A message as it is stored and sent: its group and its body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    value: Bytes,
    body_at: usize,
}

impl Message {
    /// A message.
    #[must_use]
    pub fn new(group: Option<&str>, body: &[u8]) -> Self {
        let group = group.map(str::as_bytes);
        let len = group.map_or(NO_GROUP, |group| u16::try_from(group.len()).unwrap_or(0));
        let body_at = 3 + group.map_or(0, <[u8]>::len);
        let mut value = Vec::with_capacity(body_at + body.len());
        value.push(VERSION);
        value.extend_from_slice(&len.to_be_bytes());
        value.extend_from_slice(group.unwrap_or_default());
        value.extend_from_slice(body);
        Self { value: value.into(), body_at }
    }

    /// None for what no release has written.
    #[must_use]
    pub fn read(value: Bytes) -> Option<Self> {
        let (head, rest) = value.split_first_chunk::<3>()?;
        let len = u16::from_be_bytes([head[1], head[2]]);
        let group = if len == NO_GROUP { 0 } else { usize::from(len) };
        let is_known = head[0] == VERSION && rest.len() >= group;
        is_known.then(|| Self { value: value.clone(), body_at: 3 + group })
    }

    /// As it is stored.
    #[must_use]
    pub fn value(&self) -> &Bytes {
        &self.value
    }

    /// Its group.
    #[must_use]
    pub fn group(&self) -> Option<&[u8]> {
        let has_group = self.value[1..3] != NO_GROUP.to_be_bytes();
        has_group.then(|| &self.value[3..self.body_at])
    }

    /// Where its body begins.
    #[must_use]
    pub fn body_at(&self) -> usize {
        self.body_at
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.value[self.body_at..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_made(group in proptest::option::of(".{0,40}"), body: Vec<u8>) {
            let message = Message::new(group.as_deref(), &body);
            let read = Message::read(message.value().clone()).unwrap();
            prop_assert_eq!(read.group(), group.as_deref().map(str::as_bytes));
            prop_assert_eq!(read.body(), &body[..]);
        }

        #[test]
        fn no_bytes_make_reading_panic(bytes: Vec<u8>) {
            let _ = Message::read(bytes.clone().into()).map(|message| message.group().is_some());
            let _ = (read_key(&bytes), read_block(&bytes), number(&bytes), token(&bytes));
        }
    }

    #[test]
    fn all_groups_of_a_queue_are_in_its_row() {
        let space = Space { table: 0, cache: 77 };
        let row = |group: &Group| group.place().hash % 256;
        let home = row(&Group::new(space, b""));
        for seq in 0..20 {
            let group = block(space, 256, Number { epoch: 5, seq, salt: 9 }).unwrap();
            assert_eq!(row(&group), home);
            assert_eq!(read_block(&group.name), Some((5, 9)));
        }
        assert_eq!(read_key(&key(Kind::Delay, 7)), Some(Key::Of(Kind::Delay, 7)));
        assert_eq!(read_key(&id_key(b"a")), Some(Key::Id(b"a".into())));
        assert_eq!(read_key(&fence_key(b"a")), Some(Key::Fence(b"a".into())));
    }
}
