//! Commands: typed, done by one member, some, all, or all but some; each answers or is answered for.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::codec::{self, CodecError};
use super::{Cluster, NameTaken};
use crate::engine::{Answers, CallError, Dispatch, Handler, Targets};

/// Something that a member can be told to do.
///
/// ```
/// use muster_agent::{Cluster, Command, MemberId};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Add(u32);
/// impl Command for Add {
///     type Context = u32;
///     type Reply = u32;
///     async fn execute(self, stock: &u32, _from: MemberId) -> Result<u32, String> {
///         Ok(stock + self.0)
///     }
/// }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cluster = Cluster::builder("node1").local();
/// let dispatcher = cluster.dispatcher::<Add>("stock", 40).unwrap();
/// assert_eq!(dispatcher.execute(cluster.me().id, &Add(2)).await, Ok(42));
/// # }
/// ```
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What the member that does it has at hand.
    type Context: Send + Sync + 'static;
    /// What it answers.
    type Reply: Serialize + DeserializeOwned + Send + 'static;

    /// Does it. An error is an answer too, in the command's own words. It runs in a task of its
    /// own, and to its end even if nobody waits any more.
    fn execute(
        self,
        context: &Self::Context,
        from: MemberId,
    ) -> impl Future<Output = Result<Self::Reply, String>> + Send;
}

/// Lets members do commands of one kind, and does them for others, until it is dropped.
pub struct CommandDispatcher<C: Command> {
    dispatch: Arc<dyn Dispatch>,
    name: NameTaken,
    deadline: Duration,
    command: PhantomData<fn(C)>,
}

/// The replies to a command of many, as they come: one for each target.
#[derive(Debug)]
pub struct Replies<R> {
    answers: Answers,
    reply: PhantomData<fn() -> R>,
}

/// Why there is no reply.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CommandError {
    /// It is not in the view, or left before it answered: it may have done the command.
    #[error("{0} has left")]
    Left(MemberId),
    /// It has no dispatcher of that name: nothing was done.
    #[error("{0} has no such dispatcher")]
    NoDispatcher(MemberId),
    /// The command's own error.
    #[error("{0}")]
    Failed(String),
    /// No reply in time: it may have been done.
    #[error("no reply within {0:?}")]
    Late(Duration),
    /// Too much is under way, or it is too large: nothing was done.
    #[error("{0}")]
    Refused(&'static str),
    /// The command cannot be written, or the reply not be read.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The cluster was left.
    #[error("the cluster was left")]
    Closed,
}

/// How long a member may take, where nothing else is said.
const DEADLINE: Duration = Duration::from_secs(10);

struct Executor<C: Command>(C::Context);

#[async_trait]
impl<C: Command> Handler for Executor<C> {
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String> {
        let command: C = codec::decode(&command).map_err(|error| error.to_string())?;
        let reply = command.execute(&self.0, from).await?;
        codec::encode(&reply).map(Bytes::from).map_err(|error| error.to_string())
    }
}

// === impl CommandDispatcher ===

impl<C: Command> CommandDispatcher<C> {
    pub(super) fn start(cluster: &Cluster, name: NameTaken, context: C::Context) -> Self {
        let dispatch = cluster.engine().dispatch();
        dispatch.register(name.as_str(), Arc::new(Executor::<C>(context)));
        Self { dispatch, name, deadline: DEADLINE, command: PhantomData }
    }

    /// How long each member may take. Default: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// One member does it.
    ///
    /// # Errors
    /// See [`CommandError`]: at once for a member that left or has no such dispatcher.
    pub async fn execute(&self, member: MemberId, command: &C) -> Result<C::Reply, CommandError> {
        let bytes = codec::encode(command)?.into();
        read(self.dispatch.call(member, self.name.as_str(), bytes, self.deadline).await)
    }

    /// Many members do it.
    ///
    /// # Errors
    /// When the command cannot be written: nobody was asked then.
    pub async fn execute_on(
        &self,
        targets: Targets,
        command: &C,
    ) -> Result<Replies<C::Reply>, CommandError> {
        let (name, bytes) = (self.name.as_str(), codec::encode(command)?.into());
        let answers = self.dispatch.cast(targets, name, bytes, self.deadline).await;
        Ok(Replies { answers, reply: PhantomData })
    }

    /// Every member does it, this one too.
    ///
    /// # Errors
    /// As for [`CommandDispatcher::execute_on`].
    pub async fn execute_on_all(&self, command: &C) -> Result<Replies<C::Reply>, CommandError> {
        self.execute_on(Targets::All, command).await
    }
}

impl<C: Command> Drop for CommandDispatcher<C> {
    fn drop(&mut self) {
        self.dispatch.unregister(self.name.as_str());
    }
}

impl<C: Command> std::fmt::Debug for CommandDispatcher<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandDispatcher").field("name", &self.name).finish()
    }
}

// === impl Replies ===

impl<R: DeserializeOwned> Replies<R> {
    /// The next reply; none when all are there.
    pub async fn next(&mut self) -> Option<(MemberId, Result<R, CommandError>)> {
        let (member, answer) = self.answers.next().await?;
        Some((member, read(answer)))
    }

    /// All replies.
    pub async fn all(mut self) -> Vec<(MemberId, Result<R, CommandError>)> {
        let mut all = Vec::new();
        while let Some(reply) = self.next().await {
            all.push(reply);
        }
        all
    }
}

fn read<R: DeserializeOwned>(answer: Result<Bytes, CallError>) -> Result<R, CommandError> {
    match answer {
        Ok(bytes) => Ok(codec::decode(&bytes)?),
        Err(CallError::Left(member)) => Err(CommandError::Left(member)),
        Err(CallError::NoService { member, .. }) => Err(CommandError::NoDispatcher(member)),
        Err(CallError::Failed(why)) => Err(CommandError::Failed(why)),
        Err(CallError::Late(deadline)) => Err(CommandError::Late(deadline)),
        Err(CallError::Refused(why)) => Err(CommandError::Refused(why)),
        Err(CallError::Closed) => Err(CommandError::Closed),
    }
}
