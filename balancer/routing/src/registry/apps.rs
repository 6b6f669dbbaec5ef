//! ENABLE-APP, DISABLE-APP, STOP-APP and REMOVE-APP.

use muster_protocol::mcmp::{App, Scope, Verb, VirtualHost};

use super::{ApplyError, Outcome, Registry};
use crate::Moment;
use crate::context::ContextState;
use crate::node::NodeId;

impl Registry {
    pub(super) fn apply_verb(&mut self, app: &App, now: Moment) -> Result<Outcome, ApplyError> {
        let Some(id) = self.id(&app.route) else {
            return match app.verb {
                Verb::Remove => Ok(Outcome::Done),
                Verb::Enable | Verb::Disable | Verb::Stop => {
                    Err(ApplyError::Unknown(app.route.clone()))
                }
            };
        };
        match (&app.scope, ContextState::after(app.verb)) {
            (Scope::Node, None) => self.remove_node(id),
            (Scope::Node, Some(state)) => {
                self.member_mut(id).hosts.set_all(state);
                self.refresh(id, now);
                Ok(Outcome::Done)
            }
            (Scope::Contexts(message), None) => {
                self.check_own(id)?;
                self.farewell(&app.route, Some(message));
                self.member_mut(id).held = self.held(&app.route);
                self.change_hosts(id, now, |hosts| hosts.remove(message));
                Ok(Outcome::Done)
            }
            (Scope::Contexts(message), Some(state)) => {
                self.check_contexts(&self.members[&id].hosts, Some(message), 0)?;
                self.change_hosts(id, now, |hosts| hosts.set(message, state));
                match state {
                    ContextState::Stopped => {
                        Ok(Outcome::Stopped { requests: self.requests_of(id, message) })
                    }
                    ContextState::Enabled | ContextState::Disabled => Ok(Outcome::Done),
                }
            }
        }
    }

    fn remove_node(&mut self, id: NodeId) -> Result<Outcome, ApplyError> {
        self.check_own(id)?;
        let route = self.members[&id].config.route.clone();
        self.farewell(&route, None);
        self.remove(id);
        Ok(Outcome::Done)
    }

    /// What the configuration file says is not MCMP's to remove; to stop it is an operator's right.
    fn check_own(&self, id: NodeId) -> Result<(), ApplyError> {
        let member = &self.members[&id];
        match member.is_static {
            true => Err(ApplyError::Static(member.config.route.clone())),
            false => Ok(()),
        }
    }

    /// How many requests of these contexts are at the node now: what a drain still waits for.
    pub fn requests_at(&self, app: &App) -> u64 {
        match (self.id(&app.route), &app.scope) {
            (Some(id), Scope::Contexts(message)) => self.requests_of(id, message),
            (Some(id), Scope::Node) => u64::from(self.members[&id].live.in_flight()),
            (None, _) => 0,
        }
    }

    fn requests_of(&self, id: NodeId, message: &VirtualHost) -> u64 {
        let slots = &self.members[&id].slots;
        let in_flight = |path| slots.get(path).map_or(0, |slot| u64::from(slot.in_flight()));
        message.contexts.iter().map(in_flight).sum()
    }

    fn change_hosts(
        &mut self,
        id: NodeId,
        now: Moment,
        change: impl FnOnce(&mut crate::context::Hosts),
    ) {
        let use_alias = self.table.use_alias;
        let hosts = &mut self.member_mut(id).hosts;
        let before = hosts.key_count(use_alias);
        change(hosts);
        let after = hosts.key_count(use_alias);
        self.contexts = self.contexts - before + after;
        self.refresh(id, now);
    }
}
