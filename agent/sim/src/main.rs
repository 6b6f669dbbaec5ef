//! `muster-sim --seed N --schedules K`: runs K schedules from seed N on. The last line is the
//! verdict; the exit code is 1 when something was wrong.

use clap::Parser;
use muster_sim::{Case, Mutation, Verdict, run};
use std::process::ExitCode;

/// A seeded simulation of the cluster's core.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    schedules: u64,
    /// Members; otherwise the seed says.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..=16))]
    members: Option<u64>,
    /// The quorum, or 0 for none; otherwise the seed says.
    #[arg(long)]
    quorum: Option<u16>,
    /// Adds browsers with sessions.
    #[arg(long)]
    sessions: bool,
    /// Members have little memory, and shelves that fail now and then.
    #[arg(long)]
    shelves: bool,
    /// Adds a queue with producers and consumers.
    #[arg(long)]
    queues: bool,
    /// Adds a queue that is written down, and restarts of all members; nothing else is asked then.
    #[arg(long)]
    journals: bool,
    /// Tells the story of each schedule.
    #[arg(long)]
    trace: bool,
    /// Breaks a rule on purpose: no-epoch-check, ack-before-backup, drop-late, no-lease-wait,
    /// no-fence, unproven-miss, unproven-stand, queue-early-ack, queue-no-mark, queue-no-lease,
    /// queue-no-order, queue-no-journal.
    #[arg(long)]
    mutation: Option<Mutation>,
    /// Goes on after so many violations at most.
    #[arg(long, default_value_t = 10)]
    most: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut all = Verdict::default();
    for seed in arguments.seed..arguments.seed.saturating_add(arguments.schedules) {
        let members = arguments.members.and_then(|members| usize::try_from(members).ok());
        let mut case = Case::of(seed, members, arguments.quorum.filter(|quorum| *quorum > 0));
        if arguments.quorum == Some(0) {
            case = case.without_quorum();
        }
        if arguments.sessions {
            case = case.with_sessions();
        }
        if arguments.shelves {
            case = case.with_shelves();
        }
        if arguments.queues {
            case = case.with_queues();
        }
        if arguments.journals {
            case = case.with_journals();
        }
        case.mutation = arguments.mutation;
        let mut verdict = run(&case, arguments.trace);
        if let Some(trace) = verdict.trace.take() {
            print!("{trace}");
        }
        for wrong in &verdict.wrong {
            println!("{wrong}");
        }
        all.add(verdict);
        if all.wrong.len() >= arguments.most {
            break;
        }
    }
    println!("{}", all.line());
    if all.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
