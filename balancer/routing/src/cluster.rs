//! Which node is a member of which cluster, as the nodes say: the balancer is where members that
//! know of no other one may meet, and where operators look for their management.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use muster_protocol::cluster::{ClusterName, MAX_PEERS, PeerAddress, Seat};
use muster_protocol::mcmp::Address;

use crate::node::NodeId;

/// A node's place in its cluster. Its addresses were checked as those of nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seated {
    /// What it said.
    pub seat: Seat,
    /// Where it said so from.
    pub from: IpAddr,
    /// Where its management answers, if it says so.
    pub management: Option<Management>,
}

/// Where the management of a member answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Management {
    /// As the member said.
    pub address: Address,
    /// Where that leads, as it was checked: no other address is to be connected to.
    pub socket: SocketAddr,
}

/// The places of all nodes that have one.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    seats: BTreeMap<NodeId, Arc<Seated>>,
    by_name: BTreeMap<ClusterName, BTreeMap<NodeId, PeerAddress>>,
}

// === impl Clusters ===

impl Clusters {
    /// A node said this last.
    pub(crate) fn put(&mut self, id: NodeId, seated: Option<Arc<Seated>>) {
        if self.seats.get(&id) == seated.as_ref() {
            return;
        }
        self.remove(id);
        let Some(seated) = seated else { return };
        let Seat { cluster, address, .. } = seated.seat.clone();
        self.by_name.entry(cluster).or_default().insert(id, address);
        self.seats.insert(id, seated);
    }

    /// A node is gone.
    pub(crate) fn remove(&mut self, id: NodeId) {
        let Some(seated) = self.seats.remove(&id) else { return };
        let cluster = &seated.seat.cluster;
        if let Some(members) = self.by_name.get_mut(cluster) {
            members.remove(&id);
            if members.is_empty() {
                self.by_name.remove(cluster);
            }
        }
    }

    pub(crate) fn of(&self, id: NodeId) -> Option<&Arc<Seated>> {
        self.seats.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, &Arc<Seated>)> {
        self.seats.iter().map(|(id, seated)| (*id, seated))
    }

    /// Where others of a node's cluster are: those that registered first, at most [`MAX_PEERS`]. Who
    /// reaches one of them learns of the rest from it.
    pub(crate) fn peers(&self, id: NodeId) -> Vec<PeerAddress> {
        let members = self.of(id).and_then(|seated| self.by_name.get(&seated.seat.cluster));
        let others = members.into_iter().flatten().filter(|(other, _)| **other != id);
        others.map(|(_, address)| address.clone()).take(MAX_PEERS).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seated(text: &str) -> Option<Arc<Seated>> {
        let seat = text.parse().unwrap();
        Some(Arc::new(Seated { seat, from: [10, 0, 0, 1].into(), management: None }))
    }

    fn peers(clusters: &Clusters, id: u32) -> Vec<String> {
        clusters.peers(NodeId(id)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn members_of_one_cluster_are_told_of_each_other() {
        let mut clusters = Clusters::default();
        let node = "0000000000000000000000000000002a";
        clusters.put(NodeId(1), seated(&format!("shop {node} a:1")));
        clusters.put(NodeId(2), seated(&format!("shop {node} a:2")));
        clusters.put(NodeId(3), seated(&format!("other {node} a:3")));
        assert_eq!(peers(&clusters, 1), ["a:2"]);
        assert_eq!(peers(&clusters, 3), [""; 0]);
        clusters.put(NodeId(3), seated(&format!("shop {node} a:4")));
        assert_eq!(peers(&clusters, 1), ["a:2", "a:4"]);
        clusters.put(NodeId(2), None);
        clusters.remove(NodeId(3));
        assert_eq!(peers(&clusters, 1), [""; 0]);
        assert!(peers(&clusters, 2).is_empty() && clusters.by_name.len() == 1);
    }

    #[test]
    fn an_answer_is_bounded() {
        let mut clusters = Clusters::default();
        for id in 1..=100 {
            let text = format!("shop 0000000000000000000000000000002a a:{id}");
            clusters.put(NodeId(id), seated(&text));
        }
        assert_eq!(peers(&clusters, 1).len(), MAX_PEERS);
    }
}
