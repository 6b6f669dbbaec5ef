//! Commands to members: asked of one, some or all, answered by each or refused at once.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use thiserror::Error;
use tokio::sync::mpsc;

/// Does the commands of one service on this member.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does one command. What it returns is the answer; an error is the answer too.
    ///
    /// # Errors
    /// In the service's own words: the caller gets them as [`CallError::Failed`].
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String>;
}

/// Who is to do a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Targets {
    /// Every member, this one too.
    All,
    /// Every member but these.
    AllBut(Vec<MemberId>),
    /// These.
    Some(Vec<MemberId>),
}

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    /// It is not in the view, or left before it answered: it may have done the command.
    #[error("{0} has left")]
    Left(MemberId),
    /// No handler of that service is registered there: nothing was done.
    #[error("{member} has no service {service:?}")]
    NoService {
        /// The member.
        member: MemberId,
        /// The service.
        service: String,
    },
    /// The handler's own error.
    #[error("{0}")]
    Failed(String),
    /// No answer in time: it may have done the command.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// Too many calls are under way, or the command is too large: nothing was done.
    #[error("{0}")]
    Refused(&'static str),
    /// The engine was shut down.
    #[error("the engine is closed")]
    Closed,
}

/// The answers to a command of many, as they come. It ends when each has answered, left or is late.
#[derive(Debug)]
pub struct Answers {
    receiver: mpsc::Receiver<(MemberId, Result<Bytes, CallError>)>,
}

impl Answers {
    /// For engines: answers that come by this channel, which is closed after the last one.
    #[must_use]
    pub fn new(receiver: mpsc::Receiver<(MemberId, Result<Bytes, CallError>)>) -> Self {
        Self { receiver }
    }

    /// The next answer; none when all are there.
    pub async fn next(&mut self) -> Option<(MemberId, Result<Bytes, CallError>)> {
        self.receiver.recv().await
    }

    /// All answers.
    pub async fn all(mut self) -> Vec<(MemberId, Result<Bytes, CallError>)> {
        let mut all = Vec::new();
        while let Some(answer) = self.next().await {
            all.push(answer);
        }
        all
    }
}

/// Commands to members.
#[async_trait]
pub trait Dispatch: Send + Sync {
    /// From now on this member does the commands of a service. The last registration counts; the
    /// name has at most 128 bytes.
    fn register(&self, service: &str, handler: Arc<dyn Handler>);

    /// It does them no more.
    fn unregister(&self, service: &str);

    /// One member does a command.
    ///
    /// # Errors
    /// See [`CallError`]: at once for a member that left or lacks the service.
    async fn call(
        &self,
        member: MemberId,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError>;

    /// Many members do a command. Each target gives exactly one answer.
    async fn cast(
        &self,
        targets: Targets,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Answers;
}
