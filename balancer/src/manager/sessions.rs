//! Who has logged in: bounded, in memory, gone with a restart.
//!
//! A session's id is 32 random bytes that only the browser keeps; here stands their SHA-256, so
//! that a look into this memory lets nobody in. Each session has a token of its own for its forms.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use muster_web_ui::csrf::Csrf;
use sha2::{Digest as _, Sha256};

use crate::operate::Actor;

/// Most bytes of a session's id as a cookie has it.
const ID_TEXT: usize = 64;

/// All that have logged in.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    bounds: Bounds,
    by_digest: HashMap<[u8; 32], Session>,
}

/// How long a login lasts, and how many there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds {
    /// How long it may rest.
    pub(super) idle: Duration,
    /// How long it lasts at most.
    pub(super) lifetime: Duration,
    /// Most logins; one more ends the one that has rested longest.
    pub(super) most: usize,
}

#[derive(Debug, Clone)]
struct Session {
    actor: Actor,
    csrf: Csrf,
    began: Instant,
    used: Instant,
}

impl Sessions {
    /// What holds from now on; who is no user any more, or of another role, is out.
    pub(super) fn configure(&self, bounds: Bounds, is_known: impl Fn(&Actor) -> bool) {
        let mut all = self.lock();
        all.bounds = bounds;
        all.by_digest.retain(|_, session| is_known(&session.actor));
    }

    /// Begins one and gives the id for the cookie: 64 hexadecimal digits.
    pub(super) fn begin(&self, actor: Actor, random: [u8; 32], csrf: Csrf, now: Instant) -> String {
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = self.lock();
        let All { bounds, by_digest } = &mut *all;
        by_digest.retain(|_, session| bounds.lasts(session, now));
        if by_digest.len() >= bounds.most {
            let rested = by_digest.iter().min_by_key(|(_, session)| session.used);
            let rested = rested.map(|(key, _)| *key);
            rested.and_then(|key| by_digest.remove(&key));
        }
        by_digest.insert(digest(&id), Session { actor, csrf, began: now, used: now });
        id
    }

    /// Whose session it is, and the token of its forms; counts as use.
    pub(super) fn of(&self, id: &str, now: Instant) -> Option<(Actor, Csrf)> {
        if id.len() != ID_TEXT {
            return None;
        }
        let key = digest(id);
        let mut all = self.lock();
        let All { bounds, by_digest } = &mut *all;
        let session = by_digest.get_mut(&key)?;
        if !bounds.lasts(session, now) {
            by_digest.remove(&key);
            return None;
        }
        session.used = now;
        Some((session.actor.clone(), session.csrf.clone()))
    }

    /// Whether a live page may go on. A page that renews itself is no use of the session: whoever
    /// leaves the screen on is logged out like everybody.
    pub(super) fn lasts(&self, id: &str, now: Instant) -> bool {
        let all = self.lock();
        all.by_digest.get(&digest(id)).is_some_and(|session| all.bounds.lasts(session, now))
    }

    /// Ends it.
    pub(super) fn end(&self, id: &str) {
        self.lock().by_digest.remove(&digest(id));
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bounds {
    fn lasts(&self, session: &Session, now: Instant) -> bool {
        now.saturating_duration_since(session.used) < self.idle
            && now.saturating_duration_since(session.began) < self.lifetime
    }
}

fn digest(id: &str) -> [u8; 32] {
    Sha256::digest(id.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::Role;

    const BOUNDS: Bounds =
        Bounds { idle: Duration::from_secs(60), lifetime: Duration::from_secs(150), most: 2 };

    fn sessions() -> Sessions {
        let sessions = Sessions::default();
        sessions.configure(BOUNDS, |_| true);
        sessions
    }

    #[test]
    fn whoever_is_no_user_any_more_is_out() {
        let sessions = sessions();
        let now = Instant::now();
        let (anna, bert) = (begin(&sessions, "anna", now), begin(&sessions, "bert", now));
        sessions.configure(BOUNDS, |actor| &*actor.name == "anna");
        assert!(sessions.of(&anna, now).is_some() && sessions.of(&bert, now).is_none());
    }

    fn begin(sessions: &Sessions, name: &str, now: Instant) -> String {
        let actor = Actor { name: name.into(), role: Role::Viewer, from: None };
        sessions.begin(actor, rand::random(), Csrf::new([1; 16]), now)
    }

    #[test]
    fn a_session_rests_and_lasts_no_longer_than_it_may() {
        let sessions = sessions();
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let id = begin(&sessions, "anna", began);
        assert_eq!(sessions.of(&id, at(59)).map(|(actor, _)| actor.name), Some("anna".into()));
        assert!(sessions.of(&id, at(118)).is_some(), "it was used");
        assert!(sessions.lasts(&id, at(149)));
        assert!(sessions.of(&id, at(151)).is_none(), "it is old");
        let id = begin(&sessions, "anna", began);
        assert!(sessions.lasts(&id, at(50)));
        assert!(sessions.of(&id, at(61)).is_none(), "a look of a live page is no use");
    }

    #[test]
    fn one_more_session_ends_the_one_that_has_rested_longest() {
        let sessions = sessions();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let (one, two) = (begin(&sessions, "a", now), begin(&sessions, "b", at(1)));
        assert!(sessions.of(&one, at(2)).is_some());
        let three = begin(&sessions, "c", at(3));
        let left = [&one, &two, &three].map(|id| sessions.of(id, at(4)).is_some());
        assert_eq!(left, [true, false, true]);
        sessions.end(&one);
        assert!(sessions.of(&one, at(4)).is_none());
        assert!(sessions.of("", at(4)).is_none());
    }
}
