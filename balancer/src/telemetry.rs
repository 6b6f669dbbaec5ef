//! The log: our own records and, through `log`, those of Pingora, on standard error.
//!
//! Standard output belongs to the access log.

use tracing_subscriber::EnvFilter;

use crate::config::LogLevel;

/// Sends records to standard error; `RUST_LOG` overrides the level. A process that has a
/// subscriber already keeps it.
pub(crate) fn init(level: LogLevel) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| filter(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if tracing::subscriber::set_global_default(subscriber.finish()).is_ok() {
        let bridge = tracing_log::LogTracer::builder().with_max_level(log_level(level));
        let _ = bridge.init();
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
