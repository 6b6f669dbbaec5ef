//! What the store must still be told: kept while it does not answer, told as soon as it does.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use muster_grid::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::manager::{Inner, Sessions};
use super::{activate, end, through};

/// Duties that are done at the same time.
const AT_ONCE: usize = 8;
/// Duties of one round.
const ROUND: usize = 256;

/// What the store must be told of one session.
#[derive(Debug)]
pub(super) enum Duty {
    /// It has not what the members have.
    Save,
    /// The members have the session again: its record may leave.
    Take { version: u64 },
    /// A caller has ended it. The mark in the map stays until the store knows.
    End { keep: Duration },
    /// Its time is over: what it was. It is told when the store has said that nobody else has.
    Expire { was: Vec<(Bytes, Bytes)>, version: u64, keep: Duration },
}

/// Whether a duty is done.
pub(super) enum Done {
    Yes,
    /// Later, and the others may be done.
    NotYet,
    /// The store is not there.
    NoStore,
}

/// Duties by the sessions that they are of, one for each.
pub(super) struct Duties {
    most: usize,
    open: Mutex<HashMap<Bytes, Duty>>,
    /// Those that are being done.
    begun: AtomicUsize,
    wake: Notify,
}

// === impl Duties ===

impl Duties {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default(), begun: AtomicUsize::new(0), wake: Notify::new() }
    }

    pub(super) fn len(&self) -> usize {
        let open = self.open.lock();
        open.len() + self.begun.load(Ordering::Relaxed)
    }

    /// Whether some are being done.
    pub(super) fn is_busy(&self) -> bool {
        self.begun.load(Ordering::Relaxed) > 0
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// One more. An end takes the place of what was to be told before it, and nothing the place of
    /// an end. Whether there was room.
    pub(super) fn add(&self, id: &Bytes, duty: Duty) -> bool {
        let mut open = self.open.lock();
        let is_full = open.len() >= self.most;
        match open.entry(id.clone()) {
            Entry::Occupied(mut there) => {
                if matches!(there.get(), Duty::Save | Duty::Take { .. }) {
                    there.insert(duty);
                }
            }
            Entry::Vacant(_) if is_full => return false,
            Entry::Vacant(free) => _ = free.insert(duty),
        }
        drop(open);
        self.wake();
        true
    }

    /// One is done, or put back where it could not be done and there is no other by now.
    fn ended(&self, id: Bytes, put_back: Option<Duty>) {
        let mut open = self.open.lock();
        if let Some(duty) = put_back {
            open.entry(id).or_insert(duty);
        }
        self.begun.fetch_sub(1, Ordering::Relaxed);
    }

    fn some(&self) -> Vec<(Bytes, Duty)> {
        let mut open = self.open.lock();
        let ids: Vec<Bytes> = open.keys().take(ROUND).cloned().collect();
        let round: Vec<_> = ids.into_iter().filter_map(|id| open.remove_entry(&id)).collect();
        self.begun.fetch_add(round.len(), Ordering::Relaxed);
        round
    }
}

/// Does what is to be done until the sessions are dropped or stopped.
pub(in super::super) async fn follow(sessions: Weak<Inner>, closed: CancellationToken) {
    loop {
        let Some(inner) = sessions.upgrade() else { return };
        let Some(keeper) = inner.keeper.clone() else { return };
        drop(inner);
        let has_some = keeper.duties.len() > 0;
        tokio::select! {
            () = closed.cancelled() => return,
            () = keeper.duties.wake.notified() => {}
            () = tokio::time::sleep(keeper.storing.rest), if has_some => {}
        }
        let Some(sessions) = Sessions::upgrade(&sessions) else { return };
        work(&sessions).await;
    }
}

/// Does what can be done now: to the end, or until the store is not there or nothing gets done.
pub(in super::super) async fn work(sessions: &Sessions) {
    let Some(keeper) = &sessions.inner.keeper else { return };
    while !keeper.is_resting() {
        let round = keeper.duties.some();
        let most = round.len();
        let (mut put_back, mut is_there) = (0, true);
        let mut all = stream::iter(round)
            .map(|(id, duty)| async move {
                let done = do_it(sessions, &id, &duty).await;
                (id, duty, done)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((id, duty, done)) = all.next().await {
            if matches!(done, Done::Yes) {
                keeper.duties.ended(id, None);
                continue;
            }
            is_there &= !matches!(done, Done::NoStore);
            put_back += 1;
            keeper.duties.ended(id, Some(duty));
        }
        if !is_there || put_back == most {
            return;
        }
    }
}

async fn do_it(sessions: &Sessions, id: &Bytes, duty: &Duty) -> Done {
    match duty {
        Duty::Save => through::save_again(sessions, id).await,
        Duty::Take { version } => activate::take_again(sessions, id, *version).await,
        Duty::End { keep } => end::tell(sessions, id, *keep).await,
        Duty::Expire { was, version, keep } => {
            end::tell_expired(sessions, id, was, *version, *keep).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_takes_the_place_of_an_end_and_nothing_grows_beyond_the_bound() {
        let duties = Duties::new(2);
        let (one, two): (Bytes, Bytes) = (b"one"[..].into(), b"two"[..].into());
        assert!(duties.add(&one, Duty::Save));
        assert!(duties.add(&one, Duty::End { keep: Duration::ZERO }));
        assert!(duties.add(&one, Duty::Save));
        assert!(duties.add(&two, Duty::Take { version: 1 }));
        assert!(!duties.add(&b"three"[..].into(), Duty::Save));
        let mut all = duties.some();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        assert!(matches!(all[..], [(_, Duty::End { .. }), (_, Duty::Take { .. })]));
        assert_eq!(duties.len(), 2, "they are not done yet");
        for (id, _) in all {
            duties.ended(id, None);
        }
        assert_eq!(duties.len(), 0);
    }
}
