//! Settings of a member as the user says them, and the way in.

mod managed;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_protocol::cluster::{ClusterName, PeerAddress};
use muster_protocol::signature::{Secret, Secrets};
use thiserror::Error;

use super::Cluster;
use crate::engine::{Embedded, Local};
use crate::finding::{self, Files, Finder, Finding, Fixed, Multicast, Names, Rendezvous};
use crate::manage;
use crate::node::{self, MutualTls, Node, NodeError, NodeSettings};
use managed::Manage;

/// The cluster's port, to which the offset is added.
pub const PORT: u16 = 7700;

/// How long a member that joins waits for the cluster's settings.
const SETTINGS: Duration = Duration::from_secs(5);

/// Settings of a cluster's member. A bad value is no error until [`join`](ClusterBuilder::join).
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use muster_agent::Cluster;
/// let cluster = Cluster::builder("node2").offset(100).data_dir("/var/lib/shop").join().await?;
/// println!("{} members", cluster.view().members.len());
/// # cluster.leave().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ClusterBuilder {
    name: String,
    cluster: String,
    bind: IpAddr,
    port: u16,
    offset: u16,
    advertised: Option<String>,
    data_dir: Option<PathBuf>,
    secret: Option<Known>,
    tls: Option<MutualTls>,
    quorum: Option<u16>,
    owners: u8,
    weight: u16,
    segments: u16,
    detection: Duration,
    finders: Option<Vec<Finder>>,
    manage: Manage,
    patience: Duration,
    is_passivation_capable: bool,
}

/// Where the cluster's secret stands.
#[derive(Clone)]
enum Known {
    Text(String),
    File(PathBuf),
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("********"),
            Self::File(path) => path.fmt(f),
        }
    }
}

/// Why a member is not in the cluster. Nothing of it runs then.
#[derive(Debug, Error)]
pub enum JoinError {
    /// A setting is not possible.
    #[error("{field} has the bad value {value:?}: {why}")]
    BadValue {
        /// Which.
        field: &'static str,
        /// Its value; a secret's is not told.
        value: String,
        /// What would be right.
        why: String,
    },
    /// The secret's file cannot be read.
    #[error("the cluster's secret cannot be read from {path}: {error}")]
    SecretFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It cannot listen, has no data directory for itself, or would be open to strangers.
    #[error("{0}")]
    Start(String),
    /// The member's management cannot be had.
    #[error(transparent)]
    Management(#[from] manage::StartError),
    /// Members cannot be looked for in this way.
    #[error(transparent)]
    Finding(#[from] finding::Unusable),
    /// The others do not let it in: such as for a name that another member has.
    #[error("the cluster does not take this member in: {0}")]
    Refused(String),
    /// It was not in a view in time: with a quorum, too few members may be there.
    #[error("no view within {0:?}: with a quorum, too few members may be there")]
    Late(Duration),
}

// === impl ClusterBuilder: who and where ===

impl ClusterBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            cluster: "muster".to_owned(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: PORT,
            offset: 0,
            advertised: None,
            data_dir: None,
            secret: None,
            tls: None,
            quorum: None,
            owners: 2,
            weight: 100,
            segments: 256,
            detection: Duration::from_secs(2),
            finders: None,
            manage: Manage::default(),
            patience: Duration::from_secs(60),
            is_passivation_capable: true,
        }
    }

    /// The name of the cluster: members of others are not found and not let in. Letters, digits,
    /// `.`, `_` and `-`, at most 63. Default: `muster`.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// The address to listen at. Default: 127.0.0.1. Any other than loopback needs a secret: else
    /// everybody in that network could join, and the start is refused.
    pub fn bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.bind = address.into();
        self
    }

    /// The port to listen at, to which the offset is added; 0 takes a free one. Default: 7700.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Is added to the port, so that several members share a machine. Default: 0.
    pub fn offset(mut self, offset: u16) -> Self {
        self.offset = offset;
        self
    }

    /// `host:port` at which the others reach this member, where that is not where it listens.
    pub fn advertised(mut self, address: impl Into<String>) -> Self {
        self.advertised = Some(address.into());
        self
    }

    /// Where the node's identity and its promises are kept. One process at a time has it. Without
    /// one it is a new node at each start; with a cluster quorum it needs one.
    pub fn data_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(directory.into());
        self
    }

    /// What all members know and nobody else, 16 to 255 bytes. It is never sent: members prove that
    /// they know it.
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(Known::Text(secret.into()));
        self
    }

    /// A file with the secret; white space at its ends does not count.
    pub fn secret_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.secret = Some(Known::File(path.into()));
        self
    }

    /// Mutual TLS with PEM files, beside a secret or in its place: this node's certificate, good
    /// for clients and for servers, its key, and the cluster's own authority. Whoever has a
    /// certificate of that authority is a member.
    pub fn tls(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authority: impl Into<PathBuf>,
    ) -> Self {
        let (certificate, key, ca) = (certificate.into(), key.into(), authority.into());
        self.tls = Some(MutualTls { certificate, key, ca });
        self
    }
}

// === impl ClusterBuilder: data ===

impl ClusterBuilder {
    /// Whether stateful components are kept by other members too and may be passivated, where they
    /// do not say so themselves ([`crate::component::ComponentsBuilder::passivation_capable`]).
    /// Default: yes.
    pub fn passivation_capable(mut self, is_capable: bool) -> Self {
        self.is_passivation_capable = is_capable;
        self
    }

    /// How many members must agree before a view stands and anything is written: more than half of
    /// those that will ever be. Then two sides of a split never both serve. It counts for a cluster
    /// that this member founds; a change of it is an operator's wish. Default: none.
    pub fn quorum(mut self, members: u16) -> Self {
        self.quorum = Some(members);
        self
    }

    /// How many members keep an entry of a distributed cache, in a cluster that this member founds.
    /// Default: 2.
    pub fn owners(mut self, owners: u8) -> Self {
        self.owners = owners;
        self
    }

    /// This member's share of the data beside the others', 1 to 1000. Default: 100.
    pub fn weight(mut self, weight: u16) -> Self {
        self.weight = weight;
        self
    }

    /// Into how many segments each table is cut, in a cluster that this member founds, 1 to 4096.
    /// Default: 256.
    pub fn segments(mut self, segments: u16) -> Self {
        self.segments = segments;
        self
    }

    /// How long a member may be silent before it is out, 200 ms to 60 s. A member that finds nobody
    /// founds a cluster after this time. Default: 2 s.
    pub fn detection(mut self, detection: Duration) -> Self {
        self.detection = detection;
        self
    }
}

// === impl ClusterBuilder: finding ===

impl ClusterBuilder {
    /// Finds the others by multicast: the default where no other way is named.
    pub fn multicast(self, multicast: Multicast) -> Self {
        self.find(Finder::Multicast(multicast))
    }

    /// Finds the others by a list of `host:port`; its own address may be among them.
    pub fn members(self, addresses: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.find(Finder::Fixed(Fixed::new(addresses)))
    }

    /// Finds the others by a name of DNS with a port, `host:port`, resolved again and again.
    pub fn dns(self, name: impl Into<String>) -> Self {
        self.find(Finder::Names(Names::new(name)))
    }

    /// Finds the others by a directory that all share.
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        self.find(Finder::Files(Files::new(directory)))
    }

    /// Finds the others by the balancers: give the same one to
    /// [`Builder::rendezvous`](crate::Builder::rendezvous) of the agent.
    pub fn rendezvous(self, rendezvous: &Rendezvous) -> Self {
        self.find(Finder::Balancers(rendezvous.clone()))
    }

    /// Finds the others in one more way.
    pub fn find(mut self, finder: Finder) -> Self {
        self.finders.get_or_insert_default().push(finder);
        self
    }

    /// Looks for nobody: others must find this member.
    pub fn find_nobody(mut self) -> Self {
        self.finders = Some(Vec::new());
        self
    }

    /// How long [`join`](ClusterBuilder::join) may take. Default: 60 s.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

// === impl ClusterBuilder: the way in ===

impl ClusterBuilder {
    /// One process without a network: its caches of every mode are its own, and gone with it. It
    /// must be called within a tokio runtime.
    #[must_use]
    pub fn local(self) -> Cluster {
        tracing::info!(
            node = self.name,
            "not clustered: caches of every mode are kept in this process alone"
        );
        let engine = Arc::new(Local::new(&self.name));
        let data_dir = self.data_dir.as_deref();
        Cluster::with(engine, None, None, data_dir, self.is_passivation_capable)
    }

    /// Starts a member and returns when it is in a view: in that of the others, or, when it has
    /// found nobody within the detection time, in its own. Members that found a cluster each find
    /// each other later and become one.
    ///
    /// # Errors
    /// See [`JoinError`]: nothing runs then.
    pub async fn join(self) -> Result<Cluster, JoinError> {
        let secret = self.known_secret()?;
        let settings = self.node_settings(secret.as_ref())?;
        let cluster: ClusterName = parsed("cluster", &self.cluster)?;
        let node = Node::start(settings).await.map_err(JoinError::from)?;
        let joined = self.enter(&node, cluster, secret).await;
        if joined.is_err() {
            node.stop().await;
        }
        joined
    }

    async fn enter(
        &self,
        node: &Node,
        cluster: ClusterName,
        secret: Option<Secret>,
    ) -> Result<Cluster, JoinError> {
        let engine = Arc::new(Embedded::new(node.clone(), self.owners));
        let management = self.start_management(node, &engine, secret.as_ref()).await?;
        let finding = self.start_finding(node, cluster, secret)?;
        match tokio::time::timeout(self.patience, engine.joined()).await {
            Ok(Ok(())) => {
                let leaving = engine.leaving();
                let is_capable = self.is_passivation_capable;
                let data_dir = self.data_dir.as_deref();
                let cluster = Cluster::with(engine, finding, management, data_dir, is_capable);
                cluster.stop_finding_when(leaving);
                // One read as a rule. Who waits no longer is told of the settings when they come.
                let _ = tokio::time::timeout(SETTINGS, cluster.settings().read()).await;
                Ok(cluster)
            }
            Ok(Err(why)) => Err(JoinError::Refused(why)),
            Err(_) => Err(JoinError::Late(self.patience)),
        }
    }

    fn start_finding(
        &self,
        node: &Node,
        cluster: ClusterName,
        secret: Option<Secret>,
    ) -> Result<Finding, JoinError> {
        let address: PeerAddress = parsed("the advertised address", node.address())?;
        let me = node.me();
        let (node_id, incarnation) = (me.node.0, me.incarnation);
        let me = finding::Me { cluster, node: node_id, incarnation, address };
        let finders = match &self.finders {
            Some(finders) => finders.clone(),
            None => vec![Finder::Multicast(Multicast::default())],
        };
        let secrets = secret.map(|secret| Secrets::new([secret]));
        let found = {
            let node = node.clone();
            move |address: &str| node.found(address)
        };
        Ok(finding::start(me, secrets, finders, found)?)
    }

    fn known_secret(&self) -> Result<Option<Secret>, JoinError> {
        let text = match &self.secret {
            None => return Ok(None),
            Some(Known::Text(text)) => text.clone(),
            Some(Known::File(path)) => std::fs::read_to_string(path)
                .map_err(|error| JoinError::SecretFile { path: path.clone(), error })?,
        };
        let secret =
            text.trim().parse().map_err(|error: muster_protocol::signature::BadSecret| {
                bad("the cluster's secret", "********", &error)
            })?;
        Ok(Some(secret))
    }

    fn node_settings(&self, secret: Option<&Secret>) -> Result<NodeSettings, JoinError> {
        let port = with_offset(self.port, self.offset)?;
        let secret = secret.map(node_secret).transpose()?;
        Ok(NodeSettings {
            cluster: self.cluster.clone(),
            bind: SocketAddr::new(self.bind, port),
            advertised: self.advertised.clone(),
            data_dir: self.data_dir.clone(),
            secret,
            tls: self.tls.clone(),
            quorum: self.quorum,
            owners: self.owners,
            weight: self.weight,
            segments: self.segments,
            detection: self.detection,
            ..NodeSettings::new(&self.name)
        })
    }
}

/// The host's name is the node's.
impl Default for ClusterBuilder {
    fn default() -> Self {
        let host = rustix::system::uname();
        Self::new(host.nodename().to_string_lossy().into_owned())
    }
}

/// A port with the offset; 0 stays 0.
fn with_offset(port: u16, offset: u16) -> Result<u16, JoinError> {
    match (port, port.checked_add(offset)) {
        (0, _) => Ok(0),
        (_, Some(port)) => Ok(port),
        (port, None) => {
            let why = format!("with port {port} it is beyond 65535");
            Err(bad("offset", &offset.to_string(), &why))
        }
    }
}

fn node_secret(secret: &Secret) -> Result<node::Secret, JoinError> {
    node::Secret::new(secret.bytes())
        .map_err(|error| bad("the cluster's secret", "********", &error))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    field: &'static str,
    value: &str,
) -> Result<T, JoinError> {
    value.parse().map_err(|why| bad(field, value, &why))
}

fn bad(field: &'static str, value: &str, why: &dyn std::fmt::Display) -> JoinError {
    JoinError::BadValue { field, value: value.to_owned(), why: why.to_string() }
}

impl From<NodeError> for JoinError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::BadValue { field, value, why } => Self::BadValue { field, value, why },
            other => Self::Start(other.to_string()),
        }
    }
}
