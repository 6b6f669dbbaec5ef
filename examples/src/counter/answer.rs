//! What the counter answers: JSON with the session's count, and what its query asks for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use muster_agent::names::Route;
use muster_agent::{SessionError, SessionRequest};
use serde::{Deserialize, Serialize};

use super::visit::{Changes, Visit, visit};
use super::{CONTEXT, MOST_SESSION_BYTES};

/// The bounds of the query's numbers.
const MAX_SLEEP_MS: u64 = 60_000;
const MAX_PADDING: u64 = 16 * 1024 * 1024;
const MAX_ATTRIBUTES: u64 = 500;
const MAX_ATTRIBUTE_SIZE: u64 = 1024 * 1024;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Counter {
    route: Route,
    request_log: Option<Mutex<File>>,
}

/// `sleep=MS hold=MS bytes=N fill=K size=S touch=I invalidate nosession`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    sleep: Option<u64>,
    hold: Option<u64>,
    bytes: Option<u64>,
    fill: Option<u64>,
    size: Option<u64>,
    touch: Option<u64>,
    invalidate: Option<String>,
    nosession: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    node: &'a str,
    session: &'a str,
    new: bool,
    /// -1 without a session, as the counter in Java has it.
    count: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<u64>,
}

// === impl Counter ===

impl Counter {
    pub(super) fn new(route: Route, request_log: Option<&Path>) -> anyhow::Result<Counter> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let request_log = request_log.map(open).transpose()?.map(Mutex::new);
        Ok(Counter { route, request_log })
    }

    fn log(&self, headers: &HeaderMap) -> std::io::Result<()> {
        let (Some(file), Some(id)) = (&self.request_log, headers.get("x-request-id")) else {
            return Ok(());
        };
        // One write, so that lines of two requests never mix.
        let line = [id.as_bytes(), b"\n"].concat();
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }
}

/// Answers every request of the process.
pub(super) async fn answer(
    State(counter): State<Arc<Counter>>,
    session: SessionRequest,
    request: Request,
) -> Response {
    // A balancer's probe is `OPTIONS *`.
    if request.method() == Method::OPTIONS {
        return (StatusCode::OK, [(header::ALLOW, "GET, HEAD, POST, PUT, DELETE, OPTIONS")])
            .into_response();
    }
    let path = request.uri().path();
    let below = path
        .strip_prefix(CONTEXT)
        .filter(|below| below.is_empty() || below.starts_with(['/', ';']));
    if below.is_none() {
        return (StatusCode::NOT_FOUND, "nothing here: try /counter\n").into_response();
    }
    match Query::<Asked>::try_from_uri(request.uri()) {
        Ok(Query(asked)) => match asked.fault() {
            None => match count(&counter, asked, &session, request).await {
                Ok(response) => response,
                Err(error) => error.into_response(),
            },
            Some(fault) => (StatusCode::BAD_REQUEST, fault).into_response(),
        },
        Err(rejection) => rejection.into_response(),
    }
}

async fn count(
    counter: &Counter,
    asked: Asked,
    session: &SessionRequest,
    request: Request,
) -> Result<Response, SessionError> {
    let (head, body) = request.into_parts();
    if let Err(error) = counter.log(&head.headers) {
        let text = format!("the request log cannot be written: {error}\n");
        return Ok((StatusCode::INTERNAL_SERVER_ERROR, text).into_response());
    }
    let received = match length(body).await {
        Ok(received) => received,
        Err(error) => return Ok((StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()),
    };
    sleep(asked.sleep).await;
    let visit = match asked.nosession {
        None => Some(visit(&session.session().await?, asked.changes())?),
        Some(_) => None,
    };
    sleep(asked.hold.filter(|_| visit.is_some())).await;
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    Ok(counter.told(visit.as_ref(), (!is_read).then_some(received), asked.padding()))
}

async fn sleep(ms: Option<u64>) {
    if let Some(ms) = ms {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

impl Counter {
    fn told(&self, visit: Option<&Visit>, received: Option<u64>, padding: usize) -> Response {
        let route = self.route.as_str();
        let session = visit.map(|visit| format!("{}.{route}", visit.id)).unwrap_or_default();
        let answer = Answer {
            node: route,
            session: &session,
            new: visit.is_some_and(|visit| visit.is_new),
            count: visit.map_or(-1, |visit| visit.count.cast_signed()),
            received,
        };
        let mut json = serde_json::to_string(&answer).expect("text and numbers always become JSON");
        json.push('\n');
        json.extend(std::iter::repeat_n('x', padding));
        ([("content-type", "application/json"), ("x-node", route)], json).into_response()
    }
}

/// Reads a body to its end, keeping nothing of it.
async fn length(mut body: Body) -> Result<u64, axum::Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

// === impl Asked ===

impl Asked {
    fn fault(&self) -> Option<String> {
        let session_size = self.fill.unwrap_or(1).saturating_mul(self.size.unwrap_or(0));
        let bounds = [
            ("sleep", self.sleep, MAX_SLEEP_MS),
            ("hold", self.hold, MAX_SLEEP_MS),
            ("bytes", self.bytes, MAX_PADDING),
            ("fill", self.fill, MAX_ATTRIBUTES),
            ("size", self.size, MAX_ATTRIBUTE_SIZE),
            ("touch", self.touch, MAX_ATTRIBUTES),
            ("fill times size", Some(session_size), MOST_SESSION_BYTES as u64 / 2),
        ];
        let over = |(name, value, most): (&str, Option<u64>, u64)| {
            let value = value.filter(|value| *value > most)?;
            Some(format!("{name} has the bad value {value}: at most {most}\n"))
        };
        bounds.into_iter().find_map(over)
    }

    /// Only after `fault` has found none: then every number fits.
    fn changes(&self) -> Changes {
        Changes {
            fill: self.fill.unwrap_or(0) as u32,
            size: self.size.unwrap_or(0) as usize,
            touch: self.touch.map(|touch| touch as u32),
            invalidate: self.invalidate.is_some(),
        }
    }

    fn padding(&self) -> usize {
        self.bytes.unwrap_or(0) as usize
    }
}
