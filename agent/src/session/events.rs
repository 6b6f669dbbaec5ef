//! What happens to an application's sessions, told to whoever listens: once in the whole cluster, on
//! a thread of its own, after it stands.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::attributes::{Slot, decode};
use super::error::SessionError;
use super::read::ReadSession;

/// How long the end of an application's sessions waits for listeners.
const STOP_WAIT: Duration = Duration::from_secs(10);

/// Hears what happens to an application's sessions, after it stands. Every event is told once in
/// the whole cluster: by the member that served the request, or, where a session's time is over, by
/// its primary; there by the copy of the application that runs on it, so that a member without the
/// application tells nothing. An event that a member's sudden end overtakes is not told.
///
/// Listeners are called one after the other on one thread for each application; they may block. One that is slow fills a queue
/// ([`listener_queue`](super::SessionsBuilder::listener_queue)): what finds it full is dropped,
/// counted and logged. One that panics is logged. Neither touches a request.
pub trait SessionListener: Send + Sync + 'static {
    /// A session was created. Its attributes are told one by one after it.
    fn created(&self, session: &ReadSession) {
        let _ = session;
    }

    /// A session has ended: what it was. Its attributes are not told one by one.
    fn destroyed(&self, session: &ReadSession, end: End) {
        let _ = (session, end);
    }

    /// A session's values went from the memory of its primary to its store
    /// ([`max_active_sessions`](super::SessionsBuilder::max_active_sessions)).
    fn passivated(&self, id: &str) {
        let _ = id;
    }

    /// They came back.
    fn activated(&self, id: &str) {
        let _ = id;
    }

    /// A session has a new id.
    fn id_changed(&self, session: &ReadSession, old: &str) {
        let _ = (session, old);
    }

    /// A session has an attribute that it had not.
    fn attribute_added(&self, session: &ReadSession, attribute: &Attribute) {
        let _ = (session, attribute);
    }

    /// An attribute was set again, or a `&mut` to it has ended.
    fn attribute_replaced(&self, session: &ReadSession, attribute: &Attribute, old: &Attribute) {
        let _ = (session, attribute, old);
    }

    /// An attribute was removed: what it was.
    fn attribute_removed(&self, session: &ReadSession, old: &Attribute) {
        let _ = (session, old);
    }
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// A caller ended it.
    Invalidated,
    /// No request came for too long.
    Expired,
}

/// An attribute as it stands, or stood.
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    name: String,
    value: Bytes,
}

/// What a commit did to a session.
pub(super) enum Written {
    Created,
    Changed,
    Moved { old: String },
}

/// What is on its way to listeners.
enum Event {
    Written(ReadSession, Written),
    Ended(ReadSession, End),
    Passivated(String),
    Activated(String),
}

/// Those who listen, and the queue before them.
pub(super) struct Events {
    application: String,
    queue: Mutex<Option<SyncSender<Box<Event>>>>,
    dropped: AtomicU64,
    /// Comes when the last event is told.
    over: Mutex<Option<oneshot::Receiver<()>>>,
}

// === impl Attribute ===

impl Attribute {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    ///
    /// # Errors
    /// When it is of another type.
    pub fn get<T: DeserializeOwned>(&self) -> Result<T, SessionError> {
        decode(&self.name, &self.value)
    }

    /// Its bytes as they were set by [`Session::set_raw`](super::Session::set_raw).
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.value
    }
}

impl std::fmt::Debug for Attribute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its value is a user's.
        f.debug_tuple("Attribute").field(&self.name).finish()
    }
}

// === impl Events ===

impl Events {
    /// Starts the thread that calls them.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        application: &str,
        listeners: Vec<Arc<dyn SessionListener>>,
        most: usize,
    ) -> std::io::Result<Self> {
        let (queue, events) = sync_channel(most);
        let (told, over) = oneshot::channel();
        let thread = std::thread::Builder::new().name("session-events".to_owned());
        thread.spawn(move || {
            tell_all(&listeners, &events);
            let _ = told.send(());
        })?;
        Ok(Self {
            application: application.to_owned(),
            queue: Mutex::new(Some(queue)),
            dropped: AtomicU64::new(0),
            over: Mutex::new(Some(over)),
        })
    }

    pub(super) fn written(&self, session: ReadSession, written: Written) {
        self.send(Event::Written(session, written));
    }

    pub(super) fn ended(&self, session: ReadSession, end: End) {
        self.send(Event::Ended(session, end));
    }

    pub(super) fn passivated(&self, id: String) {
        self.send(Event::Passivated(id));
    }

    pub(super) fn activated(&self, id: String) {
        self.send(Event::Activated(id));
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn send(&self, event: Event) {
        let event = Box::new(event);
        let sent = self.queue.lock().as_ref().map(|queue| queue.try_send(event));
        if let Some(Err(TrySendError::Full(_))) = sent {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                let application = &self.application;
                tracing::warn!(dropped, application, "session listeners are too slow");
            }
        }
    }

    /// Tells what is queued, and nothing after it.
    pub(super) async fn stop(&self) {
        drop(self.queue.lock().take());
        let over = self.over.lock().take();
        let Some(over) = over else { return };
        if tokio::time::timeout(STOP_WAIT, over).await.is_err() {
            let application = &self.application;
            tracing::warn!(application, "session listeners are too slow to hear of everything");
        }
    }
}

fn tell_all(listeners: &[Arc<dyn SessionListener>], events: &Receiver<Box<Event>>) {
    while let Ok(event) = events.recv() {
        for listener in listeners {
            let told = catch_unwind(AssertUnwindSafe(|| tell(&**listener, &event)));
            if told.is_err() {
                tracing::error!("a session listener has panicked");
            }
        }
    }
}

fn tell(listener: &dyn SessionListener, event: &Event) {
    match event {
        Event::Ended(session, end) => listener.destroyed(session, *end),
        Event::Passivated(id) => listener.passivated(id),
        Event::Activated(id) => listener.activated(id),
        Event::Written(session, written) => {
            match written {
                Written::Created => listener.created(session),
                Written::Changed => {}
                Written::Moved { old } => listener.id_changed(session, old),
            }
            for slot in session.attributes.slots().iter().filter(|slot| slot.has_changed) {
                tell_attribute(listener, session, slot);
            }
        }
    }
}

fn tell_attribute(listener: &dyn SessionListener, session: &ReadSession, slot: &Slot) {
    let attribute =
        |value: &Bytes| Attribute { name: slot.name().to_owned(), value: value.clone() };
    match (&slot.kept, &slot.now) {
        (None, Some(now)) => listener.attribute_added(session, &attribute(now)),
        (Some(old), Some(now)) => {
            listener.attribute_replaced(session, &attribute(now), &attribute(old));
        }
        (Some(old), None) => listener.attribute_removed(session, &attribute(old)),
        (None, None) => {}
    }
}
