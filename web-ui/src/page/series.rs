//! What was counted over the last minutes: rates for the numbers, series for the charts.

use serde::Serialize;

/// How far back the charts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub enum Window {
    /// The last five minutes.
    #[default]
    #[serde(rename = "5m")]
    Minutes,
    /// The last hour.
    #[serde(rename = "1h")]
    Hour,
}

/// Counts over time, the oldest first, one value for each step. Where nothing was counted yet
/// they are shorter.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    /// Requests per second.
    pub requests: Vec<f32>,
    /// Failed ones among them, per second.
    pub errors: Vec<f32>,
    /// Requests at nodes.
    pub in_flight: Vec<f32>,
    /// Bytes per second, both ways.
    pub bytes: Vec<f32>,
    /// Seconds that half of the requests took at most; without a request, 0.
    pub p50: Vec<f32>,
    /// Seconds that 99 of 100 requests took at most; without a request, 0.
    pub p99: Vec<f32>,
}

/// How fast something goes: the last seconds as numbers, the window as series.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Pace {
    /// Which window the series are of.
    pub window: Window,
    /// Requests per second, now.
    pub requests_per_second: f64,
    /// Failed ones among them, per second.
    pub errors_per_second: f64,
    /// Bytes per second, both ways.
    pub bytes_per_second: f64,
    /// Requests within the window.
    pub requests: u64,
    /// Failed ones among them.
    pub errors: u64,
    /// Seconds that half of the last requests took at most; `None` without any, and for nodes.
    pub p50_seconds: Option<f64>,
    /// Seconds that 99 of 100 of the last requests took at most; `None` likewise.
    pub p99_seconds: Option<f64>,
    /// The charts, which the JSON leaves out.
    #[serde(skip)]
    pub series: Series,
}

// === impl Window ===

impl Window {
    /// Both.
    pub const ALL: [Window; 2] = [Window::Minutes, Window::Hour];

    /// The word of the page's address.
    pub fn word(self) -> &'static str {
        match self {
            Window::Minutes => "5m",
            Window::Hour => "1h",
        }
    }

    /// The window of a word; any other word is the first.
    pub fn from_word(word: &str) -> Window {
        Window::ALL.into_iter().find(|window| window.word() == word).unwrap_or_default()
    }

    /// As the page writes it.
    pub fn label(self) -> &'static str {
        match self {
            Window::Minutes => "5 min",
            Window::Hour => "1 h",
        }
    }
}

// === impl Pace ===

impl Pace {
    /// Failed requests among those of the window, in percent; `None` without any request.
    pub fn error_percent(&self) -> Option<f64> {
        match self.requests {
            0 => None,
            requests => Some(self.errors as f64 * 100.0 / requests as f64),
        }
    }
}
