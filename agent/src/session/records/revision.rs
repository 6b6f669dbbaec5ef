//! Which write of a session a record was read from.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// Which write of a session a record was read from, under which number it writes itself, and what
/// it was when it was read. As text it travels within a record; it is good in this process only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision {
    pub(super) seen: u64,
    /// The write of this very copy: by it a copy may be saved twice.
    pub(super) own: NonZeroU64,
    pub(super) digest: u64,
}

/// A text that is no [`Revision`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no revision")]
pub struct BadRevision;

// === impl Revision ===

impl Revision {
    /// Whether what this commit wrote may be written over by the record.
    pub(super) fn is_of(self, commit: u64) -> bool {
        [self.seen, self.own.get()].contains(&commit)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}{:016x}", self.seen, self.own, self.digest)
    }
}

impl FromStr for Revision {
    type Err = BadRevision;

    fn from_str(text: &str) -> Result<Self, BadRevision> {
        let number = |range: std::ops::Range<usize>| {
            let digits = text.get(range)?;
            let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            u64::from_str_radix(digits, 16).ok().filter(|_| is_hex)
        };
        let read = || {
            let (seen, own, digest) = (number(0..16)?, number(16..32)?, number(32..48)?);
            (text.len() == 48).then_some(Revision { seen, own: NonZeroU64::new(own)?, digest })
        };
        read().ok_or(BadRevision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_read_as_it_is_written() {
        let own = NonZeroU64::new(7).unwrap();
        let revision = Revision { seen: 1, own, digest: u64::MAX };
        assert_eq!(revision.to_string().parse(), Ok(revision));
        for bad in ["", "1", &"0".repeat(48), &"+".repeat(48), &"é".repeat(24)] {
            assert_eq!(bad.parse::<Revision>(), Err(BadRevision), "{bad}");
        }
    }
}
