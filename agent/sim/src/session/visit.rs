//! One request of a browser, at the member that serves it.

use crate::world::{Time, World};
use muster_cluster::MemberId;
use muster_grid::{Fence, Group, Rev};

/// What a browser wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wish {
    /// A session, counted once.
    Create,
    /// One more.
    Count,
    /// To see the count; the metadata change all the same.
    Look,
    /// No session any more.
    Remove,
    /// Another id for the same session.
    Rotate,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Answered, with the group that the cookie names now.
    Served(Group),
    /// There is no such session.
    Gone,
    /// An error that says so.
    Failed,
    /// The member died meanwhile.
    Died,
}

/// What is under way for it.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// It waits for the group.
    Checkout,
    /// It saw nothing, and asks all owners whether that is so.
    Confirm,
    /// It has the group.
    Thinking(Held),
    /// It writes the group of the new id.
    Moving(Held, Change),
    /// It commits.
    Commit(Held, Change),
    /// Its commit was cut off: it takes the group once more and looks what became of it.
    Again(Held, Change),
}

/// What the checkout gave.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) granted: Time,
    pub(super) fence: Fence,
    pub(super) rev: Rev,
    pub(super) meta: Option<u32>,
    pub(super) count: Option<u32>,
}

/// A write under way: of which group, and the values before and after.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) group: Group,
    pub(super) called: Time,
    pub(super) before: [Option<u32>; 2],
    pub(super) after: [Option<u32>; 2],
}

/// One request at its member.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) browser: usize,
    pub(super) slot: usize,
    pub(super) boot: u32,
    pub(super) wish: Wish,
    pub(super) group: Group,
    pub(super) life: usize,
    /// The highest count that the browser had seen when it asked.
    pub(super) seen: u32,
    pub(super) stage: Stage,
    /// When it goes on, or looks whether its member still lives.
    pub(super) due: Time,
    /// Commits that are tried again, and whether one of them may stand.
    pub(super) tries: u8,
    pub(super) may_stand: bool,
    /// It found removed what it wanted to remove: by itself, or by another one.
    pub(super) is_shared: bool,
    /// As whom the member took the request.
    pub(super) member: MemberId,
    /// Of the call under way.
    pub(super) id: u64,
    /// Where the id was changed to.
    pub(super) moved_to: Option<Group>,
}

// === impl Wish ===

impl Wish {
    /// Of a browser that has a session.
    pub(super) fn any(world: &mut World) -> Self {
        match world.rng.u8(0..100) {
            0..70 => Self::Count,
            70..88 => Self::Look,
            88..92 => Self::Remove,
            _ => Self::Rotate,
        }
    }
}

// === impl Visit ===

impl Visit {
    pub(super) fn new(
        browser: usize,
        (slot, boot): (usize, u32),
        wish: Wish,
        (group, life): (Group, usize),
        seen: u32,
        member: MemberId,
    ) -> Self {
        Self {
            browser,
            slot,
            boot,
            wish,
            group,
            life,
            seen,
            stage: Stage::Checkout,
            due: 0,
            tries: 0,
            may_stand: false,
            is_shared: false,
            member,
            id: 0,
            moved_to: None,
        }
    }
}
