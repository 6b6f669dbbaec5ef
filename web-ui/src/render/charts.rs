//! The figures on top, each with the chart of its last minutes.

use crate::page::{NodeState, Pace, Page, Window};
use crate::spark::{area, fewer, line, peak};
use crate::text;

/// Steps of a large chart.
const STEPS: usize = 75;

/// Steps of the chart of a node.
pub(super) const NODE_STEPS: usize = 24;

/// A figure with its chart.
pub(super) struct Tile {
    pub(super) label: &'static str,
    /// The number that counts.
    pub(super) value: String,
    /// What stands small beside it.
    pub(super) unit: String,
    /// A line below.
    pub(super) note: String,
    /// Its style: `bad` where the number itself is a fault, else empty.
    pub(super) tone: &'static str,
    /// The chart; empty for none.
    pub(super) area: String,
    pub(super) line: String,
    /// A second line.
    pub(super) second: String,
    /// What the chart says, for who cannot see it.
    pub(super) told: String,
}

/// The figures of a balancer, or with `None` those of one node.
pub(super) fn tiles(pace: &Pace, page: Option<&Page>) -> Vec<Tile> {
    let mut tiles = vec![requests(pace), errors(pace)];
    if page.is_some() {
        tiles.push(durations(pace));
    }
    tiles.push(in_flight(pace, page));
    tiles.push(bytes(pace));
    tiles.extend(page.map(nodes));
    tiles
}

fn requests(pace: &Pace) -> Tile {
    let value = text::rate(pace.requests_per_second);
    let note = format!("{} in {}", text::many(pace.requests, "request"), pace.window.label());
    let top = peak(&pace.series.requests);
    let told =
        format!("Requests per second, {} now, {} at most", value, text::rate(f64::from(top)));
    Tile::new("Requests", value, "/s", note, told).drawn(&pace.series.requests, top)
}

fn errors(pace: &Pace) -> Tile {
    let part = pace.error_percent();
    let value = part.map_or_else(|| "–".to_owned(), text::percent);
    let note = format!(
        "{} failed, {}/s now",
        text::count(pace.errors),
        text::rate(pace.errors_per_second)
    );
    let top = peak(&pace.series.errors);
    let told = format!("Errors per second, {} at most", text::rate(f64::from(top)));
    let mut tile = Tile::new("Errors", value, "", note, told).drawn(&pace.series.errors, top);
    if pace.errors > 0 {
        tile.tone = "bad";
    }
    tile
}

fn durations(pace: &Pace) -> Tile {
    let time = |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), text::short);
    let (half, most) = (time(pace.p50_seconds), time(pace.p99_seconds));
    let note = format!("99 of 100 within {most}");
    let top = peak(&pace.series.p99);
    let told = format!(
        "Response times: half within {half}, 99 of 100 within {most}, {} at most",
        text::short(f64::from(top))
    );
    let mut tile =
        Tile::new("Response time, median", half, "", note, told).drawn(&pace.series.p99, top);
    tile.second = line(&fewer(&pace.series.p50, STEPS), STEPS, top);
    tile
}

fn in_flight(pace: &Pace, page: Option<&Page>) -> Tile {
    let now = page.map_or_else(
        || pace.series.in_flight.last().copied().unwrap_or(0.0) as u64,
        Page::requests_in_flight,
    );
    let note = match page {
        Some(page) => format!(
            "{} connected, {} waiting",
            text::count(page.connections),
            text::count(page.waiting)
        ),
        None => format!("at most {}", text::rate(f64::from(peak(&pace.series.in_flight)))),
    };
    let top = peak(&pace.series.in_flight);
    let told = format!("Requests in flight, {} at most", text::rate(f64::from(top)));
    Tile::new("In flight", text::count(now), "", note, told).drawn(&pace.series.in_flight, top)
}

fn bytes(pace: &Pace) -> Tile {
    let now = text::bytes(pace.bytes_per_second.max(0.0) as u64);
    let (value, unit) = now.split_once(' ').unwrap_or((&now, ""));
    let top = peak(&pace.series.bytes);
    let most = text::bytes(top as u64);
    let told = format!("Bytes per second, {now} now, {most} at most");
    let (value, unit) = (value.to_owned(), format!(" {unit}/s"));
    let mut tile = Tile::new("Traffic", value, "", format!("at most {most}/s"), told)
        .drawn(&pace.series.bytes, top);
    tile.unit = unit;
    tile
}

fn nodes(page: &Page) -> Tile {
    let all = page.nodes().count();
    let sessions = page.sessions().map(|count| format!(", {}", text::many(count, "session")));
    let contexts = text::many(page.context_count() as u64, "context");
    let others = NodeState::ALL.into_iter().filter(|state| *state != NodeState::Up);
    let others: String = others
        .map(|state| (page.nodes_in(state), state.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}, "))
        .collect();
    let note = format!("{others}{contexts}{}", sessions.unwrap_or_default());
    let up = page.nodes_up();
    let mut tile = Tile::new("Nodes up", text::count(up as u64), "", note, String::new());
    tile.unit = format!(" of {all}");
    tile
}

// === impl Tile ===

impl Tile {
    fn new(label: &'static str, value: String, unit: &str, note: String, told: String) -> Tile {
        let none = String::new();
        Tile {
            label,
            value,
            unit: unit.to_owned(),
            note,
            tone: "",
            area: none.clone(),
            line: none.clone(),
            second: none,
            told,
        }
    }

    fn drawn(mut self, values: &[f32], top: f32) -> Tile {
        let values = fewer(values, STEPS);
        self.line = line(&values, STEPS, top);
        self.area = area(&values, STEPS, top);
        self
    }

    pub(super) fn steps(&self) -> usize {
        STEPS - 1
    }
}

/// The chart of a node's requests: short.
pub(super) fn of_node(pace: &Pace) -> String {
    let values = fewer(&pace.series.requests, NODE_STEPS);
    line(&values, NODE_STEPS, peak(&values))
}

/// A short chart of a node's errors, on the scale of its requests; empty without errors.
pub(super) fn errors_of_node(pace: &Pace) -> String {
    let values = fewer(&pace.series.errors, NODE_STEPS);
    match peak(&values) > 0.0 {
        true => line(&values, NODE_STEPS, peak(&fewer(&pace.series.requests, NODE_STEPS))),
        false => String::new(),
    }
}

/// How a window is called in a sentence.
pub(super) fn last(window: &Window) -> &'static str {
    match window {
        Window::Minutes => "last 5 minutes",
        Window::Hour => "last hour",
    }
}
