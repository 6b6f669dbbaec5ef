//! All queues of this member: those that it uses, and those that it keeps for others because it leads
//! their row.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use muster_cluster::{MemberId, Moment};
use muster_grid::queue::{Frame, Settings, ToHome};
use muster_grid::{Space, Watched};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::spaces::{Spaces, number, queue_name};
use super::SharedQueue;
use super::line::Line;
use crate::channel::service;
use crate::engine::EngineError;
use crate::engine::queue::{Queue, QueueSpec};
use crate::node::{FrameHandler, Node};
use crate::watching::changed;

/// The table of the distributed mode, as `NodeSettings::tables` has it.
const TABLE: u8 = 0;
/// What is due is looked at no more often.
const SHORTEST: Duration = Duration::from_millis(2);
/// Queues that a member knows at most.
const MOST_QUEUES: usize = 4096;

/// A queue, and where it goes on from what was left in a journal that it has just got.
type Opened = (Arc<dyn Queue>, Option<Arc<Line>>);

/// All queues of this member.
pub(in super::super) struct Post {
    node: Node,
    spaces: Arc<Mutex<Spaces>>,
    queues: RwLock<HashMap<u32, Arc<SharedQueue>>>,
    earlier: Arc<Notify>,
    closed: CancellationToken,
}

// === impl Post ===

impl Post {
    pub(in super::super) fn start(
        node: &Node,
        spaces: Arc<Mutex<Spaces>>,
        closed: CancellationToken,
    ) -> Arc<Self> {
        let post = Arc::new(Self {
            node: node.clone(),
            spaces,
            queues: RwLock::default(),
            earlier: Arc::default(),
            closed: closed.clone(),
        });
        node.serve(service::QUEUES, Arc::new(Ear(Arc::downgrade(&post))));
        tokio::spawn(keep_time(Arc::downgrade(&post), post.earlier.clone(), closed.clone()));
        tokio::spawn(keep_views(Arc::downgrade(&post), node.state(), closed));
        post
    }

    /// A queue by its name; and where it goes on from what an earlier process left in the journal that
    /// it gets with that.
    pub(in super::super) fn open(&self, spec: QueueSpec) -> Result<Opened, EngineError> {
        let cache = self.spaces.lock().take(&queue_name(&spec.name))?;
        let (name, journal) = (spec.name.clone(), spec.journal.clone());
        let mut queues = self.queues.write();
        let queue = match queues.get(&cache).cloned() {
            Some(queue) => {
                spec.same_as(queue.spec())?;
                queue
            }
            None => self.begin(&mut queues, cache, spec),
        };
        drop(queues);
        let Some(journal) = journal else { return Ok((queue, None)) };
        if queue.journal.get_or_init(|| journal.clone()) != &journal {
            let present = "it has another journal".to_owned();
            return Err(EngineError::Different { kind: "queue", name, present });
        }
        queue.line.keep(&name, journal.0);
        let line = queue.line.clone();
        Ok((queue, Some(line)))
    }

    fn begin(
        &self,
        queues: &mut HashMap<u32, Arc<SharedQueue>>,
        cache: u32,
        spec: QueueSpec,
    ) -> Arc<SharedQueue> {
        let settings = Settings {
            name: spec.name.clone(),
            most: spec.most as u64,
            visibility: spec.visibility,
            most_tries: spec.most_tries,
            dedup_window: spec.dedup_window,
        };
        let space = Space { table: TABLE, cache };
        let (earlier, closed) = (self.earlier.clone(), self.closed.clone());
        let line = Line::new(self.node.clone(), space, settings, earlier, closed);
        let weak = Arc::downgrade(&line);
        let runtime = tokio::runtime::Handle::current();
        let merged = move |changes: muster_grid::Changes| {
            // Not under the lock of the core.
            let weak = weak.clone();
            runtime.spawn(async move {
                if let Some(line) = weak.upgrade() {
                    line.merged(&changes.group);
                }
            });
        };
        self.node.on_changes(space, Watched::Merges, Arc::new(merged));
        line.view();
        let queue = Arc::new(SharedQueue { spec, line, journal: OnceLock::new() });
        queues.insert(cache, queue.clone());
        queue
    }

    /// All of them, by name.
    pub(in super::super) fn all(&self) -> Vec<Arc<dyn Queue>> {
        let queues = self.queues.read();
        let mut all: Vec<Arc<dyn Queue>> =
            queues.values().map(|queue| queue.clone() as Arc<dyn Queue>).collect();
        all.sort_by(|one, other| one.spec().name.cmp(&other.spec().name));
        all
    }

    pub(in super::super) fn close(&self) {
        self.queues.read().values().for_each(|queue| queue.line.close());
    }

    fn lines(&self) -> Vec<Arc<Line>> {
        self.queues.read().values().map(|queue| queue.line.clone()).collect()
    }

    /// Another member uses a queue that this one is to keep.
    fn opened(&self, cache: u32, settings: Settings) {
        let mut queues = self.queues.write();
        let is_its = number(&queue_name(&settings.name)) == cache;
        if !is_its || queues.contains_key(&cache) || queues.len() >= MOST_QUEUES {
            return;
        }
        let Settings { name, most, visibility, most_tries, dedup_window } = settings;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let spec = QueueSpec { name, most, visibility, most_tries, dedup_window, journal: None };
        let taken = self.spaces.lock().take(&queue_name(&spec.name));
        if spec.check().is_ok() && taken.is_ok() {
            self.begin(&mut queues, cache, spec);
        }
    }

    fn heard(&self, from: MemberId, bytes: &[u8]) {
        let (address, frame) = match Frame::decode(bytes) {
            Ok(read) => read,
            Err(error) => return tracing::debug!(%from, %error, "a queue's frame was passed over"),
        };
        let queue = self.queues.read().get(&address.cache).cloned();
        match (queue, frame) {
            (Some(queue), frame) => {
                // Its station says which life of it spoke: the link may know of a later one already.
                let from = MemberId { incarnation: address.from, ..from };
                queue.line.frame(from, address.to, frame);
            }
            (None, Frame::Home(ToHome::Open(settings))) => self.opened(address.cache, settings),
            // Whoever speaks of it opens it first, and asks again when that was lost.
            (None, _) => {}
        }
    }
}

/// Hears frames; it does not keep the engine alive.
struct Ear(Weak<Post>);

impl FrameHandler for Ear {
    fn frame(&self, from: MemberId, _: u64, payload: Bytes) {
        if let Some(post) = self.0.upgrade() {
            post.heard(from, &payload);
        }
    }
}

/// Tells every queue of every view.
async fn keep_views(
    post: Weak<Post>,
    mut state: tokio::sync::watch::Receiver<crate::node::NodeState>,
    closed: CancellationToken,
) {
    while changed(&mut state, &closed).await {
        let Some(post) = post.upgrade() else { return };
        post.lines().iter().for_each(|line| line.view());
    }
}

/// Does at its time what is due.
async fn keep_time(post: Weak<Post>, earlier: Arc<Notify>, closed: CancellationToken) {
    loop {
        let wait = {
            let Some(post) = post.upgrade() else { return };
            let next: Option<Moment> = post.lines().iter().filter_map(|line| line.tick()).min();
            next.map(|next| next.saturating_sub(post.node.now()).max(SHORTEST))
        };
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = closed.cancelled() => return,
            () = earlier.notified() => {}
            () = due => {}
        }
    }
}
