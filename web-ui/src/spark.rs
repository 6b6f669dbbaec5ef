//! Small charts, drawn here: the path of an SVG, a few hundred bytes, no script.

use std::fmt::Write as _;

/// Height of a chart's drawing, in its own units.
pub(crate) const HEIGHT: i32 = 32;

/// A chart's path data for a polyline from the left to the right, the values scaled so that `top`
/// reaches the upper edge. `width` is the number of steps of the whole chart; fewer values stand
/// at its right. Equal neighbours share one command.
pub(crate) fn line(values: &[f32], width: usize, top: f32) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let y = |value: &f32| match top > 0.0 && value.is_finite() {
        // The stroke of a flat line at an edge would be cut in half.
        true => HEIGHT - 1 - (value / top * (HEIGHT - 2) as f32).clamp(0.0, 30.0).round() as i32,
        false => HEIGHT - 1,
    };
    let mut path = String::new();
    let Some(first) = values.first() else { return path };
    let mut before = y(first);
    let _ = write!(path, "M{} {before}", width - values.len());
    let mut flat = 0;
    for value in &values[1..] {
        let now = y(value);
        if now == before {
            flat += 1;
            continue;
        }
        if flat > 0 {
            let _ = write!(path, "h{flat}");
            flat = 0;
        }
        let _ = write!(path, "l1 {}", now - before);
        before = now;
    }
    if flat > 0 {
        let _ = write!(path, "h{flat}");
    }
    path
}

/// The same, closed along the lower edge, to be filled.
pub(crate) fn area(values: &[f32], width: usize, top: f32) -> String {
    let line = line(values, width, top);
    match line.is_empty() {
        true => line,
        false => {
            let shown = values.len().min(width);
            format!("{line}V{HEIGHT}H{}z", width - shown)
        }
    }
}

/// Halves the number of values until there are at most so many; each stands for its part's
/// highest, so that no peak is lost.
pub(crate) fn fewer(values: &[f32], most: usize) -> Vec<f32> {
    let mut part = 1;
    while values.len().div_ceil(part) > most.max(1) {
        part *= 2;
    }
    let high = |part: &[f32]| part.iter().copied().fold(0.0, f32::max);
    values.rchunks(part).map(high).rev().collect()
}

/// The highest value, 0 for none.
pub(crate) fn peak(values: &[f32]) -> f32 {
    values.iter().copied().filter(|value| value.is_finite()).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_at_the_right_and_joins_what_is_flat() {
        assert_eq!(line(&[], 10, 1.0), "");
        assert_eq!(line(&[0.0; 10], 10, 1.0), "M0 31h9");
        assert_eq!(line(&[0.0, 1.0, 1.0, 0.5], 10, 1.0), "M6 31l1 -30h1l1 15");
        assert_eq!(line(&[f32::NAN, 9.0], 2, 1.0), "M0 31l1 -30");
        assert_eq!(area(&[1.0, 1.0], 4, 1.0), "M2 1h1V32H2z");
    }

    #[test]
    fn fewer_values_keep_the_peaks() {
        assert_eq!(fewer(&[1.0, 2.0, 3.0], 3), [1.0, 2.0, 3.0]);
        assert_eq!(fewer(&[0.0, 9.0, 1.0, 0.0, 4.0], 3), [0.0, 9.0, 4.0]);
        assert_eq!(fewer(&[1.0; 150], 40).len(), 38);
    }
}
