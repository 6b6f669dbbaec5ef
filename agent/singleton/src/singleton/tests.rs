use super::*;
use crate::policy::{Election, Preference};

const WAITS: Bounds = Bounds {
    ask_again: Duration::from_millis(50),
    stop: Duration::from_millis(1000),
    lost: Duration::from_millis(300),
    cut_off: Duration::from_millis(500),
    rest: Duration::from_millis(1000),
    most_rest: Duration::from_millis(3000),
};

fn life(node: u128) -> MemberId {
    MemberId { node: NodeId(node), incarnation: 1 }
}

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

fn these(nodes: &[u128]) -> Vec<Candidate> {
    let one = |node: &u128| Candidate {
        id: life(*node),
        name: format!("node{node}").into(),
        address: "".into(),
    };
    nodes.iter().map(one).collect()
}

fn seen(me: u128, nodes: &[u128]) -> Event {
    Event::Candidates { me: life(me), candidates: these(nodes), is_quorate: true }
}

fn word(version: u64, provider: u128) -> Elected {
    Elected { version, provider: Some(life(provider)), moved: None }
}

/// What is to be done, without what is only told.
fn done(singleton: &mut Singleton) -> Vec<Action> {
    let all = std::iter::from_fn(|| singleton.poll_action());
    all.filter(|action| !matches!(action, Action::Note(_) | Action::Tell { .. })).collect()
}

fn fresh(policy: Policy) -> Singleton {
    let mut singleton = Singleton::new(policy, WAITS, 1, 0);
    assert_eq!(done(&mut singleton), [Action::Offer(true)]);
    singleton
}

/// The only member, which runs it with token 5.
fn running() -> Singleton {
    let mut singleton = fresh(Policy::default());
    singleton.handle(seen(1, &[1]), at(0));
    assert_eq!(done(&mut singleton), [Action::Ask]);
    singleton.handle(Event::Leased(Some(5)), at(1));
    assert_eq!(done(&mut singleton), [Action::Start(5)]);
    assert_eq!(singleton.state(), State::Running);
    singleton
}

#[test]
fn who_is_elected_starts_when_it_has_the_lease_and_asks_until_then() {
    let mut singleton = fresh(Policy::default());
    singleton.handle(seen(1, &[1]), at(0));
    assert_eq!(done(&mut singleton), [Action::Ask]);
    singleton.handle(Event::Leased(None), at(10));
    singleton.handle(Event::Tick, at(59));
    assert_eq!((done(&mut singleton), singleton.wake()), (vec![], Some(at(60))));
    singleton.handle(Event::Tick, at(60));
    assert_eq!(done(&mut singleton), [Action::Ask]);
    singleton.handle(Event::Leased(Some(7)), at(61));
    assert_eq!(done(&mut singleton), [Action::Start(7)]);
}

#[test]
fn the_lease_is_given_back_when_the_body_has_ended_and_not_before() {
    let mut singleton = running();
    singleton.handle(seen(1, &[2, 1]), at(10));
    assert!(singleton.told(life(2), word(1, 2), at(11)));
    assert_eq!(done(&mut singleton), [Action::Stop(5)]);
    singleton.handle(Event::Tick, at(500));
    assert_eq!(done(&mut singleton), []);
    singleton.handle(Event::Ended(5, Outcome::Stopped), at(501));
    assert_eq!(done(&mut singleton), [Action::Resign(5)]);
    assert_eq!(singleton.state(), State::Standby);
}

#[test]
fn electing_the_same_member_again_restarts_nothing() {
    let mut singleton = running();
    singleton.handle(seen(1, &[1, 2]), at(10));
    singleton.handle(seen(1, &[1, 2, 3]), at(20));
    singleton.handle(Event::Policy(Policy { quorum: 2, ..Policy::default() }), at(30));
    assert_eq!((done(&mut singleton), singleton.state()), (vec![], State::Running));
}

#[test]
fn a_stop_that_hangs_is_cut_off_and_given_up_in_the_end_and_never_started_beside() {
    let mut singleton = running();
    singleton.handle(Event::Policy(Policy { quorum: 2, ..Policy::default() }), at(10));
    assert_eq!(done(&mut singleton), [Action::Stop(5)]);
    singleton.handle(Event::Policy(Policy::default()), at(20));
    singleton.handle(Event::Tick, at(1010));
    assert_eq!(done(&mut singleton), [Action::CutOff(5)]);
    singleton.handle(Event::Tick, at(1510));
    assert_eq!(done(&mut singleton), [Action::Resign(5), Action::Offer(false)]);
    assert_eq!(singleton.state(), State::Stuck);
    singleton.handle(seen(1, &[1]), at(1520));
    assert_eq!(done(&mut singleton), []);
    singleton.handle(Event::Ended(5, Outcome::Stopped), at(1600));
    assert_eq!(done(&mut singleton), [Action::Offer(true), Action::Ask]);
}

#[test]
fn a_lost_lease_leaves_less_time_to_stop_and_is_not_given_back() {
    let mut singleton = running();
    singleton.handle(Event::Lost(4), at(10));
    assert_eq!(done(&mut singleton), []);
    singleton.handle(Event::Lost(5), at(20));
    assert_eq!(done(&mut singleton), [Action::Stop(5)]);
    singleton.handle(Event::Tick, at(320));
    assert_eq!(done(&mut singleton), [Action::CutOff(5)]);
    singleton.handle(Event::Ended(5, Outcome::Stopped), at(330));
    assert_eq!(done(&mut singleton), [Action::Ask]);
    singleton.handle(Event::Leased(Some(6)), at(340));
    assert_eq!(done(&mut singleton), [Action::Start(6)]);
}

#[test]
fn who_fails_is_no_candidate_for_a_while_and_longer_each_time() {
    let mut singleton = running();
    singleton.handle(Event::Ended(5, Outcome::Failed), at(100));
    assert_eq!(done(&mut singleton), [Action::Resign(5), Action::Offer(false)]);
    singleton.handle(seen(1, &[]), at(110));
    singleton.handle(Event::Tick, at(1099));
    assert_eq!((done(&mut singleton), singleton.state()), (vec![], State::Resting));
    singleton.handle(Event::Tick, at(1100));
    assert_eq!(done(&mut singleton), [Action::Offer(true)]);
    singleton.handle(seen(1, &[1]), at(1110));
    singleton.handle(Event::Leased(Some(6)), at(1120));
    singleton.handle(Event::Ended(6, Outcome::Failed), at(1130));
    singleton.handle(Event::Tick, at(3129));
    assert_eq!(singleton.state(), State::Resting);
    singleton.handle(Event::Tick, at(3130));
    assert_eq!(singleton.state(), State::Waiting);
}

#[test]
fn only_the_eldest_is_listened_to_and_old_words_are_not() {
    let mut singleton = fresh(Policy::default());
    assert!(!singleton.told(life(2), word(1, 1), at(0)));
    singleton.handle(seen(1, &[2, 3, 1]), at(1));
    assert!(!singleton.told(life(3), word(9, 1), at(2)));
    assert!(singleton.told(life(2), word(5, 3), at(3)));
    assert!(singleton.told(life(2), word(4, 1), at(4)));
    assert_eq!((done(&mut singleton), singleton.state()), (vec![], State::Standby));
    // The eldest goes: the next one elects, whatever its own number.
    singleton.handle(seen(1, &[3, 1]), at(5));
    assert!(singleton.told(life(3), word(1, 1), at(6)));
    assert_eq!(done(&mut singleton), [Action::Ask]);
}

#[test]
fn the_elector_tells_the_others_until_they_know() {
    let mut singleton =
        fresh(Policy { election: Election::Simple { position: -1 }, ..Policy::default() });
    let told = |singleton: &mut Singleton| -> Vec<(MemberId, Option<MemberId>)> {
        let all = std::iter::from_fn(|| singleton.poll_action());
        all.filter_map(|action| match action {
            Action::Tell { to, word } => Some((to, word.provider)),
            _ => None,
        })
        .collect()
    };
    singleton.handle(seen(1, &[1, 2, 3]), at(0));
    let three = Some(life(3));
    assert_eq!(told(&mut singleton), [(life(2), three), (life(3), three)]);
    let version = singleton.word().version;
    singleton.handle(Event::Answered { by: life(2), version, is_taken: true }, at(1));
    singleton.handle(Event::Answered { by: life(3), version, is_taken: false }, at(1));
    singleton.handle(Event::Tick, at(51));
    assert_eq!(told(&mut singleton), [(life(3), three)]);
}

#[test]
fn below_the_quorum_it_stops_even_where_nobody_has_elected_anew() {
    let policy = Policy { quorum: 2, ..Policy::default() };
    let mut singleton = fresh(policy.clone());
    singleton.handle(seen(2, &[1, 2]), at(0));
    assert!(singleton.told(life(1), word(1, 2), at(1)));
    singleton.handle(Event::Leased(Some(3)), at(2));
    assert_eq!(done(&mut singleton), [Action::Ask, Action::Start(3)]);
    // Told of another quorum before the elector is.
    singleton.handle(Event::Policy(Policy { quorum: 3, ..policy }), at(3));
    assert_eq!(done(&mut singleton), [Action::Stop(3)]);
}

#[test]
fn a_preference_fails_back_and_a_move_lasts_while_its_node_is_there() {
    let preferences = vec![Preference::Name("node1".to_owned())];
    let mut singleton = fresh(Policy { preferences, ..Policy::default() });
    let provider = |singleton: &Singleton| singleton.word().provider.map(|id| id.node.0);
    singleton.handle(seen(2, &[2, 3]), at(0));
    assert_eq!(provider(&singleton), Some(2));
    singleton.handle(seen(2, &[2, 3, 1]), at(1));
    assert_eq!(provider(&singleton), Some(1));
    assert_eq!(singleton.move_to(Some(NodeId(9)), at(2)), Err(NotMoved::NoCandidate));
    singleton.move_to(Some(NodeId(3)), at(3)).expect("it is a candidate");
    assert_eq!(provider(&singleton), Some(3));
    singleton.handle(seen(2, &[2, 1]), at(4));
    assert_eq!((provider(&singleton), singleton.word().moved), (Some(1), None));
    singleton.handle(seen(2, &[4, 2, 1]), at(5));
    let elector = Some(life(4));
    assert_eq!(singleton.move_to(None, at(6)), Err(NotMoved::NotElector(elector)));
}

#[test]
fn whoever_closes_is_no_candidate_at_once_and_is_over_when_its_body_is() {
    let mut singleton = running();
    singleton.handle(Event::Close, at(10));
    assert_eq!(done(&mut singleton), [Action::Offer(false), Action::Stop(5)]);
    singleton.handle(seen(1, &[]), at(11));
    singleton.handle(Event::Ended(5, Outcome::Stopped), at(20));
    assert_eq!(done(&mut singleton), [Action::Resign(5), Action::Closed]);
    // A lease that comes too late is given back.
    let mut asking = fresh(Policy::default());
    asking.handle(seen(1, &[1]), at(0));
    asking.handle(Event::Close, at(1));
    asking.handle(Event::Leased(Some(8)), at(2));
    let last = [Action::Ask, Action::Offer(false), Action::Resign(8), Action::Closed];
    assert_eq!(done(&mut asking), last);
}
