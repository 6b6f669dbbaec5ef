//! What has happened, of all members together.

use axum::extract::State;
use axum::response::Response;
use muster_protocol::cluster::events::{EventKind, EventsReport};
use muster_protocol::cluster::report::NotDone;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Ground;
use super::routes::{Shared, shown};
use super::told::Ask;
use crate::events::{Event, silent, together};

pub(super) fn routes() -> OpenApiRouter<std::sync::Arc<Ground>> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What has happened, as all members tell it, the latest first.
#[utoipa::path(
    get,
    path = "/v1/cluster/events",
    responses((status = 200, body = EventsReport), (status = 403, body = NotDone))
)]
async fn events(State(ground): Shared) -> Response {
    shown(&ground.events().await)
}

// === impl Ground ===

impl Ground {
    /// What has happened here.
    pub(super) fn events_here(&self) -> Vec<Event> {
        self.cluster_here().map(|cluster| cluster.events().latest_first()).unwrap_or_default()
    }

    async fn events(&self) -> EventsReport {
        let answers = self.ask_all::<Vec<Event>>(Ask::Events).await;
        let view = self.engine.group().view();
        let told = answers.into_iter().filter_map(|(id, answer)| {
            let member = view.member(id)?;
            Some((member.name.to_string(), answer.ok()?))
        });
        let told: Vec<(String, Vec<Event>)> = told.collect();
        let silent = silent(view.members.iter().map(|member| &*member.name), &told);
        EventsReport { events: together(told), silent }
    }

    /// Tells of rows that began empty since it was last asked.
    pub(super) fn tell_lost(&self, last: &mut u64) {
        let lost = self.inside.as_ref().map_or(0, |inside| inside.lost_rows());
        let Some(cluster) = self.cluster_here().filter(|_| lost > *last) else { return };
        let rows = lost - *last;
        cluster.events().tell(EventKind::Lost, format!("{rows} segments began empty"));
        *last = lost;
    }
}
