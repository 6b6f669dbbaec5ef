//! Live pages: a stream of server-sent events that tells a page which of its parts are new.
//!
//! A stream asks for nothing ahead: the next part is made when the last one has been taken, so a
//! slow reader costs one answer's memory, and one who takes nothing is cut by the listener
//! (`http.idle_timeout`). There are `manager.max_streams` of them, each looks every
//! `manager.live_interval`, and all that look at about the same time share one reading of the rows.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use muster_web_ui::render;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, MissedTickBehavior};

use super::who::Visitor;
use super::{ManagerState, Shared, refuse};

/// How long a stream may say nothing: proxies on the way cut what is silent.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long a stream lasts; the browser asks for another by itself.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a browser waits before it asks again.
const RETRY: &str = "retry: 3000\n\n";

#[derive(Deserialize)]
pub(super) struct Of {
    /// The address of the view.
    of: String,
}

/// A stream of one view.
struct Stream {
    state: Arc<ManagerState>,
    visitor: Visitor,
    headers: HeaderMap,
    of: String,
    /// What the page has, by part.
    shown: Vec<String>,
    ticks: tokio::time::Interval,
    spoke: Instant,
    until: Instant,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn stream(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    Query(Of { of }): Query<Of>,
    headers: HeaderMap,
) -> Response {
    if state.rendered(&visitor, &headers, &of).is_none() {
        return refuse(StatusCode::NOT_FOUND, "there is no such view");
    }
    let Ok(place) = state.streams.clone().try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "as many pages are live as may be");
    };
    let now = Instant::now();
    let mut ticks = tokio::time::interval(state.settings.live_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stream = Stream {
        visitor,
        headers,
        of,
        shown: Vec::new(),
        ticks,
        spoke: now,
        until: now + LONGEST,
        is_over: false,
        _place: place,
        state,
    };
    let first = Bytes::from_static(RETRY.as_bytes());
    let rest = futures_util::stream::unfold(stream, |mut stream| async move {
        let said = stream.next().await?;
        Some((Ok::<_, Infallible>(said), stream))
    });
    let begin = futures_util::stream::iter([Ok(first)]);
    let body = Body::from_stream(futures_util::StreamExt::chain(begin, rest));
    let kind = HeaderValue::from_static("text/event-stream; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

impl Stream {
    /// What is said next; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        loop {
            let stop = self.state.stop.clone();
            tokio::select! {
                _ = stop.cancelled() => return None,
                _ = self.ticks.tick() => {}
            }
            if Instant::now() >= self.until {
                return None;
            }
            if !self.state.keys.still(&self.visitor) {
                self.is_over = true;
                return Some(Bytes::from_static(b"event: gone\ndata: 1\n\n"));
            }
            let Some(html) = self.state.rendered(&self.visitor, &self.headers, &self.of) else {
                self.is_over = true;
                return Some(Bytes::from_static(b"event: gone\ndata: 1\n\n"));
            };
            if let Some(said) = self.news(&html) {
                self.spoke = Instant::now();
                return Some(said);
            }
            if self.spoke.elapsed() >= HEARTBEAT {
                self.spoke = Instant::now();
                return Some(Bytes::from_static(b": still here\n\n"));
            }
        }
    }

    /// The parts that differ from what was said; all of them where their number does.
    fn news(&mut self, html: &str) -> Option<Bytes> {
        let title = title(html);
        let parts = render::parts(html);
        // The first and the last are the frame, which stays.
        let parts = parts.get(1..parts.len().saturating_sub(1)).unwrap_or_default();
        let (event, said) = if parts.len() == self.shown.len() {
            let changed: serde_json::Map<_, _> = (parts.iter().zip(&self.shown).enumerate())
                .filter(|(_, (new, old))| *new != *old)
                .map(|(at, (new, _))| (at.to_string(), (*new).into()))
                .collect();
            if changed.is_empty() {
                return None;
            }
            ("some", serde_json::json!({ "title": title, "parts": changed }))
        } else {
            ("all", serde_json::json!({ "title": title, "parts": parts }))
        };
        self.shown = parts.iter().map(|part| (*part).to_owned()).collect();
        Some(format!("event: {event}\ndata: {said}\n\n").into())
    }
}

/// What stands between the title's tags, its references resolved: it holds counts and our own words.
fn title(html: &str) -> &str {
    let rest = html.split_once("<title>").map_or("", |(_, rest)| rest);
    rest.split_once("</title>").map_or("", |(title, _)| title)
}
