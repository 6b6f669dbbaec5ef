//! Attributes as entries: what is there, and what has changed.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::SessionError;
use super::immutable::Immutable;
use crate::cluster::codec;

/// Bytes of an attribute's name at most.
const LONGEST_NAME: usize = 255;
/// Attributes of a session at most, those that one request removes among them: what it writes must
/// fit into one batch.
const MOST_ATTRIBUTES: usize = 1000;

/// The attributes of a session within one request, in the order of their names. A session has few,
/// so that a list is found through faster than a tree is built.
#[derive(Default)]
pub(crate) struct Attributes {
    slots: Vec<Slot>,
    bytes: usize,
    has_changed: bool,
}

/// One attribute.
pub(super) struct Slot {
    name: Name,
    /// As the members keep it.
    pub(super) kept: Option<Bytes>,
    /// As it is now; none when it was removed.
    pub(super) now: Option<Bytes>,
    /// As it was read, for shared references.
    read: Option<Arc<dyn Any + Send + Sync>>,
    pub(super) has_changed: bool,
    is_borrowed: bool,
}

/// A name, most often a part of the bytes in which it was found.
struct Name(Bytes);

// === impl Attributes ===

impl Attributes {
    /// What was found, in any order. Of two with one name the later counts.
    pub(super) fn found(values: Vec<(Bytes, Bytes)>) -> Self {
        let slot = |(name, value): (Bytes, Bytes)| Slot {
            name: Name(name),
            kept: Some(value.clone()),
            now: Some(value),
            read: None,
            has_changed: false,
            is_borrowed: false,
        };
        let mut slots: Vec<Slot> = values.into_iter().rev().map(slot).collect();
        slots.sort_by(|one, other| one.name.0.cmp(&other.name.0));
        slots.dedup_by(|later, kept| later.name.0 == kept.name.0);
        let bytes = slots.iter().map(Slot::size).sum();
        Self { slots, bytes, has_changed: false }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present().next().is_none()
    }

    /// Names and values together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is there now.
    pub(super) fn present(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.slots.iter().filter_map(|slot| Some((slot.name(), slot.now.as_ref()?)))
    }

    /// All, those that were removed among them.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The name of one of which a `&mut` is still held.
    pub(super) fn borrowed(&self) -> Option<&str> {
        self.slots.iter().find(|slot| slot.is_borrowed).map(Slot::name)
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.present().map(|(name, _)| name.to_owned()).collect()
    }

    pub(super) fn raw(&self, name: &str) -> Option<Bytes> {
        self.slot(name)?.now.clone()
    }

    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        let Some(slot) = self.slot(name) else { return Ok(None) };
        slot.free()?;
        slot.now.as_ref().map(|bytes| decode(name, bytes)).transpose()
    }

    /// A shared reference: the value is read once in a request.
    pub(super) fn shared<T: Immutable>(
        &mut self,
        name: &str,
    ) -> Result<Option<Arc<T>>, SessionError> {
        let Ok(at) = self.find(name) else { return Ok(None) };
        let slot = &mut self.slots[at];
        slot.free()?;
        let Some(bytes) = &slot.now else { return Ok(None) };
        if let Some(Ok(read)) = slot.read.clone().map(Arc::downcast::<T>) {
            return Ok(Some(read));
        }
        let read = Arc::new(decode::<T>(name, bytes)?);
        slot.read = Some(read.clone());
        Ok(Some(read))
    }

    /// Takes a value out to be changed: it comes back by [`Attributes::put_back`].
    pub(super) fn borrow<T: DeserializeOwned>(
        &mut self,
        name: &str,
    ) -> Result<Option<T>, SessionError> {
        let value = self.get(name)?;
        if let (Some(_), Ok(at)) = (&value, self.find(name)) {
            self.slots[at].is_borrowed = true;
        }
        Ok(value)
    }

    /// A `&mut` ends: that counts as a change.
    pub(super) fn put_back<T: Serialize>(
        &mut self,
        name: &str,
        value: &T,
        most: usize,
    ) -> Result<(), SessionError> {
        if let Ok(at) = self.find(name) {
            self.slots[at].is_borrowed = false;
        }
        self.set_raw(name, encode(name, value)?, most)
    }

    pub(super) fn set<T: Serialize + ?Sized>(
        &mut self,
        name: &str,
        value: &T,
        most: usize,
    ) -> Result<(), SessionError> {
        self.set_raw(name, encode(name, value)?, most)
    }

    pub(super) fn set_raw(
        &mut self,
        name: &str,
        value: Bytes,
        most: usize,
    ) -> Result<(), SessionError> {
        if !(1..=LONGEST_NAME).contains(&name.len()) {
            return Err(SessionError::BadName(name.to_owned()));
        }
        let found = self.find(name);
        let old = match found {
            Ok(at) => {
                self.slots[at].free()?;
                self.slots[at].size()
            }
            Err(_) if self.slots.len() >= MOST_ATTRIBUTES => {
                let name = name.to_owned();
                return Err(SessionError::TooMany { name, most: MOST_ATTRIBUTES });
            }
            Err(_) => 0,
        };
        let bytes = self.bytes - old + name.len() + value.len();
        if bytes > most {
            return Err(SessionError::TooLarge { name: name.to_owned(), bytes, most });
        }
        (self.bytes, self.has_changed) = (bytes, true);
        match found {
            Ok(at) => {
                let slot = &mut self.slots[at];
                (slot.now, slot.read, slot.has_changed) = (Some(value), None, true);
            }
            Err(at) => self.slots.insert(at, Slot::new(name, value)),
        }
        Ok(())
    }

    /// Is these values and no other: only what differs counts as changed.
    pub(super) fn become_these(
        &mut self,
        values: &BTreeMap<String, Bytes>,
        most: usize,
    ) -> Result<(), SessionError> {
        for name in self.names() {
            if !values.contains_key(&name) {
                self.remove(&name)?;
            }
        }
        for (name, value) in values {
            if self.raw(name).as_ref() != Some(value) {
                self.set_raw(name, value.clone(), most)?;
            }
        }
        Ok(())
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, name: &str) -> Result<bool, SessionError> {
        let Ok(at) = self.find(name) else { return Ok(false) };
        let slot = &mut self.slots[at];
        slot.free()?;
        if slot.now.is_none() {
            return Ok(false);
        }
        self.bytes -= slot.size();
        (slot.now, slot.read, slot.has_changed, self.has_changed) = (None, None, true, true);
        Ok(true)
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.slots.binary_search_by(|slot| (*slot.name.0).cmp(name.as_bytes()))
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.find(name).ok().map(|at| &self.slots[at])
    }
}

impl std::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values are the users': only their names are shown.
        f.debug_list().entries(self.present().map(|(name, _)| name)).finish()
    }
}

// === impl Slot ===

impl Slot {
    fn new(name: &str, value: Bytes) -> Self {
        let name = Name(Bytes::copy_from_slice(name.as_bytes()));
        Self {
            name,
            kept: None,
            now: Some(value),
            read: None,
            has_changed: true,
            is_borrowed: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    fn size(&self) -> usize {
        self.now.as_ref().map_or(0, |value| self.name.0.len() + value.len())
    }

    fn free(&self) -> Result<(), SessionError> {
        if self.is_borrowed { Err(SessionError::Borrowed(self.name().to_owned())) } else { Ok(()) }
    }
}

// === impl Name ===

impl Name {
    /// Every name was text before it was bytes; whatever else may stand there has none.
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// An attribute's bytes as a value.
pub(super) fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, SessionError> {
    codec::decode(bytes).map_err(|error| SessionError::Value { name: name.to_owned(), error })
}

fn encode<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Bytes, SessionError> {
    let encoded = codec::encode(value);
    let encoded = encoded.map_err(|error| SessionError::Value { name: name.to_owned(), error })?;
    Ok(encoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&'static str]) -> Attributes {
        let value = |name: &&'static str| (Bytes::from_static(name.as_bytes()), "v".into());
        Attributes::found(names.iter().map(value).collect())
    }

    #[test]
    fn of_two_attributes_with_one_name_the_later_counts() {
        let both =
            vec![("b".into(), "1".into()), ("a".into(), "2".into()), ("b".into(), "3".into())];
        let attributes = Attributes::found(both);
        assert_eq!(attributes.names(), ["a", "b"]);
        assert_eq!(attributes.raw("b"), Some("3".into()));
        assert_eq!(attributes.bytes(), 4);
    }

    #[test]
    fn bounds_name_what_is_beyond_them_and_nothing_changes() {
        let mut attributes = found(&["a"]);
        let long = "n".repeat(LONGEST_NAME + 1);
        assert_eq!(attributes.set_raw("", "v".into(), 9), Err(SessionError::BadName("".into())));
        assert_eq!(attributes.set_raw(&long, "v".into(), 999), Err(SessionError::BadName(long)));
        let too_large = SessionError::TooLarge { name: "b".into(), bytes: 10, most: 9 };
        assert_eq!(attributes.set_raw("b", "1234567".into(), 9), Err(too_large));
        for number in 1..MOST_ATTRIBUTES {
            attributes.set_raw(&number.to_string(), "v".into(), 1 << 20).unwrap();
        }
        let too_many = SessionError::TooMany { name: "b".into(), most: MOST_ATTRIBUTES };
        assert_eq!(attributes.set_raw("b", "v".into(), 1 << 20), Err(too_many));
        assert_eq!(attributes.set_raw("a", "w".into(), 1 << 20), Ok(()));
        assert_eq!(attributes.names().len(), MOST_ATTRIBUTES);
    }

    #[test]
    fn a_shared_reference_is_read_once_and_anew_after_a_change() {
        let mut attributes = Attributes::default();
        attributes.set("a", &7_u64, 99).unwrap();
        let first = attributes.shared::<u64>("a").unwrap().unwrap();
        assert!(Arc::ptr_eq(&first, &attributes.shared::<u64>("a").unwrap().unwrap()));
        assert_eq!(attributes.shared::<u8>("a").unwrap().as_deref(), Some(&7));
        attributes.set("a", &8_u64, 99).unwrap();
        assert_eq!(attributes.shared::<u64>("a").unwrap().as_deref(), Some(&8));
        assert!(matches!(attributes.shared::<String>("a"), Err(SessionError::Value { .. })));
    }
}
