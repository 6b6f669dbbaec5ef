//! `muster cluster singletons`: who runs what there is one of, and where it should move.

use std::io::Write;

use clap::Subcommand;
use muster_protocol::cluster::singletons::{MoveWish, SingletonReport, SingletonsReport};

use super::show::{Column, text};
use super::{done, encoded, plain, rows, show, when};
use crate::cluster::call::Member;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Move one to a node as long as that is there; without a node to where its policy puts it
    Move {
        /// The singleton
        singleton: String,
        /// The node, by its name or id
        node: Option<String>,
    },
}

pub(super) async fn run(
    singleton: Option<String>,
    verb: Option<Verb>,
    member: &Member,
    json: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let path = |singleton: &str| format!("/v1/cluster/singletons/{}", encoded(singleton));
    match (verb, singleton) {
        (Some(Verb::Move { singleton, node }), _) => {
            let path = format!("{}/move", path(&singleton));
            done(member.post(&path, &MoveWish { node }).await?, json, out)
        }
        (None, None) => {
            let report: SingletonsReport = member.get("/v1/cluster/singletons").await?;
            show(&report, json, out, |report| rows(&SINGLETONS, &report.singletons))
        }
        (None, Some(name)) => {
            let report: SingletonReport = member.get(&path(&name)).await?;
            show(&report, json, out, one)
        }
    }
}

fn one(report: &SingletonReport) -> String {
    let provider = match (&report.provider, &report.no_provider) {
        (Some(provider), _) => format!("runs on {}", plain(provider)),
        (None, Some(why)) => format!("nobody runs it: {}", plain(why)),
        (None, None) => "nobody runs it yet".to_owned(),
    };
    let (name, kind, policy) = (plain(&report.name), report.kind.word(), plain(&report.policy));
    let (members, history) = (rows(&MEMBERS, &report.members), rows(&HISTORY, &report.history));
    format!("{name}: {kind}, {policy}, {provider}\n\n{members}\n{history}")
}

const SINGLETONS: [Column; 7] = [
    ("SINGLETON", |row| text(&row["name"])),
    ("KIND", |row| text(&row["kind"])),
    ("POLICY", |row| text(&row["policy"])),
    ("PROVIDER", |row| match row["is_everywhere"].as_bool() {
        Some(true) => "every member".to_owned(),
        _ => text(&row["provider"]),
    }),
    ("TOKEN", |row| text(&row["token"])),
    ("MOVED TO", |row| text(&row["moved"])),
    ("CANDIDATES", |row| text(&row["candidates"])),
];

const MEMBERS: [Column; 7] = [
    ("MEMBER", |row| text(&row["member"])),
    ("STATE", |row| text(&row["state"])),
    ("TOKEN", |row| text(&row["token"])),
    ("STARTS", |row| text(&row["starts"])),
    ("FAILURES", |row| text(&row["failures"])),
    ("LOST", |row| text(&row["lost"])),
    ("CUT OFF", |row| text(&row["cut_off"])),
];

const HISTORY: [Column; 3] = [
    ("WHEN", |row| when(&row["at_ms"])),
    ("MEMBER", |row| text(&row["member"])),
    ("WHAT", |row| text(&row["text"])),
];
