//! What the API reads and answers: JSON, and nothing else.
//!
//! A page of another site can post a form here, but no JSON without asking first (CORS): that a
//! body says `application/json` is the guard besides the check of its origin.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::operate::Actor;

/// A body in JSON, whole and well-formed.
pub(super) struct Body<T>(pub(super) T);

/// A query that is well-formed.
pub(super) struct Query<T>(pub(super) T);

/// An answer in JSON.
pub(super) struct Json<T>(pub(super) T);

/// Whoever asks: whom the login recognised, or, on loopback without users, the local operator.
pub(super) struct Who(pub(super) Actor);

/// Whoever takes no JSON gets none, and whoever sends something else is not heard.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    if !takes_json(request.headers()) {
        let detail = "answers are application/json";
        return Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail).into_response();
    }
    let has_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if has_body && !is_json(request.headers()) {
        let detail = "send application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Problem::new(status, "unsupported_media_type", detail).into_response();
    }
    next.run(request).await
}

fn takes_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::ACCEPT).iter().peekable();
    if given.peek().is_none() {
        return true;
    }
    let elements = given.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let takes = |element: &str| {
        let mut parts = element.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_json = matches!(
            range.as_str(),
            "*/*" | "application/*" | "application/json" | "application/problem+json"
        );
        let refuses = |part: &str| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32))
        };
        is_json && !parts.any(refuses)
    };
    let mut elements = elements;
    elements.any(takes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return false };
    let text = value.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|part| part.eq_ignore_ascii_case("application/json"));
    is_json && parts.all(|part| part.eq_ignore_ascii_case("charset=utf-8"))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejected| {
            let status = rejected.status();
            match rejected {
                BytesRejection::FailedToBufferBody(_)
                    if status == StatusCode::PAYLOAD_TOO_LARGE =>
                {
                    Problem::new(status, "too_large", "the body is too long")
                }
                _ => Problem::new(StatusCode::BAD_REQUEST, "broken_off", "the body broke off"),
            }
        })?;
        serde_json::from_slice(&bytes).map(Body).map_err(|error| {
            let problem = Problem::new(StatusCode::BAD_REQUEST, "bad_json", &error);
            match named_field(&error.to_string()) {
                Some(field) => problem.field(field),
                None => problem,
            }
        })
    }
}

/// The field that the parser says is unknown or missing.
fn named_field(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("unknown field `").or(text.strip_prefix("missing field `"))?;
    rest.split('`').next()
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(value)| Query(value)).map_err(|rejected| {
            Problem::new(StatusCode::BAD_REQUEST, "bad_query", rejected.body_text())
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Actor>().cloned();
        let address = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        let from = address.map(|axum::extract::ConnectInfo(address)| address.ip());
        Ok(Who(known.unwrap_or_else(|| Actor::local(from))))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Problem::new(status, "internal", error).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(name: http::HeaderName, value: &'static str) -> HeaderMap {
        [(name, HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn only_who_takes_json_is_answered() {
        for good in ["application/json", "*/*", "text/html, application/*;q=0.5"] {
            assert!(takes_json(&headers(header::ACCEPT, good)), "{good}");
        }
        for bad in ["text/html", "application/json;q=0", "application/xml", ""] {
            assert!(!takes_json(&headers(header::ACCEPT, bad)), "{bad}");
        }
        assert!(takes_json(&HeaderMap::new()));
    }

    #[test]
    fn only_json_is_read() {
        for good in ["application/json", "Application/JSON; charset=UTF-8"] {
            assert!(is_json(&headers(header::CONTENT_TYPE, good)), "{good}");
        }
        for bad in ["text/plain", "application/jsonp", "application/json; charset=utf-7", ""] {
            assert!(!is_json(&headers(header::CONTENT_TYPE, bad)), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
