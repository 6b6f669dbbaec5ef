//! A component as bytes: the format, what is known of it, itself. Pure.

use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Bytes, Expect, Op, Put};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::ComponentError;
use crate::cluster::{CodecError, codec};

/// The key of the one entry.
const KEY: &[u8] = b"b";

/// What is known of a component beside itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Header {
    /// Chance, different in each commit: by it a commit whose answer was lost is found again.
    commit: u64,
}

/// A component out of its group; none where the group is empty.
pub(super) fn read<T: DeserializeOwned>(entries: &Entries) -> Result<Option<T>, CodecError> {
    let Some((bytes, _)) = entries.entries.get(KEY) else { return Ok(None) };
    let (_, value) = header(bytes)?;
    match postcard::take_from_bytes(value) {
        Ok((value, [])) => Ok(Some(value)),
        Ok((_, rest)) => Err(unreadable(format!("{} bytes are left over", rest.len()))),
        Err(error) => Err(unreadable(error)),
    }
}

fn header(bytes: &[u8]) -> Result<(Header, &[u8]), CodecError> {
    let (format, bytes) = bytes.split_first().ok_or(CodecError::Empty)?;
    if *format != codec::FORMAT {
        return Err(CodecError::Format(*format));
    }
    postcard::take_from_bytes(bytes).map_err(unreadable)
}

fn unreadable(why: impl ToString) -> CodecError {
    CodecError::Unreadable(why.to_string())
}

/// The operation that writes a component.
pub(super) fn write<T: Serialize>(
    commit: u64,
    value: &T,
    expect: Expect,
    idle: Option<Duration>,
    most: usize,
) -> Result<Op, ComponentError> {
    let written = postcard::to_extend(value, codec::encode(&Header { commit })?);
    let written = written.map_err(|error| CodecError::Unwritable(error.to_string()))?;
    if written.len() > most {
        return Err(ComponentError::TooLarge { bytes: written.len(), most });
    }
    // Written with each call, so that its time is how long it is idle.
    let put = Put { ttl: idle, ..Put::of(written.into()) };
    Ok(Op { key: KEY.into(), expect, put: Some(put) })
}

/// The operation that removes one.
pub(super) fn remove() -> Op {
    Op { key: Bytes::from(KEY), expect: Expect::Any, put: None }
}

/// Whether these are the entries that a commit wrote.
pub(super) fn is_of(entries: &Entries, commit: u64) -> bool {
    let entry = entries.entries.get(KEY);
    entry.is_some_and(|(bytes, _)| header(bytes).is_ok_and(|(header, _)| header.commit == commit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(op: Op) -> Entries {
        let mut entries = Entries::default();
        entries.entries.insert(op.key, (op.put.unwrap().value, Default::default()));
        entries
    }

    #[test]
    fn a_component_is_read_as_it_was_written_and_known_by_its_commit() {
        let written = entries(write(7, &"cart", Expect::Any, None, 100).unwrap());
        assert_eq!(read(&written), Ok(Some("cart".to_owned())));
        assert!(is_of(&written, 7) && !is_of(&written, 8));
        assert_eq!(read::<String>(&Entries::default()), Ok(None));
        assert!(!is_of(&Entries::default(), 7));
        assert!(matches!(read::<u8>(&written), Err(CodecError::Unreadable(_))));
        let foreign = entries(Op { put: Some(Put::new(&[9, 1])), ..remove() });
        assert_eq!(read::<String>(&foreign), Err(CodecError::Format(9)));
    }

    #[test]
    fn what_is_too_large_is_not_written() {
        let too_large = ComponentError::TooLarge { bytes: 7, most: 6 };
        assert_eq!(write(7, &"cart", Expect::Any, None, 6), Err(too_large));
    }
}
