//! Typed caches, on every engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use muster_agent::cache::{CacheEvent, CreateError, Lifetime, Scope};
use muster_agent::cluster::CodecError;
use muster_agent::engine::map::{Batch, Read};
use muster_agent::engine::{Merging, Token};
use muster_agent::{Cache, CacheError, Cluster as Member, Mode};
use muster_grid::{Expect, Op, Put};

use crate::fixture::{Cluster, PATIENCE, SHARED, eventually, soon};

type Texts = Cache<String, String>;

/// One cache, as every member has it.
fn texts(cluster: &Cluster, name: &str, mode: Mode) -> Vec<Texts> {
    let of = |engine: &Arc<_>| {
        let member = Member::over(Arc::clone(engine));
        let name = format!("{name}-{mode:?}");
        member.cache(&name).mode(mode).merge(Merging::Latest).create().unwrap()
    };
    cluster.engines.iter().map(of).collect()
}

fn own(text: &str) -> String {
    text.to_owned()
}

pub(crate) async fn a_value_is_put_read_compared_and_removed(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "values", mode);
        let (cache, other) = (&caches[0], &caches[caches.len() - 1]);
        let key = own("k");
        assert_eq!(other.get(&key).await, Ok(None));
        assert_eq!(cache.put_if_absent(&key, &own("1")).await, Ok(true));
        assert_eq!(other.put_if_absent(&key, &own("2")).await, Ok(false));
        assert_eq!(other.get(&key).await, Ok(Some(own("1"))));
        assert_eq!(other.contains(&key).await, Ok(true));
        let entry = other.get_entry(&key).await.unwrap().unwrap();
        let rev = cache.put(&key, &own("3")).await.unwrap();
        assert_eq!(other.compare_and_set(&key, entry.rev, &own("4")).await, Ok(None));
        assert!(other.compare_and_set(&key, rev, &own("5")).await.unwrap().unwrap() > rev);
        assert_eq!(cache.replace(&key, &own("3"), &own("6")).await, Ok(false));
        assert_eq!(cache.replace(&key, &own("5"), &own("6")).await, Ok(true));
        for (cache, engine) in caches.iter().zip(&cluster.engines) {
            assert!(cache.get_near(&key).await.is_ok());
            if cache.owners(&key).unwrap().contains(&engine.group().local()) {
                assert_eq!(cache.peek(&key), Ok(Some(own("6"))));
            }
        }
        assert_eq!(other.take(&key).await, Ok(Some(own("6"))));
        assert_eq!(other.take(&key).await, Ok(None));
        cache.put(&key, &own("7")).await.unwrap();
        other.remove(&key).await.unwrap();
        assert_eq!(cache.get(&key).await, Ok(None));
    }
}

pub(crate) async fn updates_of_many_at_once_all_count(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "updates", mode);
        let mut tasks = Vec::new();
        for cache in caches.iter().cycle().take(6) {
            let cache = cache.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..10 {
                    let next = |old: Option<String>| {
                        let old: u32 = old.map_or(0, |old| old.parse().unwrap());
                        Some((old + 1).to_string())
                    };
                    cache.update(&"k".to_owned(), next).await.unwrap();
                }
            }));
        }
        for task in tasks {
            soon("all updates", task).await.unwrap();
        }
        assert_eq!(caches[0].get(&own("k")).await, Ok(Some(own("60"))));
    }
}

pub(crate) async fn entries_are_counted_listed_and_cleared(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "lists", mode);
        let (cache, other) = (&caches[0], &caches[caches.len() - 1]);
        let mut expected = BTreeSet::new();
        for number in 0..50 {
            let key = format!("k{number}");
            caches[number % caches.len()].put(&key, &own("v")).await.unwrap();
            expected.insert((None, key));
        }
        let cart = cache.group("cart").unwrap();
        cart.batch().put(&own("a"), &own("1")).put(&own("b"), &own("2")).commit().await.unwrap();
        expected.extend(["a", "b"].map(|key| (Some(own("cart")), own(key))));
        let all = other.entries().all().await.unwrap();
        assert_eq!(all.len(), 52);
        let found: BTreeSet<_> = all.into_iter().map(|found| (found.group, found.key)).collect();
        assert_eq!(found, expected);
        assert_eq!((other.len().await, other.is_empty().await), (Ok(52), Ok(false)));
        cache.clear().await.unwrap();
        assert_eq!((other.len().await, other.is_empty().await), (Ok(0), Ok(true)));
    }
}

pub(crate) async fn a_group_is_changed_by_one_batch_or_not_at_all(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "carts", mode);
        let cart = caches[0].group("cart-7").unwrap();
        let other = caches[caches.len() - 1].group("cart-7").unwrap();
        let (a, b) = (own("a"), own("b"));
        cart.batch().put(&a, &own("1")).put_if_absent(&b, &own("1")).commit().await.unwrap();
        let refused = other.batch().put(&a, &own("2")).put_if_absent(&b, &own("2")).commit().await;
        assert_eq!(refused, Err(CacheError::Conflict { at: 1 }));
        let entry = other.get(&a).await.unwrap().unwrap();
        assert_eq!(entry.value, "1");
        other.batch().put_if(&a, entry.rev, &own("3")).remove(&b).commit().await.unwrap();
        let all = cart.entries().await.unwrap();
        let all: Vec<_> = all.iter().map(|(key, entry)| (&**key, &*entry.value)).collect();
        assert_eq!(all, [("a", "3")]);
        // A key outside of the group is another one.
        assert_eq!(caches[0].get(&a).await, Ok(None));
        assert_eq!(cart.owners(), other.owners());
        let stale = cart.batch().remove_if(&a, entry.rev).commit().await;
        assert_eq!(stale, Err(CacheError::Conflict { at: 0 }));
    }
}

pub(crate) async fn a_lock_keeps_others_out_and_its_commit_ends_it(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "locks", mode);
        let (cart, other) =
            (caches[0].group("cart").unwrap(), caches[caches.len() - 1].group("cart").unwrap());
        let (a, b) = (own("a"), own("b"));
        let mut lock = cart.lock(PATIENCE, PATIENCE).await.unwrap();
        assert_eq!(lock.get(&a), Ok(None));
        lock.put(&a, &own("1")).unwrap();
        lock.put(&b, &own("1")).unwrap();
        lock.remove(&b).unwrap();
        assert_eq!((lock.get(&a), lock.get(&b)), (Ok(Some(own("1"))), Ok(None)));
        let refused = other.lock(Duration::ZERO, PATIENCE).await.err();
        assert_eq!(refused, Some(CacheError::Locked));
        lock.save().await.unwrap();
        lock.put(&b, &own("2")).unwrap();
        let fence = lock.fence();
        lock.commit().await.unwrap();
        let lock = soon("the next", other.lock(PATIENCE, PATIENCE)).await.unwrap();
        assert_eq!((lock.get(&a), lock.get(&b)), (Ok(Some(own("1"))), Ok(Some(own("2")))));
        assert!(lock.fence() > fence);
        drop(lock);
        // Dropping gives it back, unchanged.
        let lock = soon("the last", cart.lock(PATIENCE, PATIENCE)).await.unwrap();
        lock.release().await.unwrap();
        let mut single = caches[0].lock(&a, PATIENCE, PATIENCE).await.unwrap();
        single.put(&(), &own("alone")).unwrap();
        single.commit().await.unwrap();
        assert_eq!(caches[0].get(&a).await, Ok(Some(own("alone"))));
    }
}

pub(crate) async fn times_are_the_caches_or_the_puts_own(cluster: &Cluster) {
    let member = Member::over(cluster.first().clone());
    let short = Duration::from_millis(50);
    let cache = member.cache::<u8, u8>("short").ttl(short).create().unwrap();
    cache.put(&1, &1).await.unwrap();
    cache.put_for(&2, &2, Lifetime::ttl(Duration::from_secs(3600))).await.unwrap();
    eventually("it has gone", || async { cache.get(&1).await == Ok(None) }).await;
    assert_eq!(cache.get(&2).await, Ok(Some(2)));
    let idle = member.cache::<u8, u8>("idle").create().unwrap();
    idle.put_for(&1, &1, Lifetime::max_idle(short)).await.unwrap();
    idle.put(&2, &2).await.unwrap();
    // Who reads an entry keeps it; a look at this member's copy does not.
    eventually("it was idle", || async { idle.entries().all().await.unwrap().len() == 1 }).await;
    assert_eq!(idle.get(&2).await, Ok(Some(2)));
}

pub(crate) async fn a_cache_tells_its_changes(cluster: &Cluster) {
    for mode in SHARED {
        let caches = texts(cluster, "tells", mode);
        let key = own("k");
        let owners = caches[0].owners(&key).unwrap();
        let mut copies: Vec<_> = (caches.iter().zip(&cluster.engines))
            .filter(|(_, engine)| owners.contains(&engine.group().local()))
            .map(|(cache, _)| cache.events(Scope::EveryCopy))
            .collect();
        let cache = &caches[caches.len() - 1];
        cache.put(&key, &own("1")).await.unwrap();
        cache.put(&key, &own("2")).await.unwrap();
        cache.remove(&key).await.unwrap();
        for events in &mut copies {
            let (created, changed) = (own("1"), own("2"));
            for expected in [
                CacheEvent::Created { group: None, key: key.clone(), value: created },
                CacheEvent::Changed { group: None, key: key.clone(), value: changed },
                CacheEvent::Removed { group: None, key: key.clone() },
            ] {
                assert_eq!(soon("an event", events.next()).await, Some(expected));
            }
        }
    }
}

pub(crate) async fn a_token_of_an_earlier_holder_is_fenced(cluster: &Cluster) {
    let caches = texts(cluster, "fences", Mode::Distributed);
    let (old, new) = (caches[0].fenced_by(Token(7)), caches[caches.len() - 1].fenced_by(Token(8)));
    old.put(&own("k"), &own("old")).await.unwrap();
    new.put(&own("k"), &own("new")).await.unwrap();
    assert_eq!(old.put(&own("k"), &own("late")).await, Err(CacheError::Fenced));
    assert_eq!(caches[0].get(&own("k")).await, Ok(Some(own("new"))));
}

pub(crate) async fn a_later_releases_value_is_an_error_that_says_so(cluster: &Cluster) {
    let caches = texts(cluster, "formats", Mode::Distributed);
    let key = own("k");
    caches[0].put(&key, &own("v")).await.unwrap();
    let map = cluster.first().map(muster_agent::engine::MapSpec {
        merging: Merging::Latest,
        ..muster_agent::engine::MapSpec::new("formats-Distributed", Mode::Distributed)
    });
    let map = map.unwrap();
    // A zero, then the key as postcard: its length and its bytes.
    let group = b"\x00\x01k";
    assert_eq!(map.get(group, Read::Confirmed).await.unwrap().entries.len(), 1);
    let put = Some(Put::new(&[9, 1, b'v']));
    let op = Op { key: b""[..].into(), expect: Expect::Any, put };
    map.write(Batch::new(group, vec![op])).await.unwrap();
    let error = caches[0].get(&key).await.unwrap_err();
    assert_eq!(error, CacheError::Value(CodecError::Format(9)));
    assert!(error.to_string().contains("format 9"), "{error}");
    let long = caches[0].get(&"k".repeat(2000)).await;
    assert!(matches!(long, Err(CacheError::Key(_))), "{long:?}");
}

pub(crate) async fn a_name_is_one_cache_of_one_kind(cluster: &Cluster) {
    let member = Member::over(cluster.first().clone());
    let hour = Duration::from_secs(3600);
    let cache =
        member.cache::<String, u32>("one").mode(Mode::Replicated).ttl(hour).create().unwrap();
    let same = member.cache::<String, u32>("one").lookup_or_create().unwrap();
    cache.put(&own("k"), &1).await.unwrap();
    assert_eq!((same.get(&own("k")).await, same.mode()), (Ok(Some(1)), Mode::Replicated));
    let types = member.cache::<String, u64>("one").create().err();
    assert!(matches!(types, Some(CreateError::Types { value: "u32", .. })), "{types:?}");
    let mode = member.cache::<String, u32>("one").mode(Mode::Local).create().err();
    assert!(matches!(mode, Some(CreateError::Engine(_))), "{mode:?}");
    let times = member.cache::<String, u32>("one").ttl(2 * hour).create().err();
    assert!(matches!(times, Some(CreateError::Times { .. })), "{times:?}");
    let nameless = member.cache::<String, u32>("").create().err();
    assert!(matches!(nameless, Some(CreateError::Engine(_))), "{nameless:?}");
}
