//! Who may ask. With a secret: whoever signs with it, each request once; the answer is signed too.
//! Without one: whoever has shown a certificate, where there is TLS; else it listens on loopback
//! only, and whoever is on this machine may ask, but no page in a browser, which could be anybody's.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use muster_protocol::signature::{
    self, Answer, Field, Message, Purpose, Reason, Replays, Secrets, Signed, Window,
};
use parking_lot::Mutex;

use super::Settings;
use super::routes::{is_json, refused};
use crate::wall;

/// Most bytes of a request's body.
const MOST_BODY: usize = 64 * 1024;

/// Most requests that are remembered, so that none is taken twice.
const MOST_NONCES: usize = 10_000;

/// The lock.
pub(super) struct Lock {
    secrets: Option<Secrets>,
    /// Whoever asks has shown a certificate.
    is_mutual: bool,
    skew: u64,
    replays: Mutex<Replays>,
}

// === impl Lock ===

impl Lock {
    pub(super) fn new(settings: &Settings) -> Lock {
        let skew = settings.skew.as_secs();
        Lock {
            secrets: settings.secrets.clone(),
            is_mutual: settings.tls.is_some(),
            skew,
            replays: Mutex::new(Replays::new(MOST_NONCES, wall::ms() / 1000)),
        }
    }

    fn verify(&self, secrets: &Secrets, head: &Parts, body: &[u8]) -> Result<Signed, Reason> {
        let uri = head.uri.path_and_query().map_or("", |uri| uri.as_str());
        let fields = fields(&head.headers);
        let message = Message { method: head.method.as_str(), uri, fields: &fields, body };
        let signed = signature::verify(secrets, Purpose::Manage, &message)?;
        let window = Window { now: wall::ms() / 1000, skew: self.skew };
        self.replays.lock().note(signed.stamp, window)?;
        Ok(signed)
    }
}

/// Lets in who may ask.
pub(super) async fn admit(
    State(lock): State<Arc<Lock>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    match &lock.secrets {
        Some(secrets) => signed(&lock, secrets, request, next).await,
        None => open(&lock, request, next).await,
    }
}

async fn signed(lock: &Lock, secrets: &Secrets, request: Request<Body>, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_BODY).collect().await.map(|body| body.to_bytes()) else {
        return too_long();
    };
    let signed = match lock.verify(secrets, &head, &body) {
        Ok(signed) => signed,
        Err(reason) => {
            tracing::warn!(%reason, uri = %head.uri, "a request to the management is refused");
            let now = wall::ms() / 1000;
            return refused(StatusCode::FORBIDDEN, format!("{reason} (the clock here says {now})"));
        }
    };
    let answer = next.run(Request::from_parts(head, Body::from(body))).await;
    let secret = secrets.get(signed.secret).unwrap_or_else(|| secrets.first());
    let (mut head, body) = answer.into_parts();
    // It is ours, and whole in memory already.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_else(|_| Bytes::new());
    let listed = fields(&head.headers);
    let answer = Answer { status: head.status.as_u16(), fields: &listed, body: &body };
    let nonce = signed.stamp.nonce;
    let (name, sum) = signature::sign_answer(secret, Purpose::Manage, nonce, &answer);
    drop(listed);
    if let (Ok(name), Ok(sum)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&sum)) {
        head.headers.insert(name, sum);
    }
    Response::from_parts(head, Body::from(body))
}

async fn open(lock: &Lock, request: Request<Body>, next: Next) -> Response {
    // Whatever name leads here, a browser finds it in no certificate of the cluster.
    if !lock.is_mutual && !names_this_machine(request.headers()) {
        let why = "the host must be localhost or an address: a name may be made to lead here";
        return refused(StatusCode::FORBIDDEN, why.to_owned());
    }
    if request.method() == Method::POST && !is_json(&request) {
        let why = "a verb says Content-Type: application/json";
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_owned());
    }
    let (head, body) = request.into_parts();
    match Limited::new(body, MOST_BODY).collect().await {
        Ok(body) => next.run(Request::from_parts(head, Body::from(body.to_bytes()))).await,
        Err(_) => too_long(),
    }
}

fn too_long() -> Response {
    refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {MOST_BODY} bytes"))
}

/// Any other name could be one that leads here for the sake of somebody's page.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host else { return false };
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
        _ => host,
    };
    let bare = bare.strip_prefix('[').and_then(|bare| bare.strip_suffix(']')).unwrap_or(bare);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_lead_anywhere_is_not_heard() {
        let names = |host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            names_this_machine(&headers)
        };
        for good in ["localhost", "LOCALHOST:7790", "127.0.0.1:7790", "[::1]:7790", "[::1]"] {
            assert!(names(good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example:7790", "", ":7790"] {
            assert!(!names(bad), "{bad}");
        }
        assert!(!names_this_machine(&HeaderMap::new()));
    }
}
