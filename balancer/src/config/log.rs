//! What is written down, and where (`[log]`).

use std::path::PathBuf;

use serde::Serializer;
use toml::de::DeValue;

use super::reader::{Section, text};

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Log {
    /// Where access lines go, in the common log format: `"stdout"`, `"off"`, or the path of a file.
    /// Default `"stdout"`.
    pub access: AccessLog,
    /// The least severity of the balancer's own log on stderr: `"error"`, `"warn"`, `"info"`,
    /// `"debug"` or `"trace"`. Default `"info"`.
    pub level: LogLevel,
}

/// Where access lines go.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// To standard output.
    #[default]
    Stdout,
    /// Nowhere.
    Off,
    /// To a file, at its end.
    File(PathBuf),
}

/// The least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What someone must act on.
    Error,
    /// What may become a fault.
    Warn,
    /// What changed.
    #[default]
    Info,
    /// What happens.
    Debug,
    /// Everything.
    Trace,
}

// === impl Log ===

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
        let default = Log::default();
        Log {
            access: section.read("access", default.access, AccessLog::read),
            level: section.read("level", default.level, LogLevel::read),
        }
    }
}

// === impl AccessLog ===

impl AccessLog {
    fn read(value: &DeValue<'_>) -> Result<AccessLog, String> {
        match text(value)? {
            "stdout" => Ok(AccessLog::Stdout),
            "off" => Ok(AccessLog::Off),
            "" => Err("it can't be empty".to_owned()),
            path => Ok(AccessLog::File(path.into())),
        }
    }
}

impl serde::Serialize for AccessLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AccessLog::Stdout => serializer.serialize_str("stdout"),
            AccessLog::Off => serializer.serialize_str("off"),
            AccessLog::File(path) => serializer.serialize_str(&path.to_string_lossy()),
        }
    }
}

// === impl LogLevel ===

impl LogLevel {
    fn read(value: &DeValue<'_>) -> Result<LogLevel, String> {
        match text(value)? {
            "error" => Ok(LogLevel::Error),
            "warn" => Ok(LogLevel::Warn),
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            "trace" => Ok(LogLevel::Trace),
            other => Err(format!("{other:?} is none of error, warn, info, debug, trace")),
        }
    }

    /// The word, which is also a directive of the log's filter.
    pub fn word(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}
