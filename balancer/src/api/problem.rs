//! What is wrong with a request, as `application/problem+json` (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::operate::OperateError;

/// Why a request was not answered. Nothing has changed then.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// Always `about:blank`: `title` is the status in words.
    r#type: &'static str,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What is wrong, with the value that is.
    detail: String,
    /// One word for it, that programs may rely on.
    code: &'static str,
    /// The field that is at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl ToString) -> Problem {
        Problem {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.to_string(),
            code,
            field: None,
        }
    }

    pub(crate) fn field(mut self, field: impl ToString) -> Problem {
        self.field = Some(field.to_string());
        self
    }
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Problem {
        let field = error.field().map(str::to_owned);
        Problem { field, ..Problem::new(error.status(), error.word(), &error) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
