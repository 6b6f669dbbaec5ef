//! What the management of a member answers on the cluster's settings, and what it can be asked to
//! change. Any member answers for all: the settings are kept by the cluster itself.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/cluster/settings` | [`SettingsReport`] |
//! | `GET /v1/cluster/settings/{key}` | [`SettingReport`] |
//! | `GET /v1/cluster/settings/history` | [`SettingsHistory`] |
//! | `POST /v1/cluster/settings/{key}` with [`SettingWish`] | [`Done`](super::report::Done) |
//! | `POST /v1/cluster/settings/{key}/unset` with [`UnsetWish`] | [`Done`](super::report::Done) |

use serde::{Deserialize, Serialize};

/// All settings of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SettingsReport {
    /// Rises by one with every change.
    pub version: u64,
    /// What is set, by key.
    pub settings: Vec<SettingReport>,
    /// What can be set, as the member that answers knows it.
    pub known: Vec<KnownSetting>,
}

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SettingReport {
    /// Its name.
    pub key: String,
    /// What it is set to; none where it is not set, and the default counts.
    pub value: Option<String>,
    /// The version of the settings that brought this value.
    pub version: Option<u64>,
    /// When it was set, in milliseconds since 1970.
    pub at_ms: Option<u64>,
    /// Who set it, as they said of themselves.
    pub by: Option<String>,
    /// What counts where it is not set.
    pub default: Option<String>,
    /// Which values are possible; none where the member that answers does not know the setting.
    pub bound: Option<String>,
    /// Why the member that answers does not use the value.
    pub problem: Option<String>,
}

/// What can be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KnownSetting {
    /// The key; `*` stands for a name.
    pub key: String,
    /// Which values are possible.
    pub bound: String,
    /// What counts where it is not set.
    pub default: Option<String>,
    /// What it is for.
    pub about: String,
}

/// The last changes of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SettingsHistory {
    /// The version in force.
    pub version: u64,
    /// The latest first; a bounded number.
    pub changes: Vec<SettingChange>,
}

/// A change of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SettingChange {
    /// The version of the settings that it brought.
    pub version: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who, as they said of themselves; empty where they did not.
    pub by: String,
    /// Which setting.
    pub key: String,
    /// What it was set to before; none where it was not.
    pub old: Option<String>,
    /// What it is set to; none where it is not any more.
    pub new: Option<String>,
}

/// Another value for a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SettingWish {
    /// The value, as text.
    pub value: String,
    /// Who wants it, for the history; at most 64 bytes.
    #[serde(default)]
    pub by: String,
    /// Only where the settings still have this version.
    #[serde(default)]
    pub if_version: Option<u64>,
}

/// A setting is to be at its default again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UnsetWish {
    /// Who wants it, for the history; at most 64 bytes.
    #[serde(default)]
    pub by: String,
    /// Only where the settings still have this version.
    #[serde(default)]
    pub if_version: Option<u64>,
}
