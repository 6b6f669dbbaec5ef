//! The tower layer: gives a request its identity, and an answer the identity's cookie.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cookie::Cookie;
use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::error::SsoError;
use super::manager::{Act, JOINED, SsoApplication};
use super::record::{Principal, Record};
use crate::session::layer::refuse;
use crate::session::{SessionError, SessionRequest, is_possible};

/// Ids of one request that are looked at.
const MOST_ASKED: usize = 4;

/// Lets the handlers of one application ask for the client's [`Identity`](super::Identity). It goes
/// **inside the session's layer**, which commits what this one has changed:
/// `router.layer(shop.layer()).layer(sessions.layer())`. A request whose handler asks for no
/// identity costs nothing.
#[derive(Clone, Debug)]
#[must_use]
pub struct SsoLayer {
    application: SsoApplication,
}

/// The service that [`SsoLayer`] makes.
#[derive(Clone, Debug)]
pub struct SsoService<S> {
    inner: S,
    layer: SsoLayer,
}

/// One request's way through the layer.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) application: SsoApplication,
    session: Option<SessionRequest>,
    pub(super) asked: Vec<String>,
    pub(super) state: tokio::sync::Mutex<State>,
    is_secure: bool,
}

/// Who the client is.
#[derive(Debug)]
pub(super) enum State {
    Untouched,
    Nobody { is_forgotten: bool },
    Known(Known),
}

/// Somebody.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) principal: Arc<Principal>,
    pub(super) method: Arc<str>,
    /// The session's id, as the identity has it.
    pub(super) session: String,
    /// The client does not know it yet.
    pub(super) is_new: bool,
}

// === impl SsoLayer ===

impl SsoApplication {
    /// The layer of this application.
    pub fn layer(&self) -> SsoLayer {
        SsoLayer { application: self.clone() }
    }
}

impl SsoLayer {
    fn begin<B>(&self, request: &mut Request<B>) -> Arc<Visit> {
        let settings = &self.application.sso.inner.settings;
        let visit = Arc::new(Visit {
            application: self.application.clone(),
            session: request.extensions().get::<SessionRequest>().cloned(),
            asked: asked(request.headers(), settings.cookie.as_str()),
            state: tokio::sync::Mutex::new(State::Untouched),
            is_secure: settings.attributes.is_secure(request.uri(), request.headers()),
        });
        request.extensions_mut().insert(visit.clone());
        visit
    }
}

impl<S> Layer<S> for SsoLayer {
    type Service = SsoService<S>;

    fn layer(&self, inner: S) -> SsoService<S> {
        SsoService { inner, layer: self.clone() }
    }
}

/// The ids that a request shows and that may be some, each once.
fn asked(headers: &HeaderMap, name: &str) -> Vec<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = cookies.flat_map(Cookie::split_parse).flatten();
    let shown = cookies.filter(|cookie| cookie.name() == name && is_possible(cookie.value()));
    let mut asked: Vec<String> = Vec::new();
    for cookie in shown {
        if asked.len() < MOST_ASKED && !asked.iter().any(|known| known == cookie.value()) {
            asked.push(cookie.value().to_owned());
        }
    }
    asked
}

// === impl SsoService ===

impl<S, Req, Res> Service<Request<Req>> for SsoService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
    S::Future: Send + 'static,
    Res: Default + Send + 'static,
{
    type Response = Response<Res>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Res>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let visit = self.layer.begin(&mut request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = match answer.await {
                Ok(answer) => answer,
                Err(error) => return Err(error),
            };
            match visit.end().await {
                Ok(Some(cookie)) => drop(answer.headers_mut().append(SET_COOKIE, cookie)),
                Ok(None) => {}
                Err(error) => answer = refusal(&error),
            }
            Ok(answer)
        })
    }
}

/// The answer in place of one that tells of what is not kept.
fn refusal<B: Default>(error: &SsoError) -> Response<B> {
    let mut answer = Response::new(B::default());
    refuse(&mut answer, error.status());
    answer
}

// === impl Visit ===

impl Visit {
    /// The request's session.
    pub(super) fn session(&self) -> Result<&SessionRequest, SsoError> {
        self.session.as_ref().ok_or(SsoError::Session(SessionError::NoLayer))
    }

    /// The handler is done: what has become of the session concerns its identity, and what has
    /// become of that the client.
    async fn end(&self) -> Result<Option<HeaderValue>, SsoError> {
        let state = self.state.lock().await;
        match &*state {
            State::Known(known) if self.follow(known).await? => {
                Ok(if known.is_new { self.keep(&known.id) } else { None })
            }
            State::Known(_) | State::Nobody { is_forgotten: true } => Ok(self.forget()),
            State::Untouched | State::Nobody { is_forgotten: false } => Ok(None),
        }
    }

    /// Whether the identity goes on: it follows the session to a new id, and ends with one that the
    /// handler has ended.
    async fn follow(&self, known: &Known) -> Result<bool, SsoError> {
        let session = self.session()?.session().await?;
        let (inner, application) = (&self.application.sso.inner, self.application.name());
        let joined = session.get::<(String, String)>(JOINED)?;
        let is_joined = joined.is_some_and(|(identity, _)| identity == known.id);
        match session.id() {
            Some(id) if is_joined && id == known.session => Ok(true),
            Some(id) if is_joined => {
                let moved = |record: &mut Record| {
                    if record.is_ended {
                        return Act::Leave;
                    }
                    // The old one leaves when the new one stands.
                    record.add(application, &id);
                    Act::Write
                };
                let record = inner.update(&known.id, moved).await?;
                let goes_on = record.is_some_and(|record| !record.is_ended);
                if !goes_on {
                    session.invalidate()?;
                }
                Ok(goes_on)
            }
            _ => {
                inner.log_out(&known.id, Some((application, &known.session))).await?;
                Ok(false)
            }
        }
    }

    fn keep(&self, id: &str) -> Option<HeaderValue> {
        let settings = &self.application.sso.inner.settings;
        settings.attributes.keep(&settings.cookie, id, None, self.is_secure)
    }

    fn forget(&self) -> Option<HeaderValue> {
        let settings = &self.application.sso.inner.settings;
        settings.attributes.forget(&settings.cookie, None, self.is_secure)
    }
}
