//! What members tell each other, what the shell tells a member, and what it asks of the shell.

use crate::id::{Epoch, MemberId, NodeId};
use crate::rows::RowSet;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use thiserror::Error;

/// A view in the few words that a greeting has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its members.
    pub size: u16,
    /// Its oldest member.
    pub coordinator: MemberId,
    /// That member's join number.
    pub join: u64,
    /// Whether it has a quorum set.
    pub quorum: bool,
    /// Whether the life that is greeted is a member of it.
    pub has_you: bool,
}

/// Who wants to come in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Joining {
    /// Node and life.
    pub id: MemberId,
    /// Its name.
    pub name: Box<str>,
    /// Where its channel listens.
    pub address: Box<str>,
    /// Its share of the rows.
    pub weight: u16,
    /// It gave up its own side of a split and brings data.
    pub moved: bool,
}

/// The answer to [`Message::Prepare`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Promise {
    /// The epoch that was asked for.
    pub epoch: Epoch,
    /// Who answers; its life may be a later one than the proposer knew.
    pub who: Joining,
    /// The last view it accepted.
    pub accepted: Option<Arc<View>>,
    /// Whether it knows that this view stands.
    pub committed: bool,
    /// The view it has installed.
    pub installed: Option<Epoch>,
    /// The latest view that any of its lives installed or made stand: of later ones it has served
    /// nothing, and of those that it proposed later none stood.
    pub was_in: Epoch,
    /// Rows whose data it holds whole.
    pub complete: RowSet,
}

/// Between members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Message {
    /// I am here; this is my view, or I have none.
    Greet {
        /// The installed view.
        view: Option<Summary>,
        /// The epoch of the accepted one.
        accepted: Option<Epoch>,
        /// The quorum it would found a cluster with.
        quorum: Option<u16>,
    },
    /// I want to come in. Passed on to the coordinator.
    Join(Joining),
    /// You cannot come in.
    Refused {
        /// Which life is refused.
        id: MemberId,
        /// Why.
        why: Refusal,
    },
    /// Promise me to hear nobody older.
    Prepare {
        /// The attempt.
        epoch: Epoch,
    },
    /// I promise.
    Promise(Box<Promise>),
    /// I promised more to someone else.
    Nack {
        /// The attempt that is refused.
        epoch: Epoch,
        /// What was promised.
        promised: Epoch,
    },
    /// Accept this view.
    Accept {
        /// The view.
        view: Arc<View>,
    },
    /// I accepted it, and it is on disk.
    Accepted {
        /// Its epoch.
        epoch: Epoch,
    },
    /// This view stands.
    Commit {
        /// The view.
        view: Arc<View>,
    },
    /// I have installed it.
    Installed {
        /// Its epoch.
        epoch: Epoch,
    },
    /// You have a later view than I: send it.
    Fetch,
    /// Rows that I am being filled with are whole.
    Filled {
        /// In which view.
        epoch: Epoch,
        /// All that are whole.
        complete: RowSet,
    },
    /// A member that is being filled holds up the writes.
    Late {
        /// In which view.
        epoch: Epoch,
        /// Who is late.
        node: NodeId,
    },
    /// I leave, once my rows are elsewhere.
    Leave,
    /// My side is the smaller one: may we come over?
    Offer {
        /// The side that would be given up.
        view: Summary,
    },
    /// Come over: this side stays.
    Welcome {
        /// The side that stays.
        view: Summary,
    },
    /// We give up this view and join the other side.
    Dissolve {
        /// The view that is given up.
        epoch: Epoch,
        /// Whom to join.
        to: NodeId,
    },
    /// An operator's wish, passed on to the coordinator.
    Ask(Wish),
    /// Why a wish was not granted.
    NotGranted(Refusal),
}

/// What an operator may want of the electorate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wish {
    /// Another quorum.
    Quorum {
        /// None, or how many.
        quorum: Option<u16>,
        /// Even when it is at most half of the known nodes.
        forced: bool,
    },
    /// A node that will never come back: its vote goes, and its data counts as lost.
    Forget(NodeId),
}

/// Why somebody does not come in, or a wish is not granted.
#[derive(Clone, PartialEq, Eq, Debug, Error, Serialize, Deserialize)]
pub enum Refusal {
    /// Two nodes with one name.
    #[error("the name {name:?} belongs to {by}, which is in the cluster")]
    NameTaken {
        /// The name.
        name: Box<str>,
        /// Who has it.
        by: MemberId,
    },
    /// Two processes with one data directory, or copies of one.
    #[error(
        "the id {0} belongs to a process that is in the cluster: was its data directory copied?"
    )]
    IdTaken(NodeId),
    /// A name or an address out of bounds.
    #[error("name or address of {0} is empty or too long")]
    Malformed(MemberId),
    /// No room.
    #[error("the cluster has {0} members already")]
    Full(usize),
    /// One more voter would make the quorum unsafe.
    #[error("the quorum {quorum} would be at most half of {known} known nodes: raise it first")]
    QuorumTooSmall {
        /// The quorum.
        quorum: u16,
        /// Known nodes, with the newcomer.
        known: usize,
    },
    /// A quorum that nobody could reach.
    #[error("the quorum {quorum} is more than the {known} known nodes")]
    QuorumTooLarge {
        /// The quorum.
        quorum: u16,
        /// Known nodes.
        known: usize,
    },
    /// A member cannot be forgotten.
    #[error("{0} is in the cluster: only a node that is away can be forgotten")]
    StillHere(NodeId),
    /// Nobody to forget.
    #[error("{0} is not known here")]
    Unknown(NodeId),
    /// No view yet.
    #[error("this member has no view yet")]
    NoView,
}

/// What must stand on disk before the actions after it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Durable {
    /// The life in use.
    pub incarnation: u64,
    /// The highest epoch promised.
    pub promised: Epoch,
    /// The last view accepted.
    pub accepted: Option<Arc<View>>,
    /// Whether that view is known to stand.
    pub committed: bool,
    /// The latest view that any of its lives installed or made stand.
    pub was_in: Epoch,
}

/// What happens to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message came.
    Message {
        /// From whom.
        from: MemberId,
        /// What.
        message: Message,
    },
    /// Time passed. At least every 50 ms.
    Tick,
    /// Discovery knows of a node.
    Hint(NodeId),
    /// The failure detector has not heard from a life for its whole time.
    Suspect(MemberId),
    /// The failure detector heard from it again.
    Alive(MemberId),
    /// The connection to it was closed.
    Closed(MemberId),
    /// A redial after that was refused: no such process.
    RedialRefused(MemberId),
    /// A redial after that reached the same life again.
    RedialReached(MemberId),
    /// A redial after that was not answered at all.
    RedialUnanswered(MemberId),
    /// This member wants to leave.
    Leave,
    /// An operator's wish.
    Wish(Wish),
    /// The grid's rows: which are whole. To be told at every change, before anything else.
    Complete(RowSet),
    /// The grid's primary waits too long for a member that is being filled.
    Late(NodeId),
}

/// What the shell must do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write to disk, and wait until it stands there.
    Persist(Durable),
    /// Send.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// Dial once more, and say what came of it.
    Redial(MemberId),
    /// From now on take no write of an earlier epoch.
    Fence(Epoch),
    /// This view stands.
    Install(Arc<View>),
    /// The rows that this member was primary of are to be offered to the side it joins; it begins
    /// a new life there.
    GiveUp {
        /// The new life.
        id: MemberId,
        /// Whether the data is offered (a merge), or is stale (a false drop).
        offer: bool,
    },
    /// Whether enough voters are in sight, when that changed.
    Quorate(bool),
    /// A life is known to have ended: its connection closed and its port refuses.
    Dead(MemberId),
    /// This member may not come in.
    Refused(Refusal),
    /// A wish was not granted.
    NotGranted(Refusal),
    /// This member's rows are elsewhere: it may stop.
    Left,
    /// Rows that begin empty although they had owners: nobody was left who held them.
    Lost(RowSet),
}

/// What is wanted of the electorate of the next view.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Another quorum.
    pub quorum: Option<Option<u16>>,
    /// Nodes that do not vote any more and whose data counts as lost.
    pub forgotten: Vec<NodeId>,
}
