//! What has happened, of all members together.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use muster_protocol::cluster::events::{EventKind, EventsReport};
use muster_protocol::cluster::report::NotDone;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Ground;
use super::routes::{Shared, refused, shown};
use super::told::Ask;
use crate::events::{Event, silent, together};

pub(super) fn routes() -> OpenApiRouter<std::sync::Arc<Ground>> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Which events.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those that happened later than this, in milliseconds since 1970.
    after: Option<u64>,
}

/// What has happened, as all members tell it, the latest first.
#[utoipa::path(
    get,
    path = "/v1/cluster/events",
    params(Which),
    responses(
        (status = 200, body = EventsReport),
        (status = 400, body = NotDone),
        (status = 403, body = NotDone)
    )
)]
async fn events(State(ground): Shared, which: Result<Query<Which>, QueryRejection>) -> Response {
    match which {
        Ok(Query(Which { after })) => shown(&ground.events(after).await),
        Err(error) => refused(StatusCode::BAD_REQUEST, error.body_text()),
    }
}

// === impl Ground ===

impl Ground {
    /// What has happened here.
    pub(super) fn events_here(&self) -> Vec<Event> {
        self.cluster_here().map(|cluster| cluster.events().latest_first()).unwrap_or_default()
    }

    async fn events(&self, after_ms: Option<u64>) -> EventsReport {
        let answers = self.ask_all::<Vec<Event>>(Ask::Events).await;
        let view = self.engine.group().view();
        let told = answers.into_iter().filter_map(|(id, answer)| {
            let member = view.member(id)?;
            Some((member.name.to_string(), answer.ok()?))
        });
        let told: Vec<(String, Vec<Event>)> = told.collect();
        let silent = silent(view.members.iter().map(|member| &*member.name), &told);
        let mut events = together(told);
        events.retain(|event| after_ms.is_none_or(|after| event.at_ms > after));
        EventsReport { events, silent, after_ms }
    }

    /// Tells of rows that began empty since it was last asked.
    pub(super) fn tell_lost(&self, last: &mut u64) {
        let lost = self.inside.as_ref().map_or(0, |inside| inside.lost_rows());
        let Some(cluster) = self.cluster_here().filter(|_| lost > *last) else { return };
        let rows = lost - *last;
        cluster.events().trouble(EventKind::Lost, format!("{rows} segments began empty"));
        *last = lost;
    }
}
