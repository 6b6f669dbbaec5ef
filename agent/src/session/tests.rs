//! Stories of sessions in one process: what a request may do, what is told, what becomes of a commit
//! whose answer was lost. With members over sockets: `tests/conformance/sessions.rs`.

mod commits;
mod expires;
mod faults;
mod listens;
mod passivates;
mod requests;
mod restarts;
mod stores;
mod waits;

use std::time::Duration;

use super::*;

/// Longer than anything takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn sessions(set: impl FnOnce(SessionsBuilder) -> SessionsBuilder) -> Sessions {
    set(Sessions::builder("shop")).start().unwrap()
}

/// A request that does one thing and ends well.
pub(super) async fn request<R>(
    sessions: &Sessions,
    asked: Option<&str>,
    act: impl FnOnce(&Session) -> Result<R, SessionError>,
) -> (Finished, R) {
    let request = sessions.request(asked);
    let session = request.session().await.unwrap();
    let done = act(&session).unwrap();
    (request.finish().await.unwrap(), done)
}

/// A session with one attribute. Its id.
pub(super) async fn create(sessions: &Sessions) -> String {
    let (finished, ()) = request(sessions, None, |session| session.set("count", &1_u64)).await;
    let Finished::New(id) = finished else { panic!("{finished:?}") };
    id
}

/// Counts one up. What it is then.
async fn count(sessions: &Sessions, id: &str) -> u64 {
    let (finished, count) = request(sessions, Some(id), |session| {
        let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
        session.set("count", &count)?;
        Ok(count)
    })
    .await;
    assert_eq!(finished, Finished::Same(id.to_owned()));
    count
}

async fn kept(sessions: &Sessions, id: &str) -> Option<u64> {
    sessions.read(id).await.unwrap().and_then(|session| session.get("count").unwrap())
}

/// Tries until it is so.
async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let tries = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, tries).await.is_ok(), "never so: {what}");
}
