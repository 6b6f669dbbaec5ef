//! Membership and grid in one state machine: what a shell drives, and what the simulation drives
//! in its place.

use crate::batch::{Reply, Request, Rev};
use crate::grid::{Grid, Limits, Out};
use crate::message::Message;
use crate::placement::Rendezvous;
use crate::rules::Rules;
use crate::segment::Bytes;
use crate::shelf::Shelved;
use crate::watch::Changes;
use muster_cluster::config::ConfigError;
use muster_cluster::{
    Config, Durable, Epoch, MemberId, Membership, Moment, NodeId, Refusal, RowSet, View,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Between two members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Wire {
    /// About views.
    Cluster(Box<muster_cluster::Message>),
    /// About rows.
    Grid(Message),
}

/// What happens to a member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A message came.
    Wire {
        /// From whom.
        from: MemberId,
        /// What.
        wire: Wire,
    },
    /// Something about membership. `Event::Tick` of it is for both.
    Cluster(muster_cluster::Event),
    /// Something is asked.
    Request {
        /// Returned with the answer.
        id: u64,
        /// What.
        request: Request,
        /// It is answered by then.
        deadline: Moment,
    },
    /// The same of this member alone, while it leads the row: see [`Grid::request_led`].
    Led {
        /// Returned with the answer.
        id: u64,
        /// What.
        request: Request,
        /// Since when it leads the row.
        reign: Epoch,
        /// It is answered by then.
        deadline: Moment,
    },
    /// There is a link to a node again, or for the first time: what was said on an earlier one,
    /// there or back, may be lost.
    Linked(NodeId),
}

/// What the shell must do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Write to disk, and wait until it stands there, before any later action.
    Persist(Box<Durable>),
    /// Send.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        wire: Wire,
    },
    /// A request is done.
    Reply {
        /// Its number.
        id: u64,
        /// The answer.
        reply: Reply,
    },
    /// Dial once more, and say what came of it.
    Redial(MemberId),
    /// A view stands: for listeners.
    View(Arc<View>),
    /// This member has lost its view and lives on as this: its channel must say so.
    Renewed(MemberId),
    /// Enough voters are in sight, or not any more.
    Quorate(bool),
    /// A lease could not be renewed in time: what it guards must stop.
    LeaseLost {
        /// Its name.
        name: Bytes,
        /// Its token.
        token: Rev,
    },
    /// A group of a watched cache has changed.
    Changed(Changes),
    /// A copy's values went to the shelf or came back, or the shelf failed: the last is to be told
    /// loudly.
    Shelved(Shelved),
    /// Rows that begin empty although they had owners: to be told loudly.
    Lost(RowSet),
    /// This member cannot come in.
    Refused(Refusal),
    /// An operator's wish was not granted.
    NotGranted(Refusal),
    /// This member may stop.
    Left,
}

/// One member.
pub struct Core {
    membership: Membership,
    grid: Grid,
    actions: VecDeque<Action>,
}

impl Core {
    /// A member that starts, with what stood on its disk.
    ///
    /// # Errors
    /// When a setting is out of bounds.
    pub fn new(
        config: Config,
        durable: Durable,
        limits: Limits,
        rules: Rules,
        now: Moment,
    ) -> Result<Self, ConfigError> {
        let grid = Grid::new(config.id, limits, rules, durable.promised);
        let membership = Membership::new(config, durable, Box::new(Rendezvous), now)?;
        let mut core = Self { membership, grid, actions: VecDeque::new() };
        core.drain(now);
        Ok(core)
    }

    /// The membership.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The data.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The data, to set policies, or to be damaged by a test.
    pub fn grid_mut(&mut self) -> &mut Grid {
        &mut self.grid
    }

    /// Takes an event.
    pub fn handle(&mut self, event: Event, now: Moment) {
        match event {
            Event::Wire { from, wire: Wire::Cluster(message) } => {
                let message = *message;
                self.membership.handle(muster_cluster::Event::Message { from, message }, now);
            }
            Event::Wire { from, wire: Wire::Grid(message) } => {
                self.grid.message(from, message, now);
            }
            Event::Cluster(event) => {
                let is_tick = event == muster_cluster::Event::Tick;
                self.membership.handle(event, now);
                if is_tick {
                    self.drain(now);
                    self.grid.tick(now);
                }
            }
            Event::Request { id, request, deadline } => {
                self.grid.request(id, request, deadline, now);
            }
            Event::Led { id, request, reign, deadline } => {
                self.grid.request_led(id, request, reign, deadline, now);
            }
            Event::Linked(node) => self.grid.linked(node),
        }
        self.grid.make_room(now);
        self.drain(now);
    }

    /// The next thing to be done.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Carries each half's words to the other, until both are silent. The grid's are heard first:
    /// a promise must speak of the rows as they are.
    fn drain(&mut self, now: Moment) {
        loop {
            if let Some(out) = self.grid.poll() {
                self.grid_says(out, now);
            } else if let Some(action) = self.membership.poll_action() {
                self.membership_says(action, now);
            } else {
                return;
            }
        }
    }

    fn grid_says(&mut self, out: Out, now: Moment) {
        use muster_cluster::Event;
        match out {
            Out::Send { to, message } => {
                self.actions.push_back(Action::Send { to, wire: Wire::Grid(message) });
            }
            Out::Reply { id, reply } => self.actions.push_back(Action::Reply { id, reply }),
            Out::Complete(rows) => self.membership.handle(Event::Complete(rows), now),
            Out::Late(node) => self.membership.handle(Event::Late(node), now),
            Out::LeaseLost { name, token } => {
                self.actions.push_back(Action::LeaseLost { name, token });
            }
            Out::Changed(changes) => self.actions.push_back(Action::Changed(changes)),
            Out::Shelved(shelved) => self.actions.push_back(Action::Shelved(shelved)),
        }
    }

    fn membership_says(&mut self, action: muster_cluster::Action, now: Moment) {
        use muster_cluster::Action as From;
        let action = match action {
            From::Persist(durable) => Action::Persist(Box::new(durable)),
            From::Send { to, message } => {
                Action::Send { to, wire: Wire::Cluster(Box::new(message)) }
            }
            From::Redial(id) => Action::Redial(id),
            From::Fence(epoch) => return self.grid.fence(epoch),
            From::Install(view) => {
                self.grid.install(&view, now);
                Action::View(view)
            }
            From::GiveUp { id, offer } => {
                self.grid.give_up(id, offer, now);
                Action::Renewed(id)
            }
            From::Quorate(is_quorate) => {
                self.grid.quorate(is_quorate, now);
                Action::Quorate(is_quorate)
            }
            From::Dead(id) => return self.grid.dead(id),
            From::Refused(why) => Action::Refused(why),
            From::NotGranted(why) => Action::NotGranted(why),
            From::Left => Action::Left,
            From::Lost(rows) => Action::Lost(rows),
        };
        self.actions.push_back(action);
    }
}
