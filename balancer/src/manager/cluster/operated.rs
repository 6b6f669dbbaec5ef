//! What operators set and watch in a cluster, as the page's model: jobs, queues and settings.

use muster_protocol::cluster::jobs::{JobReport, OpenFiring, Settled};
use muster_protocol::cluster::queues::{QueueConsumers, QueueReport};
use muster_protocol::cluster::settings::{
    KnownSetting, SettingChange, SettingReport, SettingsHistory, SettingsReport,
};
use muster_web_ui::page;

use super::rfc3339;

/// A job; `wall` is now, in milliseconds since 1970.
pub(super) fn job(told: &JobReport, wall: u64) -> page::Job {
    let next = told.next_ms.and_then(|ms| u64::try_from(ms).ok());
    page::Job {
        name: told.name.clone(),
        schedule: told.schedule.clone(),
        is_paused: told.is_paused,
        members: told.members.clone(),
        next: next.map(rfc3339),
        seconds_to_next: next.map(|ms| ms.saturating_sub(wall) / 1000),
        open: told.open.iter().map(open).collect(),
        done: told.done,
        failed: told.failed,
        missed: told.missed,
        skipped: told.skipped,
        failures: told.failures,
        lost: told.lost,
        history: told.history.iter().map(|one| firing(one, wall)).collect(),
    }
}

fn open(told: &OpenFiring) -> page::OpenFiring {
    page::OpenFiring {
        at: instant(told.at_ms),
        is_wished: told.is_wished,
        tries: told.tries,
        member: told.member.clone(),
        token: told.token.clone(),
        error: told.error.clone(),
    }
}

fn firing(told: &Settled, wall: u64) -> page::Firing {
    let ended = u64::try_from(told.ended_ms).unwrap_or(0);
    page::Firing {
        at: instant(told.at_ms),
        seconds_ago: wall.saturating_sub(ended) / 1000,
        outcome: told.outcome.word().to_owned(),
        tries: told.tries,
        lost: told.lost,
        member: told.member.clone(),
        token: told.token.clone(),
        took_ms: told.took_ms,
        error: told.error.clone(),
    }
}

fn instant(ms: i64) -> String {
    u64::try_from(ms).map(rfc3339).unwrap_or_default()
}

/// The settings with their last changes, where those are told.
pub(super) fn settings(
    told: &SettingsReport,
    history: Option<&SettingsHistory>,
    wall: u64,
) -> page::Settings {
    let changes = history.iter().flat_map(|history| &history.changes);
    page::Settings {
        version: told.version,
        set: told.settings.iter().map(|one| setting(one, wall)).collect(),
        known: told.known.iter().map(known).collect(),
        history: changes.map(|one| change(one, wall)).collect(),
    }
}

fn setting(told: &SettingReport, wall: u64) -> page::Setting {
    let at_ms = told.at_ms.unwrap_or(0);
    page::Setting {
        key: told.key.clone(),
        value: told.value.clone().unwrap_or_default(),
        version: told.version.unwrap_or(0),
        at: rfc3339(at_ms),
        seconds_ago: wall.saturating_sub(at_ms) / 1000,
        by: told.by.clone().unwrap_or_default(),
        default: told.default.clone(),
        problem: told.problem.clone(),
    }
}

fn known(told: &KnownSetting) -> page::KnownSetting {
    page::KnownSetting {
        key: told.key.clone(),
        bound: told.bound.clone(),
        default: told.default.clone(),
        about: told.about.clone(),
    }
}

fn change(told: &SettingChange, wall: u64) -> page::SettingChange {
    page::SettingChange {
        version: told.version,
        at: rfc3339(told.at_ms),
        seconds_ago: wall.saturating_sub(told.at_ms) / 1000,
        by: told.by.clone(),
        key: told.key.clone(),
        old: told.old.clone(),
        new: told.new.clone(),
    }
}

pub(super) fn queue(told: &QueueReport) -> page::Queue {
    let (settings, numbers) = (&told.settings, &told.numbers);
    let consumers = |of: &QueueConsumers| page::Consumers {
        member: of.member.clone(),
        consumers: of.consumers,
        in_flight: of.in_flight,
    };
    page::Queue {
        name: told.name.clone(),
        home: told.home.clone(),
        members: told.members.clone(),
        ready: numbers.ready,
        in_flight: numbers.in_flight,
        dead: numbers.dead,
        published: numbers.published,
        duplicates: numbers.duplicates,
        delivered: numbers.delivered,
        redelivered: numbers.redelivered,
        done: numbers.done,
        expired: numbers.expired,
        buried: numbers.buried,
        consumers: told.consumers.iter().map(consumers).collect(),
        most: settings.most,
        visibility_ms: settings.visibility_ms,
        most_tries: settings.most_tries,
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::samples::cluster;
    use crate::manager::cluster::shown;

    #[test]
    fn jobs_queues_settings_and_events_are_shown_with_their_times() {
        let page = shown(&cluster(), 1_796_000_005_500);
        let job = &page.jobs[0];
        assert_eq!(job.next.as_deref(), Some("2026-11-30T00:53:30Z"));
        assert_eq!((job.seconds_to_next, job.open[0].is_wished), (Some(4), true));
        let last = &job.history[0];
        assert_eq!((last.outcome.as_str(), last.seconds_ago), ("done", 5));
        let queue = &page.queues[0];
        assert_eq!((queue.name.as_str(), queue.home.as_deref()), ("/queue/msg", Some("one")));
        assert_eq!((queue.ready, queue.in_flight, queue.dead), (3, 2, 1));
        assert_eq!((queue.consumers[0].consumers, queue.most_tries), (2, 10));
        let settings = page.settings.unwrap();
        assert_eq!((settings.version, settings.set[0].value.as_str()), (7, "250"));
        assert_eq!((settings.history[0].old.as_deref(), settings.known.len()), (None, 1));
        let event = &page.events[0];
        assert_eq!((event.kind.as_str(), event.seconds_ago), ("singleton", 5));
        assert_eq!((event.subject.as_str(), event.who.as_deref()), ("cluster shop", Some("one")));
        let silent = crate::cluster::Cluster { settings: None, ..cluster() };
        assert_eq!(shown(&silent, 0).settings, None);
    }
}
