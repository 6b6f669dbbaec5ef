//! What is wrong with a cluster, in words that say what follows from it and what helps.

use muster_protocol::cluster::report::{ClusterReport, MemberState, Warning, WarningKind};

use super::gather::Gathered;

/// The worst first.
pub(super) fn warnings(report: &ClusterReport, gathered: &Gathered) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, text| warnings.push(Warning { kind, text });
    if !report.quorum.is_quorate {
        warn(WarningKind::NotQuorate, not_quorate(report));
    }
    if report.lost_rows > 0 {
        let text = format!(
            "{} segments began empty because nobody was left who kept them: what was in them is \
             lost",
            report.lost_rows
        );
        warn(WarningKind::Lost, text);
    }
    if report.merges > 0 {
        let text = format!(
            "two sides of a split met {}; {} values of one side gave way to the other's",
            times(report.merges),
            report.overridden
        );
        warn(WarningKind::Merged, text);
    }
    for member in &report.members {
        let name = &member.name;
        match member.state {
            MemberState::Silent => {
                let why = member.error.as_deref().unwrap_or("no answer");
                warn(WarningKind::Silent, format!("{name} does not answer: {why}"));
            }
            MemberState::Away => {
                let text = format!(
                    "{name} votes and is away; if it never comes back, forget it: \
                     muster cluster forget {name}"
                );
                warn(WarningKind::Away, text);
            }
            MemberState::Up | MemberState::Leaving => {}
        }
    }
    let unsettled = gathered.inside.iter().flat_map(|view| &view.rows);
    let unsettled = unsettled.filter(|row| row.owners.is_empty() || !row.pending.is_empty());
    let unsettled = unsettled.count();
    if unsettled > 0 {
        let text = format!("{unsettled} segments are being filled, or wait for their owners");
        warn(WarningKind::Unsettled, text);
    }
    let views = gathered.told.values().flatten().filter(|told| told.view != report.view);
    let views = views.count();
    if views > 0 {
        let text = format!("{views} of the members have another view than {}", report.me);
        warn(WarningKind::Views, text);
    }
    warnings.sort_by_key(|warning| warning.kind);
    warnings
}

fn not_quorate(report: &ClusterReport) -> String {
    let known = report.quorum.known.len();
    match report.quorum.needed {
        Some(needed) => format!(
            "too few members are in sight: {needed} of {known} known nodes are needed; nothing is \
             read or written here until they are back"
        ),
        None => "this member is in no cluster yet".to_owned(),
    }
}

fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}
