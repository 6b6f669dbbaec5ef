//! The middleware around actix-session's own: it signs or encrypts the whole cookie, so the route
//! goes off before and on after.

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use actix_web::Error;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform, forward_ready};
use actix_web::http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use muster_agent::names::Route;
use muster_agent::session::{RoutedCookie, Shown};

/// What actix-session sends with its cookie, where nothing else is said.
pub const ATTRIBUTES: &str = "HttpOnly; SameSite=Lax; Secure; Path=/";

/// Puts this node's route on the cookie of sessions and takes it off again. Put it around
/// `SessionMiddleware`, that is, wrap it later.
///
/// A client that comes from another node, after a failover, is told the new route with the answer,
/// also where its session was only read.
#[derive(Clone, Debug)]
pub struct RouteCookie {
    cookie: RoutedCookie,
}

/// The service that [`RouteCookie`] makes.
#[derive(Debug)]
pub struct RouteService<S> {
    inner: S,
    cookie: Rc<RoutedCookie>,
}

// === impl RouteCookie ===

impl RouteCookie {
    /// The cookie of this name (`id`, where actix-session is not told another one) and this node's
    /// route; without a route none is put on.
    #[must_use]
    pub fn new(cookie: &str, route: Option<Route>) -> Self {
        Self::with_attributes(cookie, route, ATTRIBUTES)
    }

    /// The same where `SessionMiddleware` was told other attributes than [`ATTRIBUTES`], such as
    /// another path: a browser keeps cookies of two paths beside each other.
    #[must_use]
    pub fn with_attributes(cookie: &str, route: Option<Route>, attributes: &str) -> Self {
        Self { cookie: RoutedCookie::new(cookie, route, attributes) }
    }
}

impl<S, B> Transform<S, ServiceRequest> for RouteCookie
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Transform = RouteService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(RouteService { inner, cookie: Rc::new(self.cookie.clone()) }))
    }
}

// === impl RouteService ===

impl<S, B> Service<ServiceRequest> for RouteService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    S::Future: 'static,
    B: 'static,
{
    type Response = ServiceResponse<B>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let cookie = self.cookie.clone();
        let mut shown = None;
        rewrite(request.headers_mut(), &COOKIE, |header| {
            let (bare, first) = cookie.strip(header)?;
            shown.get_or_insert(first);
            Some(bare)
        });
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            tell(answer.headers_mut(), &cookie, shown.as_ref());
            Ok(answer)
        })
    }
}

/// Puts the route on the cookie that is sent, or sends it where the client must know another one.
fn tell(headers: &mut HeaderMap, cookie: &RoutedCookie, shown: Option<&Shown>) {
    let is_sent = rewrite(headers, &SET_COOKIE, |header| cookie.append(header));
    let renewed = shown.and_then(|shown| cookie.renew(shown));
    if let Some(Ok(renewed)) = renewed.filter(|_| !is_sent).map(HeaderValue::try_from) {
        headers.append(SET_COOKIE, renewed);
    }
}

/// Whether it has changed any of the headers of this name, of which there may be several.
fn rewrite(
    headers: &mut HeaderMap,
    name: &HeaderName,
    mut change: impl FnMut(&str) -> Option<String>,
) -> bool {
    let mut has_changed = false;
    let change = |value: &HeaderValue| {
        let changed = value.to_str().ok().and_then(&mut change);
        match changed.map(HeaderValue::try_from) {
            Some(Ok(changed)) => {
                has_changed = true;
                changed
            }
            _ => value.clone(),
        }
    };
    let changed: Vec<HeaderValue> = headers.get_all(name).map(change).collect();
    if has_changed {
        headers.remove(name);
        changed.into_iter().for_each(|value| headers.append(name.clone(), value));
    }
    has_changed
}

#[cfg(test)]
mod tests {
    use actix_session::{Session, SessionMiddleware};
    use actix_web::cookie::Key;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::{App, web};
    use muster_agent::Sessions;

    use super::*;
    use crate::Store;

    async fn visit(session: Session) -> Result<String, Error> {
        let count = session.get::<u32>("count")?.unwrap_or(0) + 1;
        session.insert("count", count)?;
        Ok(count.to_string())
    }

    async fn look(session: Session) -> Result<String, Error> {
        Ok(session.get::<u32>("count")?.unwrap_or(0).to_string())
    }

    /// One request to a node of this route; the answer, and what its cookie is set to.
    async fn ask(
        (sessions, key): &(Sessions, Key),
        route: &str,
        path: &str,
        cookie: &str,
    ) -> (String, Option<String>) {
        let app = App::new()
            .route("/visit", web::get().to(visit))
            .route("/look", web::get().to(look))
            .wrap(SessionMiddleware::new(Store::new(sessions), key.clone()))
            .wrap(RouteCookie::new("id", Some(route.parse().unwrap())));
        let app = init_service(app).await;
        let request = TestRequest::get().uri(path).insert_header((COOKIE, cookie));
        let answer = call_service(&app, request.to_request()).await;
        let sent = answer.headers().get(SET_COOKIE).map(|sent| sent.to_str().unwrap().to_owned());
        let body = read_body(answer).await;
        (String::from_utf8(body.to_vec()).unwrap(), sent)
    }

    fn pair(sent: Option<String>) -> String {
        sent.unwrap().split(';').next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_encrypted_cookie_carries_the_route_and_its_session_goes_on_elsewhere() {
        let node = (Sessions::builder("shop").start().unwrap(), Key::generate());
        let (count, sent) = ask(&node, "a", "/visit", "other=1.2").await;
        let cookie = pair(sent);
        assert!(count == "1" && cookie.starts_with("id=") && cookie.ends_with(".a"), "{cookie}");
        let (count, sent) = ask(&node, "a", "/look", &cookie).await;
        assert_eq!((&*count, sent), ("1", None));
        // Read at another node: the same value, its route, and what actix-session sends with it.
        let (count, sent) = ask(&node, "b", "/look", &format!("x=1; {cookie}")).await;
        let expected = format!("{}b; {ATTRIBUTES}", cookie.trim_end_matches('a'));
        assert_eq!((&*count, sent.as_deref()), ("1", Some(&*expected)));
        let (count, sent) = ask(&node, "b", "/visit", &cookie).await;
        assert!(count == "2" && pair(sent).ends_with(".b"));
    }

    #[tokio::test]
    async fn a_cookie_that_is_no_session_is_ignored() {
        let node = (Sessions::builder("shop").start().unwrap(), Key::generate());
        let (count, sent) = ask(&node, "a", "/visit", "id=forged.a").await;
        assert!(count == "1" && pair(sent).ends_with(".a"));
    }
}
