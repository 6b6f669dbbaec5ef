//! Which service a frame belongs to. Numbers are part of the wire: they never change their meaning.

/// The cluster's core: `muster_grid::Wire`.
pub(crate) const CORE: u16 = 0;
/// The failure detector.
pub(crate) const FAILURE: u16 = 1;
/// Commands to members.
pub(crate) const DISPATCH: u16 = 2;
/// Messages to listeners.
pub(crate) const TOPICS: u16 = 3;
/// Queues: `muster_grid::queue::Frame`.
pub(crate) const QUEUES: u16 = 4;
/// The link's own words; the frame's id says which.
pub(crate) const LINK: u16 = u16::MAX;
/// This process lives on as another life: its incarnation, 8 bytes.
pub(crate) const LINK_RENEWED: u64 = 0;
/// Somebody else who is linked with me: its node id, 16 bytes, then where it listens.
pub(crate) const LINK_PEER: u64 = 1;
/// Handlers can be set for services below this one.
pub(crate) const MOST: u16 = 16;
