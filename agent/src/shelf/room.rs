//! Where on the file there is room. Pure.

use std::collections::BTreeMap;

/// Records begin at multiples of so many bytes.
pub(super) const UNIT: u64 = 512;

/// Room that came free, and where the file ends.
#[derive(Debug)]
pub(super) struct Room {
    /// By its units.
    free: BTreeMap<u32, Vec<u32>>,
    /// The first unit that was never used.
    end: u32,
    /// The file may have so many.
    most: u32,
}

// === impl Room ===

impl Room {
    /// A file of which so many units are used.
    pub(super) fn new(end: u32) -> Self {
        Self { free: BTreeMap::new(), end, most: u32::MAX }
    }

    /// The file may have so many bytes.
    pub(super) fn bound(&mut self, bytes: u64) {
        self.most = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
    }

    /// So many units are used.
    pub(super) fn ends_at(&mut self, end: u32) {
        self.end = end;
    }

    pub(super) fn give_back(&mut self, unit: u32, units: u32) {
        self.free.entry(units).or_default().push(unit);
    }

    /// Room for so many units: none when the file may have no more.
    pub(super) fn take(&mut self, units: u32) -> Option<u32> {
        if let Some(unit) = self.free.get_mut(&units).and_then(Vec::pop) {
            return Some(unit);
        }
        let unit = self.end;
        self.end = unit.checked_add(units).filter(|end| *end <= self.most)?;
        Some(unit)
    }
}

/// How many units so many bytes take: an eighth more at most than they need, so that few sizes are
/// told apart.
pub(super) fn units(bytes: u64) -> u32 {
    let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX / 2).max(1);
    let step = (units.next_power_of_two() / 16).max(1);
    units.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_room_is_given_twice(sizes: Vec<(u16, bool)>) {
            let mut room = Room::new(1);
            let mut taken: Vec<(u32, u32)> = Vec::new();
            for (bytes, is_back) in sizes {
                let units = units(bytes.into());
                prop_assert!(u64::from(units) * UNIT >= u64::from(bytes));
                let unit = room.take(units).unwrap();
                let is_free = taken.iter().all(|(at, n)| unit >= at + n || unit + units <= *at);
                prop_assert!(is_free && unit >= 1);
                taken.push((unit, units));
                if is_back {
                    let (unit, units) = taken.remove(0);
                    room.give_back(unit, units);
                }
            }
        }
    }

    #[test]
    fn a_bounded_file_has_no_room_beyond_its_bound() {
        let mut room = Room::new(1);
        room.bound(4 * UNIT);
        assert_eq!((room.take(2), room.take(2), room.take(1)), (Some(1), None, Some(3)));
    }
}
