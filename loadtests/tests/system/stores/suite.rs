//! What every store promises, asked of one that is empty.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use muster_agent::session::SessionStore;
use muster_agent::session::store::{Ending, Saving, SessionKey, SessionRecord};

/// Longer than the test.
const LONG: Duration = Duration::from_secs(3600);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn check(store: &dyn SessionStore) {
    the_later_version_wins(store).await;
    what_ended_stays_ended(store).await;
    what_left_may_come_back_later_only(store).await;
    what_is_over_is_found_once(store).await;
    applications_share_nothing(store).await;
    of_many_at_once_the_latest_is_left(store).await;
}

fn key(id: &str) -> SessionKey<'_> {
    SessionKey { application: "shop", id }
}

fn record(version: u64, commit: u64) -> SessionRecord {
    // Any bytes, and numbers as large as they come.
    let body = Bytes::from(vec![0, 255, b'\'', b':', version as u8]);
    SessionRecord { version, commit, ends_ms: None, body }
}

fn until(record: SessionRecord, from_now: i64) -> SessionRecord {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    SessionRecord { ends_ms: Some(now.saturating_add_signed(from_now)), ..record }
}

async fn the_later_version_wins(store: &dyn SessionStore) {
    let key = key("later");
    assert_eq!(store.load(key).await, Ok(None));
    assert_eq!(store.save(key, &record(2, u64::MAX)).await, Ok(Saving::Saved));
    assert_eq!(store.save(key, &record(2, u64::MAX)).await, Ok(Saving::Saved), "it was lost");
    let behind = Saving::Behind { version: 2, commit: u64::MAX };
    assert_eq!(store.save(key, &record(2, 8)).await, Ok(behind));
    assert_eq!(store.save(key, &record(1, 9)).await, Ok(behind));
    assert_eq!(store.load(key).await, Ok(Some(record(2, u64::MAX))));
    let large =
        SessionRecord { body: Bytes::from(vec![7; 1 << 20]), ..until(record(9, 1), 60_000) };
    assert_eq!(store.save(key, &large).await, Ok(Saving::Saved));
    assert_eq!(store.load(key).await, Ok(Some(large)));
}

async fn what_ended_stays_ended(store: &dyn SessionStore) {
    let here = key("ended");
    store.save(here, &record(5, 1)).await.unwrap();
    assert_eq!(store.end(here, 4, LONG).await, Ok(Ending::Later));
    assert_eq!(store.load(here).await, Ok(Some(record(5, 1))));
    assert_eq!(store.end(here, 5, LONG).await, Ok(Ending::Now(record(5, 1))));
    assert_eq!(store.end(here, 9, LONG).await, Ok(Ending::Before));
    assert_eq!(store.load(here).await, Ok(None));
    assert_eq!(store.save(here, &record(99, 1)).await, Ok(Saving::Ended));
    assert_eq!(store.take(here, 99, LONG).await, Ok(()));
    assert_eq!(store.save(here, &record(99, 1)).await, Ok(Saving::Ended));
    // One that never was there.
    let never = key("never");
    assert_eq!(store.end(never, 1, LONG).await, Ok(Ending::Absent));
    assert_eq!(store.save(never, &record(9, 1)).await, Ok(Saving::Ended));
    // When nothing of it can be on its way any more it is forgotten.
    let short = key("short");
    assert_eq!(store.end(short, 1, Duration::ZERO).await, Ok(Ending::Absent));
    eventually(async || {
        store.forget("shop", 9).await.unwrap();
        store.save(short, &record(1, 1)).await == Ok(Saving::Saved)
    })
    .await;
}

async fn what_left_may_come_back_later_only(store: &dyn SessionStore) {
    let key = key("left");
    store.save(key, &record(5, 1)).await.unwrap();
    assert_eq!(store.take(key, 4, LONG).await, Ok(()));
    assert_eq!(store.load(key).await, Ok(Some(record(5, 1))), "it is of a later version");
    assert_eq!(store.take(key, 5, LONG).await, Ok(()));
    assert_eq!(store.load(key).await, Ok(None));
    let behind = Saving::Behind { version: 5, commit: 1 };
    assert_eq!(store.save(key, &record(5, 1)).await, Ok(behind));
    assert_eq!(store.save(key, &record(4, 1)).await, Ok(behind));
    assert_eq!(store.save(key, &record(6, 2)).await, Ok(Saving::Saved));
    assert_eq!(store.load(key).await, Ok(Some(record(6, 2))));
    store.take(key, 6, LONG).await.unwrap();
    assert_eq!(store.end(key, 6, LONG).await, Ok(Ending::Absent));
    assert_eq!(store.save(key, &record(7, 2)).await, Ok(Saving::Ended));
}

async fn what_is_over_is_found_once(store: &dyn SessionStore) {
    let late = until(record(1, 1), -1000);
    assert_eq!(store.save(key("late"), &late).await, Ok(Saving::Late));
    assert_eq!(store.load(key("late")).await, Ok(None));
    for (id, version) in [("over-1", 1), ("over-2", 2), ("over-3", 3)] {
        let soon = until(record(version, 1), 300 + 100 * version as i64);
        assert_eq!(store.save(key(id), &soon).await, Ok(Saving::Saved));
    }
    store.save(key("alive"), &until(record(1, 1), 3_600_000)).await.unwrap();
    let over = async |skip, most| store.over("shop", Duration::ZERO, skip, most).await.unwrap();
    let named = |all: &[(&str, u64)]| -> Vec<(String, u64)> {
        all.iter().map(|(id, version)| ((*id).to_owned(), *version)).collect()
    };
    eventually(async || over(0, 9).await.len() == 3).await;
    assert_eq!(store.load(key("over-1")).await, Ok(None));
    assert_eq!(over(0, 2).await, named(&[("over-1", 1), ("over-2", 2)]));
    assert_eq!(over(1, 9).await, named(&[("over-2", 2), ("over-3", 3)]));
    assert_eq!(store.over("shop", LONG, 0, 9).await, Ok(Vec::new()), "not for so long");
    assert!(matches!(store.end(key("over-1"), 1, LONG).await, Ok(Ending::Now(_))));
    assert_eq!(store.end(key("over-1"), 1, LONG).await, Ok(Ending::Before));
    assert_eq!(over(0, 9).await, named(&[("over-2", 2), ("over-3", 3)]));
    // Saved anew it is alive.
    store.save(key("over-2"), &until(record(3, 1), 3_600_000)).await.unwrap();
    assert_eq!(store.end(key("over-2"), 2, LONG).await, Ok(Ending::Later));
    assert_eq!(over(0, 9).await, named(&[("over-3", 3)]));
}

async fn applications_share_nothing(store: &dyn SessionStore) {
    let other = SessionKey { application: "other", id: "both" };
    store.save(key("both"), &record(5, 1)).await.unwrap();
    assert_eq!(store.load(other).await, Ok(None));
    assert_eq!(store.save(other, &record(1, 1)).await, Ok(Saving::Saved));
    store.end(other, 9, LONG).await.unwrap();
    assert_eq!(store.load(key("both")).await, Ok(Some(record(5, 1))));
}

async fn of_many_at_once_the_latest_is_left(store: &dyn SessionStore) {
    let key = key("many");
    let saves = (1..=20).map(|version| async move { store.save(key, &record(version, 1)).await });
    let saved = futures_util::future::join_all(saves).await;
    assert!(saved.iter().all(Result::is_ok), "{saved:?}");
    assert_eq!(store.load(key).await, Ok(Some(record(20, 1))));
    let ends = (0..8).map(|_| store.end(key, 20, LONG));
    let ended = futures_util::future::join_all(ends).await;
    let now = ended.iter().filter(|ending| matches!(ending, Ok(Ending::Now(_)))).count();
    assert_eq!(now, 1, "{ended:?}");
}

async fn eventually(is_so: impl AsyncFn() -> bool) {
    let tries = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, tries).await.is_ok(), "never so");
}
