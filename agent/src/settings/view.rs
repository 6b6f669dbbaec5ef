//! The settings as the parts of a member read them: typed, and with their defaults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::document::Document;
use super::schema::{Refused, Schema, Value};

/// Settings at one moment, all or those of a prefix. A value that this member does not take, since
/// a later release has set it, counts as not set.
#[derive(Debug, Clone, Default)]
pub struct SettingsView {
    values: BTreeMap<String, Value>,
    schema: Arc<Schema>,
}

// === impl SettingsView ===

impl SettingsView {
    /// What is set with this prefix, and what cannot be used.
    pub(super) fn of(
        document: &Document,
        schema: &Arc<Schema>,
        prefix: &str,
    ) -> (Self, Vec<Refused>) {
        let (mut values, mut refused) = (BTreeMap::new(), Vec::new());
        let held = document.values.iter().filter(|(key, _)| key.starts_with(prefix));
        for (key, held) in held {
            match schema.read(key, &held.value) {
                Ok(value) => drop(values.insert(key.clone(), value)),
                Err(error) => refused.push(error),
            }
        }
        (Self { values, schema: schema.clone() }, refused)
    }

    /// What a setting is, or its default.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        if let Some(value) = self.values.get(key) {
            return Some(value.clone());
        }
        let setting = self.schema.find(key)?;
        setting.read(key, setting.default_text()?).ok()
    }

    /// A whole number, or its default; none where neither is.
    #[must_use]
    pub fn whole(&self, key: &str) -> Option<i64> {
        self.get(key)?.whole()
    }

    /// A time, or its default.
    #[must_use]
    pub fn time(&self, key: &str) -> Option<Duration> {
        self.get(key)?.time()
    }

    /// Whether something is on; no where nothing is known of it.
    #[must_use]
    pub fn is_on(&self, key: &str) -> bool {
        self.get(key).and_then(|value| value.switch()).unwrap_or(false)
    }

    /// A text or word, or its default.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<String> {
        self.get(key)?.text().map(str::to_owned)
    }

    /// What is set, without defaults, by key.
    pub fn set(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.values == other.values
    }
}
