//! Whether a group's history can be put in one order: each operation somewhere between its call
//! and its return, each answer what that order gives. The search of Wing and Gong with Lowe's
//! memory of what was tried. It is exact: "yes" and "no" are proofs for this history. It gives up,
//! and says so, after a bound.

use std::collections::{BTreeMap, HashSet};

/// The entries of a group.
pub type State = BTreeMap<u32, u32>;

/// Keys with the values that they had, or get; `None` is an absent entry.
pub type Values = Vec<(u32, Option<u32>)>;

/// What an operation did, as its caller saw it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// It saw all entries.
    Read(State),
    /// Where all expectations hold, the values change.
    Write {
        /// What was expected.
        expect: Values,
        /// What changes.
        puts: Values,
    },
    /// One of the expectations did not hold.
    Conflict {
        /// What was expected.
        expect: Values,
    },
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// When it was called.
    pub called: u64,
    /// When it returned; none: it is not known whether it happened, or will.
    pub returned: Option<u64>,
    /// What it did.
    pub effect: Effect,
    /// Whose it is, for the story.
    pub who: String,
}

/// The verdict on one history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Linear {
    /// There is such an order.
    Yes,
    /// There is none: up to this many operations can be put in order.
    No(usize),
    /// Not found within the bound.
    GaveUp,
}

/// Steps of the search at most.
const MOST_STEPS: usize = 2_000_000;

/// Searches for an order.
#[must_use]
pub fn check(history: &[Operation]) -> Linear {
    let mut order: Vec<&Operation> = history.iter().collect();
    order.sort_by_key(|operation| operation.called);
    let mut search = Search {
        needed: order.iter().filter(|operation| operation.returned.is_some()).count(),
        operations: order,
        tried: HashSet::new(),
        steps: 0,
        furthest: 0,
    };
    let done = vec![0; search.operations.len().div_ceil(64)];
    match search.go_on(done, State::new(), 0) {
        Some(true) => Linear::Yes,
        Some(false) => Linear::No(search.furthest),
        None => Linear::GaveUp,
    }
}

struct Search<'a> {
    operations: Vec<&'a Operation>,
    needed: usize,
    tried: HashSet<(Vec<u64>, State)>,
    steps: usize,
    furthest: usize,
}

impl Search<'_> {
    fn go_on(&mut self, mut done: Vec<u64>, state: State, mut count: usize) -> Option<bool> {
        // What changes nothing and is true now goes first: no order is lost by that.
        loop {
            let horizon = self.horizon(&done);
            let now = (0..self.operations.len()).find(|at| {
                !has(&done, *at)
                    && self.operations[*at].called <= horizon
                    && self.operations[*at].returned.is_some()
                    && changes_nothing(&self.operations[*at].effect, &state)
            });
            let Some(at) = now else { break };
            done[at / 64] |= 1 << (at % 64);
            count += 1;
        }
        self.furthest = self.furthest.max(count);
        if count == self.needed {
            return Some(true);
        }
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if !self.tried.insert((done.clone(), state.clone())) {
            return Some(false);
        }
        let horizon = self.horizon(&done);
        for at in 0..self.operations.len() {
            let operation = self.operations[at];
            if operation.called > horizon {
                break;
            }
            if has(&done, at) {
                continue;
            }
            let Some(next) = apply(&operation.effect, &state) else { continue };
            let mut more = done.clone();
            more[at / 64] |= 1 << (at % 64);
            let counted = count + usize::from(operation.returned.is_some());
            if self.go_on(more, next, counted)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The earliest return of those not yet in order: whatever was called later comes after it.
    fn horizon(&self, done: &[u64]) -> u64 {
        (self.operations.iter().enumerate())
            .filter(|(at, _)| !has(done, *at))
            .filter_map(|(_, operation)| operation.returned)
            .min()
            .unwrap_or(u64::MAX)
    }
}

fn has(done: &[u64], at: usize) -> bool {
    done[at / 64] & (1 << (at % 64)) != 0
}

fn holds(expect: &[(u32, Option<u32>)], state: &State) -> bool {
    expect.iter().all(|(key, value)| state.get(key).copied() == *value)
}

fn changes_nothing(effect: &Effect, state: &State) -> bool {
    match effect {
        Effect::Read(seen) => seen == state,
        Effect::Conflict { expect } => !holds(expect, state),
        Effect::Write { .. } => false,
    }
}

fn apply(effect: &Effect, state: &State) -> Option<State> {
    match effect {
        Effect::Read(_) | Effect::Conflict { .. } => {
            changes_nothing(effect, state).then(|| state.clone())
        }
        Effect::Write { expect, puts } => holds(expect, state).then(|| {
            let mut next = state.clone();
            for (key, value) in puts {
                match value {
                    Some(value) => next.insert(*key, *value),
                    None => next.remove(key),
                };
            }
            next
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(called: u64, returned: Option<u64>, value: u32) -> Operation {
        let effect = Effect::Write { expect: vec![], puts: vec![(0, Some(value))] };
        Operation { called, returned, effect, who: String::new() }
    }

    fn read(called: u64, returned: u64, value: u32) -> Operation {
        let effect = Effect::Read(State::from([(0, value)]));
        Operation { called, returned: Some(returned), effect, who: String::new() }
    }

    #[test]
    fn a_read_that_goes_back_in_time_is_found() {
        let history = [write(0, Some(1), 1), write(2, Some(3), 2), read(4, 5, 1)];
        assert_eq!(check(&history), Linear::No(2));
        assert_eq!(
            check(&[write(0, Some(1), 1), write(2, Some(6), 2), read(4, 5, 1)]),
            Linear::Yes
        );
    }

    #[test]
    fn a_write_of_unknown_end_may_happen_late_or_never() {
        let history = [write(0, None, 7), write(1, Some(2), 8), read(3, 4, 8), read(5, 6, 7)];
        assert_eq!(check(&history), Linear::Yes);
        assert_eq!(check(&[&history[..], &[read(7, 8, 8)]].concat()), Linear::No(3));
    }

    #[test]
    fn two_increments_from_one_value_cannot_both_stand() {
        let increment = |called| Operation {
            called,
            returned: Some(called + 5),
            effect: Effect::Write { expect: vec![(0, None)], puts: vec![(0, Some(1))] },
            who: String::new(),
        };
        assert_eq!(check(&[increment(0), increment(1)]), Linear::No(1));
    }
}
