//! What is asked over HTTP, and the answers.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{StatusCode, header};
use muster_protocol::cluster::report::{Done, NodeWish, NotDone, QuorumWish};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lock::Lock;
use super::{Ground, act, lock};

type Shared = State<Arc<Ground>>;

/// The routes, behind their lock.
pub(super) fn router(ground: Arc<Ground>) -> Router {
    let lock = Arc::new(Lock::new(&ground.settings));
    Router::new()
        .route("/v1/cluster", get(cluster))
        .route("/v1/cluster/segments", get(segments))
        .route("/v1/cluster/caches", get(caches))
        .route("/v1/cluster/caches/{name}", get(cache))
        .route("/metrics", get(metrics))
        .route("/v1/cluster/quorum", post(quorum))
        .route("/v1/cluster/forget", post(forget))
        .route("/v1/cluster/leave", post(leave))
        .route("/v1/cluster/caches/{name}/clear", post(clear))
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is nothing here".to_owned()) })
        .method_not_allowed_fallback(|| async {
            refused(StatusCode::METHOD_NOT_ALLOWED, "it is asked by another method".to_owned())
        })
        .layer(axum::middleware::from_fn_with_state(lock, lock::admit))
        .with_state(ground)
}

async fn cluster(State(ground): Shared) -> Response {
    shown(&ground.cluster().await)
}

async fn segments(State(ground): Shared) -> Response {
    shown(&ground.segments().await)
}

async fn caches(State(ground): Shared) -> Response {
    shown(&ground.caches().await)
}

async fn cache(State(ground): Shared, Path(name): Path<String>) -> Response {
    let caches = ground.caches().await.caches;
    match caches.iter().find(|cache| cache.name == name) {
        Some(cache) => shown(cache),
        None => refused(StatusCode::NOT_FOUND, format!("there is no cache {name:?}")),
    }
}

/// This member's own numbers: whoever gathers metrics asks each.
async fn metrics(State(ground): Shared) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], crate::cluster::metrics::text(&*ground.engine)).into_response()
}

async fn quorum(State(ground): Shared, body: Bytes) -> Response {
    match read::<QuorumWish>(&body) {
        Ok(wish) => done(&ground, "quorum", ground.set_quorum(wish).await),
        Err(refusal) => refusal,
    }
}

async fn forget(State(ground): Shared, body: Bytes) -> Response {
    match read::<NodeWish>(&body) {
        Ok(wish) => done(&ground, "forget", ground.forget(&wish).await),
        Err(refusal) => refusal,
    }
}

async fn leave(State(ground): Shared, body: Bytes) -> Response {
    match read::<NodeWish>(&body) {
        Ok(wish) => done(&ground, "leave", ground.leave(&wish).await),
        Err(refusal) => refusal,
    }
}

async fn clear(State(ground): Shared, Path(name): Path<String>) -> Response {
    let cleared = ground.clear(&name).await;
    done(&ground, "clear", cleared)
}

#[allow(clippy::result_large_err, reason = "the error is the answer")]
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Response> {
    serde_json::from_slice(body)
        .map_err(|error| refused(StatusCode::BAD_REQUEST, format!("the body is bad: {error}")))
}

fn done(ground: &Ground, verb: &'static str, outcome: Result<String, act::NotDone>) -> Response {
    let cluster = &ground.settings.cluster;
    match outcome {
        Ok(done) => {
            tracing::info!(cluster, verb, done, "an operator's wish");
            shown(&Done { done })
        }
        Err(error) => {
            tracing::warn!(cluster, verb, %error, "an operator's wish is not granted");
            let status = match error {
                act::NotDone::Unknown(_) => StatusCode::NOT_FOUND,
                act::NotDone::Refused(_) => StatusCode::CONFLICT,
            };
            refused(status, error.to_string())
        }
    }
}

fn shown<T: Serialize>(value: &T) -> Response {
    Json(value).into_response()
}

pub(super) fn refused(status: StatusCode, error: String) -> Response {
    (status, Json(NotDone { error })).into_response()
}

/// Whether a verb says that it is JSON, which a page of another host cannot send unasked.
pub(super) fn is_json(request: &Request<Body>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == "application/json")
}
