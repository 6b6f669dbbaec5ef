//! Sessions that outlive all members that had them.

use std::path::Path;

use super::*;
use crate::{Cluster, FileShelf};

/// A member, and its application's sessions.
struct Node {
    cluster: Cluster,
    sessions: Sessions,
}

/// Starts a member. What it has on disk is free again when the process that had it has ended: here,
/// when its last task has.
async fn start(dir: &Path, name: &str, other: Option<&Node>, is_through: bool) -> Node {
    let home = dir.join(name);
    std::fs::create_dir_all(&home).unwrap();
    let tries = async {
        loop {
            let builder = Cluster::builder(name).port(0).data_dir(&home);
            let builder = builder.detection(Duration::from_millis(500));
            let builder = match other {
                Some(other) => builder.members([other.cluster.me().address.to_string()]),
                None => builder.find_nobody(),
            };
            let Ok(cluster) = builder.join().await else { continue };
            let Ok(store) = FileShelf::keep(&home.join("sessions")) else { continue };
            let sessions = Sessions::builder("shop").cluster(&cluster).distributable(true);
            let sessions = sessions.max_active_sessions(2, store).write_through(is_through);
            return Node { sessions: sessions.start().unwrap(), cluster };
        }
    };
    tokio::time::timeout(PATIENCE, tries).await.unwrap()
}

async fn both(dir: &Path, is_through: bool) -> [Node; 2] {
    let one = start(dir, "one", None, is_through).await;
    let two = start(dir, "two", Some(&one), is_through).await;
    one.cluster.balanced().await;
    [one, two]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_end_in_order_every_session_is_back_with_what_it_held() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path(), false).await;
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(create([&one, &two][at % 2].sessions()).await);
    }
    one.cluster.leave().await;
    two.cluster.leave().await;
    drop([one, two]);
    let [one, two] = both(dir.path(), false).await;
    one.sessions.restored().await;
    two.sessions.restored().await;
    for id in &ids {
        assert_eq!(count(&one.sessions, id).await, 2);
    }
    assert_eq!(one.sessions.active() + two.sessions.active(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_commit_written_through_the_sudden_end_of_all_members_loses_none() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path(), true).await;
    let mut ids = Vec::new();
    for at in 0..20 {
        ids.push(create([&one, &two][at % 2].sessions()).await);
    }
    for id in &ids[..10] {
        assert_eq!(count(&one.sessions, id).await, 2);
    }
    let ended = &ids[19];
    assert!(two.sessions.invalidate(ended).await.unwrap());
    // Nothing is handed over, and nothing is said.
    drop([one, two]);
    let [one, two] = both(dir.path(), true).await;
    one.sessions.restored().await;
    two.sessions.restored().await;
    for (at, id) in ids.iter().enumerate().take(19) {
        assert_eq!(kept(&two.sessions, id).await, Some(if at < 10 { 2 } else { 1 }));
    }
    assert_eq!(kept(&one.sessions, ended).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ended_while_its_member_was_away_does_not_come_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let [one, two] = both(dir.path(), true).await;
    let (ended, stays) = (create(&two.sessions).await, create(&two.sessions).await);
    drop(two);
    assert!(one.sessions.invalidate(&ended).await.unwrap());
    assert_eq!(count(&one.sessions, &stays).await, 2);
    // It finds a cluster that has gone on.
    let two = start(dir.path(), "two", Some(&one), true).await;
    two.sessions.restored().await;
    assert_eq!(kept(&two.sessions, &ended).await, None);
    assert_eq!(kept(&two.sessions, &stays).await, Some(2));
    // And one that has gone on without it and then ended: the other's records follow it further.
    drop(two);
    eventually("it is alone", || async { one.cluster.view().members.len() == 1 }).await;
    assert!(one.sessions.invalidate(&stays).await.unwrap());
    drop(one);
    let [one, two] = both(dir.path(), true).await;
    one.sessions.restored().await;
    two.sessions.restored().await;
    for id in [&ended, &stays] {
        assert_eq!(kept(&one.sessions, id).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_whose_time_was_over_meanwhile_is_not_back() {
    let dir = tempfile::tempdir().unwrap();
    let one = start(dir.path(), "one", None, true).await;
    let id = create(&one.sessions).await;
    let ends = Duration::from_millis(100);
    request(&one.sessions, Some(&id), |session| session.set_max_inactive(Some(ends))).await;
    // The next life begins no sooner than half a second after this one.
    drop(one);
    let one = start(dir.path(), "one", None, true).await;
    one.sessions.restored().await;
    assert_eq!(kept(&one.sessions, &id).await, None);
}

#[tokio::test]
async fn a_member_that_keeps_sessions_needs_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder("alone").port(0).find_nobody().join().await.unwrap();
    let store = FileShelf::keep(&dir.path().join("sessions")).unwrap();
    let sessions = Sessions::builder("shop").cluster(&cluster).distributable(true);
    let started = sessions.max_active_sessions(2, store).start();
    let CreateSessionsError::Engine { error, .. } = started.unwrap_err() else { panic!() };
    assert!(error.to_string().contains("needs the cluster's data directory"), "{error}");
}

impl Node {
    fn sessions(&self) -> &Sessions {
        &self.sessions
    }
}
