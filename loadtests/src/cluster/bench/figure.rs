//! A figure, and tables of medians.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::cluster::cpu;

/// The longest latency that is told apart, in nanoseconds.
const LONGEST: u64 = 60_000_000_000;

/// What operations of one kind took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Figure {
    /// Operations a second.
    pub per_second: f64,
    /// Half of them took at most so long.
    pub p50_us: f64,
    /// And 99 of 100.
    pub p99_us: f64,
    /// Processor time an operation, all processes together.
    pub cpu_us: f64,
    /// How many were measured.
    pub count: u64,
}

/// Latencies of a run.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

/// Figures by row and column, in the order in which they came first.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<String>,
    figures: BTreeMap<String, Vec<Figure>>,
}

/// Runs something for a while and gives it a figure; these processes' time counts.
///
/// # Errors
/// Those of what is run.
pub fn measured<E>(pids: &[u32], run: impl FnOnce() -> Result<Latencies, E>) -> Result<Figure, E> {
    let (before, began) = (cpu::used(pids), Instant::now());
    let latencies = run()?;
    Ok(latencies.figure(began.elapsed(), cpu::used(pids).saturating_sub(before)))
}

// === impl Latencies ===

impl Default for Latencies {
    fn default() -> Self {
        let bounds = Histogram::new_with_bounds(1, LONGEST, 3);
        Latencies(bounds.expect("the bounds of the histogram are good ones"))
    }
}

impl Latencies {
    /// Notes one operation.
    pub fn note(&mut self, latency: Duration) {
        self.0.saturating_record(latency.as_nanos() as u64);
    }

    /// Notes so many that took equally long.
    pub fn note_all(&mut self, latency: Duration, count: u64) {
        self.0.saturating_record_n(latency.as_nanos() as u64, count);
    }

    /// Takes in those of another caller.
    pub fn merge(&mut self, other: &Latencies) {
        self.0.add(&other.0).expect("all latencies have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What this share of them did not exceed.
    pub fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The figure of a run that took so long and used so much.
    pub fn figure(&self, elapsed: Duration, used: Duration) -> Figure {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        let count = self.count();
        Figure {
            per_second: count as f64 / elapsed.as_secs_f64().max(1e-9),
            p50_us: us(self.at(0.5)),
            p99_us: us(self.at(0.99)),
            cpu_us: us(used) / count.max(1) as f64,
            count,
        }
    }
}

// === impl Table ===

impl Table {
    /// Notes one turn of a row.
    pub fn note(&mut self, row: &str, figure: Figure) {
        if !self.figures.contains_key(row) {
            self.rows.push(row.to_owned());
        }
        self.figures.entry(row.to_owned()).or_default().push(figure);
    }

    /// The median of a row, each of its columns on its own.
    pub fn median(&self, row: &str) -> Option<Figure> {
        let turns = self.figures.get(row)?;
        let of = |value: fn(&Figure) -> f64| median(turns.iter().map(value).collect());
        Some(Figure {
            per_second: of(|figure| figure.per_second),
            p50_us: of(|figure| figure.p50_us),
            p99_us: of(|figure| figure.p99_us),
            cpu_us: of(|figure| figure.cpu_us),
            count: turns.iter().map(|figure| figure.count).sum(),
        })
    }
}

/// The middle one; of two the mean; zero of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | ops/s | p50 us | p99 us | CPU us | operations |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let Figure { per_second, p50_us, p99_us, cpu_us, count } =
                self.median(row).unwrap_or_default();
            writeln!(
                f,
                "| {row} | {per_second:.0} | {p50_us:.1} | {p99_us:.1} | {cpu_us:.2} | {count} |"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_median_of_its_turns() {
        let mut table = Table::default();
        for ms in [9, 1, 2] {
            let mut latencies = Latencies::default();
            latencies.note_all(Duration::from_millis(ms), 10);
            let used = Duration::from_millis(ms * 5);
            table.note("put", latencies.figure(Duration::from_secs(1), used));
        }
        let put = table.median("put").unwrap();
        assert_eq!((put.per_second, put.count), (10.0, 30));
        assert!((put.p50_us / 2000.0 - 1.0).abs() < 0.01 && (put.cpu_us - 1000.0).abs() < 1e-6);
        assert!(table.median("get").is_none() && table.to_string().contains("| put | 10 | "));
        assert_eq!((median(vec![]), median(vec![3.0, 1.0])), (0.0, 2.0));
    }
}
