//! The farm: a balancer and its counters as real processes, each on ports that it keeps.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::binaries::{self, Missing};
use super::client::{Client, Failure};
use super::faults::Fault;
use super::mcmp;
use super::ports::free_address;
use super::process::{Process, ProcessError, Spec};
use super::wait::{Late, eventually};

/// Why something of the farm is not there.
#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    /// A program is not built.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A process is not there as wanted.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Something was waited for in vain.
    #[error(transparent)]
    Late(#[from] Late),
    /// A file or a port could not be had.
    #[error("the farm's files and ports: {0}")]
    System(#[from] io::Error),
    /// A program said that it listens, but not where.
    #[error("{name} does not say its address {what}")]
    Silent {
        /// The program.
        name: String,
        /// The missing word of its `listening` line.
        what: &'static str,
    },
}

/// A scratch folder in which processes live.
#[derive(Debug)]
pub struct Farm {
    folder: TempDir,
}

/// A running `muster`.
#[derive(Debug)]
pub struct Balancer {
    /// The process.
    pub process: Process,
    /// Where the public listens.
    pub http: SocketAddr,
    /// Where nodes register.
    pub mcmp: SocketAddr,
    /// Where operators look.
    pub manager: SocketAddr,
    /// Its configuration.
    pub file: PathBuf,
}

/// A running `counter`.
#[derive(Debug)]
pub struct Counter {
    /// The process.
    pub process: Process,
    /// Its node name.
    pub name: String,
    /// Where it answers itself.
    pub http: SocketAddr,
    /// The file with the `X-Request-Id` of each POST that it took, over all lives.
    pub request_log: PathBuf,
}

/// How a counter differs from the plain one.
#[derive(Debug, Clone, Default)]
pub struct CounterOptions {
    /// The load that it reports instead of measuring one.
    pub load: Option<u8>,
    /// Its failover group.
    pub domain: Option<String>,
    /// How often it reports; 1 s when not said.
    pub status_interval: Option<&'static str>,
    /// The multicast group where it finds its balancers; it is told of none then.
    pub discover: Option<String>,
    /// What its balancers know too.
    pub security_key: Option<String>,
    /// Further options of its command line.
    pub more: Vec<String>,
}

// === impl Farm ===

impl Farm {
    /// An empty farm. Its files go with it, unless `MUSTER_KEEP` is set.
    pub fn new() -> Result<Farm, FarmError> {
        let mut folder = tempfile::Builder::new().prefix("muster-farm-").tempdir()?;
        folder.disable_cleanup(std::env::var_os("MUSTER_KEEP").is_some());
        Ok(Farm { folder })
    }

    /// Its scratch folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Starts a balancer with the shipped defaults and whatever the TOML text changes; its
    /// listeners are on free ports, and a restart finds them again.
    pub async fn balancer(&self, toml: &str) -> Result<Balancer, FarmError> {
        self.balancer_at(toml, free_address()?).await
    }

    /// The same; nodes register at this address, where others than this machine's may reach it.
    pub async fn balancer_at(&self, toml: &str, mcmp: SocketAddr) -> Result<Balancer, FarmError> {
        let name = "muster".to_owned();
        let [http, manager] = [free_address()?, free_address()?];
        let file = self.folder().join(format!("muster-{}.toml", http.port()));
        fs::write(&file, toml)?;
        let mut arguments = vec!["run".to_owned(), "-c".to_owned(), file.display().to_string()];
        for (option, address) in [("--http", http), ("--mcmp", mcmp), ("--manager", manager)] {
            arguments.extend([option.to_owned(), address.to_string()]);
        }
        let program = binaries::find(&name)?;
        let process = self.start(&name, program, arguments).await?;
        let said = |what| {
            let silent = FarmError::Silent { name: name.clone(), what };
            process.listening(what).ok_or(silent)
        };
        let (http, mcmp, manager) = (said("http")?, said("mcmp")?, said("manager")?);
        Ok(Balancer { process, http, mcmp, manager, file })
    }

    /// Starts a counter that registers itself; that it is registered is another matter, see
    /// [`Balancer::await_usable`].
    pub async fn counter(
        &self,
        name: &str,
        balancer: &Balancer,
        options: &CounterOptions,
    ) -> Result<Counter, FarmError> {
        let address = free_address()?;
        let request_log = self.folder().join(format!("{name}.requests"));
        let interval = options.status_interval.unwrap_or("1s");
        let mut arguments: Vec<String> = Vec::new();
        let mut option = |key: &str, value: String| arguments.extend([key.to_owned(), value]);
        option("--node-name", name.to_owned());
        option("--port", address.port().to_string());
        match &options.discover {
            Some(group) => option("--discover", group.clone()),
            None => option("--balancer", balancer.mcmp.to_string()),
        }
        option("--status-interval", interval.to_owned());
        option("--request-log", request_log.display().to_string());
        if let Some(load) = options.load {
            option("--load", load.to_string());
        }
        if let Some(key) = &options.security_key {
            option("--security-key", key.clone());
        }
        if let Some(domain) = &options.domain {
            option("--domain", domain.clone());
        }
        arguments.extend(options.more.iter().cloned());
        let process = self.start(name, binaries::find("counter")?, arguments).await?;
        let silent = FarmError::Silent { name: name.to_owned(), what: "http" };
        let http = process.listening("http").ok_or(silent)?;
        Ok(Counter { process, name: name.to_owned(), http, request_log })
    }

    async fn start(
        &self,
        name: &str,
        program: PathBuf,
        arguments: Vec<String>,
    ) -> Result<Process, FarmError> {
        let folder = self.folder().to_owned();
        let spec = Spec { name: name.to_owned(), program, arguments, folder };
        Ok(Process::start(spec).await?)
    }
}

// === impl Balancer ===

impl Balancer {
    /// A client of the public listener.
    pub fn client(&self) -> Client {
        Client::new(self.http)
    }

    /// Lets it read another configuration (SIGHUP). Nothing is waited for.
    pub fn reload(&self, toml: &str) -> Result<(), FarmError> {
        fs::write(&self.file, toml)?;
        Ok(self.process.inflict(Fault::HangUp)?)
    }

    /// Lets a new process take over (SIGUSR2), waits until it serves and the old one has gone, and
    /// gives its id. From then on it is the balancer's process.
    pub async fn upgrade(&mut self, within: Duration) -> Result<u32, FarmError> {
        Ok(self.process.succeed(within).await?)
    }

    /// Waits until INFO shows each of these nodes with a load that takes traffic.
    pub async fn await_usable(&self, routes: &[&str], within: Duration) -> Result<(), Late> {
        let mcmp = self.mcmp;
        eventually(&format!("{routes:?} are usable"), within, || async move {
            let nodes = mcmp::nodes(mcmp).await.map_err(|e| e.to_string())?;
            let usable = |route: &&str| nodes.iter().any(|n| n.name == **route && n.load > 0);
            match routes.iter().all(usable) {
                true => Ok(()),
                false => Err(format!("{nodes:?}")),
            }
        })
        .await
    }

    /// A number that `/metrics` shows, by its name with labels as it stands there; 0 where it is
    /// not there.
    pub async fn metric(&self, name: &str) -> Result<f64, Failure> {
        let shown = Client::new(self.manager).get("/metrics").await?.text();
        let value = shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0))
    }

    /// Waits until a number that `/metrics` shows is as wanted.
    pub async fn await_metric(
        &self,
        name: &str,
        within: Duration,
        is_wanted: impl Fn(f64) -> bool,
    ) -> Result<(), Late> {
        eventually(&format!("{name} is as wanted"), within, async || {
            let value = self.metric(name).await.map_err(|error| error.to_string())?;
            if is_wanted(value) { Ok(()) } else { Err(value.to_string()) }
        })
        .await
    }

    /// Waits until requests for this context find a node.
    pub async fn await_served(&self, path: &str, within: Duration) -> Result<(), Late> {
        let http = self.http;
        eventually(&format!("{path} is served"), within, || async move {
            let answer = Client::new(http).get(path).await.map_err(|e| e.to_string())?;
            match answer.status.is_success() {
                true => Ok(()),
                false => Err(format!("{} {}", answer.status, answer.text())),
            }
        })
        .await
    }

    /// Waits until INFO no longer shows this node.
    pub async fn await_gone(&self, route: &str, within: Duration) -> Result<(), Late> {
        let mcmp = self.mcmp;
        eventually(&format!("{route} is gone"), within, || async move {
            let nodes = mcmp::nodes(mcmp).await.map_err(|e| e.to_string())?;
            match nodes.iter().all(|n| n.name != route) {
                true => Ok(()),
                false => Err(format!("{nodes:?}")),
            }
        })
        .await
    }
}

// === impl Counter ===

impl Counter {
    /// The ids of the POSTs that it took, in order, over all its lives.
    pub fn request_ids(&self) -> Vec<String> {
        let log = fs::read_to_string(&self.request_log).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}
