//! Messages that are delivered at least once: a shell around [`muster_grid::queue`].
//!
//! | file | idea |
//! |---|---|
//! | `post` | all queues of this member: frames, views, time |
//! | `line` | one queue: its station behind a lock; an event in, actions done |
//! | `delivery` | what a consumer gets, and how it ends |

mod delivery;
mod line;
mod post;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_grid::queue::{
    Answer, DeadLetter as Letter, FencedBy, MOST_GROUP, MOST_ID, MOST_MESSAGE, Message, Number,
    Publication, Question,
};

use crate::engine::queue::{
    Consumer, DeadLetter, Journal, JournalStats, Msg, Queue, QueueError, QueueSpec, QueueStats,
};
use delivery::SharedConsumer;
pub(super) use line::Line;
pub(super) use post::Post;

/// How long a publication or a question may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A queue whose messages members share.
pub(super) struct SharedQueue {
    spec: QueueSpec,
    line: Arc<Line>,
    /// Another member may have spoken of the queue before this one said where it writes it down.
    journal: OnceLock<Journal>,
}

// === impl SharedQueue ===

impl SharedQueue {
    async fn ask(&self, question: Question) -> Result<Answer, QueueError> {
        let asked = self.line.call(|station, now| station.ask(question, now + DEADLINE, now));
        answered(asked.await)
    }

    async fn change(
        &self,
        ids: &[String],
        question: fn(Vec<Number>) -> Question,
    ) -> Result<u64, QueueError> {
        let numbers = ids.iter().filter_map(|id| read_id(id)).collect();
        match self.ask(question(numbers)).await? {
            Answer::Changed(count) => Ok(count),
            _ => Err(QueueError::Unknown),
        }
    }
}

#[async_trait]
impl Queue for SharedQueue {
    fn spec(&self) -> &QueueSpec {
        &self.spec
    }

    async fn publish(&self, message: Msg) -> Result<bool, QueueError> {
        let (publication, by) = publication(message)?;
        let asked =
            self.line.call(|station, now| station.publish_by(publication, by, now + DEADLINE, now));
        match answered(asked.await)? {
            Answer::Published(is_new) => Ok(is_new),
            _ => Err(QueueError::Unknown),
        }
    }

    async fn consume(&self, credits: usize) -> Box<dyn Consumer> {
        Box::new(SharedConsumer::start(self.line.clone(), credits))
    }

    async fn stats(&self) -> QueueStats {
        match self.ask(Question::Stats).await {
            Ok(Answer::Stats(stats)) => *stats,
            _ => QueueStats::default(),
        }
    }

    fn led(&self) -> Option<QueueStats> {
        self.line.led()
    }

    fn journal(&self) -> Option<JournalStats> {
        self.journal.get().map(|_| self.line.journal())
    }

    async fn dead_letters(&self, most: usize) -> Vec<Bytes> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match self.ask(Question::Take(most)).await {
            Ok(Answer::Dead(letters)) => letters.into_iter().map(|l| body(l.value).1).collect(),
            _ => Vec::new(),
        }
    }

    async fn look_dead(&self, most: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        match self.ask(Question::Look(most)).await? {
            Answer::Dead(letters) => Ok(letters.into_iter().map(letter).collect()),
            _ => Err(QueueError::Unknown),
        }
    }

    async fn requeue_dead(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.change(ids, Question::Requeue).await
    }

    async fn drop_dead(&self, ids: &[String]) -> Result<u64, QueueError> {
        self.change(ids, Question::Drop).await
    }
}

/// What a message is to the grid.
///
/// # Errors
/// When it is too large.
fn publication(message: Msg) -> Result<(Publication, Option<FencedBy>), QueueError> {
    let Msg { body, dedup, delay, ttl, group, by } = message;
    let len = |name: &Option<String>| name.as_ref().map_or(0, String::len);
    let size = body.len() + len(&group);
    let most = MOST_MESSAGE - 3;
    if size > most {
        return Err(QueueError::TooLarge(size, most));
    }
    let lease = by.as_ref().map_or(0, |(name, _)| name.len());
    for (len, most) in [(len(&group), MOST_GROUP), (len(&dedup), MOST_ID), (lease, MOST_ID)] {
        if len > most {
            return Err(QueueError::NameTooLong(len, most));
        }
    }
    let value = Message::new(group.as_deref(), &body).value().clone();
    let dedup = dedup.map(|id| id.as_bytes().into());
    let by = by.map(|(name, token)| FencedBy { name: name.as_bytes().into(), token: token.0 });
    Ok((Publication { value, dedup, delay, ttl }, by))
}

/// Group and body of a message.
fn body(value: muster_grid::Bytes) -> (Option<String>, Bytes) {
    let Some(message) = Message::read(value) else { return (None, Bytes::new()) };
    let group = message.group().map(|group| String::from_utf8_lossy(group).into_owned());
    let body_at = message.body_at();
    (group, Bytes::from_owner(message.value().clone()).slice(body_at..))
}

fn letter(letter: Letter) -> DeadLetter {
    let Letter { number: Number { epoch, seq, salt }, tries, value } = letter;
    let (group, body) = body(value);
    DeadLetter { id: format!("{epoch}.{seq}.{salt}"), tries, group, body }
}

fn read_id(id: &str) -> Option<Number> {
    let mut parts = id.splitn(3, '.');
    let epoch = parts.next()?.parse().ok()?;
    let seq = parts.next()?.parse().ok()?;
    Some(Number { epoch, seq, salt: parts.next()?.parse().ok()? })
}

/// An answer, in the seam's words.
fn answered(answer: Option<Answer>) -> Result<Answer, QueueError> {
    match answer {
        None => Err(QueueError::Closed),
        Some(Answer::Full(most)) => {
            Err(QueueError::Full(usize::try_from(most).unwrap_or(usize::MAX)))
        }
        Some(Answer::NotQuorate) => Err(QueueError::NotQuorate),
        Some(Answer::Unavailable | Answer::Elsewhere) => Err(QueueError::Unavailable),
        Some(Answer::Unknown) => Err(QueueError::Unknown),
        Some(Answer::Expired) => Err(QueueError::Expired),
        Some(Answer::NotKept) => Err(QueueError::NotKept),
        Some(Answer::Fenced) => Err(QueueError::Fenced),
        Some(answer) => Ok(answer),
    }
}
