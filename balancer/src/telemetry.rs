//! The log: our own records and, through `log`, those of Pingora, on standard error.
//!
//! Standard output belongs to the access log. The level can be changed while the process runs.

use std::sync::OnceLock;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::config::LogLevel;

/// How the level is changed; empty where the process has a subscriber of its own.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Sends records to standard error; `RUST_LOG` overrides the level. A process that has a
/// subscriber already keeps it.
pub(crate) fn init(level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(level));
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = Registry::default().with(filter);
    let subscriber = subscriber.with(fmt::layer().with_writer(std::io::stderr));
    if tracing::subscriber::set_global_default(subscriber).is_ok() {
        let _ = FILTER.set(handle);
        let bridge = tracing_log::LogTracer::builder().with_max_level(log_level(level));
        let _ = bridge.init();
    }
}

/// From now on that level holds, unless `RUST_LOG` says another.
pub(crate) fn set_level(level: LogLevel) {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_some() {
        return;
    }
    if let Some(handle) = FILTER.get() {
        // It fails only where the subscriber is gone, and then there is no log.
        let _ = handle.reload(filter(level));
        tracing_log::log::set_max_level(log_level(level));
    }
}

/// Records of Pingora arrive under the target `log`. Each is about one request, which the access
/// log tells better, and any client can cause them: they are for those who look for a fault.
fn filter(level: LogLevel) -> EnvFilter {
    let of_pingora = match level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => "off",
        LogLevel::Debug | LogLevel::Trace => level.word(),
    };
    EnvFilter::new(format!("{},log={of_pingora}", level.word()))
}

fn log_level(level: LogLevel) -> tracing_log::log::LevelFilter {
    level.word().parse().unwrap_or(tracing_log::log::LevelFilter::Info)
}
