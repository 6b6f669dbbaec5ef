//! What is asked over HTTP, and the answers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use muster_protocol::cluster::report::{
    CacheReport, CachesReport, ClusterReport, DeploymentReport, DeploymentsReport, Done, NodeWish,
    NotDone, QuorumWish, SegmentsReport,
};
use muster_protocol::cluster::singletons::{MoveWish, SingletonReport, SingletonsReport};
use serde::Serialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoResponses, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lock::Lock;
use super::{Ground, act, events, jobs, lock, queues, settings};

pub(super) type Shared = State<Arc<Ground>>;

#[derive(OpenApi)]
#[openapi(info(
    title = "The management of a cluster's member",
    description = "One cluster as all of its members see it together: any member answers for all. \
                   Where there is a secret every request is signed with it, and every answer too.",
    license(name = "Apache-2.0", identifier = "Apache-2.0")
))]
struct Document;

/// The routes, behind their lock.
pub(super) fn router(ground: Arc<Ground>) -> Router {
    let lock = Arc::new(Lock::new(&ground.settings));
    let (routes, document) = parts();
    let document = Arc::new(document.to_json().unwrap_or_default());
    let document = move || {
        let text = document.as_str().to_owned();
        async move { ([(header::CONTENT_TYPE, "application/json")], text) }
    };
    routes
        .route("/v1/openapi.json", get(document))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is nothing here".to_owned()) })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "it is asked by another method".to_owned())
        })
        .layer(axum::middleware::from_fn_with_state(lock, lock::admit))
        .with_state(ground)
}

fn parts() -> (Router<Arc<Ground>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(cluster))
        .routes(routes!(segments))
        .routes(routes!(caches))
        .routes(routes!(cache))
        .routes(routes!(deployments))
        .routes(routes!(deployment))
        .routes(routes!(singletons))
        .routes(routes!(singleton))
        .routes(routes!(move_singleton))
        .routes(routes!(metrics))
        .routes(routes!(quorum))
        .routes(routes!(forget))
        .routes(routes!(leave))
        .routes(routes!(clear))
        .merge(settings::routes())
        .merge(events::routes())
        .merge(jobs::routes())
        .merge(queues::routes())
        .split_for_parts()
}

/// The cluster: who is there, what has changed, what is wrong.
#[utoipa::path(
    get,
    path = "/v1/cluster",
    responses((status = 200, body = ClusterReport), (status = 403, body = NotDone))
)]
async fn cluster(State(ground): Shared) -> Response {
    shown(&ground.cluster().await)
}

/// Who keeps which segment.
#[utoipa::path(
    get,
    path = "/v1/cluster/segments",
    responses((status = 200, body = SegmentsReport), (status = 403, body = NotDone))
)]
async fn segments(State(ground): Shared) -> Response {
    shown(&ground.segments().await)
}

/// All caches, with what each member says of them.
#[utoipa::path(
    get,
    path = "/v1/cluster/caches",
    responses((status = 200, body = CachesReport), (status = 403, body = NotDone))
)]
async fn caches(State(ground): Shared) -> Response {
    shown(&ground.caches().await)
}

/// One cache.
#[utoipa::path(
    get,
    path = "/v1/cluster/caches/{name}",
    params(("name" = String, Path, description = "The cache's name")),
    responses(
        (status = 200, body = CacheReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone)
    )
)]
async fn cache(State(ground): Shared, Path(name): Path<String>) -> Response {
    let caches = ground.caches().await.caches;
    found(caches.iter().find(|cache| cache.name == name), format_args!("cache {name:?}"))
}

/// Applications with sessions, kinds of stateful components and single sign-ons, with what each
/// member counts.
#[utoipa::path(
    get,
    path = "/v1/cluster/deployments",
    responses((status = 200, body = DeploymentsReport), (status = 403, body = NotDone))
)]
async fn deployments(State(ground): Shared) -> Response {
    shown(&ground.deployments().await)
}

/// One of them.
#[utoipa::path(
    get,
    path = "/v1/cluster/deployments/{kind}/{name}",
    params(
        ("kind" = String, Path, description = "`web`, `bean` or `sso`"),
        ("name" = String, Path, description = "Its name")
    ),
    responses(
        (status = 200, body = DeploymentReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone)
    )
)]
async fn deployment(State(ground): Shared, Path((kind, name)): Path<(String, String)>) -> Response {
    let all = ground.deployments().await.deployments;
    let one = all.iter().find(|one| one.kind.word() == kind && one.name == name);
    found(one, format_args!("deployment {kind} {name:?}"))
}

/// Singletons: who runs which, and what has happened.
#[utoipa::path(
    get,
    path = "/v1/cluster/singletons",
    responses((status = 200, body = SingletonsReport), (status = 403, body = NotDone))
)]
async fn singletons(State(ground): Shared) -> Response {
    shown(&ground.singletons().await)
}

/// One of them.
#[utoipa::path(
    get,
    path = "/v1/cluster/singletons/{name}",
    params(("name" = String, Path, description = "The singleton's name")),
    responses(
        (status = 200, body = SingletonReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone)
    )
)]
async fn singleton(State(ground): Shared, Path(name): Path<String>) -> Response {
    let all = ground.singletons().await.singletons;
    found(all.iter().find(|one| one.name == name), format_args!("singleton {name:?}"))
}

/// Moves one to a node as long as that is there, or back to where its policy puts it.
#[utoipa::path(
    post,
    path = "/v1/cluster/singletons/{name}/move",
    request_body = MoveWish,
    params(("name" = String, Path, description = "The singleton's name")),
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn move_singleton(State(ground): Shared, Path(name): Path<String>, body: Bytes) -> Response {
    match read::<MoveWish>(&body) {
        Ok(wish) => done(&ground, "move", ground.move_singleton(&name, &wish).await),
        Err(refusal) => refusal,
    }
}

/// This member's own numbers: whoever gathers metrics asks each.
#[utoipa::path(
    get,
    path = "/metrics",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 403, body = NotDone)
    )
)]
async fn metrics(State(ground): Shared) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ground.metrics()).into_response()
}

/// Another quorum, or none.
#[utoipa::path(
    post,
    path = "/v1/cluster/quorum",
    request_body = QuorumWish,
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn quorum(State(ground): Shared, body: Bytes) -> Response {
    match read::<QuorumWish>(&body) {
        Ok(wish) => done(&ground, "quorum", ground.set_quorum(wish).await),
        Err(refusal) => refusal,
    }
}

/// A node that never comes back votes no more.
#[utoipa::path(
    post,
    path = "/v1/cluster/forget",
    request_body = NodeWish,
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn forget(State(ground): Shared, body: Bytes) -> Response {
    match read::<NodeWish>(&body) {
        Ok(wish) => done(&ground, "forget", ground.forget(&wish).await),
        Err(refusal) => refusal,
    }
}

/// A member hands over what it has and leaves; its process goes on.
#[utoipa::path(
    post,
    path = "/v1/cluster/leave",
    request_body = NodeWish,
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn leave(State(ground): Shared, body: Bytes) -> Response {
    match read::<NodeWish>(&body) {
        Ok(wish) => done(&ground, "leave", ground.leave(&wish).await),
        Err(refusal) => refusal,
    }
}

/// Removes all entries of a cache.
#[utoipa::path(
    post,
    path = "/v1/cluster/caches/{name}/clear",
    params(("name" = String, Path, description = "The cache's name")),
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn clear(State(ground): Shared, Path(name): Path<String>) -> Response {
    let cleared = ground.clear(&name).await;
    done(&ground, "clear", cleared)
}

/// Why a verb may not be done, for the document. One that is asked with a body may find that bad besides
/// (400).
#[derive(IntoResponses)]
#[expect(dead_code, reason = "the document alone speaks of them")]
pub(super) enum Refusals {
    #[response(status = 403)]
    Forbidden(NotDone),
    #[response(status = 404)]
    Unknown(NotDone),
    #[response(status = 409)]
    Refused(NotDone),
    #[response(status = 413)]
    TooLarge(NotDone),
    #[response(status = 415)]
    NoJson(NotDone),
}

#[allow(clippy::result_large_err, reason = "the error is the answer")]
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("the body is bad: {error}")))
}

pub(super) fn done(
    ground: &Ground,
    verb: &'static str,
    outcome: Result<String, act::NotDone>,
) -> Response {
    let cluster = &ground.settings.cluster;
    match outcome {
        Ok(done) => {
            tracing::info!(cluster, verb, done, "an operator's wish");
            shown(&Done { done })
        }
        Err(error) => {
            tracing::warn!(cluster, verb, %error, "an operator's wish is not granted");
            let status = match error {
                act::NotDone::Bad(_) => StatusCode::BAD_REQUEST,
                act::NotDone::Unknown(_) => StatusCode::NOT_FOUND,
                act::NotDone::Refused(_) => StatusCode::CONFLICT,
            };
            refused(status, error.to_string())
        }
    }
}

pub(super) fn shown<T: Serialize>(value: &T) -> Response {
    Json(value).into_response()
}

/// One of them, or that there is none.
pub(super) fn found<T: Serialize>(one: Option<&T>, what: std::fmt::Arguments<'_>) -> Response {
    match one {
        Some(one) => shown(one),
        None => refused(StatusCode::NOT_FOUND, format!("there is no {what}")),
    }
}

pub(super) fn refused(status: StatusCode, error: String) -> Response {
    (status, Json(NotDone { error })).into_response()
}

/// Whether a verb says that it is JSON, which a page of another host cannot send unasked.
pub(super) fn is_json(request: &Request<Body>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json")
}
