//! What a handler reads and writes.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::SessionError;
use super::immutable::Immutable;
use super::metadata::{Metadata, time};
use super::request::{Open, SessionRequest, State};
use crate::wall;

/// A session that is this request's until the head of its answer leaves. Clones are the same one.
/// Nothing leaves this process before the commit; everything after it is
/// [`SessionError::Committed`].
#[derive(Clone, Debug)]
pub struct Session {
    request: SessionRequest,
}

/// A `&mut` to an attribute. When it is dropped the attribute counts as changed. One that is still
/// held at the commit makes that fail: what it holds would be lost.
pub struct AttributeMut<T: Serialize> {
    session: Session,
    name: String,
    value: Option<T>,
    /// How often the session had been ended when it was taken.
    ended: u32,
}

// === impl Session ===

impl Session {
    pub(super) fn new(request: &SessionRequest) -> Self {
        Self { request: request.clone() }
    }

    fn with<R>(
        &self,
        act: impl FnOnce(&mut Open) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        match &mut *self.request.inner.state.lock() {
            State::Open(open) => act(open),
            State::Untouched | State::Finished => Err(SessionError::Committed),
        }
    }

    /// Whoever changes something has a session from then on.
    fn change<R>(
        &self,
        act: impl FnOnce(&mut Open, usize) -> Result<R, SessionError>,
    ) -> Result<R, SessionError> {
        let inner = &self.request.inner.sessions.inner;
        self.with(|open| {
            let done = act(open, inner.settings.most_bytes)?;
            open.id.get_or_insert_with(|| inner.map.mint_local());
            Ok(done)
        })
    }

    /// Its id, without a route; none while there is no session: the first change creates one.
    #[must_use]
    pub fn id(&self) -> Option<String> {
        let id = self.with(|open| Ok(open.id.clone())).ok().flatten();
        id.map(|id| String::from_utf8_lossy(&id).into_owned())
    }

    /// Whether the client does not know it yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.with(|open| Ok(open.is_new)).unwrap_or(false)
    }

    /// Creates it, if there is none, without an attribute. Its id.
    ///
    /// # Errors
    /// [`SessionError::Committed`].
    pub fn create(&self) -> Result<String, SessionError> {
        self.change(|_, _| Ok(()))?;
        self.id().ok_or(SessionError::Committed)
    }

    /// A copy of an attribute: changing it changes nothing.
    ///
    /// # Errors
    /// When it is of another type, or borrowed.
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionError> {
        self.with(|open| open.attributes.get(name))
    }

    /// A shared reference to an attribute, which is read once in a request and does not count as
    /// changed.
    ///
    /// # Errors
    /// As for [`Session::get`].
    pub fn get_ref<T: Immutable>(&self, name: &str) -> Result<Option<Arc<T>>, SessionError> {
        self.with(|open| open.attributes.shared(name))
    }

    /// A `&mut` to an attribute, which counts as changed when it ends. It must end before the
    /// commit, which fails otherwise.
    ///
    /// # Errors
    /// As for [`Session::get`].
    pub fn get_mut<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<AttributeMut<T>>, SessionError> {
        let (value, ended) = self.with(|open| Ok((open.attributes.borrow(name)?, open.ended)))?;
        let guard = |value| AttributeMut {
            session: self.clone(),
            name: name.to_owned(),
            value: Some(value),
            ended,
        };
        Ok(value.map(guard))
    }

    /// Sets an attribute; creates the session where there is none.
    ///
    /// # Errors
    /// When it cannot be written, or the session would become too large: nothing has changed.
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<(), SessionError> {
        self.change(|open, most| open.attributes.set(name, value, most))
    }

    /// Removes an attribute. Whether it was there.
    ///
    /// # Errors
    /// When it is borrowed.
    pub fn remove(&self, name: &str) -> Result<bool, SessionError> {
        self.with(|open| open.attributes.remove(name))
    }

    /// The names of its attributes.
    ///
    /// # Errors
    /// [`SessionError::Committed`].
    pub fn names(&self) -> Result<Vec<String>, SessionError> {
        self.with(|open| Ok(open.attributes.names()))
    }

    /// An attribute's bytes as they were set by [`Session::set_raw`]: for adapters that have a
    /// format of their own.
    ///
    /// # Errors
    /// [`SessionError::Committed`].
    pub fn get_raw(&self, name: &str) -> Result<Option<Bytes>, SessionError> {
        self.with(|open| Ok(open.attributes.raw(name)))
    }

    /// Sets an attribute's bytes.
    ///
    /// # Errors
    /// As for [`Session::set`].
    pub fn set_raw(&self, name: &str, value: Bytes) -> Result<(), SessionError> {
        self.change(|open, most| open.attributes.set_raw(name, value, most))
    }

    /// Ends it with the commit. What is set afterwards is in a new one; what an [`AttributeMut`] of
    /// the old one still holds is gone with it.
    ///
    /// # Errors
    /// [`SessionError::Committed`].
    pub fn invalidate(&self) -> Result<(), SessionError> {
        let max_inactive = self.request.inner.sessions.inner.settings.max_inactive;
        self.with(|open| {
            (open.id, open.is_new, open.ended) = (None, true, open.ended + 1);
            open.attributes = Default::default();
            open.metadata = Metadata::new(wall::ms(), max_inactive);
            open.before_ms = open.metadata.accessed_ms;
            Ok(())
        })
    }

    /// Gives it a new id, all else stays: at a login, so that nobody who knew the old id has the
    /// new session. Where there is none it creates one. The new id; of several in one request the
    /// last counts.
    ///
    /// # Errors
    /// [`SessionError::Committed`].
    pub fn rotate_id(&self) -> Result<String, SessionError> {
        let map = &self.request.inner.sessions.inner.map;
        self.with(|open| {
            open.id = Some(map.mint_local());
            Ok(())
        })?;
        self.id().ok_or(SessionError::Committed)
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Option<SystemTime> {
        self.with(|open| Ok(open.metadata.created())).ok()
    }

    /// When the request before this one began; of the first request, its own begin.
    #[must_use]
    pub fn last_accessed(&self) -> Option<SystemTime> {
        self.with(|open| Ok(time(open.before_ms))).ok()
    }

    /// It ends when no request came for so long; never without.
    #[must_use]
    pub fn max_inactive(&self) -> Option<Duration> {
        self.with(|open| Ok(open.metadata.max_inactive)).ok().flatten()
    }

    /// It ends when no request came for so long, beginning with this one's commit; never without.
    /// It creates the session where there is none.
    ///
    /// # Errors
    /// [`SessionError::BadTime`] for no time at all, [`SessionError::Committed`].
    pub fn set_max_inactive(&self, max_inactive: Option<Duration>) -> Result<(), SessionError> {
        if let Some(none) = max_inactive.filter(Duration::is_zero) {
            return Err(SessionError::BadTime(none));
        }
        self.change(|open, _| {
            open.metadata.max_inactive = max_inactive;
            Ok(())
        })
    }

    fn put_back<T: Serialize>(
        &self,
        name: &str,
        value: &T,
        ended: u32,
    ) -> Result<(), SessionError> {
        if self.with(|open| Ok(open.ended != ended))? {
            return Ok(());
        }
        self.change(|open, most| open.attributes.put_back(name, value, most))
    }
}

// === impl AttributeMut ===

impl<T: Serialize> AttributeMut<T> {
    /// Ends it, and tells when the value could not be written: dropping it logs that.
    ///
    /// # Errors
    /// See [`Session::set`].
    pub fn save(mut self) -> Result<(), SessionError> {
        match self.value.take() {
            Some(value) => self.session.put_back(&self.name, &value, self.ended),
            None => Ok(()),
        }
    }
}

impl<T: Serialize> Deref for AttributeMut<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("only the end takes it")
    }
}

impl<T: Serialize> DerefMut for AttributeMut<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only the end takes it")
    }
}

impl<T: Serialize> Drop for AttributeMut<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else { return };
        if let Err(error) = self.session.put_back(&self.name, &value, self.ended) {
            tracing::error!(%error, attribute = self.name, "a changed attribute is lost");
        }
    }
}

impl<T: Serialize + fmt::Debug> fmt::Debug for AttributeMut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AttributeMut").field(&self.value).finish()
    }
}
