//! The other half of the life: what to do now, and in which words.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use muster_protocol::mcmp::{
    App, Command, NodeConfig, Scope, Status as StatusCommand, Verb, VirtualHost,
};
use muster_protocol::names::ContextPath;

use super::mount::{Mount, Step};
use super::{Action, Life, Phase, Sent};
use crate::status::{BalancerState, ContextState};

impl Life {
    /// What to do now. Must not be called while a command is under way.
    pub(crate) fn next(&mut self, now: Instant) -> Action {
        debug_assert!(self.under_way.is_none(), "one command at a time");
        if self.leaving_by.is_some() && !matches!(self.phase, Phase::Registered | Phase::Ended) {
            self.phase = Phase::Leaving;
        }
        match self.phase {
            Phase::Resting { until } if now < until => Action::Wait(Some(until)),
            Phase::Refused => Action::Wait(None),
            Phase::Resting { .. } => {
                self.again();
                self.send(Sent::Info)
            }
            Phase::Greeting | Phase::Checking => self.send(Sent::Info),
            Phase::Configuring => self.send(Sent::Config),
            Phase::Registered => self.next_registered(now),
            Phase::Leaving if self.is_known => self.send(Sent::Leave),
            Phase::Leaving => {
                self.end(true);
                Action::End
            }
            Phase::Ended => Action::End,
        }
    }

    fn next_registered(&mut self, now: Instant) -> Action {
        let is_leaving = self.leaving_by.is_some();
        if !is_leaving && !self.obsolete.is_empty() {
            return self.send(Sent::Obsolete);
        }
        if self.status_again.is_some_and(|at| now >= at) {
            (self.is_status_due, self.status_again) = (true, None);
        }
        let mut wake = self.status_again;
        let mut due = None;
        for (path, mount) in &mut self.mounts {
            match mount.next(now) {
                Step::Nothing => {}
                Step::Wait(until) => wake = Some(wake.map_or(until, |wake| wake.min(until))),
                Step::Tell(verb) => {
                    due = Some((verb, path.clone()));
                    break;
                }
            }
        }
        match due {
            Some((verb, path)) => self.send(Sent::App(verb, path)),
            None if is_leaving && self.mounts.values().all(Mount::is_done) => {
                self.phase = Phase::Leaving;
                self.send(Sent::Leave)
            }
            None if self.is_status_due => self.send(Sent::Status),
            None => Action::Wait(wake),
        }
    }

    fn send(&mut self, sent: Sent) -> Action {
        let command = self.command(&sent);
        // Whatever becomes of it: the balancer may know the node from now on.
        self.is_known |= sent == Sent::Config;
        self.is_status_due &= sent != Sent::Status;
        self.under_way = Some(sent);
        Action::Send(command)
    }

    fn command(&self, sent: &Sent) -> Command {
        let route = self.plan.config.route.clone();
        let app = |verb, scope| Command::App(App { verb, route: route.clone(), scope });
        match sent {
            Sent::Info => Command::Info,
            Sent::Config => Command::Config(Box::new(self.config())),
            Sent::Obsolete => match self.obsolete.front() {
                Some(host) => app(Verb::Remove, Scope::Contexts(host.clone())),
                None => Command::Info,
            },
            Sent::App(verb, path) => {
                let (aliases, contexts) = (self.plan.aliases.clone(), vec![path.clone()]);
                app(*verb, Scope::Contexts(VirtualHost { aliases, contexts }))
            }
            Sent::Status => Command::Status(StatusCommand { route: Some(route), load: self.load }),
            Sent::Leave => app(Verb::Remove, Scope::Node),
        }
    }

    fn config(&self) -> NodeConfig {
        let mut config = self.plan.config.clone();
        let local = self.local.filter(|_| self.plan.host_from_connection);
        let host = local.map(|ip| match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        });
        if let Some(host) = host.and_then(|host| host.parse().ok()) {
            config.address.host = host;
        }
        config
    }

    /// How the node stands with its balancer.
    pub(crate) fn state(&self) -> &BalancerState {
        &self.state
    }

    /// How each context stands with it.
    pub(crate) fn contexts(&self) -> BTreeMap<ContextPath, ContextState> {
        self.mounts.iter().map(|(path, mount)| (path.clone(), mount.told)).collect()
    }

    /// What is worth a line in the log, once.
    pub(crate) fn take_note(&mut self) -> Option<String> {
        self.note.take()
    }
}
