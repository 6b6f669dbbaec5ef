//! Processor time of two processes.

use std::time::Duration;

/// Clock ticks per second of the kernel's accounts.
const TICKS: u64 = 100;

/// Processor time of this process and another one.
pub(crate) fn both(other: u32) -> Duration {
    of("self") + of(&other.to_string())
}

fn of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // After the name, which may have blanks: state is the first, user time the 12th.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}
