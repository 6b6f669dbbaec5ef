//! The settings of a cluster as one value: what is set, which version that is, and the last changes.
//! Every change makes the next version; of two documents the one of the greater version counts,
//! wherever they meet: in a member, on disk, or when two sides of a split do.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};

use muster_protocol::cluster::settings::SettingChange;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::schema::Refused;

/// Settings that may be set at once.
pub const MOST_SETTINGS: usize = 500;
/// Changes that are remembered.
pub const MOST_HISTORY: usize = 100;
/// Bytes that somebody may say of themselves.
pub const MOST_BY: usize = 64;

/// Bytes of a document at most: more than the bounds above allow.
pub(super) const MOST_DOCUMENT: u64 = 4 << 20;

/// What is set, and how it came to be so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) version: u64,
    pub(super) values: BTreeMap<String, Held>,
    /// The latest first.
    pub(super) history: VecDeque<Change>,
}

/// A value that is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) value: String,
    /// The version that brought it.
    pub(super) version: u64,
    pub(super) at_ms: u64,
    pub(super) by: String,
}

/// A change, which is one and no other by its `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Change {
    pub(super) id: u64,
    #[serde(flatten)]
    pub(super) told: SettingChange,
}

/// What is to be changed, by whom, and when that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) key: String,
    /// None for the default.
    pub(super) value: Option<String>,
    pub(super) by: String,
    pub(super) if_version: Option<u64>,
    pub(super) at_ms: u64,
    /// Of chance.
    pub(super) id: u64,
}

/// Bytes that are no document, or a later release's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the settings cannot be read: {0}")]
pub struct Unreadable(String);

// === impl Document ===

impl Document {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_slice(bytes).map_err(|error| Unreadable(error.to_string()))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names and numbers can be written as JSON")
    }

    /// The next document; none where all is so already.
    pub(super) fn changed(&self, wish: &Wish) -> Result<Option<Document>, Refused> {
        if let Some(asked) = wish.if_version
            && asked != self.version
        {
            return Err(Refused::Version { asked, present: self.version });
        }
        let old = self.values.get(&wish.key).map(|held| held.value.clone());
        if wish.value.is_none() && old.is_none() {
            return Err(Refused::NotSet(wish.key.clone()));
        }
        if wish.value == old {
            return Ok(None);
        }
        if old.is_none() && self.values.len() >= MOST_SETTINGS {
            return Err(Refused::Full(MOST_SETTINGS));
        }
        let mut next = self.clone();
        next.version += 1;
        next.apply(wish, old);
        Ok(Some(next))
    }

    fn apply(&mut self, wish: &Wish, old: Option<String>) {
        let (key, version, at_ms) = (wish.key.clone(), self.version, wish.at_ms);
        let by = shortened(&wish.by);
        match &wish.value {
            Some(value) => {
                let held = Held { value: value.clone(), version, at_ms, by: by.clone() };
                self.values.insert(key.clone(), held);
            }
            None => drop(self.values.remove(&key)),
        }
        let told = SettingChange { version, at_ms, by, key, old, new: wish.value.clone() };
        self.history.push_front(Change { id: wish.id, told });
        self.history.truncate(MOST_HISTORY);
    }

    /// Whether a change is among those that led here, as far as they are remembered.
    pub(super) fn has(&self, id: u64) -> bool {
        self.history.iter().any(|change| change.id == id)
    }

    /// Which of two counts: the greater one.
    pub(super) fn order(&self, other: &Document) -> Ordering {
        let last = |document: &Document| {
            document.history.front().map(|change| (change.told.at_ms, change.id))
        };
        self.version.cmp(&other.version).then_with(|| last(self).cmp(&last(other)))
    }

    /// Changes of another document that are none of this one's: what gives way to it. The latest
    /// first.
    pub(super) fn overrides<'o>(
        &self,
        other: &'o Document,
    ) -> impl Iterator<Item = &'o SettingChange> {
        // Older ones are forgotten here, which says nothing.
        let oldest = self.history.back().map_or(0, |change| change.told.version);
        let mine: Vec<u64> = self.history.iter().map(|change| change.id).collect();
        let theirs = other.history.iter();
        let gives_way =
            move |change: &&Change| change.told.version >= oldest && !mine.contains(&change.id);
        theirs.filter(gives_way).map(|change| &change.told)
    }
}

fn shortened(by: &str) -> String {
    let is_shown = |char: &char| !char.is_control();
    let mut by: String = by.chars().filter(is_shown).collect();
    while by.len() > MOST_BY {
        by.pop();
    }
    by
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(id: u64, key: &str, value: Option<&str>) -> Wish {
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        Wish { key, value, by: "ann".to_owned(), if_version: None, at_ms: 1000 + id, id }
    }

    fn after(document: &Document, wish: &Wish) -> Document {
        document.changed(wish).unwrap().unwrap_or_else(|| document.clone())
    }

    #[test]
    fn a_change_makes_the_next_version_and_says_who_and_what() {
        let set = after(&Document::default(), &wish(1, "a.b", Some("3")));
        let set = after(&set, &wish(2, "a.b", Some("4")));
        let unset = after(&set, &wish(3, "a.b", None));
        assert_eq!((unset.version, unset.values.len()), (3, 0));
        let told: Vec<_> = unset.history.iter().map(|change| change.told.clone()).collect();
        let told: Vec<_> =
            told.iter().map(|t| (t.version, t.old.as_deref(), t.new.as_deref())).collect();
        assert_eq!(told, [(3, Some("4"), None), (2, Some("3"), Some("4")), (1, None, Some("3"))]);
        assert_eq!((unset.has(2), unset.has(4)), (true, false));
        assert_eq!(Document::parse(&unset.bytes()), Ok(unset));
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let set = after(&Document::default(), &wish(1, "a.b", Some("3")));
        assert_eq!(set.changed(&wish(2, "a.b", Some("3"))), Ok(None));
        let refused = set.changed(&wish(2, "a.c", None));
        assert_eq!(refused, Err(Refused::NotSet("a.c".to_owned())));
    }

    #[test]
    fn who_saw_another_version_changes_nothing() {
        let set = after(&Document::default(), &wish(1, "a.b", Some("3")));
        let late = Wish { if_version: Some(0), ..wish(2, "a.b", Some("4")) };
        assert_eq!(set.changed(&late), Err(Refused::Version { asked: 0, present: 1 }));
        let in_time = Wish { if_version: Some(1), ..late };
        assert_eq!(after(&set, &in_time).version, 2);
    }

    #[test]
    fn settings_history_and_names_are_bounded() {
        let mut document = Document::default();
        for number in 0..MOST_SETTINGS as u64 {
            document = after(&document, &wish(number, &format!("a.b{number}"), Some("3")));
        }
        assert_eq!(document.history.len(), MOST_HISTORY);
        let full = document.changed(&wish(9999, "a.more", Some("3")));
        assert_eq!(full, Err(Refused::Full(MOST_SETTINGS)));
        let loud = Wish { by: "\u{7}é".repeat(100), ..wish(1, "a.b1", Some("4")) };
        let by = &after(&document, &loud).values["a.b1"].by;
        assert_eq!((by.len(), by.contains('\u{7}')), (MOST_BY, false));
    }

    #[test]
    fn what_gives_way_to_the_greater_side_is_known() {
        let common = after(&Document::default(), &wish(1, "a.b", Some("3")));
        let one = after(&common, &wish(2, "a.c", Some("1")));
        let other = after(&common, &wish(3, "a.d", Some("2")));
        let other = after(&other, &wish(4, "a.e", Some("2")));
        assert_eq!(one.order(&other), Ordering::Less);
        let lost: Vec<_> = other.overrides(&one).map(|change| change.key.as_str()).collect();
        assert_eq!(lost, ["a.c"]);
        assert_eq!(other.overrides(&common).count(), 0);
    }

    fn documents() -> impl Strategy<Value = Document> {
        let change = (0_u64..1000, 0_u8..4, proptest::option::of(0_u8..3));
        proptest::collection::vec(change, 0..12).prop_map(|changes| {
            changes.into_iter().fold(Document::default(), |document, (id, key, value)| {
                let value = value.map(|value| value.to_string());
                let wish = wish(id, &format!("a.k{key}"), value.as_deref());
                document.changed(&wish).ok().flatten().unwrap_or(document)
            })
        })
    }

    proptest! {
        #[test]
        fn whichever_way_documents_meet_the_same_one_is_left(
            mut all in proptest::collection::vec(documents(), 1..5),
        ) {
            let greatest = |all: &[Document]| {
                all.iter().cloned().max_by(Document::order).map(|document| document.version)
            };
            let first = greatest(&all);
            all.reverse();
            prop_assert_eq!(first, greatest(&all));
            prop_assert_eq!(first, all.iter().map(|document| document.version).max());
        }

        #[test]
        fn any_bytes_are_a_document_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(document) = Document::parse(&bytes) {
                prop_assert_eq!(Document::parse(&document.bytes()), Ok(document));
            }
        }
    }
}
