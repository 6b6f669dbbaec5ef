//! The router without sockets: requests in, answers and INFO out.

use axum::body::Body;
use axum::body::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::act::FORM;
use super::*;
use crate::config::Config;

mod doors;
mod streams;

/// A manager with two nodes, `n1` in the group `left` and `n2` in none, each with `/shop` and
/// `/wiki` on `localhost`, all enabled.
struct Desk {
    state: ManagerState,
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
        Desk::with("")
    }

    /// With a configuration.
    fn with(toml: &str) -> Desk {
        let published = published(&[
            ("CONFIG", "/", "JVMRoute=n1&Domain=left&Host=127.0.0.1&Port=8081&Type=http"),
            ("CONFIG", "/", "JVMRoute=n2&Host=127.0.0.1&Port=8082&Type=http"),
            ("ENABLE-APP", "/", "JVMRoute=n1&Alias=localhost&Context=%2Fshop,%2Fwiki"),
            ("ENABLE-APP", "/", "JVMRoute=n2&Alias=localhost&Context=%2Fshop,%2Fwiki"),
        ]);
        let (phase, seen) = watch::channel(BalancerState::Ready);
        let config = Arc::new(Config::parse(toml, "muster.toml").unwrap());
        let audit = Arc::new(crate::audit::Audit::default());
        let operators = Arc::new(Operators::of(&config, published.clone(), audit));
        let memory = Arc::new(Memory::default());
        let token = memory.csrf.token().to_owned();
        let ground = Ground {
            config,
            published: published.clone(),
            operators,
            metrics: Arc::default(),
            phase: seen,
            memory,
            started: Instant::now(),
            reloader: crate::reload::Reloader(std::sync::Weak::new()),
            upgrader: crate::upgrade::Upgrader(std::sync::Weak::new()),
            workers: Vec::new(),
            listeners: Vec::new(),
            mcmp: Vec::new(),
            manager: Vec::new(),
        };
        let state =
            ManagerState { own: "127.0.0.1:6667".parse().unwrap(), ..ManagerState::new(&ground) };
        let router = router(state.clone());
        Desk { state, router, published, phase, token }
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

    /// As a browser does.
    async fn post_to(&self, target: &str, form: &str) -> Answered {
        let form = format!("token={}&{form}", self.token);
        let browser = request(Method::POST, target)
            .header("content-type", FORM)
            .header("accept", "text/html,*/*")
            .header("origin", "http://localhost:6667");
        self.send(browser, form).await
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
async fn every_tab_is_there_and_a_node_has_a_page_of_its_own() {
    let desk = Desk::new();
    for (target, part) in [
        ("/nodes/n1", "Reported by the node"),
        ("/nodes/n1?window=1h", "last hour"),
        ("/contexts", "/wiki"),
        ("/topology", "LBGroup"),
        ("/sessions", "Sessions"),
        ("/singletons", "Singletons"),
        ("/jobs", "Jobs"),
        ("/queues", "Queues"),
        ("/settings", "Settings"),
        ("/events", "Events"),
        ("/config", "max_connections = 256"),
        ("/?q=n2&only=checking", "<bdi>n2</bdi>"),
    ] {
        let answer = desk.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}");
        assert!(answer.body.contains(part), "{part} is missing in {}", answer.body);
    }
    for target in ["/nodes/n9", "/nodes/", "/sessions/web", "/nowhere"] {
        assert_eq!(desk.get(target).await.status, StatusCode::NOT_FOUND, "{target}");
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
        ("disable=@n2", "DEDD"),
        ("group=left&stop=*", "SSDD"),
        ("group=&enable=*", "SSEE"),
        ("group=left&disable=*", "DDEE"),
        ("group=left&enable=*", "EEEE"),
        ("route=n1&drain=*&deadline=60", "DDEE"),
        ("route=n1&cancel=*", "EEEE"),
    ] {
        let answer = desk.post(form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{form}: {}", answer.body);
        assert_eq!(answer.headers["location"], "/");
        assert_eq!(desk.states(), states, "{form}");
    }
}

#[tokio::test]
async fn a_browser_is_shown_what_a_dangerous_verb_does_before_it_is_done() {
    let desk = Desk::new();
    let asked = desk.post_to("/action", "route=n1&stop=*&back=%2Fnodes%2Fn1").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    let confirm = asked.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(confirm, "/confirm?route=n1&stop=%2A&back=%2Fnodes%2Fn1");
    assert_eq!(desk.states(), "EEEE", "nothing is done yet");
    let page = desk.get(&confirm).await;
    assert!(page.body.contains("Stop node n1?"), "{}", page.body);
    assert!(page.body.contains("--data &#39;route=n1&#38;stop=%2A&#39;"), "{}", page.body);
    assert_eq!(desk.states(), "EEEE", "a look changes nothing");

    let done = desk.post_to("/action", "route=n1&stop=*&back=%2Fnodes%2Fn1&confirmed=yes").await;
    assert_eq!(done.headers["location"], "/nodes/n1");
    assert_eq!(desk.states(), "SSEE");
    let harmless = desk.post_to("/action", "route=n1&enable=*").await;
    assert_eq!(harmless.headers["location"], "/");
    assert_eq!(desk.states(), "EEEE");
    let events = desk.get("/events").await.body;
    assert!(events.contains("stop") && events.contains("local from 127.0.0.1"), "{events}");
}

#[tokio::test]
async fn the_curl_of_a_button_does_what_the_button_does() {
    let desk = Desk::new();
    let page = desk.post_to("/curl", "route=n1&alias=localhost&enable=%2Fshop").await;
    assert_eq!(page.status, StatusCode::OK);
    let data = "route=n1&#38;alias=localhost&#38;disable=%2Fshop";
    assert!(page.body.contains(data), "{}", page.body);
    assert!(page.body.contains("http://localhost:6667/action"), "{}", page.body);
    let curl = request(Method::POST, "/action")
        .header("content-type", FORM)
        .header("accept", "*/*")
        .header("x-muster-client", "curl");
    let answer = desk.send(curl, data.replace("&#38;", "&")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    assert_eq!(desk.states(), "DEEE");
}

#[tokio::test]
async fn properties_are_set_beside_what_the_node_reports_and_reset() {
    let desk = Desk::new();
    let set = desk.post_to("/override", "route=n1&ttl_ms=5000&load=&smax=7").await;
    assert_eq!(set.headers["location"], "/nodes/n1", "{}", set.body);
    let page = desk.get("/nodes/n1").await.body;
    assert!(page.contains("<td class=\"over\"><bdi>60000</bdi>"), "{page}");
    assert!(page.contains("<b><bdi>5000</bdi></b>"), "{page}");
    let bad = desk.post_to("/override", "route=n1&load=500").await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST, "{}", bad.body);
    let reset = desk.post_to("/override", "route=n1&reset=yes").await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER);
    assert!(!desk.get("/nodes/n1").await.body.contains("<bdi>5000</bdi>"));
}

#[tokio::test]
async fn settings_of_a_balancer_name_are_set_beside_what_its_nodes_report_and_reset() {
    let desk = Desk::new();
    let form = "balancer=mycluster&sticky_session=&sticky_session_force=true&max_attempts=5";
    let set = desk.post_to("/override", form).await;
    assert_eq!(set.headers["location"], "/topology", "{}", set.body);
    let page = desk.get("/topology").await.body;
    let told = |name: &str, value: &str| format!("<b>{name}: <bdi>{value}</bdi></b> set by an");
    assert!(page.contains(&told("sticky_session_force", "true")), "{page}");
    assert!(page.contains(&told("max_attempts", "5")), "{page}");
    assert!(!page.contains("<b>sticky_session:"), "{page}");
    for (form, status, why) in [
        ("balancer=mycluster&max_attempts=101", StatusCode::BAD_REQUEST, "max_attempts is 101"),
        ("balancer=mycluster&sticky_session=maybe", StatusCode::BAD_REQUEST, "\"maybe\""),
        ("balancer=mycluster&load=5", StatusCode::BAD_REQUEST, "\"load\" is no field"),
        ("balancer=mycluster&route=n1", StatusCode::BAD_REQUEST, "one too many"),
        ("balancer=nowhere&max_attempts=1", StatusCode::NOT_FOUND, "nowhere"),
        ("max_attempts=1", StatusCode::BAD_REQUEST, "route or balancer: it is missing"),
    ] {
        let bad = desk.post_to("/override", form).await;
        assert_eq!(bad.status, status, "{form}: {}", bad.body);
        assert!(bad.body.contains(&why.replace('"', "&#34;")), "{form}: {}", bad.body);
    }
    assert_eq!(desk.get("/topology").await.body.matches("set by an operator, reported").count(), 2);
    // A browser sends what stands in the fields with it.
    let reset = desk.post_to("/override", "balancer=mycluster&max_attempts=7&reset=yes").await;
    assert_eq!(reset.status, StatusCode::SEE_OTHER, "{}", reset.body);
    assert!(!desk.get("/topology").await.body.contains("set by an operator, reported"));
}

#[tokio::test]
async fn a_form_that_is_refused_changes_nothing() {
    let desk = Desk::new();
    let verbs = "the field enable, disable, stop, drain or cancel is missing";
    for (form, status, why) in [
        ("route=n1", StatusCode::BAD_REQUEST, verbs),
        ("stop=*", StatusCode::BAD_REQUEST, "the field route is missing"),
        ("route=a%3Cb&stop=*", StatusCode::BAD_REQUEST, "has the bad value \"a<b\""),
        ("route=n9&stop=*", StatusCode::NOT_FOUND, "no node is registered with the route n9"),
        ("group=right&stop=*", StatusCode::NOT_FOUND, "no node is registered in this group"),
        ("route=n1&alias=localhost&stop=%2Fx", StatusCode::NOT_FOUND, "has no context /x"),
        ("route=n1&alias=other&stop=%2Fshop", StatusCode::NOT_FOUND, "has no context /shop"),
        ("route=n1&alias=localhost&enable=shop", StatusCode::BAD_REQUEST, "begins with /"),
        ("route=n1&stop=*&back=%2F%2Fevil", StatusCode::BAD_REQUEST, "no path of this listener"),
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
        // A page may claim to be a tool; its browser says that it is a page.
        for (name, value) in
            [("origin", "http://localhost:6667"), ("sec-fetch-site", "same-origin")]
        {
            let page = post().header("x-muster-client", "curl").header(name, value);
            assert_eq!(desk.send(page, form.to_owned()).await.status, StatusCode::FORBIDDEN);
        }
    }
    let answer = desk.send(post().header("accept", "text/html"), "stop=*".to_owned()).await;
    assert!(answer.body.contains("Back to the nodes"), "{}", answer.body);
    for target in ["/curl", "/override", "/theme", "/logout"] {
        let answer = desk.send(
            request(Method::POST, target).header("content-type", FORM),
            "route=n1&enable=*".to_owned(),
        );
        assert_eq!(answer.await.status, StatusCode::FORBIDDEN, "{target}");
    }
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
    let desk = Desk::with("[manager]\nhosts = [\"Manager.Example\"]\n");
    for target in ["/", "/api/state", "/info", "/metrics", "/assets/muster.js", "/live?of=%2F"] {
        let rebound = Request::builder().uri(target).header("host", "evil.example:6667");
        let answer = desk.send(rebound, String::new()).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{target}");
        assert!(!answer.body.contains("n1"), "{}", answer.body);
    }
    let named = Request::builder().uri("/").header("host", "manager.example");
    assert_eq!(desk.send(named, String::new()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let desk = Desk::new();
    let mut answers = Vec::new();
    for target in [
        "/",
        "/nodes/n1",
        "/contexts",
        "/config",
        "/login",
        "/api/state",
        "/export/nodes.csv",
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
async fn nodes_and_contexts_are_exported() {
    let desk = Desk::new();
    for (name, kind, part) in [
        ("nodes.csv", "text/csv; charset=utf-8; header=present", "\"n1\",\"left\",\"mycluster\""),
        (
            "contexts.csv",
            "text/csv; charset=utf-8; header=present",
            "\"n2\",\"localhost\",\"/wiki\"",
        ),
        ("nodes.json", "application/json", "\"route\":\"n1\""),
        ("contexts.json", "application/json", "\"path\":\"/wiki\""),
    ] {
        let answer = desk.get(&format!("/export/{name}")).await;
        assert_eq!(answer.headers["content-type"], kind);
        let attached = format!("attachment; filename=\"muster-{name}\"");
        assert_eq!(answer.headers["content-disposition"], attached.as_str());
        assert!(answer.body.contains(part), "{}", answer.body);
    }
    assert_eq!(desk.get("/export/x.csv").await.status, StatusCode::NOT_FOUND);
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
async fn metrics_are_those_of_the_balancer() {
    let answer = Desk::new().get("/metrics").await;
    assert!(answer.body.contains("muster_node_elected_total{node=\"n1\"} 0"), "{}", answer.body);
    assert!(answer.body.ends_with("# EOF\n"), "{}", answer.body);
}

#[tokio::test]
async fn colours_are_kept_in_a_cookie_and_need_no_script() {
    let desk = Desk::new();
    let chosen = desk.post_to("/theme", "theme=dark&back=%2Fcontexts").await;
    assert_eq!(chosen.headers["location"], "/contexts");
    let cookie = chosen.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("muster-theme=dark; Path=/; ") && cookie.contains("SameSite=Strict")
    );
    let seen = request(Method::GET, "/").header("cookie", "a=b; muster-theme=dark");
    assert!(desk.send(seen, String::new()).await.body.contains("data-theme=\"dark\""));
    assert!(!desk.get("/").await.body.contains("data-theme"));
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
