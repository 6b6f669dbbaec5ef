//! `muster cluster queues`: what waits in which queue, who consumes, and what became of messages that
//! nobody could handle.

use std::io::Write;

use clap::Subcommand;
use muster_protocol::cluster::queues::{DeadReport, DeadWish, QueueReport, QueuesReport};

use super::show::{Column, text};
use super::{done, encoded, plain, rows, show};
use crate::cluster::call::Member;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the messages of a queue that were delivered too often; they stay
    Dead {
        /// The queue
        queue: String,
    },
    /// Have dead letters of a queue delivered again
    Requeue {
        /// The queue
        queue: String,
        /// Which; none: the 1,000 oldest
        letters: Vec<String>,
    },
    /// Drop dead letters of a queue for good
    Drop {
        /// The queue
        queue: String,
        /// Which
        #[arg(required_unless_present = "all")]
        letters: Vec<String>,
        /// The 1,000 oldest
        #[arg(long, conflicts_with = "letters")]
        all: bool,
    },
}

pub(super) async fn run(
    queue: Option<String>,
    verb: Option<Verb>,
    member: &Member,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = |queue: &str| format!("/v1/cluster/queues/{}", encoded(queue));
    let wish = |letters: Vec<String>| DeadWish { ids: (!letters.is_empty()).then_some(letters) };
    match (verb, queue) {
        (Some(Verb::Dead { queue }), _) => {
            let report: DeadReport = member.get(&format!("{}/dead", path(&queue))).await?;
            show(&report, json, out, |report| rows(&DEAD, &report.letters))
        }
        (Some(Verb::Requeue { queue, letters }), _) => {
            let path = format!("{}/dead/requeue", path(&queue));
            done(member.post(&path, &wish(letters)).await?, json, out)
        }
        (Some(Verb::Drop { queue, letters, all: _ }), _) => {
            let path = format!("{}/dead/drop", path(&queue));
            done(member.post(&path, &wish(letters)).await?, json, out)
        }
        (None, None) => {
            let report: QueuesReport = member.get("/v1/cluster/queues").await?;
            show(&report, json, out, |report| rows(&QUEUES, &report.queues))
        }
        (None, Some(name)) => {
            let report: QueueReport = member.get(&path(&name)).await?;
            show(&report, json, out, one)
        }
    }
}

fn one(report: &QueueReport) -> String {
    let (name, n) = (plain(&report.name), &report.numbers);
    let home = match &report.home {
        Some(home) => format!("its home is {}", plain(home)),
        None => "nobody says that it is its home".to_owned(),
    };
    let settings = &report.settings;
    format!(
        "{name}: {home}\n{} ready, {} in flight, {} dead; published {} (and {} that were there \
         already), delivered {} ({} of them again), done {}, expired {}, buried {}\nat most {} \
         messages, {} ms to handle one, {} tries\n\n{}",
        n.ready,
        n.in_flight,
        n.dead,
        n.published,
        n.duplicates,
        n.delivered,
        n.redelivered,
        n.done,
        n.expired,
        n.buried,
        settings.most,
        settings.visibility_ms,
        settings.most_tries,
        rows(&CONSUMERS, &report.consumers)
    )
}

const QUEUES: [Column; 9] = [
    ("QUEUE", |row| text(&row["name"])),
    ("HOME", |row| text(&row["home"])),
    ("READY", |row| text(&row["numbers"]["ready"])),
    ("IN FLIGHT", |row| text(&row["numbers"]["in_flight"])),
    ("DEAD", |row| text(&row["numbers"]["dead"])),
    ("PUBLISHED", |row| text(&row["numbers"]["published"])),
    ("REDELIVERED", |row| text(&row["numbers"]["redelivered"])),
    ("DONE", |row| text(&row["numbers"]["done"])),
    ("CONSUMERS", |row| {
        let all = row["consumers"].as_array().into_iter().flatten();
        all.filter_map(|one| one["consumers"].as_u64()).sum::<u64>().to_string()
    }),
];

const CONSUMERS: [Column; 3] = [
    ("MEMBER", |row| text(&row["member"])),
    ("CONSUMERS", |row| text(&row["consumers"])),
    ("IN FLIGHT", |row| text(&row["in_flight"])),
];

const DEAD: [Column; 4] = [
    ("LETTER", |row| text(&row["id"])),
    ("TRIES", |row| text(&row["tries"])),
    ("GROUP", |row| text(&row["group"])),
    ("BYTES", |row| text(&row["bytes"])),
];
