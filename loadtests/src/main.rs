//! `muster-load`: sends requests at a fixed rate or as fast as they are answered, and tells what
//! came back.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use http::{HeaderName, HeaderValue, Method};
use muster_loadtests::generator;
use muster_loadtests::report::Report;
use muster_loadtests::scenario::{End, LARGEST_BODY, Pace, Scenario};

/// Sends HTTP/1.1 requests and counts what comes back.
#[derive(Debug, Parser)]
#[command(name = "muster-load", version)]
struct Options {
    /// Where to, for example http://127.0.0.1:8000/counter
    url: String,
    /// Requests a second, due at fixed instants (open loop); without it each connection sends
    /// when its last request is answered (closed loop)
    #[arg(long)]
    rate: Option<f64>,
    /// Keep-alive connections
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How long [default: 10s, unless --count is given]
    #[arg(long, value_parser = humantime::parse_duration, conflicts_with = "count")]
    duration: Option<Duration>,
    /// How many requests in all
    #[arg(long)]
    count: Option<u64>,
    /// The method [default: GET, with --upload POST]
    #[arg(long)]
    method: Option<Method>,
    /// Send a body of this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    upload: usize,
    /// A header, "Name: value"; may be given more than once
    #[arg(long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Keep cookies and count answers from another node than the session's owner
    #[arg(long)]
    sticky: bool,
    /// The session cookie of sticky clients
    #[arg(long, default_value = "JSESSIONID")]
    cookie: String,
    /// Sticky clients, shared out over the connections [default: one for each connection]
    #[arg(long, default_value_t = 0)]
    clients: usize,
    /// Give each request an X-Request-Id that begins so
    #[arg(long, value_name = "PREFIX")]
    request_ids: Option<String>,
    /// The bound of one exchange
    #[arg(long, value_parser = humantime::parse_duration, default_value = "30s")]
    timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Options {
    fn scenario(&self) -> anyhow::Result<Scenario> {
        let mut scenario = Scenario::get(&self.url)?;
        // Checked before the memory is taken; the scenario's own check comes after.
        anyhow::ensure!(self.upload <= LARGEST_BODY, "upload is at most {LARGEST_BODY} bytes");
        let usual = if self.upload > 0 { Method::POST } else { Method::GET };
        scenario.method = self.method.clone().unwrap_or(usual);
        scenario.body = Bytes::from(vec![b'x'; self.upload]);
        scenario.headers = self.headers.clone();
        scenario.pace = self.rate.map_or(Pace::AsAnswered, Pace::PerSecond);
        scenario.end = match (self.count, self.duration) {
            (Some(count), _) => End::Count(count),
            (None, duration) => End::After(duration.unwrap_or(Duration::from_secs(10))),
        };
        scenario.connections = self.connections;
        scenario.clients = self.clients;
        scenario.session_cookie = self.sticky.then(|| self.cookie.clone());
        scenario.request_ids = self.request_ids.clone();
        scenario.timeout = self.timeout;
        Ok(scenario.check()?)
    }
}

fn header(text: &str) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let (name, value) = text.split_once(':').context("a header is \"Name: value\"")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let scenario = options.scenario()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = Report::of(&runtime.block_on(generator::run(scenario)));
    match options.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => println!("{report}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(line: &str) -> anyhow::Result<Scenario> {
        Options::try_parse_from(line.split(' '))?.scenario()
    }

    #[test]
    fn options_become_a_scenario() {
        let line = "muster-load http://127.0.0.1:8000/x --rate 100 --count 5 --upload 10 --sticky";
        let scenario = scenario(line).unwrap();
        assert_eq!(scenario.method, Method::POST);
        assert_eq!((scenario.pace, scenario.end), (Pace::PerSecond(100.0), End::Count(5)));
        assert_eq!((scenario.connections, scenario.clients), (16, 16));
        assert_eq!(scenario.session_cookie.as_deref(), Some("JSESSIONID"));
    }

    #[test]
    fn bad_options_are_refused() {
        for more in
            ["--rate 0", "--connections 0", "--count 0", "--timeout 0s", "--upload 99999999999"]
        {
            let line = format!("muster-load http://127.0.0.1/ {more}");
            assert!(scenario(&line).is_err(), "{more}");
        }
    }
}
