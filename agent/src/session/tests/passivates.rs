//! Sessions of which not all are in memory.

use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::{Cluster, FileShelf};

/// Writes down which sessions went and which came back.
#[derive(Clone, Default)]
struct Moves(Arc<Mutex<Vec<(&'static str, String)>>>);

impl SessionListener for Moves {
    fn passivated(&self, id: &str) {
        self.0.lock().push(("passivated", id.to_owned()));
    }

    fn activated(&self, id: &str) {
        self.0.lock().push(("activated", id.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_session_goes_to_the_store_and_comes_back_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileShelf::open(&dir.path().join("sessions")).unwrap();
    let cluster = Cluster::builder("alone").port(0).find_nobody().join().await.unwrap();
    let moves = Moves::default();
    let builder = Sessions::builder("shop").cluster(&cluster).distributable(true);
    let builder = builder.max_active_sessions(2, store).listener(moves.clone());
    let sessions = builder.start().unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&sessions).await);
    }
    let stats = sessions.inner.map.stats();
    assert_eq!((stats.groups_in_memory, stats.groups_on_shelf), (2, 3));
    assert_eq!(sessions.active(), 5, "a session on the shelf is a session");
    for id in &ids {
        assert_eq!(count(&sessions, id).await, 2);
    }
    let told = |what, id: &String| moves.0.lock().contains(&(what, id.clone()));
    eventually("the first went and came back", || async {
        told("passivated", &ids[0]) && told("activated", &ids[0])
    })
    .await;
    cluster.leave().await;
}

#[tokio::test]
async fn sessions_of_this_process_alone_go_to_the_store_too_and_outlive_it_there() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        let store = FileShelf::keep(&dir.path().join("sessions")).unwrap();
        Sessions::builder("shop").max_active_sessions(2, store).start().unwrap()
    };
    let sessions = start();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(create(&sessions).await);
    }
    let stats = sessions.inner.map.stats();
    assert_eq!((stats.groups_in_memory, stats.groups_on_shelf), (2, 3));
    assert_eq!(sessions.active(), 5);
    for id in &ids {
        assert_eq!(count(&sessions, id).await, 2);
    }
    assert!(sessions.invalidate(&ids[0]).await.unwrap());
    sessions.stop().await;
    let map = Arc::downgrade(&sessions.inner.map);
    drop(sessions);
    eventually("the last task has let go of it", || async { map.strong_count() == 0 }).await;
    let sessions = start();
    sessions.restored().await;
    assert_eq!(kept(&sessions, &ids[0]).await, None);
    for id in &ids[1..] {
        assert_eq!(count(&sessions, id).await, 3);
    }
}
