//! Finding: how members of a cluster learn of each other's addresses. What is found is a hint only:
//! who may join is decided by the channel, where both sides prove that they belong to the cluster.
//!
//! | file | idea |
//! |---|---|
//! | `multicast` | datagrams to a group that all members hear |
//! | `pace`, `book`, `quiet` | when to say so, what is news, what is worth a line in the log |
//! | `fixed` | a list of addresses |
//! | `names` | a name of DNS, resolved again and again |
//! | `files` | a directory that all members share |
//! | `rendezvous` | the balancers, which every node tells where it is |
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::finding::{self, Finder, Me, Multicast};
//! let me = Me {
//!     cluster: "shop".parse()?,
//!     node: 42,
//!     incarnation: 1,
//!     address: "127.0.0.1:7700".parse()?,
//! };
//! let finders = vec![Finder::Multicast(Multicast::default())];
//! let found = |address: &str| println!("a member may be at {address}");
//! let finding = finding::start(me, None, finders, found)?;
//! // ... and when the member leaves:
//! finding.stop().await;
//! # Ok(()) }
//! ```

mod book;
mod files;
mod fixed;
mod multicast;
mod names;
mod pace;
mod quiet;
mod rendezvous;

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use muster_protocol::cluster::{BadPeerAddress, ClusterName, PeerAddress};
use muster_protocol::signature::Secrets;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use book::Book;
pub use files::Files;
pub use fixed::Fixed;
pub use multicast::Multicast;
pub use names::Names;
pub use rendezvous::Rendezvous;

/// After how long an address that is found all the time is told again: the last try to reach it may
/// have failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Most addresses that are remembered; further ones are told each time.
const MOST_ADDRESSES: usize = 4096;

/// Who is to be found by the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// The cluster; members of another one are not found.
    pub cluster: ClusterName,
    /// The node's id.
    pub node: u128,
    /// Which of its lives.
    pub incarnation: u64,
    /// Where its channel listens, as others reach it.
    pub address: PeerAddress,
}

/// One way to find others. Several may be used at once.
#[derive(Debug, Clone)]
pub enum Finder {
    /// By datagrams to a group.
    Multicast(Multicast),
    /// By a list.
    Fixed(Fixed),
    /// By a name of DNS.
    Names(Names),
    /// By a shared directory.
    Files(Files),
    /// By the balancers.
    Balancers(Rendezvous),
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// An address is none.
    #[error(transparent)]
    Address(#[from] BadPeerAddress),
    /// A group is none.
    #[error("the group of the cluster has the bad value {0}: it is no IPv4 multicast address")]
    Group(SocketAddrV4),
    /// A time is out of its bounds.
    #[error("{field} has the bad value {value:?}: it must be {least:?} to {most:?}")]
    Time {
        /// Which.
        field: &'static str,
        /// The value.
        value: Duration,
        /// The least.
        least: Duration,
        /// The most.
        most: Duration,
    },
    /// A number is out of its bounds.
    #[error("{field} has the bad value {value}: it must be {least} to {most}")]
    Number {
        /// Which.
        field: &'static str,
        /// The value.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
}

/// The tasks that find others and let this member be found. They end when it is dropped.
#[derive(Debug)]
pub struct Finding {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What finders share: who they work for, and whom they tell.
#[derive(Clone)]
struct Ground {
    me: Arc<Me>,
    secrets: Option<Secrets>,
    found: Arc<dyn Fn(&str) + Send + Sync>,
    book: Arc<Mutex<Book>>,
    stop: CancellationToken,
}

/// Starts to find others, and tells of each address that another member may have: at once when it
/// is new, and every 5 s while it is found. `found` must return at once. With secrets, datagrams are
/// signed with the first, and those that none of them signed are not believed.
///
/// # Errors
/// An [`Unusable`] setting; nothing was started then.
pub fn start(
    me: Me,
    secrets: Option<Secrets>,
    finders: Vec<Finder>,
    found: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Finding, Unusable> {
    finders.iter().try_for_each(Finder::check)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let book = Arc::new(Mutex::new(Book::new(AGAIN, MOST_ADDRESSES)));
    let me = Arc::new(me);
    let ground = Ground { me, secrets, found: Arc::new(found), book, stop: stop.clone() };
    for finder in finders {
        let ground = ground.clone();
        match finder {
            Finder::Multicast(settings) => tasks.spawn(multicast::run(settings, ground)),
            Finder::Fixed(settings) => tasks.spawn(fixed::run(settings, ground)),
            Finder::Names(settings) => tasks.spawn(names::run(settings, ground)),
            Finder::Files(settings) => tasks.spawn(files::run(settings, ground)),
            Finder::Balancers(rendezvous) => tasks.spawn(rendezvous.run(ground)),
        };
    }
    tasks.close();
    Ok(Finding { stop, tasks })
}

// === impl Finder ===

impl Finder {
    fn check(&self) -> Result<(), Unusable> {
        match self {
            Finder::Multicast(settings) => settings.check(),
            Finder::Fixed(settings) => settings.check(),
            Finder::Names(settings) => settings.check(),
            Finder::Files(settings) => settings.check(),
            Finder::Balancers(_) => Ok(()),
        }
    }
}

fn check_time(
    field: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
) -> Result<(), Unusable> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(Unusable::Time { field, value, least, most }),
    }
}

// === impl Finding ===

impl Finding {
    /// Ends it in order: what was left for others to find is taken away.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Finding {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Ground ===

impl Ground {
    /// Tells of an address, if it is another's and is news.
    fn found(&self, address: &PeerAddress) {
        if *address == self.me.address {
            return;
        }
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = book.is_news(address, now());
        drop(book);
        if is_news {
            tracing::debug!(%address, "a member may be here");
            (self.found)(&address.to_string());
        }
    }

    /// Waits so long. False when it is time to stop.
    async fn pause(&self, pause: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

/// Now, by a clock that tests can hold.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
