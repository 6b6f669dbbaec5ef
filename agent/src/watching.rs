//! Following a value until its follower is not needed any more.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Waits for another value. False when `closed` is cancelled, or nobody is left who could give one.
pub(crate) async fn changed<T>(of: &mut watch::Receiver<T>, closed: &CancellationToken) -> bool {
    tokio::select! {
        () = closed.cancelled() => false,
        changed = of.changed() => changed.is_ok(),
    }
}
