//! Changes as they happen.

use std::time::Duration;

use muster_agent::engine::map::{Batch, Change, Changes, Kind, MapSpec, Mode, Watch};
use tokio::sync::broadcast::error::RecvError;

use crate::fixture::{
    Cluster, SHARED, copies, eventually, put, put_for, remove, soon, spec, text, write,
};

fn told(change: &Change) -> String {
    let kind = match &change.kind {
        Kind::Created(value) => format!("created {}", text(value)),
        Kind::Changed(value) => format!("changed {}", text(value)),
        Kind::Removed(was) => format!("removed {}", text(was)),
        Kind::Expired(was) => format!("expired {}", text(was)),
    };
    format!("{} {kind}", text(&change.key))
}

/// What a watcher has seen by now.
fn seen(watcher: &mut Changes, into: &mut Vec<Change>) {
    while let Ok(change) = watcher.try_recv() {
        into.push(change);
    }
}

const STORY: [&str; 4] = ["k created 1", "k changed 2", "k removed 2", "t created 3"];

async fn tell_story(map: &std::sync::Arc<dyn muster_agent::engine::Map>) {
    write(map, "g", put("k", "1")).await.unwrap();
    write(map, "g", put("k", "2")).await.unwrap();
    write(map, "g", remove("k")).await.unwrap();
    write(map, "g", remove("k")).await.unwrap();
    write(map, "g", put_for("t", "3", Some(50), None)).await.unwrap();
}

fn check_story(seen: &[Change]) {
    let told: Vec<String> = seen.iter().map(told).collect();
    assert_eq!(told[..4], STORY);
    assert_eq!(told[4..], ["t expired 3"]);
    assert!(seen.windows(2).all(|pair| pair[0].rev < pair[1].rev), "{seen:?}");
}

pub(crate) async fn in_the_whole_cluster_a_change_is_seen_by_one_primary(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("primaries", mode));
        let mut watchers: Vec<Changes> = maps.iter().map(|map| map.watch(Watch::Primary)).collect();
        tell_story(&maps[maps.len() - 1]).await;
        let mut all = vec![Vec::new(); maps.len()];
        let watchers = std::cell::RefCell::new((&mut watchers, &mut all));
        eventually("five changes", || async {
            let (watchers, all) = &mut *watchers.borrow_mut();
            watchers.iter_mut().zip(all.iter_mut()).for_each(|(from, into)| seen(from, into));
            all.iter().map(Vec::len).sum::<usize>() >= 5
        })
        .await;
        let primary = maps[0].owners(b"g")[0].id;
        for (engine, seen) in cluster.engines.iter().zip(&all) {
            if engine.group().local().id == primary {
                check_story(seen);
            } else {
                assert_eq!(*seen, []);
            }
        }
    }
}

pub(crate) async fn who_watches_for_ends_hears_of_whole_groups_in_order(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("ends", mode));
        let mut watchers: Vec<Changes> = maps.iter().map(|map| map.watch(Watch::Ends)).collect();
        let map = &maps[maps.len() - 1];
        for group in ["g", "h"] {
            let mut lives_by = put_for("m", "3", Some(50), None);
            lives_by.put.as_mut().unwrap().ends_group = true;
            write(map, group, remove("m")).await.unwrap();
            let ops = vec![put("b", "2"), lives_by, put("a", "1")];
            map.write(Batch::new(group.as_bytes(), ops)).await.unwrap();
            let (mut all, ends) = (Vec::new(), ["a expired 1", "b expired 2", "m expired 3"]);
            let watchers = std::cell::RefCell::new((&mut watchers, &mut all));
            eventually("the group's end", || async {
                let (watchers, all) = &mut *watchers.borrow_mut();
                watchers.iter_mut().for_each(|from| seen(from, all));
                all.len() >= ends.len()
            })
            .await;
            assert_eq!(all.iter().map(told).collect::<Vec<_>>(), ends);
        }
    }
}

pub(crate) async fn every_owner_sees_the_changes_of_its_copy(cluster: &Cluster) {
    for mode in SHARED {
        let maps = cluster.maps(&spec("copies", mode));
        let owners = maps[0].owners(b"g");
        assert_eq!(owners.len(), copies(mode, cluster.len()));
        let mut watchers: Vec<Changes> = (cluster.engines.iter().zip(&maps))
            .filter(|(engine, _)| owners.contains(&engine.group().local()))
            .map(|(_, map)| map.watch(Watch::Copies))
            .collect();
        tell_story(&maps[0]).await;
        for watcher in &mut watchers {
            let mut seen = Vec::new();
            while seen.len() < 5 {
                seen.push(soon("a change", watcher.recv()).await.unwrap());
            }
            check_story(&seen);
        }
    }
}

pub(crate) async fn who_is_far_behind_is_told_how_many_changes_it_missed(cluster: &Cluster) {
    let spec = MapSpec { watch_capacity: 8, ..spec("behind", Mode::Replicated) };
    let map = &cluster.maps(&spec)[0];
    let mut watcher = map.watch(Watch::Copies);
    for number in 0..64 {
        write(map, "g", put("k", &number.to_string())).await.unwrap();
    }
    let missed = soon("the news", watcher.recv()).await;
    assert!(matches!(missed, Err(RecvError::Lagged(1..))), "{missed:?}");
    let next = tokio::time::timeout(Duration::from_secs(60), watcher.recv()).await;
    assert!(matches!(next, Ok(Ok(_))), "{next:?}");
}
