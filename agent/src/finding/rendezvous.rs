//! The balancers as a place to meet: with CONFIG and STATUS a node tells each balancer where its
//! member is, and our balancers answer where the others of that cluster are. Balancers of others
//! ignore it. The agent and the cluster's member share one [`Rendezvous`].

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_protocol::cluster::{
    CLUSTER_HEADER, MANAGEMENT_HEADER, PeerAddress, Seat, read_management, read_peers,
};
use tokio::sync::{mpsc, watch};

use super::Ground;

/// Answers that wait to be read; a balancer repeats what finds no room with the next STATUS.
const MOST_WAITING: usize = 64;

/// Where the agent leaves word of the cluster's member, and the member finds word of the others.
/// Clones are the same one. Give it to the agent's builder and to the cluster.
#[derive(Debug, Clone)]
pub struct Rendezvous(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    said: Mutex<Said>,
    /// Sent with each change of what is said: balancers are told at once.
    news: watch::Sender<()>,
    answers: mpsc::Sender<Vec<PeerAddress>>,
    /// Held by the member that reads them.
    reader: tokio::sync::Mutex<mpsc::Receiver<Vec<PeerAddress>>>,
}

#[derive(Debug, Default)]
struct Said {
    seat: Option<Seat>,
    management: Option<String>,
}

// === impl Rendezvous ===

impl Default for Rendezvous {
    fn default() -> Rendezvous {
        Rendezvous::new()
    }
}

impl Rendezvous {
    /// Nothing said and nothing heard.
    #[must_use]
    pub fn new() -> Rendezvous {
        let (answers, reader) = mpsc::channel(MOST_WAITING);
        let reader = tokio::sync::Mutex::new(reader);
        Rendezvous(Arc::new(Shared {
            said: Mutex::default(),
            news: watch::Sender::new(()),
            answers,
            reader,
        }))
    }

    /// Where the member's management answers, such as `http://10.0.0.1:7790`; balancers are told
    /// at once.
    pub fn manage_at(&self, url: impl Into<String>) {
        self.said().management = Some(url.into());
        self.tell();
    }

    /// Changes with what balancers are to be told.
    pub(crate) fn news(&self) -> watch::Receiver<()> {
        self.0.news.subscribe()
    }

    fn tell(&self) {
        self.0.news.send_replace(());
    }

    pub(super) async fn run(self, ground: Ground) {
        let me = &ground.me;
        let (cluster, node, address) = (me.cluster.clone(), me.node, me.address.clone());
        self.said().seat = Some(Seat { cluster, node, address });
        self.tell();
        let mut answers = self.0.reader.lock().await;
        loop {
            tokio::select! {
                answer = answers.recv() => match answer {
                    Some(peers) => peers.iter().for_each(|address| ground.found(address)),
                    None => break,
                },
                () = ground.stop.cancelled() => break,
            }
        }
        *self.said() = Said::default();
        self.tell();
    }

    /// The headers of a message to a balancer that is spoken to from this address of ours.
    pub(crate) fn headers(
        &self,
        method: &str,
        local: Option<IpAddr>,
    ) -> Vec<(&'static str, String)> {
        if !matches!(method, "CONFIG" | "STATUS") {
            return Vec::new();
        }
        let said = self.said();
        let Some(seat) = &said.seat else { return Vec::new() };
        // What is on loopback only can be asked by a balancer of this machine only.
        let is_here = local.is_some_and(|local| local.is_loopback());
        let management = said.management.iter().filter(|url| is_here || !is_on_loopback(url));
        let management = management.cloned().map(|url| (MANAGEMENT_HEADER, url));
        std::iter::once((CLUSTER_HEADER, seat.to_string())).chain(management).collect()
    }

    /// What a balancer answers, once it is believed.
    pub(crate) fn heard(&self, peers: &str) {
        let peers = read_peers(peers);
        if !peers.is_empty() {
            let _ = self.0.answers.try_send(peers);
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_on_loopback(url: &str) -> bool {
    let socket = read_management(url).and_then(|address| address.socket());
    socket.is_some_and(|socket| socket.ip().is_loopback())
}
