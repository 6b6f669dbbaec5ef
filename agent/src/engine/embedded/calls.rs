//! Commands to members.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::{MemberId, NodeId};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::frame::Frame;
use crate::channel::{Lane, NotSent, service};
use crate::engine::MOST_NAME;
use crate::engine::dispatch::{Answers, CallError, Dispatch, Handler, Targets};
use crate::engine::local::Services;
use crate::node::{FrameHandler, Node};
use crate::watching::changed;

/// Calls of this member under way, at most.
const MOST_CALLS: usize = 65_536;
/// Bytes of a command at most.
const MOST_COMMAND: usize = 16 << 20;
/// A member that is in the view and not linked yet is tried again after so long.
const AGAIN: Duration = Duration::from_millis(10);

/// Commands to members, and those of others to this one.
pub(super) struct Calls {
    node: Node,
    services: Services,
    under_way: Mutex<HashMap<u64, UnderWay>>,
    numbers: AtomicU64,
    closed: CancellationToken,
    /// For the tasks of a cast.
    me: Weak<Self>,
}

struct UnderWay {
    to: MemberId,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Bytes, CallError>;

/// Takes the call off the list however its caller ends.
struct Listed<'c> {
    calls: &'c Calls,
    number: u64,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.calls.under_way.lock().remove(&self.number);
    }
}

// === impl Calls ===

impl Calls {
    pub(super) fn start(node: &Node, closed: CancellationToken) -> Arc<Self> {
        let calls = Arc::new_cyclic(|me| Self {
            node: node.clone(),
            services: Services::default(),
            under_way: Mutex::default(),
            numbers: AtomicU64::new(1),
            closed: closed.clone(),
            me: me.clone(),
        });
        node.serve(service::DISPATCH, Arc::new(Ear(Arc::downgrade(&calls))));
        tokio::spawn(answer_for_who_left(Arc::downgrade(&calls), node.state(), closed));
        calls
    }

    /// Who is in the view, in its order; this member alone before the first one.
    pub(super) fn members(&self) -> Vec<MemberId> {
        let state = self.node.state();
        let state = state.borrow();
        match &state.view {
            Some(view) => view.members.iter().map(|member| member.id).collect(),
            None => vec![state.me],
        }
    }

    pub(super) fn me(&self) -> MemberId {
        self.node.me()
    }

    pub(super) fn close(&self) {
        let under_way = std::mem::take(&mut *self.under_way.lock());
        for call in under_way.into_values() {
            let _ = call.answer.send(Err(CallError::Closed));
        }
    }

    fn is_member(&self, id: MemberId) -> bool {
        self.node.state().borrow().view.as_ref().is_some_and(|view| view.has(id))
    }

    async fn ask(&self, to: MemberId, service: &str, command: Bytes, wait: Duration) -> Answer {
        if self.closed.is_cancelled() {
            return Err(CallError::Closed);
        }
        let (answer, mut answered) = oneshot::channel();
        if to == self.me() {
            let done = |done: Result<Bytes, String>| {
                // Whoever waits no more does not want to know.
                let _ = answer.send(done.map_err(CallError::Failed));
            };
            self.services.begin(to, to, service, command, done)?;
            return self.wait(&mut answered, Instant::now() + wait, wait).await;
        }
        if !(1..=MOST_NAME).contains(&service.len()) {
            return Err(CallError::NoService { member: to, service: service.to_owned() });
        }
        if command.len() > MOST_COMMAND {
            return Err(CallError::Refused("the command is larger than 16 MiB"));
        }
        let ends = Instant::now() + wait;
        let frame = Frame::Ask { service: service.to_owned(), command }.encode();
        let listed = self.list(to, answer)?;
        // Whoever left before it was listed was not answered for.
        if !self.is_member(to) {
            return Err(CallError::Left(to));
        }
        self.send(to, listed.number, &frame, &mut answered, ends, wait).await?;
        let answer = self.wait(&mut answered, ends, wait).await;
        answer.map_err(|error| match error {
            CallError::NoService { member, .. } => {
                CallError::NoService { member, service: service.to_owned() }
            }
            other => other,
        })
    }

    fn list(&self, to: MemberId, answer: oneshot::Sender<Answer>) -> Result<Listed<'_>, CallError> {
        let mut under_way = self.under_way.lock();
        if under_way.len() >= MOST_CALLS {
            return Err(CallError::Refused("too many calls are under way"));
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        under_way.insert(number, UnderWay { to, answer });
        Ok(Listed { calls: self, number })
    }

    /// Sends a command; a member of the view that is not linked yet will be.
    async fn send(
        &self,
        to: MemberId,
        number: u64,
        frame: &[u8],
        answered: &mut oneshot::Receiver<Answer>,
        ends: Instant,
        wait: Duration,
    ) -> Result<(), CallError> {
        loop {
            match self.node.send(to.node, service::DISPATCH, number, Lane::Calls, frame) {
                Ok(()) => return Ok(()),
                Err(NotSent::Full) => {
                    return Err(CallError::Refused("too much is on its way to that member"));
                }
                Err(NotSent::TooLong(_)) => {
                    return Err(CallError::Refused("the command is larger than a frame"));
                }
                Err(NotSent::NoLink) if Instant::now() >= ends => {
                    return Err(CallError::Late(wait));
                }
                Err(NotSent::NoLink) => {
                    tokio::select! {
                        () = sleep(AGAIN) => {}
                        answer = &mut *answered => {
                            return Err(answer.map_or(CallError::Closed, |answer| {
                                answer.err().unwrap_or(CallError::Left(to))
                            }));
                        }
                    }
                }
            }
        }
    }

    async fn wait(
        &self,
        answered: &mut oneshot::Receiver<Answer>,
        ends: Instant,
        wait: Duration,
    ) -> Answer {
        match timeout_at(ends, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(CallError::Closed),
            Err(_) => Err(CallError::Late(wait)),
        }
    }

    /// A frame came: a command for this member, or an answer to it.
    fn heard(&self, from: MemberId, number: u64, frame: Frame) {
        let answer = match frame {
            Frame::Ask { service, command } => return self.asked(from, number, &service, command),
            Frame::Done(answer) => Ok(answer),
            Frame::Failed(why) => Err(CallError::Failed(why)),
            Frame::NoService => Err(CallError::NoService { member: from, service: String::new() }),
            Frame::Busy => Err(CallError::Refused("too many commands are under way there")),
        };
        let mut under_way = self.under_way.lock();
        if under_way.get(&number).is_some_and(|call| call.to.node == from.node)
            && let Some(call) = under_way.remove(&number)
        {
            let _ = call.answer.send(answer);
        }
    }

    fn asked(&self, from: MemberId, number: u64, service: &str, command: Bytes) {
        let node = self.node.clone();
        let done = move |done: Result<Bytes, String>| {
            let frame = match done {
                Ok(answer) => Frame::Done(answer),
                Err(why) => Frame::Failed(why),
            };
            answer(&node, from.node, number, &frame);
        };
        if let Err(error) = self.services.begin(self.me(), from, service, command, done) {
            let frame = match error {
                CallError::NoService { .. } => Frame::NoService,
                _ => Frame::Busy,
            };
            answer(&self.node, from.node, number, &frame);
        }
    }
}

fn answer(node: &Node, to: NodeId, number: u64, frame: &Frame) {
    if let Err(why) = node.send(to, service::DISPATCH, number, Lane::Calls, &frame.encode()) {
        // Its caller learns that this member is late, or has left.
        tracing::debug!(%to, %why, "an answer was not sent");
    }
}

/// Hears frames; it does not keep the engine alive.
struct Ear(Weak<Calls>);

impl FrameHandler for Ear {
    fn frame(&self, from: MemberId, id: u64, payload: Bytes) {
        let Some(calls) = self.0.upgrade() else { return };
        match Frame::decode(&payload) {
            Some(frame) => calls.heard(from, id, frame),
            None => tracing::debug!(%from, "a frame with a command cannot be read"),
        }
    }
}

async fn answer_for_who_left(
    calls: Weak<Calls>,
    mut state: tokio::sync::watch::Receiver<crate::node::NodeState>,
    closed: CancellationToken,
) {
    while changed(&mut state, &closed).await {
        let view = state.borrow_and_update().view.clone();
        let Some(calls) = calls.upgrade() else { return };
        let has = |id| view.as_ref().is_some_and(|view| view.has(id));
        let left: Vec<UnderWay> = {
            let mut under_way = calls.under_way.lock();
            under_way.extract_if(|_, call| !has(call.to)).map(|(_, call)| call).collect()
        };
        for call in left {
            let _ = call.answer.send(Err(CallError::Left(call.to)));
        }
    }
}

#[async_trait]
impl Dispatch for Calls {
    fn register(&self, service: &str, handler: Arc<dyn Handler>) {
        self.services.register(service, handler);
    }

    fn unregister(&self, service: &str) {
        self.services.unregister(service);
    }

    async fn call(
        &self,
        member: MemberId,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        self.ask(member, service, command, deadline).await
    }

    async fn cast(
        &self,
        targets: Targets,
        service: &str,
        command: Bytes,
        deadline: Duration,
    ) -> Answers {
        let targets = match targets {
            Targets::All => self.members(),
            Targets::AllBut(others) => {
                self.members().into_iter().filter(|id| !others.contains(id)).collect()
            }
            Targets::Some(members) => members,
        };
        let (answer, answers) = mpsc::channel(targets.len().max(1));
        for member in targets {
            let (me, answer) = (self.me.clone(), answer.clone());
            let (service, command) = (service.to_owned(), command.clone());
            tokio::spawn(async move {
                let outcome = match me.upgrade() {
                    Some(calls) => calls.ask(member, &service, command, deadline).await,
                    None => Err(CallError::Closed),
                };
                // There is room for each, and nobody need want them.
                let _ = answer.send((member, outcome)).await;
            });
        }
        Answers::new(answers)
    }
}
