//! The layer around tower-sessions' own: it takes the whole cookie for its id, so the route goes
//! off before and on after.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use http::{Request, Response};
use muster_agent::names::Route;
use muster_agent::session::{RoutedCookie, Shown};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// What tower-sessions sends with its cookie, where nothing else is said.
pub const ATTRIBUTES: &str = "HttpOnly; SameSite=Strict; Secure; Path=/";

/// Puts this node's route on the cookie of sessions and takes it off again. Put it around
/// `SessionManagerLayer`, that is, after it in a router's list of layers.
///
/// A client that comes from another node, after a failover, is told the new route with the answer,
/// also where its session was only read.
#[derive(Clone, Debug)]
pub struct RouteLayer {
    cookie: Arc<RoutedCookie>,
}

/// The service that [`RouteLayer`] makes.
#[derive(Clone, Debug)]
pub struct RouteService<S> {
    inner: S,
    cookie: Arc<RoutedCookie>,
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        inner: F,
        cookie: Arc<RoutedCookie>,
        shown: Option<Shown>,
    }
}

// === impl RouteLayer ===

impl RouteLayer {
    /// The cookie of this name (`id`, where tower-sessions is not told another one) and this node's
    /// route; without a route none is put on.
    #[must_use]
    pub fn new(cookie: &str, route: Option<Route>) -> Self {
        Self::with_attributes(cookie, route, ATTRIBUTES)
    }

    /// The same where `SessionManagerLayer` was told other attributes than [`ATTRIBUTES`], such as
    /// another path: a browser keeps cookies of two paths beside each other.
    #[must_use]
    pub fn with_attributes(cookie: &str, route: Option<Route>, attributes: &str) -> Self {
        Self { cookie: Arc::new(RoutedCookie::new(cookie, route, attributes)) }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = RouteService<S>;

    fn layer(&self, inner: S) -> RouteService<S> {
        RouteService { inner, cookie: self.cookie.clone() }
    }
}

// === impl RouteService ===

impl<S, Req, Res> Service<Request<Req>> for RouteService<S>
where
    S: Service<Request<Req>, Response = Response<Res>>,
{
    type Response = Response<Res>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Req>) -> Self::Future {
        let mut shown = None;
        let cookie = &self.cookie;
        rewrite(request.headers_mut(), &COOKIE, |header| {
            let (bare, first) = cookie.strip(header)?;
            shown.get_or_insert(first);
            Some(bare)
        });
        Answering { inner: self.inner.call(request), cookie: self.cookie.clone(), shown }
    }
}

// === impl Answering ===

impl<F, Res, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx));
        if let Ok(answer) = &mut answer {
            let headers = answer.headers_mut();
            let is_sent = rewrite(headers, &SET_COOKIE, |header| this.cookie.append(header));
            let renewed = this.shown.as_ref().and_then(|shown| this.cookie.renew(shown));
            if let Some(Ok(renewed)) = renewed.filter(|_| !is_sent).map(HeaderValue::try_from) {
                headers.append(SET_COOKIE, renewed);
            }
        }
        Poll::Ready(answer)
    }
}

/// Whether it has changed any of the headers of this name, of which there may be several.
fn rewrite(
    headers: &mut HeaderMap,
    name: &HeaderName,
    mut change: impl FnMut(&str) -> Option<String>,
) -> bool {
    let mut has_changed = false;
    if let http::header::Entry::Occupied(mut found) = headers.entry(name) {
        for value in found.iter_mut() {
            let changed = value.to_str().ok().and_then(&mut change);
            if let Some(Ok(changed)) = changed.map(HeaderValue::try_from) {
                *value = changed;
                has_changed = true;
            }
        }
    }
    has_changed
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What the inner service sees, and what the client gets.
    async fn through(shown: &[&str], sent: &[&str]) -> (Vec<String>, Vec<String>) {
        let texts = |headers: &HeaderMap, name| {
            headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
        };
        let mut request = Request::new(());
        for cookie in shown {
            request.headers_mut().append(COOKIE, cookie.parse().unwrap());
        }
        let (tell, told) = std::sync::mpsc::channel::<Vec<String>>();
        let inner = service_fn(|request: Request<()>| {
            tell.send(texts(request.headers(), COOKIE)).unwrap();
            let mut answer = Response::new(());
            for cookie in sent {
                answer.headers_mut().append(SET_COOKIE, cookie.parse().unwrap());
            }
            async move { Ok::<_, Infallible>(answer) }
        });
        let layer = RouteLayer::with_attributes("id", Some("b".parse().unwrap()), "Path=/");
        let answer = layer.layer(inner).oneshot(request).await.unwrap();
        (told.recv().unwrap(), texts(answer.headers(), SET_COOKIE))
    }

    #[tokio::test]
    async fn the_route_goes_off_before_and_on_after() {
        let (seen, got) = through(&["a=1.b", "id=k7.b; c=2"], &["a=2.x", "id=k8; Path=/"]).await;
        assert_eq!(seen, ["a=1.b", "id=k7; c=2"]);
        assert_eq!(got, ["a=2.x", "id=k8.b; Path=/"]);
    }

    #[tokio::test]
    async fn a_client_of_another_node_is_told_the_new_route_once() {
        assert_eq!(through(&["id=k7.a"], &["a=1"]).await.1, ["a=1", "id=k7.b; Path=/"]);
        assert_eq!(through(&["id=k7.a"], &["id=k8"]).await.1, ["id=k8.b"]);
        assert_eq!(through(&["id=k7.a"], &["id=; Max-Age=0"]).await.1, ["id=; Max-Age=0"]);
        assert!(through(&["id=k7.b"], &[]).await.1.is_empty());
        assert!(through(&["other=k7.a"], &[]).await.1.is_empty());
        assert!(through(&[], &[]).await.1.is_empty());
    }
}
