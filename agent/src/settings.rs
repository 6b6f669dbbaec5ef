//! The settings of the cluster itself: policies, quorums and limits that are set once, by an
//! operator or a program, and count on every member at once. They are kept in a replicated map, so
//! they are there as long as one member is; members with a data directory keep the last ones on disk
//! for a cluster that was wholly down. The guide is docs/settings.md.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Cluster;
//! use muster_agent::settings::{How, Setting};
//! let cluster = Cluster::builder("node1").local();
//! let settings = cluster.settings();
//! settings.register(Setting::whole("shop.limits.carts", 1..=1000).default("100"))?;
//! let limits = settings.watch("shop.limits.");
//! settings.set("shop.limits.carts", "250", &How::by("ann")).await?;
//! assert_eq!(limits.borrow().whole("shop.limits.carts"), Some(250));
//! # Ok(()) }
//! ```
//!
//! | file | idea |
//! |---|---|
//! | `schema` | which settings there are, and their values |
//! | `document` | all that is set as one value, and its changes |
//! | `view` | what the parts of a member read |
//! | `file` | the last settings on disk |
//! | `keeper` | follows the map, and brings back what the cluster has lost |
//! | `report` | what the management answers |

mod document;
mod file;
mod keeper;
mod report;
mod schema;
mod view;

use std::path::Path;
use std::sync::Arc;

use muster_grid::{Bytes, Expect, Op, Put, Rev};
use muster_protocol::cluster::events::EventKind;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::engine::map::{Batch, Map, MapError, MapSpec, Merging, Mode, Read};
use crate::engine::{Engine, EngineError};
use crate::events::Events;
use document::{Document, Wish};
pub use document::{MOST_BY, MOST_HISTORY, MOST_SETTINGS, Unreadable};
use file::Kept;
use schema::Schema;
pub use schema::{BadSetting, MOST_KEY, MOST_VALUE, Refused, Setting, Value};
pub use view::SettingsView;

/// The map that they are kept in, its one group, and the one entry of that.
const MAP: &str = "muster.settings";
const GROUP: &[u8] = b"settings";
const KEY: &[u8] = b"document";

/// How often a change is tried while others change the settings too.
const MOST_TRIES: u32 = 20;

/// The settings of a cluster, as this member sees them. Clones are the same.
#[derive(Clone)]
pub struct Settings {
    inner: Arc<Inner>,
}

/// How a setting is changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct How {
    /// Who wants it: for the history. Shortened to [`MOST_BY`] bytes.
    pub by: String,
    /// Only where the settings still have this version.
    pub if_version: Option<u64>,
}

/// Why a setting was not changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// It is not possible: nothing was changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too few members are in sight: nothing was changed.
    #[error("too few members are in sight: the settings are as they were")]
    NotQuorate,
    /// The members that would have to agree were lost meanwhile.
    #[error("it is not known whether the settings were changed: look again")]
    Unknown,
    /// The settings could not be reached: nothing was changed.
    #[error("the settings cannot be reached: {0}")]
    Unreachable(MapError),
    /// A later release wrote them, or somebody else did: nothing was changed.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// There is no map for them: the engine is closed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

struct Inner {
    map: Result<Arc<dyn Map>, EngineError>,
    state: Mutex<State>,
    is_read: watch::Sender<bool>,
    /// This member knows other settings than it did.
    changed: Notify,
    kept: Option<Kept>,
    events: Events,
}

struct State {
    document: Arc<Document>,
    schema: Arc<Schema>,
    watchers: Vec<Watcher>,
}

struct Watcher {
    prefix: String,
    sender: watch::Sender<Arc<SettingsView>>,
}

/// What is in the map.
struct Found {
    document: Document,
    rev: Option<Rev>,
}

// === impl Settings ===

impl Settings {
    /// Begins to follow the settings until `closed`; with a directory the last ones are kept there.
    pub(crate) fn start(
        engine: &dyn Engine,
        directory: Option<&Path>,
        events: Events,
        closed: CancellationToken,
    ) -> Self {
        let merging = Merging::Custom(keeper::greater);
        let map = engine.map(MapSpec { merging, ..MapSpec::new(MAP, Mode::Replicated) });
        let kept = directory.map(Kept::within);
        let document = kept.as_ref().map(Kept::read).unwrap_or_default();
        let schema = Arc::new(known());
        let state = State { document: Arc::new(document), schema, watchers: Vec::new() };
        let inner = Arc::new(Inner {
            map,
            state: Mutex::new(state),
            is_read: watch::Sender::new(false),
            changed: Notify::new(),
            kept,
            events,
        });
        keeper::start(&inner, engine.group().watch(), closed);
        Self { inner }
    }

    /// Returns when this member has seen the cluster's settings for the first time; what it knows
    /// before is what it kept on disk.
    pub async fn read(&self) {
        // An error is an engine that is gone: there is nothing to wait for.
        let _ = self.inner.is_read.subscribe().wait_for(|is_read| *is_read).await;
    }

    /// One more setting that can be set, from now on and on this member: whoever uses a setting
    /// registers it on every member. The same once more changes nothing.
    ///
    /// # Errors
    /// When it is no name of a setting, its default is out of its bounds, or it is there with other
    /// bounds.
    pub fn register(&self, setting: Setting) -> Result<(), BadSetting> {
        let mut state = self.inner.state.lock();
        let mut schema = (*state.schema).clone();
        schema.register(setting)?;
        state.schema = Arc::new(schema);
        state.tell(true);
        Ok(())
    }

    /// Which version the settings have here: it rises by one with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.state.lock().document.version
    }

    /// What a setting is now, or its default.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Value> {
        self.view("").get(key)
    }

    /// The settings whose keys begin like this, as they are now.
    #[must_use]
    pub fn view(&self, prefix: &str) -> Arc<SettingsView> {
        Arc::new(self.inner.state.lock().view(prefix))
    }

    /// The same as they change: told when one of them did.
    #[must_use]
    pub fn watch(&self, prefix: &str) -> watch::Receiver<Arc<SettingsView>> {
        let mut state = self.inner.state.lock();
        let (sender, receiver) = watch::channel(Arc::new(state.view(prefix)));
        state.watchers.retain(|watcher| !watcher.sender.is_closed());
        state.watchers.push(Watcher { prefix: prefix.to_owned(), sender });
        receiver
    }

    /// Sets one, for every member: when this returns every member that keeps them has it, and each
    /// reads it within moments. The version of the settings then.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub async fn set(&self, key: &str, value: &str, how: &How) -> Result<u64, SettingsError> {
        let schema = self.inner.state.lock().schema.clone();
        let value = value.trim();
        schema.read(key, value)?;
        self.change(key, Some(value), how).await
    }

    /// Brings one back to its default.
    ///
    /// # Errors
    /// See [`SettingsError`]; [`Refused::NotSet`] where it is at its default.
    pub async fn unset(&self, key: &str, how: &How) -> Result<u64, SettingsError> {
        self.change(key, None, how).await
    }

    async fn change(
        &self,
        key: &str,
        value: Option<&str>,
        how: &How,
    ) -> Result<u64, SettingsError> {
        let How { by, if_version } = how.clone();
        let (key, value) = (key.to_owned(), value.map(str::to_owned));
        let at_ms = crate::wall::ms();
        let wish = Wish { key, value, by, if_version, at_ms, id: rand::random() };
        let (version, is_new) = self.inner.change(&wish).await?;
        if is_new {
            let Wish { key, value, by, .. } = &wish;
            tracing::info!(key, value, by, version, "a setting of the cluster was changed");
            self.inner.events.tell(EventKind::Settings, said(&wish));
        }
        Ok(version)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("version", &self.version()).finish_non_exhaustive()
    }
}

/// The settings that the parts of every member use; theirs are added here.
fn known() -> Schema {
    Schema::default()
}

fn said(wish: &Wish) -> String {
    let by = if wish.by.is_empty() { String::new() } else { format!(" by {}", wish.by) };
    match &wish.value {
        Some(value) => format!("{} is {value:?} now{by}", wish.key),
        None => format!("{} is at its default again{by}", wish.key),
    }
}

// === impl How ===

impl How {
    /// Whatever the version is.
    #[must_use]
    pub fn by(who: impl Into<String>) -> Self {
        Self { by: who.into(), if_version: None }
    }
}

// === impl Inner ===

impl Inner {
    fn map(&self) -> Result<&Arc<dyn Map>, SettingsError> {
        self.map.as_ref().map_err(|error| error.clone().into())
    }

    fn document(&self) -> Arc<Document> {
        self.state.lock().document.clone()
    }

    /// The version then, and whether there was something to change.
    async fn change(&self, wish: &Wish) -> Result<(u64, bool), SettingsError> {
        let map = self.map()?;
        let mut is_unknown = false;
        for _ in 0..MOST_TRIES {
            let found = found(&**map, Read::Confirmed).await;
            let Found { document, rev } = match found {
                Err(_) if is_unknown => return Err(SettingsError::Unknown),
                found => found?,
            };
            if is_unknown && document.has(wish.id) {
                let version = document.version;
                self.adopt(document);
                return Ok((version, true));
            }
            // What this member knows and the cluster has lost comes first.
            let known = self.document();
            let base = if known.order(&document).is_gt() { &known } else { &document };
            let Some(next) = base.changed(wish)? else { return Ok((base.version, false)) };
            match map.write(batch(&next, rev)).await {
                Ok(_) => {
                    let version = next.version;
                    self.adopt(next);
                    return Ok((version, true));
                }
                Err(MapError::Conflict { .. }) => {}
                Err(MapError::Unknown) => is_unknown = true,
                Err(_) if is_unknown => return Err(SettingsError::Unknown),
                Err(error) => return Err(error.into()),
            }
        }
        Err(if is_unknown { SettingsError::Unknown } else { MapError::Busy.into() })
    }

    /// The settings are these from now on, unless later ones are known.
    fn adopt(&self, document: Document) {
        let mut state = self.state.lock();
        if document.order(&state.document).is_gt() {
            state.document = Arc::new(document);
            state.tell(false);
            self.changed.notify_one();
        }
    }
}

// === impl State ===

impl State {
    fn view(&self, prefix: &str) -> SettingsView {
        SettingsView::of(&self.document, &self.schema, prefix).0
    }

    /// Tells those who watch what has changed, or all of it where other settings are known now.
    fn tell(&self, is_other_schema: bool) {
        for watcher in &self.watchers {
            let view = self.view(&watcher.prefix);
            watcher.sender.send_if_modified(|present| {
                let is_news = is_other_schema || !present.is_same(&view);
                if is_news {
                    *present = Arc::new(view);
                }
                is_news
            });
        }
    }
}

// === the map ===

async fn found(map: &dyn Map, read: Read) -> Result<Found, SettingsError> {
    let entries = map.get(GROUP, read).await?;
    Ok(match entries.entries.get(KEY) {
        None => Found { document: Document::default(), rev: None },
        Some((bytes, rev)) => Found { document: Document::parse(bytes)?, rev: Some(*rev) },
    })
}

/// The document in the place of what was found.
fn batch(document: &Document, found: Option<Rev>) -> Batch {
    let expect = found.map_or(Expect::Absent, Expect::Rev);
    let put = Some(Put::of(Bytes::from(document.bytes())));
    Batch::new(GROUP, vec![Op { key: KEY.into(), expect, put }])
}

impl From<MapError> for SettingsError {
    fn from(error: MapError) -> Self {
        match error {
            MapError::NotQuorate => Self::NotQuorate,
            MapError::Unknown => Self::Unknown,
            other => Self::Unreachable(other),
        }
    }
}
