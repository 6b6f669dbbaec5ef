//! Asks a node whether it is there: `OPTIONS *` for HTTP (reference: contexts, nodes and load).
//!
//! Any HTTP answer will do, for it shows that the process serves. So will a connection that the
//! node ends in order without a word: small servers do that to `OPTIONS *`, and one that is dead
//! or frozen cannot. A node whose scheme the balancer does not speak yet never answers, and the
//! log says why, once for each address.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_protocol::mcmp::{Address, Scheme};
use muster_protocol::names::NodeHost;
use muster_routing::health::Probed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Most probes under way at once.
const MAX_PROBES: usize = 256;

/// Most addresses that are remembered as unspeakable, so that each is logged once.
const MAX_WARNED: usize = 10_000;

/// What every HTTP answer begins with.
const ANSWER: &[u8] = b"HTTP/";

type Names = std::collections::HashMap<(NodeHost, u16), SocketAddr>;

/// Asks nodes, and remembers where host names lead.
#[derive(Debug)]
pub struct Prober {
    /// The bound of a probe where the node names no shorter one.
    within: Duration,
    names: ArcSwap<Names>,
    permits: Semaphore,
    warned: Mutex<HashSet<Address>>,
}

/// How long a probe takes at most, where nothing else is configured.
const WITHIN: Duration = Duration::from_secs(2);

impl Default for Prober {
    fn default() -> Self {
        Prober::new(WITHIN)
    }
}

impl Prober {
    /// Probes take `within` at most; a node's own `ping` may shorten that.
    pub fn new(within: Duration) -> Prober {
        Prober {
            within,
            names: ArcSwap::default(),
            permits: Semaphore::new(MAX_PROBES),
            warned: Mutex::default(),
        }
    }

    /// Asks once. `ping` is the node's own bound; zero means that it has none.
    pub async fn probe(&self, address: &Address, ping: Duration) -> Probed {
        let Ok(_permit) = self.permits.acquire().await else { return Probed::TimedOut };
        let within = if ping.is_zero() { self.within } else { ping.min(self.within) };
        match timeout(within, self.ask(address)).await {
            Ok(Ok(())) => Probed::Answered,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "node does not answer its probe");
                Probed::Refused
            }
            Err(_) => Probed::TimedOut,
        }
    }

    /// Where to connect to; `None` while a host name leads nowhere. Does not wait.
    pub fn socket(&self, address: &Address) -> Option<SocketAddr> {
        let host = address.host.as_str();
        match ip_of(host) {
            Some(ip) => Some(SocketAddr::new(ip, address.port)),
            None => self.names.load().get(&(address.host.clone(), address.port)).copied(),
        }
    }

    /// Looks the address's host name up, if it is one. A failure keeps what was known.
    pub async fn resolve(&self, address: &Address) -> Option<SocketAddr> {
        let host = address.host.as_str();
        if let Some(ip) = ip_of(host) {
            return Some(SocketAddr::new(ip, address.port));
        }
        let found = lookup_host((bare(host), address.port)).await.ok()?;
        // An IPv4 address first: a node that listens on 0.0.0.0 does not hear ::1.
        let found = found.min_by_key(|socket| socket.is_ipv6())?;
        if self.socket(address) != Some(found) {
            self.names.rcu(|names| {
                let mut names = Names::clone(names);
                names.insert((address.host.clone(), address.port), found);
                names
            });
        }
        Some(found)
    }

    /// Forgets host names that no node has any more.
    pub fn keep_names(&self, is_used: impl Fn(&NodeHost, u16) -> bool) {
        let names = self.names.load();
        if names.keys().any(|(host, port)| !is_used(host, *port)) {
            let used = |((host, port), _): &(&(NodeHost, u16), &SocketAddr)| is_used(host, *port);
            let kept = names.iter().filter(used).map(|(name, at)| (name.clone(), *at));
            self.names.store(std::sync::Arc::new(kept.collect()));
        }
    }

    async fn ask(&self, address: &Address) -> std::io::Result<()> {
        match address.scheme {
            Scheme::Http => {}
            Scheme::Ajp | Scheme::Https | Scheme::H2 | Scheme::H2c => {
                self.warn_once(address);
                return Err(std::io::ErrorKind::Unsupported.into());
            }
        }
        let socket = self.resolve(address).await.ok_or(std::io::ErrorKind::HostUnreachable)?;
        let mut stream = TcpStream::connect(socket).await?;
        let Address { host, port, .. } = address;
        let request = format!(
            "OPTIONS * HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: muster-probe\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut start = Vec::with_capacity(ANSWER.len());
        stream.take(ANSWER.len() as u64).read_to_end(&mut start).await?;
        match start == ANSWER || start.is_empty() {
            true => Ok(()),
            false => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }

    fn warn_once(&self, address: &Address) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MAX_WARNED && warned.insert(address.clone()) {
            tracing::warn!(
                %address,
                "this version speaks HTTP/1.1 to nodes; give the worker an http connector"
            );
        }
    }
}

fn ip_of(host: &str) -> Option<std::net::IpAddr> {
    bare(host).parse().ok()
}

/// An IPv6 address stands in brackets; one with a zone is a name to look up.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16, scheme: Scheme) -> Address {
        Address { scheme, host: host.parse().unwrap(), port }
    }

    async fn answering(bytes: &'static [u8]) -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut seen = [0; 1024];
                let _ = stream.read(&mut seen).await;
                let _ = stream.write_all(bytes).await;
            }
        });
        port
    }

    const SOON: Duration = Duration::from_millis(300);
    const NONE: Duration = Duration::ZERO;

    #[tokio::test]
    async fn any_http_answer_shows_that_a_node_is_there() {
        let prober = Prober::new(SOON);
        let port = answering(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
        let at = |host| address(host, port, Scheme::Http);
        assert_eq!(prober.probe(&at("127.0.0.1"), NONE).await, Probed::Answered);
        assert_eq!(prober.socket(&at("localhost")), None);
        assert_eq!(prober.probe(&at("localhost"), NONE).await, Probed::Answered);
        assert_eq!(prober.socket(&at("localhost")).map(|socket| socket.port()), Some(port));
        prober.keep_names(|_, _| false);
        assert_eq!(prober.socket(&at("localhost")), None);
    }

    #[tokio::test]
    async fn a_server_that_knows_no_options_ends_the_connection_and_is_there() {
        let port = answering(b"").await;
        let found = Prober::new(SOON).probe(&address("127.0.0.1", port, Scheme::Http), NONE).await;
        assert_eq!(found, Probed::Answered);
    }

    #[tokio::test]
    async fn garbage_a_closed_port_and_a_scheme_that_is_not_spoken_are_refusals() {
        let prober = Prober::new(SOON);
        let port = answering(b"SSH-2.0-OpenSSH\r\n").await;
        let garbage = prober.probe(&address("127.0.0.1", port, Scheme::Http), NONE).await;
        assert_eq!(garbage, Probed::Refused);
        let ajp = prober.probe(&address("127.0.0.1", port, Scheme::Ajp), NONE).await;
        assert_eq!(ajp, Probed::Refused);
        let free =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let closed = prober.probe(&address("127.0.0.1", free.port(), Scheme::Http), NONE).await;
        assert_eq!(closed, Probed::Refused);
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = Prober::new(SOON).probe(&address("127.0.0.1", port, Scheme::Http), NONE).await;
        assert_eq!(found, Probed::TimedOut);
    }
}
