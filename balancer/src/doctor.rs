//! `muster doctor`: what is wrong, and what to do about it.
//!
//! [`gather`] looks at the machine, the files and the running balancer; [`checks`] judges what it
//! found, as a pure function; [`report`] says it.

mod ask;
mod checks;
pub(crate) mod facts;
mod gather;
mod report;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

pub(crate) use ask::ask;
pub(crate) use gather::gather;
pub(crate) use report::text;

/// What `muster doctor` takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The configuration file; without it, the defaults
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

/// What was looked at, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Which check.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What is so.
    pub(crate) what: String,
    /// What to do about it; empty where nothing is wrong.
    pub(crate) advice: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Good,
    /// It works, and will not for ever.
    Warning,
    /// Something does not work.
    Fault,
}

/// The doctor found something. It has been said already; only the exit code is left.
#[derive(Debug, thiserror::Error)]
#[error("the doctor found something")]
pub(crate) struct Ill(Severity);

// === impl Ill ===

impl Ill {
    /// 1 for a fault; 3 where there are warnings only, for 2 says that the command line is at
    /// fault.
    pub(crate) fn exit_code(&self) -> u8 {
        match self.0 {
            Severity::Fault => 1,
            Severity::Good | Severity::Warning => 3,
        }
    }
}

/// All findings, the worst first.
pub(crate) fn examine(facts: &facts::Facts) -> Vec<Finding> {
    let mut findings = checks::all(facts);
    // Those that are equally bad stay in the order of the checks.
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

/// Looks, judges and says it.
///
/// # Errors
/// An [`Ill`] where something is wrong, or what writing failed by.
pub(crate) fn run(options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    let findings = examine(&gather(options.config.as_deref()));
    match options.json {
        true => writeln!(out, "{}", report::json(&findings))?,
        false => write!(out, "{}", text(&findings))?,
    }
    match findings.first().map(|finding| finding.severity) {
        Some(severity) if severity > Severity::Good => Err(Ill(severity).into()),
        _ => Ok(()),
    }
}
