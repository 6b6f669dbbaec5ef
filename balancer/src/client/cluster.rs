//! `muster cluster`: asks the management of a member, which answers for its whole cluster.

mod jobs;
mod queues;
mod settings;
mod singletons;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use muster_protocol::cluster::events::{EventsReport, Gravity};
use muster_protocol::cluster::report::{
    CacheReport, CachesReport, ClusterReport, DeploymentReport, DeploymentsReport, Done,
    MemberReport, NodeWish, QuorumWish, SegmentsReport,
};
use muster_protocol::signature::Secrets;
use serde::Serialize;
use serde_json::{Value, json};

use super::Papers;
use super::ask::Ended;
use super::show::{self, Column, text};
use crate::cluster::call::{Member, read_secret};

/// Where a member's management is when nobody says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:7790";

/// The exit code where something is wrong with the cluster.
const UNWELL: u8 = 3;

/// Which member to ask, and how.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The management of a member; any one answers for its cluster
    #[arg(long, value_name = "URL", global = true, default_value = DEFAULT_URL,
        env = "MUSTER_CLUSTER")]
    at: String,
    /// File with the cluster's secret in its first line
    #[arg(long, value_name = "FILE", global = true, env = "MUSTER_CLUSTER_SECRET_FILE")]
    secret_file: Option<PathBuf>,
    /// The cluster's secret; of the environment only, so that no list of processes shows it
    #[arg(skip = secret_of_environment())]
    secret: Option<String>,
    /// PEM file of the authorities of the management's certificate [default: the system's]
    #[arg(long, value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to a management with mutual TLS
    #[arg(long, value_name = "FILE", global = true, requires = "own_key")]
    certificate: Option<PathBuf>,
    /// PEM file of its private key
    #[arg(long = "key", value_name = "FILE", global = true, requires = "certificate")]
    own_key: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", global = true, default_value = "15s",
        value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,
}

fn secret_of_environment() -> Option<String> {
    std::env::var("MUSTER_CLUSTER_SECRET").ok().filter(|secret| !secret.is_empty())
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the cluster, its members and what is wrong: exit code 3 where something is
    Status,
    /// Show the members
    Members,
    /// Show the caches, or one of them with each member's numbers
    Caches {
        /// The cache
        cache: Option<String>,
    },
    /// Show applications' sessions, stateful components and single sign-ons, or one of them with
    /// each member's numbers
    Sessions {
        /// Which: web/APPLICATION, bean/NAME or sso/NAME
        #[arg(value_parser = deployment)]
        deployment: Option<Deployment>,
    },
    /// Show singletons and who runs them, one of them with its history, or move one
    Singletons {
        /// Which
        singleton: Option<String>,
        #[command(subcommand)]
        verb: Option<singletons::Verb>,
    },
    /// Show who keeps which segments
    Segments,
    /// Change how many members must be there
    Quorum {
        /// How many, or "none": then each side of a split serves
        #[arg(value_name = "N", value_parser = quorum)]
        quorum: Quorum,
        /// Even when it is at most half of the known nodes
        #[arg(long)]
        force: bool,
    },
    /// Forget a node that is away and never comes back: it does not vote any more
    Forget {
        /// Its name or id
        node: String,
    },
    /// Let a member hand over what it has and leave
    Leave {
        /// Its name or id
        node: String,
    },
    /// Remove all entries of a cache
    Clear {
        /// The cache
        cache: String,
    },
    /// Show queues, one of them with its consumers; or look after dead letters
    Queues {
        /// Which
        queue: Option<String>,
        #[command(subcommand)]
        verb: Option<queues::Verb>,
    },
    #[command(flatten)]
    Settings(settings::Verb),
    /// Show what has happened, the latest first
    Events {
        /// Only what is at least so grave: info, warning or trouble
        #[arg(long, value_name = "GRAVITY", default_value = "info")]
        gravity: Gravity,
    },
    /// Show jobs and what became of their firings; or run, pause, resume one
    Jobs {
        #[command(subcommand)]
        verb: Option<jobs::Verb>,
    },
}

/// A deployment of the command line: its kind and name.
#[derive(Debug, Clone)]
struct Deployment(String, String);

fn deployment(text: &str) -> Result<Deployment, String> {
    match text.split_once('/') {
        Some((kind @ ("web" | "bean" | "sso"), name)) if !name.is_empty() => {
            Ok(Deployment(kind.to_owned(), name.to_owned()))
        }
        _ => Err("it is web/APPLICATION, bean/NAME or sso/NAME".to_owned()),
    }
}

/// A quorum of the command line.
#[derive(Debug, Clone, Copy)]
struct Quorum(Option<u16>);

fn quorum(text: &str) -> Result<Quorum, String> {
    match (text, text.parse::<u16>()) {
        ("none", _) => Ok(Quorum(None)),
        (_, Ok(quorum)) if quorum > 0 => Ok(Quorum(Some(quorum))),
        (_, _) => Err("it is a number of 1 or more, or \"none\"".to_owned()),
    }
}

/// Does what the command line asks for.
pub(super) async fn run(cluster: Cluster, out: &mut dyn Write) -> anyhow::Result<()> {
    let member = cluster.member()?;
    let json = cluster.json;
    match cluster.verb.unwrap_or(Verb::Status) {
        Verb::Status => {
            let report: ClusterReport = member.get("/v1/cluster").await?;
            show(&report, json, out, status)?;
            match report.warnings.len() {
                0 => Ok(()),
                count => {
                    let said = format!("{count} of the cluster's matters need attention");
                    Err(Ended { code: UNWELL, said }.into())
                }
            }
        }
        Verb::Members => {
            let report: ClusterReport = member.get("/v1/cluster").await?;
            show(&report.members, json, out, |members| members_table(members))
        }
        Verb::Caches { cache: None } => {
            let report: CachesReport = member.get("/v1/cluster/caches").await?;
            show(&report, json, out, caches)
        }
        Verb::Caches { cache: Some(name) } => {
            let path = format!("/v1/cluster/caches/{}", encoded(&name));
            let report: CacheReport = member.get(&path).await?;
            show(&report, json, out, cache)
        }
        Verb::Sessions { deployment: None } => {
            let report: DeploymentsReport = member.get("/v1/cluster/deployments").await?;
            show(&report, json, out, deployments)
        }
        Verb::Sessions { deployment: Some(Deployment(kind, name)) } => {
            let path = format!("/v1/cluster/deployments/{kind}/{}", encoded(&name));
            let report: DeploymentReport = member.get(&path).await?;
            show(&report, json, out, one_deployment)
        }
        Verb::Singletons { singleton, verb } => {
            singletons::run(singleton, verb, &member, json, out).await
        }
        Verb::Segments => {
            let report: SegmentsReport = member.get("/v1/cluster/segments").await?;
            show(&report, json, out, segments)
        }
        Verb::Quorum { quorum: Quorum(quorum), force } => {
            let wish = QuorumWish { quorum, force };
            done(member.post("/v1/cluster/quorum", &wish).await?, json, out)
        }
        Verb::Forget { node } => {
            done(member.post("/v1/cluster/forget", &NodeWish { node }).await?, json, out)
        }
        Verb::Leave { node } => {
            done(member.post("/v1/cluster/leave", &NodeWish { node }).await?, json, out)
        }
        Verb::Clear { cache } => {
            let path = format!("/v1/cluster/caches/{}/clear", encoded(&cache));
            done(member.post(&path, &json!({})).await?, json, out)
        }
        Verb::Jobs { verb } => jobs::run(verb, &member, json, out).await,
        Verb::Queues { queue, verb } => queues::run(queue, verb, &member, json, out).await,
        Verb::Settings(verb) => settings::run(verb, &member, json, out).await,
        Verb::Events { gravity } => {
            let mut report: EventsReport = member.get("/v1/cluster/events").await?;
            for event in &mut report.events {
                event.gravity = Some(event.gravity());
            }
            report.events.retain(|event| event.gravity() >= gravity);
            show(&report, json, out, events)
        }
    }
}

// === impl Cluster ===

impl Cluster {
    fn member(&self) -> anyhow::Result<Member> {
        let secrets = match (&self.secret_file, &self.secret) {
            (Some(file), _) => Some(
                read_secret(file)
                    .map_err(|why| anyhow::anyhow!("--{}", why.replacen('_', "-", 1)))?,
            ),
            (None, Some(secret)) => {
                let secret = secret.trim().parse().context("MUSTER_CLUSTER_SECRET")?;
                Some(Secrets::new([secret]))
            }
            (None, None) => None,
        };
        let papers = Papers {
            ca: self.ca.as_deref(),
            certificate: self.certificate.as_deref(),
            key: self.own_key.as_deref(),
        };
        Ok(Member::new(&self.at, papers, self.timeout, secrets)?)
    }
}

fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn show<T: Serialize>(
    value: &T,
    json: bool,
    out: &mut dyn Write,
    words: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match json {
        true => writeln!(out, "{}", serde_json::to_string(value)?)?,
        false => write!(out, "{}", words(value))?,
    }
    Ok(())
}

fn done(done: Done, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    show(&done, json, out, |done| format!("{}\n", plain(&done.done)))
}

/// A table with a row for each of these.
fn rows<T: Serialize>(columns: &[Column], all: &[T]) -> String {
    let rows: Vec<Value> = all.iter().map(|one| json!(one)).collect();
    show::table(columns, &rows)
}

/// Whose numbers are missing.
fn silent(members: &[String]) -> String {
    match members.is_empty() {
        true => String::new(),
        false => format!("! no answer from {}\n", plain(&members.join(", "))),
    }
}

/// Text of somebody else, which does nothing to a terminal.
fn plain(words: &str) -> String {
    text(&Value::from(words))
}

// === in words ===

fn status(report: &ClusterReport) -> String {
    let quorum = match report.quorum.needed {
        Some(needed) => format!("{needed} of {} known nodes", report.quorum.known.len()),
        None => "none: each side of a split serves".to_owned(),
    };
    let quorate = if report.quorum.is_quorate { "enough" } else { "too few" };
    let facts = [
        ("cluster", plain(&report.name)),
        ("engine", plain(&report.engine)),
        ("view", plain(&report.view)),
        ("coordinator", plain(&report.coordinator)),
        ("asked", plain(&report.me)),
        ("quorum", quorum),
        ("in sight", quorate.to_owned()),
        ("segments", report.segments.to_string()),
    ];
    let mut words = String::new();
    for (name, value) in facts {
        words.push_str(&format!("{name:<12} {value}\n"));
    }
    words.push('\n');
    words.push_str(&members_table(&report.members));
    if !report.history.is_empty() {
        words.push('\n');
        words.push_str(&rows(&CHANGES, &report.history));
    }
    if !report.warnings.is_empty() {
        words.push('\n');
    }
    for warning in &report.warnings {
        words.push_str(&format!("! {}\n", plain(&warning.text)));
    }
    words
}

fn members_table(members: &[MemberReport]) -> String {
    rows(&MEMBERS, members)
}

fn caches(report: &CachesReport) -> String {
    rows(&CACHES, &report.caches) + &silent(&report.silent)
}

fn cache(report: &CacheReport) -> String {
    let (name, mode) = (plain(&report.name), plain(&report.mode));
    let (entries, bytes) = (report.entries, report.bytes);
    let head = format!("{name}: {mode}, {entries} entries, {bytes} bytes in all copies\n\n");
    head + &rows(&CACHE_MEMBERS, &report.members)
}

fn deployments(report: &DeploymentsReport) -> String {
    rows(&DEPLOYMENTS, &report.deployments) + &silent(&report.silent)
}

fn one_deployment(report: &DeploymentReport) -> String {
    let (kind, name, mode) = (report.kind.word(), plain(&report.name), plain(&report.mode));
    let (active, bytes) = (report.active, report.bytes);
    let head = format!("{kind}/{name}: {mode}, {active} active, {bytes} bytes in all copies\n\n");
    let members = &report.members;
    head + &rows(&DEPLOYMENT_MEMBERS, members) + "\n" + &rows(&CACHE_MEMBERS, members)
}

fn segments(report: &SegmentsReport) -> String {
    let mut words = format!("view {}\n", plain(&report.view));
    for table in &report.tables {
        let copies = match table.copies {
            Some(copies) => format!("{copies} copies"),
            None => "a copy on every member".to_owned(),
        };
        words.push_str(&format!("\n{} segments with {copies}\n", table.segments.len()));
        words.push_str(&rows(&SEGMENTS, &table.segments));
    }
    words
}

fn events(report: &EventsReport) -> String {
    rows(&EVENTS, &report.events) + &silent(&report.silent)
}

const EVENTS: [Column; 5] = [
    ("WHEN", |row| when(&row["at_ms"])),
    ("GRAVITY", |row| text(&row["gravity"])),
    ("KIND", |row| text(&row["kind"])),
    ("WHAT", |row| text(&row["text"])),
    ("SEEN BY", |row| text(&row["members"])),
];

const MEMBERS: [Column; 10] = [
    ("MEMBER", |row| text(&row["name"])),
    ("STATE", |row| text(&row["state"])),
    ("ADDRESS", |row| text(&row["address"])),
    ("AGE", |row| age(&row["age_ms"])),
    ("PRIMARY OF", |row| text(&row["primary"])),
    ("KEEPS", |row| text(&row["owned"])),
    ("FILLING", |row| text(&row["filling"])),
    ("ENTRIES", |row| text(&row["entries"])),
    ("BYTES", |row| text(&row["bytes"])),
    ("NODE", |row| text(&row["node"])),
];

const CHANGES: [Column; 5] = [
    ("WHEN", |row| when(&row["at_ms"])),
    ("VIEW", |row| text(&row["view"])),
    ("WHAT", |row| text(&row["reason"])),
    ("MEMBERS", |row| text(&row["members"])),
    ("SETTLED AFTER", |row| match row["settled_ms"].as_u64() {
        Some(ms) => format!("{ms} ms"),
        None => "-".to_owned(),
    }),
];

const CACHES: [Column; 5] = [
    ("CACHE", |row| text(&row["name"])),
    ("MODE", |row| text(&row["mode"])),
    ("ENTRIES", |row| text(&row["entries"])),
    ("BYTES", |row| text(&row["bytes"])),
    ("MEMBERS", |row| text(&row["view"])),
];

const CACHE_MEMBERS: [Column; 13] = [
    ("MEMBER", |row| text(&row["member"])),
    ("ENTRIES", |row| text(&row["distribution"]["entries"])),
    ("PRIMARY OF", |row| text(&row["distribution"]["primary_entries"])),
    ("BYTES", |row| text(&row["distribution"]["bytes"])),
    ("HITS", |row| text(&row["operations"]["hits"])),
    ("MISSES", |row| text(&row["operations"]["misses"])),
    ("PUTS", |row| text(&row["operations"]["puts"])),
    ("REMOVES", |row| text(&row["operations"]["removes"])),
    ("RPCS", |row| text(&row["rpc"]["count"])),
    ("FAILED", |row| text(&row["rpc"]["failures"])),
    ("PREPARES", |row| text(&row["batches"]["prepares"])),
    ("COMMITS", |row| text(&row["batches"]["commits"])),
    ("ROLLBACKS", |row| text(&row["batches"]["rollbacks"])),
];

const DEPLOYMENTS: [Column; 8] = [
    ("DEPLOYMENT", |row| format!("{}/{}", text(&row["kind"]), text(&row["name"]))),
    ("MODE", |row| text(&row["mode"])),
    ("ACTIVE", |row| text(&row["active"])),
    ("CREATED", |row| of_members(row, "created")),
    ("ENDED", |row| of_members(row, "invalidated")),
    ("EXPIRED", |row| of_members(row, "expired")),
    ("REQUESTS", |row| of_members(row, "calls")),
    ("MEMBERS", |row| text(&row["view"])),
];

const DEPLOYMENT_MEMBERS: [Column; 9] = [
    ("MEMBER", |row| text(&row["member"])),
    ("ACTIVE", |row| text(&row["lives"]["active"])),
    ("COPIES", |row| text(&row["lives"]["copies"])),
    ("CREATED", |row| text(&row["lives"]["created"])),
    ("ENDED", |row| text(&row["lives"]["invalidated"])),
    ("EXPIRED", |row| text(&row["lives"]["expired"])),
    ("REQUESTS", |row| text(&row["lives"]["calls"])),
    ("PASSIVATED", |row| text(&row["lives"]["passivated"])),
    ("ACTIVATED", |row| text(&row["lives"]["activated"])),
];

/// A number of all members together.
fn of_members(row: &Value, number: &str) -> String {
    let members = row["members"].as_array().into_iter().flatten();
    let numbers = members.filter_map(|member| member["lives"][number].as_u64());
    numbers.fold(0, u64::saturating_add).to_string()
}

const SEGMENTS: [Column; 4] = [
    ("SEGMENT", |row| text(&row["segment"])),
    ("OWNERS", |row| match row["owners"].as_array().map(Vec::len) {
        Some(0) => "waits for an owner that is away".to_owned(),
        _ => text(&row["owners"]),
    }),
    ("FILLING", |row| match row["pending"].as_array().map(Vec::len) {
        Some(0) => "-".to_owned(),
        _ => text(&row["pending"]),
    }),
    ("GROUPS", |row| text(&row["groups"])),
];

fn age(ms: &Value) -> String {
    match ms.as_u64() {
        Some(ms) => humantime::format_duration(Duration::from_secs(ms / 1000)).to_string(),
        None => "-".to_owned(),
    }
}

fn when(ms: &Value) -> String {
    let ms = ms.as_i64().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    ms.map_or_else(|| "-".to_owned(), |at| at.to_string())
}
