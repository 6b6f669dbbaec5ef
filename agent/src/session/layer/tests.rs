//! The layer in a real axum server, asked by hyper's client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request as Asked, State};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONNECTION, COOKIE, UPGRADE};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::session::{ReadSession, Session};

/// The bound of every wait; none is expected to come near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends with the test's runtime.
struct Server(SocketAddr);

impl Server {
    async fn start(app: Router) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Server(address)
    }

    /// An answer as soon as its head is there, to a request on a connection of its own.
    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> hyper::Result<Response<Incoming>> {
        let stream = TcpStream::connect(self.0).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().uri(path).header("host", "shop.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("an answer")
    }

    /// The whole answer: its status, its cookie, its text.
    async fn get(&self, path: &str, cookie: &str) -> (u16, Option<String>, String) {
        let cookie: &[_] = if cookie.is_empty() { &[] } else { &[("cookie", cookie)] };
        let answer = self.ask(path, cookie).await.unwrap();
        let (status, cookie) = (answer.status().as_u16(), set_cookie(&answer));
        (status, cookie, text(answer).await)
    }
}

fn set_cookie<B>(answer: &Response<B>) -> Option<String> {
    Some(answer.headers().get(SET_COOKIE)?.to_str().unwrap().to_owned())
}

async fn text(answer: Response<Incoming>) -> String {
    let bytes = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await.unwrap();
    String::from_utf8(bytes.unwrap().to_bytes().to_vec()).unwrap()
}

/// A cookie as it is sent back.
fn pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap().to_owned()
}

fn id_of(set_cookie: &str) -> String {
    pair(set_cookie).strip_prefix("JSESSIONID=").unwrap().split('.').next().unwrap().to_owned()
}

fn sessions() -> Sessions {
    Sessions::builder("shop").start().unwrap()
}

fn place(sessions: &Sessions, route: &str, context: &str) {
    let (route, context) = (Some(route.parse().unwrap()), Some(context.parse().unwrap()));
    sessions.placed(Place { route, context, ..Place::default() });
}

async fn count(session: Session) -> Result<String, SessionError> {
    let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
    session.set("count", &count)?;
    Ok(count.to_string())
}

async fn look(session: Option<ReadSession>) -> Result<String, SessionError> {
    let count = session.map(|session| session.get::<u64>("count")).transpose()?.flatten();
    Ok(format!("{count:?}"))
}

fn router() -> Router {
    Router::new()
        .route("/shop/", get(count))
        .route("/shop/look", get(look))
        .route("/shop/static", get(|_: SessionRequest| async { "the same for all" }))
        .route("/shop/out", get(|session: Session| async move { session.invalidate() }))
        .route("/shop/in", get(|session: Session| async move { session.rotate_id().map(drop) }))
}

async fn shop() -> (Server, Sessions) {
    let sessions = sessions();
    place(&sessions, "one", "/shop");
    (Server::start(router().layer(sessions.layer())).await, sessions)
}

#[tokio::test]
async fn a_session_goes_from_its_first_visit_to_its_end() {
    let (server, sessions) = shop().await;
    let (status, cookie, body) = server.get("/shop/", "").await;
    let cookie = cookie.expect("a new session");
    assert_eq!((status, body.as_str()), (200, "1"));
    assert!(cookie.ends_with(".one; HttpOnly; SameSite=Lax; Path=/shop"), "{cookie}");
    let mine = pair(&cookie);
    assert_eq!(server.get("/shop/", &mine).await, (200, None, "2".to_owned()));
    assert_eq!(server.get("/shop/look", &mine).await, (200, None, "Some(2)".to_owned()));
    assert_eq!(server.get("/shop/look", "").await, (200, None, "None".to_owned()));
    let (_, rotated, _) = server.get("/shop/in", &mine).await;
    let rotated = rotated.expect("a new id");
    assert_ne!(id_of(&rotated), id_of(&cookie));
    assert_eq!(server.get("/shop/", &pair(&rotated)).await, (200, None, "3".to_owned()));
    assert_eq!(server.get("/shop/look", &mine).await.2, "None", "nobody gets in by the old id");
    let (status, ended, _) = server.get("/shop/out", &pair(&rotated)).await;
    let ended = ended.expect("a word that it has ended");
    assert_eq!(status, 200);
    assert!(ended.starts_with("JSESSIONID=;") && ended.contains("Max-Age=0"), "{ended}");
    assert_eq!(sessions.active(), 0);
}

#[tokio::test]
async fn after_a_failover_the_id_stays_and_the_route_is_the_new_nodes() {
    let (server, sessions) = shop().await;
    let (_, cookie, _) = server.get("/shop/", "").await;
    let mine = pair(&cookie.unwrap());
    place(&sessions, "two", "/shop");
    let (_, moved, body) = server.get("/shop/", &mine).await;
    let moved = pair(&moved.expect("the route has changed"));
    assert_eq!((body.as_str(), moved.as_str()), ("2", &*mine.replace(".one", ".two")));
    assert_eq!(server.get("/shop/", &moved).await, (200, None, "3".to_owned()));
}

#[tokio::test]
async fn who_never_touches_a_session_has_none_and_costs_none() {
    let (server, sessions) = shop().await;
    let (_, cookie, body) = server.get("/shop/static", "JSESSIONID=unknown.one").await;
    assert_eq!((cookie, body.as_str(), sessions.active()), (None, "the same for all", 0));
}

#[tokio::test]
async fn of_several_cookies_the_one_counts_whose_session_is_there() {
    let (server, _sessions) = shop().await;
    let (_, cookie, _) = server.get("/shop/", "").await;
    let mine = pair(&cookie.unwrap());
    let many = format!("JSESSIONID=bad id; JSESSIONID=of-another-path.x; a=b; {mine}");
    assert_eq!(server.get("/shop/", &many).await, (200, None, "2".to_owned()));
    assert_eq!(server.get("/shop/look", &many).await.2, "Some(2)");
}

#[tokio::test]
async fn the_path_parameter_is_found_and_the_application_does_not_see_it() {
    let sessions = sessions();
    place(&sessions, "one", "/shop");
    let server = {
        let service = sessions.layer().layer(router());
        Server::start(Router::new().fallback_service(service)).await
    };
    let (_, cookie, _) = server.get("/shop/", "").await;
    let id = id_of(&cookie.unwrap());
    let (status, cookie, body) = server.get(&format!("/shop;jsessionid={id}.one/?x=1"), "").await;
    assert_eq!((status, cookie, body.as_str()), (200, None, "2"));
}

#[tokio::test]
async fn names_and_attributes_are_the_layers_where_it_says_them() {
    let sessions = sessions();
    place(&sessions, "one", "/shop");
    let layer = sessions.layer().cookie_name("SID".parse().unwrap()).route(None);
    let layer = layer.cookie_path("/".parse().unwrap()).secure(Secure::Always).path_parameter(None);
    let server = Server::start(router().layer(layer)).await;
    let (_, cookie, _) = server.get("/shop/", "").await;
    let cookie = cookie.unwrap();
    assert!(cookie.starts_with("SID=") && !pair(&cookie).contains('.'), "{cookie}");
    assert!(cookie.ends_with("; Secure; Path=/"), "{cookie}");
    assert_eq!(server.get("/shop/", &pair(&cookie)).await.2, "2");
}

#[tokio::test]
async fn two_requests_of_one_session_queue_and_none_of_their_counts_is_lost() {
    let (server, _sessions) = shop().await;
    let (_, cookie, _) = server.get("/shop/", "").await;
    let mine = pair(&cookie.unwrap());
    let server = Arc::new(server);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (server, mine) = (Arc::clone(&server), mine.clone());
        all.spawn(async move { server.get("/shop/", &mine).await.2.parse::<u64>().unwrap() });
    }
    let mut counts = all.join_all().await;
    counts.sort_unstable();
    assert_eq!(counts, (2..=21).collect::<Vec<_>>());
}

/// A handler that says when it has its session, and goes on when it may.
#[derive(Clone, Default)]
struct Gate {
    entered: Arc<Notify>,
    may_go_on: Arc<Notify>,
}

async fn slow(State(gate): State<Gate>, session: Session) -> Result<String, SessionError> {
    gate.entered.notify_one();
    gate.may_go_on.notified().await;
    count(session).await
}

#[tokio::test]
async fn who_waits_too_long_for_a_session_is_told_to_try_again() {
    let sessions = Sessions::builder("shop").lock_wait(Duration::from_millis(20)).start().unwrap();
    let gate = Gate::default();
    let app = Router::new().route("/slow", get(slow)).with_state(gate.clone());
    let later = Duration::from_millis(1500);
    let app = app.route("/", get(count)).layer(sessions.layer().retry_after(later));
    let server = Arc::new(Server::start(app).await);
    let (_, cookie, _) = server.get("/", "").await;
    let mine = pair(&cookie.unwrap());
    let first = tokio::spawn({
        let (server, mine) = (Arc::clone(&server), mine.clone());
        async move { server.get("/slow", &mine).await }
    });
    gate.entered.notified().await;
    let answer = server.ask("/", &[("cookie", &mine)]).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()[RETRY_AFTER].as_bytes()),
        (503, &b"2"[..])
    );
    assert_eq!(text(answer).await, "another request has the session\n");
    gate.may_go_on.notify_one();
    assert_eq!(first.await.unwrap().2, "2");
    assert_eq!(server.get("/", &mine).await.2, "3");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_session_as_it_was_and_free() {
    let sessions = sessions();
    let gate = Gate::default();
    let app = Router::new().route("/slow", get(slow)).with_state(gate.clone());
    let app = app.route("/", get(count)).layer(sessions.layer());
    let server = Arc::new(Server::start(app).await);
    let (_, cookie, _) = server.get("/", "").await;
    let mine = pair(&cookie.unwrap());
    let away = tokio::spawn({
        let (server, mine) = (Arc::clone(&server), mine.clone());
        async move { server.get("/slow", &mine).await }
    });
    gate.entered.notified().await;
    away.abort();
    assert_eq!(server.get("/", &mine).await.2, "2", "it waits until the other is gone");
}

#[tokio::test]
async fn a_handler_that_panics_changes_nothing() {
    async fn fails(session: Session) -> &'static str {
        session.set("count", &100_u64).unwrap();
        assert!(session.id().is_none(), "so does every handler once");
        "unreachable"
    }
    let app = Router::new().route("/", get(count)).route("/fails", get(fails));
    let server = Server::start(app.layer(sessions().layer())).await;
    let (_, cookie, _) = server.get("/", "").await;
    let mine = pair(&cookie.unwrap());
    assert!(server.ask("/fails", &[("cookie", &mine)]).await.is_err(), "the connection ends");
    assert_eq!(server.get("/", &mine).await.2, "2");
}

/// Events, each with what becomes of a touch of the session.
struct Events {
    receiver: mpsc::Receiver<&'static str>,
    session: Session,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let event = std::task::ready!(self.receiver.poll_recv(cx));
        Poll::Ready(event.map(|event| {
            let touched = self.session.set("count", &100_u64);
            Ok(Frame::data(format!("data: {event}, {touched:?}\n\n").into()))
        }))
    }
}

#[tokio::test]
async fn a_stream_of_events_runs_without_the_lock_and_cannot_touch_the_session() {
    let (events, receiver) = mpsc::channel::<&'static str>(1);
    let receiver = Arc::new(parking_lot::Mutex::new(Some(receiver)));
    let stream = move |session: Session| async move {
        session.set("count", &7_u64)?;
        let receiver = receiver.lock().take().expect("one request");
        let headers = [("content-type", "text/event-stream")];
        Ok::<_, SessionError>((headers, Body::new(Events { receiver, session })).into_response())
    };
    let app = Router::new().route("/events", get(stream)).route("/", get(count));
    let server = Server::start(app.layer(sessions().layer())).await;
    let mut answer = server.ask("/events", &[]).await.unwrap();
    let mine = pair(&set_cookie(&answer).expect("the head comes before the first event"));
    assert_eq!(server.get("/", &mine).await.2, "8", "the stream holds no lock");
    events.send("later").await.unwrap();
    let frame = answer.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: later, Err(Committed)\n\n");
    assert_eq!(server.get("/", &mine).await.2, "9", "nothing of it was written");
}

#[tokio::test]
async fn an_upgraded_connection_runs_without_the_lock() {
    async fn upgrade(session: Session, mut request: Asked) -> Result<Response<Body>, SessionError> {
        session.set("count", &1_u64)?;
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgraded.await.unwrap());
            let mut word = [0; 4];
            stream.read_exact(&mut word).await.unwrap();
            let said = session.set("count", &100_u64).unwrap_err().to_string();
            stream.write_all(said.as_bytes()).await.unwrap();
        });
        let answer = Response::builder().status(101).header(UPGRADE, "websocket");
        Ok(answer.header(CONNECTION, "upgrade").body(Body::empty()).unwrap())
    }
    let app = Router::new().route("/socket", get(upgrade)).route("/", get(count));
    let server = Server::start(app.layer(sessions().layer())).await;
    let ask = [("upgrade", "websocket"), ("connection", "upgrade")];
    let answer = server.ask("/socket", &ask).await.unwrap();
    let mine = pair(&set_cookie(&answer).expect("a new session"));
    assert_eq!(answer.status().as_u16(), 101);
    assert_eq!(server.get("/", &mine).await.2, "2");
    let mut stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    stream.write_all(b"ping").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, SessionError::Committed.to_string());
    assert_eq!(server.get("/", &mine).await.2, "3");
}

#[tokio::test]
async fn without_a_layer_a_handler_says_so() {
    let server = Server::start(Router::new().route("/", get(count))).await;
    assert_eq!(server.get("/", "").await, (500, None, "the session cannot be used\n".to_owned()));
}

#[tokio::test]
async fn the_same_layer_twice_is_as_good_as_once() {
    let sessions = sessions();
    let app = Router::new().route("/", get(count)).layer(sessions.layer()).layer(sessions.layer());
    let server = Server::start(app).await;
    let (_, cookie, _) = server.get("/", "").await;
    assert_eq!(server.get("/", &pair(&cookie.unwrap())).await, (200, None, "2".to_owned()));
}

#[tokio::test]
async fn an_answer_that_cannot_be_kept_is_not_sent() {
    // A session that another has taken over: its hold was over long before the handler's end.
    let hold = Duration::from_millis(50);
    let sessions = Sessions::builder("shop").longest_request(hold).start().unwrap();
    let gate = Gate::default();
    let app = Router::new().route("/slow", get(slow)).with_state(gate.clone());
    let app = app.route("/", get(count)).layer(sessions.layer());
    let server = Arc::new(Server::start(app).await);
    let (_, cookie, _) = server.get("/", "").await;
    let mine = pair(&cookie.unwrap());
    let late = tokio::spawn({
        let (server, mine) = (Arc::clone(&server), mine.clone());
        async move {
            let answer = server.ask("/slow", &[("cookie", &mine)]).await.unwrap();
            (
                answer.status().as_u16(),
                answer.headers().get(RETRY_AFTER).cloned(),
                text(answer).await,
            )
        }
    });
    gate.entered.notified().await;
    assert_eq!(server.get("/", &mine).await.2, "2");
    gate.may_go_on.notify_one();
    let one_second = Some(HeaderValue::from_static("1"));
    assert_eq!(late.await.unwrap(), (503, one_second, String::new()));
}

#[tokio::test]
async fn any_tower_service_will_do() {
    #[derive(Clone)]
    struct Counting;
    impl Service<Request<()>> for Counting {
        type Response = Response<String>;
        type Error = SessionError;
        type Future = Pin<Box<dyn Future<Output = Result<Response<String>, SessionError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            let request = request.extensions().get::<SessionRequest>().cloned();
            Box::pin(async move {
                let session = request.ok_or(SessionError::NoLayer)?.session().await?;
                Ok(Response::new(count(session).await?))
            })
        }
    }
    let mut service = sessions().layer().layer(Counting);
    let first = service.call(Request::new(())).await.unwrap();
    let mine = pair(&set_cookie(&first).unwrap());
    let again = Request::builder().header(COOKIE, mine).body(()).unwrap();
    assert_eq!(service.call(again).await.unwrap().into_body(), "2");
}
