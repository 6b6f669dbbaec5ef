//! Who is linked, and by which connections. Usually a peer has one for each lane; two where both
//! sides have dialled at the same moment, and then both send on the same of the two.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_cluster::{MemberId, NodeId};
use parking_lot::RwLock;

use super::conn::Conn;
use super::counts::Counts;
use super::hello::{Hello, Lane};
use super::outgoing::NotSent;
use super::service;

/// Connections of one lane to one peer at most.
const MOST_OF_A_LANE: usize = 4;

/// A linked process.
#[derive(Debug)]
struct Peer {
    hello: Hello,
    calls: Vec<Arc<Conn>>,
    bulk: Vec<Arc<Conn>>,
}

/// Everybody who is linked.
#[derive(Debug)]
pub(crate) struct Links {
    /// Looked up for each frame: a quick hash, as peers cannot choose many ids.
    peers: RwLock<HashMap<NodeId, Peer, foldhash::fast::RandomState>>,
    counts: Arc<Counts>,
}

/// A linked life, and how often something was read from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    /// Who.
    pub(crate) life: MemberId,
    /// Only changes of it count.
    pub(crate) reads: u64,
}

impl Peer {
    fn lane(&mut self, lane: Lane) -> &mut Vec<Arc<Conn>> {
        match lane {
            Lane::Calls => &mut self.calls,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// Where frames of a lane go: bulk goes with the calls until its own connection is there.
    fn outlet(&self, lane: Lane) -> Option<&Arc<Conn>> {
        match lane {
            Lane::Calls => self.calls.first(),
            Lane::Bulk => self.bulk.first().or_else(|| self.calls.first()),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Conn>> {
        self.calls.iter().chain(&self.bulk)
    }
}

impl Links {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self { peers: RwLock::default(), counts }
    }

    /// Appends a frame to what goes to a node: `write` is told the version that the node reads.
    /// Returns the connection when it is up to the caller to have it written.
    ///
    /// # Errors
    /// See [`NotSent`]: then it is counted as dropped.
    pub(crate) fn send(
        &self,
        to: NodeId,
        lane: Lane,
        service: u16,
        id: u64,
        write: impl FnOnce(u8, &mut Vec<u8>),
    ) -> Result<Option<Arc<Conn>>, NotSent> {
        let peers = self.peers.read();
        let Some(conn) = peers.get(&to).and_then(|peer| peer.outlet(lane)) else {
            self.counts.dropped(lane, NotSent::NoLink);
            return Err(NotSent::NoLink);
        };
        let version = conn.version;
        match conn.out.append(service, id, |buffer| write(version, buffer)) {
            Ok((is_first, bytes)) => {
                self.counts.sent(lane, bytes);
                Ok(is_first.then(|| conn.clone()))
            }
            Err(why) => {
                self.counts.dropped(lane, why);
                Err(why)
            }
        }
    }

    /// Appends a frame to every connection: for the link's own words. Returns those that the caller
    /// must have written.
    pub(crate) fn send_on_all(
        &self,
        service: u16,
        id: u64,
        write: impl Fn(&mut Vec<u8>),
    ) -> Vec<Arc<Conn>> {
        let peers = self.peers.read();
        let conns = peers.values().flat_map(Peer::all);
        conns
            .filter(|conn| matches!(conn.out.append(service, id, &write), Ok((true, _))))
            .cloned()
            .collect()
    }

    /// Tells the peer of a new connection of all others, and all others of it: whoever finds one
    /// member finds all. Returns connections that the caller must have written.
    pub(crate) fn introduce(&self, new: &Arc<Conn>) -> Vec<Arc<Conn>> {
        let peers = self.peers.read();
        let mut dirty = Vec::new();
        let mut tell = |conn: &Arc<Conn>, about: &Hello| {
            let told = conn.out.append(service::LINK, service::LINK_PEER, |buffer| {
                buffer.extend_from_slice(&about.node.to_le_bytes());
                buffer.extend_from_slice(about.address.as_bytes());
            });
            if matches!(told, Ok((true, _))) {
                dirty.push(conn.clone());
            }
        };
        let Some(newcomer) = peers.get(&new.peer) else { return dirty };
        for (_, other) in peers.iter().filter(|(node, _)| **node != new.peer) {
            tell(new, &other.hello);
            if let Some(conn) = other.outlet(Lane::Calls) {
                tell(conn, &newcomer.hello);
            }
        }
        dirty
    }

    /// Another connection. Those of an earlier process with that node's id are closed: whoever adds
    /// one has made sure that it is gone.
    pub(crate) fn add(&self, conn: &Arc<Conn>, hello: Hello) {
        let mut peers = self.peers.write();
        let peer = peers.entry(conn.peer).or_insert_with(|| Peer {
            hello: hello.clone(),
            calls: Vec::new(),
            bulk: Vec::new(),
        });
        if peer.hello.boot != hello.boot {
            peer.all().for_each(|old| old.out.close());
            (peer.calls, peer.bulk) = (Vec::new(), Vec::new());
        }
        if hello.incarnation >= peer.hello.incarnation || peer.hello.boot != hello.boot {
            peer.hello = hello;
        }
        let lane = peer.lane(conn.lane);
        lane.push(conn.clone());
        // Stable: of two equal ones the older stays first.
        lane.sort_by_key(|conn| !conn.is_preferred);
        if lane.len() > MOST_OF_A_LANE
            && let Some(surplus) = lane.pop()
        {
            surplus.out.close();
        }
    }

    /// A connection has ended. Returns the life whose last one for calls it was.
    pub(crate) fn remove(&self, conn: &Arc<Conn>) -> Option<MemberId> {
        let mut peers = self.peers.write();
        let peer = peers.get_mut(&conn.peer)?;
        let lane = peer.lane(conn.lane);
        let before = lane.len();
        lane.retain(|other| !Arc::ptr_eq(other, conn));
        let was_there = lane.len() < before;
        let is_last = was_there && conn.lane == Lane::Calls && lane.is_empty();
        let life = MemberId { node: conn.peer, incarnation: peer.hello.incarnation };
        if peer.calls.is_empty() && peer.bulk.is_empty() {
            peers.remove(&conn.peer);
        }
        is_last.then_some(life)
    }

    /// Closes all connections to a life of which nothing is heard. What was written to them may wait
    /// in the kernel for seconds after the network is well again; who dials anew is heard at once.
    pub(crate) fn give_up(&self, life: MemberId) {
        let peers = self.peers.read();
        let Some(peer) = peers.get(&life.node) else { return };
        peer.all().filter(|conn| conn.life() == life).for_each(|conn| conn.out.close());
    }

    /// The peer at the other end of a connection has begun a new life.
    pub(crate) fn renewed(&self, conn: &Arc<Conn>, incarnation: u64) {
        let mut peers = self.peers.write();
        conn.renewed(incarnation);
        if let Some(peer) = peers.get_mut(&conn.peer)
            && peer.hello.boot == conn.boot
        {
            peer.hello.incarnation = peer.hello.incarnation.max(incarnation);
            peer.all().for_each(|conn| conn.renewed(incarnation));
        }
    }

    /// Whether a lane to a node has a connection.
    pub(crate) fn has(&self, node: NodeId, lane: Lane) -> bool {
        let peers = self.peers.read();
        peers.get(&node).is_some_and(|peer| match lane {
            Lane::Calls => !peer.calls.is_empty(),
            Lane::Bulk => !peer.bulk.is_empty(),
        })
    }

    /// The words of the process that is linked under a node's id.
    pub(crate) fn hello(&self, node: NodeId) -> Option<Hello> {
        self.peers.read().get(&node).map(|peer| peer.hello.clone())
    }

    /// Linked lives, and how often each was read from.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        let peers = self.peers.read();
        let heard = peers.values().map(|peer| Heard {
            life: peer.hello.id(),
            reads: peer.all().map(|conn| conn.reads.load(Ordering::Relaxed)).sum(),
        });
        heard.collect()
    }

    /// How many are linked.
    pub(crate) fn len(&self) -> usize {
        self.peers.read().len()
    }

    /// Ends all connections.
    pub(crate) fn close(&self) {
        for conn in self.peers.read().values().flat_map(Peer::all) {
            conn.out.flush();
            conn.out.close();
        }
    }
}
