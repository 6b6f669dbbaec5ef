//! What a request may do with its session.

use super::*;

#[tokio::test]
async fn a_session_counts_its_requests_with_either_granularity() {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let sessions = sessions(|builder| builder.granularity(granularity));
        let id = create(&sessions).await;
        assert_eq!(count(&sessions, &id).await, 2);
        assert_eq!(kept(&sessions, &id).await, Some(2));
        assert_eq!(sessions.active(), 1);
    }
}

#[tokio::test]
async fn an_id_that_nobody_gave_out_is_never_a_sessions() {
    let sessions = sessions(|builder| builder);
    for shown in ["unknown", "0123456789abcdef0123456789abcdef"] {
        let (finished, ()) = request(&sessions, Some(shown), |_| Ok(())).await;
        assert_eq!(finished, Finished::None { was_asked: true });
        let (finished, ()) = request(&sessions, Some(shown), |session| session.set("a", &1)).await;
        assert!(matches!(finished, Finished::New(id) if id != shown));
        assert!(!sessions.invalidate(shown).await.unwrap());
    }
}

#[tokio::test]
async fn a_rotated_session_is_there_under_its_last_id_only() {
    let sessions = sessions(|builder| builder);
    let old = create(&sessions).await;
    let (finished, (between, new)) =
        request(&sessions, Some(&old), |session| Ok((session.rotate_id()?, session.rotate_id()?)))
            .await;
    assert_eq!(finished, Finished::New(new.clone()));
    assert_eq!(kept(&sessions, &old).await, None);
    assert_eq!(kept(&sessions, &between).await, None);
    assert_eq!(count(&sessions, &new).await, 2);
    assert_eq!(sessions.active(), 1);
}

#[tokio::test]
async fn what_is_set_after_the_end_is_in_a_new_session() {
    let sessions = sessions(|builder| builder);
    let old = create(&sessions).await;
    let (finished, ()) = request(&sessions, Some(&old), |session| {
        session.invalidate()?;
        assert_eq!((session.id(), session.is_new()), (None, true));
        assert_eq!(session.get::<u64>("count"), Ok(None));
        session.set("name", "new")
    })
    .await;
    let Finished::New(new) = finished else { panic!("{finished:?}") };
    assert_ne!(new, old);
    assert!(sessions.read(&old).await.unwrap().is_none());
    assert_eq!(sessions.read(&new).await.unwrap().unwrap().names(), ["name"]);
    let stats = sessions.stats();
    assert_eq!((stats.active, stats.created, stats.invalidated), (1, 2, 1));
}

#[tokio::test]
async fn an_ended_session_is_gone_and_one_that_never_was_leaves_nothing() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let (finished, ()) = request(&sessions, Some(&id), Session::invalidate).await;
    assert_eq!(finished, Finished::Ended);
    let (finished, ()) = request(&sessions, None, |session| {
        session.set("a", &1)?;
        session.invalidate()
    })
    .await;
    assert_eq!(finished, Finished::None { was_asked: false });
    assert_eq!(sessions.active(), 0);
    let id = create(&sessions).await;
    assert_eq!(sessions.invalidate(&id).await, Ok(true));
    assert_eq!(sessions.invalidate(&id).await, Ok(false));
}

#[tokio::test]
async fn what_is_touched_after_the_commit_is_an_error() {
    let sessions = sessions(|builder| builder);
    let request = sessions.request(None);
    let session = request.session().await.unwrap();
    session.set("a", &1).unwrap();
    request.finish().await.unwrap();
    assert_eq!(session.set("a", &2), Err(SessionError::Committed));
    assert_eq!(session.invalidate(), Err(SessionError::Committed));
    assert_eq!(request.session().await.unwrap_err(), SessionError::Committed);
    assert_eq!(request.finish().await, Err(SessionError::Committed));
    assert_eq!(sessions.request(None).finish().await, Ok(Finished::Untouched));
}

#[tokio::test]
async fn the_last_access_is_that_of_the_request_before() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let first = sessions.read(&id).await.unwrap().unwrap().last_accessed();
    eventually("the clock goes on", || async { std::time::SystemTime::now() > first }).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let (_, seen) = request(&sessions, Some(&id), |session| {
        assert_eq!(session.created(), Some(first));
        Ok(session.last_accessed())
    })
    .await;
    assert_eq!(seen, Some(first));
    let second = sessions.read(&id).await.unwrap().unwrap().last_accessed();
    assert!(second > first);
    let (_, seen) = request(&sessions, Some(&id), |session| Ok(session.last_accessed())).await;
    assert_eq!(seen, Some(second));
}

#[tokio::test]
async fn a_dropped_request_gives_its_session_back_unchanged() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let gone = sessions.request(Some(&id));
    gone.session().await.unwrap().set("count", &99_u64).unwrap();
    drop(gone);
    assert_eq!(count(&sessions, &id).await, 2);
    let (of, asked) = (sessions.clone(), id.clone());
    let panicked = tokio::spawn(async move {
        let request = of.request(Some(&asked));
        request.session().await.unwrap().set("count", &99_u64).unwrap();
        std::panic::resume_unwind(Box::new("a handler"));
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert_eq!(count(&sessions, &id).await, 3);
}

#[tokio::test]
async fn a_mutable_reference_counts_as_a_change_and_a_shared_one_does_not() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let (_, ()) = request(&sessions, Some(&id), |session| {
        *session.get_mut::<u64>("count")?.unwrap() += 1;
        assert!(session.get_mut::<u64>("none")?.is_none());
        session.get_mut::<u64>("count")?.unwrap().save()
    })
    .await;
    let before = sessions.inner.map.stats().puts;
    let (_, shared) =
        request(&sessions, Some(&id), |session| session.get_ref::<u64>("count")).await;
    assert_eq!(shared.as_deref(), Some(&2));
    assert_eq!(sessions.inner.map.stats().puts - before, 1, "the metadata alone");
}

#[tokio::test]
async fn a_mutable_reference_that_is_still_held_fails_the_commit_and_changes_nothing() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let request = sessions.request(Some(&id));
    let session = request.session().await.unwrap();
    session.set("other", &1).unwrap();
    let mut held = session.get_mut::<u64>("count").unwrap().unwrap();
    *held = 99;
    let borrowed = SessionError::Borrowed("count".to_owned());
    assert_eq!(session.get::<u64>("count"), Err(borrowed.clone()));
    assert_eq!(session.remove("count"), Err(borrowed.clone()));
    assert_eq!(request.finish().await, Err(borrowed));
    assert_eq!(held.save(), Err(SessionError::Committed));
    assert_eq!(sessions.read(&id).await.unwrap().unwrap().names(), ["count"]);
    assert_eq!(count(&sessions, &id).await, 2);
}

#[tokio::test]
async fn what_a_reference_holds_ends_with_its_session() {
    let sessions = sessions(|builder| builder);
    let id = create(&sessions).await;
    let (finished, ()) = request(&sessions, Some(&id), |session| {
        let mut held = session.get_mut::<u64>("count")?.unwrap();
        *held = 99;
        session.invalidate()
    })
    .await;
    assert_eq!(finished, Finished::Ended);
    assert_eq!(sessions.active(), 0);
}

#[tokio::test]
async fn a_session_written_with_one_granularity_is_read_and_changed_with_the_other() {
    let one = sessions(|builder| builder.granularity(Granularity::Session));
    let mut settings = one.inner.settings.clone();
    settings.granularity = Granularity::Attribute;
    let (engine, map) = (one.inner.engine.clone(), one.inner.map.clone());
    let other = Sessions::over(engine, map, "shop".to_owned(), settings, None);
    let id = create(&one).await;
    for expected in [2, 4, 6] {
        assert_eq!(count(&other, &id).await, expected);
        assert_eq!(kept(&one, &id).await, Some(expected));
        assert_eq!(count(&one, &id).await, expected + 1);
        assert_eq!(kept(&other, &id).await, Some(expected + 1));
    }
    request(&other, Some(&id), |session| session.remove("count")).await;
    assert_eq!(kept(&one, &id).await, None);
    assert_eq!(one.inner.map.stats().entries, 1);
}

#[tokio::test]
async fn a_bad_setting_is_named_with_its_value() {
    let bad = |set: fn(SessionsBuilder) -> SessionsBuilder| {
        set(Sessions::builder("shop")).start().unwrap_err().to_string()
    };
    assert_eq!(
        bad(|builder| builder.wait(Wait::Not { window: 0 })),
        "window has the bad value 0: it is 1 to 65536"
    );
    assert_eq!(
        bad(|builder| builder.most_bytes(9 << 20)),
        "most_bytes has the bad value 9437184: it is 1 to 8257536"
    );
    assert_eq!(
        bad(|builder| builder.distributable(true)),
        "application \"shop\" is distributable, so it needs a cluster"
    );
}

#[tokio::test]
async fn an_application_has_its_sessions_once_in_a_cluster() {
    let cluster = crate::Cluster::builder("alone").local();
    let start = || Sessions::builder("shop").cluster(&cluster).distributable(true).start();
    let sessions = start().unwrap();
    assert_eq!(start().unwrap_err(), CreateSessionsError::Taken("shop".to_owned()));
    assert_eq!(cluster.sessions().len(), 1);
    drop(sessions);
    assert!(start().is_ok());
}
