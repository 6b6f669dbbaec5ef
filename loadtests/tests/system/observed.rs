//! What a team sees of requests: the access log, traces at a collector, counters.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use muster_loadtests::testkit::ajp::{AjpNode, Manner};
use muster_loadtests::testkit::tls::toml_path;
use muster_loadtests::testkit::{
    Balancer, Client, Farm, Fault, H2Client, Node, Raw, RawNode, eventually,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::support::{SOON, node};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A collector of OTLP in JSON. Dropping it closes its sockets.
struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Value>>>,
    server: AbortHandle,
}

impl Collector {
    async fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let spans = Arc::default();
        let server = tokio::spawn(collect(listener, Arc::clone(&spans))).abort_handle();
        Collector { endpoint, spans, server }
    }

    /// The spans of a trace, once the one of the request is there.
    async fn spans_of(&self, trace: &str) -> Vec<Value> {
        let found = || async {
            let all = self.spans.lock().unwrap();
            let own: Vec<Value> =
                all.iter().filter(|span| span["traceId"] == trace).cloned().collect();
            if own.is_empty() { Err(format!("{} spans of others", all.len())) } else { Ok(own) }
        };
        eventually("the spans are there", SOON, found).await.unwrap()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn collect(listener: TcpListener, spans: Arc<Mutex<Vec<Value>>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let mut raw = Raw::new(stream);
        let Ok((head, body)) = raw.message().await else { continue };
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let of = &body["resourceSpans"][0];
        assert_eq!(attribute(&of["resource"], "service.name"), Some("shop-edge".to_owned()));
        let more = of["scopeSpans"][0]["spans"].as_array().unwrap().clone();
        spans.lock().unwrap().extend(more);
        let _ = raw.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await;
    }
}

/// What a span says under this name.
fn attribute(of: &Value, name: &str) -> Option<String> {
    let all = of["attributes"].as_array()?;
    let value = &all.iter().find(|attribute| attribute["key"] == name)?["value"];
    let text = value["stringValue"].as_str().or(value["intValue"].as_str())?;
    Some(text.to_owned())
}

async fn traced(farm: &Farm, collector: &Collector) -> Balancer {
    let endpoint = &collector.endpoint;
    let toml = format!(
        "[trace]\nendpoint = \"{endpoint}\"\nservice_name = \"shop-edge\"\ninterval = \"10ms\"\n"
    );
    farm.balancer(&toml).await.unwrap()
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{flags}")
}

/// Asks over HTTP/1 with these header lines.
async fn ask(balancer: &Balancer, lines: &str) -> String {
    let mut raw = Raw::connect(balancer.http).await.unwrap();
    let request = format!("GET /shop?a=1 HTTP/1.1\r\nHost: shop.example:81\r\n{lines}\r\n");
    raw.send(request).await.unwrap();
    raw.message().await.unwrap().0
}

fn values(node: &Node, name: &str) -> Vec<String> {
    let seen = node.seen().pop().unwrap();
    let values = seen.headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

async fn metric(balancer: &Balancer, line: &str) -> Result<u64, String> {
    let answer = Client::new(balancer.manager).get("/metrics").await.map_err(|e| e.to_string())?;
    let text = answer.text();
    let found = text.lines().find_map(|own| own.strip_prefix(line)).ok_or(text.clone())?;
    found.trim().parse().map_err(|_| text)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_trace_goes_on_to_the_node_and_the_collector_hears_of_both_ways() {
    let collector = Collector::start().await;
    let farm = Farm::new().unwrap();
    let balancer = traced(&farm, &collector).await;
    let node = node(&balancer, "a", 100).await;
    let lines = format!("traceparent: {}\r\ntracestate: v=1\r\n", parent("01"));
    assert!(ask(&balancer, &lines).await.starts_with("HTTP/1.1 200"));
    let told = values(&node, "traceparent");
    assert_eq!(values(&node, "tracestate"), ["v=1"]);
    let spans = collector.spans_of(TRACE).await;
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(server["parentSpanId"], SPAN);
    assert_eq!(client["parentSpanId"], server["spanId"]);
    assert_eq!(told, [format!("00-{TRACE}-{}-01", client["spanId"].as_str().unwrap())]);
    assert_eq!((server["name"].as_str(), client["name"].as_str()), (Some("GET /"), Some("GET")));
    let port = node.address.port().to_string();
    for (span, name, value) in [
        (server, "http.request.method", "GET"),
        (server, "url.scheme", "http"),
        (server, "url.path", "/shop"),
        (server, "url.query", "a=1"),
        (server, "server.address", "shop.example"),
        (server, "server.port", "81"),
        (server, "client.address", "127.0.0.1"),
        (server, "network.protocol.version", "1.1"),
        (server, "http.route", "/"),
        (server, "http.response.status_code", "200"),
        (client, "http.response.status_code", "200"),
        (client, "server.port", &port),
        (client, "muster.node", "a"),
        (client, "muster.chosen", "elected"),
    ] {
        assert_eq!(attribute(span, name).as_deref(), Some(value), "{name}");
    }
    let line = eventually("the line", SOON, || async {
        let output = balancer.process.output();
        let line = output.lines().find(|line| line.contains("/shop")).map(str::to_owned);
        line.ok_or(output)
    });
    assert!(line.await.unwrap().ends_with(&format!(" a elected {TRACE}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_failed_is_a_span_of_its_own_for_clients_of_http_2_too() {
    let collector = Collector::start().await;
    let farm = Farm::new().unwrap();
    let balancer = traced(&farm, &collector).await;
    let gone = RawNode::register("gone", balancer.mcmp, &["/"]).await.unwrap();
    balancer.await_usable(&["gone"], SOON).await.unwrap();
    drop(gone);
    let ajp = AjpNode::register("there", balancer.mcmp).await.unwrap();
    ajp.set_manner(Manner::Echo);
    balancer.await_usable(&["there"], SOON).await.unwrap();
    // The one that is gone is asked once at most before it is left out; nobody knows by whom.
    let client = H2Client::plain(balancer.http).await.unwrap();
    let mut traces = Vec::new();
    for count in 0..8 {
        let trace = format!("{:032x}", count + 1);
        let request =
            client.request("POST", "/").header("traceparent", format!("00-{trace}-{SPAN}-01"));
        let answer = client.ask(request, Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(&answer.body[..], b"abc");
        let head = ajp.seen().pop().unwrap().head;
        traces.push((trace, head.header("traceparent").unwrap().to_owned()));
    }
    let mut retried = 0;
    for (trace, told) in traces {
        let spans = collector.spans_of(&trace).await;
        let last = spans.last().unwrap();
        assert_eq!(told, format!("00-{trace}-{}-01", last["spanId"].as_str().unwrap()));
        assert_eq!(attribute(last, "muster.node").as_deref(), Some("there"));
        assert_eq!(attribute(&spans[0], "network.protocol.version").as_deref(), Some("2"));
        if let [_, first, _] = &spans[..] {
            retried += 1;
            assert_eq!(attribute(first, "error.type").as_deref(), Some("connect"));
            assert_eq!(first["status"]["code"], 2);
            assert_eq!(attribute(last, "http.request.resend_count").as_deref(), Some("1"));
        }
    }
    assert!(retried <= 1, "{retried}");
    assert_eq!(metric(&balancer, "muster_connect_failures_total ").await, Ok(retried));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_trace_is_replaced_and_what_is_not_sampled_is_not_recorded() {
    let collector = Collector::start().await;
    let farm = Farm::new().unwrap();
    let balancer = traced(&farm, &collector).await;
    let node = node(&balancer, "a", 100).await;
    ask(&balancer, &format!("traceparent: {}\r\n", parent("00"))).await;
    let told = values(&node, "traceparent").remove(0);
    assert!(told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"), "{told}");
    let client = H2Client::plain(balancer.http).await.unwrap();
    for is_new in [true, false] {
        let lines = "traceparent: 00-zz\r\ntracestate: v=1\r\n";
        let twice = format!("traceparent: {0}\r\ntraceparent: {0}\r\n", parent("01"));
        for lines in [lines, &twice] {
            match is_new {
                true => drop(ask(&balancer, lines).await),
                false => {
                    let request =
                        lines.lines().fold(client.request("GET", "/"), |request, line| {
                            let (name, value) = line.split_once(": ").unwrap();
                            request.header(name, value)
                        });
                    client.ask(request, Bytes::new()).await.unwrap();
                }
            }
            let told = values(&node, "traceparent");
            assert_eq!((told.len(), told[0].len()), (1, 55), "{told:?}");
            assert!(!told[0].contains(TRACE), "{told:?}");
            assert!(values(&node, "tracestate").is_empty());
        }
    }
    // The last one is recorded, so whatever was recorded before has come too.
    ask(&balancer, "traceparent: 00-0000000000000000000000000000000a-00f067aa0ba902b7-01\r\n")
        .await;
    collector.spans_of("0000000000000000000000000000000a").await;
    let all = collector.spans.lock().unwrap();
    assert!(all.iter().all(|span| span["traceId"] != TRACE), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_traces_nodes_get_what_clients_say_of_them() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    ask(&balancer, "traceparent: anything\r\ntracestate: v=1\r\n").await;
    assert_eq!(values(&node, "traceparent"), ["anything"]);
    assert_eq!(values(&node, "tracestate"), ["v=1"]);
    ask(&balancer, "").await;
    assert!(values(&node, "traceparent").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_up_nobody_and_what_is_lost_is_counted() {
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap();
    let farm = Farm::new().unwrap();
    let toml = format!(
        "[trace]\nendpoint = \"http://{address}/\"\nratio = 1\nqueue = 2\nbatch = 1\n\
         timeout = \"50ms\"\n"
    );
    let balancer = farm.balancer(&toml).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    for _ in 0..50 {
        assert!(ask(&balancer, "").await.starts_with("HTTP/1.1 200"));
    }
    let lost = || async {
        let dropped = metric(&balancer, "muster_traces_total{outcome=\"dropped\"} ").await?;
        let failed = metric(&balancer, "muster_traces_total{outcome=\"failed\"} ").await?;
        if dropped + failed >= 50 { Ok(()) } else { Err(format!("{dropped} and {failed}")) }
    };
    eventually("all that is lost is counted", SOON, lost).await.unwrap();
    let errors = balancer.process.errors();
    assert_eq!(errors.matches("the collector takes no spans").count(), 1, "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_json_says_how_a_request_went_and_sighup_opens_the_file_again() {
    let farm = Farm::new().unwrap();
    let file = farm.folder().join("access.json");
    let toml = format!("[log]\naccess = {}\naccess_format = \"json\"\n", toml_path(&file));
    let balancer = farm.balancer(&toml).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let line = |file: std::path::PathBuf, part: &'static str| async move {
        let read = || async {
            let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
            let line = text.lines().find(|line| line.contains(part)).map(str::to_owned);
            line.ok_or(text)
        };
        let line = eventually("the line", SOON, read).await.unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    ask(&balancer, "").await;
    let told = line(file.clone(), "/shop").await;
    assert_eq!((&told["client"], &told["method"]), (&"127.0.0.1".into(), &"GET".into()));
    assert_eq!((&told["target"], &told["status"]), (&"/shop?a=1".into(), &200.into()));
    assert_eq!((&told["node"], &told["context"]), (&"a".into(), &"/".into()));
    assert_eq!((&told["how"], &told["attempts"]), (&"elected".into(), &1.into()));
    assert_eq!((&told["received"], &told["sent"]), (&0.into(), &13.into()));
    let time = |name: &str| told[name].as_f64().unwrap();
    assert!(time("chosen_after") <= time("answered_after"), "{told}");
    assert!(time("answered_after") <= time("duration"), "{told}");
    let moved = farm.folder().join("access.json.1");
    std::fs::rename(&file, &moved).unwrap();
    balancer.process.inflict(Fault::HangUp).unwrap();
    eventually("the file is there again", SOON, || async {
        if file.exists() { Ok(()) } else { Err("it is not") }
    })
    .await
    .unwrap();
    let client = H2Client::plain(balancer.http).await.unwrap();
    client.get("/after").await.unwrap();
    let told = line(file.clone(), "/after").await;
    assert_eq!(told["version"], "HTTP/2.0");
    assert!(!std::fs::read_to_string(moved).unwrap().contains("/after"));
}
