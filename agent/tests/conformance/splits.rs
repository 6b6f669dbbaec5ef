//! Two sides that do not hear each other, and what they are when they meet.

use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::map::{Batch, Map, MapError, MapSpec, Mode, Read};
use muster_agent::engine::{Engine, LeaseError, Merging};
use muster_grid::{Bytes, Expect, Op, Put};
use tempfile::TempDir;

use crate::cables::Cables;
use crate::fixture::{Cluster, PATIENCE, SHARED, eventually, put, soon, text, write};

/// Members, oldest first, whose cables can be cut.
pub(crate) struct Apart {
    pub(crate) cluster: Cluster,
    cables: Cables,
    /// Which end of the cables each member is.
    ends: Vec<usize>,
    _data: TempDir,
}

/// So many members of the embedded engine. They found the cluster together, as members of a quorum
/// must.
pub(crate) async fn embedded(members: usize, quorum: Option<u16>) -> Apart {
    let cables = Cables::between(members).await;
    let data = TempDir::new().unwrap();
    let addresses: Vec<String> = cables.ends().iter().map(|end| end.proxy.to_string()).collect();
    let joins = cables.ends().iter().map(|end| {
        let builder = muster_agent::Cluster::builder(&end.name)
            .bind(end.member.ip())
            .port(end.member.port())
            .advertised(end.proxy.to_string())
            .members(addresses.iter().cloned())
            .data_dir(data.path().join(&end.name))
            .no_management()
            .segments(16)
            .detection(Duration::from_secs(1));
        let builder = quorum.into_iter().fold(builder, |builder, least| builder.quorum(least));
        tokio::spawn(builder.join())
    });
    let mut nodes = Vec::new();
    for (end, join) in joins.collect::<Vec<_>>().into_iter().enumerate() {
        nodes.push((end, soon("it is in", join).await.unwrap().unwrap()));
    }
    for (_, node) in &nodes {
        eventually("all are there", || async { node.view().members.len() == members }).await;
        soon("all copies are in place", node.balanced()).await;
    }
    nodes.sort_by_key(|(_, node)| node.me().join);
    let engines = nodes.iter().map(|(_, node)| node.engine().clone()).collect();
    let (ends, nodes) = nodes.into_iter().unzip();
    let cluster = Cluster { engines, has_queues: false, nodes };
    Apart { cluster, cables, ends, _data: data }
}

// === impl Apart ===

impl Apart {
    /// The members of this side hear none of the others. Returns when each side has its own view.
    pub(crate) async fn cut_off(&self, side: &[usize]) {
        self.cables.cut_off(side.iter().map(|member| self.ends[*member]));
        for (member, engine) in self.cluster.engines.iter().enumerate() {
            let expected = match side.contains(&member) {
                true => side.len(),
                false => self.cluster.len() - side.len(),
            };
            eventually("a side knows that it is one", || async {
                let view = engine.group().view();
                view.members.len() == expected || !view.is_quorate
            })
            .await;
        }
    }

    /// Returns when all are in one view again, and all copies are in place.
    pub(crate) async fn mend(&self) {
        self.cables.mend();
        let all = self.cluster.len();
        for engine in &self.cluster.engines {
            eventually("all are together again", || async {
                let view = engine.group().view();
                view.members.len() == all && view.is_quorate && engine.is_balanced()
            })
            .await;
        }
    }

    fn merges(&self) -> Vec<u64> {
        self.cluster.engines.iter().map(|engine| engine.group().view().merges).collect()
    }

    pub(crate) async fn end(self) {
        self.cluster.end().await;
    }
}

/// The first confirmed answer: until there is one, nobody was sure.
async fn read(map: &Arc<dyn Map>, group: &str) -> Option<String> {
    let ends = async {
        loop {
            match map.get(group.as_bytes(), Read::Confirmed).await {
                Ok(found) => break found.entries.get(&b"k"[..]).map(|(value, _)| text(value)),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    soon("an answer that is sure", ends).await
}

/// A value that stands when this returns, written at this time of its writer's clock.
async fn stands_at(map: &Arc<dyn Map>, group: &str, value: &str, stamp: u64) {
    let put = Put { stamp, ..Put::new(value.as_bytes()) };
    let op = Op { key: b"k"[..].into(), expect: Expect::Any, put: Some(put) };
    eventually("it is written", || async { write(map, group, op.clone()).await.is_ok() }).await;
}

async fn stands(map: &Arc<dyn Map>, group: &str, value: &str) {
    stands_at(map, group, value, 0).await;
}

/// The words of both values, each once.
fn both(_key: &[u8], ours: &Bytes, theirs: &Bytes) -> Bytes {
    let all = format!("{}+{}", text(ours), text(theirs));
    let mut words: Vec<&str> = all.split('+').collect();
    words.sort_unstable();
    words.dedup();
    words.join("+").into_bytes().into()
}

fn spec(name: &str, mode: Mode, merging: Merging) -> MapSpec {
    MapSpec { merging, ..MapSpec::new(&format!("{name}-{mode:?}"), mode) }
}

pub(crate) async fn with_a_quorum_the_smaller_side_says_so_and_comes_back_to_all_data(
    apart: &Apart,
) {
    let name = |number: usize| format!("g{number}");
    // Who is not quorate says so when the deadline is over: it may be quorate again by then.
    let map_of = |engine: &Arc<dyn Engine>, mode| {
        let spec = spec("quorum", mode, Merging::PreferMajor);
        engine.map(MapSpec { deadline: Duration::from_secs(1), ..spec }).unwrap()
    };
    let engines = &apart.cluster.engines;
    let maps = SHARED.map(|mode| engines.iter().map(|e| map_of(e, mode)).collect::<Vec<_>>());
    for maps in &maps {
        for number in 0..20 {
            stands(&maps[number % maps.len()], &name(number), "before").await;
        }
    }
    let merges = apart.merges();
    apart.cut_off(&[0]).await;
    for maps in &maps {
        let (smaller, larger) = (&maps[0], &maps[1]);
        eventually("the smaller side does not answer", || async {
            smaller.get(b"g0", Read::Confirmed).await == Err(MapError::NotQuorate)
        })
        .await;
        let refused = write(smaller, "g0", put("k", "smaller")).await;
        assert_eq!(refused, Err(MapError::NotQuorate));
        let refused = smaller.checkout(b"g0", Duration::ZERO, PATIENCE).await;
        assert_eq!(refused.err(), Some(MapError::NotQuorate));
        for number in 0..10 {
            stands(larger, &name(number), "meanwhile").await;
        }
    }
    let view = engines[1].group().view();
    assert!(view.is_quorate && view.member(engines[0].group().local().id).is_none());
    assert!(!engines[0].group().view().is_quorate);
    apart.mend().await;
    for map in maps.iter().flatten() {
        for number in 0..20 {
            let expected = if number < 10 { "meanwhile" } else { "before" };
            assert_eq!(read(map, &name(number)).await.as_deref(), Some(expected), "{number}");
        }
    }
    assert_eq!(apart.merges(), merges, "one side served: there was nothing to merge");
}

pub(crate) async fn with_a_quorum_a_lease_passes_on_and_what_its_old_holder_does_is_fenced(
    apart: &Apart,
) {
    let engines = &apart.cluster.engines;
    let spec = spec("fenced", Mode::Distributed, Merging::PreferMajor);
    let maps = apart.cluster.maps(&spec);
    let by = |value: &str, token| Batch {
        token: Some(token),
        ..Batch::new(b"g", vec![put("k", value)])
    };
    let old = engines[0].leases().campaign("one", PATIENCE).await.unwrap();
    maps[0].write(by("old", old.token)).await.unwrap();
    apart.cut_off(&[0]).await;
    let new = engines[1].leases().campaign("one", PATIENCE).await.unwrap();
    assert!(new.token > old.token);
    soon("its holder is told", old.lost()).await;
    let again = engines[0].leases().campaign("one", Duration::ZERO).await;
    assert_eq!(again.err(), Some(LeaseError::NotQuorate));
    eventually("the new holder writes", || async {
        maps[1].write(by("new", new.token)).await.is_ok()
    })
    .await;
    assert_eq!(maps[0].write(by("late", old.token)).await, Err(MapError::NotQuorate));
    apart.mend().await;
    assert!(!old.is_held());
    let late = || async {
        let late = maps[0].write(by("late", old.token)).await;
        assert!(late.is_err(), "{late:?}");
        late == Err(MapError::Fenced)
    };
    eventually("the old token is fenced", late).await;
    assert_eq!(read(&maps[0], "g").await.as_deref(), Some("new"));
    // On a machine that stands still for long the new holder loses it too, and says so.
    match engines[0].leases().campaign("one", Duration::ZERO).await {
        Ok(next) => assert!(next.token > new.token && !new.is_held()),
        Err(LeaseError::Held(holder)) => assert_eq!(holder, engines[1].group().local().id),
        Err(other) => panic!("{other}"),
    }
}

pub(crate) async fn without_a_quorum_both_sides_serve_and_the_policy_says_what_stays(
    apart: &Apart,
) {
    let policies = [
        ("major", Merging::PreferMajor, "larger"),
        ("latest", Merging::Latest, "smaller"),
        ("custom", Merging::Custom(both), "larger+smaller"),
    ];
    let mut all = Vec::new();
    for mode in SHARED {
        for (name, merging, expected) in policies {
            let maps = apart.cluster.maps(&spec(name, mode, merging));
            stands_at(&maps[0], "both", "before", 1).await;
            all.push((maps, expected));
        }
    }
    let mut listeners: Vec<_> =
        apart.cluster.nodes.iter().map(|node| node.group().changes()).collect();
    let merges = apart.merges();
    apart.cut_off(&[0]).await;
    for (maps, _) in &all {
        let (smaller, larger) = (&maps[0], &maps[1]);
        stands_at(larger, "both", "larger", 2).await;
        stands(larger, "only-larger", "larger").await;
        stands_at(smaller, "both", "smaller", 3).await;
        stands(smaller, "only-smaller", "smaller").await;
        assert_eq!(read(larger, "both").await.as_deref(), Some("larger"));
        assert_eq!(read(smaller, "both").await.as_deref(), Some("smaller"));
    }
    apart.mend().await;
    for (maps, expected) in &all {
        for map in maps {
            let is_so = || async { read(map, "both").await.as_deref() == Some(*expected) };
            eventually(&format!("{} is merged", map.spec()), is_so).await;
            for (group, value) in [("only-larger", "larger"), ("only-smaller", "smaller")] {
                let is_so = || async { read(map, group).await.as_deref() == Some(value) };
                eventually(&format!("{group} is kept by {}", map.spec()), is_so).await;
            }
        }
    }
    let has_risen = apart.merges().iter().zip(&merges).all(|(after, before)| after > before);
    assert!(has_risen, "{:?} after {merges:?}", apart.merges());
    for changes in &mut listeners {
        let merged = async { while !changes.next().await.is_some_and(|change| change.merged) {} };
        soon("its listeners are told that sides have met", merged).await;
    }
}

pub(crate) async fn of_two_sides_of_one_size_the_older_coordinators_stays(apart: &Apart) {
    let maps = apart.cluster.maps(&spec("equal", Mode::Distributed, Merging::PreferMajor));
    stands(&maps[0], "g", "before").await;
    apart.cut_off(&[0]).await;
    stands_at(&maps[0], "g", "older", 1).await;
    stands_at(&maps[1], "g", "younger", 2).await;
    apart.mend().await;
    for map in &maps {
        assert_eq!(read(map, "g").await.as_deref(), Some("older"));
    }
}

/// A test for each sentence, with so many members and this quorum.
macro_rules! each {
    ($make:path; $($sentence:ident: $members:expr, $quorum:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $sentence() {
                let apart = $make($members, $quorum).await;
                Box::pin(super::$sentence(&apart)).await;
                apart.end().await;
            }
        )+
    };
}

mod on_embedded {
    each! {
        super::embedded;
        with_a_quorum_the_smaller_side_says_so_and_comes_back_to_all_data: 3, Some(2);
        with_a_quorum_a_lease_passes_on_and_what_its_old_holder_does_is_fenced: 3, Some(2);
        without_a_quorum_both_sides_serve_and_the_policy_says_what_stays: 3, None;
        of_two_sides_of_one_size_the_older_coordinators_stays: 2, None;
    }
}
