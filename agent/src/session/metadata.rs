//! What is known of a session beside its attributes: one small entry that every commit writes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::cluster::codec::{CodecError, FORMAT};

/// What is known of a session. Times are by the wall clock of who wrote it, in ms since 1970.
///
/// Fields are only ever added, at the end: a release reads what it knows of a later one's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
}

// === impl Metadata ===

impl Metadata {
    pub(crate) fn new(now_ms: u64, max_inactive: Option<Duration>) -> Self {
        Self { created_ms: now_ms, accessed_ms: now_ms, max_inactive, commit: 0 }
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

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Three numbers of at most 10 bytes, a duration of at most 16.
        let mut bytes = Vec::with_capacity(48);
        bytes.push(FORMAT);
        postcard::to_extend(self, bytes).expect("memory is its only limit")
    }

    /// What a later release has added at the end is passed over.
    ///
    /// # Errors
    /// When it is of another format, or not this.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (format, bytes) = bytes.split_first().ok_or(CodecError::Empty)?;
        if *format != FORMAT {
            return Err(CodecError::Format(*format));
        }
        let read = postcard::take_from_bytes(bytes);
        read.map(|(read, _)| read).map_err(|error| CodecError::Unreadable(error.to_string()))
    }
}

/// A time that was kept. One that no clock reaches is the epoch's.
pub(crate) fn time(since_ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(since_ms)).unwrap_or(UNIX_EPOCH)
}

/// The wall clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
}
