//! The asker's side: a request finds its primary, is tried again as long as it certainly did not
//! happen, and is answered by its deadline.

use super::{Ask, Asker, Caller, Grid, Out};
use crate::batch::{LeaseWish, Reply, Request, TooLarge};
use crate::bounds::{MOST_KEY, MOST_OPS, MOST_VALUE};
use crate::message::Message;
use muster_cluster::{MemberId, Moment};
use std::time::Duration;

/// How long the grid tries to give one group to the other side of a split.
const MERGE_DEADLINE: Duration = Duration::from_secs(10);
/// Groups that are given to the other side at the same time.
const MOST_OFFERED: usize = 64;

impl Grid {
    /// Something is asked, to be answered by a deadline.
    pub fn request(&mut self, id: u64, request: Request, deadline: Moment, now: Moment) {
        if let Err(why) = self.check_size(&request) {
            return self.out.push_back(Out::Reply { id, reply: Reply::TooLarge(why) });
        }
        if self.asks.len() >= self.limits.most_asks {
            return self.out.push_back(Out::Reply { id, reply: Reply::Busy });
        }
        if let Request::Lease { name, wish: LeaseWish::Resign(_) } = &request {
            // Not held any more from the moment that the wish is spoken.
            self.holding.lost(name);
        }
        self.begin(Caller::Client(id), request, deadline, now);
    }

    fn begin(&mut self, caller: Caller, request: Request, deadline: Moment, now: Moment) {
        let ask = Ask { caller, request, deadline, begun: now, sent: None, again_at: now };
        self.dispatch(ask, now);
    }

    fn check_size(&self, request: &Request) -> Result<(), TooLarge> {
        let name = |bytes: &[u8]| match bytes.len() {
            len if len > MOST_KEY => Err(TooLarge::Name(len)),
            _ => Ok(()),
        };
        name(&request.group().name)?;
        let Request::Write(batch) = request else { return Ok(()) };
        if batch.ops.len() > MOST_OPS {
            return Err(TooLarge::Ops(batch.ops.len()));
        }
        for op in &batch.ops {
            name(&op.key)?;
            let size = op.put.as_ref().map_or(0, |put| put.value.len());
            let most = self.limits.most_value.min(MOST_VALUE);
            if size > most {
                return Err(TooLarge::Value(size, most));
            }
        }
        Ok(())
    }

    /// Sends a request to its primary, under a number that is used once.
    fn dispatch(&mut self, mut ask: Ask, now: Moment) {
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        ask.begun = now;
        ask.sent = None;
        ask.again_at = now + self.limits.again;
        let Some(view) = self.view.clone() else {
            self.asks.insert(attempt, ask);
            return;
        };
        if !self.is_quorate && ask.caller != Caller::Merge {
            return self.finish(&ask, Reply::NotQuorate);
        }
        let row = ask.request.group().row(&view);
        if let Request::GetLocal(group) = &ask.request
            && view.epoch == self.promised
            && self.is_complete(row)
        {
            let entries = self.store(row).map(|store| store.entries(group)).unwrap_or_default();
            return self.finish(&ask, Reply::Entries(entries));
        }
        let Some(primary) = view.primary(row) else {
            self.asks.insert(attempt, ask);
            return;
        };
        ask.sent = Some(primary);
        let request = ask.request.clone();
        self.asks.insert(attempt, ask);
        if primary == self.me {
            self.execute(Asker { member: self.me, attempt }, request, now);
        } else {
            self.send(primary.node, Message::Ask { attempt, request });
        }
    }

    /// An answer came; `from` is none when it is our own.
    pub(super) fn answered(
        &mut self,
        from: Option<MemberId>,
        attempt: u64,
        reply: Reply,
        now: Moment,
    ) {
        let Some(ask) = self.asks.get_mut(&attempt) else { return };
        let asked = ask.sent.is_some_and(|to| to.node == from.unwrap_or(self.me).node);
        if !asked {
            return;
        }
        let again = matches!(reply, Reply::Retry | Reply::Locked)
            || (reply == Reply::Unknown && ask.request.is_repeatable());
        if again && now < ask.deadline {
            ask.sent = None;
            ask.again_at = now + self.limits.again;
            return;
        }
        let Some(ask) = self.asks.remove(&attempt) else { return };
        let reply = if reply == Reply::Retry { Reply::Unavailable } else { reply };
        self.note_lease(&ask, &reply);
        self.finish(&ask, reply);
    }

    /// The holder's side of a lease: it counts from when it asked.
    fn note_lease(&mut self, ask: &Ask, reply: &Reply) {
        let Request::Lease { name, wish } = &ask.request else { return };
        match reply {
            Reply::Leased(token) if !matches!(wish, LeaseWish::Resign(_)) => {
                self.holding.renewed(name.clone(), *token, ask.begun, self.limits.hold);
            }
            Reply::NotHeld | Reply::Held(_) => self.holding.lost(name),
            _ => {}
        }
    }

    fn finish(&mut self, ask: &Ask, reply: Reply) {
        match ask.caller {
            Caller::Client(id) => self.out.push_back(Out::Reply { id, reply }),
            Caller::Merge => {
                if let (Reply::Unavailable | Reply::Unknown, Request::Merge { group, entries }) =
                    (reply, &ask.request)
                {
                    self.offers.push_back((group.clone(), entries.clone()));
                }
            }
        }
    }

    /// Deadlines, and requests whose time to be tried again has come.
    pub(super) fn dispatch_waiting(&mut self, now: Moment, all: bool) {
        let due: Vec<u64> = (self.asks.iter())
            .filter(|(_, ask)| {
                now >= ask.deadline || (ask.sent.is_none() && (all || now >= ask.again_at))
            })
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in due {
            let Some(ask) = self.asks.remove(&attempt) else { continue };
            if now < ask.deadline {
                self.dispatch(ask, now);
            } else {
                let certain = ask.sent.is_none();
                let reply = if certain { Reply::Unavailable } else { Reply::Unknown };
                self.finish(&ask, reply);
            }
        }
    }

    /// A new view: who has left will not answer.
    pub(super) fn after_view(&mut self, now: Moment) {
        let view = self.view.clone();
        let lost: Vec<u64> = (self.asks.iter())
            .filter(|(_, ask)| {
                ask.sent.is_some_and(|to| view.as_ref().is_none_or(|view| !view.has(to)))
            })
            .map(|(attempt, _)| *attempt)
            .collect();
        for attempt in lost {
            let Some(mut ask) = self.asks.remove(&attempt) else { continue };
            if ask.request.is_repeatable() {
                ask.sent = None;
                self.asks.insert(attempt, ask);
            } else {
                self.finish(&ask, Reply::Unknown);
            }
        }
        self.dispatch_waiting(now, true);
    }

    /// Gives what the other side does not have, some groups at a time.
    pub(super) fn offer(&mut self, now: Moment) {
        if self.view.is_none() || self.offers.is_empty() {
            return;
        }
        let out = self.asks.values().filter(|ask| ask.caller == Caller::Merge).count();
        for _ in out..MOST_OFFERED {
            let Some((group, entries)) = self.offers.pop_front() else { return };
            let request = Request::Merge { group, entries };
            self.begin(Caller::Merge, request, now + MERGE_DEADLINE, now);
        }
    }

    /// How many groups are still to be given to the other side.
    #[must_use]
    pub fn offered(&self) -> usize {
        self.offers.len() + self.asks.values().filter(|ask| ask.caller == Caller::Merge).count()
    }
}
