//! Records of tower-sessions as Muster's: one store for both versions, which differ in their types
//! alone.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use muster_agent::session::{Records, Revision, Values};
use muster_agent::{SessionError, Sessions};
use serde_json::Value;
use time::{OffsetDateTime, PrimitiveDateTime};

/// The key under which a record says of which write it is. An application that sets it itself is
/// taken to have cleared its session.
const REVISION: &str = "muster.revision";

/// A session store of tower-sessions over Muster's sessions. Clones are the same one.
///
/// A save is refused with an error of the store when another request has written the session since
/// it was loaded; a record that was only read never is. After `Session::clear` a record says no
/// more what it was, and stands whatever was there.
#[derive(Clone, Debug)]
pub struct Store {
    records: Records,
}

/// A record's data, in both versions.
type Data = HashMap<String, Value>;

/// What a record of either version says.
struct Loaded {
    data: Data,
    ends: OffsetDateTime,
}

/// Why a store cannot do what it is asked for.
enum StoreError {
    Encode(serde_json::Error),
    Decode(serde_json::Error),
    Session(SessionError),
}

// === impl Store ===

impl Store {
    /// A store over these sessions. Their `max_inactive` does not count: tower-sessions says itself
    /// when a session ends.
    #[must_use]
    pub fn new(sessions: &Sessions) -> Self {
        Self { records: sessions.records() }
    }

    /// Under the first of these ids that is nobody's; the data say afterwards of which write they
    /// are. An id has 128 bits of chance in all, so none are spent on choosing a near primary.
    async fn create(
        &self,
        mut ids: impl FnMut() -> i128,
        data: &mut Data,
        ends: OffsetDateTime,
    ) -> Result<i128, StoreError> {
        let (values, _) = encode(data)?;
        let ids = || name(ids());
        let (id, revision) = self.records.create(ids, &values, Some(time_to(ends))).await?;
        data.insert(REVISION.to_owned(), revision.to_string().into());
        let id = u128::from_str_radix(&id, 16).map_err(|_| SessionError::Lost)?;
        Ok(id.cast_signed())
    }

    async fn save(&self, id: i128, data: &Data, ends: OffsetDateTime) -> Result<(), StoreError> {
        let (values, revision) = encode(data)?;
        Ok(self.records.save(&name(id), revision, &values, Some(time_to(ends))).await?)
    }

    async fn load(&self, id: i128) -> Result<Option<Loaded>, StoreError> {
        let Some(record) = self.records.load(&name(id)).await? else { return Ok(None) };
        let mut data = Data::new();
        for (key, value) in record.values {
            data.insert(key, serde_json::from_slice(&value).map_err(StoreError::Decode)?);
        }
        data.insert(REVISION.to_owned(), record.revision.to_string().into());
        let never = PrimitiveDateTime::MAX.assume_utc();
        Ok(Some(Loaded { data, ends: record.ends.map_or(never, |ends: SystemTime| ends.into()) }))
    }

    async fn delete(&self, id: i128) -> Result<(), StoreError> {
        self.records.delete(&name(id)).await?;
        Ok(())
    }
}

/// A session's id in the cluster.
fn name(id: i128) -> String {
    format!("{:032x}", id.cast_unsigned())
}

/// The data as values, and of which write they are.
fn encode(data: &Data) -> Result<(Values, Option<Revision>), StoreError> {
    let revision = data.get(REVISION).and_then(Value::as_str).and_then(|text| text.parse().ok());
    let mut values = Values::new();
    for (key, value) in data.iter().filter(|(key, _)| *key != REVISION) {
        let value = serde_json::to_vec(value).map_err(StoreError::Encode)?;
        values.insert(key.clone(), value.into());
    }
    Ok((values, revision))
}

/// From now to a moment; nothing when it has passed.
fn time_to(ends: OffsetDateTime) -> Duration {
    Duration::try_from(ends - OffsetDateTime::now_utc()).unwrap_or_default()
}

impl From<SessionError> for StoreError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

/// The trait of one version.
macro_rules! store_of {
    ($core:ident) => {
        mod $core {
            use async_trait::async_trait;
            use $core::session::{Id, Record};
            use $core::session_store::{Error, Result, SessionStore};

            use super::{Loaded, Store, StoreError};

            #[async_trait]
            impl SessionStore for Store {
                async fn create(&self, record: &mut Record) -> Result<()> {
                    let Record { id, data, expiry_date } = record;
                    // The record's own first; should it be somebody's, others by chance.
                    let ids = || std::mem::take(id).0;
                    let id = Store::create(self, ids, data, *expiry_date).await?;
                    record.id = Id(id);
                    Ok(())
                }

                async fn save(&self, record: &Record) -> Result<()> {
                    let saved = Store::save(self, record.id.0, &record.data, record.expiry_date);
                    Ok(saved.await?)
                }

                async fn load(&self, id: &Id) -> Result<Option<Record>> {
                    let loaded = Store::load(self, id.0).await?;
                    let record =
                        |Loaded { data, ends }| Record { id: *id, data, expiry_date: ends };
                    Ok(loaded.map(record))
                }

                async fn delete(&self, id: &Id) -> Result<()> {
                    Ok(Store::delete(self, id.0).await?)
                }
            }

            impl From<StoreError> for Error {
                fn from(error: StoreError) -> Self {
                    match error {
                        StoreError::Encode(error) => Self::Encode(error.to_string()),
                        StoreError::Decode(error) => Self::Decode(error.to_string()),
                        StoreError::Session(error) => Self::Backend(error.to_string()),
                    }
                }
            }

            #[cfg(test)]
            mod tests {
                use std::sync::Arc;

                use muster_agent::{SessionError, Sessions};
                use $core::{Expiry, Session};

                use super::*;

                fn store() -> Arc<Store> {
                    Arc::new(Store::new(&Sessions::builder("shop").start().unwrap()))
                }

                fn session(store: &Arc<Store>, id: Option<Id>) -> Session {
                    Session::new(id, store.clone(), None)
                }

                async fn created(store: &Arc<Store>) -> Id {
                    let session = session(store, None);
                    session.insert("count", 1).await.unwrap();
                    session.save().await.unwrap();
                    session.id().unwrap()
                }

                async fn count(store: &Arc<Store>, id: Id) -> Option<u32> {
                    session(store, Some(id)).get("count").await.unwrap()
                }

                #[tokio::test]
                async fn a_session_goes_on_and_may_be_saved_twice_in_a_request() {
                    let store = store();
                    let id = created(&store).await;
                    let session = session(&store, Some(id));
                    for next in 2..5 {
                        session.insert("count", next).await.unwrap();
                        session.save().await.unwrap();
                        assert_eq!(count(&store, id).await, Some(next));
                    }
                    assert_eq!(session.id(), Some(id));
                }

                #[tokio::test]
                async fn an_id_that_is_somebodys_gives_way_to_a_new_one() {
                    let store = store();
                    let id = created(&store).await;
                    let mut other = SessionStore::load(&*store, &id).await.unwrap().unwrap();
                    other.data.insert("count".to_owned(), 7.into());
                    SessionStore::create(&*store, &mut other).await.unwrap();
                    assert_ne!(other.id, id);
                    assert_eq!(count(&store, id).await, Some(1));
                    assert_eq!(count(&store, other.id).await, Some(7));
                }

                #[tokio::test]
                async fn a_save_over_a_stale_revision_is_refused() {
                    let store = store();
                    let id = created(&store).await;
                    let (one, other) = (session(&store, Some(id)), session(&store, Some(id)));
                    for (session, count) in [(&one, 2), (&other, 3)] {
                        session.insert("count", count).await.unwrap();
                    }
                    one.save().await.unwrap();
                    let refused = other.save().await.unwrap_err().to_string();
                    assert_eq!(refused, SessionError::Lost.to_string());
                    assert_eq!(count(&store, id).await, Some(2));
                }

                #[tokio::test]
                async fn who_has_only_read_may_save_beside_a_writer() {
                    let store = store();
                    let id = created(&store).await;
                    let (reader, writer) = (session(&store, Some(id)), session(&store, Some(id)));
                    assert_eq!(reader.get::<u32>("count").await.unwrap(), Some(1));
                    writer.insert("count", 2).await.unwrap();
                    writer.save().await.unwrap();
                    reader.save().await.unwrap();
                    assert_eq!(count(&store, id).await, Some(2));
                }

                #[tokio::test]
                async fn an_ended_session_and_one_that_never_was_are_none() {
                    let store = store();
                    let id = created(&store).await;
                    let (late, ends) = (session(&store, Some(id)), session(&store, Some(id)));
                    late.insert("count", 2).await.unwrap();
                    ends.flush().await.unwrap();
                    assert!(late.save().await.is_err(), "nobody brings it back");
                    assert_eq!(count(&store, id).await, None);
                    assert_eq!(count(&store, Id::default()).await, None);
                    SessionStore::delete(&*store, &Id::default()).await.unwrap();
                }

                #[tokio::test]
                async fn a_session_under_a_new_id_has_what_it_had() {
                    let store = store();
                    let id = created(&store).await;
                    let session = session(&store, Some(id));
                    session.cycle_id().await.unwrap();
                    session.save().await.unwrap();
                    let new = session.id().unwrap();
                    assert_ne!(new, id);
                    assert_eq!(
                        (count(&store, id).await, count(&store, new).await),
                        (None, Some(1))
                    );
                }

                #[tokio::test]
                async fn a_cleared_session_has_what_was_set_afterwards() {
                    let store = store();
                    let id = created(&store).await;
                    let session = session(&store, Some(id));
                    session.clear().await;
                    session.insert("other", 7).await.unwrap();
                    session.save().await.unwrap();
                    assert_eq!(count(&store, id).await, None);
                    let read = Session::new(Some(id), store, None).get::<u32>("other").await;
                    assert_eq!(read.unwrap(), Some(7));
                }

                #[tokio::test(start_paused = true)]
                async fn a_session_ends_when_it_says() {
                    let store = store();
                    let minute = Expiry::OnInactivity(time::Duration::MINUTE);
                    let session = Session::new(None, store.clone(), Some(minute));
                    session.insert("count", 1).await.unwrap();
                    session.save().await.unwrap();
                    let id = session.id().unwrap();
                    let loaded = SessionStore::load(&*store, &id).await.unwrap().unwrap();
                    let left = loaded.expiry_date - time::OffsetDateTime::now_utc();
                    assert!(left > time::Duration::ZERO && left <= time::Duration::MINUTE);
                    tokio::time::advance(std::time::Duration::from_secs(61)).await;
                    assert_eq!(count(&store, id).await, None);
                }
            }
        }
    };
}

#[cfg(feature = "v014")]
store_of!(tower_sessions_core_014);
#[cfg(feature = "v015")]
store_of!(tower_sessions_core_015);
