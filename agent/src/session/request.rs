//! One request's session: touched, committed, given back.

use std::sync::Arc;

use muster_grid::Bytes;
use parking_lot::Mutex;

use super::attributes::Attributes;
use super::commit;
use super::error::SessionError;
use super::handle::Session;
use super::manager::{Found, ReadSession, Sessions};
use super::metadata::{Metadata, now_ms};
use super::to_the_end::ToTheEnd;
use crate::checkouts::Held;

/// One request's session. Clones are the same one. Dropping the last one without
/// [`SessionRequest::finish`] gives the session back unchanged.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) sessions: Sessions,
    /// The ids that the request shows.
    asked: Vec<Bytes>,
    /// The first touch is one: the others wait for it.
    opening: tokio::sync::Mutex<()>,
    pub(super) state: Mutex<State>,
}

#[derive(Debug)]
pub(super) enum State {
    Untouched,
    Open(Box<Open>),
    Finished,
}

/// A session that is this request's.
#[derive(Debug)]
pub(super) struct Open {
    /// What was found under the id that was asked for, and is still to be written or removed.
    pub(super) found: Option<Held>,
    /// The id under which it will be: none while there is none.
    pub(super) id: Option<Bytes>,
    pub(super) is_new: bool,
    pub(super) metadata: Metadata,
    pub(super) attributes: Attributes,
}

/// What a request has done to its session: what its answer must tell the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finished {
    /// It touched none.
    Untouched,
    /// It had none, and created none. Whether the client showed an id that is none any more.
    None {
        /// The client may forget its id.
        was_asked: bool,
    },
    /// The session that was asked for, written.
    Same(String),
    /// A session under an id that the client does not know yet.
    New(String),
    /// The session was ended.
    Ended,
}

// === impl SessionRequest ===

impl SessionRequest {
    pub(super) fn new<'a>(sessions: &Sessions, asked: impl IntoIterator<Item = &'a str>) -> Self {
        let inner = Inner {
            sessions: sessions.clone(),
            asked: asked.into_iter().map(|id| id.as_bytes().into()).collect(),
            opening: tokio::sync::Mutex::default(),
            state: Mutex::new(State::Untouched),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The session, which is this request's from now on: waits while another request has it.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn session(&self) -> Result<Session, SessionError> {
        let _one = self.inner.opening.lock().await;
        match &*self.inner.state.lock() {
            State::Open(_) => return Ok(Session::new(self)),
            State::Finished => return Err(SessionError::Committed),
            State::Untouched => {}
        }
        let open = self.inner.open().await?;
        *self.inner.state.lock() = State::Open(Box::new(open));
        Ok(Session::new(self))
    }

    /// The session as it is, without its lock; none where there is none.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn read(&self) -> Result<Option<ReadSession>, SessionError> {
        for id in self.inner.asked.iter().filter_map(|id| std::str::from_utf8(id).ok()) {
            if let Some(session) = self.inner.sessions.read(id).await? {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// Whether it is a request to this application.
    pub(super) fn is_of(&self, sessions: &Sessions) -> bool {
        self.inner.sessions == *sessions
    }

    /// Writes what has changed, before the head of the answer is sent. Afterwards the session is
    /// another request's, and what is done by a [`Session`] left over is an error.
    ///
    /// # Errors
    /// See [`SessionError`]: then the answer must not be sent, for it tells of what was not
    /// written.
    pub async fn finish(&self) -> Result<Finished, SessionError> {
        let _one = self.inner.opening.lock().await;
        let state = std::mem::replace(&mut *self.inner.state.lock(), State::Finished);
        match state {
            State::Open(open) => {
                let sessions = self.inner.sessions.clone();
                let was_asked = !self.inner.asked.is_empty();
                // A client that goes away stops it nowhere: an old id would outlive its rotation.
                let commit = async move { commit::commit(&sessions, *open, was_asked).await };
                ToTheEnd::new(commit).await
            }
            State::Untouched => Ok(Finished::Untouched),
            State::Finished => Err(SessionError::Committed),
        }
    }
}

// === impl Inner ===

impl Inner {
    async fn open(&self) -> Result<Open, SessionError> {
        let now = now_ms();
        for id in &self.asked {
            let Some(found) = self.sessions.check_out(id).await? else { continue };
            let Found { held, mut metadata, attributes } = found;
            metadata.accessed_ms = now;
            let id = Some(id.clone());
            return Ok(Open { found: Some(held), id, is_new: false, metadata, attributes });
        }
        let metadata = Metadata::new(now, self.sessions.inner.settings.max_inactive);
        let attributes = Attributes::default();
        Ok(Open { found: None, id: None, is_new: true, metadata, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Granularity;

    fn sessions(granularity: Granularity) -> Sessions {
        Sessions::builder("shop").granularity(granularity).start().unwrap()
    }

    async fn count(sessions: &Sessions, asked: Option<&str>) -> (Finished, u64) {
        let request = sessions.request(asked);
        let session = request.session().await.unwrap();
        let count = session.get::<u64>("count").unwrap().unwrap_or(0) + 1;
        session.set("count", &count).unwrap();
        (request.finish().await.unwrap(), count)
    }

    #[tokio::test]
    async fn a_session_counts_its_requests_with_either_granularity() {
        for granularity in [Granularity::Session, Granularity::Attribute] {
            let sessions = sessions(granularity);
            let (first, _) = count(&sessions, None).await;
            let Finished::New(id) = first else { panic!("{first:?}") };
            assert_eq!(count(&sessions, Some(&id)).await, (Finished::Same(id.clone()), 2));
            let (other, _) = count(&sessions, Some("unknown")).await;
            assert!(matches!(other, Finished::New(new) if new != "unknown"));
        }
    }

    #[tokio::test]
    async fn a_rotated_session_is_there_under_its_new_id_only() {
        let sessions = sessions(Granularity::Session);
        let (Finished::New(old), _) = count(&sessions, None).await else { panic!("no session") };
        let request = sessions.request(Some(&old));
        let new = request.session().await.unwrap().rotate_id().unwrap();
        assert_eq!(request.finish().await, Ok(Finished::New(new.clone())));
        assert!(sessions.read(&old).await.unwrap().is_none());
        assert_eq!(count(&sessions, Some(&new)).await, (Finished::Same(new.clone()), 2));
        assert_eq!(sessions.invalidate(&new).await, Ok(true));
        assert!(sessions.read(&new).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_touched_after_the_commit_is_an_error() {
        let sessions = sessions(Granularity::Session);
        let request = sessions.request(None);
        let session = request.session().await.unwrap();
        session.set("a", &1).unwrap();
        request.finish().await.unwrap();
        assert_eq!(session.set("a", &2), Err(SessionError::Committed));
        assert_eq!(request.session().await.unwrap_err(), SessionError::Committed);
    }
}
