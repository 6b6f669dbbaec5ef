//! What a batch may not exceed, as in the embedded engine.

use muster_grid::batch::TooLarge;
use muster_grid::{MOST_KEY, MOST_OPS};

use crate::engine::map::{Batch, MapError};

/// A value at most.
const MOST_VALUE: usize = 8 << 20;
/// Bytes of a batch's keys and values together at most, as in the embedded engine.
const MOST_BATCH: usize = 32 << 20;

/// Says what of a batch is too large.
pub(in crate::engine::local) fn check_size(batch: &Batch) -> Result<(), MapError> {
    let too_large = |what: TooLarge| Err(MapError::TooLarge(what.to_string()));
    if batch.group.len() > MOST_KEY {
        return too_large(TooLarge::Name(batch.group.len()));
    }
    if batch.ops.len() > MOST_OPS {
        return too_large(TooLarge::Ops(batch.ops.len()));
    }
    let mut all = 0_usize;
    for op in &batch.ops {
        if op.key.len() > MOST_KEY {
            return too_large(TooLarge::Name(op.key.len()));
        }
        let size = op.put.as_ref().map_or(0, |put| put.value.len());
        if size > MOST_VALUE {
            return too_large(TooLarge::Value(size, MOST_VALUE));
        }
        all += op.key.len() + size;
    }
    if all > MOST_BATCH {
        return too_large(TooLarge::Batch(all, MOST_BATCH));
    }
    Ok(())
}
