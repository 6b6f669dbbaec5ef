//! A set of rows, small enough for every promise.

use serde::{Deserialize, Serialize};

/// One row of one table: the place of a segment's data.
pub type RowId = u16;

/// A set of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSet {
    words: Vec<u64>,
}

impl RowSet {
    /// Puts a row in.
    pub fn insert(&mut self, row: RowId) {
        let word = usize::from(row) / 64;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (row % 64);
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: RowId) {
        if let Some(word) = self.words.get_mut(usize::from(row) / 64) {
            *word &= !(1 << (row % 64));
        }
    }

    /// Whether a row is in.
    #[must_use]
    pub fn contains(&self, row: RowId) -> bool {
        self.words.get(usize::from(row) / 64).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// The rows that are in, in order.
    pub fn iter(&self) -> impl Iterator<Item = RowId> + use<'_> {
        (0u16..).zip(&self.words).flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = u16::try_from(left.trailing_zeros()).ok().filter(|bit| *bit < 64)?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }

    pub(crate) fn words(&self) -> usize {
        self.words.len()
    }

    /// How many rows are in.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_rows_keeps_what_was_put_in_and_forgets_what_was_taken_out() {
        let mut set = RowSet::default();
        assert!(set.is_empty() && !set.contains(300));
        for row in [0, 63, 64, 255] {
            set.insert(row);
        }
        set.remove(63);
        set.remove(900);
        assert_eq!(set.len(), 3);
        assert!(set.contains(64) && !set.contains(63));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 64, 255]);
    }
}
