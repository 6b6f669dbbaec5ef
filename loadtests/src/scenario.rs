//! What to send: a checked value that the generator carries out.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};

/// Most connections of one run.
pub const MOST_CONNECTIONS: usize = 20_000;
/// Most cookie jars of one run.
pub const MOST_CLIENTS: usize = 1_000_000;
/// Longest run.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// Highest rate, in requests a second.
pub const HIGHEST_RATE: f64 = 1_000_000.0;
/// Largest upload and largest answer, in bytes.
pub const LARGEST_BODY: usize = 64 << 20;

/// A run of requests.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Where to connect.
    pub address: SocketAddr,
    /// `Host`.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// The method.
    pub method: Method,
    /// Headers beyond `Host` and `Cookie`.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of each request.
    pub body: Bytes,
    /// When the requests are due.
    pub pace: Pace,
    /// When the run ends.
    pub end: End,
    /// Connections, and so the most requests in flight.
    pub connections: usize,
    /// Cookie jars, shared out over the connections; never fewer than those.
    pub clients: usize,
    /// The session cookie of sticky clients; `None` keeps no cookies.
    pub session_cookie: Option<String>,
    /// Whether each request carries an `X-Request-Id` of its own, with this prefix.
    pub request_ids: Option<String>,
    /// The bound of one exchange.
    pub timeout: Duration,
}

/// When requests are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed loop: each connection sends its next request when the last is answered.
    AsAnswered,
    /// Open loop: this many a second, due at fixed instants whatever the answers do.
    PerSecond(f64),
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After this time.
    After(Duration),
    /// After this many requests; at the latest after [`LONGEST`].
    Count(u64),
}

/// What is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// The URL cannot be used.
    #[error("URL has the bad value {value:?}: {reason}")]
    Url {
        /// The text.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A number is out of its bounds.
    #[error("{field} has the bad value {value}: it must be {bounds}")]
    Bounds {
        /// The option.
        field: &'static str,
        /// The value.
        value: String,
        /// What it may be.
        bounds: String,
    },
}

impl Scenario {
    /// GETs of a URL by one client on one connection, one request in all.
    pub fn get(url: &str) -> Result<Scenario, ScenarioError> {
        let bad = |reason: &str| {
            let reason = reason.to_owned();
            ScenarioError::Url { value: url.to_owned(), reason }
        };
        let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| bad(&e.to_string()))?;
        if uri.scheme_str() != Some("http") {
            return Err(bad("it must begin with http://"));
        }
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        let port = authority.port_u16().unwrap_or(80);
        let name = authority.host().trim_matches(['[', ']']);
        let found = (name, port).to_socket_addrs().map_err(|e| bad(&e.to_string()))?.next();
        Ok(Scenario {
            address: found.ok_or_else(|| bad("its host has no address"))?,
            host: authority.to_string(),
            path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            method: Method::GET,
            headers: Vec::new(),
            body: Bytes::new(),
            pace: Pace::AsAnswered,
            end: End::Count(1),
            connections: 1,
            clients: 1,
            session_cookie: None,
            request_ids: None,
            timeout: Duration::from_secs(30),
        })
    }

    /// Checks the bounds; fewer clients than connections become as many.
    pub fn check(mut self) -> Result<Scenario, ScenarioError> {
        self.clients = self.clients.max(self.connections);
        within("connections", self.connections, 1, MOST_CONNECTIONS)?;
        within("clients", self.clients, 1, MOST_CLIENTS)?;
        within("upload", self.body.len(), 0, LARGEST_BODY)?;
        let millis = |time: Duration| time.as_millis() as u64;
        within("timeout in ms", millis(self.timeout), 1, millis(LONGEST))?;
        if let Pace::PerSecond(rate) = self.pace
            && !(rate > 0.0 && rate <= HIGHEST_RATE)
        {
            let bounds = format!("above 0 and at most {HIGHEST_RATE}");
            return Err(ScenarioError::Bounds { field: "rate", value: rate.to_string(), bounds });
        }
        match self.end {
            End::After(time) => within("duration in ms", millis(time), 1, millis(LONGEST))?,
            End::Count(count) => within("count", count, 1, u64::MAX >> 16)?,
        }
        Ok(self)
    }
}

fn within<T: PartialOrd + ToString>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ScenarioError> {
    if value >= least && value <= most {
        return Ok(());
    }
    let bounds = format!("{} to {}", least.to_string(), most.to_string());
    Err(ScenarioError::Bounds { field, value: value.to_string(), bounds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_what_to_ask_for() {
        let scenario = Scenario::get("http://127.0.0.1:8000/counter?x=1").unwrap();
        assert_eq!(scenario.address, "127.0.0.1:8000".parse().unwrap());
        assert_eq!((&*scenario.host, &*scenario.path), ("127.0.0.1:8000", "/counter?x=1"));
        assert_eq!(Scenario::get("http://[::1]").unwrap().address, "[::1]:80".parse().unwrap());
        for bad in ["", "/x", "https://127.0.0.1/", "http://", "ftp://127.0.0.1"] {
            assert!(Scenario::get(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_have_bounds_and_the_fault_carries_the_value() {
        let mut scenario = Scenario::get("http://127.0.0.1/").unwrap();
        scenario.pace = Pace::PerSecond(f64::NAN);
        let told = scenario.clone().check().unwrap_err().to_string();
        assert!(told.starts_with("rate has the bad value NaN"), "{told}");
        scenario.pace = Pace::PerSecond(10.0);
        scenario.connections = 5;
        assert_eq!(scenario.check().unwrap().clients, 5);
    }
}
