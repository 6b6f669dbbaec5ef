//! What is written down, and where (`[log]`).

use std::path::PathBuf;

use serde::Serializer;
use toml::de::DeValue;

use super::reader::{Section, count, text};

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Log {
    /// Where access lines go: `"stdout"`, `"off"`, or the path of a file, which SIGHUP opens again.
    /// Default `"stdout"`.
    pub access: AccessLog,
    /// Where the audit log goes, a line of JSON for each action of an operator and each change by a
    /// node: `"off"`, or the path of a file. Default `"off"`; the last entries are in memory anyway.
    pub audit: AuditLog,
    /// How many entries of the audit log stay in memory for page and API, 10 to 100,000. Default
    /// 1,000.
    pub audit_entries: usize,
    /// What a line looks like: `"common"`, the common log format with what a balancer adds, or
    /// `"json"`, an object a line, with more in it. Default `"common"`.
    pub access_format: AccessFormat,
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

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AuditLog {
    /// Into memory only.
    #[default]
    Off,
    /// To a file, at its end.
    File(PathBuf),
}

/// What a line of the access log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// The common log format.
    #[default]
    Common,
    /// A JSON object.
    Json,
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

impl Default for Log {
    fn default() -> Self {
        Log {
            access: AccessLog::default(),
            access_format: AccessFormat::default(),
            audit: AuditLog::default(),
            audit_entries: 1_000,
            level: LogLevel::default(),
        }
    }
}

impl Log {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Log {
        let default = Log::default();
        Log {
            access: section.read("access", default.access, AccessLog::read),
            audit: section.read("audit", default.audit, AuditLog::read),
            audit_entries: section.read(
                "audit_entries",
                default.audit_entries,
                count(10..=100_000),
            ),
            access_format: section.read("access_format", default.access_format, AccessFormat::read),
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

// === impl AuditLog ===

impl AuditLog {
    fn read(value: &DeValue<'_>) -> Result<AuditLog, String> {
        match text(value)? {
            "off" => Ok(AuditLog::Off),
            "" => Err("it can't be empty".to_owned()),
            path => Ok(AuditLog::File(path.into())),
        }
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        match self {
            AuditLog::Off => None,
            AuditLog::File(path) => Some(path),
        }
    }
}

impl serde::Serialize for AuditLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            AuditLog::Off => serializer.serialize_str("off"),
            AuditLog::File(path) => serializer.serialize_str(&path.to_string_lossy()),
        }
    }
}

// === impl AccessFormat ===

impl AccessFormat {
    fn read(value: &DeValue<'_>) -> Result<AccessFormat, String> {
        match text(value)? {
            "common" => Ok(AccessFormat::Common),
            "json" => Ok(AccessFormat::Json),
            other => Err(format!("{other:?} is none of common, json")),
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
