//! One request's session: touched, committed, given back.

use std::sync::Arc;

use muster_grid::Bytes;
use parking_lot::Mutex;

use super::attributes::Attributes;
use super::commit;
use super::error::SessionError;
use super::handle::Session;
use super::manager::Sessions;
use super::metadata::Metadata;
use super::plan::{self, Form, Parsed};
use super::read::{self, ReadSession};
use super::store;
use super::to_the_end::ToTheEnd;
use crate::checkouts::Held;
use crate::engine::MapError;
use crate::wall;

/// One request's session. Clones are the same one. When the last one is dropped without
/// [`SessionRequest::finish`], because the client has gone or the handler has panicked, the session
/// is given back unchanged.
#[derive(Clone, Debug)]
pub struct SessionRequest {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) sessions: Sessions,
    /// The ids that the request shows, of those that can be one.
    asked: Vec<Bytes>,
    was_asked: bool,
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
    pub(super) found: Option<Found>,
    /// The id under which it will be: none while there is none.
    pub(super) id: Option<Bytes>,
    pub(super) is_new: bool,
    /// How often it was ended in this request.
    pub(super) ended: u32,
    /// When the request before this one began.
    pub(super) before_ms: u64,
    pub(super) metadata: Metadata,
    pub(super) attributes: Attributes,
}

/// A session that was there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) held: Held,
    /// The commit that wrote it.
    pub(super) commit: u64,
    pub(super) form: Form,
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
        let mut was_asked = false;
        let asked = asked.into_iter().inspect(|_| was_asked = true);
        let asked = asked.filter(|id| is_possible(id)).map(|id| id.as_bytes().into()).collect();
        let inner = Inner {
            sessions: sessions.clone(),
            asked,
            was_asked,
            opening: tokio::sync::Mutex::default(),
            state: Mutex::new(State::Untouched),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The session, which is this request's from now on: waits while another request has it, at
    /// most as long as [`lock_wait`](super::SessionsBuilder::lock_wait).
    ///
    /// # Errors
    /// [`SessionError::Busy`] when it waited in vain, [`SessionError::Committed`] after
    /// [`SessionRequest::finish`]; otherwise no owner could be asked.
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

    /// The session as it stands, without its lock; none where there is none. What a request that
    /// has it has changed is not seen before its commit. It counts as a request of the session: it
    /// does not end while it is read.
    ///
    /// # Errors
    /// When no owner could be asked, or what is kept cannot be read.
    pub async fn read(&self) -> Result<Option<ReadSession>, SessionError> {
        for id in &self.inner.asked {
            if let Some(read) = read::read_back(&self.inner.sessions, id).await? {
                read::keep_alive(&self.inner.sessions, id, &read);
                return Ok(Some(read));
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
    /// Dropped half way, it goes on to its end.
    ///
    /// # Errors
    /// See [`SessionError`]: then the answer must not be sent, for it tells of what was not
    /// written. [`SessionError::Borrowed`] when an [`AttributeMut`](super::AttributeMut) is still
    /// held: nothing was written then, for what it holds would be lost without a word.
    pub async fn finish(&self) -> Result<Finished, SessionError> {
        let _one = self.inner.opening.lock().await;
        let state = std::mem::replace(&mut *self.inner.state.lock(), State::Finished);
        match state {
            State::Open(open) => {
                let (sessions, was_asked) = (self.inner.sessions.clone(), self.inner.was_asked);
                let counted = sessions.inner.tasks.token();
                // A client that goes away stops it nowhere: an old id would outlive its rotation.
                ToTheEnd::new(async move {
                    let _counted = counted;
                    commit::commit(&sessions, open, was_asked).await
                })
                .await
            }
            State::Untouched => Ok(Finished::Untouched),
            State::Finished => Err(SessionError::Committed),
        }
    }
}

/// Whether the manager could have made it: hexadecimal digits, 128 bits at least. Nothing else is
/// asked for anywhere, whatever a client shows.
pub(crate) fn is_possible(id: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (32..=64).contains(&id.len()) && id.bytes().all(is_digit)
}

// === impl Inner ===

impl Inner {
    async fn open(&self) -> Result<Open, SessionError> {
        let now = wall::ms();
        for id in &self.asked {
            let checked_out = check_out(&self.sessions, id).await?;
            let Some((found, metadata, attributes)) = checked_out else { continue };
            let before_ms = metadata.accessed_ms;
            // A member whose clock is behind does not move it back.
            let metadata = Metadata { accessed_ms: now.max(before_ms), ..metadata };
            let (id, found) = (Some(id.clone()), Some(found));
            return Ok(Open {
                found,
                id,
                is_new: false,
                ended: 0,
                before_ms,
                metadata,
                attributes,
            });
        }
        let metadata = Metadata::new(now, self.sessions.inner.settings.max_inactive);
        Ok(Open {
            found: None,
            id: None,
            is_new: true,
            ended: 0,
            before_ms: now,
            metadata,
            attributes: Attributes::default(),
        })
    }
}

/// Checks a session out; none where there is none of that id.
pub(super) async fn check_out(
    sessions: &Sessions,
    id: &Bytes,
) -> Result<Option<(Found, Metadata, Attributes)>, SessionError> {
    let held = sessions.checkouts().check_out(id).await;
    if let Err(MapError::Locked | MapError::Busy) = held {
        sessions.inner.counted.rejected();
    }
    let mut held = held?;
    // What has ended leaves something behind while its store does not know it.
    if held.entries().entries.is_empty() {
        match store::activate(sessions, held).await? {
            Some(activated) => held = activated,
            None => return Ok(None),
        }
    }
    let parsed = plan::parse_group(held.entries())?;
    Ok(parsed.map(|Parsed { metadata, attributes, form }| {
        (Found { held, commit: metadata.commit, form }, metadata, attributes)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_manager_could_have_made_is_looked_for() {
        assert!(is_possible(&"0a".repeat(16)) && is_possible(&"9f".repeat(18)));
        let long = "0".repeat(65);
        for id in ["", "unknown", &"A".repeat(32), &"g".repeat(32), &long, "../../etc/passwd"] {
            assert!(!is_possible(id), "{id}");
        }
    }
}
