//! What a request does to its session: it counts, and changes attributes as its query says.

use bytes::Bytes;
use muster_agent::{Session, SessionError};
use rand::Rng;

/// The attribute that counts.
const COUNT: &str = "count";

/// What a request does to its session beside counting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Changes {
    /// Attributes 0 to `fill` - 1 get `size` random bytes where they have not so many.
    pub(super) fill: u32,
    pub(super) size: usize,
    /// This attribute gets `size` new random bytes.
    pub(super) touch: Option<u32>,
    /// The session ends.
    pub(super) invalidate: bool,
}

/// A session as a request found it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) id: String,
    pub(super) is_new: bool,
    pub(super) count: u64,
}

/// Counts a request in its session.
pub(super) fn visit(session: &Session, changes: Changes) -> Result<Visit, SessionError> {
    let is_new = session.is_new();
    let count = session.get::<u64>(COUNT)?.unwrap_or(0) + 1;
    session.set(COUNT, &count)?;
    for attribute in 0..changes.fill {
        let name = attribute.to_string();
        if session.get_raw(&name)?.is_none_or(|value| value.len() != changes.size) {
            session.set_raw(&name, random(changes.size))?;
        }
    }
    if let Some(attribute) = changes.touch {
        session.set_raw(&attribute.to_string(), random(changes.size))?;
    }
    let id = session.create()?;
    if changes.invalidate {
        session.invalidate()?;
    }
    Ok(Visit { id, is_new, count })
}

fn random(size: usize) -> Bytes {
    let mut value = vec![0; size];
    rand::rng().fill(&mut value[..]);
    value.into()
}

#[cfg(test)]
mod tests {
    use muster_agent::Sessions;
    use muster_agent::session::Finished;

    use super::*;

    async fn visited(sessions: &Sessions, id: Option<&str>, changes: Changes) -> (Visit, Finished) {
        let request = sessions.request(id);
        let visit = visit(&request.session().await.unwrap(), changes).unwrap();
        (visit, request.finish().await.unwrap())
    }

    #[tokio::test]
    async fn attributes_are_filled_once_and_touched_each_time() {
        let sessions = Sessions::builder("counter").start().unwrap();
        let changes = Changes { fill: 2, size: 16, touch: Some(1), invalidate: false };
        let (first, _) = visited(&sessions, None, changes).await;
        assert_eq!((first.is_new, first.count), (true, 1));
        let of = async |name: &str| {
            let session = sessions.request(Some(&first.id)).session().await.unwrap();
            session.get_raw(name).unwrap().unwrap()
        };
        let before = (of("0").await, of("1").await);
        let (second, finished) = visited(&sessions, Some(&first.id), changes).await;
        assert_eq!((second.is_new, second.count), (false, 2));
        assert_eq!(finished, Finished::Same(first.id.clone()));
        assert_eq!(of("0").await, before.0);
        assert_ne!(of("1").await, before.1);
    }

    #[tokio::test]
    async fn an_invalidated_session_is_told_of_once_more() {
        let sessions = Sessions::builder("counter").start().unwrap();
        let (first, _) = visited(&sessions, None, Changes::default()).await;
        let end = Changes { invalidate: true, ..Changes::default() };
        let (last, finished) = visited(&sessions, Some(&first.id), end).await;
        assert_eq!((last.id, last.count, finished), (first.id.clone(), 2, Finished::Ended));
        assert!(visited(&sessions, Some(&first.id), Changes::default()).await.0.is_new);
    }
}
