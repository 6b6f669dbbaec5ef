//! Messages, and what stands on disk, as bytes: a version first, then postcard. Whatever is decoded
//! is within its bounds: no message from a socket makes later code panic, and none makes it
//! allocate more than in proportion to its frame.
//!
//! Shapes only grow: see docs/decisions/0008-wire-versions.md.

use crate::core::Wire;
use crate::segment::hash;
use muster_cluster::Durable;
use muster_cluster::bounds::{self, OutOfBounds};
use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The latest version that this release writes and reads.
pub const VERSION: u8 = 1;
/// The versions that this release writes and reads, the least and the latest: its own, and that of
/// the release before.
pub const VERSIONS: (u8, u8) = (1, VERSION);
/// The version of what stands on disk.
pub const DISK_VERSION: u8 = 1;
/// Bytes of the checksum of what stands on disk.
const SUM: usize = 8;

/// Why bytes are no message, or not what stood on disk.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BadWire {
    /// Nothing at all.
    #[error("there is nothing to read")]
    Empty,
    /// Another version.
    #[error("version is {0}: this release reads up to {1}")]
    Version(u8, u8),
    /// Not a message of this version, or one of a kind that a later release has added.
    #[error("not a message of this version: {0}")]
    Malformed(postcard::Error),
    /// More than a message.
    #[error("{0} bytes are left over")]
    LeftOver(usize),
    /// A field beyond its bounds.
    #[error(transparent)]
    OutOfBounds(#[from] OutOfBounds),
    /// A file that was torn or damaged.
    #[error("the checksum does not fit: the file is torn or damaged")]
    Checksum,
}

/// Appends a message to a buffer, in the latest version.
///
/// # Errors
/// None in practice: memory is the only limit. Nothing is appended then.
pub fn encode(wire: &Wire, into: &mut Vec<u8>) -> Result<(), BadWire> {
    encode_as(VERSION, wire, into)
}

/// Appends a message to a buffer as a member of this version reads it. A shape that changes in
/// place gets an arm of its own here.
///
/// # Errors
/// [`BadWire::Version`] for a version that this release does not write. Nothing is appended then.
pub fn encode_as(version: u8, wire: &Wire, into: &mut Vec<u8>) -> Result<(), BadWire> {
    match version {
        1 => write(1, wire, into),
        other => Err(BadWire::Version(other, VERSION)),
    }
}

/// Reads a message that fills the whole frame.
///
/// # Errors
/// Says what is wrong with it. Of a kind that is not known here nothing can be said but that:
/// whoever reads it skips the frame and goes on.
pub fn decode(frame: &[u8]) -> Result<Wire, BadWire> {
    let wire = read(VERSION, frame)?;
    crate::bounds::wire(&wire)?;
    Ok(wire)
}

/// What must stand on disk, with a checksum at its end.
///
/// # Errors
/// None in practice: memory is the only limit.
pub fn encode_durable(durable: &Durable) -> Result<Vec<u8>, BadWire> {
    let mut bytes = Vec::new();
    write(DISK_VERSION, durable, &mut bytes)?;
    let sum = hash(&[&bytes]);
    bytes.extend(sum.to_le_bytes());
    Ok(bytes)
}

/// Reads what stood on disk.
///
/// # Errors
/// Says whether it is torn, of a later release, or out of bounds.
pub fn decode_durable(bytes: &[u8]) -> Result<Durable, BadWire> {
    let Some((bytes, sum)) = bytes.split_last_chunk::<SUM>() else { return Err(BadWire::Empty) };
    if hash(&[bytes]) != u64::from_le_bytes(*sum) {
        return Err(BadWire::Checksum);
    }
    let durable: Durable = read(DISK_VERSION, bytes)?;
    bounds::durable(&durable)?;
    Ok(durable)
}

fn write(version: u8, told: &impl Serialize, into: &mut Vec<u8>) -> Result<(), BadWire> {
    let before = into.len();
    into.push(version);
    postcard::serialize_with_flavor(told, Tail(into)).map_err(|error| {
        into.truncate(before);
        BadWire::Malformed(error)
    })
}

/// Writes go to the end of a buffer.
pub(crate) struct Tail<'a>(pub(crate) &'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

fn read<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, BadWire> {
    let (found, rest) = bytes.split_first().ok_or(BadWire::Empty)?;
    if *found != version {
        return Err(BadWire::Version(*found, version));
    }
    let (told, left) = postcard::take_from_bytes(rest).map_err(BadWire::Malformed)?;
    if !left.is_empty() {
        return Err(BadWire::LeftOver(left.len()));
    }
    Ok(told)
}
