//! What stands on the file of a shelf: its own head, and each record with a head that says whose it is
//! and whether it is whole. Pure.
//!
//! | bytes of a record's head | |
//! |---|---|
//! | 4 | `MREC`, or `MFRE` where it was removed |
//! | 4 | the record's length |
//! | 20 | its key |
//! | 8 | its number: of two of one key the higher one counts |
//! | 8 | when it was put, in ms of the wall clock since 1970 |
//! | 8 | the checksum of the record |
//! | 8 | the checksum of the head up to here |
//!
//! Checksums are seeded with a number of the file's own: what somebody has put into a session is
//! never taken for a record.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a record's head.
pub(super) const HEAD: usize = 60;
/// Bytes of the file's own head.
pub(super) const FILE_HEAD: usize = 32;

const FILE: &[u8; 16] = b"muster shelf 1\n\0";
const RECORD: &[u8; 4] = b"MREC";
const FREE: &[u8; 4] = b"MFRE";

/// The name of a record.
pub(super) type Key = [u8; 20];

/// A record's head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Whether it was removed.
    pub(super) is_free: bool,
    pub(super) bytes: u32,
    pub(super) key: Key,
    pub(super) number: u64,
    pub(super) put_ms: u64,
    pub(super) sum: u64,
}

/// The head of a file, with its seed.
pub(super) fn file_head(seed: u64) -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..16].copy_from_slice(FILE);
    head[16..24].copy_from_slice(&seed.to_le_bytes());
    let sum = xxh3_64_with_seed(&head[..24], 0);
    head[24..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The seed of a file; none where it is no shelf's.
pub(super) fn seed(head: &[u8]) -> Option<u64> {
    let seed = u64::from_le_bytes(*head.get(16..24)?.first_chunk()?);
    (head.get(..FILE_HEAD)? == file_head(seed)).then_some(seed)
}

/// Whether a record once began there.
pub(super) fn begins(head: &[u8; HEAD]) -> bool {
    head.starts_with(RECORD)
}

// === impl Head ===

impl Head {
    pub(super) fn of(key: Key, record: &[u8], (number, put_ms): (u64, u64), seed: u64) -> Self {
        let bytes = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let sum = xxh3_64_with_seed(record, seed);
        Self { is_free: false, bytes, key, number, put_ms, sum }
    }

    /// Where a record of so many bytes was removed.
    pub(super) fn free(key: Key, bytes: u32) -> Self {
        Self { is_free: true, bytes, key, number: 0, put_ms: 0, sum: 0 }
    }

    pub(super) fn encode(&self, seed: u64) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..4].copy_from_slice(if self.is_free { FREE } else { RECORD });
        head[4..8].copy_from_slice(&self.bytes.to_le_bytes());
        head[8..28].copy_from_slice(&self.key);
        head[28..36].copy_from_slice(&self.number.to_le_bytes());
        head[36..44].copy_from_slice(&self.put_ms.to_le_bytes());
        head[44..52].copy_from_slice(&self.sum.to_le_bytes());
        let sum = xxh3_64_with_seed(&head[..52], seed);
        head[52..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    /// None where no record begins.
    pub(super) fn decode(head: &[u8; HEAD], seed: u64) -> Option<Self> {
        let is_free = match head.first_chunk()? {
            RECORD => false,
            FREE => true,
            _ => return None,
        };
        let number = |at: usize| Some(u64::from_le_bytes(*head.get(at..)?.first_chunk()?));
        if number(52)? != xxh3_64_with_seed(&head[..52], seed) {
            return None;
        }
        Some(Self {
            is_free,
            bytes: u32::from_le_bytes(*head.get(4..)?.first_chunk()?),
            key: *head.get(8..)?.first_chunk()?,
            number: number(28)?,
            put_ms: number(36)?,
            sum: number(44)?,
        })
    }

    /// Whether this is what was put.
    pub(super) fn fits(&self, record: &[u8], seed: u64) -> bool {
        self.bytes as usize == record.len() && xxh3_64_with_seed(record, seed) == self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_is_read_as_it_was_written_and_under_no_other_seed(
            key: Key, record: Vec<u8>, number: u64, put_ms: u64, is_free: bool, seed: u64,
        ) {
            let head = Head { is_free, ..Head::of(key, &record, (number, put_ms), seed) };
            prop_assert_eq!(Head::decode(&head.encode(seed), seed), Some(head));
            prop_assert_eq!(Head::decode(&head.encode(seed), seed ^ 1), None);
            prop_assert!(head.fits(&record, seed) && !head.fits(b"another", seed));
        }

        #[test]
        fn a_head_with_any_other_bit_is_none(record: Vec<u8>, bit in 0..HEAD * 8) {
            let mut head = Head::of([7; 20], &record, (1, 2), 3).encode(3);
            head[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Head::decode(&head, 3), None);
        }

        #[test]
        fn any_bytes_are_a_head_or_none(bytes: Vec<u8>) {
            prop_assert_eq!(seed(&bytes), None);
            if let Some(head) = bytes.first_chunk() {
                prop_assert_eq!(Head::decode(head, 3), None);
            }
        }
    }

    #[test]
    fn a_file_says_its_seed() {
        assert_eq!(seed(&file_head(77)), Some(77));
        let mut torn = file_head(77);
        torn[20] ^= 1;
        assert_eq!(seed(&torn), None);
    }
}
