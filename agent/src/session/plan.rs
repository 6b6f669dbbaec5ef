//! How a session stands in its map, and what a request's end writes. Pure.

use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Expect, Op, Put, Rev};
use serde::{Serialize, Serializer};

use super::attributes::Attributes;
use super::error::SessionError;
use super::metadata::Metadata;
use super::settings::Granularity;
use crate::cluster::codec::{CodecError, FORMAT};

/// The metadata's key. It comes after all others, so that whoever is told of a session's end entry
/// by entry knows its attributes by then.
pub(super) const METADATA: &[u8] = b"m";
/// All attributes as one unit.
const UNIT: &[u8] = b"a";
/// An attribute's key begins so; its name follows.
const ATTRIBUTE: &[u8] = b"a:";

/// A session as it was found.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) metadata: Metadata,
    pub(super) attributes: Attributes,
    pub(super) form: Form,
}

/// How the attributes were found: an application's granularity may have changed since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Form {
    has_unit: bool,
    has_each: bool,
}

/// Bytes as a library's bytes, without a copy.
fn shared(bytes: &Bytes) -> bytes::Bytes {
    bytes::Bytes::from_owner(bytes.clone())
}

/// A session out of its entries, written with either granularity; none without metadata, and none
/// that has ended.
pub(super) fn parse<'e>(
    entries: impl IntoIterator<Item = (&'e Bytes, &'e Bytes)>,
) -> Result<Option<Parsed>, SessionError> {
    let (mut metadata, mut values, mut form) = (None, Vec::new(), Form::default());
    for (key, value) in entries {
        if &**key == METADATA {
            metadata = Some(Metadata::decode(value).map_err(SessionError::Unreadable)?);
        } else if &**key == UNIT {
            form.has_unit = true;
            let unit = shared(value);
            let all = unit_of(&unit).map_err(SessionError::Unreadable)?;
            let part = |part: &[u8]| unit.slice_ref(part);
            values.extend(all.iter().map(|(name, value)| (part(name.as_bytes()), part(value))));
        } else if key.starts_with(ATTRIBUTE) {
            form.has_each = true;
            values.push((shared(key).slice(ATTRIBUTE.len()..), shared(value)));
        }
    }
    let parsed = |metadata| Parsed { metadata, attributes: Attributes::found(values), form };
    Ok(metadata.filter(|metadata: &Metadata| !metadata.has_ended).map(parsed))
}

/// A session out of a group's entries.
pub(super) fn parse_group(entries: &Entries) -> Result<Option<Parsed>, SessionError> {
    parse(entries.entries.iter().map(|(key, (value, _))| (key, value)))
}

pub(super) fn unit_of(unit: &[u8]) -> Result<Vec<(&str, &[u8])>, CodecError> {
    let (format, unit) = unit.split_first().ok_or(CodecError::Empty)?;
    if *format != FORMAT {
        return Err(CodecError::Format(*format));
    }
    postcard::from_bytes(unit).map_err(|error| CodecError::Unreadable(error.to_string()))
}

/// The operations that write a session under an id that has nothing yet.
pub(super) fn create(
    metadata: &Metadata,
    attributes: &Attributes,
    granularity: Granularity,
) -> Vec<Op> {
    let mut ops = vec![Op { expect: Expect::Absent, ..alive(metadata) }];
    all(attributes, granularity, &mut ops);
    ops
}

/// The operations that bring a session back that is not there, for as long as it has left.
pub(super) fn bring(
    metadata: &Metadata,
    attributes: &Attributes,
    granularity: Granularity,
    left: Option<Duration>,
) -> Vec<Op> {
    let mut ops = vec![Op { expect: Expect::Absent, ..alive_for(metadata, left) }];
    all(attributes, granularity, &mut ops);
    ops
}

/// The operations that write a session that is there: its metadata always, its attributes when
/// they have changed. Where it was found in the form of the other granularity, all of it changes.
pub(super) fn write(
    metadata: &Metadata,
    attributes: &Attributes,
    granularity: Granularity,
    form: Form,
) -> Vec<Op> {
    let mut ops = Vec::with_capacity(2);
    ops.push(alive(metadata));
    if !attributes.has_changed() {
        return ops;
    }
    match granularity {
        Granularity::Session if attributes.is_empty() && form.has_unit => ops.push(gone(UNIT)),
        Granularity::Attribute if !form.has_unit => {
            ops.extend(attributes.slots().iter().filter_map(|slot| {
                let is_news = slot.has_changed && (slot.now.is_some() || slot.kept.is_some());
                is_news.then(|| attribute(slot.name(), slot.now.as_ref()))
            }));
            return ops;
        }
        Granularity::Session | Granularity::Attribute => all(attributes, granularity, &mut ops),
    }
    if form.has_each {
        // Of those that are kept one by one, what is not written one by one goes.
        let kept = attributes.slots().iter().filter(|slot| slot.kept.is_some());
        let is_gone =
            |now: Option<&bytes::Bytes>| granularity == Granularity::Session || now.is_none();
        ops.extend(
            kept.filter(|slot| is_gone(slot.now.as_ref())).map(|slot| attribute(slot.name(), None)),
        );
    }
    if form.has_unit && granularity == Granularity::Attribute {
        ops.push(gone(UNIT));
    }
    ops
}

/// Writes all attributes.
fn all(attributes: &Attributes, granularity: Granularity, ops: &mut Vec<Op>) {
    match granularity {
        Granularity::Session if attributes.is_empty() => {}
        Granularity::Session => {
            let put = Some(Put::of(unit(attributes).into()));
            ops.push(Op { key: UNIT.into(), expect: Expect::Any, put });
        }
        Granularity::Attribute => {
            ops.extend(attributes.present().map(|(name, value)| attribute(name, Some(value))));
        }
    }
}

/// The metadata, by which the group lives.
pub(super) fn alive(metadata: &Metadata) -> Op {
    alive_for(metadata, metadata.max_inactive)
}

/// The metadata, by which the group lives for so long.
pub(super) fn alive_for(metadata: &Metadata, ttl: Option<Duration>) -> Op {
    // All of the session goes with its metadata.
    let put = Put { ttl, ends_group: true, ..Put::of(metadata.encode().into()) };
    Op { key: METADATA.into(), expect: Expect::Any, put: Some(put) }
}

/// The operations that leave nothing of a session but the mark that it has ended, for so long.
pub(super) fn mark(entries: &Entries, metadata: &Metadata, keep: Duration) -> Vec<Op> {
    let metadata = Metadata { has_ended: true, ..metadata.clone() };
    let others = entries.entries.keys().filter(|key| &***key != METADATA);
    others.map(|key| gone(key)).chain([alive_for(&metadata, Some(keep))]).collect()
}

/// The operations that remove everything that was found.
pub(super) fn remove(entries: &Entries) -> Vec<Op> {
    entries.entries.keys().map(|key| gone(key)).collect()
}

/// The metadata's revision.
pub(super) fn metadata_rev(entries: &Entries) -> Option<Rev> {
    entries.entries.get(METADATA).map(|(_, rev)| *rev)
}

/// Whether an operation is the metadata's.
pub(super) fn is_metadata(op: &Op) -> bool {
    &*op.key == METADATA
}

/// The metadata, those of a mark among them; none that cannot be read.
pub(super) fn metadata_of(entries: &Entries) -> Option<Metadata> {
    let (metadata, _) = entries.entries.get(METADATA)?;
    Metadata::decode(metadata).ok()
}

/// The commit that wrote these entries; none without metadata that can be read.
pub(super) fn commit_of(entries: &Entries) -> Option<u64> {
    metadata_of(entries).map(|metadata| metadata.commit)
}

/// The version of what is there; 0 without metadata that can be read.
pub(super) fn version_of(entries: &Entries) -> u64 {
    metadata_of(entries).map_or(0, |metadata| metadata.version)
}

/// Bytes that are written as such: as a list of numbers they would be written one by one.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

pub(super) fn unit(attributes: &Attributes) -> Vec<u8> {
    let all: Vec<(&str, Raw<'_>)> =
        attributes.present().map(|(name, value)| (name, Raw(value))).collect();
    // Two lengths of at most 3 bytes for each, and the format and the number of them.
    let mut bytes = Vec::with_capacity(attributes.bytes() + 6 * all.len() + 4);
    bytes.push(FORMAT);
    postcard::to_extend(&all, bytes).expect("memory is its only limit")
}

fn attribute(name: &str, value: Option<&bytes::Bytes>) -> Op {
    let key = [ATTRIBUTE, name.as_bytes()].concat().into();
    Op { key, expect: Expect::Any, put: value.map(|value| Put::new(value)) }
}

/// The removal of one entry.
pub(super) fn gone(key: &[u8]) -> Op {
    Op { key: key.into(), expect: Expect::Any, put: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What a group holds: keys and values.
    type Kept = BTreeMap<Bytes, Bytes>;

    fn apply(kept: &mut Kept, ops: Vec<Op>) {
        for op in ops {
            match op.put {
                Some(put) => kept.insert(op.key, put.value),
                None => kept.remove(&op.key),
            };
        }
    }

    fn parsed(kept: &Kept) -> Parsed {
        parse(kept.iter()).unwrap().unwrap()
    }

    fn keys(kept: &Kept) -> Vec<String> {
        kept.keys().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    fn three(granularity: Granularity) -> Kept {
        let (metadata, mut attributes) = (Metadata::new(1, None), Attributes::default());
        for name in ["x", "y", "z"] {
            attributes.set(name, name, 99).unwrap();
        }
        let mut kept = Kept::new();
        apply(&mut kept, create(&metadata, &attributes, granularity));
        kept
    }

    fn changed(kept: &mut Kept, granularity: Granularity) {
        let Parsed { metadata, mut attributes, form } = parsed(kept);
        attributes.set("x", "new", 99).unwrap();
        attributes.remove("y").unwrap();
        attributes.set("passing", "by", 99).unwrap();
        attributes.remove("passing").unwrap();
        apply(kept, write(&metadata, &attributes, granularity, form));
    }

    #[test]
    fn what_is_written_with_either_granularity_is_read_and_changed_with_the_other() {
        const BOTH: [Granularity; 2] = [Granularity::Session, Granularity::Attribute];
        for (first, second) in BOTH.into_iter().flat_map(|one| BOTH.map(|two| (one, two))) {
            let mut kept = three(first);
            changed(&mut kept, second);
            let expected: &[&str] = match second {
                Granularity::Session => &["a", "m"],
                Granularity::Attribute => &["a:x", "a:z", "m"],
            };
            assert_eq!(keys(&kept), expected, "{first:?} then {second:?}");
            let attributes = parsed(&kept).attributes;
            assert_eq!(attributes.names(), ["x", "z"]);
            assert_eq!(attributes.get::<String>("x"), Ok(Some("new".to_owned())));
        }
    }

    #[test]
    fn a_unit_beside_attributes_is_gone_after_the_next_change() {
        for granularity in [Granularity::Session, Granularity::Attribute] {
            // As the two sides of a split may have written it.
            let mut kept = three(Granularity::Session);
            kept.extend(three(Granularity::Attribute));
            changed(&mut kept, granularity);
            assert_eq!(parsed(&kept).attributes.names(), ["x", "z"]);
            assert_eq!(kept.len(), if granularity == Granularity::Session { 2 } else { 3 });
        }
    }

    #[test]
    fn a_request_that_changes_nothing_writes_the_metadata_alone() {
        for granularity in [Granularity::Session, Granularity::Attribute] {
            let Parsed { metadata, attributes, form } = parsed(&three(granularity));
            let ops = write(&metadata, &attributes, granularity, form);
            assert_eq!(ops.iter().map(|op| &*op.key).collect::<Vec<_>>(), [METADATA]);
        }
    }

    #[test]
    fn with_the_last_attribute_its_entry_goes() {
        for granularity in [Granularity::Session, Granularity::Attribute] {
            let mut kept = three(granularity);
            let Parsed { metadata, mut attributes, form } = parsed(&kept);
            for name in ["x", "y", "z"] {
                attributes.remove(name).unwrap();
            }
            apply(&mut kept, write(&metadata, &attributes, granularity, form));
            assert_eq!(keys(&kept), ["m"]);
        }
    }

    #[test]
    fn a_write_and_a_removal_of_most_attributes_fit_into_one_batch() {
        let mut kept = Kept::new();
        let (metadata, mut attributes) = (Metadata::new(1, None), Attributes::default());
        (0..1000).for_each(|n| attributes.set(&format!("{n}"), &n, 1 << 20).unwrap());
        apply(&mut kept, create(&metadata, &attributes, Granularity::Attribute));
        let Parsed { metadata, mut attributes, form } = parsed(&kept);
        attributes.set("1", &2, 1 << 20).unwrap();
        let ops = write(&metadata, &attributes, Granularity::Session, form);
        assert_eq!(ops.len(), 1002);
    }
}
