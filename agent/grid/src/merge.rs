//! Two values of one key, from two sides of a split: which one stays is the cache's policy. Keys
//! that only one side has are kept, so a removal on one side may come back.

use crate::batch::Put;
use crate::segment::Bytes;
use crate::store::Entry;

/// What a custom policy decides: the value that stays, of the side that stays and of the other.
pub type Resolve = fn(key: &[u8], ours: &Bytes, theirs: &Bytes) -> Bytes;

/// How a cache merges.
#[derive(Clone, Copy, Debug, Default)]
pub enum Policy {
    /// The side that stays: the larger one, then that with the older coordinator.
    #[default]
    PreferMajor,
    /// The later one, by the wall clocks of those who wrote.
    Latest,
    /// A function of both. It may be asked again with a value that it made before, as a group is given
    /// again when nobody knows whether it arrived: let it be one that bears that, such as the greater
    /// of two or the union.
    Custom(Resolve),
}

impl Policy {
    /// The value to be written, if the present one does not stay.
    #[must_use]
    pub fn merge(self, key: &[u8], ours: Option<&Entry>, theirs: &Put) -> Option<Put> {
        let Some(ours) = ours else { return Some(theirs.clone()) };
        if ours.value == theirs.value {
            return None;
        }
        match self {
            Self::PreferMajor => None,
            Self::Latest => (theirs.stamp > ours.stamp).then(|| theirs.clone()),
            Self::Custom(resolve) => {
                let value = resolve(key, &ours.value, &theirs.value);
                let stamp = ours.stamp.max(theirs.stamp);
                (value != ours.value).then(|| Put { value, stamp, ..ours.put() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Rev;
    use crate::segment::Place;
    use muster_cluster::Moment;

    fn put(value: &[u8], stamp: u64) -> Put {
        Put { stamp, ..Put::new(value) }
    }

    #[test]
    fn each_policy_keeps_the_value_it_names() {
        let place = Place { cache: 1, hash: 2 };
        let ours = Entry::new(place, b"k", &put(b"a", 5), Rev::default(), Moment::ZERO);
        let theirs = put(b"b", 6);
        assert_eq!(Policy::PreferMajor.merge(b"k", Some(&ours), &theirs), None);
        assert_eq!(Policy::PreferMajor.merge(b"k", None, &theirs), Some(theirs.clone()));
        assert_eq!(Policy::Latest.merge(b"k", Some(&ours), &theirs), Some(theirs.clone()));
        assert_eq!(Policy::Latest.merge(b"k", Some(&ours), &put(b"b", 4)), None);
        let both = Policy::Custom(|_, a, b| [&a[..], &b[..]].concat().into());
        assert_eq!(&*both.merge(b"k", Some(&ours), &theirs).unwrap().value, b"ab");
    }
}
