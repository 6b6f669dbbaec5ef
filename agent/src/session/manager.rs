//! The sessions of one application.

use std::fmt;
use std::sync::Arc;

use muster_grid::Bytes;
use muster_grid::batch::Entries;
use parking_lot::RwLock;
use serde::de::DeserializeOwned;

use super::attributes::Attributes;
use super::error::SessionError;
use super::metadata::Metadata;
use super::place::Place;
use super::plan;
use super::records::Records;
use super::request::SessionRequest;
use super::settings::{SessionsBuilder, Settings};
use crate::checkouts::{Checkouts, Held};
use crate::engine::map::Read;
use crate::engine::{Engine, Map};

/// The sessions of one application. Clones are the same ones; applications of one process share
/// nothing.
#[derive(Clone)]
pub struct Sessions {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) application: String,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) map: Arc<dyn Map>,
    pub(super) settings: Settings,
    place: RwLock<Arc<Place>>,
}

/// A session as it was at one moment. It holds no lock, and nothing can be changed by it.
#[derive(Debug)]
pub struct ReadSession {
    id: String,
    metadata: Metadata,
    attributes: Attributes,
}

/// A session as it was found under a checkout.
pub(super) struct Found {
    pub(super) held: Held,
    pub(super) metadata: Metadata,
    pub(super) attributes: Attributes,
}

// === impl Sessions ===

impl Sessions {
    /// Settings of an application's sessions. Members that serve one application give one name.
    pub fn builder(application: &str) -> SessionsBuilder {
        SessionsBuilder::new(application)
    }

    pub(super) fn over(engine: Arc<dyn Engine>, map: Arc<dyn Map>, built: SessionsBuilder) -> Self {
        let SessionsBuilder { application, settings, .. } = built;
        let place = RwLock::default();
        Self { inner: Arc::new(Inner { application, engine, map, settings, place }) }
    }

    /// The application's name.
    #[must_use]
    pub fn application(&self) -> &str {
        &self.inner.application
    }

    /// A request, and the session id that it shows, without its route. Nothing is asked of anybody
    /// before the session is touched.
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

    /// How many there are whose primary this member is: in the whole cluster each is counted once.
    /// Without a cluster, all. It looks at what is there, so ask now and then, not in each request.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.inner.map.stats().primary_groups
    }

    /// A session as it is, without its lock and without keeping it alive.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn read(&self, id: &str) -> Result<Option<ReadSession>, SessionError> {
        let entries = self.inner.map.get(id.as_bytes(), Read::Confirmed).await?;
        let Some((metadata, attributes)) = self.parse(&entries)? else { return Ok(None) };
        Ok(Some(ReadSession { id: id.to_owned(), metadata, attributes }))
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

    /// The same sessions as records without a lock, for adapters of libraries that know none.
    #[must_use]
    pub fn records(&self) -> Records {
        Records::over(self)
    }

    /// Checks a session out; none where there is none of that id.
    pub(super) async fn check_out(&self, id: &Bytes) -> Result<Option<Found>, SessionError> {
        let held = self.checkouts().check_out(id).await?;
        let parsed = self.parse(held.entries())?;
        Ok(parsed.map(|(metadata, attributes)| Found { held, metadata, attributes }))
    }

    pub(super) fn checkouts(&self) -> Checkouts<'_> {
        let Inner { engine, map, settings, .. } = &*self.inner;
        Checkouts { engine, map, wait: settings.lock_wait, hold: settings.longest_request }
    }

    fn parse(&self, entries: &Entries) -> Result<Option<(Metadata, Attributes)>, SessionError> {
        plan::parse(entries, self.inner.settings.granularity)
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

// === impl ReadSession ===

impl ReadSession {
    /// Its id, without a route.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// An attribute.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.attributes.get(name)
    }

    /// The names of its attributes.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.attributes.names()
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> std::time::SystemTime {
        self.metadata.created()
    }

    /// When its last request began.
    #[must_use]
    pub fn last_accessed(&self) -> std::time::SystemTime {
        self.metadata.accessed()
    }
}
