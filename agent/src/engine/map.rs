//! Entries in key groups. A group is what stays together: on the same owners, changed by one batch,
//! guarded by one checkout.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use muster_grid::{Bytes, Expect, Fence, Op, Rev, batch::Entries};
use thiserror::Error;
use tokio::sync::broadcast;

use super::EngineError;
use super::group::Member;
use super::leases::Token;
pub use muster_grid::{Memory, Mode, Resolve, Shelf, ShelfError};

/// What a map is. Every member that has it must say the same.
#[derive(Clone, Debug)]
pub struct MapSpec {
    /// Its name, unique in the cluster, 1..=128 bytes.
    pub name: String,
    /// Where entries are kept.
    pub mode: Mode,
    /// What becomes of two values when two sides of a split meet.
    pub merging: Merging,
    /// How long an operation tries before it says so. Default: 10 s.
    pub deadline: Duration,
    /// Changes that a slow watcher may be behind before it misses some. Default: 4,096.
    pub watch_capacity: usize,
    /// How many groups this member keeps in memory, copies of others' groups among them, and where the
    /// values of the rest go. The least recently used one goes when another needs its room, never
    /// because it is idle or while it is checked out; whatever is asked of it brings it back. Members
    /// may differ. What is on a shelf that [keeps](Shelf::keeps) it is given back after a restart, where
    /// the cluster has not gone on without this member ([`Map::restored`]); a clustered member needs a
    /// data directory for that. Default: all are in memory.
    pub memory: Option<Memory>,
}

impl MapSpec {
    /// A map with the defaults.
    #[must_use]
    pub fn new(name: &str, mode: Mode) -> Self {
        Self {
            name: name.to_owned(),
            mode,
            merging: Merging::default(),
            deadline: Duration::from_secs(10),
            watch_capacity: 4096,
            memory: None,
        }
    }
}

impl MapSpec {
    /// Whether every setting is in its bounds.
    ///
    /// # Errors
    /// Names the setting that is not.
    pub fn check(&self) -> Result<(), EngineError> {
        super::check_name("the map's name", &self.name)?;
        if self.deadline.is_zero() {
            let why = "it must be longer than nothing";
            return Err(EngineError::bad("deadline", &format!("{:?}", self.deadline), why));
        }
        if !(1..=1 << 20).contains(&self.watch_capacity) {
            let why = "it must be 1 to 1048576";
            return Err(EngineError::bad("watch_capacity", &self.watch_capacity.to_string(), why));
        }
        Ok(())
    }

    /// Whether another asks for the same. Two functions of [`Merging::Custom`] count as the same:
    /// a function has no name that two processes could compare.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }

    /// The map of this name that is there already, if one is.
    ///
    /// # Errors
    /// When it is another one than asked for.
    pub(crate) fn found<M: Map + ?Sized>(
        &self,
        maps: &HashMap<String, Arc<M>>,
    ) -> Result<Option<Arc<M>>, EngineError> {
        let Some(map) = maps.get(&self.name) else { return Ok(None) };
        if !map.spec().agrees(self) {
            let (name, present) = (self.name.clone(), map.spec().to_string());
            return Err(EngineError::Different { kind: "map", name, present });
        }
        Ok(Some(map.clone()))
    }
}

impl fmt::Display for MapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let merging = match self.merging {
            Merging::PreferMajor => "prefer-major",
            Merging::Latest => "latest",
            Merging::Custom(_) => "custom",
        };
        let Self { name, mode, deadline, watch_capacity, memory, .. } = self;
        write!(f, "{name}: {mode:?}, merging {merging}, {deadline:?}, {watch_capacity} changes")?;
        memory.as_ref().map_or(Ok(()), |memory| write!(f, ", {memory:?}"))
    }
}

/// How two values of one key become one after a split.
#[derive(Clone, Copy, Debug, Default)]
pub enum Merging {
    /// The larger side's, then that of the side with the older coordinator.
    #[default]
    PreferMajor,
    /// The later one, by the wall clocks of those who wrote: by the [`Put::stamp`](muster_grid::Put)
    /// that they give, 0 being the earliest.
    Latest,
    /// A function of both.
    Custom(Resolve),
}

/// How fresh a read must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Read {
    /// It sees all that was acknowledged before it began.
    #[default]
    Confirmed,
    /// This member's copy where it has one, which may be old; otherwise confirmed.
    Near,
}

/// Changes to one group that happen together or not at all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The group's name, at most 1 KiB.
    pub group: Bytes,
    /// At most 1,024 operations.
    pub ops: Vec<Op>,
    /// Nothing happens when the group has seen a greater token than this.
    pub token: Option<Token>,
}

impl Batch {
    /// A batch without a token.
    #[must_use]
    pub fn new(group: &[u8], ops: Vec<Op>) -> Self {
        Self { group: group.into(), ops, token: None }
    }
}

/// A group that is this caller's until it commits, gives it back or its time is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkout {
    /// The group.
    pub group: Bytes,
    /// What is in it.
    pub entries: Entries,
    /// Rises with every checkout of the group.
    pub fence: Fence,
}

impl Checkout {
    /// A commit stood: what was seen is what it left, for the next commit of the same checkout.
    pub(crate) fn moved_on(&mut self, kept: Option<Vec<Op>>, rev: Rev) {
        self.entries.rev = rev;
        for op in kept.into_iter().flatten() {
            match op.put {
                Some(put) => self.entries.entries.insert(op.key, (put.value, rev)),
                None => self.entries.entries.remove(&op.key),
            };
        }
    }
}

/// Bytes of a minted name, each a hexadecimal digit.
pub(crate) const MINTED: usize = 36;

/// A random group name: 36 hexadecimal digits. Of their 144 bits of chance at least 138 are left when
/// it is chosen for its primary among 64 members.
pub(crate) fn mint() -> [u8; MINTED] {
    rand::random::<[u8; MINTED]>().map(|chance| b"0123456789abcdef"[usize::from(chance & 15)])
}

/// Removes what is in a map, page by page; of each page some groups at once.
pub(crate) async fn clear(map: &dyn Map) -> Result<(), MapError> {
    let mut cursor = Some(Cursor::default());
    while let Some(place) = cursor {
        let page = map.scan(place).await?;
        let groups = stream::iter(page.groups).map(Ok);
        groups
            .try_for_each_concurrent(MOST_CLEARED_AT_ONCE, |(group, entries)| {
                clear_group(map, group, entries)
            })
            .await?;
        cursor = page.next;
    }
    Ok(())
}

async fn clear_group(map: &dyn Map, group: Bytes, entries: Entries) -> Result<(), MapError> {
    let keys: Vec<Bytes> = entries.entries.into_keys().collect();
    for keys in keys.chunks(MOST_REMOVED) {
        let remove = |key: &Bytes| Op { key: key.clone(), expect: Expect::Any, put: None };
        let ops = keys.iter().map(remove).collect();
        map.write(Batch { group: group.clone(), ops, token: None }).await?;
    }
    Ok(())
}

/// Groups that a clear removes at once, at most: enough to fill the way to their owners.
const MOST_CLEARED_AT_ONCE: usize = 64;
/// Operations of one batch at most.
const MOST_REMOVED: usize = 1024;

/// Whether a commit ends its checkout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The group stays checked out.
    Keep,
    /// It is free again.
    Release,
}

/// Why an operation did not do what it should.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MapError {
    /// An expectation did not hold: nothing was changed.
    #[error("operation {at} did not find what it expects")]
    Conflict {
        /// Which operation.
        at: usize,
    },
    /// The checkout is over or another's, or the token is old: nothing was changed.
    #[error("fenced off by a later holder")]
    Fenced,
    /// Another had the group to the end of the wait: nothing was changed.
    #[error("another has the group")]
    Locked,
    /// Too few voters are in sight: nothing was changed.
    #[error("too few members are in sight")]
    NotQuorate,
    /// Nobody could take it before its deadline: nothing was changed.
    #[error("no owner could be reached in time")]
    Unavailable,
    /// A bound was reached: nothing was changed.
    #[error("too much is under way")]
    Busy,
    /// Too large: nothing was changed.
    #[error("{0}")]
    TooLarge(String),
    /// It may have happened or not.
    #[error("it may have happened or not")]
    Unknown,
    /// The engine was shut down: nothing was changed.
    #[error("the engine is closed")]
    Closed,
}

/// What happened to an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// There was none.
    Created(Bytes),
    /// Another value.
    Changed(Bytes),
    /// Removed by a caller: what it was.
    Removed(Bytes),
    /// Its time was over, or that of the entry by which its group lived: what it was.
    Expired(Bytes),
}

/// A change of one entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The group.
    pub group: Bytes,
    /// The key.
    pub key: Bytes,
    /// What happened.
    pub kind: Kind,
    /// The group's revision after it.
    pub rev: Rev,
}

/// Whose changes a watcher wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Watch {
    /// Those of entries whose primary this member is: in the whole cluster each change is seen by
    /// one member.
    #[default]
    Primary,
    /// Those of every copy that is kept here.
    Copies,
    /// Of those of [`Watch::Primary`] the ones that time brought about ([`Kind::Expired`]): all of
    /// one group's in a row, in the order of its keys. Whoever wants no more pays for no more.
    Ends,
}

/// Changes as they happen, each group's in order. Not a log: one that is far behind misses some and
/// is told how many; changes that a new copy was filled with are not told.
pub type Changes = broadcast::Receiver<Change>;

/// What happened to this member's copy of a group, which is as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemoryChange {
    /// Its values went to the shelf.
    Passivated(Bytes),
    /// They came back.
    Activated(Bytes),
}

/// Changes of what is in memory here, as they happen. One that is far behind misses some.
pub type MemoryChanges = broadcast::Receiver<MemoryChange>;

/// What a map has done on this member, in numbers that only rise, and what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MapStats {
    /// Entries in copies kept here.
    pub entries: u64,
    /// Of those, entries whose primary this member is.
    pub primary_entries: u64,
    /// Groups in copies kept here.
    pub groups: u64,
    /// Of those, groups whose primary this member is.
    pub primary_groups: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Groups whose values are in memory, where [`MapSpec::memory`] bounds them.
    pub groups_in_memory: u64,
    /// Groups whose values are on the shelf alone.
    pub groups_on_shelf: u64,
    /// Groups whose values went to the shelf.
    pub passivations: u64,
    /// Groups whose values came back.
    pub activations: u64,
    /// What the shelf did not do: it is full or broken.
    pub shelf_errors: u64,
    /// Reads that found something.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Values written.
    pub puts: u64,
    /// Entries removed.
    pub removes: u64,
    /// Entries whose time was over.
    pub expired: u64,
    /// Calls to other members.
    pub rpcs: u64,
    /// Those that failed.
    pub rpc_failures: u64,
    /// Checkouts.
    pub prepares: u64,
    /// Commits.
    pub commits: u64,
    /// Checkouts that ended without one.
    pub rollbacks: u64,
}

/// A page of a map's entries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Groups and their entries.
    pub groups: Vec<(Bytes, Entries)>,
    /// Where the next page begins; none after the last one.
    pub next: Option<Cursor>,
}

/// A place in a map, opaque to callers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cursor {
    /// The engine's own number of the part.
    pub part: u32,
    /// After which group of that part.
    pub after: Option<Bytes>,
}

/// Entries in key groups.
#[async_trait]
pub trait Map: Send + Sync {
    /// What it is.
    fn spec(&self) -> &MapSpec;

    /// The entries of a group, and its revision.
    ///
    /// # Errors
    /// See [`MapError`].
    async fn get(&self, group: &[u8], read: Read) -> Result<Entries, MapError>;

    /// One value of this member's own copy, at once: `None` where it has no copy of the group,
    /// `Some(None)` where the copy has no such entry. It may be old.
    fn peek(&self, group: &[u8], key: &[u8]) -> Option<Option<Bytes>>;

    /// Acknowledged when every owner has it. The group's new revision.
    ///
    /// # Errors
    /// See [`MapError`]; after [`MapError::Unknown`] read before you write again.
    async fn write(&self, batch: Batch) -> Result<Rev, MapError>;

    /// The group's lock and its entries: waits at most `wait` in the order of asking; ends by itself
    /// after `hold`.
    ///
    /// # Errors
    /// [`MapError::Locked`] when another had it to the end.
    async fn checkout(
        &self,
        group: &[u8],
        wait: Duration,
        hold: Duration,
    ) -> Result<Checkout, MapError>;

    /// Writes under a checkout, in one call with its end. The checkout's revision moves on.
    ///
    /// # Errors
    /// [`MapError::Fenced`] when it is over.
    async fn commit(
        &self,
        checkout: &mut Checkout,
        ops: Vec<Op>,
        ending: Ending,
    ) -> Result<Rev, MapError>;

    /// Ends a checkout without changes.
    ///
    /// # Errors
    /// [`MapError::Fenced`] when it was over already.
    async fn release(&self, checkout: &Checkout) -> Result<(), MapError>;

    /// A random group name of 36 hexadecimal digits whose primary is this member where possible, so
    /// that its checkout costs no call. Whoever knows that primary, one of at most 64 members, has
    /// 138 bits of chance to guess.
    fn mint_local(&self) -> Bytes;

    /// Who keeps a group, the primary first.
    fn owners(&self, group: &[u8]) -> Vec<Member>;

    /// Changes from now on.
    fn watch(&self, watch: Watch) -> Changes;

    /// What goes to the shelf and comes back here from now on: nothing where
    /// [`MapSpec::memory`] is none.
    fn watch_memory(&self) -> MemoryChanges {
        broadcast::channel(1).1
    }

    /// Returns when what earlier processes left on the shelves of the members is given back: see
    /// [`MapSpec::memory`]. At once where no shelf [keeps](Shelf::keeps) anything.
    async fn restored(&self) {}

    /// Some of the entries, from a place on; begin with the default one. Entries that are there all
    /// the while come exactly once; others may or may not.
    ///
    /// # Errors
    /// See [`MapError`].
    async fn scan(&self, cursor: Cursor) -> Result<Page, MapError>;

    /// Removes all entries that are there when it begins; each group at its own moment.
    ///
    /// # Errors
    /// See [`MapError`]; some groups may be gone then.
    async fn clear(&self) -> Result<(), MapError>;

    /// What it has done here.
    fn stats(&self) -> MapStats;
}
