//! Leases that renew themselves while they are held.

use std::time::Duration;

use async_trait::async_trait;
use muster_cluster::MemberId;
use muster_grid::{Bytes, LeaseWish, Reply, Request, Rev};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::MOST_NAME;
use crate::engine::leases::{Lease, LeaseError, Leases, Token};
use crate::engine::local::{Holders, Seat};
use crate::node::{Node, NodeState};

/// A lease is renewed so often: three times within its hold of 1.5 s.
const RENEW: Duration = Duration::from_millis(500);
/// An answer to a renewal that is later than this is of no use any more.
const DEADLINE: Duration = Duration::from_millis(1500);
/// Who waits for a lease tries again after so long.
const AGAIN: Duration = Duration::from_millis(50);
/// A member that leaves tells its holders so long before it gives their leases back: less than what
/// is left of a lease that is not renewed any more.
const LET_STOP: Duration = Duration::from_millis(500);
/// How long giving one back may take; then its time is over anyway.
const RESIGN: Duration = Duration::from_secs(2);

/// Leases by name.
pub(super) struct Holding {
    node: Node,
    holders: Holders,
    /// Nothing is held any more from here on.
    leaving: CancellationToken,
    keepers: TaskTracker,
}

// === impl Holding ===

impl Holding {
    pub(super) fn new(node: Node, leaving: CancellationToken) -> Self {
        let (holders, keepers) = (Holders::default(), TaskTracker::new());
        Self { node, holders, leaving, keepers }
    }

    /// After `leaving`: returns when all are given back, or their time is over.
    pub(super) async fn given_back(&self) {
        self.keepers.close();
        self.keepers.wait().await;
    }

    async fn try_once(&self, name: &Bytes) -> Result<Rev, LeaseError> {
        let request = Request::Lease { name: name.clone(), wish: LeaseWish::Campaign };
        match self.node.request(request, DEADLINE).await {
            Reply::Leased(token) => Ok(token),
            Reply::Held(by) => Err(LeaseError::Held(by)),
            Reply::NotQuorate => Err(LeaseError::NotQuorate),
            // If it was given after all, the next try is told the same token.
            _ => Err(LeaseError::Unavailable),
        }
    }

    /// Keeps a lease until it is lost or given back; `seat` is free again when that is known.
    fn keep(&self, held: Held, seat: Seat) -> Lease {
        let (lost, is_lost) = watch::channel(false);
        let (token, resigned) = (held.token, CancellationToken::new());
        let (node, leaving, resign) = (self.node.clone(), self.leaving.clone(), resigned.clone());
        self.keepers.spawn(async move {
            held.keep(&node, &leaving, &resigned).await;
            lost.send_replace(true);
            if leaving.is_cancelled() {
                // What it guards stops now; whoever holds it drops it then.
                let _ = timeout(LET_STOP, resigned.cancelled()).await;
            }
            held.give_back(&node).await;
            drop(seat);
        });
        Lease::new(number(token), is_lost, Box::new(move || resign.cancel()))
    }
}

/// The token as one number, which rises as the revision does.
fn number(rev: Rev) -> Token {
    Token(u128::from(rev.epoch) << 64 | u128::from(rev.seq))
}

/// A lease that was given.
struct Held {
    name: Bytes,
    token: Rev,
    life: MemberId,
    lost: Receiver<(Bytes, Rev)>,
    state: watch::Receiver<NodeState>,
}

impl Held {
    /// Returns when it is held no more, or shall not be.
    async fn keep(&self, node: &Node, leaving: &CancellationToken, resigned: &CancellationToken) {
        let (mut lost, mut state) = (self.lost.resubscribe(), self.state.clone());
        let renewed = async {
            loop {
                sleep(RENEW).await;
                let wish = LeaseWish::Renew(self.token);
                let request = Request::Lease { name: self.name.clone(), wish };
                match node.request(request, DEADLINE).await {
                    Reply::NotHeld | Reply::Held(_) => return,
                    // The core says when its time is over.
                    _ => {}
                }
            }
        };
        let over = async {
            // What was lost before this task listened is not told again.
            while node.with_grid(|grid, now| grid.lease(&self.name, now)) == Some(self.token) {
                match lost.recv().await {
                    Ok((name, token)) if name == self.name && token == self.token => return,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = leaving.cancelled() => {}
            () = resigned.cancelled() => {}
            () = renewed => {}
            () = over => {}
            // Another life holds nothing of this one's.
            _ = state.wait_for(|state| state.me != self.life) => {}
        }
    }

    async fn give_back(&self, node: &Node) {
        let wish = LeaseWish::Resign(self.token);
        let ends = Instant::now() + RESIGN;
        loop {
            let request = Request::Lease { name: self.name.clone(), wish };
            let left = ends.saturating_duration_since(Instant::now());
            match node.request(request, left).await {
                Reply::Unknown | Reply::Busy if !left.is_zero() => sleep(AGAIN).await,
                _ => return,
            }
        }
    }
}

#[async_trait]
impl Leases for Holding {
    async fn campaign(&self, name: &str, wait: Duration) -> Result<Lease, LeaseError> {
        if !(1..=MOST_NAME).contains(&name.len()) {
            return Err(LeaseError::BadName(name.len()));
        }
        let ends = Instant::now() + wait;
        let seat = tokio::select! {
            biased;
            () = self.leaving.cancelled() => return Err(LeaseError::Closed),
            seat = self.holders.sit(name, wait) => seat,
        };
        let seat = seat.ok_or_else(|| LeaseError::Held(self.node.me()))?;
        let name = Bytes::from(name.as_bytes());
        loop {
            if self.leaving.is_cancelled() {
                return Err(LeaseError::Closed);
            }
            let (lost, state) = (self.node.lease_lost(), self.node.state());
            let life = state.borrow().me;
            match self.try_once(&name).await {
                Ok(token) => return Ok(self.keep(Held { name, token, life, lost, state }, seat)),
                Err(error) if Instant::now() >= ends => return Err(error),
                Err(_) => {}
            }
            let left = ends.saturating_duration_since(Instant::now());
            tokio::select! {
                () = sleep(AGAIN.min(left)) => {}
                () = self.leaving.cancelled() => {}
            }
        }
    }
}
