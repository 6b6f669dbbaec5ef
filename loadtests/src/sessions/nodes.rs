//! Clustered counters behind one balancer, on loopback or each in a network namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use muster_protocol::cluster::report::SegmentsReport;
use tokio::process::Command;

use crate::cluster::herd::HerdError;
use crate::testkit::binaries;
use crate::testkit::farm::{Balancer, Farm, FarmError};
use crate::testkit::netns::Net;
use crate::testkit::ports::free_address;
use crate::testkit::process::{Process, Spec};
use crate::testkit::wait::{Late, eventually};

/// How long anything may take that is not measured: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The ports of a node without an offset: HTTP, the cluster, its management.
const PORTS: [u16; 3] = [8080, 7700, 7790];
/// The host's end of the bridge between namespaces.
const HOST: usize = 254;

/// What the nodes are like.
#[derive(Debug, Clone)]
pub struct NodesPlan {
    /// How many.
    pub count: usize,
    /// Whether each has a namespace of its own.
    pub is_apart: bool,
    /// How many of them must agree.
    pub quorum: Option<u16>,
    /// What the balancer is told beside the defaults.
    pub toml: String,
    /// The counter that is started; this build's where none is named.
    pub program: Option<PathBuf>,
    /// Further arguments of each node.
    pub more: Vec<String>,
}

/// A balancer and its nodes.
#[derive(Debug)]
pub struct Nodes {
    /// The nodes, `a` first.
    pub nodes: Vec<Node>,
    /// The balancer.
    pub balancer: Balancer,
    /// What joins the nodes, where they are apart.
    pub net: Option<Net>,
    secret: Option<PathBuf>,
    // Last: the others live in its folder.
    farm: Farm,
}

/// A clustered counter.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub process: Process,
    /// Its name.
    pub name: String,
    /// Where it answers itself.
    pub http: SocketAddr,
    /// Where its management is.
    pub manage: SocketAddr,
}

// === impl NodesPlan ===

impl NodesPlan {
    /// Three on loopback.
    pub fn three() -> NodesPlan {
        NodesPlan {
            count: 3,
            is_apart: false,
            quorum: None,
            toml: String::new(),
            program: None,
            more: Vec::new(),
        }
    }
}

// === impl Nodes ===

impl Nodes {
    /// Starts all of them and waits until they are one cluster that the balancer serves from.
    ///
    /// # Errors
    /// When one does not start, or they do not come together.
    pub async fn start(plan: &NodesPlan) -> Result<Nodes, HerdError> {
        let farm = Farm::new()?;
        let net = match plan.is_apart {
            true => Some(Net::up(plan.count, farm.folder())?),
            false => None,
        };
        // Beyond loopback nobody is heard without a secret.
        let (balancer, secret) = match &net {
            Some(net) => {
                let file = farm.folder().join("secret");
                std::fs::write(&file, "what the members of this cluster know\n")?;
                let at = net.address(HOST);
                let mcmp = SocketAddr::from((at, free_address()?.port()));
                let network = net.address(0);
                let lock = format!(
                    "allow = [\"{network}/24\"]\nallow_unsigned = [\"{at}/32\"]\n\
                     secret_file = {file:?}\n"
                );
                let toml = format!("{}\n[mcmp]\n{lock}", plan.toml);
                (farm.balancer_at(&toml, mcmp).await?, Some(file))
            }
            None => (farm.balancer(&plan.toml).await?, None),
        };
        let mut places = Vec::new();
        for number in 1..=plan.count {
            places.push(Place::of(number, net.as_ref())?);
        }
        let mut nodes = Nodes { nodes: Vec::new(), balancer, net, secret, farm };
        // All at once: with a quorum the first is not in before others are there.
        let starts = (0..plan.count).map(|at| nodes.start_node(plan, &places, at));
        nodes.nodes = try_join_all(starts).await?;
        nodes.await_whole().await?;
        Ok(nodes)
    }

    async fn start_node(
        &self,
        plan: &NodesPlan,
        places: &[Place],
        at: usize,
    ) -> Result<Node, HerdError> {
        let name = ["a", "b", "c", "d", "e"].get(at).copied().unwrap_or("z").to_owned();
        let place = places[at];
        let mut arguments = vec!["--clustered".to_owned()];
        let mut option = |key: &str, value: String| arguments.extend([key.to_owned(), value]);
        option("--node-name", name.clone());
        option("--offset", place.offset.to_string());
        option("--bind", place.address.to_string());
        option("--balancer", self.balancer.mcmp.to_string());
        option("--status-interval", "1s".to_owned());
        option("--data-dir", self.farm.folder().join(&name).display().to_string());
        for other in places.iter().enumerate().filter(|(other, _)| *other != at) {
            option("--cluster-member", other.1.port(PORTS[1]).to_string());
        }
        if let Some(quorum) = plan.quorum {
            option("--cluster-quorum", quorum.to_string());
        }
        if let Some(file) = &self.secret {
            option("--cluster-secret-file", file.display().to_string());
            option("--secret-file", file.display().to_string());
        }
        arguments.extend(plan.more.iter().cloned());
        let spec = Spec {
            name: name.clone(),
            program: match &plan.program {
                Some(program) => program.clone(),
                None => binaries::find("counter").map_err(FarmError::from)?,
            },
            arguments,
            folder: self.farm.folder().to_owned(),
        };
        let spec = match &self.net {
            Some(net) => net.inside(at + 1, spec),
            None => spec,
        };
        let process = Process::start(spec).await.map_err(FarmError::from)?;
        let (http, manage) = (place.port(PORTS[0]), place.port(PORTS[2]));
        Ok(Node { process, name, http, manage })
    }

    /// Waits until every node is in the cluster and has all of its data, and the balancer uses all.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn await_whole(&self) -> Result<(), Late> {
        let names: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
        self.balancer.await_usable(&names, PATIENCE).await?;
        eventually("every row has its owners", PATIENCE, || async {
            let mut views = Vec::new();
            for node in &self.nodes {
                views.push(self.segments(node).await?);
            }
            let first = &views[0];
            if views.iter().any(|view| view.view != first.view) {
                return Err(format!("{:?}", views.iter().map(|view| &view.view)));
            }
            let missing = |table: &muster_protocol::cluster::report::TableReport| {
                let copies = table.copies.map_or(names.len(), usize::from).min(names.len());
                let lacks = |segment: &&muster_protocol::cluster::report::SegmentReport| {
                    segment.owners.len() < copies || !segment.pending.is_empty()
                };
                table.segments.iter().filter(lacks).count()
            };
            match first.tables.iter().map(missing).sum::<usize>() {
                0 if !first.tables.is_empty() => Ok(()),
                some => Err(format!("{some} rows are not whole in {}", first.view)),
            }
        })
        .await
    }

    /// What a node says of who keeps what.
    ///
    /// # Errors
    /// What the command line says.
    pub async fn segments(&self, node: &Node) -> Result<SegmentsReport, String> {
        let mut command = Command::new(binaries::find("muster").map_err(|e| e.to_string())?);
        command.args(["cluster", "segments", "--json", "--at"]);
        command.arg(format!("http://{}", node.manage));
        if let Some(file) = &self.secret {
            command.arg("--secret-file").arg(file);
        }
        let output = command.kill_on_drop(true).output().await.map_err(|e| e.to_string())?;
        let error = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).map_err(|_| format!("{}: {}", node.name, error()))
    }
}

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
struct Place {
    address: IpAddr,
    offset: u16,
}

// === impl Place ===

impl Place {
    fn of(number: usize, net: Option<&Net>) -> std::io::Result<Place> {
        if let Some(net) = net {
            return Ok(Place { address: net.address(number).into(), offset: 0 });
        }
        loop {
            let free = free_address()?.port();
            let place = Place { address: Ipv4Addr::LOCALHOST.into(), offset: free - PORTS[0] };
            let is_free = |port| std::net::TcpListener::bind(place.port(port)).is_ok();
            if PORTS.into_iter().all(is_free) {
                return Ok(place);
            }
        }
    }

    fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port + self.offset)
    }
}
