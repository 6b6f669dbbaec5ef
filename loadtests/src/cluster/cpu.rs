//! What processes have used: processor time and memory, from /proc.

use std::fs;
use std::time::Duration;

/// Processor time of all threads of these processes so far, user and system; a process that is gone
/// counts nothing.
pub fn used(pids: &[u32]) -> Duration {
    let ticks: u64 = pids.iter().filter_map(|pid| ticks(&read(*pid, "stat"))).sum();
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Resident memory of a process in bytes; zero when it is gone.
pub fn resident(pid: u32) -> u64 {
    kibibytes(&read(pid, "status"), "VmRSS:") * 1024
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The fields utime and stime of a `stat` line. The name before them may hold anything but is in
/// parentheses.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<u64>);
    Some(fields.next()?.ok()? + fields.next()?.ok()?)
}

fn kibibytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_the_name() {
        let stat = "7 (a ) b) R 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 100 1 1";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let own = std::process::id();
        let before = used(&[own]);
        while used(&[own]) == before {
            std::hint::black_box(0);
        }
        assert!(resident(own) > 0);
    }
}
