//! What is set once for all members of a cluster.

use serde::Serialize;

/// The settings of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Rises by one with every change.
    pub version: u64,
    /// What is set, by key.
    pub set: Vec<Setting>,
    /// What can be set.
    pub known: Vec<KnownSetting>,
    /// The last changes, the latest first.
    pub history: Vec<SettingChange>,
}

/// Something that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name.
    pub key: String,
    /// What it is set to.
    pub value: String,
    /// The version that brought it.
    pub version: u64,
    /// When, as RFC 3339 has it.
    pub at: String,
    /// The same in seconds before now.
    pub seconds_ago: u64,
    /// Who set it, as they said of themselves; may be empty.
    pub by: String,
    /// What counts where it is not set.
    pub default: Option<String>,
    /// Why the member that answers does not use the value.
    pub problem: Option<String>,
}

/// Something that can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KnownSetting {
    /// Its key, in which `*` stands for a name.
    pub key: String,
    /// Which values are possible, in words.
    pub bound: String,
    /// What counts where it is not set.
    pub default: Option<String>,
    /// What it is for.
    pub about: String,
}

/// A change of a setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SettingChange {
    /// The version that it brought.
    pub version: u64,
    /// When, as RFC 3339 has it.
    pub at: String,
    /// The same in seconds before now.
    pub seconds_ago: u64,
    /// Who, as they said of themselves; may be empty.
    pub by: String,
    /// Which setting.
    pub key: String,
    /// What it was before; `None` is its default.
    pub old: Option<String>,
    /// What it is since; `None` is its default.
    pub new: Option<String>,
}

// === impl Settings ===

impl Settings {
    /// What is set under a key.
    pub(crate) fn of(&self, key: &str) -> Option<&Setting> {
        self.set.iter().find(|setting| setting.key == key)
    }

    /// What is known of a key.
    pub(crate) fn known(&self, key: &str) -> Option<&KnownSetting> {
        self.known.iter().find(|setting| setting.is_of(key))
    }
}

// === impl KnownSetting ===

impl KnownSetting {
    fn is_of(&self, key: &str) -> bool {
        let mut names = key.split('.');
        let fits = |part: &str| names.next().is_some_and(|name| part == "*" || part == name);
        self.key.split('.').all(fits) && names.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_in_a_key_stands_for_one_name() {
        let known = KnownSetting { key: "a.*.quorum".to_owned(), ..KnownSetting::default() };
        for (key, is_of) in [("a.b.quorum", true), ("a.quorum", false), ("a.b.c.quorum", false)] {
            assert_eq!(known.is_of(key), is_of, "{key}");
        }
    }
}
