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

/// The attributes of a session within one request.
#[derive(Default)]
pub(crate) struct Attributes {
    slots: BTreeMap<String, Slot>,
    bytes: usize,
    has_changed: bool,
}

#[derive(Default)]
struct Slot {
    /// As it is kept; none when it was removed.
    bytes: Option<Bytes>,
    /// As it was read, for shared references.
    read: Option<Arc<dyn Any + Send + Sync>>,
    has_changed: bool,
    is_borrowed: bool,
}

// === impl Attributes ===

impl Attributes {
    pub(super) fn found(values: impl IntoIterator<Item = (String, Bytes)>) -> Self {
        let mut bytes = 0;
        let slot = |(name, value): (String, Bytes)| {
            bytes += name.len() + value.len();
            (name, Slot { bytes: Some(value), ..Slot::default() })
        };
        let slots = values.into_iter().map(slot).collect();
        Self { slots, bytes, has_changed: false }
    }

    pub(super) fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present().next().is_none()
    }

    /// What is there now.
    pub(super) fn present(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.slots.iter().filter_map(|(name, slot)| Some((&**name, slot.bytes.as_ref()?)))
    }

    /// What was set or removed.
    pub(super) fn changes(&self) -> impl Iterator<Item = (&str, Option<&Bytes>)> {
        (self.slots.iter().filter(|(_, slot)| slot.has_changed))
            .map(|(name, slot)| (&**name, slot.bytes.as_ref()))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.present().map(|(name, _)| name.to_owned()).collect()
    }

    pub(super) fn raw(&self, name: &str) -> Option<Bytes> {
        self.slots.get(name)?.bytes.clone()
    }

    pub(super) fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        let Some(slot) = self.slots.get(name) else { return Ok(None) };
        slot.free(name)?;
        slot.bytes.as_ref().map(|bytes| decode(name, bytes)).transpose()
    }

    /// A shared reference: the value is read once in a request.
    pub(super) fn shared<T: Immutable>(
        &mut self,
        name: &str,
    ) -> Result<Option<Arc<T>>, SessionError> {
        let Some(slot) = self.slots.get_mut(name) else { return Ok(None) };
        slot.free(name)?;
        let Some(bytes) = &slot.bytes else { return Ok(None) };
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
        if let (Some(_), Some(slot)) = (&value, self.slots.get_mut(name)) {
            slot.is_borrowed = true;
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
        if let Some(slot) = self.slots.get_mut(name) {
            slot.is_borrowed = false;
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
        let old = match self.slots.get(name) {
            Some(slot) => {
                slot.free(name)?;
                slot.bytes.as_ref().map_or(0, |bytes| name.len() + bytes.len())
            }
            None => 0,
        };
        let bytes = self.bytes - old + name.len() + value.len();
        if bytes > most {
            return Err(SessionError::TooLarge { name: name.to_owned(), bytes, most });
        }
        self.bytes = bytes;
        self.has_changed = true;
        let slot = Slot { bytes: Some(value), has_changed: true, ..Slot::default() };
        self.slots.insert(name.to_owned(), slot);
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
        let Some(slot) = self.slots.get_mut(name) else { return Ok(false) };
        slot.free(name)?;
        let Some(old) = slot.bytes.take() else { return Ok(false) };
        self.bytes -= name.len() + old.len();
        (slot.read, slot.has_changed, self.has_changed) = (None, true, true);
        Ok(true)
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
    fn free(&self, name: &str) -> Result<(), SessionError> {
        if self.is_borrowed { Err(SessionError::Borrowed(name.to_owned())) } else { Ok(()) }
    }
}

fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, SessionError> {
    codec::decode(bytes).map_err(|error| SessionError::Value { name: name.to_owned(), error })
}

fn encode<T: Serialize + ?Sized>(name: &str, value: &T) -> Result<Bytes, SessionError> {
    let encoded = codec::encode(value);
    let encoded = encoded.map_err(|error| SessionError::Value { name: name.to_owned(), error })?;
    Ok(encoded.into())
}
