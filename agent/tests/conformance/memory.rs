//! Maps of which not all is in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::engine::map::{
    Cursor, Ending, Map, MapError, MapSpec, MapStats, Memory, MemoryChange, MemoryChanges, Mode,
    Read, Shelf, ShelfError,
};

use crate::fixture::{
    Cluster, PATIENCE, SHARED, copies, eventually, put, put_for, read, spec, text, write,
};

/// Groups that are in memory of a member at most.
const MOST: usize = 4;
/// Groups that there are.
const ALL: usize = 40;

/// A shelf that fails as it is told.
#[derive(Default)]
struct Board {
    records: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
    /// Whether it is full, and whether it can be read.
    ails: Mutex<(bool, bool)>,
}

impl Shelf for Board {
    fn put(&self, key: &[u8], record: &[u8]) -> Result<(), ShelfError> {
        if self.ails.lock().unwrap().0 {
            return Err(ShelfError("it is full".to_owned()));
        }
        self.records.lock().unwrap().insert(key.into(), record.into());
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        if self.ails.lock().unwrap().1 {
            return Err(ShelfError("it is broken".to_owned()));
        }
        Ok(self.records.lock().unwrap().get(key).cloned())
    }

    fn remove(&self, key: &[u8]) -> Result<(), ShelfError> {
        self.records.lock().unwrap().remove(key);
        Ok(())
    }
}

/// A map on every member, and the shelves of each.
fn bounded(
    cluster: &Cluster,
    spec: &MapSpec,
    through: bool,
) -> (Vec<Arc<dyn Map>>, Vec<Arc<Board>>) {
    let make = |engine: &Arc<dyn muster_agent::engine::Engine>| {
        let shelf = Arc::new(Board::default());
        let memory = Memory { most_groups: MOST, shelf: shelf.clone(), write_through: through };
        let map = engine.map(MapSpec { memory: Some(memory), ..spec.clone() }).unwrap();
        (map, shelf)
    };
    cluster.engines.iter().map(make).unzip()
}

fn sum(maps: &[Arc<dyn Map>], of: fn(&MapStats) -> u64) -> u64 {
    maps.iter().map(|map| of(&map.stats())).sum()
}

async fn fill(maps: &[Arc<dyn Map>]) {
    for number in 0..ALL {
        let map = &maps[number % maps.len()];
        write(map, &format!("g{number}"), put("k", &number.to_string())).await.unwrap();
    }
}

/// Every value, read by every member.
async fn all_are_there(maps: &[Arc<dyn Map>]) {
    for number in 0..ALL {
        let (group, value) = (format!("g{number}"), number.to_string());
        for map in maps {
            assert_eq!(read(map, &group, "k").await.as_deref(), Some(&*value));
            let peeked = map.peek(group.as_bytes(), b"k");
            assert!(peeked.is_none_or(|peeked| peeked.as_ref().map(text) == Some(value.clone())));
        }
    }
}

pub(crate) async fn no_more_groups_are_in_memory_than_may_be(cluster: &Cluster) {
    for (mode, through) in [(SHARED[0], false), (SHARED[0], true), (SHARED[1], false)] {
        let spec = spec(&format!("memory-{through}"), mode);
        let (maps, shelves) = bounded(cluster, &spec, through);
        let mut told: Vec<MemoryChanges> = maps.iter().map(|map| map.watch_memory()).collect();
        fill(&maps).await;
        let kept = (ALL * copies(mode, cluster.len())) as u64;
        for map in &maps {
            let stats = map.stats();
            assert!(stats.groups_in_memory <= MOST as u64, "{stats:?}");
        }
        assert_eq!(sum(&maps, |s| s.entries), kept);
        assert_eq!(sum(&maps, |s| s.groups_in_memory + s.groups_on_shelf), kept);
        all_are_there(&maps).await;
        let mut seen = BTreeSet::new();
        let mut cursor = Some(Cursor::default());
        while let Some(place) = cursor {
            let page = maps[0].scan(place).await.unwrap();
            seen.extend(page.groups.iter().map(|(group, _)| text(group)));
            cursor = page.next;
        }
        assert_eq!(seen.len(), ALL);
        // What is on the shelf is changed, checked out, and over like anything else.
        let mut held = maps[0].checkout(b"g0", PATIENCE, PATIENCE).await.unwrap();
        assert_eq!(text(&held.entries.entries[&b"k"[..]].0), "0");
        maps[0].commit(&mut held, vec![put("l", "more")], Ending::Release).await.unwrap();
        for number in 1..ALL {
            let group = format!("g{number}");
            write(&maps[0], &group, put_for("k", "brief", Some(50), None)).await.unwrap();
        }
        eventually("only one group is left", || async { sum(&maps, |s| s.primary_entries) == 2 })
            .await;
        assert_eq!(read(&maps[0], "g0", "l").await.as_deref(), Some("more"));
        for (map, (told, shelf)) in maps.iter().zip(told.iter_mut().zip(&shelves)) {
            let (mut gone, mut back) = (0, 0);
            while let Ok(change) = told.try_recv() {
                match change {
                    MemoryChange::Passivated(_) => gone += 1,
                    MemoryChange::Activated(_) => back += 1,
                }
            }
            let stats = map.stats();
            assert_eq!(
                (stats.passivations, stats.activations, stats.shelf_errors),
                (gone, back, 0)
            );
            eventually("no record is left behind", || async {
                let groups = map.stats();
                let records = if through { groups.groups } else { groups.groups_on_shelf };
                shelf.records.lock().unwrap().len() as u64 == records
            })
            .await;
        }
        maps[0].clear().await.unwrap();
        assert_eq!(sum(&maps, |s| s.groups_in_memory + s.groups_on_shelf), 0);
    }
}

/// Nothing is shared there, and yet one that is told drops what is on its shelf as well.
pub(crate) async fn a_map_of_each_member_s_own_is_bounded_too(cluster: &Cluster) {
    for mode in [Mode::Local, Mode::Invalidated] {
        for through in [false, true] {
            let spec = spec(&format!("own-{mode:?}-{through}"), mode);
            let (maps, shelves) = bounded(cluster, &spec, through);
            fill(&maps[..1]).await;
            let stats = maps[0].stats();
            assert_eq!((stats.groups_in_memory, stats.groups), (MOST as u64, ALL as u64));
            all_are_there(&maps[..1]).await;
            if mode == Mode::Invalidated && cluster.len() > 1 {
                for group in ["g0", "g1", "g39"] {
                    write(&maps[1], group, put("k", "later")).await.unwrap();
                    assert_eq!(read(&maps[0], group, "k").await, None);
                }
                maps[1].clear().await.unwrap();
            } else {
                maps[0].clear().await.unwrap();
            }
            let stats = maps[0].stats();
            assert_eq!((stats.groups, stats.groups_on_shelf, stats.shelf_errors), (0, 0, 0));
            let is_clear = || async { shelves[0].records.lock().unwrap().is_empty() };
            eventually("no record is left behind", is_clear).await;
        }
    }
}

pub(crate) async fn what_one_member_s_shelf_does_not_give_comes_from_another(cluster: &Cluster) {
    if cluster.len() == 1 {
        return;
    }
    let (maps, shelves) = bounded(cluster, &spec("ailing", SHARED[0]), false);
    fill(&maps).await;
    shelves[0].ails.lock().unwrap().1 = true;
    all_are_there_for_all(&maps).await;
    assert!(maps[0].stats().shelf_errors > 0);
}

/// Every value, asked of its primary.
async fn all_are_there_for_all(maps: &[Arc<dyn Map>]) {
    for number in 0..ALL {
        let (group, value) = (format!("g{number}"), number.to_string());
        assert_eq!(read(&maps[number % maps.len()], &group, "k").await.as_deref(), Some(&*value));
    }
}

pub(crate) async fn a_shelf_that_is_full_loses_nothing(cluster: &Cluster) {
    let (maps, shelves) = bounded(cluster, &spec("full", SHARED[0]), false);
    for shelf in &shelves {
        shelf.ails.lock().unwrap().0 = true;
    }
    fill(&maps).await;
    let kept = (ALL * copies(SHARED[0], cluster.len())) as u64;
    assert_eq!(sum(&maps, |s| s.groups_in_memory), kept);
    assert!(sum(&maps, |s| s.shelf_errors) > 0);
    all_are_there(&maps).await;
    for shelf in &shelves {
        shelf.ails.lock().unwrap().0 = false;
    }
    eventually("what is too much goes once there is room", || async {
        maps.iter().all(|map| map.stats().groups_in_memory <= MOST as u64)
    })
    .await;
    all_are_there(&maps).await;
}

pub(crate) async fn what_cannot_be_read_is_an_error_and_comes_back(cluster: &Cluster) {
    let spec = MapSpec { deadline: Duration::from_millis(200), ..spec("broken", SHARED[0]) };
    let (maps, shelves) = bounded(cluster, &spec, false);
    for number in 0..ALL {
        let group = format!("g{number}");
        let written =
            || async { write(&maps[0], &group, put("k", &number.to_string())).await.is_ok() };
        eventually("it is written", written).await;
    }
    for shelf in &shelves {
        shelf.ails.lock().unwrap().1 = true;
    }
    let mut failed = 0;
    for number in 0..ALL {
        let group = format!("g{number}");
        match maps[0].get(group.as_bytes(), Read::Confirmed).await {
            Ok(entries) => assert_eq!(entries.entries.len(), 1, "{group} was there"),
            Err(MapError::Unavailable) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(failed > 0);
    for shelf in &shelves {
        shelf.ails.lock().unwrap().1 = false;
    }
    for number in 0..ALL {
        let group = format!("g{number}");
        let found = || async {
            let found = maps[0].get(group.as_bytes(), Read::Confirmed).await;
            found.is_ok_and(|found| found.entries.len() == 1)
        };
        eventually("it is read again", found).await;
    }
}
