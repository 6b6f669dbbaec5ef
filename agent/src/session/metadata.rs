//! What is known of a session beside its attributes: one small entry that every commit writes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cluster::codec::{CodecError, FORMAT};

/// What is known of a session. Times are by the wall clock of who wrote it, in ms since 1970.
///
/// Fields are only ever added, at the end: a release reads what it knows of a later one's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Metadata {
    /// When it was created.
    pub(crate) created_ms: u64,
    /// When its last request began.
    pub(crate) accessed_ms: u64,
    /// It ends when no request came for so long; never without.
    pub(crate) max_inactive: Option<Duration>,
    /// Chance, different in each commit. By it a commit whose answer was lost is found again, and
    /// whoever lost a checkout knows whether somebody else has committed since.
    pub(crate) commit: u64,
    /// Rises by one with every write. Of two copies of a session, one in the cluster and one in its
    /// store, the greater is the later.
    pub(crate) version: u64,
    /// Whether the store may have a copy: then the session's end must reach it.
    pub(crate) is_stored: bool,
    /// It has ended, and the store may not know it yet: nobody finds a session here, and nobody
    /// brings it back from there.
    pub(crate) has_ended: bool,
}

/// What the first release wrote, and what was added to it.
type First = (u64, u64, Option<Duration>, u64);
type Second = (u64, bool, bool);

// === impl Metadata ===

impl Metadata {
    pub(crate) fn new(now_ms: u64, max_inactive: Option<Duration>) -> Self {
        let (created_ms, accessed_ms) = (now_ms, now_ms);
        let (commit, version, is_stored, has_ended) = (0, 0, false, false);
        Self { created_ms, accessed_ms, max_inactive, commit, version, is_stored, has_ended }
    }

    pub(crate) fn created(&self) -> SystemTime {
        time(self.created_ms)
    }

    /// When it ends if no request comes; never without.
    pub(crate) fn ends(&self) -> Option<SystemTime> {
        self.accessed().checked_add(self.max_inactive?)
    }

    pub(crate) fn accessed(&self) -> SystemTime {
        time(self.accessed_ms)
    }

    /// When it ends if no request comes, in ms since 1970; never without.
    pub(crate) fn ends_ms(&self) -> Option<u64> {
        self.ends_from(self.accessed_ms)
    }

    /// When it ends if no request comes from then on.
    pub(crate) fn ends_from(&self, then_ms: u64) -> Option<u64> {
        let inactive = u64::try_from(self.max_inactive?.as_millis()).unwrap_or(u64::MAX);
        Some(then_ms.saturating_add(inactive))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { created_ms, accessed_ms, max_inactive, commit, version, .. } = self;
        let first: First = (*created_ms, *accessed_ms, *max_inactive, *commit);
        let second: Second = (*version, self.is_stored, self.has_ended);
        // Four numbers of at most 10 bytes, a duration of at most 16, two of one byte.
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        postcard::to_extend(&(first, second), bytes).expect("memory is its only limit")
    }

    /// What a later release has added at the end is passed over; what an earlier one did not know
    /// is as it was then.
    ///
    /// # Errors
    /// When it is of another format, or not this.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (format, bytes) = bytes.split_first().ok_or(CodecError::Empty)?;
        if *format != FORMAT {
            return Err(CodecError::Format(*format));
        }
        let unreadable = |error: postcard::Error| CodecError::Unreadable(error.to_string());
        let (first, rest) = postcard::take_from_bytes::<First>(bytes).map_err(unreadable)?;
        let (created_ms, accessed_ms, max_inactive, commit) = first;
        let second = match rest {
            [] => Second::default(),
            rest => postcard::take_from_bytes::<Second>(rest).map_err(unreadable)?.0,
        };
        let (version, is_stored, has_ended) = second;
        Ok(Self { created_ms, accessed_ms, max_inactive, commit, version, is_stored, has_ended })
    }
}

/// A time that was kept. One that no clock reaches is the epoch's.
pub(crate) fn time(since_ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(since_ms)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_release_adds_is_passed_over() {
        let metadata = Metadata::new(7, Some(Duration::from_secs(60)));
        let mut bytes = metadata.encode();
        bytes.extend([1, 2, 3]);
        assert_eq!(Metadata::decode(&bytes), Ok(metadata));
        bytes[0] = 2;
        assert_eq!(Metadata::decode(&bytes), Err(CodecError::Format(2)));
        assert_eq!(Metadata::decode(&[]), Err(CodecError::Empty));
        assert!(matches!(Metadata::decode(&[1, 7]), Err(CodecError::Unreadable(_))));
    }

    #[test]
    fn what_the_first_release_wrote_is_read_and_it_reads_what_is_written_now() {
        let first: First = (7, 8, Some(Duration::from_secs(60)), 9);
        let old = postcard::to_extend(&first, vec![FORMAT]).unwrap();
        let mut metadata = Metadata::decode(&old).unwrap();
        assert_eq!((metadata.commit, metadata.version, metadata.is_stored), (9, 0, false));
        (metadata.version, metadata.is_stored, metadata.has_ended) = (300, true, true);
        let bytes = metadata.encode();
        assert_eq!(Metadata::decode(&bytes), Ok(metadata));
        assert_eq!(postcard::take_from_bytes::<First>(&bytes[1..]).unwrap().0, first);
    }
}
