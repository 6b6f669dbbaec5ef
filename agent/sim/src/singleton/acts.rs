//! What a member's machine wants done, and the world does: words, tries for the lease, bodies.

use std::time::Duration;

use muster_cluster::MemberId;
use muster_singleton::Action;

use super::{Body, LEASE, Machine, Mail, World};

impl World {
    pub(super) fn perform(&mut self, at: usize) {
        while let Some(action) = self.machines[at].as_mut().and_then(|m| m.singleton.poll_action())
        {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let (now, life) = (self.now, self.life(at));
        match action {
            Action::Tell { to, word } if !self.loses() => {
                let after = Duration::from_millis(self.chance.u64(1..40));
                self.mail.push((now + after, Mail::Word { from: at, to, by: life, word }));
            }
            Action::Tell { to, word } => self.answer(at, to, word.version, None),
            Action::Offer(offers) => self.change(at, |machine| machine.offers = offers),
            Action::Ask => {
                let after = Duration::from_millis(self.chance.u64(1..300));
                self.mail.push((now + after, Mail::Ask { from: at, life }));
            }
            Action::Resign(token) => {
                self.change(at, |machine| {
                    machine.held = machine.held.filter(|held| held.token != token);
                });
                if self.reaches_leases(at) && self.lease.holder == Some((life, token)) {
                    self.lease.holder = None;
                }
            }
            Action::Start(token) => self.start(at, token),
            Action::Stop(token) => {
                let is_quick = self.chance.u8(0..10) > 0;
                let after = match is_quick {
                    true => Duration::from_millis(self.chance.u64(1..150)),
                    // It hangs, and ends when it is cut off.
                    false => Duration::from_secs(3_600),
                };
                self.change(at, |machine| {
                    machine.body = machine.body.map(|body| match body.token == token {
                        true => Body { ends: Some(now + after), ..body },
                        false => body,
                    });
                });
            }
            Action::CutOff(_) => {
                self.story.cut_off += 1;
                self.change(at, |machine| {
                    machine.body = machine.body.map(|body| Body { ends: Some(now), ..body });
                });
            }
            Action::Note(_) | Action::Closed => {}
        }
    }

    /// A call whose answer is lost, or that nobody hears, counts as not taken when its time is over.
    pub(super) fn answer(&mut self, to: usize, by: MemberId, version: u64, is_taken: Option<bool>) {
        let is_lost = is_taken.is_none() || self.loses();
        let after = match is_lost {
            true => LEASE,
            false => Duration::from_millis(self.chance.u64(1..40)),
        };
        let is_taken = is_taken.is_some_and(|is_taken| is_taken && !is_lost);
        self.mail.push((self.now + after, Mail::Answer { to, by, version, is_taken }));
    }

    fn change(&mut self, at: usize, work: impl FnOnce(&mut Machine)) {
        if let Some(machine) = &mut self.machines[at] {
            work(machine);
        }
    }

    fn start(&mut self, at: usize, token: u128) {
        self.story.starts += 1;
        let others = self.running();
        if !others.is_empty() {
            self.wrong(&format!("{at} starts while {others:?} runs it"));
        }
        if token <= self.last_token {
            self.wrong(&format!("token {token} is not greater than {}", self.last_token));
        }
        self.last_token = token;
        self.change(at, |machine| machine.body = Some(Body { token, ends: None }));
    }
}
