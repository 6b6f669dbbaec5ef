//! Changes as they are told to listeners of a cache.

use crate::batch::{Put, Rev};
use crate::segment::{Bytes, Group};
use crate::store::{Effect, Store};

/// Which changes of a cache are told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Watched {
    /// Groups that come from the other side of a split, by name alone and at once, by their primary.
    Merges,
    /// What goes because time is over, by its primary.
    Ends,
    /// Every change, by its primary and by each whole copy.
    All,
}

/// What happened to an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// There was none.
    Created(Bytes),
    /// Another value.
    Changed(Bytes),
    /// A caller removed it: what it was.
    Removed(Bytes),
    /// Its time was over, or that of the entry by which its group lived: what it was.
    Expired(Bytes),
}

/// What one write did to a group of a cache that is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changes {
    /// The group.
    pub group: Group,
    /// Its revision after it.
    pub rev: Rev,
    /// Whether this member is the primary: then it is acknowledged. A copy tells at once.
    pub is_primary: bool,
    /// Keys, and what happened to them.
    pub entries: Vec<(Bytes, Kind)>,
}

impl Changes {
    /// What an effect will do to a copy; none when it changes nothing that anybody sees.
    pub(crate) fn of(effect: &Effect, store: &Store, is_primary: bool) -> Option<Self> {
        let was = |at: usize, key: &Bytes| {
            let earlier = effect.puts[..at].iter().rev().find(|(of, _)| of == key);
            let present = || store.entry(&effect.group, key).map(|entry| entry.value.clone());
            earlier.map_or_else(present, |(_, put)| put.as_ref().map(|put| put.value.clone()))
        };
        let kind = |at: usize, key: &Bytes, put: &Option<Put>| match (put, was(at, key)) {
            (Some(put), Some(_)) => Some(Kind::Changed(put.value.clone())),
            (Some(put), None) => Some(Kind::Created(put.value.clone())),
            (None, Some(was)) if effect.is_expiry => Some(Kind::Expired(was)),
            (None, Some(was)) => Some(Kind::Removed(was)),
            (None, None) => None,
        };
        let entries: Vec<(Bytes, Kind)> = (effect.puts.iter().enumerate())
            .filter_map(|(at, (key, put))| Some((key.clone(), kind(at, key, put)?)))
            .collect();
        let (group, rev) = (effect.group.clone(), effect.rev);
        (!entries.is_empty()).then_some(Self { group, rev, is_primary, entries })
    }
}
