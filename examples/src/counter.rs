//! `counter`: a back end that counts a session's requests and registers itself with balancers.
//!
//! With `--clustered` its sessions survive it: the other counters of the cluster know them too.

mod answer;
mod visit;

use std::io::Write;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::serve::ListenerExt;
use clap::{Parser, ValueEnum};
use muster_agent::names::Route;
use muster_agent::session::Granularity;
use muster_agent::{
    Agent, BalancerTls, Cluster, Discovery, FileShelf, Load, LoadMetric, Mode, SessionDraining,
    Sessions,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::clustered::Node;
use crate::ending::Ending;
use answer::Counter;

/// How long requests in flight may take once the balancers have let go of the node.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Where it is mounted.
const CONTEXT: &str = "/counter";

/// Bytes of a session's attributes at most.
const MOST_SESSION_BYTES: usize = 7 << 20;

/// A back end at /counter that counts the requests of each session
#[derive(Debug, Clone, Parser)]
#[command(name = "counter", version)]
pub struct Options {
    /// Who it is, where it listens, and its cluster
    #[command(flatten)]
    pub node: Node,
    /// The port, whatever the offset; 0 for any free one [default: 8080]
    #[arg(long)]
    pub port: Option<u16>,
    /// What of a session is written when one attribute has changed
    #[arg(long, value_enum, default_value_t)]
    pub granularity: Written,
    /// With --clustered: who keeps a session
    #[arg(long, value_enum, default_value_t, requires = "clustered")]
    pub kept_by: Kept,
    /// Sessions in memory at most, copies of other nodes' among them; more go to a file
    #[arg(long, value_name = "SESSIONS", default_value_t = 100_000)]
    pub max_active: usize,
    /// Keep that file in this folder, so that a restart keeps the sessions; with --clustered it needs
    /// --data-dir [default: a file that ends with the process]
    #[arg(long, value_name = "DIRECTORY")]
    pub store: Option<PathBuf>,
    /// With --store: every change is in that file at once, so that not even kill -9 of all loses one
    #[arg(long, requires = "store")]
    pub write_through: bool,
    /// Whether its end waits for its sessions to end, 10 s at most: where they end with it, always,
    /// or never
    #[arg(long, value_enum, default_value_t)]
    pub session_draining: Draining,
    /// Where balancers take registrations
    /// [default: 127.0.0.1:6666, or none with --discover]
    #[arg(long, value_name = "HOST:PORT", num_args = 1..)]
    pub balancer: Vec<String>,
    /// Follow balancers that advertise themselves to this multicast group
    #[arg(long, value_name = "GROUP:PORT", num_args = 0..=1, default_missing_value = "224.0.1.105:23364")]
    pub discover: Option<SocketAddrV4>,
    /// With --discover: what the balancers know too; nobody else is believed
    #[arg(long, value_name = "KEY", requires = "discover")]
    pub security_key: Option<String>,
    /// File with the secret that the balancers know too, one a line, the first one signs;
    /// or in the environment as MUSTER_SECRET
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Speak TLS with balancers, which show a certificate of this authority (a PEM file)
    #[arg(long, value_name = "FILE")]
    pub balancer_ca: Option<PathBuf>,
    /// Show balancers this certificate (a PEM file)
    #[arg(long, value_name = "FILE", requires = "balancer_ca", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate (a PEM file)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// A name of the virtual host [default: localhost]
    #[arg(long, num_args = 1..)]
    pub alias: Vec<String>,
    /// The failover group
    #[arg(long)]
    pub domain: Option<String>,
    /// The group that the node registers for [default: mycluster]
    #[arg(long)]
    pub balancer_name: Option<String>,
    /// Between two reports of the load, such as 1s or 500ms
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    pub status_interval: Duration,
    /// Report this load always: 1 to 100, 0 for a standby, -1 for a broken node
    #[arg(long, allow_negative_numbers = true, value_parser = parse_load, conflicts_with = "capacity")]
    pub load: Option<Load>,
    /// Report requests in flight as the load, this many being full, instead of the cpu's
    #[arg(long)]
    pub capacity: Option<f64>,
    /// Append the X-Request-Id of each request to this file
    #[arg(long, value_name = "FILE")]
    pub request_log: Option<PathBuf>,
    /// End when standard input does
    #[arg(long, hide = true)]
    pub end_with_stdin: bool,
}

/// What of a session is written when one attribute has changed.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Written {
    /// All of it
    #[default]
    Session,
    /// The attribute alone
    Attribute,
}

/// Who keeps a session.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Kept {
    /// Two members
    #[default]
    Owners,
    /// Every member
    All,
}

/// Whether a counter's end waits for its sessions.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Draining {
    /// Where they end with it
    Default,
    /// Always
    Always,
    /// Never: a counter is for trying, and shall end quickly
    #[default]
    Never,
}

fn parse_load(text: &str) -> Result<Load, String> {
    let load = text.parse().ok().and_then(Load::from_number);
    load.filter(|load| *load != Load::ProbeOnly).ok_or("it must be -1, 0, or 1 to 100".to_owned())
}

/// Serves until the process is asked to end; then it leaves the balancers, and serves on until
/// they have let go.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut ending = Ending::new(options.end_with_stdin)?;
    let route = options.route()?;
    let listener = options.bind().await?;
    let address = listener.local_addr()?;
    let cluster = options.node.join().await?;
    let sessions = options.sessions(&cluster)?;
    // What was kept is back before anybody asks for it.
    sessions.restored().await;
    let agent = options.agent(&route, address)?.context_with(CONTEXT, &sessions).start().await?;
    let counter = Counter::new(route.clone(), options.request_log.as_deref())?;
    let app = Router::new().fallback(answer::answer).with_state(Arc::new(counter));
    let app = app.layer(sessions.layer()).layer(agent.layer());
    let (finish, finished) = oneshot::channel::<()>();
    let listener = listener.tap_io(|stream| {
        // Without it answers in two writes wait for each other; a failure costs only time.
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        let _ = finished.await;
    });
    let mut server = tokio::spawn(server.into_future());
    // Whoever started it may have closed the pipe: that is no reason to end.
    let _ = match options.node.clustered {
        true => {
            let member = cluster.me().address;
            writeln!(std::io::stdout(), "listening http={address} node={route} cluster={member}")
        }
        false => writeln!(std::io::stdout(), "listening http={address} node={route}"),
    };
    tokio::select! {
        reason = ending.asked() => info!(reason, "leaving"),
        ended = &mut server => bail!("the server ended by itself: {:?}", ended?),
    }
    let drained = agent.stop().await;
    if !drained.is_complete() {
        warn!(drained.requests_left, drained.unreached, "left before all was done");
    }
    drop(finish);
    let ended = tokio::time::timeout(LAST_REQUESTS, &mut server).await;
    server.abort();
    // The last answers were sent: whatever this member keeps goes to the others now.
    cluster.leave().await;
    match ended {
        Ok(ended) => Ok(ended??),
        Err(_) => bail!("requests were still in flight after {LAST_REQUESTS:?}"),
    }
}

// === impl Options ===

impl Options {
    fn route(&self) -> anyhow::Result<Route> {
        Ok(self.node.name()?.parse()?)
    }

    async fn bind(&self) -> anyhow::Result<TcpListener> {
        let port = match self.port {
            Some(port) => port,
            None => self.node.port(8080)?,
        };
        let address = SocketAddr::new(self.node.bind, port);
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    }

    fn sessions(&self, cluster: &Cluster) -> anyhow::Result<Sessions> {
        let granularity = match self.granularity {
            Written::Session => Granularity::Session,
            Written::Attribute => Granularity::Attribute,
        };
        let mode = match self.kept_by {
            Kept::Owners => Mode::Distributed,
            Kept::All => Mode::Replicated,
        };
        let sessions = Sessions::builder("counter").cluster(cluster).mode(mode);
        let sessions = sessions.distributable(self.node.clustered).most_bytes(MOST_SESSION_BYTES);
        let sessions = sessions.max_active_sessions(self.max_active, self.shelf()?);
        Ok(sessions.write_through(self.write_through).granularity(granularity).start()?)
    }

    fn shelf(&self) -> anyhow::Result<FileShelf> {
        let Some(store) = &self.store else {
            return FileShelf::temporary().context("no file for sessions beyond --max-active");
        };
        std::fs::create_dir_all(store)
            .with_context(|| format!("--store: cannot make {}", store.display()))?;
        FileShelf::keep(&store.join("sessions")).context("--store")
    }

    fn discovery(&self) -> Option<Discovery> {
        let discovery = Discovery::multicast().group(self.discover?);
        Some(match &self.security_key {
            Some(key) => discovery.security_key(key),
            None => discovery,
        })
    }

    fn secrets(&self) -> anyhow::Result<Vec<String>> {
        let text = match &self.secret_file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?,
            None => std::env::var("MUSTER_SECRET").unwrap_or_default(),
        };
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn tls(&self) -> Option<BalancerTls> {
        let tls = BalancerTls::new(self.balancer_ca.as_ref()?);
        Some(match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => tls.certificate(certificate, key),
            _ => tls,
        })
    }

    fn agent(&self, route: &Route, address: SocketAddr) -> anyhow::Result<muster_agent::Builder> {
        let agent = Agent::builder().node_name(route.as_str()).listen(address);
        let agent = agent.session_draining(match self.session_draining {
            Draining::Default => SessionDraining::Default,
            Draining::Always => SessionDraining::Always,
            Draining::Never => SessionDraining::Never,
        });
        let agent = agent.status_interval(self.status_interval);
        let agent = self.balancer.iter().fold(agent, |agent, balancer| agent.balancer(balancer));
        let agent = match self.discovery() {
            Some(discovery) => agent.discovery(discovery),
            None if self.balancer.is_empty() => agent.balancer("127.0.0.1:6666"),
            None => agent,
        };
        let agent = self.alias.iter().fold(agent, |agent, alias| agent.alias(alias));
        let agent = self.domain.iter().fold(agent, |agent, domain| agent.domain(domain));
        let agent = self.balancer_name.iter().fold(agent, |agent, name| agent.balancer_name(name));
        let agent = agent.secrets(self.secrets()?);
        let agent = self.tls().into_iter().fold(agent, |agent, tls| agent.balancer_tls(tls));
        Ok(match (self.load, self.capacity) {
            (Some(load), _) => agent.fixed_load(load),
            (None, Some(full)) => agent.metric(LoadMetric::busyness().capacity(full)),
            (None, None) => agent,
        })
    }
}
