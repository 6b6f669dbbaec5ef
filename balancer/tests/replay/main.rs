//! Replays what a real balancer was recorded to answer, against the real `muster`.
//!
//! The exchanges go out in their order, in a network namespace of their own, since they name
//! fixed ports. Each answer must state the recorded facts: status, `Type`, `State`, and in INFO
//! and DUMP the fields of nodes that live. Where ours decides otherwise, a row of
//! `docs/replay-deviations.md` says so; a deviation without a row fails, and so does a row that
//! no longer deviates.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]
#![cfg_attr(not(feature = "system"), allow(dead_code, reason = "the replay itself is off"))]

mod deviations;
mod exchange;
mod facts;
#[cfg(feature = "system")]
mod stage;

#[cfg(feature = "system")]
#[test]
fn recorded_exchanges_are_answered_alike_or_as_a_row_says() {
    const NAME: &str = "recorded_exchanges_are_answered_alike_or_as_a_row_says";
    if !stage::is_own_network() {
        return stage::run_in_own_network(NAME);
    }
    stage::start_back_ends(&[17001, 17002, 17003]);
    let muster = stage::Muster::start();
    let mut found = Vec::new();
    for exchange in exchange::recorded() {
        let ours = muster.answer(&exchange.request);
        if exchange.request.wants_xml() {
            let text = muster.answer(&exchange.request.without_accept());
            facts::check_xml(&exchange.request.method(), &ours.body, &text.body);
        }
        let differences = facts::differences(&exchange, &ours);
        found.extend(deviations::Row::of(&exchange.number, &differences));
    }
    deviations::compare(&deviations::rows(), &found).unwrap_or_else(|report| panic!("{report}"));
}
