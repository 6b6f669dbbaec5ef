//! An application's sessions on members over sockets.

use std::time::Duration;

use muster_agent::Sessions;
use muster_agent::engine::{Map, MapSpec, Mode};
use muster_agent::session::{Finished, Granularity};

use crate::fixture::{Cluster, embedded, eventually, soon};

fn sessions(cluster: &Cluster, granularity: Granularity) -> Vec<Sessions> {
    let start = |member: &muster_agent::Cluster| {
        let builder = Sessions::builder("shop").cluster(member).distributable(true);
        builder.granularity(granularity).start().unwrap()
    };
    cluster.nodes.iter().map(start).collect()
}

async fn set(sessions: &Sessions, asked: Option<&str>, count: u64) -> Finished {
    let request = sessions.request(asked);
    request.session().await.unwrap().set("count", &count).unwrap();
    request.finish().await.unwrap()
}

async fn kept(sessions: &Sessions, id: &str) -> Option<u64> {
    sessions.read(id).await.unwrap().and_then(|session| session.get("count").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_stands_once_when_the_primary_ends_between_checkout_and_commit() {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let mut cluster = embedded(3).await;
        let mut sessions = sessions(&cluster, granularity);
        // Its primary is the last member, who is about to end.
        let Finished::New(id) = set(&sessions[2], None, 1).await else { panic!("no session") };
        let request = sessions[0].request(Some(&id));
        let session = request.session().await.unwrap();
        let count = session.get::<u64>("count").unwrap().unwrap();
        session.set("count", &(count + 1)).unwrap();
        drop((sessions.pop(), cluster.engines.pop(), cluster.nodes.pop()));
        let finished = soon("the commit", request.finish()).await;
        assert_eq!(finished, Ok(Finished::Same(id.clone())));
        for sessions in &sessions {
            assert_eq!(kept(sessions, &id).await, Some(2));
        }
        assert_eq!(set(&sessions[1], Some(&id), 3).await, Finished::Same(id.clone()));
        assert_eq!(kept(&sessions[0], &id).await, Some(3));
        cluster.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_made_where_its_primary_is_and_served_by_every_member() {
    let cluster = embedded(2).await;
    let sessions = sessions(&cluster, Granularity::Session);
    let Finished::New(id) = set(&sessions[0], None, 1).await else { panic!("no session") };
    let map = cluster.first().map(MapSpec::new("web/shop", Mode::Distributed)).unwrap();
    let primary = |map: &dyn Map| map.owners(id.as_bytes())[0].id;
    assert_eq!(primary(&*map), cluster.first().group().life());
    // One client on two members at once: its requests wait for each other, and all count.
    let count = |sessions: Sessions, id: String| async move {
        for _ in 0..50 {
            let request = sessions.request(Some(&id));
            let session = request.session().await.unwrap();
            *session.get_mut::<u64>("count").unwrap().unwrap() += 1;
            request.finish().await.unwrap();
        }
    };
    let both = sessions.iter().map(|sessions| tokio::spawn(count(sessions.clone(), id.clone())));
    for task in both.collect::<Vec<_>>() {
        soon("the counts", task).await.unwrap();
    }
    assert_eq!(kept(&sessions[1], &id).await, Some(101));
    assert_eq!((sessions[0].active(), sessions[1].active()), (1, 0));
    assert_eq!(sessions[1].invalidate(&id).await, Ok(true));
    assert_eq!(kept(&sessions[0], &id).await, None);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_session_by_time_is_counted_by_one_member() {
    let cluster = embedded(2).await;
    let start = |member: &muster_agent::Cluster| {
        let builder = Sessions::builder("brief").cluster(member).distributable(true);
        builder.max_inactive(Some(Duration::from_millis(50))).start().unwrap()
    };
    let sessions: Vec<Sessions> = cluster.nodes.iter().map(start).collect();
    for _ in 0..4 {
        set(&sessions[0], None, 1).await;
        set(&sessions[1], None, 1).await;
    }
    let expired = || sessions.iter().map(|sessions| sessions.stats().expired).sum::<u64>();
    eventually("all are over", || async { expired() == 8 }).await;
    assert_eq!(sessions.iter().map(Sessions::active).sum::<u64>(), 0);
    cluster.end().await;
}
