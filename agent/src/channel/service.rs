//! Which service a frame belongs to. Numbers are part of the wire: they never change their meaning.

/// The cluster's core: `muster_grid::Wire`.
pub(crate) const CORE: u16 = 0;
/// The failure detector.
pub(crate) const FAILURE: u16 = 1;
/// Commands to members.
pub(crate) const DISPATCH: u16 = 2;
/// Messages to listeners.
pub(crate) const TOPICS: u16 = 3;
/// The link's own words, see `channel::control`.
pub(crate) const LINK: u16 = u16::MAX;
/// Handlers can be set for services below this one.
pub(crate) const MOST: u16 = 16;
