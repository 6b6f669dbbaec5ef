//! The tower layer: gives a request its session, and commits it before the head of the answer
//! leaves.
//!
//! | file | idea |
//! |---|---|
//! | `asked` | which ids a request shows |
//! | `cookie` | what a client is told to keep and to forget |
//! | `extract` | what axum's handlers ask for |

mod asked;
pub(crate) mod cookie;
mod extract;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::{Request, Response, StatusCode};
use muster_protocol::names::{ContextPath, NodeHost, Route, StickyName};
use muster_protocol::session_id::SessionId;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{error, warn};

pub use cookie::{SameSite, Secure};

use super::place::Place;
use super::{Finished, SessionError, SessionRequest, Sessions};

/// Marks an answer that tells the client to try again. The layer says when.
#[derive(Clone, Copy, Debug)]
struct TryAgain;

/// When that is where no layer says it.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// Gives each request a [`SessionRequest`], and commits it **before the head of the answer is
/// sent**: a client that has an answer has a session that is kept. The body, an event stream, a
/// WebSocket run afterwards, without the session's lock; touching it there is
/// [`SessionError::Committed`].
///
/// When the commit fails, the handler's answer is not sent, for it would tell of what is not kept:
/// the client gets 503 with Retry-After, or 500. When the handler panics, or the client goes away
/// before the handler is done, the session stays as it was.
///
/// It works around any tower service. In axum put it around the router, not into it
/// (`sessions.layer().layer(router)`), where sessions shall be found by the path parameter too:
/// a router has chosen the route before its own layers see the path.
///
/// ```
/// use muster_agent::{Session, SessionError, Sessions};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// async fn visit(session: Session) -> Result<String, SessionError> {
///     let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
///     session.set("count", &count)?;
///     Ok(format!("visit {count}"))
/// }
/// let sessions = Sessions::builder("shop").start().unwrap();
/// let app: axum::Router =
///     axum::Router::new().route("/", axum::routing::get(visit)).layer(sessions.layer());
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionLayer {
    sessions: Sessions,
    settings: Arc<Settings>,
}

/// What the layer was told; what it was not told comes from where the sessions are deployed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Settings {
    cookie: Option<StickyName>,
    parameter: Option<Option<StickyName>>,
    route: Option<Option<Route>>,
    attributes: cookie::Attributes,
    retry_after: Option<Duration>,
}

/// The service that [`SessionLayer`] makes.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    inner: S,
    layer: SessionLayer,
}

/// One request's way through the layer.
#[derive(Debug)]
struct Visit {
    settings: Arc<Settings>,
    place: Arc<Place>,
    request: SessionRequest,
    asked: Vec<SessionId>,
    is_secure: bool,
}

// === impl SessionLayer ===

impl Sessions {
    /// The layer that gives requests their sessions, with the defaults: the cookie `JSESSIONID`,
    /// the path parameter `jsessionid`, `HttpOnly`, `SameSite=Lax`, `Secure` over TLS, the path
    /// of the context. Names, context and route are those of the agent that the sessions are
    /// deployed with ([`Builder::context_with`](crate::Builder::context_with)).
    pub fn layer(&self) -> SessionLayer {
        SessionLayer { sessions: self.clone(), settings: Arc::default() }
    }
}

impl SessionLayer {
    /// The cookie's name.
    pub fn cookie_name(self, name: StickyName) -> Self {
        self.with(|settings| settings.cookie = Some(name))
    }

    /// The path parameter's name; `None`: ids in paths are left alone.
    pub fn path_parameter(self, name: Option<StickyName>) -> Self {
        self.with(|settings| settings.parameter = Some(name))
    }

    /// The route that follows the id in the cookie; `None`: no route.
    pub fn route(self, route: Option<Route>) -> Self {
        self.with(|settings| settings.route = Some(route))
    }

    /// The cookie's path; `/` where the sessions are deployed nowhere and none is said.
    pub fn cookie_path(self, path: ContextPath) -> Self {
        self.with(|settings| settings.attributes.path = Some(path))
    }

    /// The cookie's domain. Default: none, so it goes to the host alone that it came from.
    pub fn cookie_domain(self, domain: NodeHost) -> Self {
        self.with(|settings| settings.attributes.domain = Some(domain))
    }

    /// Whether the cookie is sent over TLS only.
    pub fn secure(self, secure: Secure) -> Self {
        self.with(|settings| settings.attributes.secure = secure)
    }

    /// Whether the cookie comes with requests from other sites. Default: [`SameSite::Lax`].
    /// [`SameSite::None`] makes it `Secure`, for browsers keep it only then.
    pub fn same_site(self, same_site: SameSite) -> Self {
        self.with(|settings| settings.attributes.same_site = same_site)
    }

    /// Whether scripts cannot see the cookie. Default: they cannot.
    pub fn http_only(self, is_http_only: bool) -> Self {
        self.with(|settings| settings.attributes.is_http_only = is_http_only)
    }

    /// How long a client keeps the cookie. Default: until the browser ends. The session itself
    /// ends by [`SessionsBuilder::max_inactive`](super::SessionsBuilder::max_inactive).
    pub fn cookie_max_age(self, max_age: Option<Duration>) -> Self {
        self.with(|settings| settings.attributes.max_age = max_age)
    }

    /// When clients shall try again that are answered 503 for their session, or for their identity:
    /// another request has it, or no owner can be reached. It is the answer's `Retry-After`, in
    /// whole seconds. Default: 1 s.
    pub fn retry_after(self, wait: Duration) -> Self {
        self.with(|settings| settings.retry_after = Some(wait))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.settings));
        self
    }

    fn begin<B>(&self, request: &mut Request<B>) -> Visit {
        let (settings, place) = (Arc::clone(&self.settings), self.sessions.place());
        let cookie = settings.cookie(&place);
        let parameter = settings.parameter(&place);
        let uri = request.uri();
        let asked = asked::asked(request.headers(), uri.path(), cookie, parameter);
        let is_secure = settings.attributes.is_secure(uri, request.headers());
        if let Some(without) = parameter.and_then(|name| asked::without_parameter(uri, name)) {
            *request.uri_mut() = without;
        }
        let session = self.sessions.request_among(asked.iter().map(SessionId::id));
        request.extensions_mut().insert(session.clone());
        Visit { settings, place, request: session, asked, is_secure }
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService { inner, layer: self.clone() }
    }
}

// === impl Settings ===

impl Settings {
    fn cookie<'a>(&'a self, place: &'a Place) -> &'a StickyName {
        self.cookie.as_ref().unwrap_or(&place.cookie)
    }

    fn parameter<'a>(&'a self, place: &'a Place) -> Option<&'a StickyName> {
        self.parameter.as_ref().map_or(Some(&place.parameter), Option::as_ref)
    }

    fn route<'a>(&'a self, place: &'a Place) -> Option<&'a Route> {
        self.route.as_ref().unwrap_or(&place.route).as_ref()
    }
}

// === impl SessionService ===

impl<S, Req, Res> Service<Request<Req>> for SessionService<S>
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
        // The same layer twice: the inner one would wait for what the outer one holds.
        let outer = request.extensions().get::<SessionRequest>();
        if outer.is_some_and(|outer| outer.is_of(&self.layer.sessions)) {
            return Box::pin(self.inner.call(request));
        }
        let visit = self.layer.begin(&mut request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = match answer.await {
                Ok(answer) => answer,
                Err(error) => return Err(error),
            };
            Ok(visit.end(answer).await)
        })
    }
}

// === impl Visit ===

impl Visit {
    async fn end<B: Default>(self, mut answer: Response<B>) -> Response<B> {
        match self.request.finish().await {
            Ok(finished) => {
                if let Some(cookie) = self.set_cookie(&finished) {
                    answer.headers_mut().append(SET_COOKIE, cookie);
                }
            }
            Err(error) => answer = refusal(&error),
        }
        // Handlers and extractors do not know what this layer was told.
        if let (Some(TryAgain), Some(wait)) = (answer.extensions().get(), self.settings.retry_after)
        {
            answer.headers_mut().insert(RETRY_AFTER, seconds(wait));
        }
        answer
    }

    /// What the client must learn: an id that is new to it, its session's new route after a
    /// failover, or that there is none any more.
    fn set_cookie(&self, finished: &Finished) -> Option<HeaderValue> {
        let Self { settings, place, .. } = self;
        let (name, route) = (settings.cookie(place), settings.route(place));
        let context = place.context.as_ref();
        let id = match finished {
            Finished::New(id) => id,
            Finished::Same(id) => {
                let asked = self.asked.iter().find(|asked| asked.id() == id)?;
                if route.is_none() || asked.route() == route {
                    return None;
                }
                id
            }
            Finished::Ended => {
                return settings.attributes.forget(name, context, self.is_secure);
            }
            // Another request may have given the client a new id in the meantime.
            Finished::None { .. } | Finished::Untouched => return None,
        };
        let value = match route {
            Some(route) => format!("{id}.{route}"),
            None => id.clone(),
        };
        settings.attributes.keep(name, &value, context, self.is_secure)
    }
}

/// The answer in place of one that tells of what is not kept.
fn refusal<B: Default>(error: &SessionError) -> Response<B> {
    let mut answer = Response::new(B::default());
    refuse(&mut answer, status_of(error));
    answer
}

/// Makes it an answer of this status; 503 with `Retry-After`.
pub(crate) fn refuse<B>(answer: &mut Response<B>, status: StatusCode) {
    *answer.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, seconds(TRY_AGAIN));
        answer.extensions_mut().insert(TryAgain);
    }
}

/// Whole ones: who comes too early waits once more.
fn seconds(wait: Duration) -> HeaderValue {
    HeaderValue::from(wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)))
}

/// What an error is to a client. Logged here: nobody else does something about it.
fn status_of(error: &SessionError) -> StatusCode {
    if error.is_passing() {
        warn!(%error, "a request is told to try again");
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    error!(%error, "a request fails by its session");
    StatusCode::INTERNAL_SERVER_ERROR
}

#[cfg(test)]
mod tests;
