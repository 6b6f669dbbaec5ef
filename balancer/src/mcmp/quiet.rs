//! A log that a flood cannot fill: so many lines at a time, then how many were left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most lines within [`SPAN`].
const LINES: u32 = 50;
const SPAN: Duration = Duration::from_secs(10);

/// Says which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<Written>);

#[derive(Debug, Default)]
struct Written {
    since: Option<Instant>,
    lines: u32,
    left_out: u64,
}

// === impl Quiet ===

impl Quiet {
    /// Whether to write a line now, and how many were left out since the last one.
    pub(crate) fn line(&self, now: Instant) -> Option<u64> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if written.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            (written.since, written.lines) = (Some(now), 0);
        }
        if written.lines >= LINES {
            written.left_out += 1;
            return None;
        }
        written.lines += 1;
        Some(std::mem::take(&mut written.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_a_few_lines_and_a_number() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        let written = (0..1000).filter(|_| quiet.line(start).is_some()).count();
        assert_eq!(written, LINES as usize);
        assert_eq!(quiet.line(start + SPAN), Some(1000 - u64::from(LINES)));
        assert_eq!(quiet.line(start + SPAN), Some(0));
    }
}
