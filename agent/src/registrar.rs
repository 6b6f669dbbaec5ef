//! The registrar: the task that keeps one balancer informed. [`life`] decides, [`client`] speaks,
//! and this shell carries between them and shows the result.

pub(crate) mod client;
pub(crate) mod knowledge;
pub(crate) mod life;
pub(crate) mod signing;

use std::sync::Arc;
use std::time::Instant;

use muster_protocol::mcmp::{Load, write};
use tokio::sync::watch;
use tracing::{debug, error, info, warn};

use crate::status::{BalancerState, Status};
use crate::wanted::Wanted;
use client::Client;
use life::{Action, Answer, Event, Life};

/// One balancer's task.
#[derive(Debug)]
pub(crate) struct Registrar {
    pub(crate) life: Life,
    pub(crate) client: Client,
    pub(crate) wanted: watch::Receiver<Wanted>,
    pub(crate) load: watch::Receiver<Load>,
    /// Changes with what the cluster's member has to say.
    pub(crate) news: Option<watch::Receiver<()>>,
    /// Where the status of all balancers stands.
    pub(crate) status: Arc<watch::Sender<Status>>,
    /// Whether the last message was answered, with whatever answer.
    pub(crate) answers: bool,
    /// So that a balancer that stays away is not a line in the log for each try.
    pub(crate) last_logged: Option<BalancerState>,
}

/// Now, by a clock that tests can hold.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Registrar {
    /// Runs until the node has left, or the agent is gone.
    pub(crate) async fn run(mut self) {
        loop {
            match self.life.next(now()) {
                Action::Send(command) => {
                    let message = write(&command);
                    let (answer, local) = self.client.exchange(&message).await;
                    self.answers = !matches!(answer, Answer::Lost(_));
                    debug!(
                        balancer = self.address(),
                        method = message.method,
                        body = message.body,
                        ?answer,
                        "told"
                    );
                    self.life.handle(Event::Answer(answer, local), now());
                }
                Action::Wait(until) => {
                    let Some(event) = self.event(until).await else { return };
                    if let Some(event) = event {
                        self.life.handle(event, now());
                    }
                }
                Action::End => {
                    self.publish();
                    return;
                }
            }
            // Between two messages of a long row, too: a stop does not wait for its end.
            if self.wanted.has_changed().unwrap_or(false) {
                let wanted = self.wanted.borrow_and_update().clone();
                self.life.handle(Event::Wanted(wanted), now());
            }
            self.publish();
        }
    }

    /// What happens first; `Some(None)` when just the time has come, `None` when nobody is left
    /// who could want anything.
    async fn event(&mut self, until: Option<Instant>) -> Option<Option<Event>> {
        let alarm = async {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        };
        let news = async {
            let is_there = match &mut self.news {
                Some(news) => news.changed().await.is_ok(),
                None => false,
            };
            if !is_there {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            changed = self.wanted.changed() => {
                changed.ok()?;
                Some(Some(Event::Wanted(self.wanted.borrow_and_update().clone())))
            }
            changed = self.load.changed() => {
                changed.ok()?;
                Some(Some(Event::Tick(*self.load.borrow_and_update())))
            }
            // Whoever waits for word of the others should not wait for a tick.
            () = news => Some(Some(Event::Tick(*self.load.borrow()))),
            () = self.client.closed() => Some(Some(Event::Closed)),
            () = alarm => Some(None),
        }
    }

    fn address(&self) -> &str {
        self.client.address()
    }

    /// Shows what has changed, and logs it once.
    fn publish(&mut self) {
        if let Some(note) = self.life.take_note() {
            info!(balancer = self.address(), "{note}");
        }
        let contexts = self.life.contexts();
        let state = self.life.state().clone();
        let mut has_new_state = false;
        self.status.send_if_modified(|status| {
            let address = self.client.address();
            let mut balancers = status.balancers.iter_mut();
            let Some(shown) = balancers.find(|shown| shown.address == address) else {
                return false;
            };
            has_new_state = shown.state != state;
            let is_changed =
                has_new_state || shown.contexts != contexts || shown.answers != self.answers;
            shown.answers = self.answers;
            shown.contexts = contexts;
            shown.state = state.clone();
            is_changed
        });
        let is_news =
            state != BalancerState::Registering && self.last_logged.as_ref() != Some(&state);
        if has_new_state && is_news {
            self.log(&state);
            self.last_logged = Some(state);
        }
    }

    fn log(&self, state: &BalancerState) {
        let balancer = self.address();
        match state {
            BalancerState::Registering => debug!(balancer, "registering"),
            BalancerState::Registered { id } => info!(balancer, id, "registered"),
            BalancerState::Unreachable => {
                warn!(balancer, "the balancer cannot reach this node");
            }
            BalancerState::Waiting { reason } => {
                warn!(balancer, reason, "not registered, trying again");
            }
            BalancerState::Refused { reason } => {
                error!(
                    balancer,
                    reason,
                    "the balancer calls a message of this node malformed; \
                    it is left alone until the configuration changes or a refresh"
                );
            }
            BalancerState::Left => info!(balancer, "left"),
        }
    }
}
