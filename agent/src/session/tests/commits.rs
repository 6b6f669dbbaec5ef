//! What becomes of a commit whose owner dies. In each story the session stands at 1, and a request
//! makes it 2.

use muster_grid::Op;

use super::faults::{Fault, faulty};
use super::*;
use crate::engine::{Batch, MapError};

use Fault::{Done, NotDone, Overtaken, Renewed, Well};
use MapError::{Fenced, Unknown};

/// The request meets these faults at its commit: how it ends, and what stands then.
async fn meets(faults: Vec<Fault>) -> (Result<Finished, SessionError>, Option<u64>, SessionStats) {
    let (sessions, map) = faulty(Sessions::builder("shop"), Vec::new());
    let id = create(&sessions).await;
    let request = sessions.request(Some(&id));
    request.session().await.unwrap().set("count", &2_u64).unwrap();
    let overtakes = |fault| match fault {
        // Whose group it is was not known before.
        Overtaken(error, batch) => Overtaken(error, Batch::new(id.as_bytes(), batch.ops)),
        other => other,
    };
    map.meets(faults.into_iter().map(overtakes));
    let ended = request.finish().await;
    if let Ok(Finished::Same(same)) = &ended {
        assert_eq!(*same, id);
    }
    let kept = kept(&sessions, &id).await;
    // Whatever happened, the session is free again.
    assert_eq!(kept.map(|kept| kept + 1), next(&sessions, &id).await);
    (ended, kept, sessions.stats())
}

async fn next(sessions: &Sessions, id: &str) -> Option<u64> {
    match kept(sessions, id).await {
        Some(_) => Some(count(sessions, id).await),
        None => None,
    }
}

/// What another request writes.
fn other() -> Batch {
    let mut metadata = metadata::Metadata::new(1, None);
    metadata.commit = 77;
    let mut attributes = attributes::Attributes::default();
    attributes.set("count", &50_u64, 99).unwrap();
    let form = plan::Form::default();
    let ops = plan::write(&metadata, &attributes, Granularity::Session, form);
    Batch::new(b"", ops)
}

/// What another request does that ends the session.
fn end() -> Batch {
    let ops: Vec<Op> = other().ops.into_iter().map(|op| plan::gone(&op.key)).collect();
    Batch::new(b"", ops)
}

fn is_same(ended: &Result<Finished, SessionError>) -> bool {
    matches!(ended, Ok(Finished::Same(_)))
}

#[tokio::test]
async fn a_commit_that_stood_with_a_dead_owner_is_found_and_stands_once() {
    let (ended, kept, stats) = meets(vec![Done(Unknown)]).await;
    assert!(is_same(&ended), "{ended:?}");
    assert_eq!((kept, stats.found_again, stats.lost), (Some(2), 1, 0));
}

#[tokio::test]
async fn a_commit_that_did_not_stand_is_written_again() {
    for error in [Unknown, Fenced] {
        let (ended, kept, stats) = meets(vec![NotDone(error)]).await;
        assert!(is_same(&ended), "{ended:?}");
        assert_eq!((kept, stats.found_again), (Some(2), 0));
    }
    let (ended, kept, stats) = meets(vec![NotDone(Fenced), Done(Unknown)]).await;
    assert!(is_same(&ended), "{ended:?}");
    assert_eq!((kept, stats.found_again), (Some(2), 1));
}

#[tokio::test]
async fn a_commit_that_another_overtook_is_refused_and_changes_nothing() {
    let (ended, kept, stats) = meets(vec![Overtaken(Fenced, other())]).await;
    assert_eq!((ended, kept, stats.lost), (Err(SessionError::Lost), Some(50), 1));
    let (ended, kept, _) = meets(vec![Overtaken(Fenced, end())]).await;
    assert_eq!((ended, kept), (Err(SessionError::Lost), None));
    // It may have stood before the other came.
    let (ended, kept, _) = meets(vec![Overtaken(Unknown, other())]).await;
    assert_eq!((ended, kept), (Err(SessionError::Unknown), Some(50)));
}

#[tokio::test]
async fn a_member_that_was_out_of_the_view_is_refused() {
    let (ended, kept, stats) = meets(vec![Renewed(Fenced)]).await;
    assert_eq!((ended, kept, stats.lost), (Err(SessionError::Lost), Some(1), 1));
    let (ended, kept, _) = meets(vec![Renewed(Unknown)]).await;
    assert_eq!((ended, kept), (Err(SessionError::Unknown), Some(1)));
}

#[tokio::test]
async fn a_commit_that_is_cut_off_again_and_again_ends() {
    let never = || vec![NotDone(Unknown), NotDone(Fenced), NotDone(Unknown)];
    let (ended, kept, _) = meets(never()).await;
    assert_eq!((ended, kept), (Err(SessionError::Unknown), Some(1)));
}

#[tokio::test]
async fn a_refusal_of_the_engine_is_told_and_the_session_is_free_again() {
    let (ended, kept, _) = meets(vec![NotDone(MapError::NotQuorate)]).await;
    assert_eq!((ended, kept), (Err(SessionError::NotQuorate), Some(1)));
    let too_large = MapError::TooLarge("a value has 9 bytes".to_owned());
    let (ended, kept, _) = meets(vec![NotDone(too_large)]).await;
    let told = SessionError::TooLargeForCluster("a value has 9 bytes".to_owned());
    assert_eq!((ended, kept), (Err(told), Some(1)));
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_stands_once() {
    for fault in [Done(Unknown), NotDone(Unknown)] {
        let (sessions, _) = faulty(Sessions::builder("shop"), vec![fault]);
        let id = create(&sessions).await;
        assert_eq!(count(&sessions, &id).await, 2);
        assert_eq!(sessions.active(), 1);
    }
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_stands() {
    for fault in [Done(Unknown), NotDone(Unknown), NotDone(Fenced)] {
        let (sessions, map) = faulty(Sessions::builder("shop"), Vec::new());
        let id = create(&sessions).await;
        let ended = sessions.request(Some(&id));
        ended.session().await.unwrap().invalidate().unwrap();
        map.meets([fault]);
        assert_eq!(ended.finish().await, Ok(Finished::Ended));
        assert_eq!((kept(&sessions, &id).await, sessions.active()), (None, 0));
    }
}

#[tokio::test]
async fn a_rotation_that_cannot_remove_the_old_id_leaves_no_new_one() {
    let (sessions, map) = faulty(Sessions::builder("shop"), Vec::new());
    let id = create(&sessions).await;
    let rotated = sessions.request(Some(&id));
    rotated.session().await.unwrap().rotate_id().unwrap();
    // The first write is the new one's.
    map.meets([Well, NotDone(MapError::NotQuorate)]);
    assert_eq!(rotated.finish().await, Err(SessionError::NotQuorate));
    assert_eq!((kept(&sessions, &id).await, sessions.active()), (Some(1), 1));
    assert_eq!(count(&sessions, &id).await, 2);
}

#[tokio::test]
async fn a_creation_of_which_nobody_could_tell_does_not_stay() {
    let (sessions, _) = faulty(
        Sessions::builder("shop"),
        vec![Done(Unknown), NotDone(Unknown), NotDone(MapError::NotQuorate)],
    );
    let request = sessions.request(None);
    request.session().await.unwrap().create().unwrap();
    assert_eq!(request.finish().await, Err(SessionError::Unknown));
    assert_eq!(sessions.active(), 0);
}

#[tokio::test]
async fn both_writes_of_a_rotation_happen_even_if_the_client_goes_away_between() {
    let (sessions, map) = faulty(Sessions::builder("shop"), Vec::new());
    let old = create(&sessions).await;
    let rotated = sessions.request(Some(&old));
    let new = rotated.session().await.unwrap().rotate_id().unwrap();
    map.gate.forget_permits(tokio::sync::Semaphore::MAX_PERMITS);
    let mut finish = Box::pin(rotated.finish());
    eventually("the new one stands", || {
        let polled = futures_poll(&mut finish);
        assert!(polled.is_none(), "{polled:?}");
        let (sessions, new) = (sessions.clone(), new.clone());
        async move { kept(&sessions, &new).await == Some(1) }
    })
    .await;
    drop(finish);
    drop(rotated);
    map.gate.add_permits(99);
    let gone = || async { kept(&sessions, &old).await.is_none() };
    eventually("the old one is gone", gone).await;
    assert_eq!(count(&sessions, &new).await, 2);
}

/// Polls once.
fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}
