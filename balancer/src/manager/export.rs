//! The same rows for tools: CSV, JSON, and INFO and DUMP as mod_cluster's own manager had them.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use muster_protocol::mcmp::{Format, Reply};
use muster_web_ui::export;
use muster_web_ui::page::Window;
use serde::{Deserialize, Serialize};

use super::act::see_other;
use super::{Shared, accept, refuse};

/// `/export/nodes.csv` and the like.
pub(super) async fn file(State(state): Shared, Path(name): Path<String>) -> Response {
    const CSV: &str = "text/csv; charset=utf-8; header=present";
    let page = state.page(Window::default());
    let (kind, body) = match name.as_str() {
        "nodes.csv" => (CSV, export::nodes_csv(&page)),
        "contexts.csv" => (CSV, export::contexts_csv(&page)),
        "nodes.json" => return attached(&name, json(&export::nodes(&page))),
        "contexts.json" => return attached(&name, json(&export::contexts(&page))),
        _ => return refuse(StatusCode::NOT_FOUND, "there is no such export"),
    };
    attached(&name, ([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// The whole state.
pub(super) async fn state(State(state): Shared) -> Response {
    json(&state.page(Window::default()))
}

pub(super) async fn info(State(state): Shared, headers: HeaderMap) -> Response {
    report(Reply::Info(state.published.info()), &headers)
}

pub(super) async fn dump(State(state): Shared, headers: HeaderMap) -> Response {
    report(Reply::Dump(state.published.dump()), &headers)
}

/// The query of mod_cluster's own manager: `?Cmd=INFO&Range=ALL`.
#[derive(Deserialize)]
pub(super) struct OldQuery {
    #[serde(rename = "Cmd")]
    command: Option<String>,
}

/// What scripts ask of mod_cluster's own manager. It changed things by GET, so that any link on
/// any site could; here GET only reads.
pub(super) async fn old_tools(
    state: Shared,
    Query(query): Query<OldQuery>,
    headers: HeaderMap,
) -> Response {
    match query.command.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None => see_other("/"),
        Some("INFO") => info(state, headers).await,
        Some("DUMP") => dump(state, headers).await,
        Some(_) => refuse(StatusCode::FORBIDDEN, "GET changes nothing here: POST /action does"),
    }
}

fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// One of our own names, so it needs no quoting.
fn attached(name: &str, mut response: Response) -> Response {
    if let Ok(value) = format!("attachment; filename=\"muster-{name}\"").parse() {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

fn report(reply: Reply, headers: &HeaderMap) -> Response {
    let answer = reply.answer(Format::from_accept(accept(headers)));
    let content_type = format!("{}; charset=utf-8", answer.content_type);
    ([(header::CONTENT_TYPE, content_type)], answer.body).into_response()
}
