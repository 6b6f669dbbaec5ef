//! What the API shows.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use http::StatusCode;
use muster_routing::node::Availability;
use serde::Deserialize;
use utoipa::IntoParams;

use super::exchange::{Json, Query};
use super::model;
use super::problem::Problem;
use super::{Api, PREFIX, convert};
use crate::cluster::Cluster;
use crate::operate::wall_ms;
use crate::peers::Peer;

type Shared = State<Arc<Api>>;

/// Most entries in an answer.
const MOST_EVENTS: usize = 1_000;

/// How long an answer may wait for the next event: shorter than any request may take.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// The balancer as a whole.
#[utoipa::path(get, path = "/", responses((status = 200, body = model::Balancer)))]
pub(super) async fn balancer(State(api): Shared) -> Json<model::Balancer> {
    let rows = api.operators.published().rows();
    let is_usable = |availability| availability != Availability::Unusable;
    let (standing, _) = api.operators.drains();
    Json(model::Balancer {
        product: crate::PRODUCT.to_owned(),
        name: api.operators.name().to_string(),
        state: api.phase.borrow().word().to_owned(),
        uptime_seconds: api.started.elapsed().as_secs(),
        nodes: rows.nodes.len(),
        usable_nodes: rows.nodes.iter().filter(|node| is_usable(node.availability)).count(),
        requests_in_flight: rows.nodes.iter().map(|node| u64::from(node.in_flight)).sum(),
        drains: standing.iter().filter(|drain| !drain.is_over()).count(),
        links: model::Links {
            metrics: "/metrics".to_owned(),
            livez: "/livez".to_owned(),
            readyz: "/readyz".to_owned(),
            openapi: format!("{PREFIX}/openapi.json"),
        },
    })
}

/// All nodes, in the order in which they came.
#[utoipa::path(get, path = "/nodes", responses((status = 200, body = Vec<model::Node>)))]
pub(super) async fn nodes(State(api): Shared) -> Json<Vec<model::Node>> {
    let (rows, wall) = (api.operators.published().rows(), wall_ms());
    Json(rows.nodes.iter().map(|row| convert::node(row, wall)).collect())
}

/// One node.
#[utoipa::path(
    get,
    path = "/nodes/{route}",
    params(("route" = String, Path, description = "The node's name")),
    responses(
        (status = 200, body = model::Node),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn node(
    State(api): Shared,
    Path(route): Path<String>,
) -> Result<Json<model::Node>, Problem> {
    let rows = api.operators.published().rows();
    let row = rows.nodes.iter().find(|row| row.config.route.as_str() == route);
    let row = row.ok_or_else(|| {
        let detail = format!("no node is registered with the route {route}");
        Problem::new(StatusCode::NOT_FOUND, "no_node", detail).field("route")
    })?;
    Ok(Json(convert::node(row, wall_ms())))
}

/// The contexts of all nodes.
#[utoipa::path(get, path = "/contexts", responses((status = 200, body = Vec<model::Context>)))]
pub(super) async fn contexts(State(api): Shared) -> Json<Vec<model::Context>> {
    let (rows, wall) = (api.operators.published().rows(), wall_ms());
    Json(rows.nodes.iter().flat_map(|row| convert::node(row, wall).contexts).collect())
}

/// The balancer names with their settings.
#[utoipa::path(get, path = "/balancers", responses((status = 200, body = Vec<model::Settings>)))]
pub(super) async fn balancers(State(api): Shared) -> Json<Vec<model::Settings>> {
    Json(convert::settings(&api.operators.published().rows()))
}

/// Drains under way, and the last that are over.
#[utoipa::path(get, path = "/drains", responses((status = 200, body = model::Drains)))]
pub(super) async fn drains(State(api): Shared) -> Json<model::Drains> {
    let (standing, history) = api.operators.drains();
    let wall = wall_ms();
    Json(model::Drains {
        standing: standing.iter().map(|drain| convert::drain(drain, wall)).collect(),
        history: history.iter().map(|drain| convert::drain(drain, wall)).collect(),
    })
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct After {
    /// Those after this number.
    #[serde(default)]
    after: u64,
    /// How long to wait for one when there is none yet, 0 to 8 seconds.
    #[serde(default)]
    wait_seconds: u64,
}

/// What happened after an event, the oldest first. Waits for the next one where asked to.
#[utoipa::path(
    get,
    path = "/events",
    params(After),
    responses(
        (status = 200, body = Vec<model::Event>),
        (status = 400, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn events(
    State(api): Shared,
    Query(After { after, wait_seconds }): Query<After>,
) -> Json<Vec<model::Event>> {
    let audit = api.operators.audit();
    let mut changes = audit.changes();
    let wait = Duration::from_secs(wait_seconds).min(LONGEST_WAIT);
    let _ = tokio::time::timeout(wait, changes.wait_for(|last| *last > after)).await;
    let entries = audit.since(after, MOST_EVENTS);
    Json(entries.iter().map(|entry| convert::event(entry)).collect())
}

/// How many.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Limit {
    /// The last ones, 1 to 1,000. Default 100.
    limit: Option<usize>,
}

/// The last entries of the audit log, the oldest first.
#[utoipa::path(
    get,
    path = "/audit",
    params(Limit),
    responses(
        (status = 200, body = Vec<model::Event>),
        (status = 400, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn audit(
    State(api): Shared,
    Query(Limit { limit }): Query<Limit>,
) -> Result<Json<Vec<model::Event>>, Problem> {
    let limit = limit.unwrap_or(100);
    if !(1..=MOST_EVENTS).contains(&limit) {
        let detail = format!("limit is {limit}, and may be 1 to {MOST_EVENTS}");
        let problem = Problem::new(StatusCode::BAD_REQUEST, "out_of_bounds", detail);
        return Err(problem.field("limit"));
    }
    let entries = api.operators.audit().tail(limit);
    Ok(Json(entries.iter().map(|entry| convert::event(entry)).collect()))
}

/// The configuration in effect, secrets masked.
#[utoipa::path(
    get,
    path = "/config",
    responses(
        (status = 200, body = model::Configuration),
        (status = 403, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn config(State(api): Shared) -> Json<model::Configuration> {
    Json(model::Configuration { toml: api.operators.configuration() })
}

/// Clusters of back ends, as their members answered last.
#[utoipa::path(get, path = "/clusters", responses((status = 200, body = Vec<Cluster>)))]
pub(super) async fn clusters(State(api): Shared) -> Json<Vec<Cluster>> {
    Json(api.operators.clusters().all())
}

/// The other balancers, and what they show otherwise.
#[utoipa::path(get, path = "/peers", responses((status = 200, body = Vec<Peer>)))]
pub(super) async fn peers(State(api): Shared) -> Json<Vec<Peer>> {
    Json(api.operators.peers().shown(&api.operators))
}
