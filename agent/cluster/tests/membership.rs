//! One member, driven by hand: what it does with what it hears.

use muster_cluster::{
    Action, Config, Copies, Durable, Event, Joining, Member, MemberId, Membership, Message, Moment,
    NodeId, Placement, Promise, Refusal, Row, RowSet, Summary, View,
};
use std::sync::Arc;

/// Everybody owns everything.
struct Everywhere;

impl Placement for Everywhere {
    fn place(&self, tables: &[Copies], segments: u16, members: &[&Member]) -> Vec<Vec<NodeId>> {
        let all: Vec<NodeId> = members.iter().map(|member| member.id.node).collect();
        vec![all; tables.len() * usize::from(segments)]
    }
}

struct One {
    membership: Membership,
    now: Moment,
}

impl One {
    fn new(durable: Durable) -> Self {
        let id = MemberId { node: NodeId(1), incarnation: durable.incarnation + 1 };
        let config = Config { segments: 4, ..Config::new(id, "one") };
        let membership = Membership::new(config, durable, Box::new(Everywhere), Moment::ZERO);
        Self { membership: membership.expect("the defaults are in bounds"), now: Moment::ZERO }
    }

    fn handle(&mut self, event: Event) -> Vec<Action> {
        self.membership.handle(event, self.now);
        std::iter::from_fn(|| self.membership.poll_action()).collect()
    }

    fn hears(&mut self, from: MemberId, message: Message) -> Vec<Action> {
        self.handle(Event::Message { from, message })
    }

    /// Lets time pass in ticks.
    fn passes(&mut self, ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..ms / 50 {
            self.now += Moment::from_millis(50);
            actions.extend(self.handle(Event::Tick));
        }
        actions
    }

    fn promised(&self) -> muster_cluster::Epoch {
        self.membership.promised()
    }
}

fn life(node: u128, incarnation: u64) -> MemberId {
    MemberId { node: NodeId(node), incarnation }
}

fn joining(id: MemberId, name: &str) -> Joining {
    Joining { id, name: name.into(), address: "".into(), weight: 100, moved: false }
}

/// A member that founded a cluster and took a second one in.
fn two() -> One {
    let mut one = One::new(Durable::default());
    one.passes(2_500);
    let mut all = RowSet::default();
    (0..8).for_each(|row| all.insert(row));
    one.handle(Event::Complete(all));
    let two = life(2, 1);
    one.hears(two, Message::Join(joining(two, "two")));
    one.passes(50);
    let epoch = one.promised();
    let promise = Promise {
        epoch,
        who: joining(two, "two"),
        accepted: None,
        committed: false,
        installed: None,
        was_in: muster_cluster::Epoch::default(),
        complete: RowSet::default(),
    };
    one.hears(two, Message::Promise(Box::new(promise)));
    one.hears(two, Message::Accepted { epoch });
    assert_eq!(one.membership.view().map(|view| view.members.len()), Some(2));
    one
}

#[test]
fn a_promise_stands_on_disk_before_it_is_said() {
    let mut one = One::new(Durable::default());
    let two = life(2, 1);
    let epoch = muster_cluster::Epoch { counter: 9, join: 1, by: two };
    let actions = one.hears(two, Message::Prepare { epoch });
    let position = |wanted: fn(&Action) -> bool| actions.iter().rposition(wanted);
    let on_disk = position(
        |action| matches!(action, Action::Persist(durable) if durable.promised.counter == 9),
    );
    let fenced = position(|action| matches!(action, Action::Fence(_)));
    let said =
        position(|action| matches!(action, Action::Send { message: Message::Promise(_), .. }));
    assert!(on_disk.is_some() && on_disk < fenced && fenced < said, "{actions:?}");
    let lower = muster_cluster::Epoch { counter: 8, join: 7, by: life(3, 1) };
    let actions = one.hears(life(3, 1), Message::Prepare { epoch: lower });
    assert!(matches!(&actions[..], [Action::Send { message: Message::Nack { .. }, .. }]));
}

#[test]
fn a_restarted_member_listens_for_a_detection_time_before_it_proposes() {
    let accepted = two().membership.durable().clone();
    let mut one = One::new(accepted.clone());
    one.passes(1_950);
    assert_eq!(one.promised(), accepted.promised);
    one.passes(200);
    assert!(one.promised() > accepted.promised);
}

#[test]
fn a_copied_data_directory_is_refused_once_the_original_answers() {
    let mut one = two();
    let copy = life(2, 2);
    let actions = one.hears(copy, Message::Join(joining(copy, "two")));
    assert!(actions.contains(&Action::Redial(life(2, 1))), "{actions:?}");
    let actions = one.handle(Event::RedialReached(life(2, 1)));
    let why = Refusal::IdTaken(NodeId(2));
    let refused = Message::Refused { id: copy, why };
    assert_eq!(actions, [Action::Send { to: NodeId(2), message: refused }]);
}

#[test]
fn a_restart_is_taken_in_once_the_port_of_its_old_life_refuses() {
    let mut one = two();
    let again = life(2, 2);
    one.hears(again, Message::Join(joining(again, "two")));
    one.handle(Event::RedialRefused(life(2, 1)));
    let epoch = one.promised();
    let actions = one.passes(50);
    assert!(one.promised() > epoch);
    let asked = |action: &Action| {
        matches!(action, Action::Send { to: NodeId(2), message: Message::Prepare { .. } })
    };
    assert!(actions.iter().any(asked), "{actions:?}");
}

#[test]
fn a_closed_connection_is_believed_only_after_a_redial() {
    let mut one = two();
    let epoch = one.promised();
    assert_eq!(one.handle(Event::Closed(life(2, 1))), [Action::Redial(life(2, 1))]);
    one.passes(50);
    assert_eq!(one.promised(), epoch);
    one.handle(Event::RedialRefused(life(2, 1)));
    one.passes(50);
    assert_eq!(one.membership.view().map(|view| view.members.len()), Some(1));
}

#[test]
fn a_member_that_did_not_get_to_run_suspects_nobody_in_that_round() {
    let mut one = two();
    one.now += Moment::from_secs(5);
    one.handle(Event::Tick);
    one.handle(Event::Suspect(life(2, 1)));
    one.passes(500);
    one.handle(Event::Alive(life(2, 1)));
    one.passes(3_000);
    assert_eq!(one.membership.view().map(|view| view.members.len()), Some(2));
}

#[test]
fn a_member_that_is_late_in_being_filled_is_left_out_for_a_while_and_an_owner_is_not() {
    let mut one = two();
    let is_pending = |one: &One| {
        let view = one.membership.view().expect("it has a view").clone();
        view.rows.iter().any(|row| row.pending.contains(&NodeId(2)))
    };
    assert!(is_pending(&one));
    one.handle(Event::Late(NodeId(1)));
    let epoch = one.promised();
    one.passes(100);
    assert_eq!(one.promised(), epoch);
    one.handle(Event::Late(NodeId(2)));
    one.passes(50);
    assert!(one.promised() > epoch);
}

#[test]
fn words_of_a_life_that_has_ended_are_not_heard() {
    let mut one = two();
    one.hears(life(3, 5), Message::Fetch);
    let old = life(3, 4);
    assert_eq!(one.hears(old, Message::Join(joining(old, "three"))), []);
}

/// A view with a later epoch that the second member made, and leads.
fn led_by_two(one: &One) -> View {
    let mut view = View::clone(one.membership.view().expect("it has a view"));
    view.epoch = muster_cluster::Epoch { counter: view.epoch.counter + 5, join: 2, by: life(2, 1) };
    view.members.rotate_left(1);
    view
}

fn summary(view: &View, has_you: bool) -> Summary {
    let coordinator = view.coordinator();
    Summary {
        epoch: view.epoch,
        size: u16::try_from(view.members.len()).expect("few members"),
        coordinator: coordinator.id,
        join: coordinator.join,
        quorum: view.electorate.quorum.is_some(),
        has_you,
    }
}

fn greeting(view: &View, has_you: bool) -> Message {
    Message::Greet { view: Some(summary(view, has_you)), accepted: Some(view.epoch), quorum: None }
}

#[test]
fn who_went_by_another_view_is_no_suspect_once_a_view_has_both() {
    let mut one = two();
    let mut view = led_by_two(&one);
    one.hears(life(2, 1), greeting(&view, false));
    view.epoch.counter += 1;
    one.hears(life(2, 1), Message::Commit { view: Arc::new(view) });
    // Whoever comes is the coordinator's to take in, and the coordinator is believed alive.
    let three = joining(life(3, 1), "three");
    let actions = one.hears(three.id, Message::Join(three.clone()));
    assert_eq!(actions, [Action::Send { to: NodeId(2), message: Message::Join(three) }]);
}

#[test]
fn whom_the_failure_detector_finds_silent_stays_a_suspect_in_the_next_view() {
    let mut one = two();
    let mut view = led_by_two(&one);
    one.hears(life(2, 1), greeting(&view, false));
    one.handle(Event::Suspect(life(2, 1)));
    view.epoch.counter += 1;
    one.hears(life(2, 1), Message::Commit { view: Arc::new(view) });
    let three = joining(life(3, 1), "three");
    assert_eq!(one.hears(three.id, Message::Join(three)), []);
}

#[test]
fn a_newcomer_that_is_not_taken_in_asks_the_next_member() {
    let view = led_by_two(&two());
    let mut new = One::new(Durable::default());
    let mut asked = Vec::new();
    for _ in 0..20 {
        for node in [2, 3] {
            new.hears(life(node, 1), greeting(&view, false));
        }
        let joins = new.passes(50).into_iter().filter_map(|action| match action {
            Action::Send { to, message: Message::Join(_) } => Some(to),
            _ => None,
        });
        asked.extend(joins);
    }
    assert!(asked.len() > 2, "{asked:?}");
    let turns: Vec<NodeId> = [NodeId(2), NodeId(3)].into_iter().cycle().take(asked.len()).collect();
    assert_eq!(asked, turns);
}

#[test]
fn what_a_newcomer_accepted_on_another_side_does_not_replace_this_sides_view() {
    let mut one = two();
    let mine = one.membership.view().expect("it has a view").clone();
    let three = joining(life(3, 1), "three");
    one.hears(three.id, Message::Join(three.clone()));
    one.passes(50);
    let epoch = one.promised();
    // A view of three alone, as late as ours, and later by its name.
    let theirs = View {
        epoch: muster_cluster::Epoch { by: three.id, ..mine.epoch },
        members: vec![Member { id: three.id, name: "three".into(), ..mine.members[1].clone() }],
        rows: vec![Row { owners: vec![NodeId(3)], ..Row::default() }; mine.rows.len()],
        ..View::clone(&mine)
    };
    let promise = |who: &Joining, view: &View, complete: RowSet| Promise {
        epoch,
        who: who.clone(),
        accepted: Some(Arc::new(view.clone())),
        committed: true,
        installed: Some(view.epoch),
        was_in: view.epoch,
        complete,
    };
    let with_three = promise(&three, &theirs, RowSet::default());
    one.hears(three.id, Message::Promise(Box::new(with_three)));
    let second = joining(life(2, 1), "two");
    let with_two = promise(&second, &mine, RowSet::default());
    let actions = one.hears(second.id, Message::Promise(Box::new(with_two)));
    let accept = actions.iter().find_map(|action| match action {
        Action::Send { message: Message::Accept { view }, .. } => Some(view),
        _ => None,
    });
    let view = accept.unwrap_or_else(|| panic!("{actions:?}"));
    assert_eq!(view.members.len(), 3);
    assert!(view.rows.iter().all(|row| !row.fresh && row.owners.contains(&NodeId(1))), "{view:?}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Lost(_))));
}
