//! Whatever callers do at the same time, and whatever becomes of their writes: each call is done once
//! or not at all, and what is removed is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::{JoinSet, yield_now};

use super::{ComponentError, Components, Handle};
use crate::Cluster;
use crate::engine::MapError;
use crate::faulty::{Fault, Frail};

/// Components at one time, and how long one may be idle.
const COMPONENTS: usize = 2;
const IDLE: Duration = Duration::from_secs(60);

/// What a component is: the calls that it has had.
type Calls = Vec<u64>;

/// What one caller does, giving way to others so often in between.
#[derive(Clone, Copy, Debug)]
enum Act {
    Call,
    Panic,
    /// Is dropped before it is over, if it takes so long.
    Abort(u8),
    CheckOut(u8),
    GiveBack(u8),
    Read,
    Remove,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    /// The component as the call has left it.
    Called(Result<Calls, ComponentError>),
    Read(Result<Calls, ComponentError>),
    Removed(Result<bool, ComponentError>),
    /// It changes nothing, whatever it says.
    Nothing,
}

/// One act, when it began and ended, and the number that a call writes.
#[derive(Clone, Debug)]
struct Event {
    component: usize,
    number: u64,
    began: u64,
    ended: u64,
    outcome: Outcome,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Call),
        1 => Just(Act::Panic),
        1 => (0..8_u8).prop_map(Act::Abort),
        3 => (0..4_u8).prop_map(Act::CheckOut),
        1 => (0..4_u8).prop_map(Act::GiveBack),
        2 => Just(Act::Read),
        1 => Just(Act::Remove),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        6 => Just(Fault::Well),
        1 => Just(Fault::Done(MapError::Unknown)),
        1 => Just(Fault::NotDone(MapError::Unknown)),
        1 => Just(Fault::NotDone(MapError::Fenced)),
        1 => Just(Fault::NotDone(MapError::Unavailable)),
        1 => Just(Fault::Renewed(MapError::Fenced)),
    ]
}

async fn give_way(times: u8) {
    for _ in 0..times {
        yield_now().await;
    }
}

async fn done(carts: &Components<Calls>, handle: &Handle<Calls>, act: Act, number: u64) -> Outcome {
    let push = |calls: &mut Calls| {
        calls.push(number);
        calls.clone()
    };
    match act {
        Act::Call => Outcome::Called(carts.call(handle, push).await),
        Act::Panic => {
            let (carts, handle) = (carts.clone(), handle.clone());
            let panics = move |calls: &mut Calls| -> () {
                calls.push(number);
                std::panic::resume_unwind(Box::new(()))
            };
            let _ = tokio::spawn(async move { carts.call(&handle, panics).await }).await;
            Outcome::Nothing
        }
        Act::Abort(after) => {
            tokio::select! {
                biased;
                called = carts.call(handle, push) => Outcome::Called(called),
                // Nobody knows how far it came.
                () = give_way(after) => Outcome::Called(Err(ComponentError::Unknown)),
            }
        }
        Act::CheckOut(times) | Act::GiveBack(times) => {
            let mut held = match carts.check_out(handle).await {
                Ok(held) => held,
                Err(error) => return Outcome::Called(Err(error)),
            };
            give_way(times).await;
            let left = push(&mut held);
            match act {
                Act::CheckOut(_) => Outcome::Called(held.commit().await.map(|()| left)),
                _ => Outcome::Nothing,
            }
        }
        Act::Read => Outcome::Read(carts.read(handle).await),
        Act::Remove => Outcome::Removed(carts.remove(handle).await),
    }
}

/// What all have done to the components, round by round; those of one round at the same time. And
/// what the components are in the end.
async fn history(
    carts: &Components<Calls>,
    handles: &[Handle<Calls>],
    rounds: Vec<Vec<(usize, u8, Act)>>,
) -> Vec<Event> {
    let (clock, mut events) = (Arc::new(AtomicU64::new(0)), Vec::new());
    let mut number = 0;
    let last = (0..handles.len()).map(|component| (component, 0, Act::Read)).collect();
    for round in rounds.into_iter().chain([last]) {
        let mut callers = JoinSet::new();
        for (component, later, act) in round {
            number += 1;
            let (carts, handle, clock) = (carts.clone(), handles[component].clone(), clock.clone());
            callers.spawn(async move {
                give_way(later).await;
                let began = clock.fetch_add(1, Ordering::Relaxed);
                let outcome = done(&carts, &handle, act, number).await;
                let ended = clock.fetch_add(1, Ordering::Relaxed);
                Event { component, number, began, ended, outcome }
            });
        }
        events.extend(callers.join_all().await);
    }
    events
}

/// The calls that stand, each once: what each call left goes on from what another had left.
fn judge_calls(events: &[Event]) -> Result<(), TestCaseError> {
    let left = |event: &Event| match &event.outcome {
        Outcome::Called(Ok(calls)) => Some((calls.clone(), event.clone())),
        _ => None,
    };
    let mut left: Vec<(Calls, Event)> = events.iter().filter_map(left).collect();
    left.sort_by_key(|(calls, _)| calls.len());
    for (calls, event) in &left {
        prop_assert_eq!(calls.last(), Some(&event.number), "its own call is its last");
    }
    for pair in left.windows(2) {
        let [(before, first), (after, second)] = pair else { continue };
        prop_assert!(before.len() < after.len() && after.starts_with(before), "{:?}", pair);
        prop_assert!(second.ended > first.began, "not before what it has seen: {:?}", pair);
    }
    let may_stand = |number: &u64| {
        let of = events.iter().find(|event| event.number == *number);
        let outcome = of.map(|event| &event.outcome);
        matches!(outcome, Some(Outcome::Called(Ok(_) | Err(ComponentError::Unknown))))
    };
    let seen = events.iter().filter_map(|event| match &event.outcome {
        Outcome::Read(Ok(seen)) | Outcome::Called(Ok(seen)) => Some((seen, event)),
        _ => None,
    });
    for (seen, event) in seen {
        prop_assert!(seen.iter().all(may_stand), "{:?} of {:?}", seen, events);
        let mut once = seen.clone();
        once.sort_unstable();
        once.dedup();
        prop_assert_eq!(once.len(), seen.len(), "each once");
        for (calls, _) in left.iter().filter(|(_, call)| call.ended < event.began) {
            prop_assert!(seen.starts_with(calls), "an acknowledged call stays: {:?}", event);
        }
    }
    Ok(())
}

/// Who begins after a removal finds nothing, and one alone has removed it.
fn judge_removal(events: &[Event]) -> Result<(), TestCaseError> {
    let may_remove = |event: &&Event| {
        let Outcome::Removed(result) = &event.outcome else { return false };
        matches!(result, Ok(true) | Err(ComponentError::Unknown))
    };
    let first = events.iter().filter(may_remove).map(|event| event.began).min();
    let misses = |event: &&Event| match &event.outcome {
        Outcome::Called(result) | Outcome::Read(result) => *result == Err(ComponentError::NotFound),
        Outcome::Removed(_) | Outcome::Nothing => false,
    };
    for miss in events.iter().filter(misses) {
        prop_assert!(first.is_some_and(|began| began < miss.ended), "nobody removed: {:?}", miss);
    }
    let is_removal = |event: &&Event| event.outcome == Outcome::Removed(Ok(true));
    prop_assert!(events.iter().filter(is_removal).count() <= 1);
    let Some(removal) = events.iter().find(is_removal) else { return Ok(()) };
    for event in events.iter().filter(|event| event.began > removal.ended) {
        let is_none = match &event.outcome {
            Outcome::Called(result) | Outcome::Read(result) => result.is_err(),
            Outcome::Removed(was_there) => *was_there != Ok(true),
            Outcome::Nothing => true,
        };
        prop_assert!(is_none, "{:?} after {:?}", event, removal);
    }
    Ok(())
}

fn judge(events: &[Event]) -> Result<(), TestCaseError> {
    for component in 0..COMPONENTS {
        let of = events.iter().filter(|event| event.component == component);
        let of: Vec<Event> = of.cloned().collect();
        judge_calls(&of)?;
        judge_removal(&of)?;
    }
    Ok(())
}

async fn lives(
    faults: Vec<Fault>,
    rounds: Vec<Vec<(usize, u8, Act)>>,
) -> Result<(), TestCaseError> {
    let cluster = Cluster::over(Arc::new(Frail::new(faults)));
    let carts = Components::<Calls>::builder("cart").cluster(&cluster).idle_timeout(Some(IDLE));
    let carts = carts.start().unwrap();
    let mut handles = Vec::new();
    while handles.len() < COMPONENTS {
        // A creation may meet a fault too.
        handles.extend(carts.create(Calls::new()).await.ok());
    }
    let events = history(&carts, &handles, rounds).await;
    judge(&events)?;
    let of = |is: fn(&Outcome) -> bool| events.iter().filter(|event| is(&event.outcome)).count();
    let called = of(|outcome| matches!(outcome, Outcome::Called(Ok(_))));
    let removed = of(|outcome| *outcome == Outcome::Removed(Ok(true)));
    let stats = carts.stats();
    prop_assert!(stats.calls >= called as u64 && stats.removed == removed as u64, "{:?}", stats);
    tokio::time::advance(IDLE + Duration::from_secs(1)).await;
    for handle in &handles {
        prop_assert_eq!(carts.read(handle).await, Err(ComponentError::NotFound), "it was idle");
        prop_assert_eq!(carts.call(handle, |_| ()).await, Err(ComponentError::NotFound));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_call_is_done_once_and_what_is_removed_never_comes_back(
        faults in vec(fault(), 0..40),
        rounds in vec(vec((0..COMPONENTS, 0..6_u8, act()), 1..8), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(lives(faults, rounds))?;
    }
}
