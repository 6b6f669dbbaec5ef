//! What a handler asks for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::error::SsoError;
use super::layer::{Known, State, Visit};
use super::manager::{Act, JOINED};
use super::record::{Principal, Record};
use crate::session::Session;

/// Bytes of an authentication method's name at most.
const LONGEST_METHOD: usize = 255;

/// Who the client is. Whoever asks for it touches the session of the request, if the client is
/// anybody: it is created where there is none, and belongs to the identity from then on.
#[derive(Clone, Debug)]
pub struct Identity {
    visit: Arc<Visit>,
    known: Option<Known>,
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = SsoError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SsoError> {
        let visit = parts.extensions.get::<Arc<Visit>>().ok_or(SsoError::NoLayer)?.clone();
        let known = visit.known().await?;
        Ok(Self { visit, known })
    }
}

// === impl Identity ===

impl Identity {
    /// Who it was when the handler began; none for somebody who has not logged in, or has logged
    /// out, in whichever application.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.known.as_ref().map(|known| &*known.principal)
    }

    /// How that was proven, in the word of the application that did it.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.known.as_ref().map(|known| &*known.method)
    }

    /// Somebody has proven who they are: creates an identity, gives the session a new id, and lets
    /// the client have the cookie with the answer. An identity that the client had before ends as
    /// by a logout. A session of somebody else ends, and a new one begins.
    ///
    /// # Errors
    /// See [`SsoError`]: then nobody has logged in.
    pub async fn login(&self, principal: Principal, method: &str) -> Result<(), SsoError> {
        principal.check()?;
        if !(1..=LONGEST_METHOD).contains(&method.len()) {
            let value = method.chars().take(LONGEST_METHOD).collect();
            let why = "it has 1 to 255 bytes";
            return Err(SsoError::BadPrincipal { field: "method", value, why });
        }
        let mut state = self.visit.state.lock().await;
        let inner = &self.visit.application.sso.inner;
        let application = self.visit.application.name();
        let session = self.visit.session()?.session().await?;
        if let State::Known(before) = &*state {
            inner.log_out(&before.id, Some((application, &before.session))).await?;
        }
        leave_other(&session, principal.name())?;
        let rotated = session.rotate_id()?;
        let (principal, shared) = (principal.clone(), Arc::new(principal));
        let id = inner.create(principal, method, application, &rotated).await?;
        session.set(JOINED, &(&id, shared.name()))?;
        let method = method.into();
        let known = Known { id, principal: shared, method, session: rotated, is_new: true };
        *state = State::Known(known);
        Ok(())
    }

    /// Ends the identity, and its sessions in all applications; the client forgets its cookie with
    /// the answer. Whether there was one.
    ///
    /// # Errors
    /// See [`SsoError`].
    pub async fn logout(&self) -> Result<bool, SsoError> {
        let mut state = self.visit.state.lock().await;
        let State::Known(known) = &*state else { return Ok(false) };
        let session = self.visit.session()?.session().await?;
        let own = Some((self.visit.application.name(), &*known.session));
        self.visit.application.sso.inner.log_out(&known.id, own).await?;
        session.invalidate()?;
        *state = State::Nobody { is_forgotten: true };
        Ok(true)
    }
}

// === impl Visit ===

impl Visit {
    /// Who the client is, found out once in a request.
    pub(super) async fn known(&self) -> Result<Option<Known>, SsoError> {
        let mut state = self.state.lock().await;
        if matches!(*state, State::Untouched) {
            let session = self.session()?;
            let mut found = None;
            for id in &self.asked {
                found = self.join(id, &session.session().await?).await?;
                if found.is_some() {
                    break;
                }
            }
            *state = match found {
                Some(known) => State::Known(known),
                None => State::Nobody { is_forgotten: false },
            };
        }
        match &*state {
            State::Known(known) => Ok(Some(known.clone())),
            State::Untouched | State::Nobody { .. } => Ok(None),
        }
    }

    /// The session joins an identity, in the one commit that also keeps that from being idle.
    async fn join(&self, id: &str, session: &Session) -> Result<Option<Known>, SsoError> {
        let inner = &self.application.sso.inner;
        let application = self.application.name();
        let is_joined = match session.get::<(String, String)>(JOINED)? {
            Some((identity, _)) => identity == id,
            None => false,
        };
        if !is_joined {
            // Not before there is an identity: a session is not created for nobody.
            let record = inner.read(id).await?.filter(|record| !record.is_ended);
            let Some(record) = record else { return self.end_of(id).await.map(|()| None) };
            leave_other(session, record.principal.name())?;
        }
        let session_id = session.create()?;
        let mut evicted = None;
        let join = |record: &mut Record| {
            if record.is_ended {
                return Act::Leave;
            }
            evicted = record.add(application, &session_id);
            Act::Write
        };
        let record = inner.update(id, join).await?.filter(|record| !record.is_ended);
        let Some(record) = record else {
            if is_joined {
                // It was logged out elsewhere, and this session was not reached yet.
                session.invalidate()?;
            }
            return self.end_of(id).await.map(|()| None);
        };
        inner.tally.used();
        if let Some(evicted) = evicted {
            inner.end_soon(application, &evicted);
        }
        let (principal, method) = (Arc::new(record.principal), record.method.into());
        if !is_joined {
            session.set(JOINED, &(id, principal.name()))?;
        }
        let id = id.to_owned();
        Ok(Some(Known { id, principal, method, session: session_id, is_new: false }))
    }

    /// Goes on with a logout whose member has gone in its middle.
    async fn end_of(&self, id: &str) -> Result<(), SsoError> {
        let inner = &self.application.sso.inner;
        if let Some(record) = inner.read(id).await?.filter(|record| record.is_ended) {
            let (inner, id) = (inner.clone(), id.to_owned());
            tokio::spawn(async move { inner.end_all(&id, record).await });
        }
        Ok(())
    }
}

/// What a session of somebody else has is nothing for this one.
fn leave_other(session: &Session, principal: &str) -> Result<(), SsoError> {
    match session.get::<(String, String)>(JOINED)? {
        Some((_, name)) if name != principal => Ok(session.invalidate()?),
        _ => Ok(()),
    }
}
