//! The arguments that make a process a member of a cluster: the same ones for every example.
//!
//! ```
//! use clap::Parser;
//! #[derive(Parser)]
//! struct Options {
//!     #[command(flatten)]
//!     node: muster_examples::clustered::Node,
//! }
//! let options = Options::parse_from(["x", "--clustered", "--node-name", "two", "--offset", "100"]);
//! assert_eq!(options.node.name().unwrap(), "two");
//! ```

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use muster_agent::{Cluster, ClusterBuilder};

/// Who this process is, where it listens, and the cluster it is in, if it is in one.
#[derive(Debug, Clone, Args)]
pub struct Node {
    /// Be a member of the cluster whose members find each other: on this machine, unless --bind says more
    #[arg(long)]
    pub clustered: bool,
    /// The node's name [default: the host's name]
    #[arg(long)]
    pub node_name: Option<String>,
    /// Added to every port, so that several nodes share a machine
    #[arg(long, default_value_t = 0)]
    pub offset: u16,
    /// The address to bind; beyond loopback a cluster needs a secret or certificates
    #[arg(short, long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Where the node's identity is kept; without it the node is a new one at each start
    #[arg(long, value_name = "DIRECTORY", requires = "clustered")]
    pub data_dir: Option<PathBuf>,
    /// The cluster's name [default: muster]
    #[arg(long, value_name = "NAME", requires = "clustered")]
    pub cluster_name: Option<String>,
    /// The cluster's port, to which the offset is added; 0 for any free one [default: 7700]
    #[arg(long, value_name = "PORT", requires = "clustered")]
    pub cluster_port: Option<u16>,
    /// Where the others reach this node, if not where it listens
    #[arg(long, value_name = "HOST:PORT", requires = "clustered")]
    pub cluster_address: Option<String>,
    /// Find the others here, and not by multicast
    #[arg(long, value_name = "HOST:PORT", num_args = 1.., requires = "clustered")]
    pub cluster_member: Vec<String>,
    /// How many members must agree before anything is written [default: no quorum]
    #[arg(long, value_name = "MEMBERS", requires_all = ["clustered", "data_dir"])]
    pub cluster_quorum: Option<u16>,
    /// File with the secret that all members know
    #[arg(long, value_name = "FILE", requires = "clustered")]
    pub cluster_secret_file: Option<PathBuf>,
    /// Show members this certificate (a PEM file): mutual TLS, beside a secret or in its place
    #[arg(long, value_name = "FILE", requires_all = ["clustered", "cluster_key", "cluster_ca"])]
    pub cluster_certificate: Option<PathBuf>,
    /// The private key of the cluster's certificate (a PEM file)
    #[arg(long, value_name = "FILE", requires = "cluster_certificate")]
    pub cluster_key: Option<PathBuf>,
    /// The cluster's own authority (a PEM file): whoever has a certificate of it is a member
    #[arg(long, value_name = "FILE", requires = "cluster_certificate")]
    pub cluster_ca: Option<PathBuf>,
}

// === impl Node ===

impl Node {
    /// The node's name: the host's where none is given.
    ///
    /// # Errors
    /// When the host tells none.
    pub fn name(&self) -> anyhow::Result<String> {
        match &self.node_name {
            Some(name) => Ok(name.clone()),
            None => std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map(|name| name.trim().to_owned())
                .context("this host tells no name: give --node-name"),
        }
    }

    /// One of the node's ports with its offset; 0 stays 0, for any free one.
    ///
    /// # Errors
    /// When there is no such port.
    pub fn port(&self, port: u16) -> anyhow::Result<u16> {
        match port {
            0 => Ok(0),
            port => port.checked_add(self.offset).context("--offset is too large"),
        }
    }

    /// The settings of the member that these arguments describe, to which more can be added.
    ///
    /// # Errors
    /// When the host tells no name and none is given.
    pub fn builder(&self) -> anyhow::Result<ClusterBuilder> {
        let member = Cluster::builder(self.name()?).offset(self.offset);
        let member = member.bind(self.bind).manage_bind(self.bind);
        let member = match &self.cluster_secret_file {
            Some(file) => member.secret_file(file),
            None => member,
        };
        let member = match (&self.cluster_certificate, &self.cluster_key, &self.cluster_ca) {
            (Some(certificate), Some(key), Some(ca)) => member.tls(certificate, key, ca),
            _ => member,
        };
        let member = match &*self.cluster_member {
            [] => member,
            others => member.members(others),
        };
        let address = self.cluster_address.iter();
        let member = address.fold(member, |member, address| member.advertised(address));
        let member = self.cluster_name.iter().fold(member, |member, name| member.cluster(name));
        let member = self.cluster_port.iter().fold(member, |member, port| member.port(*port));
        let member = self.cluster_quorum.iter().fold(member, |member, least| member.quorum(*least));
        Ok(self.data_dir.iter().fold(member, |member, directory| member.data_dir(directory)))
    }

    /// Comes into the cluster; without `--clustered` it is a cluster of this process alone.
    ///
    /// # Errors
    /// When it cannot come in, and says why.
    pub async fn join(&self) -> anyhow::Result<Cluster> {
        match self.clustered {
            true => Ok(self.builder()?.join().await?),
            false => Ok(self.builder()?.local()),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Options {
        #[command(flatten)]
        node: Node,
    }

    async fn why_not(args: &str) -> String {
        let options = Options::try_parse_from(std::iter::once("x").chain(args.split(' ')));
        match options {
            Err(error) => error.to_string(),
            Ok(options) => options.node.join().await.err().map(|error| error.to_string()).unwrap(),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_in_words_that_name_the_argument() {
        let open = why_not("--clustered -b 192.0.2.1").await;
        assert!(open.contains("secret"), "{open}");
        let beyond = why_not("--clustered --offset 60000").await;
        assert!(beyond.contains("offset") && beyond.contains("60000"), "{beyond}");
        let missing = why_not("--clustered --cluster-secret-file /nowhere/secret").await;
        assert!(missing.contains("/nowhere/secret"), "{missing}");
        let alone = why_not("--cluster-name shop").await;
        assert!(alone.contains("--clustered"), "{alone}");
        let half = why_not("--clustered --cluster-certificate a.pem").await;
        assert!(half.contains("--cluster-key") && half.contains("--cluster-ca"), "{half}");
    }

    #[tokio::test]
    async fn without_clustered_it_is_a_cluster_of_one_process() {
        let options = Options::try_parse_from(["x", "--node-name", "one"]).unwrap();
        let cluster = options.node.join().await.unwrap();
        assert_eq!((cluster.engine().name(), &*cluster.me().name), ("local", "one"));
    }
}
