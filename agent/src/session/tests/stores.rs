//! Sessions with a store beside them: what outlives what, and what a store that is away costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::*;
use crate::session::store::{Ending, Saving, SessionKey, SessionRecord, StoreError};

/// A store that may be away or slow.
#[derive(Clone, Default)]
struct Frail {
    below: MemoryStore,
    is_away: Arc<AtomicBool>,
    slow_ms: Arc<AtomicU64>,
    /// Whether the next save is done, and its answer lost.
    loses: Arc<AtomicBool>,
}

impl Frail {
    fn away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    async fn meets(&self) -> Result<(), StoreError> {
        let slow = Duration::from_millis(self.slow_ms.load(Ordering::Relaxed));
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(StoreError::Unreachable("away".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SessionStore for Frail {
    fn name(&self) -> &str {
        "frail"
    }

    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError> {
        self.meets().await?;
        self.below.load(key).await
    }

    async fn save(
        &self,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        self.meets().await?;
        let saving = self.below.save(key, record).await;
        match self.loses.swap(false, Ordering::Relaxed) {
            true => Err(StoreError::Unreachable("the answer is lost".to_owned())),
            false => saving,
        }
    }

    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        self.meets().await?;
        self.below.take(key, version, keep).await
    }

    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        self.meets().await?;
        self.below.end(key, version, keep).await
    }

    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.meets().await?;
        self.below.over(application, grace, skip, most).await
    }

    async fn forget(&self, application: &str, most: usize) -> Result<usize, StoreError> {
        self.meets().await?;
        self.below.forget(application, most).await
    }
}

/// Writes down what ended.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<(String, End)>>>);

impl SessionListener for Ends {
    fn destroyed(&self, session: &ReadSession, end: End) {
        self.0.lock().push((session.id().to_owned(), end));
    }
}

/// A process, or a cluster, whose commits all go to the store.
fn through(store: &Frail) -> Sessions {
    sessions(|builder| builder.store(storing(store)))
}

fn storing(store: &Frail) -> Storing {
    let quick = Duration::from_millis(20);
    Storing::write_through(store.clone()).rest(quick).sweep_every(quick).grace(Duration::ZERO)
}

/// One that keeps no more than so many in memory.
fn passivating(store: &Frail, most: usize) -> Sessions {
    let quick = Duration::from_millis(20);
    sessions(|builder| builder.store(Storing::passivation(most, store.clone()).rest(quick)))
}

fn store_of(sessions: &Sessions, id: &str) -> SessionKey<'static> {
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    SessionKey { application: leak(sessions.application()), id: leak(id) }
}

async fn unsaved_is(sessions: &Sessions, count: u64) {
    eventually("the store has been told", || async { sessions.stats().store_unsaved == count })
        .await;
}

#[tokio::test]
async fn a_session_outlives_all_members_and_its_count_goes_on() {
    let store = Frail::default();
    let first = through(&store);
    let id = create(&first).await;
    assert_eq!(count(&first, &id).await, 2);
    drop(first);
    let second = through(&store);
    assert_eq!(kept(&second, &id).await, Some(2), "a look finds it in the store");
    assert_eq!(second.active(), 0, "and leaves it there");
    assert_eq!(second.request(Some(&id)).read().await.unwrap().unwrap().names(), ["count"]);
    assert_eq!(second.active(), 1, "a request brings it back");
    assert_eq!(count(&second, &id).await, 3);
    let stats = second.stats();
    assert_eq!((stats.store_loads, stats.store_saves, stats.store_errors), (1, 1, 0));
}

#[tokio::test]
async fn a_store_that_is_away_costs_no_request_and_has_all_when_it_is_back() {
    let store = Frail::default();
    let first = through(&store);
    let id = create(&first).await;
    store.away(true);
    for expected in 2..9 {
        assert_eq!(count(&first, &id).await, expected);
    }
    let new = create(&first).await;
    let stats = first.stats();
    assert_eq!(stats.store_unsaved, 2);
    assert!(stats.store_errors >= 3, "{stats:?}");
    store.away(false);
    unsaved_is(&first, 0).await;
    drop(first);
    let second = through(&store);
    assert_eq!((count(&second, &id).await, count(&second, &new).await), (9, 2));
}

#[tokio::test]
async fn the_end_of_an_application_waits_until_its_store_has_all() {
    let store = Frail::default();
    let first = sessions(|builder| builder.store(storing(&store).rest(Duration::from_secs(3600))));
    store.away(true);
    let id = create(&first).await;
    store.away(false);
    first.stop().await;
    assert_eq!(count(&through(&store), &id).await, 2);
}

#[tokio::test]
async fn a_session_that_only_a_store_knows_which_is_away_is_no_new_session() {
    let store = Frail::default();
    let id = create(&through(&store)).await;
    let second = through(&store);
    store.away(true);
    let request = second.request(Some(&id));
    assert_eq!(request.session().await.unwrap_err(), SessionError::NoStore);
    assert!(SessionError::NoStore.is_passing());
    assert_eq!(second.request(Some(&id)).read().await.unwrap_err(), SessionError::NoStore);
    assert_eq!(second.read(&id).await.unwrap_err(), SessionError::NoStore);
    let mine = create(&second).await;
    assert_eq!(count(&second, &mine).await, 2, "who is known is served");
    store.away(false);
    eventually("it is found", || async { second.request(Some(&id)).session().await.is_ok() }).await;
    assert_eq!(count(&second, &id).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_waited_for_within_its_deadline() {
    let store = Frail::default();
    let first = through(&store);
    store.slow_ms.store(1500, Ordering::Relaxed);
    let id = create(&first).await;
    assert_eq!(store.below.len(), 1, "it was waited for");
    store.slow_ms.store(60_000, Ordering::Relaxed);
    let began = tokio::time::Instant::now();
    assert_eq!(count(&first, &id).await, 2);
    assert_eq!(began.elapsed().as_secs(), 2);
    assert_eq!(first.stats().store_unsaved, 1);
}

#[tokio::test]
async fn a_cluster_whose_copy_is_old_gives_it_up_and_overwrites_nothing() {
    let store = Frail::default();
    let (here, there) = (through(&store), through(&store));
    let id = create(&here).await;
    assert_eq!((count(&there, &id).await, count(&there, &id).await), (2, 3));
    let request = here.request(Some(&id));
    request.session().await.unwrap().set("count", &99_u64).unwrap();
    assert_eq!(request.finish().await, Err(SessionError::Lost));
    assert_eq!(here.stats().store_conflicts, 1);
    assert_eq!(count(&here, &id).await, 4);
    let request = there.request(Some(&id));
    request.session().await.unwrap().set("count", &99_u64).unwrap();
    assert_eq!(request.finish().await, Err(SessionError::Lost));
    assert_eq!(count(&there, &id).await, 5);
}

#[tokio::test]
async fn of_two_clusters_one_commits_each_version() {
    let store = Frail::default();
    let (here, there) = (through(&store), through(&store));
    let id = create(&here).await;
    assert_eq!(count(&there, &id).await, 2);
    let request = here.request(Some(&id));
    request.session().await.unwrap().set("other", &1_u64).unwrap();
    assert_eq!(request.finish().await, Err(SessionError::Lost), "the same version, another commit");
    assert_eq!(count(&here, &id).await, 3);
    assert!(!there.invalidate(&"0".repeat(36)).await.unwrap());
    assert!(here.invalidate(&id).await.unwrap());
    let request = there.request(Some(&id));
    request.session().await.unwrap().set("other", &1_u64).unwrap();
    assert_eq!(request.finish().await, Err(SessionError::Lost), "it was ended elsewhere");
    assert_eq!(kept(&there, &id).await, None);
}

#[tokio::test]
async fn an_ended_session_is_gone_although_the_store_was_away_and_a_save_comes_late() {
    let store = Frail::default();
    let first = through(&store);
    let id = create(&first).await;
    let old = store.below.load(store_of(&first, &id)).await.unwrap().unwrap();
    store.away(true);
    assert!(first.invalidate(&id).await.unwrap());
    assert_eq!(kept(&first, &id).await, None, "nobody asks the store for what has ended");
    assert!(!first.invalidate(&id).await.unwrap());
    assert_eq!(store.below.len(), 1);
    store.away(false);
    unsaved_is(&first, 0).await;
    assert_eq!(first.inner.map.stats().groups, 0, "its mark goes");
    assert_eq!(store.below.save(store_of(&first, &id), &old).await, Ok(Saving::Ended));
    assert_eq!(kept(&through(&store), &id).await, None);
}

#[tokio::test]
async fn a_rotated_session_is_in_the_store_under_its_new_id_only() {
    let store = Frail::default();
    let first = through(&store);
    let old = create(&first).await;
    let (finished, new) = request(&first, Some(&old), Session::rotate_id).await;
    assert_eq!(finished, Finished::New(new.clone()));
    drop(first);
    let second = through(&store);
    assert_eq!(kept(&second, &old).await, None);
    assert_eq!(count(&second, &new).await, 2);
}

#[tokio::test]
async fn beyond_what_memory_is_for_every_session_is_in_the_store_and_comes_back() {
    let store = Frail::default();
    let sessions = passivating(&store, 10);
    let mut ids = Vec::new();
    for _ in 0..50 {
        ids.push(create(&sessions).await);
    }
    let few = || async { sessions.inner.map.stats().groups <= 10 };
    eventually("they have gone", few).await;
    assert_eq!(store.below.len(), 40);
    for expected in 2..5 {
        for id in &ids {
            assert_eq!(count(&sessions, id).await, expected);
        }
    }
    eventually("they have gone again", few).await;
    let stats = sessions.stats();
    assert!(stats.store_passivations >= 80 && stats.store_loads >= 40, "{stats:?}");
    eventually("each is in one place", || async {
        sessions.inner.map.stats().groups + store.below.len() as u64 == 50
    })
    .await;
}

#[tokio::test]
async fn a_session_that_only_was_read_goes_to_the_store_once_more() {
    let store = Frail::default();
    let sessions = passivating(&store, 1);
    let (one, two) = (create(&sessions).await, create(&sessions).await);
    for _ in 0..3 {
        for id in [&one, &two] {
            let read = sessions.request(Some(id)).read().await.unwrap().unwrap();
            assert_eq!(read.get("count"), Ok(Some(1_u64)));
            eventually("one is in memory", || async {
                sessions.inner.map.stats().groups == 1 && store.below.len() == 1
            })
            .await;
        }
    }
}

#[tokio::test]
async fn what_the_store_does_not_take_stays_in_memory_and_no_old_copy_stays_behind() {
    let store = Frail::default();
    let sessions = passivating(&store, 1);
    store.away(true);
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&sessions).await);
    }
    eventually("it was tried", || async { sessions.stats().store_errors > 0 }).await;
    assert_eq!(sessions.inner.map.stats().groups, 5);
    for id in &ids {
        assert_eq!(count(&sessions, id).await, 2);
    }
    store.away(false);
    store.loses.store(true, Ordering::Relaxed);
    eventually("they have gone", || async {
        // Something must change for it to be tried at once.
        count(&sessions, &ids[0]).await;
        sessions.inner.map.stats().groups + store.below.len() as u64 == 5
            && sessions.inner.map.stats().groups <= 2
    })
    .await;
    assert!(!store.loses.load(Ordering::Relaxed));
    for id in &ids[1..] {
        assert_eq!(count(&sessions, id).await, 3);
    }
}

#[tokio::test]
async fn an_ended_session_that_was_in_the_store_once_is_gone_there_too() {
    let store = Frail::default();
    let sessions = passivating(&store, 1);
    let (one, two) = (create(&sessions).await, create(&sessions).await);
    eventually("one has gone", || async { store.below.len() == 1 }).await;
    for id in [&one, &two] {
        assert!(sessions.invalidate(id).await.unwrap());
        assert_eq!(kept(&sessions, id).await, None);
    }
    assert!(store.below.is_empty());
    assert_eq!(sessions.inner.map.stats().groups, 0);
}

#[tokio::test]
async fn a_session_that_expires_is_told_of_once_wherever_it_is() {
    let store = Frail::default();
    let ends = Ends::default();
    let short = |ends: &Ends| {
        let short = Some(Duration::from_millis(300));
        let builder = |builder: SessionsBuilder| {
            builder.store(storing(&store)).max_inactive(short).listener(ends.clone())
        };
        sessions(builder)
    };
    // In a cluster that is down, in memory, and in memory while the store is away.
    let first = short(&ends);
    let alone = create(&first).await;
    first.stop().await;
    drop(first);
    let second = short(&ends);
    let both = create(&second).await;
    store.away(true);
    let unsaved = create(&second).await;
    eventually("its time is over", || async { second.active() == 0 }).await;
    store.away(false);
    eventually("all are told", || async { ends.0.lock().len() >= 3 }).await;
    eventually("nothing is left", || async { store.below.is_empty() }).await;
    second.stop().await;
    let mut told = ends.0.lock().clone();
    let mut all = [alone, both, unsaved].map(|id| (id, End::Expired));
    told.sort_by(|one, other| one.0.cmp(&other.0));
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(told, all);
}

#[tokio::test]
async fn a_session_that_is_in_use_is_not_swept_although_its_record_is_old() {
    let store = Frail::default();
    let sessions = through(&store);
    let id = create(&sessions).await;
    let key = store_of(&sessions, &id);
    let old = store.below.load(key).await.unwrap().unwrap();
    // As if the store had been away since it was saved.
    store.below.end(key, 99, Duration::ZERO).await.unwrap();
    eventually("it is forgotten", || async {
        store.below.forget("shop", 9).await.unwrap();
        store.below.save(key, &SessionRecord { ends_ms: None, ..old.clone() }).await
            == Ok(Saving::Saved)
    })
    .await;
    assert_eq!(count(&sessions, &id).await, 2);
    assert_eq!(sessions.stats().store_conflicts, 0);
}

#[tokio::test]
async fn records_of_adapters_are_in_the_store_too() {
    let store = Frail::default();
    let first = through(&store);
    let records = first.records();
    let mut values = std::collections::BTreeMap::new();
    values.insert("a".to_owned(), bytes::Bytes::from_static(b"1"));
    let (id, _) = records.create(|| records.mint(), &values, None).await.unwrap();
    drop((records, first));
    let second = through(&store);
    let records = second.records();
    let read = records.load(&id).await.unwrap().unwrap();
    assert_eq!(read.values, values);
    values.insert("b".to_owned(), bytes::Bytes::from_static(b"2"));
    records.save(&id, Some(read.revision), &values, None).await.unwrap();
    let third = through(&store).records();
    assert_eq!(third.load(&id).await.unwrap().unwrap().values, values);
    assert!(third.delete(&id).await.unwrap());
    assert_eq!(through(&store).records().load(&id).await, Ok(None));
}

#[tokio::test]
async fn a_bad_setting_of_a_store_is_named_with_its_value() {
    let bad = |set: fn(Storing) -> Storing| {
        let storing = set(Storing::write_through(MemoryStore::new()));
        Sessions::builder("shop").store(storing).start().unwrap_err().to_string()
    };
    assert_eq!(
        bad(|storing| storing.deadline(Duration::ZERO)),
        "deadline has the bad value 0: it is longer than nothing"
    );
    assert_eq!(
        bad(|storing| storing.most_unsaved(0)),
        "most_unsaved has the bad value 0: it is 1 to 10000000"
    );
}

#[tokio::test]
async fn a_store_is_in_the_numbers_of_its_cluster() {
    let cluster = crate::Cluster::builder("alone").local();
    let store = Frail::default();
    let builder = Sessions::builder("shop").cluster(&cluster).distributable(true);
    let sessions = builder.store(storing(&store)).start().unwrap();
    create(&sessions).await;
    let told = cluster.metrics();
    for line in [
        "muster_session_store_saves_total{application=\"shop\"} 1",
        "muster_session_store_unsaved{application=\"shop\"} 0",
    ] {
        assert!(told.contains(line), "{told}");
    }
}
