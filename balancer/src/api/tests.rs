//! The router without sockets, and its document held against what it answers.

use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::operate::{Actor, Role, Terms};
use crate::published::Published;

struct Desk {
    router: Router,
    operators: Arc<Operators>,
    actor: Option<Actor>,
}

struct Answered {
    status: StatusCode,
    content_type: String,
    body: Value,
}

impl Desk {
    /// Nodes `n1` in the group `left` and `n2`, each with `/shop` and `/wiki` on `localhost`.
    fn new() -> Desk {
        let registry = muster_routing::Registry::new(Default::default(), Default::default(), false);
        let prober = crate::probe::Prober::new(Duration::from_secs(1));
        let published = Arc::new(Published::new(registry, prober, 1));
        for (method, body) in [
            ("CONFIG", "JVMRoute=n1&Domain=left&Host=127.0.0.1&Port=8081&Type=http"),
            ("CONFIG", "JVMRoute=n2&Host=127.0.0.1&Port=8082&Type=http"),
            ("ENABLE-APP", "JVMRoute=n1&Alias=localhost&Context=%2Fshop,%2Fwiki"),
            ("ENABLE-APP", "JVMRoute=n2&Alias=localhost&Context=%2Fshop,%2Fwiki"),
        ] {
            let command = muster_protocol::mcmp::parse(method, "/", body.as_bytes()).unwrap();
            published.apply(&command).unwrap();
        }
        let terms = Terms { deadline: Duration::from_secs(60), quiet: Duration::from_secs(60) };
        let operators = Operators::new(published, Arc::default(), "A".into(), terms);
        operators.configure(&crate::config::Config::default());
        operators.reload_by(Box::new(|| Ok("nothing has changed".to_owned())));
        operators.clusters().put(crate::cluster::samples::cluster());
        let operators = Arc::new(operators);
        let (_, phase) = watch::channel(BalancerState::Ready);
        let api = Api { operators: operators.clone(), phase, started: Instant::now() };
        Desk { router: router(api), operators, actor: None }
    }

    async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answered {
        let mut request = request.body(body.into()).unwrap();
        if let Some(actor) = &self.actor {
            request.extensions_mut().insert(actor.clone());
        }
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answered {
            status: head.status,
            content_type: head.headers["content-type"].to_str().unwrap().to_owned(),
            body: serde_json::from_slice(&body).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answered {
        self.send(Request::builder().uri(path), Body::empty()).await
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answered {
        let request = Request::builder().method(method).uri(path);
        self.send(request.header("content-type", "application/json"), body.to_string()).await
    }

    async fn verb(&self, verb: &str, target: Value) -> Answered {
        self.call(Method::POST, "/verbs", json!({ "verb": verb, "target": target })).await
    }

    fn states(&self) -> String {
        let info = self.operators.published().info();
        info.contexts.iter().filter_map(|context| context.status.word().chars().next()).collect()
    }
}

#[tokio::test]
async fn every_verb_reaches_a_context_a_node_and_a_group() {
    let desk = Desk::new();
    for (verb, target, states) in [
        ("disable", json!({"node": "n1", "context": "/shop"}), "DEEE"),
        ("stop", json!({"node": "n1", "context": "/wiki", "aliases": ["localhost"]}), "DSEE"),
        ("stop", json!({"node": "n2"}), "DSSS"),
        ("enable", json!({"group": "left"}), "EESS"),
        ("enable", json!({"group": ""}), "EEEE"),
        ("drain", json!({"node": "n1"}), "DDEE"),
        ("cancel_drain", json!({"node": "n1"}), "EEEE"),
        ("drain", json!({"node": "n2"}), "EEDD"),
        ("stop_now", json!({"node": "n2"}), "EESS"),
        ("remove", json!({"node": "n2"}), "EE"),
    ] {
        let answer = desk.verb(verb, target.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{verb} {target}: {}", answer.body);
        assert!(!answer.body["changes"].as_array().unwrap().is_empty());
        assert_eq!(desk.states(), states, "{verb} {target}");
    }
}

#[tokio::test]
async fn what_is_refused_is_told_as_a_problem_that_names_field_and_value() {
    let desk = Desk::new();
    for (body, status, code, field, part) in [
        (json!({"verb": "stop", "target": {"node": "n9"}}), 404, "no_node", None, "n9"),
        (
            json!({"verb": "stop", "target": {"node": "a<b"}}),
            400,
            "bad_value",
            Some("route"),
            "a<b",
        ),
        (json!({"verb": "stop", "target": {}}), 400, "bad_value", Some("target"), "say node"),
        (json!({"verb": "blow_up", "target": {"node": "n1"}}), 400, "bad_json", None, "blow_up"),
        (
            json!({"verb": "stop", "target": {"node": "n1"}, "x": 1}),
            400,
            "bad_json",
            Some("x"),
            "x",
        ),
        (json!({"verb": "stop"}), 400, "bad_json", Some("target"), "target"),
        (
            json!({"verb": "stop", "target": {"node": "n1"}, "deadline_seconds": 5}),
            400,
            "bad_value",
            Some("deadline_seconds"),
            "only a drain",
        ),
        (
            json!({"verb": "drain", "target": {"node": "n1"}, "deadline_seconds": 0}),
            400,
            "bad_value",
            Some("deadline_seconds"),
            "0 is out of bounds",
        ),
        (json!({"verb": "cancel_drain", "target": {"node": "n1"}}), 409, "no_drain", None, "n1"),
        (
            json!({"verb": "remove", "target": {"group": ""}}),
            400,
            "bad_value",
            Some("target"),
            "node",
        ),
    ] {
        let answer = desk.call(Method::POST, "/verbs", body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.body);
        assert_eq!(answer.content_type, "application/problem+json");
        assert_eq!(answer.body["code"], code, "{body}");
        assert_eq!(answer.body["field"].as_str(), field, "{body}: {}", answer.body);
        assert!(answer.body["detail"].as_str().unwrap().contains(part), "{}", answer.body);
    }
    assert_eq!(desk.states(), "EEEE");
}

#[tokio::test]
async fn only_json_is_read_and_only_who_takes_json_is_answered() {
    let desk = Desk::new();
    let form = Request::builder().method(Method::POST).uri("/verbs");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    let answer = desk.send(form, "verb=stop").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let page = Request::builder().uri("/nodes").header("accept", "text/html");
    assert_eq!(desk.send(page, Body::empty()).await.status, StatusCode::NOT_ACCEPTABLE);
    assert_eq!(desk.get("/nowhere").await.status, StatusCode::NOT_FOUND);
    let wrong = desk.call(Method::PUT, "/verbs", json!({})).await;
    assert_eq!(wrong.status, StatusCode::METHOD_NOT_ALLOWED);
    let broken = Request::builder().method(Method::POST).uri("/verbs");
    let broken = broken.header("content-type", "application/json");
    assert_eq!(desk.send(broken, "{\"verb\":").await.body["code"], "bad_json");
    let long = Request::builder().method(Method::POST).uri("/verbs");
    let long = long.header("content-type", "application/json");
    let long = desk.send(long, " ".repeat(3 * 1024 * 1024)).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let mut desk = Desk::new();
    desk.actor = Some(Actor { name: "vic".into(), role: Role::Viewer, from: None });
    assert_eq!(desk.get("/nodes").await.status, StatusCode::OK);
    let answer = desk.verb("stop", json!({"node": "n1"})).await;
    assert_eq!((answer.status, desk.states()), (StatusCode::FORBIDDEN, "EEEE".into()));
    let reset = desk.call(Method::DELETE, "/nodes/n1/overrides", Value::Null).await;
    assert_eq!(reset.status, StatusCode::FORBIDDEN);
    let audit = desk.get("/audit?limit=2").await.body;
    assert_eq!((&audit[0]["actor"], &audit[0]["outcome"]), (&json!("vic"), &json!("refused")));
}

#[tokio::test]
async fn overrides_stand_beside_what_is_reported() {
    let desk = Desk::new();
    let set = desk.call(Method::PUT, "/nodes/n1/overrides", json!({"ping_ms": 500})).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.body);
    let node = desk.get("/nodes/n1").await.body;
    assert_eq!(node["properties"]["ping_ms"], 500);
    assert_eq!(node["reported"]["ping_ms"], 10_000);
    let bad = desk.call(Method::PUT, "/nodes/n1/overrides", json!({"load": 101})).await;
    assert_eq!((bad.status, &bad.body["field"]), (StatusCode::BAD_REQUEST, &json!("load")));
    desk.call(Method::DELETE, "/nodes/n1/overrides", Value::Null).await;
    assert_eq!(desk.get("/nodes/n1").await.body["reported"], Value::Null);
    let settings = json!({"sticky_session": false, "max_attempts": 3});
    desk.call(Method::PUT, "/balancers/mycluster/overrides", settings).await;
    let shown = desk.get("/balancers").await.body;
    assert_eq!(shown[0]["settings"]["max_attempts"], 3);
    assert_eq!(shown[0]["reported"]["max_attempts"], 1);
}

#[tokio::test]
async fn events_can_be_waited_for() {
    let desk = Desk::new();
    desk.verb("stop", json!({"node": "n1"})).await;
    let first = desk.get("/events").await.body;
    assert_eq!(first[0]["verb"], "stop");
    let later = async {
        tokio::task::yield_now().await;
        desk.verb("enable", json!({"node": "n1"})).await;
    };
    let (waited, ()) = tokio::join!(desk.get("/events?after=1&wait_seconds=8"), later);
    assert_eq!(waited.body[0]["verb"], "enable");
    assert_eq!(desk.get("/events?after=x").await.status, StatusCode::BAD_REQUEST);
}

// === the document ===

/// A request for each operation of the document, and the status that it gets.
fn samples() -> Vec<(&'static str, &'static str, &'static str, Value, u16)> {
    let none = Value::Null;
    vec![
        ("get", "/", "/", none.clone(), 200),
        ("get", "/nodes", "/nodes", none.clone(), 200),
        ("get", "/nodes/{route}", "/nodes/n1", none.clone(), 200),
        ("get", "/nodes/{route}", "/nodes/n9", none.clone(), 404),
        ("get", "/contexts", "/contexts", none.clone(), 200),
        ("get", "/balancers", "/balancers", none.clone(), 200),
        ("get", "/drains", "/drains", none.clone(), 200),
        ("get", "/events", "/events?after=0", none.clone(), 200),
        ("get", "/audit", "/audit", none.clone(), 200),
        ("get", "/audit", "/audit?limit=0", none.clone(), 400),
        ("get", "/peers", "/peers", none.clone(), 200),
        ("get", "/clusters", "/clusters", none.clone(), 200),
        ("get", "/config", "/config", none.clone(), 200),
        ("post", "/verbs", "/verbs", json!({"verb": "stop", "target": {"node": "n2"}}), 200),
        ("post", "/verbs", "/verbs", json!({}), 400),
        ("put", "/nodes/{route}/overrides", "/nodes/n1/overrides", json!({"load": 5}), 200),
        ("delete", "/nodes/{route}/overrides", "/nodes/n1/overrides", none.clone(), 200),
        (
            "put",
            "/balancers/{name}/overrides",
            "/balancers/mycluster/overrides",
            json!({"wait_worker_ms": 5}),
            200,
        ),
        (
            "delete",
            "/balancers/{name}/overrides",
            "/balancers/nowhere/overrides",
            none.clone(),
            404,
        ),
        ("delete", "/balancers/{name}/overrides", "/balancers/mycluster/overrides", none, 200),
        ("post", "/reload", "/reload", json!({}), 200),
    ]
}

#[tokio::test]
async fn every_documented_operation_answers_as_the_document_says() {
    let desk = Desk::new();
    desk.verb("drain", json!({"node": "n1"})).await;
    desk.verb("cancel_drain", json!({"node": "n1"})).await;
    desk.verb("drain", json!({"node": "n1"})).await;
    let document = desk.get("/openapi.json").await.body;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (method, path, target, body, status) in samples() {
        let operation = &document["paths"][path][method];
        assert!(operation.is_object(), "{method} {path} is not documented");
        let http_method = method.to_uppercase().parse().unwrap();
        let answer = desk.call(http_method, target, body).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {target}: {}", answer.body);
        let documented = &operation["responses"][status.to_string()]["content"];
        let schema = &documented[&answer.content_type]["schema"];
        assert!(schema.is_object(), "{method} {target}: {status} has no schema in {operation}");
        let faults = faults(&document, schema, &answer.body, target);
        assert!(faults.is_empty(), "{faults:?}\n{}", answer.body);
    }
    let sampled =
        |path: &str, method: &str| samples().iter().any(|(m, p, ..)| (*m, *p) == (method, path));
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            assert!(sampled(path, method), "nobody asks for {method} {path}");
        }
    }
}

#[test]
fn the_document_describes_every_field() {
    let document = serde_json::to_value(parts().1).unwrap();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} is not told");
        let fields = schema["properties"].as_object().into_iter().flatten();
        for (field, schema) in fields {
            // What may be absent tells of itself beside the reference to what it is.
            let choices = schema["oneOf"].as_array().into_iter().flatten();
            let mut told = choices.chain([schema]).map(|one| &one["description"]);
            assert!(told.any(Value::is_string), "{name}.{field} is not told");
        }
    }
}

/// What of a value is not as the schema says: as much of JSON Schema as the document uses.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return faults(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let good = choices.iter().filter(|one| faults(document, one, value, at).is_empty());
        return if good.count() == 1 { Vec::new() } else { vec![format!("{at}: {value}")] };
    }
    let mut found = Vec::new();
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    if !types.is_empty() && !fits {
        found.push(format!("{at}: {value} is none of {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    if let Some(elements) = value.as_array() {
        let of = |element| faults(document, &schema["items"], element, &format!("{at}[]"));
        found.extend(elements.iter().flat_map(of));
    }
    if let Some(fields) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, value) in fields {
            match &schema["properties"][name] {
                Value::Null => found.push(format!("{at}.{name} is not documented")),
                schema => found.extend(faults(document, schema, value, &format!("{at}.{name}"))),
            }
        }
    }
    found
}
