//! All entries of a cache, page by page.

use std::collections::VecDeque;
use std::marker::PhantomData;

use muster_grid::{Bytes, Rev};

use super::entry::Entry;
use super::error::CacheError;
use super::{Key, MapHandle, Value, key};
use crate::engine::map::Cursor;

/// All entries, page by page: one page is in memory.
#[derive(Debug)]
pub struct Entries<K, V> {
    map: MapHandle,
    next: Option<Cursor>,
    page: VecDeque<(Bytes, Bytes, (Bytes, Rev))>,
    types: PhantomData<fn() -> (K, V)>,
}

/// An entry with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<K, V> {
    /// The key group; none for a key outside of one.
    pub group: Option<String>,
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
    /// Its revision.
    pub rev: Rev,
}

// === impl Entries ===

impl<K: Key, V: Value> Entries<K, V> {
    pub(super) fn new(map: MapHandle) -> Self {
        let next = Some(Cursor::default());
        Self { map, next, page: VecDeque::new(), types: PhantomData }
    }

    /// The next entry; none after the last.
    ///
    /// # Errors
    /// See [`CacheError`]. A key or value that cannot be read is told once, and the rest goes on.
    pub async fn next(&mut self) -> Option<Result<Found<K, V>, CacheError>> {
        while self.page.is_empty() {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
        let (group, key, value) = self.page.pop_front()?;
        Some(read(&group, &key, &value))
    }

    /// All that are left.
    ///
    /// # Errors
    /// The first one of [`Entries::next`].
    pub async fn all(mut self) -> Result<Vec<Found<K, V>>, CacheError> {
        let mut all = Vec::new();
        while let Some(found) = self.next().await {
            all.push(found?);
        }
        Ok(all)
    }

    /// Counts a page and drops it. False: there was none.
    pub(super) async fn skip_page(&mut self, len: &mut usize) -> Result<bool, CacheError> {
        let turned = self.turn().await?;
        *len += self.page.len();
        self.page.clear();
        Ok(turned)
    }

    async fn turn(&mut self) -> Result<bool, CacheError> {
        let Some(cursor) = self.next.take() else { return Ok(false) };
        let page = self.map.0.scan(cursor).await?;
        self.next = page.next;
        for (group, entries) in page.groups {
            let with = |(key, value)| (group.clone(), key, value);
            self.page.extend(entries.entries.into_iter().map(with));
        }
        Ok(true)
    }
}

fn read<K: Key, V: Value>(
    group: &[u8],
    key: &[u8],
    value: &(Bytes, Rev),
) -> Result<Found<K, V>, CacheError> {
    let (group, key) = key::read(group, key)?;
    let Entry { value, rev } = Entry::read(value)?;
    Ok(Found { group, key, value, rev })
}
