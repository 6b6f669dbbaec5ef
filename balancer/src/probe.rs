//! Asks a node whether it is there: `OPTIONS *` for HTTP, CPing for AJP, SETTINGS for HTTP/2
//! (reference: contexts, nodes and load).
//!
//! What is asked in each scheme stands in `ask`. Over TLS the node must prove who it is, as for a
//! request: one that does not is refused, and the log says why, once until it does.
//!
//! What fails on our own side (no file descriptor, no port left) says nothing of the node, so
//! there is no verdict then.

mod ask;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use muster_protocol::mcmp::{Address, Scheme};
use muster_protocol::names::NodeHost;
use muster_routing::health::Probed;
use rustix::io::Errno;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::client::TlsStream;

use crate::config::Alpn;
use crate::tls::{BadServerName, NodeTls};

/// Most probes under way at once, of those that a message waits for and of the others.
const MAX_PROBES: usize = 256;

/// Most addresses that are remembered as unproven, so that each is logged once.
const MAX_WARNED: usize = 10_000;

type Names = std::collections::HashMap<(NodeHost, u16), Found>;

/// Where a host name leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Found {
    socket: SocketAddr,
    /// Whether it was checked when the node registered: no later look-up takes its place, so that
    /// nobody registers a name of its own and then lets it lead elsewhere.
    is_pinned: bool,
}

/// Asks nodes, and remembers where host names lead.
#[derive(Debug)]
pub struct Prober {
    /// The bound of a probe where the node names no shorter one, in microseconds.
    within_us: AtomicU64,
    /// How nodes prove who they are; without it those of https and h2 are never there.
    tls: Option<Arc<NodeTls>>,
    names: ArcSwap<Names>,
    asked: Semaphore,
    timed: Semaphore,
    warned: Mutex<HashSet<Address>>,
}

/// How long a probe takes at most, where nothing else is configured.
const WITHIN: Duration = Duration::from_secs(2);

fn microseconds(within: Duration) -> u64 {
    u64::try_from(within.as_micros()).unwrap_or(u64::MAX)
}

impl Default for Prober {
    fn default() -> Self {
        Prober::new(WITHIN)
    }
}

impl Prober {
    /// Probes take `within` at most; a node's own `ping` may shorten that. Nodes of https and h2
    /// are refused: see [`Prober::with_tls`].
    pub fn new(within: Duration) -> Prober {
        Prober {
            within_us: AtomicU64::new(microseconds(within)),
            tls: None,
            names: ArcSwap::default(),
            asked: Semaphore::new(MAX_PROBES),
            timed: Semaphore::new(MAX_PROBES),
            warned: Mutex::default(),
        }
    }

    /// The same, and nodes of https and h2 are asked as `tls` says.
    pub fn with_tls(within: Duration, tls: Arc<NodeTls>) -> Prober {
        Prober { tls: Some(tls), ..Prober::new(within) }
    }

    /// Asks once, for somebody who waits. `ping` is the node's own bound; zero means that it has
    /// none. `None` is no verdict: too many are asked already, or the fault is on our side.
    pub async fn probe(&self, address: &Address, ping: Duration) -> Option<Probed> {
        let within = self.within(ping);
        let until = Instant::now() + within;
        let _permit = timeout_at(until, self.asked.acquire()).await.ok()?.ok()?;
        self.ask_until(address, until).await
    }

    /// Asks once when its turn comes, behind nobody who waits for an answer. The bound counts from
    /// then: nodes that are silent make others late, but none is left out.
    pub async fn probe_in_turn(&self, address: &Address, ping: Duration) -> Option<Probed> {
        let _permit = self.timed.acquire().await.ok()?;
        self.ask_until(address, Instant::now() + self.within(ping)).await
    }

    /// From now on probes take that long at most.
    pub fn set_within(&self, within: Duration) {
        self.within_us.store(microseconds(within), Ordering::Relaxed);
    }

    fn within(&self, ping: Duration) -> Duration {
        let within = Duration::from_micros(self.within_us.load(Ordering::Relaxed));
        if ping.is_zero() { within } else { ping.min(within) }
    }

    async fn ask_until(&self, address: &Address, until: Instant) -> Option<Probed> {
        match timeout_at(until, self.ask(address)).await {
            Ok(Ok(())) => {
                self.note_proof(address);
                Some(Probed::Answered)
            }
            Ok(Err(error)) if is_ours(&error) => {
                tracing::debug!(%address, %error, "cannot probe a node");
                None
            }
            Ok(Err(error)) => {
                match is_of_tls(&error) {
                    true => self.warn_once(address, &error),
                    false => tracing::debug!(%address, %error, "node does not answer its probe"),
                }
                Some(Probed::Refused)
            }
            Err(_) => Some(Probed::TimedOut),
        }
    }

    /// Where to connect to; `None` while a host name leads nowhere. Does not wait.
    pub fn socket(&self, address: &Address) -> Option<SocketAddr> {
        address.socket().or_else(|| self.found(address).map(|found| found.socket))
    }

    /// Looks a node's name up before the first request needs it, and gives up after the bound of
    /// a probe.
    pub async fn learn(&self, address: &Address) {
        // Too late is no loss: probes look it up again.
        let _ = timeout(self.within(Duration::ZERO), self.resolve(address)).await;
    }

    /// Looks the address's host name up, if it is one. A failure keeps what was known.
    pub async fn resolve(&self, address: &Address) -> Option<SocketAddr> {
        if let Some(socket) = address.socket() {
            return Some(socket);
        }
        if let Some(Found { socket, is_pinned: true }) = self.found(address) {
            return Some(socket);
        }
        let Ok(found) = lookup_host((address.bare_host(), address.port)).await else {
            return self.socket(address);
        };
        // An IPv4 address first: a node that listens on 0.0.0.0 does not hear ::1.
        let found = found.min_by_key(|socket| socket.is_ipv6())?;
        self.note(address, Found { socket: found, is_pinned: false });
        Some(found)
    }

    /// From now on the address's host name leads there, whatever a look-up says.
    pub fn pin(&self, address: &Address, socket: SocketAddr) {
        self.note(address, Found { socket, is_pinned: true });
    }

    fn found(&self, address: &Address) -> Option<Found> {
        self.names.load().get(&(address.host.clone(), address.port)).copied()
    }

    fn note(&self, address: &Address, found: Found) {
        if self.found(address) == Some(found) {
            return;
        }
        self.names.rcu(|names| {
            let mut names = Names::clone(names);
            let known = names.entry((address.host.clone(), address.port)).or_insert(found);
            // It may have been pinned while somebody looked it up.
            if found.is_pinned || !known.is_pinned {
                *known = found;
            }
            names
        });
    }

    /// Forgets host names that no node has any more.
    pub fn keep_names(&self, is_used: impl Fn(&NodeHost, u16) -> bool) {
        let used = |((host, port), _): &(&(NodeHost, u16), &Found)| is_used(host, *port);
        if !self.names.load().iter().all(|name| used(&name)) {
            self.names.rcu(|names| -> Names {
                names.iter().filter(used).map(|(name, at)| (name.clone(), *at)).collect()
            });
        }
    }

    async fn ask(&self, address: &Address) -> std::io::Result<()> {
        match address.scheme {
            Scheme::Http => ask::http(self.connect(address).await?, address).await,
            Scheme::Https => ask::http(self.handshake(address, Alpn::Http1).await?, address).await,
            Scheme::Ajp => ask::ajp(self.connect(address).await?).await,
            Scheme::H2c => ask::h2(self.connect(address).await?).await,
            Scheme::H2 => ask::h2(self.handshake(address, Alpn::H2).await?).await,
        }
    }

    async fn handshake(
        &self,
        address: &Address,
        alpn: Alpn,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let tls = self.tls.as_ref().ok_or(std::io::ErrorKind::Unsupported)?;
        tls.handshake(self.connect(address).await?, address, alpn).await
    }

    async fn connect(&self, address: &Address) -> std::io::Result<TcpStream> {
        let socket = self.resolve(address).await.ok_or(std::io::ErrorKind::HostUnreachable)?;
        TcpStream::connect(socket).await
    }

    fn warn_once(&self, address: &Address, error: &std::io::Error) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MAX_WARNED && warned.insert(address.clone()) {
            tracing::warn!(%address, %error, "no TLS with a node: it gets no requests");
        }
    }

    /// If it fails again, that is news again.
    fn note_proof(&self, address: &Address) {
        if matches!(address.scheme, Scheme::Https | Scheme::H2) {
            self.warned.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
        }
    }
}

/// Whether the handshake failed, and not the connection below it.
fn is_of_tls(error: &std::io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(|inner| inner.is::<rustls::Error>() || inner.is::<BadServerName>())
}

/// Whether the fault is on our side.
pub(crate) fn is_ours(error: &std::io::Error) -> bool {
    const OURS: [Errno; 5] =
        [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

#[cfg(test)]
mod tests {
    use muster_protocol::ajp::PONG;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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
        assert_eq!(prober.probe(&at("127.0.0.1"), NONE).await, Some(Probed::Answered));
        assert_eq!(prober.socket(&at("localhost")), None);
        assert_eq!(prober.probe(&at("localhost"), NONE).await, Some(Probed::Answered));
        assert_eq!(prober.socket(&at("localhost")).map(|socket| socket.port()), Some(port));
        prober.keep_names(|_, _| false);
        assert_eq!(prober.socket(&at("localhost")), None);
    }

    #[tokio::test]
    async fn a_server_that_knows_no_options_ends_the_connection_and_is_there() {
        let port = answering(b"").await;
        let found = Prober::new(SOON).probe(&address("127.0.0.1", port, Scheme::Http), NONE).await;
        assert_eq!(found, Some(Probed::Answered));
    }

    #[tokio::test]
    async fn garbage_and_a_closed_port_are_refusals() {
        let prober = Prober::new(SOON);
        let port = answering(b"SSH-2.0-OpenSSH\r\n").await;
        for scheme in [Scheme::Http, Scheme::Https, Scheme::Ajp, Scheme::H2c, Scheme::H2] {
            let garbage = prober.probe(&address("127.0.0.1", port, scheme), NONE).await;
            assert_eq!(garbage, Some(Probed::Refused), "{scheme:?}");
        }
        let free =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let closed = prober.probe(&address("127.0.0.1", free.port(), Scheme::Http), NONE).await;
        assert_eq!(closed, Some(Probed::Refused));
    }

    #[tokio::test]
    async fn over_ajp_only_a_cpong_shows_that_a_node_is_there() {
        let prober = Prober::new(SOON);
        let cases: [(&[u8], Probed); 5] = [
            (&PONG, Probed::Answered),
            (b"", Probed::Refused),
            (b"AB\0\x01", Probed::Refused),
            (b"AB\0\x02\x05\x01", Probed::Refused),
            (b"HTTP/1.1 400", Probed::Refused),
        ];
        for (bytes, expected) in cases {
            let port = answering(bytes).await;
            let found = prober.probe(&address("127.0.0.1", port, Scheme::Ajp), NONE).await;
            assert_eq!(found, Some(expected), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn over_http_2_only_settings_show_that_a_node_is_there() {
        let prober = Prober::new(SOON);
        let cases: [(&[u8], Probed); 5] = [
            (b"\0\0\0\x04\0\0\0\0\0", Probed::Answered),
            (b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", Probed::Answered),
            (b"\0\0\0\x04\x01\0\0\0\0", Probed::Refused),
            (b"", Probed::Refused),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Probed::Refused),
        ];
        for (bytes, expected) in cases {
            let port = answering(bytes).await;
            let found = prober.probe(&address("127.0.0.1", port, Scheme::H2c), NONE).await;
            assert_eq!(found, Some(expected), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn what_answers_without_tls_is_no_node_of_https_and_is_told_of_once() {
        let settings = crate::config::NodeTls { verify: false, ..Default::default() };
        let prober = Prober::with_tls(SOON, Arc::new(NodeTls::load(&settings).unwrap()));
        let port = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        for scheme in [Scheme::Https, Scheme::H2, Scheme::Https] {
            let found = prober.probe(&address("127.0.0.1", port, scheme), NONE).await;
            assert_eq!(found, Some(Probed::Refused), "{scheme:?}");
        }
        assert_eq!(prober.warned.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn silence_is_a_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = crate::config::NodeTls { verify: false, ..Default::default() };
        let prober = Prober::with_tls(SOON, Arc::new(NodeTls::load(&settings).unwrap()));
        for scheme in [Scheme::Http, Scheme::Https, Scheme::Ajp, Scheme::H2c, Scheme::H2] {
            let found = prober.probe(&address("127.0.0.1", port, scheme), NONE).await;
            assert_eq!(found, Some(Probed::TimedOut));
        }
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_is_not_behind_silent_nodes() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = address("127.0.0.1", silent.local_addr().unwrap().port(), Scheme::Http);
        // So long that only an answer ends the test.
        let prober = Prober::new(Duration::from_secs(3600));
        let turns = (0..2 * MAX_PROBES).map(|_| prober.probe_in_turn(&silent, NONE));
        let port = answering(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let there = address("127.0.0.1", port, Scheme::Http);
        let found = tokio::select! {
            _ = futures_util::future::join_all(turns) => None,
            found = prober.probe(&there, NONE) => found,
        };
        assert_eq!(found, Some(Probed::Answered));
    }

    #[tokio::test]
    async fn a_probe_that_gets_no_turn_in_time_is_no_verdict() {
        let prober = Prober::new(SOON);
        let _all = prober.asked.acquire_many(MAX_PROBES as u32).await.unwrap();
        let port = answering(b"HTTP/1.1 200 OK\r\n\r\n").await;
        let there = address("127.0.0.1", port, Scheme::Http);
        assert_eq!(prober.probe(&there, NONE).await, None);
        assert_eq!(prober.probe_in_turn(&there, NONE).await, Some(Probed::Answered));
    }

    #[test]
    fn a_fault_of_our_own_is_no_verdict_on_a_node() {
        let of = |errno: Errno| is_ours(&errno.into());
        assert!(of(Errno::MFILE) && of(Errno::ADDRNOTAVAIL) && of(Errno::NOBUFS));
        assert!(!of(Errno::CONNREFUSED) && !of(Errno::CONNRESET) && !of(Errno::HOSTUNREACH));
        assert!(!is_ours(&std::io::ErrorKind::InvalidData.into()));
    }
}
