//! Queues over HTTP, as all members see them together, and what becomes of dead letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use muster_protocol::cluster::queues::{
    DeadLetter, DeadReport, DeadWish, MOST_SHOWN, QueueConsumers, QueueNumbers, QueueReport,
    QueueSettings, QueuesReport,
};
use muster_protocol::cluster::report::{Done, NotDone};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Ground;
use super::act::NotDone as Refusal;
use super::gather::Gathered;
use super::routes::{Refusals, Shared, done, found, read, refused, shown};
use crate::engine::{Queue, QueueSpec, QueueStats, View};

/// A queue of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct QueueTold {
    name: String,
    settings: QueueSettings,
    /// Where this member is its home.
    led: Option<Led>,
}

/// What its home says of a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Led {
    numbers: QueueNumbers,
    consumers: Vec<QueueConsumers>,
}

pub(super) fn routes() -> OpenApiRouter<Arc<Ground>> {
    OpenApiRouter::new()
        .routes(routes!(queues))
        .routes(routes!(queue))
        .routes(routes!(dead))
        .routes(routes!(requeue))
        .routes(routes!(drop_dead))
}

/// All queues, with their numbers and who consumes.
#[utoipa::path(
    get,
    path = "/v1/cluster/queues",
    responses((status = 200, body = QueuesReport), (status = 403, body = NotDone))
)]
async fn queues(State(ground): Shared) -> Response {
    shown(&ground.gather().await.queues())
}

/// One queue.
#[utoipa::path(
    get,
    path = "/v1/cluster/queues/{name}",
    params(("name" = String, Path, description = "The queue's name")),
    responses(
        (status = 200, body = QueueReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone)
    )
)]
async fn queue(State(ground): Shared, Path(name): Path<String>) -> Response {
    let all = ground.gather().await.queues().queues;
    found(all.iter().find(|one| one.name == name), format_args!("queue {name:?}"))
}

/// Its dead letters; they stay.
#[utoipa::path(
    get,
    path = "/v1/cluster/queues/{name}/dead",
    params(("name" = String, Path, description = "The queue's name")),
    responses(
        (status = 200, body = DeadReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn dead(State(ground): Shared, Path(name): Path<String>) -> Response {
    match ground.dead(&name).await {
        Ok(letters) => shown(&DeadReport { letters }),
        Err(error @ Refusal::Unknown(_)) => refused(StatusCode::NOT_FOUND, error.to_string()),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// They are delivered again.
#[utoipa::path(
    post,
    path = "/v1/cluster/queues/{name}/dead/requeue",
    request_body = DeadWish,
    params(("name" = String, Path, description = "The queue's name")),
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn requeue(State(ground): Shared, Path(name): Path<String>, body: Bytes) -> Response {
    match read::<DeadWish>(&body) {
        Ok(wish) => done(&ground, "requeue", ground.look_after(&name, wish, true).await),
        Err(refusal) => refusal,
    }
}

/// They go for good.
#[utoipa::path(
    post,
    path = "/v1/cluster/queues/{name}/dead/drop",
    request_body = DeadWish,
    params(("name" = String, Path, description = "The queue's name")),
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn drop_dead(State(ground): Shared, Path(name): Path<String>, body: Bytes) -> Response {
    match read::<DeadWish>(&body) {
        Ok(wish) => done(&ground, "drop", ground.look_after(&name, wish, false).await),
        Err(refusal) => refusal,
    }
}

/// What this member says of its queues, with members named as in its view.
pub(super) fn told(queues: &[Arc<dyn Queue>], view: &View) -> Vec<QueueTold> {
    let told = |queue: &Arc<dyn Queue>| QueueTold {
        name: queue.spec().name.clone(),
        settings: settings(queue.spec()),
        led: queue.led().map(|stats| led(stats, view)),
    };
    queues.iter().map(told).collect()
}

fn settings(spec: &QueueSpec) -> QueueSettings {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    QueueSettings {
        most: spec.most as u64,
        visibility_ms: ms(spec.visibility),
        most_tries: spec.most_tries,
        dedup_window_ms: ms(spec.dedup_window),
    }
}

fn led(stats: QueueStats, view: &View) -> Led {
    // Whole, so that whoever adds a number decides where it is shown.
    let QueueStats {
        ready,
        out: in_flight,
        dead,
        published,
        duplicates,
        delivered,
        redelivered,
        done,
        expired,
        buried,
        consumers,
    } = stats;
    let numbers = QueueNumbers {
        ready,
        in_flight,
        dead,
        published,
        duplicates,
        delivered,
        redelivered,
        done,
        expired,
        buried,
    };
    let consumers = consumers.into_iter().map(|(id, consumers, in_flight)| QueueConsumers {
        member: view.member(id).map_or_else(|| id.to_string(), |member| member.name.to_string()),
        consumers,
        in_flight,
    });
    Led { numbers, consumers: consumers.collect() }
}

// === impl Ground ===

impl Ground {
    /// A queue, which this member gets to know where only others have it.
    async fn queue_named(&self, name: &str) -> Result<Arc<dyn Queue>, Refusal> {
        if let Some(queue) = self.engine.queues().into_iter().find(|one| one.spec().name == name) {
            return Ok(queue);
        }
        let all = self.gather().await.queues().queues;
        let report = all.into_iter().find(|one| one.name == name);
        let report =
            report.ok_or_else(|| Refusal::Unknown(format!("there is no queue {name:?}")))?;
        let QueueSettings { most, visibility_ms, most_tries, dedup_window_ms } = report.settings;
        let spec = QueueSpec {
            most: usize::try_from(most).unwrap_or(usize::MAX),
            visibility: Duration::from_millis(visibility_ms),
            most_tries,
            dedup_window: Duration::from_millis(dedup_window_ms),
            ..QueueSpec::new(name)
        };
        self.engine.queue(spec).map_err(|error| Refusal::Refused(error.to_string()))
    }

    async fn dead(&self, name: &str) -> Result<Vec<DeadLetter>, Refusal> {
        let queue = self.queue_named(name).await?;
        let letters = queue.look_dead(MOST_SHOWN).await;
        let letters = letters.map_err(|error| Refusal::Refused(error.to_string()))?;
        let shown = |letter: crate::engine::DeadLetter| DeadLetter {
            id: letter.id,
            tries: letter.tries,
            group: letter.group,
            bytes: letter.body.len() as u64,
        };
        Ok(letters.into_iter().map(shown).collect())
    }

    /// Has dead letters delivered again, or drops them.
    async fn look_after(
        &self,
        name: &str,
        DeadWish { ids }: DeadWish,
        is_to_come_again: bool,
    ) -> Result<String, Refusal> {
        let queue = self.queue_named(name).await?;
        let ids = match ids {
            Some(ids) => ids,
            None => self.dead(name).await?.into_iter().map(|letter| letter.id).collect(),
        };
        let changed = match is_to_come_again {
            true => queue.requeue_dead(&ids).await,
            false => queue.drop_dead(&ids).await,
        };
        let count = changed.map_err(|error| Refusal::Refused(error.to_string()))?;
        self.forget_gathered().await;
        Ok(match is_to_come_again {
            true => format!("{count} dead letters of {name} are delivered again"),
            false => format!("{count} dead letters of {name} are dropped"),
        })
    }
}

// === impl Gathered ===

impl Gathered {
    fn queues(&self) -> QueuesReport {
        let mut queues: BTreeMap<&str, QueueReport> = BTreeMap::new();
        let mut silent = Vec::new();
        for member in &self.view.members {
            let Some(Ok(told)) = self.told.get(&member.id) else {
                silent.push(member.name.to_string());
                continue;
            };
            for one in &told.queues {
                let report = queues.entry(&one.name).or_insert_with(|| QueueReport {
                    name: one.name.clone(),
                    settings: one.settings.clone(),
                    ..QueueReport::default()
                });
                report.members.push(member.name.to_string());
                if let Some(led) = &one.led {
                    lead(report, &member.name, led);
                }
            }
        }
        QueuesReport { queues: queues.into_values().collect(), silent }
    }
}

/// Its home's word. While the order moves two may say so: the one with more consumers knows more.
fn lead(report: &mut QueueReport, home: &str, led: &Led) {
    if report.home.is_some() && report.consumers.len() >= led.consumers.len() {
        return;
    }
    report.home = Some(home.to_owned());
    report.numbers = led.numbers.clone();
    report.consumers.clone_from(&led.consumers);
}
