//! How nodes stand: STATUS, probes, failed connects, and the passing of time.

use muster_protocol::mcmp::{Address, Command, Load, Status};
use muster_protocol::names::Route;

use super::{ApplyError, Heard, Member, Outcome, Registry};
use crate::Moment;
use crate::health::{
    DOUBTED_WITHIN, Health, OUT_FOR_LONG, Probed, QUIET_AFTER, SILENT_AFTER, Timing,
};
use crate::load::SlowStart;
use crate::node::{Availability, Live, NodeId};
use crate::owner::Sender;

/// How long elections remember: the real ones close a window every 5 s.
const WINDOW: Moment = Moment::from_secs(5);

/// A probe that is due. Its result comes back by [`Registry::probed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOrder {
    /// Which node.
    pub id: NodeId,
    /// Where it answers.
    pub address: Address,
    /// The bound that the node set for it, or a shorter one; zero where there is none.
    pub within: Moment,
}

/// When a node was heard last, as far as its requests tell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LastHeard {
    at: Moment,
    answered: u64,
    elected: u64,
}

impl Registry {
    /// Notes what a STATUS says of its node's place in a cluster. Call it before the node is asked
    /// whether it answers: others that wait for word of it do not depend on that.
    pub fn seat(&mut self, sender: &Sender, command: &Command) {
        let Command::Status(Status { route: Some(route), .. }) = command else { return };
        let Some(id) = self.id(route).filter(|id| !self.members[id].is_static) else { return };
        if self.check_owner(route, Some(sender)).is_ok() {
            self.clusters.put(id, sender.seated.clone());
        }
    }

    pub(super) fn status(
        &mut self,
        status: &Status,
        by: Option<&Sender>,
        heard: &Heard,
        now: Moment,
    ) -> Result<Outcome, ApplyError> {
        let Some(route) = &status.route else { return Ok(Outcome::Alive(false)) };
        let id = self.id(route).ok_or_else(|| ApplyError::Unknown(route.clone()))?;
        self.check_owner(route, by)?;
        let member = self.member_mut(id);
        if !member.is_static {
            member.last_status = Some(now);
            member.sessions = by.and_then(|sender| sender.sessions);
            member.bound_sessions = by.and_then(|sender| sender.bound_sessions);
        }
        let probed = heard.of(id);
        if let Some(probed) = probed {
            self.found(id, probed, now);
        }
        let member = self.member_mut(id);
        // A node that is busy is told so, but stays in use until it is silent for longer.
        let alive = member.health.is_usable() && probed.is_none_or(|p| p == Probed::Answered);
        // The load of a static node is the configuration file's.
        if alive && status.load != Load::ProbeOnly && !member.is_static {
            member.load = Some(status.load);
        }
        self.settle(id, now);
        self.sees(id, by.and_then(|sender| sender.members.clone()), now);
        Ok(Outcome::Alive(alive))
    }

    /// A probe came back. Says whether the node is up now, if that has changed. Results for nodes
    /// that are gone are dropped.
    pub fn probed(&mut self, id: NodeId, probed: Probed, now: Moment) -> Option<bool> {
        let timing = self.timing;
        let member = self.members.get_mut(&id)?;
        let before = member.health.is_usable();
        member.probed_since = None;
        self.found(id, probed, now);
        let member = self.member_mut(id);
        member.next_probe = now + member.probe_after(&timing, now);
        let after = member.health.is_usable();
        self.settle(id, now);
        self.publish();
        (before != after).then_some(after)
    }

    /// A probe came back without a verdict, for want of a socket of our own: the node stands as it
    /// stood, and is looked at again.
    pub fn not_probed(&mut self, id: NodeId, now: Moment) {
        let timing = self.timing;
        let Some(member) = self.members.get_mut(&id) else { return };
        member.probed_since = None;
        member.next_probe = now + member.probe_after(&timing, now);
    }

    /// A request could not connect: the node is left out at once, and probed at once. Says
    /// whether it was in use until now.
    pub fn connect_failed(&mut self, id: NodeId, now: Moment) -> bool {
        let Some(member) = self.members.get_mut(&id) else { return false };
        let was_usable = member.health.is_usable();
        if was_usable {
            member.health = member.health.left_out(now);
            member.next_probe = now;
            self.settle(id, now);
            self.publish();
        }
        was_usable
    }

    /// Time passes: forgets nodes that are down for long or never answered, lets shares rise, closes the window of
    /// elections. Gives the probes that are due; call it a few times a second.
    pub fn tick(&mut self, now: Moment) -> Vec<ProbeOrder> {
        if now.saturating_sub(self.window_closed) >= WINDOW {
            self.window_closed = now;
            self.table.close_window();
        }
        for id in self.forgotten(now) {
            if self.forgotten.len() < self.limits.gone {
                self.forgotten.push(self.members[&id].config.route.clone());
            }
            self.remove(id);
        }
        for id in self.warming() {
            self.warm(id, now);
        }
        self.publish();
        self.due(now)
    }

    /// How often a node was left out so far while somebody may wait for it: who does looks again when
    /// it has risen ([`Live::is_left_out`]).
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Whether a probe is due that should not wait until time passes.
    pub fn take_haste(&mut self) -> bool {
        std::mem::take(&mut self.is_in_haste)
    }

    /// What a node's probe found, wherever it was asked.
    pub(super) fn found(&mut self, id: NodeId, probed: Probed, now: Moment) {
        let member = self.member_mut(id);
        member.health = match (probed, member.is_doubted) {
            (Probed::TimedOut, true) => member.health.left_out(now),
            (Probed::Answered | Probed::Refused, _) | (Probed::TimedOut, false) => {
                member.health.after(probed, now)
            }
        };
        let is_usable = member.health.is_usable();
        if is_usable && probed == Probed::Answered {
            member.is_doubted = false;
            member.heard = LastHeard::of(&member.live, now);
            member.live.set_left_out(member.is_cut_off);
        }
        // One that was heard a moment ago may be a process that has just taken a dead one's place: it
        // still answers what it has got, and what it has got shall not be done twice.
        let is_silent = now.saturating_sub(member.heard.at) >= SILENT_AFTER;
        if !is_usable && probed == Probed::TimedOut && is_silent && !member.live.is_left_out() {
            self.leave_out(id);
        }
    }

    /// Who waits for this node shall look elsewhere.
    pub(super) fn leave_out(&mut self, id: NodeId) {
        self.member_mut(id).live.set_left_out(true);
        self.left_out += 1;
    }

    /// Nodes that were forgotten since this was asked last.
    pub fn take_forgotten(&mut self) -> Vec<Route> {
        std::mem::take(&mut self.forgotten)
    }

    fn forgotten(&self, now: Moment) -> Vec<NodeId> {
        let is_forgotten = |(_, member): &(&NodeId, &Member)| {
            !member.is_static && member.is_forgotten(&self.timing, now)
        };
        self.members.iter().filter(is_forgotten).map(|(id, _)| *id).collect()
    }

    fn warming(&self) -> Vec<NodeId> {
        let is_warming = |(_, member): &(&NodeId, &Member)| member.warming.is_some();
        self.members.iter().filter(is_warming).map(|(id, _)| *id).collect()
    }

    fn warm(&mut self, id: NodeId, now: Moment) {
        let member = self.member_mut(id);
        if member.warming.is_some_and(|warming| warming.is_over(now)) {
            member.warming = None;
        }
        self.settle(id, now);
    }

    fn due(&mut self, now: Moment) -> Vec<ProbeOrder> {
        let mut orders = Vec::new();
        for (id, member) in &mut self.members {
            let is_quiet = member.is_quiet(now);
            if (member.next_probe > now && !is_quiet) || member.probed_since.is_some() {
                continue;
            }
            if !member.is_doubted && member.has_just_answered() {
                member.next_probe = now + self.timing.probe_interval;
            } else {
                member.probed_since = Some(now);
                let config = &member.effective;
                let within = match member.is_doubted {
                    true if config.ping.is_zero() => DOUBTED_WITHIN,
                    true => config.ping.min(DOUBTED_WITHIN),
                    false => config.ping,
                };
                orders.push(ProbeOrder { id: *id, address: config.address.clone(), within });
            }
        }
        orders
    }

    /// Publishes what a node may be used for now, if that has changed. Who becomes usable while
    /// others are under way warms up.
    pub(super) fn settle(&mut self, id: NodeId, now: Moment) {
        let member = &self.members[&id];
        let before = member.node.as_ref().map_or(Availability::Unusable, |n| n.availability);
        let after = member.availability(now);
        if before == after {
            return;
        }
        let joins = before == Availability::Unusable;
        if joins && self.is_under_way(id) {
            let lasts = self.timing.slow_start;
            self.member_mut(id).warming = SlowStart::begin(now, lasts);
        }
        if after == Availability::Unusable {
            self.member_mut(id).warming = None;
        }
        self.restand(id, now);
    }

    /// Whether a node other than this one carries traffic.
    fn is_under_way(&self, id: NodeId) -> bool {
        self.members.iter().any(|(other, member)| {
            *other != id && member.health == Health::Up && member.live.elected() > 0
        })
    }
}

// === impl Member ===

impl Member {
    /// Whether it is up and has got requests, but for a while no answer has come from it: it is
    /// asked before its time.
    fn is_quiet(&mut self, now: Moment) -> bool {
        let heard = LastHeard::of(&self.live, now);
        if heard.answered != self.heard.answered || self.live.in_flight() == 0 {
            self.heard = heard;
        }
        self.health == Health::Up
            && heard.elected > self.heard.elected
            && now.saturating_sub(self.heard.at) >= QUIET_AFTER
    }

    /// Who answers requests need not be asked whether it is there.
    fn has_just_answered(&mut self) -> bool {
        let answered = self.live.answered();
        let before = std::mem::replace(&mut self.answered, answered);
        self.health == Health::Up && answered > before
    }

    /// How long ago its last STATUS came, or where none did, its registration.
    pub(super) fn silence(&self, now: Moment) -> Moment {
        now.saturating_sub(self.last_status.unwrap_or(self.since))
    }

    /// Down for long, or never there since it registered.
    fn is_forgotten(&self, timing: &Timing, now: Moment) -> bool {
        self.is_out_for(timing.forget_after, now)
    }

    fn is_out_for(&self, time: Moment, now: Moment) -> bool {
        let since = self.health.out_since(self.since);
        since.is_some_and(|since| now.saturating_sub(since) >= time)
    }

    /// A node that reports nothing for long is looked at as often as one that is down; one that is
    /// out for long, less often.
    fn probe_after(&self, timing: &Timing, now: Moment) -> Moment {
        if self.is_out_for(OUT_FOR_LONG, now) {
            return timing.probe_interval.max(timing.revive_interval);
        }
        let silence = self.last_status.map(|then| now.saturating_sub(then));
        match silence.is_some_and(|silence| silence >= timing.silent_after) {
            true => timing.revive_interval,
            false => self.health.probe_after(timing),
        }
    }
}

// === impl LastHeard ===

impl LastHeard {
    fn of(live: &Live, now: Moment) -> LastHeard {
        LastHeard { at: now, answered: live.answered(), elected: live.elected() }
    }
}
