use super::*;
use crate::session::{Finished, Granularity};

const LONG: Option<Duration> = Some(Duration::from_secs(3600));

fn records(granularity: Granularity) -> Records {
    Sessions::builder("shop").granularity(granularity).start().unwrap().records()
}

fn these(pairs: &[(&str, &str)]) -> Values {
    let pair = |(name, value): &(&str, &str)| {
        ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()))
    };
    pairs.iter().map(pair).collect()
}

async fn both(act: impl AsyncFn(Records)) {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        act(records(granularity)).await;
    }
}

#[tokio::test]
async fn a_save_over_what_another_has_written_is_refused_and_changes_nothing() {
    both(async |records| {
        let (id, _) = records
            .create(|| records.mint(), &these(&[("a", "1"), ("b", "1")]), LONG)
            .await
            .unwrap();
        let one = records.load(&id).await.unwrap().unwrap();
        let other = records.load(&id).await.unwrap().unwrap();
        let two = these(&[("a", "2")]);
        records.save(&id, Some(one.revision), &two, LONG).await.unwrap();
        let refused = records.save(&id, Some(other.revision), &these(&[]), LONG).await;
        assert_eq!(refused, Err(SessionError::Lost));
        assert_eq!(records.load(&id).await.unwrap().unwrap().values, two);
    })
    .await;
}

#[tokio::test]
async fn one_copy_is_saved_as_often_as_it_likes() {
    both(async |records| {
        let (id, created) = records.create(|| records.mint(), &these(&[]), LONG).await.unwrap();
        for value in ["1", "2", "3"] {
            let values = these(&[("a", value)]);
            records.save(&id, Some(created), &values, LONG).await.unwrap();
            assert_eq!(records.load(&id).await.unwrap().unwrap().values, values);
        }
        // What was read before is old, and so is the copy once another one was saved.
        let read = records.load(&id).await.unwrap().unwrap();
        records.save(&id, Some(read.revision), &these(&[("a", "4")]), LONG).await.unwrap();
        let late = records.save(&id, Some(created), &these(&[("a", "5")]), LONG).await;
        assert_eq!(late, Err(SessionError::Lost));
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_as_it_was_read_keeps_the_session_alive_beside_a_write() {
    both(async |records| {
        let (id, _) = records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
        let reader = records.load(&id).await.unwrap().unwrap();
        let writer = records.load(&id).await.unwrap().unwrap();
        let day = Some(Duration::from_secs(24 * 3600));
        records.save(&id, Some(reader.revision), &reader.values, day).await.unwrap();
        records.save(&id, Some(writer.revision), &these(&[("a", "2")]), LONG).await.unwrap();
        records.save(&id, Some(reader.revision), &reader.values, day).await.unwrap();
        let kept = records.load(&id).await.unwrap().unwrap();
        assert_eq!(kept.values, these(&[("a", "2")]));
        assert!(kept.ends.unwrap() > SystemTime::now() + Duration::from_secs(23 * 3600));
    })
    .await;
}

#[tokio::test]
async fn what_was_ended_is_not_brought_back_by_who_has_read_it() {
    both(async |records| {
        let (id, created) =
            records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
        assert_eq!(records.delete(&id).await, Ok(true));
        assert_eq!(records.delete(&id).await, Ok(false));
        let late = records.save(&id, Some(created), &these(&[("a", "2")]), LONG).await;
        assert_eq!(late, Err(SessionError::Lost));
        assert_eq!(records.touch(&id, LONG).await, Ok(false));
        assert_eq!(records.load(&id).await, Ok(None));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_ends_with_its_time() {
    both(async |records| {
        let minute = Some(Duration::from_secs(60));
        let (id, revision) =
            records.create(|| records.mint(), &these(&[("a", "1")]), minute).await.unwrap();
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(records.touch(&id, minute).await, Ok(true));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert!(records.load(&id).await.unwrap().is_some());
        tokio::time::advance(Duration::from_secs(21)).await;
        assert_eq!(records.load(&id).await, Ok(None));
        let late = records.save(&id, Some(revision), &these(&[]), minute).await;
        assert_eq!(late, Err(SessionError::Lost));
        let (id, revision) =
            records.create(|| records.mint(), &these(&[("a", "1")]), minute).await.unwrap();
        records.save(&id, Some(revision), &these(&[]), Some(Duration::ZERO)).await.unwrap();
        assert_eq!(records.load(&id).await, Ok(None));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_id_is_no_session_and_becomes_none() {
    let records = records(Granularity::Session);
    let upper = "A".repeat(32);
    for id in ["", "k7", "../../etc/passwd", &*upper, &"a".repeat(31), &"a".repeat(65)] {
        assert_eq!(records.load(id).await, Ok(None), "{id}");
        assert_eq!(records.save(id, None, &these(&[]), LONG).await, Err(SessionError::Lost));
        assert_eq!(records.delete(id).await, Ok(false));
    }
}

#[tokio::test]
async fn an_id_that_is_somebodys_is_passed_over() {
    let records = records(Granularity::Session);
    let (taken, _) = records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
    let mut ids = [taken.clone(), "bad".to_owned(), records.mint()].into_iter();
    let other = records.create(|| ids.next().unwrap(), &these(&[]), LONG).await.unwrap();
    assert_ne!(other.0, taken);
    assert_eq!(records.load(&taken).await.unwrap().unwrap().values, these(&[("a", "1")]));
    let full = records.create(|| taken.clone(), &these(&[]), LONG).await;
    assert_eq!(full.unwrap_err(), SessionError::Unknown);
}

#[tokio::test]
async fn a_cleared_record_stands_whatever_was_there_and_what_is_too_large_is_refused() {
    let sessions = Sessions::builder("shop").most_bytes(100).start().unwrap();
    let records = sessions.records();
    let (id, _) = records.create(|| records.mint(), &these(&[("a", "1")]), None).await.unwrap();
    records.save(&id, None, &these(&[("b", "2")]), None).await.unwrap();
    let kept = records.load(&id).await.unwrap().unwrap();
    assert_eq!((kept.values.clone(), kept.ends), (these(&[("b", "2")]), None));
    let large = these(&[("a", &"x".repeat(100))]);
    let refused = records.save(&id, Some(kept.revision), &large, None).await;
    assert!(matches!(refused, Err(SessionError::TooLarge { .. })));
    assert!(matches!(
        records.create(|| records.mint(), &large, None).await,
        Err(SessionError::TooLarge { .. })
    ));
    assert_eq!(records.load(&id).await.unwrap().unwrap().values, kept.values);
}

#[tokio::test]
async fn a_record_is_a_session_as_all_others_are() {
    let records = records(Granularity::Session);
    let (id, _) = records.create(|| records.mint(), &these(&[("a", "1")]), LONG).await.unwrap();
    let request = records.sessions().request(Some(&id));
    let session = request.session().await.unwrap();
    assert_eq!(session.get_raw("a").unwrap(), Some(Bytes::from_static(b"1")));
    session.set_raw("a", Bytes::from_static(b"2")).unwrap();
    assert_eq!(request.finish().await, Ok(Finished::Same(id.clone())));
    assert_eq!(records.load(&id).await.unwrap().unwrap().values, these(&[("a", "2")]));
}

#[tokio::test]
async fn records_are_counted_as_all_sessions_are() {
    let records = records(Granularity::Session);
    let (id, created) = records.create(|| records.mint(), &these(&[]), LONG).await.unwrap();
    records.save(&id, Some(created), &these(&[("a", "1")]), LONG).await.unwrap();
    let stats = records.sessions().stats();
    assert_eq!((stats.active, stats.created, stats.commits), (1, 1, 2));
    records.delete(&id).await.unwrap();
    let stats = records.sessions().stats();
    assert_eq!((stats.active, stats.created, stats.invalidated), (0, 1, 1));
}
