//! The router without sockets: requests in, answers and INFO out.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

/// A manager with two nodes, `n1` in the group `left` and `n2` in none, each with `/shop` and
/// `/wiki` on `localhost`, all enabled.
struct Desk {
    router: Router,
    published: Arc<Published>,
    phase: watch::Sender<BalancerState>,
    token: String,
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Desk {
    fn new() -> Desk {
        let published = published(&[
            ("CONFIG", "/", "JVMRoute=n1&Domain=left&Host=127.0.0.1&Port=8081&Type=http"),
            ("CONFIG", "/", "JVMRoute=n2&Host=127.0.0.1&Port=8082&Type=http"),
            ("ENABLE-APP", "/", "JVMRoute=n1&Alias=localhost&Context=%2Fshop,%2Fwiki"),
            ("ENABLE-APP", "/", "JVMRoute=n2&Alias=localhost&Context=%2Fshop,%2Fwiki"),
        ]);
        let (phase, seen) = watch::channel(BalancerState::Ready);
        let csrf = Csrf::new([3; muster_web_ui::csrf::KEY_BYTES]);
        let token = csrf.token().to_owned();
        let mut metrics = prometheus_client::registry::Registry::default();
        let served = prometheus_client::metrics::counter::Counter::<u64>::default();
        metrics.register("muster_served", "Requests", served);
        let router = router(ManagerState {
            published: published.clone(),
            operators: Arc::new(operators(published.clone())),
            metrics: Arc::new(metrics),
            phase: seen,
            csrf,
            own: "127.0.0.1:6667".parse().unwrap(),
            hosts: Vec::new(),
            started: Instant::now(),
            max_form_bytes: MAX_FORM_BYTES,
            request_timeout: REQUEST_TIMEOUT,
        });
        Desk { router, published, phase, token }
    }

    async fn send(&self, request: http::request::Builder, body: String) -> Answered {
        let request: Request<Body> = request.body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answered { status: head.status, headers: head.headers, body }
    }

    async fn get(&self, target: &str) -> Answered {
        self.send(request(Method::GET, target), String::new()).await
    }

    async fn get_as(&self, target: &str, accept: &str) -> Answered {
        self.send(request(Method::GET, target).header("accept", accept), String::new()).await
    }

    async fn post(&self, form: &str) -> Answered {
        let form = format!("token={}&{form}", self.token);
        self.send(request(Method::POST, "/action").header("content-type", FORM), form).await
    }

    /// The states of n1 /shop, n1 /wiki, n2 /shop and n2 /wiki, each by its first letter.
    fn states(&self) -> String {
        let info = self.published.info();
        info.contexts.iter().filter_map(|context| context.status.word().chars().next()).collect()
    }
}

fn request(method: Method, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(target).header("host", "localhost:6667")
}

#[tokio::test]
async fn the_page_shows_the_nodes_by_group() {
    let answer = Desk::new().get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    for part in ["<bdi>left</bdi>", "<bdi>n1</bdi>", "<bdi>n2</bdi>", "http://127.0.0.1:8081"] {
        assert!(answer.body.contains(part), "{part} is missing in {}", answer.body);
    }
}

#[tokio::test]
async fn each_verb_reaches_a_context_a_node_and_a_group() {
    let desk = Desk::new();
    for (form, states) in [
        ("route=n1&alias=localhost&disable=%2Fshop", "DEEE"),
        ("route=n1&alias=localhost&stop=%2Fwiki", "DSEE"),
        ("route=n1&alias=localhost&enable=%2Fwiki", "DEEE"),
        ("route=n2&stop=*", "DESS"),
        ("route=n2&enable=*", "DEEE"),
        ("route=n2&disable=*", "DEDD"),
        ("group=left&stop=*", "SSDD"),
        ("group=&enable=*", "SSEE"),
        ("group=left&disable=*", "DDEE"),
        ("group=left&enable=*", "EEEE"),
    ] {
        let answer = desk.post(form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{form}: {}", answer.body);
        assert_eq!(answer.headers["location"], "/");
        assert_eq!(desk.states(), states, "{form}");
    }
}

#[tokio::test]
async fn a_form_that_is_refused_changes_nothing() {
    let desk = Desk::new();
    for (form, status, why) in [
        ("route=n1", StatusCode::BAD_REQUEST, "the field enable, disable or stop is missing"),
        ("stop=*", StatusCode::BAD_REQUEST, "the field route is missing"),
        ("route=a%3Cb&stop=*", StatusCode::BAD_REQUEST, "JVMRoute has the bad value \"a<b\""),
        ("route=n9&stop=*", StatusCode::NOT_FOUND, "no node is registered with the route n9"),
        ("group=right&stop=*", StatusCode::NOT_FOUND, "no node is registered in this group"),
        ("route=n1&alias=localhost&stop=%2Fx", StatusCode::NOT_FOUND, "has no context /x"),
        ("route=n1&alias=other&stop=%2Fshop", StatusCode::NOT_FOUND, "has no context /shop"),
        ("route=n1&alias=localhost&enable=shop", StatusCode::BAD_REQUEST, "begins with /"),
    ] {
        let answer = desk.post(form).await;
        assert_eq!(answer.status, status, "{form}");
        assert!(answer.body.contains(why), "{form}: {}", answer.body);
        assert_eq!(desk.states(), "EEEE", "{form}");
    }
}

#[tokio::test]
async fn a_form_without_our_token_is_forbidden() {
    let desk = Desk::new();
    let post = || request(Method::POST, "/action").header("content-type", FORM);
    for form in ["route=n1&stop=*", "token=&route=n1&stop=*", "token=0303&route=n1&stop=*"] {
        let answer = desk.send(post(), form.to_owned()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{form}");
    }
    let answer = desk.send(post().header("accept", "text/html"), "stop=*".to_owned()).await;
    assert!(answer.body.contains("Back to the nodes"), "{}", answer.body);
    assert_eq!(desk.states(), "EEEE");
}

#[tokio::test]
async fn a_form_of_another_kind_size_or_origin_is_refused() {
    let desk = Desk::new();
    let form = format!("token={}&route=n1&stop=*", desk.token);
    let post = || request(Method::POST, "/action");
    let sent = |builder: http::request::Builder, form: &str| desk.send(builder, form.to_owned());

    let plain = sent(post().header("content-type", "text/plain"), &form).await;
    assert_eq!(plain.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = format!("{form}&alias={}", "x".repeat(MAX_FORM_BYTES));
    let long = sent(post().header("content-type", FORM), &long).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let foreign = post().header("content-type", FORM).header("origin", "http://evil.example");
    assert_eq!(sent(foreign, &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.states(), "EEEE");

    let own = post().header("content-type", FORM).header("origin", "http://localhost:6667");
    assert_eq!(sent(own, &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.states(), "SSEE");
}

#[tokio::test]
async fn a_name_that_was_rebound_to_us_sees_nothing() {
    let desk = Desk::new();
    for target in ["/", "/api/state", "/info", "/metrics", "/assets/muster.js"] {
        let rebound = Request::builder().uri(target).header("host", "evil.example:6667");
        let answer = desk.send(rebound, String::new()).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{target}");
        assert!(!answer.body.contains("n1"), "{}", answer.body);
    }
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let desk = Desk::new();
    let mut answers = Vec::new();
    for target in [
        "/",
        "/api/state",
        "/info",
        "/dump",
        "/livez",
        "/readyz",
        "/metrics",
        "/nowhere",
        "/assets/muster.css",
        "/mod_cluster_manager",
        "/action",
    ] {
        answers.push((target, desk.get(target).await));
    }
    answers.push(("a refused form", desk.post("").await));
    let rebound = Request::builder().uri("/").header("host", "evil.example");
    answers.push(("a refused host", desk.send(rebound, String::new()).await));
    for (what, answer) in answers {
        for (name, value) in guard::HEADERS {
            assert_eq!(answer.headers.get(&name).unwrap(), value, "{what}");
        }
    }
}

#[tokio::test]
async fn the_json_of_the_state_has_the_rows_of_the_page() {
    let answer = Desk::new().get("/api/state").await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let state: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(state["state"], "ready");
    assert_eq!(state["balancers"][0]["name"], "mycluster");
    let node = &state["groups"][0]["nodes"][0];
    assert_eq!(node["route"], "n1");
    assert_eq!(node["address"], "http://127.0.0.1:8081");
    assert_eq!(node["state"], "checking");
    assert_eq!(node["load"]["number"], -2);
    assert_eq!(node["virtual_hosts"][0]["contexts"][1]["path"], "/wiki");
    assert_eq!(node["virtual_hosts"][0]["contexts"][1]["state"], "enabled");
}

#[tokio::test]
async fn info_and_dump_come_as_text_xml_and_json() {
    let desk = Desk::new();
    for (target, text) in [("/info", "Name: n1,Balancer: mycluster"), ("/dump", "JVMRoute: n1")] {
        let plain = desk.get(target).await;
        assert_eq!(plain.headers["content-type"], "text/plain; charset=utf-8");
        assert!(plain.body.contains(text), "{}", plain.body);
        let xml = desk.get_as(target, "text/xml").await;
        assert_eq!(xml.headers["content-type"], "text/xml; charset=utf-8");
        assert!(xml.body.starts_with("<?xml"), "{}", xml.body);
        let json = desk.get_as(target, "application/json").await;
        let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        assert_eq!(json["nodes"].as_array().map(Vec::len), Some(2));
    }
}

#[tokio::test]
async fn old_tools_read_and_change_nothing() {
    let desk = Desk::new();
    let info = desk.get("/mod_cluster_manager?Cmd=INFO&Range=ALL").await;
    assert_eq!(info.body, desk.get("/info").await.body);
    let dump = desk.get("/mod_cluster_manager?Cmd=DUMP&Range=ALL").await;
    assert_eq!(dump.body, desk.get("/dump").await.body);
    let verb = "/mod_cluster_manager?nonce=1&Cmd=STOP-APP&Range=NODE&JVMRoute=n1";
    assert_eq!(desk.get(verb).await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.get("/mod_cluster_manager").await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.get("/action?route=n1&stop=*").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(desk.states(), "EEEE");
}

#[tokio::test]
async fn a_balancer_is_ready_only_between_its_start_and_its_drain() {
    let desk = Desk::new();
    for (phase, status) in [
        (BalancerState::Starting, StatusCode::SERVICE_UNAVAILABLE),
        (BalancerState::Ready, StatusCode::OK),
        (BalancerState::Draining, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        desk.phase.send(phase).unwrap();
        let answer = desk.get("/readyz").await;
        assert_eq!((answer.status, answer.body.trim()), (status, phase.word()));
        assert_eq!(desk.get("/livez").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn metrics_are_those_that_were_handed_in() {
    let answer = Desk::new().get("/metrics").await;
    assert!(answer.body.contains("muster_served_total 0"), "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
}

fn operators(published: Arc<Published>) -> Operators {
    let terms = crate::operate::Terms { deadline: REQUEST_TIMEOUT, quiet: REQUEST_TIMEOUT };
    Operators::new(published, Arc::default(), "desk".into(), terms)
}

fn published(messages: &[(&str, &str, &str)]) -> Arc<Published> {
    let registry = muster_routing::Registry::new(Default::default(), Default::default(), false);
    let published = Published::new(registry, crate::probe::Prober::new(Duration::from_secs(1)), 1);
    for (method, uri, body) in messages {
        let command = muster_protocol::mcmp::parse(method, uri, body.as_bytes()).unwrap();
        published.apply(&command).unwrap();
    }
    Arc::new(published)
}

#[tokio::test(start_paused = true)]
async fn a_form_that_never_ends_is_given_up() {
    let desk = Desk::new();
    let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
    let request = request(Method::POST, "/action").header("content-type", FORM).body(never);
    let answer = desk.router.clone().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    assert_eq!(answer.headers()["connection"], "close");
}
