//! What the counter answers: JSON with the session's count, and what its query asks for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use muster_agent::names::Route;
use muster_agent::{SessionGauge, SessionId};
use serde::{Deserialize, Serialize};

use super::sessions::{Changes, Sessions, Visit};

const CONTEXT: &str = "/counter";

/// The bounds of the query's numbers.
const MAX_SLEEP_MS: u64 = 60_000;
const MAX_PADDING: u64 = 16 * 1024 * 1024;
const MAX_ATTRIBUTES: u64 = 1_000;
const MAX_ATTRIBUTE_SIZE: u64 = 1024 * 1024;
const MAX_SESSION_SIZE: u64 = 16 * 1024 * 1024;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Counter {
    route: Route,
    sessions: Mutex<Sessions>,
    request_log: Option<Mutex<File>>,
    /// What the balancers are told.
    gauge: SessionGauge,
}

/// `sleep=MS bytes=N fill=K size=S touch=I invalidate nosession`
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    sleep: Option<u64>,
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
    pub(super) fn new(
        route: Route,
        request_log: Option<&Path>,
        gauge: SessionGauge,
    ) -> anyhow::Result<Counter> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let request_log = request_log.map(open).transpose()?.map(Mutex::new);
        Ok(Counter { route, sessions: Mutex::default(), request_log, gauge })
    }

    fn log(&self, headers: &HeaderMap) -> std::io::Result<()> {
        let (Some(file), Some(id)) = (&self.request_log, headers.get("x-request-id")) else {
            return Ok(());
        };
        // One write, so that lines of two requests never mix.
        let line = [id.as_bytes(), b"\n"].concat();
        file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line)
    }

    fn visit(&self, asked: Option<&SessionId>, changes: Changes) -> Visit {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let visit = sessions.visit(asked.map(SessionId::id), changes, Instant::now());
        self.gauge.set(sessions.count());
        visit
    }
}

/// Answers every request of the process.
pub(super) async fn answer(State(counter): State<Arc<Counter>>, request: Request) -> Response {
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
            None => count(&counter, asked, request).await,
            Some(fault) => (StatusCode::BAD_REQUEST, fault).into_response(),
        },
        Err(rejection) => rejection.into_response(),
    }
}

async fn count(counter: &Counter, asked: Asked, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if let Err(error) = counter.log(&head.headers) {
        let text = format!("the request log cannot be written: {error}\n");
        return (StatusCode::INTERNAL_SERVER_ERROR, text).into_response();
    }
    let received = match length(body).await {
        Ok(received) => received,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    tokio::time::sleep(Duration::from_millis(asked.sleep.unwrap_or(0))).await;
    let session = session_asked_for(&head.headers, head.uri.path());
    let visit = asked.nosession.is_none().then(|| counter.visit(session.as_ref(), asked.changes()));
    let id = visit.as_ref().and_then(|visit| SessionId::new(&visit.id).ok());
    let id = id.map(|id| id.with_route(&counter.route));
    let text = id.as_ref().map(SessionId::to_string).unwrap_or_default();
    let answer = Answer {
        node: counter.route.as_str(),
        session: &text,
        new: visit.as_ref().is_some_and(|visit| visit.is_new),
        count: visit.as_ref().map_or(-1, |visit| visit.count.cast_signed()),
        received: (head.method != Method::GET && head.method != Method::HEAD).then_some(received),
    };
    let mut json = serde_json::to_string(&answer).expect("text and numbers always become JSON");
    json.push('\n');
    json.extend(std::iter::repeat_n('x', asked.padding()));
    let headers = [("content-type", "application/json"), ("x-node", counter.route.as_str())];
    let mut response = (headers, json).into_response();
    // The client learns its id when it is new, and when another node handed it out.
    if let Some(id) = id.filter(|id| session.as_ref() != Some(id)) {
        let cookie = format!("JSESSIONID={id}; Path={CONTEXT}; HttpOnly");
        let cookie = cookie.parse().expect("a session id has letters that a header can carry");
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Reads a body to its end, keeping nothing of it.
async fn length(mut body: Body) -> Result<u64, axum::Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    Ok(length)
}

/// The session of the cookie, or else of the path parameter.
fn session_asked_for(headers: &HeaderMap, path: &str) -> Option<SessionId> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(cookie::Cookie::split_parse).flatten();
    let in_cookie = cookies.find(|cookie| cookie.name() == "JSESSIONID");
    let in_path = path.split(';').find_map(|parameter| parameter.strip_prefix("jsessionid="));
    in_cookie.as_ref().map(cookie::Cookie::value).or(in_path)?.parse().ok()
}

// === impl Asked ===

impl Asked {
    fn fault(&self) -> Option<String> {
        let session_size = self.fill.unwrap_or(1).saturating_mul(self.size.unwrap_or(0));
        let bounds = [
            ("sleep", self.sleep, MAX_SLEEP_MS),
            ("bytes", self.bytes, MAX_PADDING),
            ("fill", self.fill, MAX_ATTRIBUTES),
            ("size", self.size, MAX_ATTRIBUTE_SIZE),
            ("touch", self.touch, MAX_ATTRIBUTES),
            ("fill times size", Some(session_size), MAX_SESSION_SIZE),
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
