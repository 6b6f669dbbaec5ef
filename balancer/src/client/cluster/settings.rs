//! `muster cluster set`, `get`, `list`, `unset`, `history`: what counts on all members at once.

use std::io::Write;

use clap::{Args, Subcommand};
use muster_protocol::cluster::settings::{
    SettingReport, SettingWish, SettingsHistory, SettingsReport, UnsetWish,
};

use super::show::{Column, text};
use super::{done, encoded, plain, rows, show, when};
use crate::cluster::call::Member;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Set something for all members at once, such as singleton.policies.foo.quorum 3
    Set {
        /// The setting
        key: String,
        /// Its value
        value: String,
        #[command(flatten)]
        how: How,
    },
    /// Bring a setting back to its default
    Unset {
        /// The setting
        key: String,
        #[command(flatten)]
        how: How,
    },
    /// Show a setting: its value, or its default
    Get {
        /// The setting
        key: String,
    },
    /// Show what is set, and what can be
    List,
    /// Show who changed which setting, the latest first
    History,
}

/// How a setting is changed.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Only where the settings still have this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,
    /// Who wants it, for the history
    #[arg(long, value_name = "NAME", env = "USER", default_value = "")]
    by: String,
}

pub(super) async fn run(
    verb: Verb,
    member: &Member,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = |key: &str| format!("/v1/cluster/settings/{}", encoded(key));
    match verb {
        Verb::Set { key, value, how: How { if_version, by } } => {
            let wish = SettingWish { value, by, if_version };
            done(member.post(&path(&key), &wish).await?, json, out)
        }
        Verb::Unset { key, how: How { if_version, by } } => {
            let path = format!("{}/unset", path(&key));
            done(member.post(&path, &UnsetWish { by, if_version }).await?, json, out)
        }
        Verb::Get { key } => {
            let setting: SettingReport = member.get(&path(&key)).await?;
            show(&setting, json, out, value)
        }
        Verb::List => {
            let report: SettingsReport = member.get("/v1/cluster/settings").await?;
            show(&report, json, out, list)
        }
        Verb::History => {
            let history: SettingsHistory = member.get("/v1/cluster/settings/history").await?;
            show(&history, json, out, changes)
        }
    }
}

/// What a script reads: the value alone.
fn value(setting: &SettingReport) -> String {
    let value = setting.value.as_ref().or(setting.default.as_ref());
    format!("{}\n", value.map_or_else(|| "-".to_owned(), |value| plain(value)))
}

fn list(report: &SettingsReport) -> String {
    let (set, known) = (rows(&SET, &report.settings), rows(&KNOWN, &report.known));
    format!("version {}\n\n{set}\n{known}", report.version)
}

fn changes(history: &SettingsHistory) -> String {
    rows(&CHANGES, &history.changes)
}

const SET: [Column; 6] = [
    ("SETTING", |row| text(&row["key"])),
    ("VALUE", |row| text(&row["value"])),
    ("SINCE VERSION", |row| text(&row["version"])),
    ("WHEN", |row| when(&row["at_ms"])),
    ("BY", |row| text(&row["by"])),
    ("PROBLEM", |row| text(&row["problem"])),
];

const KNOWN: [Column; 4] = [
    ("CAN BE SET", |row| text(&row["key"])),
    ("TO", |row| text(&row["bound"])),
    ("DEFAULT", |row| text(&row["default"])),
    ("FOR", |row| text(&row["about"])),
];

const CHANGES: [Column; 6] = [
    ("VERSION", |row| text(&row["version"])),
    ("WHEN", |row| when(&row["at_ms"])),
    ("BY", |row| text(&row["by"])),
    ("SETTING", |row| text(&row["key"])),
    ("FROM", |row| text(&row["old"])),
    ("TO", |row| text(&row["new"])),
];
