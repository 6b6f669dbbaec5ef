//! How a session stands in its map, and what a request's end writes. Pure.

use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Expect, Op, Put, Rev};

use super::attributes::Attributes;
use super::error::SessionError;
use super::metadata::Metadata;
use super::settings::Granularity;
use crate::cluster::codec;

/// The metadata's key.
const METADATA: &[u8] = b"m";
/// All attributes as one unit.
const UNIT: &[u8] = b"a";
/// An attribute's key begins so; its name follows.
const ATTRIBUTE: &[u8] = b"a:";

/// Bytes as a library's bytes, without a copy.
fn shared(bytes: &Bytes) -> bytes::Bytes {
    bytes::Bytes::from_owner(bytes.clone())
}

/// A session out of its entries, written with either granularity; none without metadata.
pub(super) fn parse(
    entries: &Entries,
    _granularity: Granularity,
) -> Result<Option<(Metadata, Attributes)>, SessionError> {
    let Some((metadata, _)) = entries.entries.get(METADATA) else { return Ok(None) };
    let metadata = codec::decode(metadata).map_err(SessionError::Unreadable)?;
    let mut values = Vec::new();
    for (key, (value, _)) in &entries.entries {
        if &**key == UNIT {
            let unit = shared(value);
            let all: Vec<(&str, &[u8])> = unit_of(&unit).map_err(SessionError::Unreadable)?;
            values.extend(
                all.iter().map(|(name, value)| ((*name).to_owned(), unit.slice_ref(value))),
            );
        } else if let Some(name) = key.strip_prefix(ATTRIBUTE) {
            values.push((String::from_utf8_lossy(name).into_owned(), shared(value)));
        }
    }
    Ok(Some((metadata, Attributes::found(values))))
}

fn unit_of(unit: &[u8]) -> Result<Vec<(&str, &[u8])>, codec::CodecError> {
    let (format, unit) = unit.split_first().ok_or(codec::CodecError::Empty)?;
    if *format != codec::FORMAT {
        return Err(codec::CodecError::Format(*format));
    }
    postcard::from_bytes(unit).map_err(|error| codec::CodecError::Unreadable(error.to_string()))
}

/// The operations that write a session: its metadata always, its attributes when they have
/// changed. `is_whole` writes all, for a group that has nothing yet.
pub(super) fn write(
    metadata: &Metadata,
    attributes: &Attributes,
    granularity: Granularity,
    is_whole: bool,
) -> Result<Vec<Op>, SessionError> {
    let mut ops = vec![Op {
        key: METADATA.into(),
        expect: if is_whole { Expect::Absent } else { Expect::Any },
        put: Some(timed(encode(metadata)?, metadata.max_inactive)),
    }];
    if !attributes.has_changed() && !is_whole {
        return Ok(ops);
    }
    match granularity {
        Granularity::Session => {
            let put = match attributes.is_empty() {
                true => None,
                false => Some(Put::new(&encode(&unit(attributes))?)),
            };
            ops.push(Op { key: UNIT.into(), expect: Expect::Any, put });
        }
        Granularity::Attribute if is_whole => {
            ops.extend(attributes.present().map(|(name, value)| attribute(name, Some(value))));
        }
        Granularity::Attribute => {
            ops.extend(attributes.changes().map(|(name, value)| attribute(name, value)));
        }
    }
    Ok(ops)
}

/// The operations that remove everything that was found.
pub(super) fn remove(entries: &Entries) -> Vec<Op> {
    let keys = entries.entries.keys();
    keys.map(|key| Op { key: key.clone(), expect: Expect::Any, put: None }).collect()
}

/// The metadata's revision.
pub(super) fn metadata_rev(entries: &Entries) -> Option<Rev> {
    entries.entries.get(METADATA).map(|(_, rev)| *rev)
}

/// Whether an operation is the metadata's.
pub(super) fn is_metadata(op: &Op) -> bool {
    &*op.key == METADATA
}

/// Whether these are the entries that a commit wrote.
pub(super) fn is_of(entries: &Entries, commit: u64) -> bool {
    let metadata = entries.entries.get(METADATA);
    let metadata = metadata.and_then(|(bytes, _)| codec::decode::<Metadata>(bytes).ok());
    metadata.is_some_and(|metadata| metadata.commit == commit)
}

fn unit(attributes: &Attributes) -> Vec<(&str, &[u8])> {
    attributes.present().map(|(name, value)| (name, &**value)).collect()
}

fn attribute(name: &str, value: Option<&bytes::Bytes>) -> Op {
    let key = [ATTRIBUTE, name.as_bytes()].concat().into();
    Op { key, expect: Expect::Any, put: value.map(|value| Put::new(value)) }
}

fn timed(value: Vec<u8>, ttl: Option<Duration>) -> Put {
    // A session is over whole: its attributes have no time of their own.
    Put { ttl, ends_group: true, ..Put::of(value.into()) }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, SessionError> {
    codec::encode(value).map_err(SessionError::Unreadable)
}
