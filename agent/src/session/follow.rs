//! Follows what the engine tells, for as long as there are sessions that it concerns.

use std::sync::Weak;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::manager::Inner;

/// What is heard.
pub(super) enum Heard<T> {
    /// Something that has happened.
    Told(T),
    /// So many were not told: whoever follows was too slow.
    Missed(u64),
}

/// Follows until the sessions are dropped or stopped.
pub(super) async fn follow<T: Clone>(
    sessions: Weak<Inner>,
    mut told: Receiver<T>,
    closed: CancellationToken,
    mut act: impl FnMut(&Inner, Heard<T>),
) {
    loop {
        let heard = tokio::select! {
            told = told.recv() => told,
            () = closed.cancelled() => return,
        };
        let Some(inner) = sessions.upgrade() else { return };
        match heard {
            Ok(told) => act(&inner, Heard::Told(told)),
            Err(RecvError::Lagged(missed)) => act(&inner, Heard::Missed(missed)),
            Err(RecvError::Closed) => return,
        }
    }
}
