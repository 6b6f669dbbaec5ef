//! How much a row holds of each cache, kept along with every change.

/// How much there is of one cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Groups, those that only remember a token among them.
    pub groups: u64,
    /// Of those, groups whose values are on the shelf.
    pub on_shelf: u64,
    /// Entries.
    pub entries: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

impl Count {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            groups: self.groups + other.groups,
            on_shelf: self.on_shelf + other.on_shelf,
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
        }
    }

    pub(super) fn add(&mut self, size: u64) {
        self.entries += 1;
        self.bytes += size;
    }

    pub(super) fn subtract(&mut self, size: u64) {
        self.entries -= 1;
        self.bytes -= size;
    }
}

/// Those of a row. A row has few caches.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    all: Vec<(u32, Count)>,
}

impl Counts {
    pub(super) fn of(&self, cache: u32) -> Count {
        self.all.iter().find(|(of, _)| *of == cache).map_or(Count::default(), |(_, count)| *count)
    }

    pub(super) fn of_mut(&mut self, cache: u32) -> &mut Count {
        let at = self.all.iter().position(|(of, _)| *of == cache).unwrap_or_else(|| {
            self.all.push((cache, Count::default()));
            self.all.len() - 1
        });
        &mut self.all[at].1
    }
}
