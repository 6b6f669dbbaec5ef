//! Forms of the page: a verb is done, or its consequences are shown first.

use std::net::SocketAddr;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use muster_web_ui::action::{ActionError, Form};
use muster_web_ui::curl::Reach;
use muster_web_ui::effect::effect;
use muster_web_ui::page::Window;
use muster_web_ui::render;

use super::who::Visitor;
use super::{Shared, overrides, verbs, wants_html};

/// Why a form is not done.
pub(super) type Refusal = (StatusCode, String);

/// A verb: 303 back, so that a reload does not send the form again. A browser whose user has not
/// read what a dangerous one does is led there first; a tool is taken at its word.
pub(super) async fn action(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let form = match parsed(&headers, &visitor, &form) {
        Ok(form) => form,
        Err(refusal) => return refused(&headers, refusal),
    };
    if wants_html(&headers) && !form.confirmed {
        let page = state.page(Window::default());
        if effect(&page, &form.action).needs_a_word(form.action.verb) {
            let back = muster_web_ui::view::encoded(&form.back);
            return see_other(&format!("/confirm?{}&back={back}", form.action.query()));
        }
    }
    let verb = verbs::verb(&form.action);
    match verb.and_then(|verb| state.operators.perform(&visitor.actor, &verb)) {
        Ok(_) => see_other(&form.back),
        Err(error) => refused(&headers, (error.status(), error.to_string())),
    }
}

/// What a verb would do, with the button that does it. Reads only.
pub(super) async fn confirm(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    match Form::parse(query.unwrap_or_default().as_bytes(), None) {
        Ok(form) => {
            let page = state.page(Window::default());
            let reach = reach(&state, &headers);
            Html(render::confirm(&page, &state.viewer(&visitor, &headers), &form, &reach))
                .into_response()
        }
        Err(error) => refused(&headers, (StatusCode::BAD_REQUEST, error.to_string())),
    }
}

/// The commands for what a button is for. A form, for its fields are those of the button's verb.
pub(super) async fn curl(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    match parsed(&headers, &visitor, &form) {
        Ok(form) => {
            let page = state.page(Window::default());
            let reach = reach(&state, &headers);
            Html(render::curl(&page, &state.viewer(&visitor, &headers), &form, &reach))
                .into_response()
        }
        Err(refusal) => refused(&headers, refusal),
    }
}

/// Properties of a node that hold instead of what it reports.
pub(super) async fn set(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let done = checked(&headers).and_then(|()| {
        let set = overrides::Set::parse(&form, visitor.csrf.as_ref())?;
        let done = state.operators.perform(&visitor.actor, &set.verb);
        done.map(|_| set.back).map_err(|error| (error.status(), error.to_string()))
    });
    match done {
        Ok(back) => see_other(&back),
        Err(refusal) => refused(&headers, refusal),
    }
}

fn parsed(headers: &HeaderMap, visitor: &Visitor, form: &[u8]) -> Result<Form, Refusal> {
    checked(headers)?;
    Form::parse(form, visitor.csrf.as_ref()).map_err(|error| match error {
        ActionError::Forged => (StatusCode::FORBIDDEN, error.to_string()),
        _ => (StatusCode::BAD_REQUEST, error.to_string()),
    })
}

/// How a tool reaches this listener: by the name that the browser used, which was checked.
fn reach(state: &super::ManagerState, headers: &HeaderMap) -> Reach {
    let own: SocketAddr = state.own;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| own.to_string(), str::to_owned);
    let scheme = if state.keys.is_secure() { "https" } else { "http" };
    Reach {
        origin: format!("{scheme}://{host}"),
        login: state.keys.login(),
        certificate: state.settings.tls.is_mutual(),
    }
}

pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// Whether the body is a form.
pub(super) fn checked(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default();
    match essence.trim().eq_ignore_ascii_case(FORM) {
        true => Ok(()),
        false => Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("send {FORM}"))),
    }
}

pub(super) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response()
}

/// The refusal as whoever asked can read it.
pub(super) fn refused(headers: &HeaderMap, (status, why): Refusal) -> Response {
    match wants_html(headers) {
        true => (status, Html(render::refusal(&status.to_string(), &why))).into_response(),
        false => super::refuse(status, &why),
    }
}
