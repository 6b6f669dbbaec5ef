//! Entries in key groups.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::engine::map::{
    Batch, Changes, Cursor, Ending, Kind, Map, MapError, MapSpec, MapStats, Merging, Mode, Read,
    Watch,
};
use muster_agent::engine::{EngineError, Token};
use muster_grid::{Expect, Op, Rev};

use crate::fixture::{
    Cluster, PATIENCE, SHARED, copies, eventually, put, put_for, put_if, read, remove, soon, spec,
    text, write,
};

pub(crate) async fn what_one_member_wrote_every_member_reads(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("reads", mode));
        for (at, map) in maps.iter().enumerate() {
            let group = format!("g{at}");
            write(map, &group, put("k", "v")).await.unwrap();
            for other in &maps {
                assert_eq!(read(other, &group, "k").await.as_deref(), Some("v"));
                assert_eq!(read(other, &group, "another").await, None);
                let near = other.get(group.as_bytes(), Read::Near).await.unwrap();
                assert!(near.entries.len() <= 1);
            }
            // An acknowledged write stands with every owner, so each owner's copy has it.
            let owners = map.owners(group.as_bytes());
            for (engine, other) in cluster.engines.iter().zip(&maps) {
                let peeked = other.peek(group.as_bytes(), b"k");
                let is_owner = owners.contains(&engine.group().local());
                if is_owner {
                    assert_eq!(peeked.flatten().as_ref().map(text).as_deref(), Some("v"));
                    assert_eq!(other.peek(group.as_bytes(), b"another"), Some(None));
                }
            }
        }
        assert_eq!(maps[0].get(b"nothing", Read::Confirmed).await.unwrap().entries.len(), 0);
    }
}

pub(crate) async fn a_batch_happens_whole_or_not_at_all(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("batches", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let ops = vec![put("a", "1"), put_if("b", Expect::Absent, "1")];
        let rev = map.write(Batch::new(b"g", ops)).await.unwrap();
        let ops = vec![put("a", "2"), put_if("b", Expect::Absent, "2"), put("c", "2")];
        assert_eq!(other.write(Batch::new(b"g", ops)).await, Err(MapError::Conflict { at: 1 }));
        let entries = map.get(b"g", Read::Confirmed).await.unwrap();
        assert_eq!((entries.rev, entries.entries.len()), (rev, 2));
        let ops = vec![put_if("a", Expect::Rev(rev), "3"), remove("b"), remove("never")];
        let next = other.write(Batch::new(b"g", ops)).await.unwrap();
        assert!(next > rev);
        let entries = map.get(b"g", Read::Confirmed).await.unwrap();
        let keys: Vec<String> = entries.entries.keys().map(text).collect();
        assert_eq!(keys, ["a"]);
        assert_eq!(text(&entries.entries[&b"a"[..]].0), "3");
    }
}

pub(crate) async fn revisions_rise_and_a_stale_one_is_refused(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("revisions", mode));
        let mut last = Rev::default();
        for (at, map) in maps.iter().cycle().take(6).enumerate() {
            let rev = write(map, "g", put("k", &at.to_string())).await.unwrap();
            assert!(rev > last);
            let stale = write(map, "g", put_if("k", Expect::Rev(last), "stale")).await;
            assert_eq!(stale, Err(MapError::Conflict { at: 0 }));
            let entries = map.get(b"g", Read::Confirmed).await.unwrap();
            assert_eq!((entries.rev, entries.entries[&b"k"[..]].1), (rev, rev));
            last = rev;
        }
    }
}

pub(crate) async fn an_entry_goes_when_its_time_is_over_or_when_it_was_idle(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("times", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        write(map, "stays", put("k", "v")).await.unwrap();
        write(map, "ttl", put_for("k", "v", Some(50), None)).await.unwrap();
        write(map, "idle", put_for("k", "v", None, Some(50))).await.unwrap();
        write(map, "late", put_for("k", "v", Some(3_600_000), Some(3_600_000))).await.unwrap();
        eventually("its time is over", || async { read(other, "ttl", "k").await.is_none() }).await;
        // Whoever reads an entry keeps it, so look only at what is counted.
        eventually("both are counted", || async {
            maps.iter().map(|map| map.stats().primary_entries).sum::<u64>() == 2
        })
        .await;
        eventually("no copy is left", || async {
            maps.iter().all(|map| map.peek(b"idle", b"k").flatten().is_none())
        })
        .await;
        assert_eq!(read(other, "stays", "k").await.as_deref(), Some("v"));
        assert_eq!(read(other, "late", "k").await.as_deref(), Some("v"));
        // A later put without a time stays.
        write(other, "ttl", put("k", "w")).await.unwrap();
        assert_eq!(read(map, "ttl", "k").await.as_deref(), Some("w"));
    }
}

/// A group of an entry by which it lives, and of another that has no time of its own.
fn living(ttl: Option<u64>, idle: Option<u64>) -> Vec<Op> {
    let mut life = put_for("m", "life", ttl, idle);
    life.put.as_mut().unwrap().ends_group = true;
    vec![life, put("a", "attribute")]
}

pub(crate) async fn a_group_goes_whole_with_the_entry_by_which_it_lives(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("lives", mode));
        let mut watchers: Vec<Changes> = maps.iter().map(|map| map.watch(Watch::Primary)).collect();
        let last = &maps[maps.len() - 1];
        last.write(Batch::new(b"ttl", living(Some(50), None))).await.unwrap();
        last.write(Batch::new(b"idle", living(None, Some(50)))).await.unwrap();
        last.write(Batch::new(b"stays", living(Some(3_600_000), None))).await.unwrap();
        eventually("no copy is left of two groups", || async {
            let kept = 2 * copies(mode, cluster.len()) as u64;
            maps.iter().map(|map| map.stats().entries).sum::<u64>() == kept
        })
        .await;
        assert_eq!(read(&maps[0], "ttl", "a").await, None);
        assert_eq!(read(&maps[0], "stays", "a").await.as_deref(), Some("attribute"));
        // What was destroyed is told, in one change of each group.
        let mut told = BTreeSet::new();
        for watcher in &mut watchers {
            while let Ok(change) = watcher.try_recv() {
                if let Kind::Expired(was) = &change.kind {
                    told.insert((text(&change.group), change.rev, text(&change.key), text(was)));
                }
            }
        }
        let told: Vec<_> = told.iter().map(|(g, _, k, v)| [&g[..], &k[..], &v[..]]).collect();
        let of = |group| [[group, "a", "attribute"], [group, "m", "life"]];
        assert_eq!(told, [of("idle"), of("ttl")].concat());
    }
}

pub(crate) async fn a_group_that_is_checked_out_stays_until_its_checkout_ends(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("stays", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let mut held = map.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        map.commit(&mut held, living(Some(50), None), Ending::Keep).await.unwrap();
        let is_over = || async { read(other, "g", "m").await.is_none() };
        eventually("its time is over for all others", is_over).await;
        assert_eq!(read(other, "g", "a").await, None);
        // Whoever has it finds it as it was, and it lives on.
        let expected = Expect::Rev(held.entries.rev);
        let ops = vec![put_if("m", expected, "more"), put_if("a", expected, "attribute")];
        map.commit(&mut held, ops, Ending::Release).await.unwrap();
        assert_eq!(read(other, "g", "m").await.as_deref(), Some("more"));

        let mut held = map.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        map.commit(&mut held, living(Some(50), None), Ending::Keep).await.unwrap();
        eventually("its time is over for all others", is_over).await;
        let kept = 2 * copies(mode, cluster.len()) as u64;
        assert_eq!(maps.iter().map(|map| map.stats().entries).sum::<u64>(), kept);
        map.release(&held).await.unwrap();
        eventually("it is gone with the checkout", || async {
            maps.iter().map(|map| map.stats().entries).sum::<u64>() == 0
        })
        .await;
    }
}

pub(crate) async fn a_checkout_keeps_others_out_until_its_commit(cluster: &Cluster) {
    for mode in SHARED {
        let quick = MapSpec { deadline: Duration::from_millis(300), ..spec("checkouts", mode) };
        let maps = cluster.maps(&quick);
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        eventually("a first write", || async { write(map, "g", put("k", "1")).await.is_ok() })
            .await;
        let mut checkout = map.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        assert_eq!(text(&checkout.entries.entries[&b"k"[..]].0), "1");
        let locked = other.checkout(b"g", Duration::ZERO, PATIENCE).await;
        assert_eq!(locked, Err(MapError::Locked));
        let locked = other.checkout(b"g", Duration::from_millis(50), PATIENCE).await;
        assert_eq!(locked, Err(MapError::Locked));
        assert_eq!(write(other, "g", put("k", "x")).await, Err(MapError::Locked));
        assert_eq!(read(other, "g", "k").await.as_deref(), Some("1"));
        map.commit(&mut checkout, vec![put("k", "2")], Ending::Release).await.unwrap();
        let checkout = other.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        assert_eq!(text(&checkout.entries.entries[&b"k"[..]].0), "2");
        other.release(&checkout).await.unwrap();
    }
}

pub(crate) async fn who_waits_for_a_checkout_gets_it_in_the_order_of_asking(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("order", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let held = map.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        let served = Mutex::new(Vec::new());
        // Joined futures of one member ask one after the other.
        let wait = |number: u8| {
            let served = &served;
            async move {
                let checkout = other.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
                served.lock().unwrap().push(number);
                other.release(&checkout).await.unwrap();
            }
        };
        let release = async { map.release(&held).await.unwrap() };
        let all = async { tokio::join!(wait(1), wait(2), wait(3), release) };
        soon("all of them", all).await;
        assert_eq!(*served.lock().unwrap(), [1, 2, 3]);
    }
}

pub(crate) async fn a_checkout_ends_by_itself_and_its_commit_is_fenced(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("holds", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let hold = Duration::from_millis(50);
        let mut frozen = map.checkout(b"g", PATIENCE, hold).await.unwrap();
        let mut next = soon("the next", other.checkout(b"g", PATIENCE, PATIENCE)).await.unwrap();
        let late = map.commit(&mut frozen, vec![put("k", "late")], Ending::Release).await;
        assert_eq!(late, Err(MapError::Fenced));
        assert_eq!(map.release(&frozen).await, Err(MapError::Fenced));
        other.commit(&mut next, vec![put("k", "next")], Ending::Release).await.unwrap();
        assert_eq!(read(map, "g", "k").await.as_deref(), Some("next"));
        // A write that waits is done when the hold is over.
        map.checkout(b"g", PATIENCE, hold).await.unwrap();
        write(other, "g", put("k", "waited")).await.unwrap();
        assert_eq!(read(map, "g", "k").await.as_deref(), Some("waited"));
    }
}

pub(crate) async fn a_kept_checkout_goes_on_and_fences_rise(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("keeps", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let mut checkout = map.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        let rev = map.commit(&mut checkout, vec![put("k", "1")], Ending::Keep).await.unwrap();
        assert_eq!((checkout.entries.rev, checkout.entries.entries[&b"k"[..]].1), (rev, rev));
        let locked = other.checkout(b"g", Duration::ZERO, PATIENCE).await;
        assert_eq!(locked, Err(MapError::Locked));
        let again = vec![put_if("k", Expect::Rev(rev), "2")];
        let next = map.commit(&mut checkout, again, Ending::Release).await.unwrap();
        assert!(next > rev);
        let over = map.commit(&mut checkout, vec![put("k", "3")], Ending::Release).await;
        assert_eq!(over, Err(MapError::Fenced));
        let later = other.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        assert!(later.fence > checkout.fence);
        assert_eq!(text(&later.entries.entries[&b"k"[..]].0), "2");
        other.release(&later).await.unwrap();
    }
}

pub(crate) async fn a_released_checkout_changed_nothing(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("releases", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let rev = write(map, "g", put("k", "1")).await.unwrap();
        let checkout = other.checkout(b"g", PATIENCE, PATIENCE).await.unwrap();
        other.release(&checkout).await.unwrap();
        assert_eq!(other.release(&checkout).await, Err(MapError::Fenced));
        assert_eq!(map.get(b"g", Read::Confirmed).await.unwrap().rev, rev);
    }
}

pub(crate) async fn a_write_with_an_old_token_is_fenced(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("tokens", mode));
        let (map, other) = (&maps[0], &maps[maps.len() - 1]);
        let under = |token: Option<u128>, value: &str| Batch {
            token: token.map(Token),
            ..Batch::new(b"g", vec![put("k", value)])
        };
        map.write(under(Some(5 << 64), "old")).await.unwrap();
        other.write(under(Some((5 << 64) + 1), "new")).await.unwrap();
        let fenced = map.write(under(Some(5 << 64), "late")).await;
        assert_eq!(fenced, Err(MapError::Fenced));
        assert_eq!(read(map, "g", "k").await.as_deref(), Some("new"));
        other.write(under(Some((5 << 64) + 1), "again")).await.unwrap();
        map.write(under(None, "free")).await.unwrap();
        assert_eq!(read(other, "g", "k").await.as_deref(), Some("free"));
    }
}

async fn everything(map: &Arc<dyn Map>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(place) = cursor {
        let page = map.scan(place).await.unwrap();
        for (group, entries) in page.groups {
            let of = |key| (text(&group), text(key));
            all.extend(entries.entries.keys().map(of));
        }
        cursor = page.next;
    }
    all.sort();
    all
}

pub(crate) async fn a_scan_gives_every_entry_once_and_clear_removes_them(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("scans", mode));
        let another = &cluster.maps(&spec("unseen", mode))[0];
        write(another, "g", put("k", "v")).await.unwrap();
        let mut expected = Vec::new();
        for number in 0..100 {
            let (map, group) = (&maps[number % maps.len()], format!("g{number:03}"));
            let ops = vec![put("a", "1"), put("b", "2")];
            map.write(Batch::new(group.as_bytes(), ops)).await.unwrap();
            expected.extend([(group.clone(), "a".to_owned()), (group, "b".to_owned())]);
        }
        for map in &maps {
            assert_eq!(everything(map).await, expected);
        }
        maps[maps.len() - 1].clear().await.unwrap();
        for map in &maps {
            assert_eq!(everything(map).await, []);
        }
        assert_eq!(read(another, "g", "k").await.as_deref(), Some("v"));
    }
}

pub(crate) async fn a_minted_group_is_owned_where_it_was_minted(cluster: &Cluster) {
    for mode in SHARED {
        let mut minted = BTreeSet::new();
        for (engine, map) in cluster.engines.iter().zip(cluster.maps(&spec("mints", mode))) {
            for _ in 0..10 {
                let group = map.mint_local();
                assert!(group.len() == 36 && group.iter().all(u8::is_ascii_hexdigit));
                assert_eq!(map.owners(&group)[0], engine.group().local());
                minted.insert(group);
            }
        }
        assert_eq!(minted.len(), 10 * cluster.len());
    }
}

pub(crate) async fn all_members_name_the_same_owners(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("owners", mode));
        for number in 0..20 {
            let group = format!("g{number}");
            let owners = maps[0].owners(group.as_bytes());
            assert_eq!(owners.len(), copies(mode, cluster.len()));
            assert!(maps.iter().all(|map| map.owners(group.as_bytes()) == owners));
            let ids: BTreeSet<_> = owners.iter().map(|owner| owner.id).collect();
            assert_eq!(ids.len(), owners.len());
        }
    }
}

pub(crate) async fn what_a_map_did_and_holds_is_counted(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("counts", mode));
        let map = &maps[0];
        for number in 0..10 {
            write(map, &format!("g{number}"), put("k", "four")).await.unwrap();
        }
        read(map, "g0", "k").await.unwrap();
        read(map, "nothing", "k").await;
        write(map, "g9", remove("k")).await.unwrap();
        let mut checkout = map.checkout(b"g1", PATIENCE, PATIENCE).await.unwrap();
        map.commit(&mut checkout, vec![put("k", "more")], Ending::Release).await.unwrap();
        let checkout = map.checkout(b"g2", PATIENCE, PATIENCE).await.unwrap();
        map.release(&checkout).await.unwrap();
        let stats: Vec<MapStats> = maps.iter().map(|map| map.stats()).collect();
        let sum = |of: fn(&MapStats) -> u64| stats.iter().map(of).sum::<u64>();
        let kept = copies(mode, cluster.len()) as u64;
        assert_eq!((sum(|s| s.primary_entries), sum(|s| s.entries)), (9, 9 * kept));
        assert_eq!((sum(|s| s.primary_groups), sum(|s| s.groups)), (9, 9 * kept));
        assert!(sum(|s| s.bytes) >= 9 * kept * 5, "{stats:?}");
        assert!(stats[0].hits >= 1 && stats[0].misses >= 1, "{stats:?}");
        let did = (stats[0].puts, stats[0].removes, stats[0].prepares);
        assert_eq!(did, (11, 1, 2), "{stats:?}");
        assert_eq!((stats[0].commits, stats[0].rollbacks), (1, 1), "{stats:?}");
        assert_eq!(stats[0].rpc_failures, 0);
    }
}

pub(crate) async fn what_is_too_large_is_refused(cluster: &Cluster) {
    let map = &cluster.maps(&spec("sizes", Mode::Distributed))[0];
    let long = "n".repeat(1025);
    let huge = "v".repeat((8 << 20) + 1);
    let many = (0..1025).map(|number| put(&number.to_string(), "v")).collect();
    let large = "v".repeat(8 << 20);
    let heavy = (0..5).map(|number| put(&number.to_string(), &large)).collect();
    for (group, ops) in [
        (long.as_str(), vec![put("k", "v")]),
        ("g", vec![put(&long, "v")]),
        ("g", vec![put("k", &huge)]),
        ("g", many),
        ("g", heavy),
    ] {
        let refused = map.write(Batch::new(group.as_bytes(), ops)).await;
        assert!(matches!(refused, Err(MapError::TooLarge(_))), "{refused:?}");
    }
    let refused = map.checkout(long.as_bytes(), PATIENCE, PATIENCE).await;
    assert!(matches!(refused, Err(MapError::TooLarge(_))), "{refused:?}");
}

pub(crate) async fn a_name_stands_for_one_specification(cluster: &Cluster) {
    let engine = cluster.first();
    let spec = spec("names", Mode::Distributed);
    let map = engine.map(spec.clone()).unwrap();
    let again = engine.map(spec.clone()).unwrap();
    write(&map, "g", put("k", "v")).await.unwrap();
    assert_eq!(read(&again, "g", "k").await.as_deref(), Some("v"));
    for different in [
        MapSpec { mode: Mode::Replicated, ..spec.clone() },
        MapSpec { merging: Merging::PreferMajor, ..spec.clone() },
        MapSpec { deadline: Duration::from_secs(1), ..spec.clone() },
    ] {
        let refused = engine.map(different).err();
        assert!(matches!(refused, Some(EngineError::Different { .. })), "{refused:?}");
    }
    for bad in [
        MapSpec { name: String::new(), ..spec.clone() },
        MapSpec { name: "n".repeat(129), ..spec.clone() },
        MapSpec { deadline: Duration::ZERO, ..spec.clone() },
        MapSpec { watch_capacity: 0, ..spec.clone() },
    ] {
        let refused = engine.map(bad).err();
        assert!(matches!(refused, Some(EngineError::BadValue { .. })), "{refused:?}");
    }
}

pub(crate) async fn a_local_map_is_each_members_own(cluster: &Cluster) {
    let maps = cluster.maps(&spec("own", Mode::Local));
    for (at, map) in maps.iter().enumerate() {
        assert_eq!(read(map, "g", "k").await, None);
        write(map, "g", put("k", &at.to_string())).await.unwrap();
    }
    for (at, (map, engine)) in maps.iter().zip(&cluster.engines).enumerate() {
        assert_eq!(read(map, "g", "k").await, Some(at.to_string()));
        assert_eq!(map.peek(b"g", b"k").flatten().as_ref().map(text), Some(at.to_string()));
        assert_eq!(map.owners(b"g"), [engine.group().local()]);
    }
}

pub(crate) async fn a_change_of_an_invalidated_map_drops_the_copies_of_the_others(
    cluster: &Cluster,
) {
    let maps = cluster.maps(&spec("stale", Mode::Invalidated));
    for map in maps.iter().rev() {
        write(map, "kept", put("k", "v")).await.unwrap();
    }
    // Each put has dropped the copies before it: only the first member's is left.
    for (at, map) in maps.iter().enumerate() {
        let expected = (at == 0).then(|| "v".to_owned());
        assert_eq!(read(map, "kept", "k").await, expected);
    }
    let last = &maps[maps.len() - 1];
    write(last, "kept", put("another", "w")).await.unwrap();
    assert_eq!(read(&maps[0], "kept", "k").await.as_deref(), Some("v"));
    write(last, "kept", remove("k")).await.unwrap();
    assert_eq!(read(&maps[0], "kept", "k").await, None);
    assert_eq!(read(last, "kept", "another").await.as_deref(), Some("w"));
}
