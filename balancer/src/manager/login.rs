//! The door: who must say who he is before he is heard, the login, the logout, and the colours.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use muster_web_ui::render::{self, Theme};
use serde::Deserialize;

use super::act::{checked, refused, see_other};
use super::who::{Stranger, Subject, Visitor, cookie};
use super::{ManagerState, Shared, refuse, wants_html};

/// The cookie of the colours.
const THEME: &str = "muster-theme";

/// How long it is kept: a year.
const THEME_SECONDS: u32 = 365 * 86_400;

/// What is answered without a login: whether we live, and what the login itself needs.
const OPEN: [&str; 3] = ["/livez", "/readyz", "/login"];

/// The middleware: whoever is let in stands as a [`Visitor`] and an actor in the extensions.
pub(super) async fn ask(
    State(state): State<Arc<ManagerState>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_open = OPEN.contains(&path)
        || path.starts_with("/assets/")
        || (path == "/metrics" && state.settings.metrics_open);
    if is_open {
        return next.run(request).await;
    }
    let from = address(request.extensions().get::<ConnectInfo<SocketAddr>>());
    let subject = request.extensions().get::<Subject>().cloned();
    let subject = subject.as_ref().and_then(|subject| subject.0.as_deref());
    match state.keys.visitor(request.headers(), subject, from).await {
        Ok(visitor) => {
            request.extensions_mut().insert(visitor.actor.clone());
            request.extensions_mut().insert(visitor);
            next.run(request).await
        }
        Err(stranger) => turned_away(&state, &request, stranger),
    }
}

/// A browser is shown the way in; a tool is told how to say who it is. Browsers are never asked
/// for HTTP's own login, which they would remember and could not forget.
fn turned_away(state: &ManagerState, request: &Request, stranger: Stranger) -> Response {
    let headers = request.headers();
    let to_login = stranger == Stranger::Nobody && !state.settings.users.is_empty();
    if to_login && wants_html(headers) && request.method().is_safe() {
        let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
        return see_other(&format!("/login?back={}", muster_web_ui::view::encoded(here)));
    }
    let (status, wait) = status(stranger);
    let mut response = refused(headers, (status, stranger.to_string()));
    if status == StatusCode::UNAUTHORIZED && !headers.contains_key("sec-fetch-site") {
        let challenge = HeaderValue::from_static("Bearer realm=\"muster\", Basic realm=\"muster\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    after(&mut response, wait);
    response
}

fn status(stranger: Stranger) -> (StatusCode, Option<u64>) {
    match stranger {
        Stranger::Nobody | Stranger::Wrong => (StatusCode::UNAUTHORIZED, None),
        Stranger::Wait(seconds) => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
        Stranger::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some(2)),
    }
}

fn after(response: &mut Response, wait: Option<u64>) {
    if let Some(seconds) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
}

/// Without a socket, as in tests, it is this machine.
pub(super) fn address(info: Option<&ConnectInfo<SocketAddr>>) -> IpAddr {
    info.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip().to_canonical())
}

// === the login ===

#[derive(Deserialize)]
pub(super) struct Back {
    back: Option<String>,
}

pub(super) async fn form(
    State(state): Shared,
    Query(Back { back }): Query<Back>,
    headers: HeaderMap,
) -> Response {
    if state.settings.users.is_empty() {
        return see_other("/");
    }
    let back = ours(back.as_deref());
    Html(render::login(crate::PRODUCT, &back, "", theme(&headers))).into_response()
}

#[derive(Default)]
struct Fields {
    name: String,
    password: String,
    back: Option<String>,
}

/// The login itself. That the form is ours, `Origin` says: before a login there is no token.
pub(super) async fn log_in(
    State(state): Shared,
    request_from: Option<Extension<ConnectInfo<SocketAddr>>>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    if let Err(refusal) = checked(&headers) {
        return refused(&headers, refusal);
    }
    let from = address(request_from.as_ref().map(|Extension(info)| info));
    let mut fields = Fields::default();
    for (name, value) in form_urlencoded::parse(&form) {
        match name.as_ref() {
            "name" => fields.name = value.into_owned(),
            "password" => fields.password = value.into_owned(),
            "back" => fields.back = Some(value.into_owned()),
            _ => {}
        }
    }
    let back = ours(fields.back.as_deref());
    match state.keys.log_in(&fields.name, &fields.password, from).await {
        Ok(id) => with_cookie(see_other(&back), &session_cookie(&state, &id, None)),
        Err(stranger) => {
            let page = render::login(crate::PRODUCT, &back, &sentence(&stranger), theme(&headers));
            let (status, wait) = status(stranger);
            let mut response = (status, Html(page)).into_response();
            after(&mut response, wait);
            response
        }
    }
}

pub(super) async fn log_out(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    if let Err(refusal) = checked(&headers).and_then(|()| token(&visitor, &form)) {
        return refused(&headers, refusal);
    }
    state.keys.log_out(&visitor);
    with_cookie(see_other("/login"), &session_cookie(&state, "", Some(0)))
}

/// The colours: a cookie, so that they need no script.
pub(super) async fn colours(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    if let Err(refusal) = checked(&headers).and_then(|()| token(&visitor, &form)) {
        return refused(&headers, refusal);
    }
    let value = |name: &str| {
        let found = form_urlencoded::parse(&form).find(|(own, _)| own == name);
        found.map(|(_, value)| value.into_owned())
    };
    let theme = Theme::from_word(&value("theme").unwrap_or_default()).word();
    let secure = if state.keys.is_secure() { "; Secure" } else { "" };
    let cookie = format!(
        "{THEME}={theme}; Path=/; Max-Age={THEME_SECONDS}; SameSite=Strict; HttpOnly{secure}"
    );
    with_cookie(see_other(&ours(value("back").as_deref())), &cookie)
}

/// The colours that somebody chose.
pub(super) fn theme(headers: &HeaderMap) -> Theme {
    Theme::from_word(cookie(headers, THEME).unwrap_or_default())
}

fn token(visitor: &Visitor, form: &[u8]) -> Result<(), (StatusCode, String)> {
    let Some(csrf) = &visitor.csrf else { return Ok(()) };
    let given = form_urlencoded::parse(form).find(|(name, _)| name == "token");
    match given.is_some_and(|(_, value)| csrf.accepts(&value)) {
        true => Ok(()),
        false => {
            Err((StatusCode::FORBIDDEN, muster_web_ui::action::ActionError::Forged.to_string()))
        }
    }
}

fn session_cookie(state: &ManagerState, id: &str, seconds: Option<u32>) -> String {
    let name = state.keys.cookie_name();
    let secure = if state.keys.is_secure() { "; Secure" } else { "" };
    let age = seconds.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    match HeaderValue::from_str(cookie) {
        Ok(value) => {
            response.headers_mut().append(header::SET_COOKIE, value);
            response
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A path of ours to come back to, whatever was asked for.
fn ours(back: Option<&str>) -> String {
    let is_ours = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    back.filter(is_ours).unwrap_or("/").to_owned()
}

fn sentence(stranger: &Stranger) -> String {
    let text = stranger.to_string();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str() + "."
    })
}
