//! What outlives the process (`[state]`).

use std::path::PathBuf;
use std::time::Duration;

use serde::Serializer;
use toml::de::DeValue;

use super::reader::{Section, bytes, duration, text};
use super::{DAY, MIB, SECOND};

/// `[state]`: what outlives the process.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct State {
    /// The file that keeps the registry for the next start: a path, or `"off"`. Default:
    /// `registry.json` in the folder that systemd's `StateDirectory=` gives, and `"off"` where
    /// there is none.
    pub file: StateFile,
    /// Most bytes of that file, 1 MiB to 1 GiB; a larger registry is not kept. Default 64 MiB.
    #[serde(serialize_with = "super::show_bytes")]
    pub max_bytes: usize,
    /// How old the file may be at a start, 1 s to 365 days; an older one is ignored, for other
    /// programs may have the nodes' addresses by then. Default 10 min.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// How long a change may wait until it is written, so that many are written at once, 10 ms to
    /// 1 hour. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub write_delay: Duration,
    /// How long a new process may take until it is ready, at an upgrade, 1 s to 1 hour; the old
    /// one goes on where it takes longer. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub upgrade_timeout: Duration,
}

/// Where the registry is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StateFile {
    /// Where systemd says, if it does.
    #[default]
    Systemd,
    /// Nowhere.
    Off,
    /// In this file.
    At(PathBuf),
}

// === impl State ===

impl Default for State {
    fn default() -> Self {
        State {
            file: StateFile::default(),
            max_bytes: 64 * MIB,
            max_age: Duration::from_secs(600),
            write_delay: Duration::from_secs(1),
            upgrade_timeout: Duration::from_secs(30),
        }
    }
}

impl State {
    pub(super) fn read(section: &mut Section<'_, '_>) -> State {
        let default = State::default();
        let hour = 3600 * SECOND;
        State {
            file: section.read("file", default.file, StateFile::read),
            max_bytes: section.read("max_bytes", default.max_bytes, bytes(MIB..=1024 * MIB)),
            max_age: section.read("max_age", default.max_age, duration(SECOND..=365 * DAY)),
            write_delay: section.read(
                "write_delay",
                default.write_delay,
                duration(SECOND / 100..=hour),
            ),
            upgrade_timeout: section.read(
                "upgrade_timeout",
                default.upgrade_timeout,
                duration(SECOND..=hour),
            ),
        }
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.file {
            StateFile::Off => None,
            StateFile::At(path) => Some(path.clone()),
            StateFile::Systemd => {
                // It may name several folders.
                let folders = std::env::var_os("STATE_DIRECTORY")?.into_string().ok()?;
                let first = folders.split(':').next().filter(|folder| !folder.is_empty())?;
                Some(PathBuf::from(first).join("registry.json"))
            }
        }
    }
}

// === impl StateFile ===

impl StateFile {
    fn read(value: &DeValue<'_>) -> Result<StateFile, String> {
        match text(value)? {
            "" => Err("it can't be empty".to_owned()),
            "off" => Ok(StateFile::Off),
            "systemd" => Ok(StateFile::Systemd),
            path => Ok(StateFile::At(path.into())),
        }
    }
}

impl serde::Serialize for StateFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            StateFile::Systemd => serializer.serialize_str("systemd"),
            StateFile::Off => serializer.serialize_str("off"),
            StateFile::At(path) => serializer.serialize_str(&path.to_string_lossy()),
        }
    }
}
