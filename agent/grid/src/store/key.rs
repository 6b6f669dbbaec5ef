//! What a row finds a group by, owned or borrowed.

use crate::segment::{Bytes, Group, Place};
use std::borrow::Borrow;
use std::cmp::Ordering;

/// A group's name as the key of a row: in the order of places.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: Bytes,
}

impl Key {
    pub(crate) fn of(group: &Group) -> Self {
        Self { place: group.place(), name: group.name.clone() }
    }
}

/// What names a group, owned or borrowed.
pub(super) trait Named {
    fn parts(&self) -> (Place, &[u8]);
}

impl Named for Key {
    fn parts(&self) -> (Place, &[u8]) {
        (self.place, &self.name)
    }
}

impl Named for Group {
    fn parts(&self) -> (Place, &[u8]) {
        (self.place(), &self.name)
    }
}

impl Named for (Place, &[u8]) {
    fn parts(&self) -> (Place, &[u8]) {
        *self
    }
}

impl<'a> Borrow<dyn Named + 'a> for Key {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Named + '_ {}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}
