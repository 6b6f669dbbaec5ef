//! Singletons in a thousand schedules of every run.

use muster_sim::singleton::{Story, run};

#[test]
fn no_schedule_of_1000_runs_a_singleton_twice_or_leaves_it_without_a_provider() {
    let mut sum = Story::default();
    for seed in 1..=1_000 {
        let story = run(seed);
        sum.starts += story.starts;
        sum.cut_off += story.cut_off;
        sum.lost += story.lost;
        sum.kills += story.kills;
        sum.wrong.extend(story.wrong.into_iter().map(|wrong| format!("seed {seed} {wrong}")));
    }
    println!(
        "{} starts, {} cut off, {} lost, {} kills",
        sum.starts, sum.cut_off, sum.lost, sum.kills
    );
    assert!(sum.wrong.is_empty(), "{:#?}", &sum.wrong[..sum.wrong.len().min(10)]);
    assert!(sum.starts >= 3_000 && sum.cut_off >= 100 && sum.lost >= 300 && sum.kills >= 1_000);
}
