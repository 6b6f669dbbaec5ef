//! An answer to a message: whoever has handled it sends it to the member that waits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::MemberId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::debug;

use super::envelope::{self, ReplyTo};
use super::{Message, Queue, QueueError, Sending};
use crate::cluster::{Cluster, codec};
use crate::engine::dispatch::Handler;

/// The service that takes answers.
const SERVICE: &str = "queue.answers";
/// How long an answer may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(5);
/// Requests of a member that wait for answers, at most.
const MOST_WAITING: usize = 65_536;

/// An answer on its way.
#[derive(Serialize, Deserialize)]
struct Sent {
    number: u64,
    answer: Result<Vec<u8>, String>,
}

type Answer = Result<Vec<u8>, String>;

/// Requests of this member that wait for answers.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    all: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    last: AtomicU64,
}

/// Takes the request off the list however its caller ends.
struct Listed {
    waiting: Arc<Waiting>,
    number: u64,
}

// === impl Waiting ===

impl Waiting {
    fn list(self: &Arc<Self>) -> Option<(Listed, oneshot::Receiver<Answer>)> {
        let (sender, answer) = oneshot::channel();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut all = self.all.lock();
        if all.len() >= MOST_WAITING {
            return None;
        }
        all.insert(number, sender);
        Some((Listed { waiting: self.clone(), number }, answer))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.waiting.all.lock().remove(&self.number);
    }
}

/// Takes answers.
struct Ear(Arc<Waiting>);

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, _: MemberId, command: Bytes) -> Result<Bytes, String> {
        let sent: Sent = codec::decode(&command).map_err(|error| error.to_string())?;
        if let Some(asker) = self.0.all.lock().remove(&sent.number) {
            // Whoever asked may have gone away.
            let _ = asker.send(sent.answer);
        }
        Ok(Bytes::new())
    }
}

/// Publishes a message and waits for an answer.
pub(super) async fn request<T: Message, R: Message>(
    queue: &Queue<T>,
    message: &T,
    wait: Duration,
) -> Result<R, QueueError> {
    let waiting = queue.cluster.waiting();
    queue.cluster.engine().dispatch().register(SERVICE, Arc::new(Ear(waiting.clone())));
    let (listed, answer) = waiting.list().ok_or(QueueError::Unavailable)?;
    let to = ReplyTo { member: queue.cluster.me().id, number: listed.number };
    let body = envelope::request(to, message)?;
    let asked = async {
        queue.below.publish(Sending::new().ttl(wait).with(body.into())).await?;
        answer.await.map_err(|_| QueueError::Closed)
    };
    match timeout(wait, asked).await {
        Err(_) => Err(QueueError::NoAnswer(wait)),
        Ok(Err(error)) => Err(error),
        Ok(Ok(Err(why))) => Err(QueueError::Failed(why)),
        Ok(Ok(Ok(answer))) => Ok(envelope::open(&answer)?.1),
    }
}

/// Sends an answer to whoever waits. When that member has left nobody waits any more.
pub(super) async fn answer(cluster: &Cluster, to: ReplyTo, answer: Answer) {
    let sent = match codec::encode(&Sent { number: to.number, answer }) {
        Ok(sent) => sent,
        Err(error) => return debug!(%error, "an answer cannot be written"),
    };
    let dispatch = cluster.engine().dispatch();
    if let Err(error) = dispatch.call(to.member, SERVICE, sent.into(), ON_ITS_WAY).await {
        debug!(%error, "an answer did not arrive: whoever asked waits for it in vain");
    }
}
