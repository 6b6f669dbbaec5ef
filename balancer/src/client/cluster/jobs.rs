//! `muster cluster jobs`: what is done at certain times, and what became of it.

use std::io::Write;

use clap::Subcommand;
use muster_protocol::cluster::jobs::{JobReport, JobsReport};
use serde_json::json;

use super::show::{Column, text};
use super::{done, encoded, plain, rows, show, when};
use crate::cluster::call::Member;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show what became of a job's last firings
    Show {
        /// The job
        job: String,
    },
    /// Run a job once more, now, on one of the members that have it
    Run {
        /// The job
        job: String,
    },
    /// Let no firing of a job count until it is resumed
    Pause {
        /// The job
        job: String,
    },
    /// Let firings of a job count again
    Resume {
        /// The job
        job: String,
    },
}

pub(super) async fn run(
    verb: Option<Verb>,
    member: &Member,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = |job: &str| format!("/v1/cluster/jobs/{}", encoded(job));
    let (job, verb) = match verb {
        None => {
            let report: JobsReport = member.get("/v1/cluster/jobs").await?;
            return show(&report, json, out, all);
        }
        Some(Verb::Show { job }) => {
            let report: JobReport = member.get(&path(&job)).await?;
            return show(&report, json, out, one);
        }
        Some(Verb::Run { job }) => (job, "run"),
        Some(Verb::Pause { job }) => (job, "pause"),
        Some(Verb::Resume { job }) => (job, "resume"),
    };
    let path = format!("{}/{verb}", path(&job));
    done(member.post(&path, &json!({})).await?, json, out)
}

fn all(report: &JobsReport) -> String {
    rows(&JOBS, &report.jobs)
}

fn one(job: &JobReport) -> String {
    let (name, schedule) = (plain(&job.name), plain(&job.schedule));
    let paused = if job.is_paused { ", paused" } else { "" };
    let (open, settled) = (rows(&OPEN, &job.open), rows(&SETTLED, &job.history));
    format!("{name}: {schedule}{paused}\n\n{open}\n{settled}")
}

const JOBS: [Column; 10] = [
    ("JOB", |row| text(&row["name"])),
    ("WHEN", |row| text(&row["schedule"])),
    ("PAUSED", |row| text(&row["is_paused"])),
    ("NEXT", |row| when(&row["next_ms"])),
    ("MEMBERS", |row| text(&row["members"])),
    ("DONE", |row| text(&row["done"])),
    ("FAILED", |row| text(&row["failed"])),
    ("MISSED", |row| text(&row["missed"])),
    ("SKIPPED", |row| text(&row["skipped"])),
    ("LOST RUNS", |row| text(&row["lost"])),
];

const OPEN: [Column; 5] = [
    ("UNDER WAY", |row| when(&row["at_ms"])),
    ("TRIES", |row| text(&row["tries"])),
    ("ON", |row| text(&row["member"])),
    ("TOKEN", |row| text(&row["token"])),
    ("ERROR", |row| text(&row["error"])),
];

const SETTLED: [Column; 7] = [
    ("SETTLED", |row| when(&row["at_ms"])),
    ("OUTCOME", |row| text(&row["outcome"])),
    ("TRIES", |row| text(&row["tries"])),
    ("LOST", |row| text(&row["lost"])),
    ("ON", |row| text(&row["member"])),
    ("TOOK MS", |row| text(&row["took_ms"])),
    ("ERROR", |row| text(&row["error"])),
];
