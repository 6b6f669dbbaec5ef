//! The sessions of one application.

use std::fmt;
use std::sync::{Arc, Weak};

use muster_grid::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::error::SessionError;
use super::events::{End, Events};
use super::expiry::Expiry;
use super::follow::follow;
use super::place::Place;
use super::plan::{self, Parsed};
use super::read::{self, MOST_KEEPING, ReadSession};
use super::records::Records;
use super::request::{SessionRequest, is_possible};
use super::settings::{SessionsBuilder, Settings, Wait};
use super::stats::{Counted, SessionStats};
use super::store::{self, Keeper};
use crate::checkouts::Checkouts;
use crate::engine::map::Watch;
use crate::engine::{Engine, Map, Mode};
use crate::manage;
use crate::wall;

/// The sessions of one application. Clones are the same ones; applications of one process share
/// nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use muster_agent::{Sessions, session::Finished};
/// let sessions = Sessions::builder("shop").start()?; // .cluster(&cluster).distributable(true)
/// let request = sessions.request(None); // the id that the client shows
/// let session = request.session().await?; // the first touch: this request's from here on
/// session.set("visits", &1_u32)?;
/// let Finished::New(id) = request.finish().await? else { panic!() }; // before the answer's head
///
/// let next = sessions.request(Some(&id));
/// *next.session().await?.get_mut::<u32>("visits")?.expect("it was set") += 1;
/// assert_eq!(next.finish().await?, Finished::Same(id.clone()));
/// let read = sessions.read(&id).await?.expect("it is there");
/// assert_eq!(read.get::<u32>("visits")?, Some(2));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Sessions {
    pub(super) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(super) application: String,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) map: Arc<dyn Map>,
    pub(super) settings: Settings,
    pub(super) events: Option<Events>,
    pub(super) counted: Counted,
    /// Somebody of ours who must know of each beginning and end.
    on_turn: Mutex<Option<OnTurn>>,
    place: RwLock<Arc<Place>>,
    /// The store beside the members' memory.
    pub(super) keeper: Option<Arc<Keeper>>,
    /// Commits whose answers have left, at the same time; closed when the sessions are stopped.
    pub(super) window: Arc<Semaphore>,
    /// Readers that keep their sessions alive, at the same time.
    pub(super) keeping: Arc<Semaphore>,
    /// What goes on after its request.
    pub(super) tasks: TaskTracker,
    /// Ends who follows what expires.
    _following: DropGuard,
}

/// Is told of each session that has begun or ended here, as listeners are.
type OnTurn = Arc<dyn Fn(&ReadSession, Turn) + Send + Sync>;

/// A session's beginning or end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// It stands under an id that it did not have.
    Begun {
        /// The id that it had before.
        old: Option<String>,
    },
    /// It stands no more.
    Ended(End),
}

// === impl Sessions ===

impl Sessions {
    /// Settings of an application's sessions. Members that serve one application give one name.
    pub fn builder(application: &str) -> SessionsBuilder {
        SessionsBuilder::new(application)
    }

    pub(super) fn over(
        engine: Arc<dyn Engine>,
        map: Arc<dyn Map>,
        application: String,
        settings: Settings,
        events: Option<Events>,
    ) -> Self {
        let closed = CancellationToken::new();
        let ends = map.watch(Watch::Ends);
        let most = match settings.wait {
            Wait::Not { window } => window,
            Wait::ForOwners => 0,
        };
        let keeper = settings.store.clone().map(|store| Arc::new(Keeper::new(&application, store)));
        let inner = Arc::new(Inner {
            keeper,
            application,
            engine,
            map,
            settings,
            events,
            counted: Counted::default(),
            on_turn: Mutex::default(),
            place: RwLock::default(),
            window: Arc::new(Semaphore::new(most)),
            keeping: Arc::new(Semaphore::new(MOST_KEEPING)),
            tasks: TaskTracker::new(),
            _following: closed.clone().drop_guard(),
        });
        if inner.events.is_some() {
            let (of, memory) = (Arc::downgrade(&inner), inner.map.watch_memory());
            tokio::spawn(follow(of, memory, closed.clone(), Inner::memory_changed));
        }
        if let Some(keeper) = &inner.keeper {
            store::start(&inner, keeper, &closed);
        }
        let mut expiry = Expiry::default();
        let tell = move |inner: &Inner, heard| expiry.heard(inner, heard);
        tokio::spawn(follow(Arc::downgrade(&inner), ends, closed, tell));
        Self { inner }
    }

    /// The application's name.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.inner.application
    }

    /// Whether other members have them too.
    #[must_use]
    pub fn is_distributable(&self) -> bool {
        matches!(self.inner.map.spec().mode, Mode::Distributed | Mode::Replicated)
    }

    /// A request, and the session id that it shows, without its route. Nothing is asked of anybody
    /// before the session is touched. An id that this manager did not make finds nothing, and no
    /// session is ever created under it.
    #[must_use]
    pub fn request(&self, asked: Option<&str>) -> SessionRequest {
        self.request_among(asked)
    }

    /// A request that shows several ids: its session is the first that there is.
    pub(crate) fn request_among<'a>(
        &self,
        asked: impl IntoIterator<Item = &'a str>,
    ) -> SessionRequest {
        SessionRequest::new(self, asked)
    }

    /// Where they are deployed.
    pub(crate) fn place(&self) -> Arc<Place> {
        Arc::clone(&self.inner.place.read())
    }

    /// They are deployed there from now on.
    pub(crate) fn placed(&self, place: Place) {
        *self.inner.place.write() = Arc::new(place);
    }

    /// A session as it is, without its lock and without keeping it alive: for a look from outside.
    ///
    /// # Errors
    /// When no owner could be asked, or what is kept cannot be read.
    pub async fn read(&self, id: &str) -> Result<Option<ReadSession>, SessionError> {
        if !is_possible(id) {
            return Ok(None);
        }
        read::read(self, id.as_bytes()).await
    }

    /// Ends a session, whoever's request it is in: waits for that one to end. Whether it was there.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn invalidate(&self, id: &str) -> Result<bool, SessionError> {
        let request = self.request(Some(id));
        let session = request.session().await?;
        let was_there = session.id().is_some();
        session.invalidate()?;
        request.finish().await?;
        Ok(was_there)
    }

    /// Returns when the sessions are back that an earlier process of this or another member left in a
    /// store that keeps them ([`FileShelf::keep`](crate::FileShelf::keep)): an application that has
    /// such a store waits for it before it serves, or its clients' sessions are not found for a moment.
    /// A member that had the same and does not come is waited for 10 s.
    pub async fn restored(&self) {
        self.inner.map.restored().await;
    }

    /// The same sessions as records without a lock, for adapters of libraries that know none.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::over(self)
    }

    /// How many there are whose primary this member is: in the whole cluster each is counted once.
    /// Without a cluster, all. It looks at what is there, so ask now and then, not in each request.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.inner.map.stats().primary_groups
    }

    /// What they have done on this member.
    #[must_use]
    pub fn stats(&self) -> SessionStats {
        let dropped = self.inner.events.as_ref().map_or(0, Events::dropped);
        let stored = self.inner.keeper.as_ref().map(|keeper| keeper.stats()).unwrap_or_default();
        self.inner.counted.stats(self.active(), dropped, stored)
    }

    /// Waits until every session stands whose answer has left, the store knows of all that it has to
    /// be told (10 s at most), and listeners have heard of what
    /// happened so far (10 s at most). Requests go on as with [`Wait::ForOwners`]; listeners hear
    /// nothing any more. Leaving the cluster does it for each of its applications.
    pub async fn stop(&self) {
        self.inner.window.close();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        store::finish(self).await;
        if let Some(events) = &self.inner.events {
            events.stop().await;
        }
    }

    /// What keeps them.
    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    pub(super) fn checkouts(&self) -> Checkouts<'_> {
        let Inner { engine, map, settings, .. } = &*self.inner;
        Checkouts { engine, map, wait: settings.lock_wait, hold: settings.longest_request }
    }

    /// Whether every commit goes to a store.
    pub(super) fn writes_through(&self) -> bool {
        self.inner.keeper.as_ref().is_some_and(|keeper| keeper.writes_through())
    }

    /// Whether other members have them too.
    pub(crate) fn is_shared(&self) -> bool {
        self.inner.map.spec().mode != Mode::Local
    }

    /// Somebody of ours listens, or listens no more. Whether that is so: one may.
    pub(crate) fn on_turn(&self, hook: Option<OnTurn>) -> bool {
        let mut on_turn = self.inner.on_turn.lock();
        let is_free = on_turn.is_none() || hook.is_none();
        if is_free {
            *on_turn = hook;
        }
        is_free
    }

    /// What they count, as long as they are there.
    pub(crate) fn tally(&self) -> impl Fn() -> Option<manage::Counted> + Send + Sync + 'static {
        let inner = self.downgrade();
        move || Some(manage::Counted::Sessions(Self::upgrade(&inner)?.stats()))
    }

    pub(crate) fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    pub(crate) fn upgrade(inner: &Weak<Inner>) -> Option<Self> {
        inner.upgrade().map(|inner| Self { inner })
    }
}

impl PartialEq for Sessions {
    /// Whether they are the same ones.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Sessions {}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("application", &self.inner.application).finish()
    }
}

// === impl Inner ===

impl Inner {
    pub(super) fn on_turn(&self) -> Option<OnTurn> {
        self.on_turn.lock().clone()
    }

    /// A session has ended: what it was.
    pub(super) fn ended<'e>(
        &self,
        group: &[u8],
        was: impl IntoIterator<Item = (&'e Bytes, &'e Bytes)>,
        end: End,
    ) {
        if let Ok(Some(was)) = plan::parse(was) {
            self.over(group, was, end);
        }
    }

    /// A session has ended: what it was.
    pub(super) fn over(&self, group: &[u8], was: Parsed, end: End) {
        let Parsed { metadata, attributes, .. } = was;
        let lifetime_ms = wall::ms().saturating_sub(metadata.created_ms);
        match end {
            End::Invalidated => self.counted.invalidated(lifetime_ms),
            End::Expired => self.counted.expired(lifetime_ms),
        }
        let on_turn = self.on_turn();
        if on_turn.is_none() && self.events.is_none() {
            return;
        }
        let id = String::from_utf8_lossy(group).into_owned();
        let session = ReadSession { id, metadata, attributes };
        if let Some(on_turn) = on_turn {
            on_turn(&session, Turn::Ended(end));
        }
        if let Some(events) = &self.events {
            events.ended(session, end);
        }
    }
}
