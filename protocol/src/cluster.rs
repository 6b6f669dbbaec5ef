//! What members of a cluster, balancers and operators agree on, beside the members' own channel.
//!
//! | module | idea |
//! |---|---|
//! | `address` | where a member's channel listens |
//! | `datagram` | what a member sends to the group, so that others find it |
//! | `verify` | which of these datagrams are believed |
//! | `members` | whom a node sees in its cluster, as it tells a balancer |
//! | `seat` | what a member tells a balancer of its cluster, and is told of the others |
//! | `report` | what the management of a member answers |
//! | `singletons` | what it answers about singletons |
//! | `settings`, `events`, `jobs`, `queues` | the same on the cluster's settings, what has happened, jobs and queues |

mod address;
mod datagram;
pub mod events;
pub mod jobs;
mod members;
pub mod queues;
pub mod report;
mod seat;
pub mod settings;
pub mod singletons;
mod verify;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::signature::{Secret, Secrets};

pub use crate::names::ClusterName;
pub use address::{BadPeerAddress, PeerAddress};
pub use datagram::{BadDatagram, Datagram, Kind, MAX_DATAGRAM, parse, write};
pub use members::{BadMembers, MAX_MEMBERS, MEMBERS_HEADER, Members};
pub use seat::{
    BadSeat, CLUSTER_HEADER, MANAGEMENT_HEADER, MAX_PEERS, PEERS_HEADER, Seat, read_management,
    read_peers, write_peers,
};
pub use verify::{Refusal, Rules, Verifier};

/// The group and port to which members say where they are. All members of a machine share the port.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 77, 1), 45770);

/// What the key of the datagrams is made for, so that it is good for nothing else.
const PURPOSE: &[u8] = b"muster finding";

/// The key of a cluster's datagrams, made of its secret. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

// === impl Key ===

impl Key {
    /// The key for a secret.
    #[must_use]
    pub fn derived(secret: &Secret) -> Key {
        Key(hmac(secret.bytes(), PURPOSE).finalize().into_bytes().into())
    }

    /// The keys for secrets, the one that signs first.
    #[must_use]
    pub fn all(secrets: Option<&Secrets>) -> Vec<Key> {
        secrets.into_iter().flat_map(Secrets::iter).map(Key::derived).collect()
    }

    fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        hmac(&self.0, bytes).finalize().into_bytes().into()
    }

    /// In constant time.
    fn has_signed(&self, bytes: &[u8], sum: &[u8; 32]) -> bool {
        hmac(&self.0, bytes).verify_slice(sum).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(********)")
    }
}

fn hmac(key: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(bytes);
    hmac
}
