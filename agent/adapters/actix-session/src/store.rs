//! A session's state as Muster's records.

use std::collections::HashMap;
use std::time::Duration;

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError};
use actix_web::cookie::time;
use muster_agent::session::{Records, Revision, Values};
use muster_agent::{SessionError, Sessions};

/// The key under which a state says of which write it is. An application that sets it itself is
/// taken to have cleared its session.
const REVISION: &str = "muster.revision";

/// A session store of actix-session over Muster's sessions. Clones are the same one, for all
/// workers.
///
/// A save is refused when another request has written the session since it was loaded. After
/// `Session::clear` a state says no more what it was, and stands whatever was there.
#[derive(Clone, Debug)]
pub struct Store {
    records: Records,
}

type State = HashMap<String, String>;

// === impl Store ===

impl Store {
    /// A store over these sessions. Their `max_inactive` does not count: actix-session says itself
    /// when a session ends.
    #[must_use]
    pub fn new(sessions: &Sessions) -> Self {
        Self { records: sessions.records() }
    }
}

impl SessionStore for Store {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        let loaded = self.records.load(key.as_ref()).await;
        let Some(record) = loaded.map_err(|error| LoadError::Other(error.into()))? else {
            return Ok(None);
        };
        let mut state = State::new();
        for (name, value) in record.values {
            let text = String::from_utf8(value.into());
            state.insert(name, text.map_err(|error| LoadError::Deserialization(error.into()))?);
        }
        state.insert(REVISION.to_owned(), record.revision.to_string());
        Ok(Some(state))
    }

    async fn save(&self, state: State, ttl: &time::Duration) -> Result<SessionKey, SaveError> {
        let (values, _) = values(state);
        let mint = || self.records.mint();
        let created = self.records.create(mint, &values, Some(positive(*ttl))).await;
        let (id, _) = created.map_err(|error| SaveError::Other(error.into()))?;
        SessionKey::try_from(id).map_err(|error| SaveError::Other(error.into()))
    }

    async fn update(
        &self,
        key: SessionKey,
        state: State,
        ttl: &time::Duration,
    ) -> Result<SessionKey, UpdateError> {
        let (values, revision) = values(state);
        let saved = self.records.save(key.as_ref(), revision, &values, Some(positive(*ttl))).await;
        saved.map_err(|error: SessionError| UpdateError::Other(error.into()))?;
        Ok(key)
    }

    async fn update_ttl(&self, key: &SessionKey, ttl: &time::Duration) -> anyhow::Result<()> {
        self.records.touch(key.as_ref(), Some(positive(*ttl))).await?;
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> anyhow::Result<()> {
        self.records.delete(key.as_ref()).await?;
        Ok(())
    }
}

/// A state as values, and of which write it is.
fn values(mut state: State) -> (Values, Option<Revision>) {
    let revision = state.remove(REVISION).and_then(|text| text.parse().ok());
    (state.into_iter().map(|(name, value)| (name, value.into())).collect(), revision)
}

/// A time of theirs as one of ours; nothing when it is negative.
fn positive(ttl: time::Duration) -> Duration {
    Duration::try_from(ttl).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: time::Duration = time::Duration::HOUR;

    fn store() -> Store {
        Store::new(&Sessions::builder("shop").start().unwrap())
    }

    fn key(text: &str) -> SessionKey {
        text.to_owned().try_into().unwrap()
    }

    async fn created(store: &Store) -> String {
        let state = State::from([("count".to_owned(), "1".to_owned())]);
        store.save(state, &LONG).await.unwrap().into()
    }

    async fn loaded(store: &Store, id: &str) -> State {
        store.load(&key(id)).await.unwrap().unwrap()
    }

    fn counting(mut state: State, count: &str) -> State {
        state.insert("count".to_owned(), count.to_owned());
        state
    }

    #[tokio::test]
    async fn a_session_goes_on_and_a_save_over_a_stale_revision_is_refused() {
        let store = store();
        let id = created(&store).await;
        let (one, other) = (loaded(&store, &id).await, loaded(&store, &id).await);
        assert_eq!(one["count"], "1");
        store.update(key(&id), counting(one, "2"), &LONG).await.unwrap();
        let refused = store.update(key(&id), counting(other, "3"), &LONG).await;
        let Err(UpdateError::Other(refused)) = refused else { panic!("{refused:?}") };
        assert_eq!(refused.downcast_ref(), Some(&SessionError::Lost));
        assert_eq!(loaded(&store, &id).await["count"], "2");
    }

    #[tokio::test]
    async fn an_ended_session_and_one_that_never_was_are_none() {
        let store = store();
        let id = created(&store).await;
        let late = loaded(&store, &id).await;
        store.delete(&key(&id)).await.unwrap();
        let back = store.update(key(&id), counting(late, "2"), &LONG).await;
        assert!(back.is_err(), "nobody brings it back");
        for none in [&*id, "", "k7.node1", "0123456789abcdef0123456789abcdef"] {
            assert_eq!(store.load(&key(none)).await.unwrap(), None, "{none}");
            store.update_ttl(&key(none), &LONG).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_cleared_session_has_what_was_set_afterwards_and_a_renewed_one_what_it_had() {
        let store = store();
        let id = created(&store).await;
        let state = State::from([("other".to_owned(), "7".to_owned())]);
        store.update(key(&id), state, &LONG).await.unwrap();
        let state = loaded(&store, &id).await;
        assert_eq!((state.get("count"), &*state["other"]), (None, "7"));
        store.delete(&key(&id)).await.unwrap();
        let new: String = store.save(state, &LONG).await.unwrap().into();
        assert_ne!(new, id);
        assert_eq!(loaded(&store, &new).await["other"], "7");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_with_its_time_unless_it_is_kept_alive() {
        let store = store();
        let id: String = store.save(State::new(), &time::Duration::MINUTE).await.unwrap().into();
        tokio::time::advance(Duration::from_secs(40)).await;
        store.update_ttl(&key(&id), &time::Duration::MINUTE).await.unwrap();
        tokio::time::advance(Duration::from_secs(40)).await;
        assert!(store.load(&key(&id)).await.unwrap().is_some());
        tokio::time::advance(Duration::from_secs(21)).await;
        assert!(store.load(&key(&id)).await.unwrap().is_none());
    }
}
