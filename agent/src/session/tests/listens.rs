//! What listeners hear.

use std::sync::mpsc;

use parking_lot::Mutex;

use super::*;

/// Writes down what it hears.
struct Diary(Mutex<mpsc::Sender<String>>);

impl Diary {
    fn new() -> (Self, mpsc::Receiver<String>) {
        let (pen, pages) = mpsc::channel();
        (Self(Mutex::new(pen)), pages)
    }

    fn write(&self, line: String) {
        let _ = self.0.lock().send(line);
    }
}

impl SessionListener for Diary {
    fn created(&self, session: &ReadSession) {
        self.write(format!("created with {:?}", session.names()));
    }

    fn destroyed(&self, session: &ReadSession, end: End) {
        self.write(format!("{end:?} with count {:?}", session.get::<u64>("count").unwrap()));
    }

    fn id_changed(&self, session: &ReadSession, old: &str) {
        assert_ne!(session.id(), old);
        self.write("id changed".to_owned());
    }

    fn attribute_added(&self, _: &ReadSession, attribute: &Attribute) {
        self.write(format!("added {} {}", attribute.name(), attribute.get::<u64>().unwrap()));
    }

    fn attribute_replaced(&self, _: &ReadSession, attribute: &Attribute, old: &Attribute) {
        let (old, new) = (old.get::<u64>().unwrap(), attribute.get::<u64>().unwrap());
        self.write(format!("replaced {} {old} by {new}", attribute.name()));
    }

    fn attribute_removed(&self, _: &ReadSession, old: &Attribute) {
        self.write(format!("removed {} {}", old.name(), old.get::<u64>().unwrap()));
    }
}

#[tokio::test]
async fn listeners_hear_what_stands_and_nothing_else() {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let (diary, pages) = Diary::new();
        let sessions = sessions(|builder| builder.granularity(granularity).listener(diary));
        let id = create(&sessions).await;
        count(&sessions, &id).await;
        let dropped = sessions.request(Some(&id));
        dropped.session().await.unwrap().set("never", &1_u64).unwrap();
        drop(dropped);
        let (finished, ()) = request(&sessions, Some(&id), |session| {
            session.rotate_id()?;
            session.set("passing", &1_u64)?;
            session.remove("passing")?;
            session.set("other", &5_u64)
        })
        .await;
        let Finished::New(id) = finished else { panic!("{finished:?}") };
        request(&sessions, Some(&id), |session| session.remove("other")).await;
        sessions.invalidate(&id).await.unwrap();
        sessions.stop().await;
        let heard: Vec<String> = pages.iter().collect();
        assert_eq!(
            heard,
            [
                "created with [\"count\"]",
                "added count 1",
                "replaced count 1 by 2",
                "id changed",
                "added other 5",
                "removed other 5",
                "Invalidated with count Some(2)",
            ]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_time_is_over_is_told_with_what_it_had() {
    for granularity in [Granularity::Session, Granularity::Attribute] {
        let (diary, pages) = Diary::new();
        let time = Some(Duration::from_secs(60));
        let sessions =
            sessions(|builder| builder.granularity(granularity).max_inactive(time).listener(diary));
        let id = create(&sessions).await;
        count(&sessions, &id).await;
        tokio::time::sleep(Duration::from_secs(61)).await;
        eventually("it is told", || async { sessions.stats().expired == 1 }).await;
        sessions.stop().await;
        assert_eq!(pages.iter().last().unwrap(), "Expired with count Some(2)");
    }
}

/// Panics at every creation, and waits at every end until it may go on.
struct Bad(Mutex<mpsc::Receiver<()>>);

impl SessionListener for Bad {
    fn created(&self, _: &ReadSession) {
        std::panic::resume_unwind(Box::new("a bad listener"));
    }

    fn destroyed(&self, _: &ReadSession, _: End) {
        let _ = self.0.lock().recv();
    }
}

#[tokio::test]
async fn a_listener_that_panics_or_is_slow_harms_no_request_and_no_other_listener() {
    let (go_on, wait) = mpsc::channel();
    let (diary, pages) = Diary::new();
    let bad = Bad(Mutex::new(wait));
    let sessions = sessions(|b| b.listener(bad).listener(diary).listener_queue(1));
    let id = create(&sessions).await;
    let hear = || pages.recv_timeout(PATIENCE).unwrap();
    assert_eq!([hear(), hear()], ["created with [\"count\"]", "added count 1"]);
    sessions.invalidate(&id).await.unwrap();
    // It waits now, or has it before it: of these at most one more is queued.
    for _ in 0..3 {
        create(&sessions).await;
    }
    assert!(sessions.stats().dropped_events >= 1);
    drop(go_on);
    assert_eq!(hear(), "Invalidated with count Some(1)");
}
