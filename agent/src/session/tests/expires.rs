//! Sessions whose time is over, and those that are kept alive.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Time goes by in a test only when nothing else is to be done.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_whole_when_no_request_came_for_so_long() {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let build = |builder: SessionsBuilder| builder.granularity(granularity);
        let sessions = sessions(|builder| build(builder).max_inactive(Some(MINUTE)));
        let id = create(&sessions).await;
        for expected in 2..5 {
            pass(MINUTE * 9 / 10).await;
            assert_eq!(count(&sessions, &id).await, expected);
        }
        pass(MINUTE * 11 / 10).await;
        assert_eq!(kept(&sessions, &id).await, None);
        assert_eq!(sessions.inner.map.stats().entries, 0);
        let stats = sessions.stats();
        assert_eq!((stats.active, stats.created, stats.expired), (0, 1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_in_progress_keeps_its_session() {
    let sessions = sessions(|builder| builder.max_inactive(Some(MINUTE)));
    let id = create(&sessions).await;
    let long = sessions.request(Some(&id));
    let session = long.session().await.unwrap();
    pass(MINUTE * 3).await;
    session.set("late", &1).unwrap();
    assert_eq!(long.finish().await, Ok(Finished::Same(id.clone())));
    pass(MINUTE / 2).await;
    assert_eq!(count(&sessions, &id).await, 2);
    assert_eq!(sessions.stats().expired, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_may_have_a_time_of_its_own() {
    let sessions = sessions(|builder| builder.max_inactive(Some(MINUTE)));
    let (short, long) = (create(&sessions).await, create(&sessions).await);
    let set = |time| move |session: &Session| session.set_max_inactive(time);
    request(&sessions, Some(&short), set(Some(MINUTE / 6))).await;
    request(&sessions, Some(&long), set(None)).await;
    pass(MINUTE / 4).await;
    assert_eq!(kept(&sessions, &short).await, None);
    pass(MINUTE * 60).await;
    assert_eq!(count(&sessions, &long).await, 2);
    let (_, error) = request(&sessions, Some(&long), |session| {
        Ok(session.set_max_inactive(Some(Duration::ZERO)).unwrap_err())
    })
    .await;
    assert_eq!(error, SessionError::BadTime(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_only_reads_keeps_a_session_alive_and_who_looks_from_outside_does_not() {
    let sessions = sessions(|builder| builder.max_inactive(Some(MINUTE)));
    let (read, looked) = (create(&sessions).await, create(&sessions).await);
    for _ in 0..4 {
        pass(MINUTE / 2).await;
        // The wall clock, by which it is known whether a tenth has passed, stands still here.
        old(&sessions, &read).await;
        let seen = sessions.request(Some(&read)).read().await.unwrap().unwrap();
        assert_eq!(seen.get::<u64>("count"), Ok(Some(1)));
        let _ = sessions.read(&looked).await;
    }
    assert_eq!(kept(&sessions, &read).await, Some(1));
    assert_eq!(kept(&sessions, &looked).await, None);
}

/// Lets a session look as if its last request were long ago, without touching its time.
async fn old(sessions: &Sessions, id: &str) {
    let map = &sessions.inner.map;
    let entries = map.get(id.as_bytes(), Default::default()).await.unwrap();
    let mut parsed = plan::parse_group(&entries).unwrap().unwrap();
    parsed.metadata.accessed_ms = 1;
    let mut op = plan::alive(&parsed.metadata);
    // What is left of its minute at most.
    op.put.as_mut().unwrap().ttl = Some(MINUTE / 3);
    map.write(crate::engine::Batch::new(id.as_bytes(), vec![op])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_leaves_a_session_to_whoever_has_it() {
    let sessions = sessions(|builder| builder.max_inactive(Some(MINUTE)));
    let id = create(&sessions).await;
    old(&sessions, &id).await;
    let holder = sessions.request(Some(&id));
    holder.session().await.unwrap().set("count", &7_u64).unwrap();
    let reader = sessions.request(Some(&id));
    assert_eq!(reader.read().await.unwrap().unwrap().get::<u64>("count"), Ok(Some(1)));
    sessions.inner.tasks.close();
    sessions.inner.tasks.wait().await;
    assert_eq!(holder.finish().await, Ok(Finished::Same(id.clone())));
    assert_eq!(kept(&sessions, &id).await, Some(7));
}
