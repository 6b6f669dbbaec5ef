//! What other balancers tell us: only who knows the secret is heard, and each message once.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use muster_protocol::signature::{self, Answer, Message, Purpose, Reason, Secrets, Signed};

use super::message::{Answers, Says, Seen, add, digest, fields};
use super::{MAX_BODY, PATH};
use crate::operate::Operators;

/// Most characters of a peer's name.
const MOST_NAME: usize = 128;

pub(super) fn router<S: Clone + Send + Sync + 'static>(operators: Arc<Operators>) -> Router<S> {
    let answer = move |request: Request| answer(operators.clone(), request);
    Router::new().route(PATH, post(answer))
}

async fn answer(operators: Arc<Operators>, request: Request) -> Response {
    let Some(secrets) = operators.peers().secrets() else {
        return (StatusCode::NOT_FOUND, "this balancer has no peers\n").into_response();
    };
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "the message is too long\n").into_response();
    };
    let body = body.to_bytes();
    let listed = fields(&head.headers);
    let uri = head.uri.path_and_query().map_or("", |uri| uri.as_str());
    let message = Message { method: head.method.as_str(), uri, fields: &listed, body: &body };
    let signed = match check(&operators, &secrets, &message) {
        Ok(signed) => signed,
        Err(reason) => {
            tracing::warn!(%reason, "a message to a peer is refused");
            return (StatusCode::FORBIDDEN, format!("{reason}\n")).into_response();
        }
    };
    let says: Says = match serde_json::from_slice(&body) {
        Ok(says) => says,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, format!("the message is bad: {error}\n"))
                .into_response();
        }
    };
    let answer = serde_json::to_vec(&answers(&operators, &says)).unwrap_or_default();
    let mut headers = HeaderMap::new();
    add(&mut headers, header::CONTENT_TYPE.as_str(), "application/json");
    if let Some(secret) = secrets.get(signed.secret) {
        let listed = fields(&headers);
        let told = Answer { status: 200, fields: &listed, body: &answer };
        let nonce = signed.stamp.nonce;
        let (name, value) = signature::sign_answer(secret, Purpose::Peers, nonce, &told);
        drop(listed);
        add(&mut headers, name, &value);
    }
    (headers, Body::from(answer)).into_response()
}

fn check(
    operators: &Operators,
    secrets: &Secrets,
    message: &Message<'_>,
) -> Result<Signed, Reason> {
    let signed = signature::verify(secrets, Purpose::Peers, message)?;
    operators.peers().take(signed.stamp)?;
    Ok(signed)
}

fn answers(operators: &Operators, says: &Says) -> Answers {
    let name: String = says.name.chars().take(MOST_NAME).collect();
    let news = operators.hear(&name, &says.words);
    if news > 0 {
        tracing::info!(peer = name, news, "a peer's operators spoke");
    }
    let words = operators.words();
    let own = digest(&words);
    let seen = Seen::of(&operators.published().rows());
    let seen_digest = seen.digest();
    Answers {
        name: operators.name().to_string(),
        words: if own == says.digest { Vec::new() } else { words },
        digest: own,
        seen: (says.seen != Some(seen_digest)).then_some(seen),
        seen_digest,
    }
}
