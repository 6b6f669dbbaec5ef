//! The settings as the management tells them.

use muster_protocol::cluster::settings::{
    KnownSetting, SettingReport, SettingsHistory, SettingsReport,
};

use super::Settings;
use super::document::Document;
use super::schema::Schema;

// === impl Settings ===

impl Settings {
    /// What is set, and what can be.
    #[must_use]
    pub fn report(&self) -> SettingsReport {
        let (document, schema) = self.at_once();
        let settings = document.values.keys().map(|key| report(&document, &schema, key));
        let known = schema.iter().map(|setting| KnownSetting {
            key: setting.pattern().to_owned(),
            bound: setting.bound(),
            default: setting.default_text().map(str::to_owned),
            about: setting.about_text().to_owned(),
        });
        let (settings, known) = (settings.collect(), known.collect());
        SettingsReport { version: document.version, settings, known }
    }

    /// One of them; none where it is not set and this member does not know it.
    #[must_use]
    pub fn report_of(&self, key: &str) -> Option<SettingReport> {
        let (document, schema) = self.at_once();
        let is_there = document.values.contains_key(key) || schema.find(key).is_some();
        is_there.then(|| report(&document, &schema, key))
    }

    /// The last changes, the latest first.
    #[must_use]
    pub fn history(&self) -> SettingsHistory {
        let document = self.at_once().0;
        let changes = document.history.iter().map(|change| change.told.clone()).collect();
        SettingsHistory { version: document.version, changes }
    }

    fn at_once(&self) -> (std::sync::Arc<Document>, std::sync::Arc<Schema>) {
        let state = self.inner.state.lock();
        (state.document.clone(), state.schema.clone())
    }
}

fn report(document: &Document, schema: &Schema, key: &str) -> SettingReport {
    let (held, setting) = (document.values.get(key), schema.find(key));
    let problem = held.and_then(|held| schema.read(key, &held.value).err());
    SettingReport {
        key: key.to_owned(),
        value: held.map(|held| held.value.clone()),
        version: held.map(|held| held.version),
        at_ms: held.map(|held| held.at_ms),
        by: held.map(|held| held.by.clone()),
        default: setting.and_then(|setting| setting.default_text()).map(str::to_owned),
        bound: setting.map(super::Setting::bound),
        problem: problem.map(|problem| problem.to_string()),
    }
}
