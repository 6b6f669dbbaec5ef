//! A thousand and more schedules in every run of the tests, the seeds that found something, and
//! rules broken on purpose. Nothing here depends on the machine's time.

use muster_sim::{Case, Kind, Mutation, Verdict, run};

/// Runs seeds on all cores.
fn run_all(first: u64, count: u64) -> Verdict {
    let workers = 4;
    let run_some = |worker: u64| {
        let mut sum = Verdict::default();
        for seed in (first..first + count).filter(|seed| seed % workers == worker) {
            sum.add(run(&Case::of(seed, None, None), false));
        }
        sum
    };
    std::thread::scope(|scope| {
        let all: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || run_some(worker))).collect();
        let mut sum = Verdict::default();
        for one in all {
            sum.add(one.join().expect("a worker of the simulation panicked"));
        }
        sum
    })
}

#[test]
fn no_schedule_of_1500_breaks_a_promise() {
    let verdict = run_all(1, 1_500);
    println!("{}", verdict.line());
    assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    let (counts, grid) = (verdict.counts, verdict.counts.grid);
    for (what, count) in [
        ("kills", counts.kills),
        ("cuts", counts.cuts),
        ("promotions", grid.promotions),
        ("transfers", grid.transfers),
        ("epoch refusals", grid.epoch_refusals),
        ("merges", grid.merged),
        ("writes", grid.writes),
        ("leases", verdict.leases),
        ("expired entries", grid.expired),
        ("resumed transfers", grid.resumed),
        ("checkouts that waited", grid.waited),
        ("fenced writes", grid.fenced),
        ("views", counts.views),
        ("leaves", counts.leaves),
        ("lives renewed", counts.renewals),
    ] {
        assert!(count >= 1_000, "only {count} {what}: {}", verdict.line());
    }
}

/// Each of these failed once; docs/simulation.md tells the stories.
#[test]
fn seeds_that_found_something_stay_quiet() {
    for seed in [
        56, 57, 115, 132, 136, 197, 375, 391, 539, 594, 684, 744, 815, 912, 936, 943, 1363, 1401,
        1453, 1667, 1917, 2006, 2167, 2194, 2428, 4514, 25375, 25825, 109438, 110557, 110799,
        1_008_998, 1_006_387, 1_020_390, 1_020_621, 1_029_872, 1_048_274, 1_067_343, 5_004_201,
    ] {
        let verdict = run(&Case::of(seed, None, None), false);
        assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    }
}

#[test]
fn seeds_without_quorum_that_found_something_stay_quiet() {
    for (seed, members) in [(300_207, 7), (300_259, 3)] {
        let verdict = run(&Case::of(seed, Some(members), None).without_quorum(), false);
        assert!(verdict.wrong.is_empty(), "{:#?}", verdict.wrong);
    }
}

#[test]
fn one_seed_is_one_story() {
    let story = || run(&Case::of(4, None, None), true).trace;
    assert_eq!(story(), story());
}

/// Whether one of the first schedules finds a broken rule by a word of its complaint.
fn find(mutation: Mutation, words: &[&str]) -> Option<String> {
    for seed in 1..=200 {
        let mut case = Case::of(seed, None, None);
        if case.kind == Kind::Splits {
            continue;
        }
        case.mutation = Some(mutation);
        let wrong = run(&case, false).wrong;
        let found = wrong.into_iter().find(|wrong| words.iter().any(|word| wrong.contains(word)));
        if found.is_some() {
            println!("{mutation:?}: {found:?}");
            return found;
        }
    }
    None
}

#[test]
fn a_copy_that_takes_writes_of_any_epoch_is_noticed() {
    // Rare: a deposed primary must be heard by a copy that has promised more.
    let case = |mutation| Case { mutation, ..Case::of(537, Some(3), Some(2)) };
    assert!(run(&case(None), false).wrong.is_empty());
    let wrong = run(&case(Some(Mutation::NoEpochCheck)), false).wrong;
    assert!(wrong.iter().any(|wrong| wrong.contains("not linearizable")), "{wrong:#?}");
}

#[test]
fn a_write_acknowledged_before_the_backup_has_it_is_noticed() {
    assert!(find(Mutation::AckBeforeBackup, &["not linearizable"]).is_some());
}

#[test]
fn an_owner_dropped_for_its_lateness_is_noticed() {
    assert!(find(Mutation::DropLate, &["not linearizable", "lost"]).is_some());
}

#[test]
fn a_lease_that_is_not_waited_for_is_noticed() {
    assert!(find(Mutation::NoLeaseWait, &["is held by"]).is_some());
}
