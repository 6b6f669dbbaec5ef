//! The manager listener: the page with its verbs, the same rows as JSON, INFO and DUMP for tools,
//! and what a supervisor asks (`/livez`, `/readyz`, `/metrics`).
//!
//! Everything here is a thin shell: `view` makes the page's model of the registry's rows, `verbs`
//! makes commands of what a button asks for, `guard` decides who is heard at all. Operators and
//! nodes enter the registry by the same command.

mod guard;
mod verbs;
mod view;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use muster_protocol::mcmp::{Format, Reply};
use muster_web_ui::action::{Action, ActionError};
use muster_web_ui::assets;
use muster_web_ui::csrf::Csrf;
use muster_web_ui::page::{BalancerState, Page};
use muster_web_ui::render;
use serde::Deserialize;
use tokio::sync::watch;

use crate::api::{self, Api};
use crate::operate::{Actor, Operators};
use crate::published::Published;

/// Most bytes of a form, where the configuration does not say otherwise.
pub(crate) const MAX_FORM_BYTES: usize = 16 * 1_024;

/// How long a request may take in all, where the configuration does not say otherwise.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What the manager shows, and whom it asks.
pub(crate) struct ManagerState {
    /// The registry behind its one writer.
    pub(crate) published: Arc<Published>,
    /// Who does what is asked for.
    pub(crate) operators: Arc<Operators>,
    /// What `/metrics` shows.
    pub(crate) metrics: Arc<prometheus_client::registry::Registry>,
    /// What the balancer as a whole is doing; `/readyz` says it too.
    pub(crate) phase: watch::Receiver<BalancerState>,
    /// The token of this process's forms.
    pub(crate) csrf: Csrf,
    /// Where the listener is bound: a `Host` that it answers to.
    pub(crate) own: SocketAddr,
    /// Further names that it answers to.
    pub(crate) hosts: Vec<String>,
    /// When the balancer started.
    pub(crate) started: Instant,
    /// Most bytes of a form.
    pub(crate) max_form_bytes: usize,
    /// How long a request may take in all, its body included.
    pub(crate) request_timeout: Duration,
}

/// The routes of the manager listener.
pub(crate) fn router(state: ManagerState) -> Router {
    let state = Arc::new(state);
    let mut router = Router::new()
        .route("/", get(page))
        .route("/action", post(act))
        .route("/api/state", get(api_state))
        .route("/info", get(info))
        .route("/dump", get(dump))
        .route("/mod_cluster_manager", get(old_tools))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    for asset in assets::ALL {
        let answer = ([(header::CONTENT_TYPE, asset.content_type)], asset.body);
        router = router.route(asset.path, get(move || async move { answer }));
    }
    let api = Api {
        operators: state.operators.clone(),
        phase: state.phase.clone(),
        started: state.started,
    };
    router
        .nest_service(api::PREFIX, api::router(api))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no such page") })
        .layer(DefaultBodyLimit::max(state.max_form_bytes))
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::admit))
        .layer(axum::middleware::map_response(guard::harden))
        .with_state(state)
}

type Shared = State<Arc<ManagerState>>;

// === impl ManagerState ===

impl ManagerState {
    fn page(&self) -> Page {
        view::page(&self.published.rows(), *self.phase.borrow(), self.started.elapsed())
    }
}

// === the page ===

#[derive(Deserialize)]
struct Open {
    node: Option<String>,
}

async fn page(State(state): Shared, Query(open): Query<Open>) -> Html<String> {
    Html(render::html(&state.page(), &state.csrf, open.node.as_deref()))
}

async fn api_state(State(state): Shared) -> Response {
    match serde_json::to_string(&state.page()) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A form of the page: 303 back to it, so that a reload does not send the form again.
async fn act(State(state): Shared, headers: HeaderMap, form: Bytes) -> Response {
    let done = match is_form(&headers) {
        true => apply(&state, &form),
        false => Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {FORM}"))),
    };
    match done {
        Ok(()) => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
        Err((status, why)) => match wants_html(&headers) {
            true => (status, Html(render::refusal(&status.to_string(), &why))).into_response(),
            false => refuse(status, &why),
        },
    }
}

fn apply(state: &ManagerState, form: &[u8]) -> Result<(), (StatusCode, String)> {
    let action = Action::parse(form, &state.csrf).map_err(|error| match error {
        ActionError::Forged => (StatusCode::FORBIDDEN, error.to_string()),
        _ => (StatusCode::BAD_REQUEST, error.to_string()),
    })?;
    let verb = verbs::verb(&action);
    let done = verb.and_then(|verb| state.operators.perform(&Actor::local(None), &verb));
    done.map(drop).map_err(|error| (error.status(), error.to_string()))
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_form(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(FORM)
}

fn wants_html(headers: &HeaderMap) -> bool {
    accept(headers).is_some_and(|accept| accept.contains("text/html"))
}

fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

// === reports for tools ===

async fn info(State(state): Shared, headers: HeaderMap) -> Response {
    report(Reply::Info(state.published.info()), &headers)
}

async fn dump(State(state): Shared, headers: HeaderMap) -> Response {
    report(Reply::Dump(state.published.dump()), &headers)
}

/// The query of mod_cluster's own manager: `?Cmd=INFO&Range=ALL`.
#[derive(Deserialize)]
struct OldQuery {
    #[serde(rename = "Cmd")]
    command: Option<String>,
}

/// What scripts ask of mod_cluster's own manager. It changed things by GET, so that any link on
/// any site could; here GET only reads.
async fn old_tools(state: Shared, Query(query): Query<OldQuery>, headers: HeaderMap) -> Response {
    match query.command.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None => (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response(),
        Some("INFO") => info(state, headers).await,
        Some("DUMP") => dump(state, headers).await,
        Some(_) => refuse(StatusCode::FORBIDDEN, "GET changes nothing here: POST /action does"),
    }
}

fn report(reply: Reply, headers: &HeaderMap) -> Response {
    let answer = reply.answer(Format::from_accept(accept(headers)));
    let content_type = format!("{}; charset=utf-8", answer.content_type);
    ([(header::CONTENT_TYPE, content_type)], answer.body).into_response()
}

// === what a supervisor asks ===

async fn readyz(State(state): Shared) -> Response {
    let phase = *state.phase.borrow();
    let status = match phase {
        BalancerState::Ready => StatusCode::OK,
        BalancerState::Starting | BalancerState::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, phase.word())
}

async fn metrics(State(state): Shared) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[cfg(test)]
mod tests;
