//! The asker's side: a request finds its primary, is tried again as long as it certainly did not
//! happen, and is answered by its deadline.

use super::state::Asker;
use super::{Grid, Out};
use crate::batch::{LeaseWish, Reply, Request, TooLarge};
use crate::bounds::{MOST_KEY, MOST_OPS, MOST_VALUE};
use crate::message::Message;
use muster_cluster::{Epoch, MemberId, Moment};
use std::sync::Arc;

/// Whose request it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Caller {
    Client(u64),
    /// The grid itself, giving its data to the other side of a split.
    Merge,
    /// The grid itself: nobody waits for it any more, but a checkout must be given back.
    GiveBack,
}

/// A request of this member under way.
pub(super) struct Ask {
    pub(super) caller: Caller,
    pub(super) request: Arc<Request>,
    pub(super) deadline: Moment,
    /// When it was asked.
    asked: Moment,
    /// When the attempt that is under way was begun.
    pub(super) begun: Moment,
    /// Where it is; none: it waits.
    pub(super) sent: Option<MemberId>,
    /// When it is tried again, or, where it was sent and not answered, asked again.
    pub(super) again_at: Moment,
    /// It waits because another has the group.
    is_locked: bool,
    /// Only here, and only while this member leads the row since this epoch.
    only: Option<Epoch>,
}

impl Grid {
    /// Something is asked, to be answered by a deadline.
    pub fn request(&mut self, id: u64, request: Request, deadline: Moment, now: Moment) {
        self.request_under(id, request, None, deadline, now);
    }

    /// The same, of this member alone and while it leads the row since this epoch, see
    /// [`Grid::reign`]. `Unavailable` when it does not: nothing was changed. `Unknown` when that ended
    /// while it was under way.
    pub fn request_led(
        &mut self,
        id: u64,
        request: Request,
        reign: Epoch,
        deadline: Moment,
        now: Moment,
    ) {
        self.request_under(id, request, Some(reign), deadline, now);
    }

    fn request_under(
        &mut self,
        id: u64,
        request: Request,
        only: Option<Epoch>,
        deadline: Moment,
        now: Moment,
    ) {
        if let Err(why) = self.check_size(&request) {
            return self.out.push_back(Out::Reply { id, reply: Reply::TooLarge(why) });
        }
        if self.asks.len() >= self.limits.most_asks {
            return self.out.push_back(Out::Reply { id, reply: Reply::Busy });
        }
        if let Request::Lease { name, wish: LeaseWish::Resign(token) } = &request {
            // Not held any more from the moment that the wish is spoken.
            self.holding.resign(name, *token);
        }
        let ask = Ask::new(Caller::Client(id), request, only, deadline, now);
        self.dispatch(ask, now);
    }

    pub(super) fn begin(
        &mut self,
        caller: Caller,
        request: Request,
        deadline: Moment,
        now: Moment,
    ) {
        self.dispatch(Ask::new(caller, request, None, deadline, now), now);
    }

    fn check_size(&self, request: &Request) -> Result<(), TooLarge> {
        let name = |bytes: &[u8]| match bytes.len() {
            len if len > MOST_KEY => Err(TooLarge::Name(len)),
            _ => Ok(()),
        };
        let batch = match request {
            Request::Write(batch) => batch,
            Request::Get(group)
            | Request::GetLocal(group)
            | Request::Checkout { group, .. }
            | Request::Release(group, _)
            | Request::Merge { group, .. } => return name(&group.name),
            Request::Lease { name: of, .. } => return name(of),
            Request::Scan { after, .. } => {
                return after.as_ref().map_or(Ok(()), |after| name(after));
            }
        };
        name(&batch.group.name)?;
        if batch.ops.len() > MOST_OPS {
            return Err(TooLarge::Ops(batch.ops.len()));
        }
        let most = self.limits.most_value.min(MOST_VALUE);
        let mut all = 0_usize;
        for op in &batch.ops {
            name(&op.key)?;
            let size = op.put.as_ref().map_or(0, |put| put.value.len());
            if size > most {
                return Err(TooLarge::Value(size, most));
            }
            all += op.key.len() + size;
        }
        if all > self.limits.most_batch {
            return Err(TooLarge::Batch(all, self.limits.most_batch));
        }
        Ok(())
    }

    /// Sends a request to its primary, under a number that is used once.
    pub(super) fn dispatch(&mut self, mut ask: Ask, now: Moment) {
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        ask.begun = now;
        ask.sent = None;
        ask.again_at = now + self.limits.again;
        let Some(view) = &self.view else {
            self.asks.insert(attempt, ask);
            return;
        };
        if !self.is_quorate && ask.is_clients() {
            self.finish(&ask, Reply::NotQuorate);
            return self.outlive(attempt, ask, now);
        }
        let row = ask.request.row(view);
        if ask.only.is_some() && ask.only != self.reign(row) {
            return self.finish(&ask, Reply::Unavailable);
        }
        let primary = view.primary(row);
        if let Request::GetLocal(group) = &*ask.request
            && view.epoch == self.promised
            && self.is_complete(row)
        {
            let (group, is_warm) = (group.clone(), self.warm(row, group, now).is_ok());
            if is_warm {
                let entries = self.store(row).map(|store| store.entries_at(&group, now));
                return self.finish(&ask, Reply::Entries(entries.unwrap_or_default()));
            }
        }
        let Some(primary) = primary else {
            self.asks.insert(attempt, ask);
            return;
        };
        (ask.sent, ask.again_at) = (Some(primary), now + self.limits.unanswered);
        ask.wait_no_longer_than_asked(now);
        let request = ask.request.clone();
        self.asks.insert(attempt, ask);
        if primary == self.me {
            self.execute(Asker { member: self.me, attempt }, &request, now);
        } else {
            self.send(primary.node, Message::Ask { attempt, life: primary.incarnation, request });
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
        if ask.is_tried_again_after(&reply) && now < ask.deadline {
            ask.sent = None;
            ask.again_at = now + self.limits.again;
            ask.is_locked = reply == Reply::Locked;
            return;
        }
        let Some(ask) = self.asks.remove(&attempt) else { return };
        let reply = if reply == Reply::Retry { Reply::Unavailable } else { reply };
        self.note_lease(&ask, &reply);
        self.give_back_late(&ask, &reply, now);
        self.finish(&ask, reply);
    }

    /// The holder's side of a lease: it counts from when it asked.
    fn note_lease(&mut self, ask: &Ask, reply: &Reply) {
        let Request::Lease { name, wish } = &*ask.request else { return };
        match reply {
            Reply::Leased(token) if !matches!(wish, LeaseWish::Resign(_)) => {
                self.holding.renewed(name.clone(), *token, ask.begun, self.limits.hold);
            }
            Reply::NotHeld => match wish {
                LeaseWish::Renew(token) | LeaseWish::Resign(token) => {
                    self.holding.lost_token(name, *token);
                }
                LeaseWish::Campaign => self.holding.lost(name),
            },
            Reply::Held(_) => self.holding.lost(name),
            _ => {}
        }
    }

    fn finish(&mut self, ask: &Ask, reply: Reply) {
        match ask.caller {
            Caller::Client(id) => self.out.push_back(Out::Reply { id, reply }),
            Caller::Merge => self.offered_one(&ask.request, &reply),
            Caller::GiveBack => {}
        }
    }

    /// Deadlines, and requests whose time to be tried again has come.
    pub(super) fn dispatch_waiting(&mut self, now: Moment, all: bool) {
        let lost = self.quorum_lost.map(|since| since + self.limits.without_quorum);
        let is_alone = lost.is_some_and(|patience| now >= patience);
        let is_over = |ask: &Ask| {
            let is_hopeless = is_alone && ask.sent.is_some() && ask.is_clients();
            now >= ask.deadline || is_hopeless
        };
        let is_due =
            |ask: &Ask| is_over(ask) || (ask.sent.is_none() && (all || now >= ask.again_at));
        for attempt in self.attempts(is_due) {
            let Some(ask) = self.asks.remove(&attempt) else { continue };
            if !is_over(&ask) {
                self.dispatch(ask, now);
            } else {
                let reply = ask.reply_at_the_end(self.is_quorate);
                self.finish(&ask, reply);
                self.outlive(attempt, ask, now);
            }
        }
    }

    /// Attempts under way of a kind, in order.
    pub(super) fn attempts(&self, of: impl Fn(&Ask) -> bool) -> Vec<u64> {
        let mut attempts: Vec<u64> =
            self.asks.iter().filter(|(_, ask)| of(ask)).map(|(attempt, _)| *attempt).collect();
        attempts.sort_unstable();
        attempts
    }

    /// A new view: who has left will not answer.
    pub(super) fn after_view(&mut self, now: Moment) {
        let view = self.view.clone();
        let is_lost =
            |ask: &Ask| ask.sent.is_some_and(|to| view.as_ref().is_none_or(|view| !view.has(to)));
        for attempt in self.attempts(is_lost) {
            let Some(mut ask) = self.asks.remove(&attempt) else { continue };
            if ask.request.is_repeatable() && !ask.is_late_checkout() {
                ask.sent = None;
                self.asks.insert(attempt, ask);
            } else {
                self.finish(&ask, Reply::Unknown);
            }
        }
        self.dispatch_waiting(now, true);
    }
}

impl Ask {
    fn new(
        caller: Caller,
        request: Request,
        only: Option<Epoch>,
        deadline: Moment,
        now: Moment,
    ) -> Self {
        Self {
            caller,
            request: Arc::new(request),
            deadline,
            asked: now,
            begun: now,
            sent: None,
            again_at: now,
            is_locked: false,
            only,
        }
    }

    /// Whether an answer says that it did not happen, or that it may be done once more.
    fn is_tried_again_after(&self, reply: &Reply) -> bool {
        match reply {
            _ if self.is_late_checkout() => false,
            Reply::Retry => true,
            // A checkout has waited in its queue.
            Reply::Locked => matches!(*self.request, Request::Write(_)),
            Reply::Unknown => self.request.is_repeatable(),
            _ => false,
        }
    }

    /// The answer when its deadline has come, or when nobody is left who could give one.
    fn reply_at_the_end(&self, is_quorate: bool) -> Reply {
        if self.sent.is_none() && self.is_locked {
            return Reply::Locked;
        }
        let changes_nothing = matches!(
            *self.request,
            Request::Get(_)
                | Request::GetLocal(_)
                | Request::Scan { .. }
                | Request::Checkout { .. }
        );
        match self.sent.is_none() || changes_nothing {
            true if is_quorate => Reply::Unavailable,
            true => Reply::NotQuorate,
            false => Reply::Unknown,
        }
    }

    /// A checkout that is tried again waits for the rest of its time only.
    fn wait_no_longer_than_asked(&mut self, now: Moment) {
        let Request::Checkout { group, hold, confirm, wait } = &*self.request else { return };
        let ends = self.asked.saturating_add(*wait).min(self.deadline);
        let left = ends.saturating_sub(now);
        if left < *wait {
            let (group, hold, confirm) = (group.clone(), *hold, *confirm);
            self.asked = now;
            self.request = Arc::new(Request::Checkout { group, hold, confirm, wait: left });
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::batch::{Batch, Reply, Request, Rev};
    use crate::grid::{Grid, Limits, Out};
    use crate::message::Message;
    use crate::rules::Rules;
    use crate::segment::{Group, Space};
    use muster_cluster::{Copies, Electorate, Epoch, Member, MemberId, Moment, NodeId, Row, View};
    use std::sync::Arc;

    fn life(node: u128, incarnation: u64) -> MemberId {
        MemberId { node: NodeId(node), incarnation }
    }

    /// A view in which the second node leads the only row.
    fn view(members: [MemberId; 2]) -> View {
        let member = |id: MemberId| Member {
            id,
            name: format!("{id}").into(),
            address: "".into(),
            join: 1,
            weight: 100,
            leaving: false,
        };
        let row = Row { owners: vec![members[1].node], ..Row::default() };
        View {
            epoch: Epoch { counter: 3, join: 1, by: members[0] },
            members: members.map(member).into(),
            next_join: 3,
            electorate: Electorate::default(),
            before: None,
            tables: vec![Copies::Some(1)],
            segments: 1,
            rows: vec![row],
            merged: false,
        }
    }

    #[test]
    fn what_is_under_way_is_answered_soon_after_the_quorum_went_out_of_sight_and_not_before() {
        let (now, other) = (Moment::ZERO, life(2, 1));
        let mut grid = Grid::new(life(1, 2), Limits::default(), Rules::default(), Epoch::default());
        grid.install(&Arc::new(view([life(1, 2), other])), now);
        grid.quorate(true, now);
        let group = || Group::new(Space { table: 0, cache: 1 }, b"g");
        let batch = Batch::new(group(), Vec::new());
        grid.request(1, Request::Get(group()), Moment::from_secs(10), now);
        grid.request(2, Request::Write(batch), Moment::from_secs(10), now);
        let replies = |grid: &mut Grid| {
            let out = std::iter::from_fn(|| grid.poll());
            out.filter_map(|out| match out {
                Out::Reply { id, reply } => Some((id, reply)),
                _ => None,
            })
            .collect::<Vec<_>>()
        };
        let at = Moment::from_millis;
        // A quorum that is back in time changes nothing.
        grid.quorate(false, at(100));
        grid.quorate(true, at(400));
        grid.tick(at(700));
        grid.quorate(false, at(1_000));
        grid.tick(at(1_499));
        assert_eq!(replies(&mut grid), []);
        grid.tick(at(1_500));
        assert_eq!(replies(&mut grid), [(1, Reply::NotQuorate), (2, Reply::Unknown)]);
    }

    #[test]
    fn an_answer_to_an_earlier_life_is_not_taken_for_an_answer_to_this_one() {
        let (now, other) = (Moment::ZERO, life(2, 1));
        let mut grid = Grid::new(life(1, 2), Limits::default(), Rules::default(), Epoch::default());
        grid.install(&Arc::new(view([life(1, 2), other])), now);
        grid.quorate(true, now);
        let group = Group::new(Space { table: 0, cache: 1 }, b"g");
        grid.request(9, Request::Get(group), Moment::from_secs(1), now);
        let replies = |grid: &mut Grid, life: u64| {
            let reply = Reply::Written(Rev::default());
            grid.message(other, Message::Answer { life, attempt: 1, reply }, now);
            let out = std::iter::from_fn(|| grid.poll());
            out.filter(|out| matches!(out, Out::Reply { id: 9, .. })).count()
        };
        assert_eq!(replies(&mut grid, 1), 0);
        assert_eq!(replies(&mut grid, 2), 1);
    }
}
