//! The history of one metric: the newest values first, old ones counting less and less.

use std::collections::VecDeque;

/// A bounded list of values with a decaying average.
#[derive(Debug, Clone)]
pub(crate) struct History {
    values: VecDeque<f64>,
    kept: usize,
    decay: f64,
}

impl History {
    /// A history of the newest value and `older` more. With `prefill` it begins as if that value
    /// had always been read; without, it grows value by value.
    pub(crate) fn new(older: usize, decay: f64, prefill: Option<f64>) -> History {
        let kept = older + 1;
        let values = prefill.map_or_else(VecDeque::new, |value| vec![value; kept].into());
        History { values, kept, decay }
    }

    /// Takes the newest value in; the oldest leaves when there are too many.
    pub(crate) fn push(&mut self, value: f64) {
        self.values.push_front(value);
        self.values.truncate(self.kept);
    }

    /// The mean with weights 1, 1/decay, 1/decay^2 and so on, newest first; 0 when empty.
    pub(crate) fn average(&self) -> f64 {
        let (mut sum, mut weights, mut weight) = (0.0, 0.0, 1.0);
        for value in &self.values {
            sum += value * weight;
            weights += weight;
            weight /= self.decay;
        }
        if weights > 0.0 { sum / weights } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_counts_most() {
        let mut history = History::new(9, 2.0, None);
        history.push(0.0);
        history.push(1.0);
        // (1 * 1 + 0 * 1/2) / (1 + 1/2)
        assert_eq!(history.average(), 2.0 / 3.0);
    }

    #[test]
    fn without_history_only_the_newest_value_counts() {
        let mut history = History::new(0, 2.0, Some(1.0));
        history.push(0.25);
        assert_eq!(history.average(), 0.25);
    }

    #[test]
    fn a_decay_of_one_is_a_plain_mean_of_the_values_kept() {
        let mut history = History::new(2, 1.0, None);
        for value in [9.0, 1.0, 2.0, 6.0] {
            history.push(value);
        }
        assert_eq!(history.average(), 3.0);
    }

    #[test]
    fn an_empty_history_averages_to_nothing() {
        assert_eq!(History::new(9, 2.0, None).average(), 0.0);
    }
}
