//! When an answer leaves, and what waits for what.

use tokio::sync::Semaphore;

use super::faults::{Fault, faulty};
use super::*;
use crate::engine::MapError;

#[tokio::test]
async fn requests_of_one_session_wait_for_each_other_and_all_count() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let one = || {
        let (sessions, id) = (sessions.clone(), id.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let request = sessions.request(Some(&id));
                let session = request.session().await.unwrap();
                let count = session.get::<u64>("count").unwrap().unwrap();
                tokio::task::yield_now().await;
                session.set("count", &(count + 1)).unwrap();
                request.finish().await.unwrap();
            }
        })
    };
    for task in [one(), one(), one(), one()] {
        task.await.unwrap();
    }
    assert_eq!(kept(&sessions, &id).await, Some(201));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_session_only_so_long() {
    let sessions = sessions(|builder| builder.lock_wait(Duration::from_secs(3)));
    let id = create(&sessions).await;
    let holder = sessions.request(Some(&id));
    holder.session().await.unwrap();
    let began = tokio::time::Instant::now();
    let waiter = sessions.request(Some(&id));
    assert_eq!(waiter.session().await.unwrap_err(), SessionError::Busy);
    assert_eq!(began.elapsed().as_secs(), 3);
    assert!(SessionError::Busy.is_passing());
    assert_eq!(sessions.stats().rejected, 1);
    holder.finish().await.unwrap();
    assert!(waiter.session().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_loses_its_session_to_whoever_commits_first() {
    let sessions = sessions(|builder| builder.longest_request(Duration::from_secs(20)));
    let id = create(&sessions).await;
    let slow = sessions.request(Some(&id));
    slow.session().await.unwrap().set("count", &99_u64).unwrap();
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(count(&sessions, &id).await, 2);
    assert_eq!(slow.finish().await, Err(SessionError::Lost));
    let alone = sessions.request(Some(&id));
    alone.session().await.unwrap().set("count", &7_u64).unwrap();
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert_eq!(alone.finish().await, Ok(Finished::Same(id.clone())));
    assert_eq!(kept(&sessions, &id).await, Some(7));
}

fn quick(window: usize) -> SessionsBuilder {
    Sessions::builder("shop").wait(Wait::Not { window })
}

#[tokio::test]
async fn an_answer_that_does_not_wait_leaves_the_session_locked_until_it_stands() {
    let (sessions, map) = faulty(quick(8), Vec::new());
    let id = create(&sessions).await;
    map.gate.forget_permits(Semaphore::MAX_PERMITS);
    assert_eq!(count(&sessions, &id).await, 2);
    assert_eq!(kept(&sessions, &id).await, Some(1), "it does not stand yet");
    let next = tokio::spawn({
        let (sessions, id) = (sessions.clone(), id.clone());
        async move { count(&sessions, &id).await }
    });
    tokio::task::yield_now().await;
    assert!(!next.is_finished());
    map.gate.add_permits(99);
    assert_eq!(next.await.unwrap(), 3);
    sessions.stop().await;
    assert_eq!(kept(&sessions, &id).await, Some(3));
}

#[tokio::test]
async fn beyond_the_window_and_after_the_stop_answers_wait() {
    let (sessions, map) = faulty(quick(1), Vec::new());
    let (one, two) = (create(&sessions).await, create(&sessions).await);
    map.gate.forget_permits(Semaphore::MAX_PERMITS);
    assert_eq!(count(&sessions, &one).await, 2);
    let late = tokio::spawn({
        let (sessions, two) = (sessions.clone(), two.clone());
        async move { count(&sessions, &two).await }
    });
    let stop = tokio::spawn({
        let sessions = sessions.clone();
        async move { sessions.stop().await }
    });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!late.is_finished() && !stop.is_finished());
    map.gate.add_permits(99);
    assert_eq!(late.await.unwrap(), 2);
    stop.await.unwrap();
    assert_eq!(kept(&sessions, &one).await, Some(2));
    assert_eq!(count(&sessions, &one).await, 3);
    assert_eq!(kept(&sessions, &one).await, Some(3), "it was waited for");
}

#[tokio::test]
async fn a_first_commit_an_end_and_a_new_id_are_waited_for_in_any_case() {
    let (sessions, _) = faulty(quick(8), Vec::new());
    let id = create(&sessions).await;
    assert_eq!(kept(&sessions, &id).await, Some(1));
    let (finished, new) = request(&sessions, Some(&id), Session::rotate_id).await;
    assert_eq!(finished, Finished::New(new.clone()));
    assert_eq!((kept(&sessions, &id).await, kept(&sessions, &new).await), (None, Some(1)));
    request(&sessions, Some(&new), Session::invalidate).await;
    assert_eq!(kept(&sessions, &new).await, None);
}

#[tokio::test]
async fn what_was_lost_after_its_answer_is_counted() {
    let (sessions, map) = faulty(quick(8), Vec::new());
    let id = create(&sessions).await;
    map.meets([Fault::NotDone(MapError::NotQuorate)]);
    assert_eq!(count(&sessions, &id).await, 2);
    sessions.stop().await;
    assert_eq!(sessions.stats().lost_after_answer, 1);
    assert_eq!(kept(&sessions, &id).await, Some(1));
}
