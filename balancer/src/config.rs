//! The configuration: one TOML file, one section for each part, every key with a default.
//!
//! Without a file the balancer listens on loopback only. A bad file is refused as a whole, and
//! all of its faults are named at once, each with file, line and key:
//!
//! ```
//! use muster_balancer::config::Config;
//! let faults = Config::parse("[http]\nlisten = [\"x\"]\n", "muster.toml").unwrap_err();
//! assert_eq!(
//!     faults.to_string(),
//!     "muster.toml:2: http.listen: \"x\" is no address (ip:port)"
//! );
//! ```

pub mod advertise;
pub mod ajp;
mod asked;
pub mod cluster;
pub mod drain;
mod fault;
pub mod health;
pub mod limits;
pub mod listen;
pub mod log;
pub mod manager;
pub mod mcmp;
pub mod node;
pub mod peers;
pub mod rate;
mod reader;
pub mod state;
pub mod tls;
pub mod trace;
mod trust;

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Serializer;
use toml::de::DeTable;

pub use advertise::Advertise;
pub use ajp::Ajp;
pub use cluster::Cluster;
pub use drain::Drain;
pub use fault::{Fault, Faults};
pub use health::Health;
pub use limits::{Retry, Upstream};
pub use listen::Http;
pub use log::{AccessFormat, AccessLog, Log, LogLevel};
pub use manager::{Manager, ManagerTls};
pub use mcmp::{Mcmp, McmpTls};
pub use node::StaticNode;
pub use peers::Peers;
pub use rate::{RateBy, RateLimit};
pub use state::{State, StateFile};
pub use tls::{Alpn, ClientAuth, NodeTls, Tls, TlsVersion};
pub use trace::{Endpoint, Trace, TraceContext};

use reader::{Section, Source, count, duration, format_bytes};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Most bytes of a configuration file.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Most static nodes.
const MAX_STATIC_NODES: usize = 10_000;

/// Most limits of rates.
const MAX_RATE_LIMITS: usize = 1_000;

/// What the balancer is told before it starts. Every value is checked.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Config {
    /// Threads that carry traffic, 1 to 1,024. Default: as many as the machine has cores.
    pub threads: usize,
    /// After SIGTERM, how long requests in flight may take, 0 s to 1 day. Default 30 s.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// The public listener.
    pub http: Http,
    /// The public listener with TLS.
    pub tls: Tls,
    /// The listener of nodes.
    pub mcmp: Mcmp,
    /// How nodes are told of this balancer over multicast.
    pub advertise: Advertise,
    /// The listener of operators.
    pub manager: Manager,
    /// Connections to nodes.
    pub upstream: Upstream,
    /// How nodes are watched.
    pub health: Health,
    /// How nodes are drained.
    pub drain: Drain,
    /// Other balancers beside this one.
    pub peers: Peers,
    /// Clusters of back ends.
    pub cluster: Cluster,
    /// Which failures may be tried again.
    pub retry: Retry,
    /// What is written down.
    pub log: Log,
    /// Which trace a request is part of, and who is told of it.
    pub trace: Trace,
    /// What outlives the process.
    pub state: State,
    /// How fast requests may come to contexts, up to 1,000.
    #[serde(rename = "rate_limit", skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// Nodes that do not register themselves, up to 10,000.
    #[serde(rename = "node")]
    pub nodes: Vec<StaticNode>,
}

// === impl Config ===

impl Default for Config {
    /// Loopback only: enough for a first try on one machine.
    fn default() -> Self {
        Config {
            threads: std::thread::available_parallelism().map_or(1, usize::from).min(1024),
            drain_timeout: Duration::from_secs(30),
            http: Http::default(),
            tls: Tls::default(),
            mcmp: Mcmp::default(),
            advertise: Advertise::default(),
            manager: Manager::default(),
            upstream: Upstream::default(),
            health: Health::default(),
            drain: Drain::default(),
            peers: Peers::default(),
            cluster: Cluster::default(),
            retry: Retry::default(),
            log: Log::default(),
            trace: Trace::default(),
            state: State::default(),
            rate_limits: Vec::new(),
            nodes: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a file of up to 16 MiB.
    pub fn read(path: &Path) -> Result<Config, Faults> {
        let name = path.display().to_string();
        let text = read_file(path).map_err(|error| Faults::of_file(&name, error))?;
        Config::parse(&text, &name)
    }

    /// Reads a text; faults name `name` as its file.
    pub fn parse(text: &str, name: &str) -> Result<Config, Faults> {
        let mut source = Source::new(name, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            source.fault(error.span().unwrap_or(0..0), "", error.message());
        }
        // What a broken line meant is unknown, so nothing else can be said about the keys.
        Faults::check(std::mem::take(&mut source.faults))?;
        let config = Config::gather(&mut source, document.get_ref());
        let mut faults = std::mem::take(&mut source.faults);
        for (key, message) in config.conflicts() {
            let line = source.line_of(&key);
            faults.push(source.fault_at(line, whole(&key), message));
        }
        Faults::check(faults)?;
        Ok(config)
    }

    /// Checks that no two listeners want the same port, and that the one of nodes is locked; for a configuration that was changed
    /// after reading, as the command line does.
    pub fn check(&self, name: &str) -> Result<(), Faults> {
        let source = Source::new(name, "");
        let conflicts = self.conflicts().into_iter();
        let fault = |(key, message): (String, _)| source.fault_at(None, whole(&key), message);
        Faults::check(conflicts.map(fault).collect())
    }

    /// Every key with its value, as a file that reads the same.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, texts and lists always become TOML")
    }

    fn gather<'t>(source: &mut Source<'t>, document: &DeTable<'t>) -> Config {
        let default = Config::default();
        let mut root = Section::root(source, document);
        let mut seen = node::Seen::default();
        let mut limited = Vec::new();
        let config = Config {
            threads: root.read("threads", default.threads, count(1..=1024)),
            drain_timeout: root.read(
                "drain_timeout",
                default.drain_timeout,
                duration(Duration::ZERO..=DAY),
            ),
            http: root.section("http", Http::read),
            tls: root.section("tls", Tls::read),
            mcmp: root.section("mcmp", Mcmp::read),
            advertise: root.section("advertise", Advertise::read),
            manager: root.section("manager", Manager::read),
            upstream: root.section("upstream", Upstream::read),
            health: root.section("health", Health::read),
            drain: root.section("drain", Drain::read),
            peers: root.section("peers", Peers::read),
            cluster: root.section("cluster", Cluster::read),
            retry: root.section("retry", Retry::read),
            log: root.section("log", Log::read),
            trace: root.section("trace", Trace::read),
            state: root.section("state", State::read),
            rate_limits: root.tables("rate_limit", MAX_RATE_LIMITS, |limit| {
                RateLimit::read(limit, &mut limited)
            }),
            nodes: root.tables("node", MAX_STATIC_NODES, |node| StaticNode::read(node, &mut seen)),
        };
        root.refuse_the_rest();
        config
    }

    /// Listeners that want the same port, and that of nodes where it is not locked: the key, and
    /// what is wrong.
    fn conflicts(&self) -> Vec<(String, String)> {
        let lists = [
            ("http.listen", &self.http.listen),
            ("tls.listen", &self.tls.listen),
            ("mcmp.listen", &self.mcmp.listen),
            ("manager.listen", &self.manager.listen),
        ];
        let numbered = |(key, list): (&'static str, &Vec<SocketAddr>)| {
            list.iter().copied().enumerate().map(move |(at, address)| (key, at, address)).collect()
        };
        let all: Vec<(&str, usize, SocketAddr)> =
            lists.into_iter().flat_map::<Vec<_>, _>(numbered).collect();
        let mut conflicts = Vec::new();
        let unlocked = self.mcmp.unlocked();
        conflicts.extend(unlocked.map(|(at, message)| (format!("mcmp.listen[{at}]"), message)));
        let unlocked = self.manager.unlocked();
        conflicts.extend(unlocked.map(|(at, message)| (format!("manager.listen[{at}]"), message)));
        for (index, &(key, at, address)) in all.iter().enumerate() {
            let earlier =
                all[..index].iter().find(|(_, _, other)| listen::overlap(address, *other));
            if let Some((other_key, _, other)) = earlier {
                let message = format!("{address} is taken by {other_key}, {other}");
                conflicts.push((format!("{key}[{at}]"), message));
            }
        }
        conflicts
    }
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE {
        true => Err(std::io::Error::other(format!("it has more than {MAX_FILE} bytes"))),
        false => Ok(text),
    }
}

/// The key of a list for the key of its element: `http.listen` for `http.listen[1]`.
fn whole(key: &str) -> &str {
    match key.strip_suffix(']').and_then(|key| key.rsplit_once('[')) {
        Some((list, _)) => list,
        None => key,
    }
}

// === how values are shown ===

fn show_bytes<S: Serializer>(size: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_bytes(*size))
}

fn show_limit<S: Serializer>(limit: &Option<usize>, serializer: S) -> Result<S::Ok, S::Error> {
    match limit {
        Some(size) => show_bytes(size, serializer),
        None => serializer.serialize_str("none"),
    }
}

fn show_names<S, T>(names: &[T], serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: AsRef<str>,
{
    serializer.collect_seq(names.iter().map(AsRef::as_ref))
}
