//! The ledger of a job against members that come, fail, freeze and die at any time.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::ledger::{Claimed, Finished, Ledger, Me, Parts};
use super::policy::{Missed, Overlap, Policy};
use super::schedule::Schedule;
use super::wake::{Wake, wake};

const NAMES: [&str; 3] = ["one", "two", "three"];
const START: i64 = 1_000_000;

/// Members over one ledger, and the lease of its one place.
struct World {
    ledger: Ledger,
    schedule: Schedule,
    policy: Policy,
    now: i64,
    is_up: [bool; 3],
    /// Who holds the lease and runs.
    runs: Option<(usize, Claimed, Parts)>,
    /// Runs of members that were frozen: they come to their end when somebody else may have begun.
    frozen: Vec<(Claimed, Parts)>,
    tokens: u64,
    done: BTreeMap<i64, u32>,
    lost: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Passes(u16),
    Comes(usize),
    Tries(usize),
    Ends,
    Fails,
    Dies,
    Freezes,
    Thaws,
    Wishes,
}

fn policy() -> Policy {
    let (missed, overlap) = (Missed::RunAll(100), Overlap::Queue(100));
    Policy { missed, overlap, tries: 1000, ..Policy::default() }
}

impl World {
    fn new(policy: Policy) -> Self {
        let schedule = Schedule::every("a", Duration::from_secs(1)).unwrap();
        Self {
            ledger: Ledger::new(START),
            schedule,
            policy,
            now: START,
            is_up: [true; 3],
            runs: None,
            frozen: Vec::new(),
            tokens: 0,
            done: BTreeMap::new(),
            lost: 0,
        }
    }

    fn candidates(&self) -> Vec<String> {
        let up = NAMES.iter().zip(self.is_up).filter(|(_, is_up)| *is_up);
        up.map(|(name, _)| (*name).to_owned()).collect()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Passes(ms) => self.now += i64::from(ms),
            Step::Comes(member) => self.is_up[member] = true,
            Step::Tries(member) if self.is_up[member] && self.runs.is_none() => self.tries(member),
            Step::Tries(_) => {}
            Step::Ends => self.ends(&Ok(())),
            Step::Fails => self.ends(&Err("no paper".to_owned())),
            Step::Dies => {
                if let Some((member, ..)) = self.runs.take() {
                    (self.is_up[member], self.lost) = (false, self.lost + 1);
                }
            }
            Step::Freezes => {
                if let Some((member, claimed, token)) = self.runs.take() {
                    self.is_up[member] = false;
                    self.lost += 1;
                    self.frozen.push((claimed, token));
                }
            }
            Step::Thaws => {
                if let Some((claimed, token)) = self.frozen.pop() {
                    let finished = self.finish(&claimed, token, &Ok(()));
                    // Nobody has taken it for lost yet: then it counts, and was not lost.
                    if finished == Finished::Done {
                        self.lost -= 1;
                    }
                }
            }
            Step::Wishes => drop(self.ledger.wish(self.now)),
        }
        self.is_written_and_read();
    }

    fn tries(&mut self, member: usize) {
        self.tokens += 1;
        let (token, candidates) = ((1, self.tokens), self.candidates());
        let lost = self.ledger.recover(0, token, &self.policy, self.now);
        self.ledger.advance(&self.schedule, &self.policy, self.now, !lost.is_empty());
        self.ledger.forget_gone(&candidates);
        let me = Me { name: NAMES[member], candidates: &candidates };
        let claimed = self.ledger.claim(me, 0, token, &self.policy, self.now);
        // An answer that was lost is asked for again, and is the same.
        assert_eq!(self.ledger.claim(me, 0, token, &self.policy, self.now), claimed);
        self.runs = claimed.map(|claimed| (member, claimed, token));
    }

    fn ends(&mut self, result: &Result<(), String>) {
        let Some((_, claimed, token)) = self.runs.take() else { return };
        let finished = self.finish(&claimed, token, result);
        assert_ne!(finished, Finished::NotMine, "it held the lease");
    }

    fn finish(&mut self, claimed: &Claimed, token: Parts, result: &Result<(), String>) -> Finished {
        self.ledger.advance(&self.schedule, &self.policy, self.now, false);
        let (candidates, policy) = (self.candidates(), &self.policy);
        let at = claimed.at;
        let finished = self.ledger.finish(at, token, result, &candidates, policy, self.now);
        if finished == Finished::Done {
            *self.done.entry(at).or_default() += 1;
            assert!(self.ledger.is_done(at, token));
        }
        finished
    }

    fn is_written_and_read(&self) {
        let bytes = serde_json::to_vec(&self.ledger).unwrap();
        assert_eq!(serde_json::from_slice::<Ledger>(&bytes).unwrap(), self.ledger);
    }

    /// All are there, and do what there is to do.
    fn calms(&mut self) {
        self.is_up = [true; 3];
        self.lost += u64::from(self.runs.take().is_some());
        for turn in 0..3000 {
            self.tries(turn % 3);
            self.ends(&Ok(()));
            if self.ledger.open.is_empty() {
                return;
            }
            self.now += 10;
        }
        panic!("it never ends: {:?}", self.ledger);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_u16..1500).prop_map(Step::Passes),
        2 => (0_usize..3).prop_map(Step::Comes),
        8 => (0_usize..3).prop_map(Step::Tries),
        6 => Just(Step::Ends),
        2 => Just(Step::Fails),
        1 => Just(Step::Dies),
        1 => Just(Step::Freezes),
        1 => Just(Step::Thaws),
        1 => Just(Step::Wishes),
    ];
    proptest::collection::vec(step, 0..120)
}

proptest! {
    #[test]
    fn every_firing_is_counted_as_done_once_whoever_fails_freezes_or_dies(steps in steps()) {
        let mut world = World::new(policy());
        for step in steps {
            world.step(step);
        }
        world.calms();
        prop_assert!(world.done.values().all(|times| *times == 1), "{:?}", world.done);
        let scheduled = world.done.keys().filter(|at| **at % 1000 == 0 && **at <= world.ledger.through);
        let expected = (world.ledger.through - START) / 1000;
        let counts = world.ledger.counts;
        let missed = counts.missed + counts.skipped;
        // An operator's wish may have an instant of the schedule.
        prop_assert!(scheduled.count() as i64 + missed as i64 >= expected, "{:?}", world.done.keys());
        prop_assert_eq!(counts.done, world.done.len() as u64);
        prop_assert!(counts.lost <= world.lost);
    }

    #[test]
    fn while_there_is_something_to_do_somebody_wakes_for_it(steps in steps()) {
        let mut world = World::new(policy());
        for step in steps {
            world.step(step);
        }
        world.is_up[2] = true;
        let candidates = world.candidates();
        let wakes = candidates.iter().map(|name| {
            let me = Me { name, candidates: &candidates };
            wake(&world.ledger, &world.schedule, &world.policy, me, 0, world.now)
        });
        let is_soon = |wake: Wake| matches!(wake, Wake::Work(at) if at <= world.now + 3500);
        let wakes: Vec<Wake> = wakes.collect();
        prop_assert!(wakes.iter().copied().any(is_soon), "{wakes:?}");
    }
}

fn all(world: &mut World, steps: &[Step]) {
    for step in steps {
        world.step(*step);
    }
}

#[test]
fn a_run_that_fails_moves_to_the_next_member_and_then_begins_anew_after_a_pause() {
    use Step::{Ends, Fails, Passes, Tries};
    let mut world = World::new(Policy { tries: 4, ..policy() });
    all(&mut world, &[Passes(1000), Tries(0), Fails, Tries(0)]);
    assert!(world.runs.is_none(), "it is the others' turn");
    all(&mut world, &[Tries(2), Fails, Tries(1), Fails, Tries(0)]);
    assert!(world.runs.is_none(), "all have tried");
    all(&mut world, &[Passes(999), Tries(0)]);
    assert!(world.runs.is_none());
    all(&mut world, &[Passes(1), Tries(0), Ends]);
    assert_eq!((world.ledger.counts.done, world.ledger.counts.failures), (1, 3));
    let mut poor = World::new(Policy { tries: 2, ..policy() });
    all(&mut poor, &[Passes(1000), Tries(0), Fails, Tries(1), Fails]);
    let settled = &poor.ledger.settled[0];
    assert_eq!((settled.tries, settled.error.as_deref()), (2, Some("no paper")));
    assert_eq!((poor.ledger.counts.failed, poor.ledger.open.len()), (1, 0));
}

#[test]
fn a_run_that_is_wished_for_at_the_instant_of_a_firing_is_that_firing() {
    use Step::{Ends, Passes, Tries, Wishes};
    let mut world = World::new(policy());
    all(&mut world, &[Passes(1000), Wishes, Tries(0), Ends, Tries(1), Ends]);
    assert_eq!(world.done, BTreeMap::from([(START + 1000, 1)]));
}

#[test]
fn a_run_whose_member_dies_is_tried_again_and_said_to_be() {
    use Step::{Dies, Ends, Passes, Tries};
    let mut world = World::new(policy());
    all(&mut world, &[Passes(1000), Tries(0), Dies, Passes(2000), Tries(1)]);
    let (_, claimed, token) = world.runs.clone().unwrap();
    assert_eq!(claimed, Claimed { at: START + 1000, attempt: 2, is_again: true });
    assert!(token > (1, 1));
    world.step(Ends);
    let settled = &world.ledger.settled[0];
    assert_eq!((settled.tries, settled.lost, settled.member.as_deref()), (2, 1, Some("two")));
    assert_eq!(world.ledger.open.len(), 2, "what came meanwhile is made up for");
}

#[test]
fn missed_firings_are_what_the_policy_says() {
    for (missed, open, given_up) in
        [(Missed::Skip, 0, 300), (Missed::RunOnce, 1, 299), (Missed::RunAll(7), 7, 293)]
    {
        let mut world = World::new(Policy { missed, ..policy() });
        world.now += 300_000;
        let policy = Policy { grace: Duration::from_millis(100), ..world.policy.clone() };
        // The last one is just as late as it may be, but for one millisecond.
        world.now += 101;
        world.ledger.advance(&world.schedule, &policy, world.now, false);
        assert_eq!((world.ledger.open.len(), world.ledger.counts.missed), (open, given_up));
        let latest = world.ledger.open.last().map(|firing| firing.at);
        assert_eq!(latest, (open > 0).then_some(START + 300_000));
    }
}

#[test]
fn firings_that_overlap_are_what_the_policy_says() {
    use Step::{Ends, Passes, Tries};
    for (overlap, open, skipped) in
        [(Overlap::Skip, 0, 5), (Overlap::Queue(1), 1, 4), (Overlap::Allow(3), 2, 3)]
    {
        let mut world = World::new(Policy { overlap, ..policy() });
        all(&mut world, &[Passes(1000), Tries(0), Passes(5000), Ends]);
        let counts = world.ledger.counts;
        assert_eq!((world.ledger.open.len(), counts.skipped), (open, skipped), "{overlap:?}");
        assert_eq!((counts.done, counts.missed), (1, 0));
    }
}

#[test]
fn a_clock_that_is_set_back_does_nothing_twice_and_one_set_ahead_misses() {
    use Step::{Ends, Passes, Tries};
    let mut world = World::new(policy());
    all(&mut world, &[Passes(1000), Tries(0), Ends]);
    world.now -= 60_000;
    all(&mut world, &[Tries(0), Tries(1)]);
    assert!(world.runs.is_none());
    world.now += 60_000;
    world.step(Tries(0));
    assert!(world.runs.is_none(), "it was done");
    all(&mut world, &[Passes(1000), Tries(0), Ends]);
    assert_eq!(world.ledger.counts.done, 2);
}

#[test]
fn what_is_paused_waits_for_an_operator_and_is_not_made_up_for() {
    use Step::{Ends, Passes, Tries, Wishes};
    let mut world = World::new(policy());
    world.ledger.pause();
    all(&mut world, &[Passes(5000), Tries(0)]);
    assert!(world.runs.is_none());
    all(&mut world, &[Wishes, Tries(0), Ends]);
    assert_eq!(world.ledger.counts.done, 1);
    world.ledger.resume(world.now);
    world.step(Tries(0));
    assert!(world.runs.is_none());
    all(&mut world, &[Passes(1000), Tries(0), Ends]);
    assert_eq!((world.ledger.counts.done, world.ledger.counts.missed), (2, 0));
}
