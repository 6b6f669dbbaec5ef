//! HTTP/2 from clients to nodes of HTTP/1: what passes, what is refused, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use muster_loadtests::testkit::h2::frames::{Frame, fields, flag, frame, get, kind};
use muster_loadtests::testkit::h2::{H2Client, Wire};
use muster_loadtests::testkit::{
    Authority, Balancer, Farm, Fault, Manner, Node, RawNode, eventually, mcmp,
};

use super::support::{SOON, node};

/// A balancer with one node, and a client of each kind.
async fn stage(toml: &str) -> (Farm, Balancer, Node, [H2Client; 2]) {
    let own = Authority::new().unwrap();
    let files = own.certificate("own", &["localhost"]).unwrap();
    let farm = Farm::new().unwrap();
    let certificates = files.toml();
    let tls = format!("[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{certificates}]\n");
    let balancer = farm.balancer(&format!("{tls}{toml}")).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let https = balancer.process.listening("https").unwrap();
    let secure = own.client(&["h2", "http/1.1"]).unwrap();
    let clients = [
        H2Client::plain(balancer.http).await.unwrap(),
        H2Client::tls(&secure, https, "localhost").await.unwrap(),
    ];
    (farm, balancer, node, clients)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_told_what_http_1_can_say() {
    let (_farm, _balancer, node, clients) = stage("").await;
    for client in &clients {
        let request = client.request("GET", "/a;b?c=%20d").header("cookie", "a=1");
        let request = request.header("cookie", "b=2").header("te", "trailers");
        let request = request.header("x-forwarded-for", "192.0.2.7").header("x-own", "1");
        let answer = client.ask(request, Bytes::new()).await.unwrap();
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, &b"{\"node\":\"a\"}\n"[..]));
    }
    for (seen, proto) in node.seen().iter().zip(["http", "https"]) {
        assert_eq!((&seen.method, seen.uri.to_string()), (&Method::GET, "/a;b?c=%20d".to_owned()));
        let value = |name: &str| {
            let values = seen.headers.get_all(name).iter();
            values.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" | ")
        };
        assert_eq!((value("host").as_str(), value("x-own").as_str()), ("localhost", "1"));
        assert_eq!(value("cookie"), "a=1; b=2");
        assert_eq!(value("x-forwarded-for"), "127.0.0.1");
        assert_eq!(value("x-forwarded-proto"), proto);
        assert_eq!(value("x-forwarded-host"), "localhost");
        assert_eq!((value("te"), value("transfer-encoding")), (String::new(), String::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_whole_in_either_direction() {
    let (_farm, _balancer, node, clients) = stage("").await;
    let body: Vec<u8> =
        (0..8_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for client in &clients {
        for has_length in [true, false] {
            let request = client.request("POST", "/up");
            let request = match has_length {
                true => request.header("content-length", body.len()),
                false => request,
            };
            assert_eq!(client.ask(request, body.clone()).await.unwrap().status, StatusCode::OK);
        }
        for length in [0, 1, 8_191, 8_192, 65_536] {
            let part = body[..length].to_vec();
            let answer = client.ask(client.request("POST", "/up"), part).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    for (at, seen) in node.seen().iter().enumerate() {
        let expected = [body.len(), body.len(), 0, 1, 8_191, 8_192, 65_536][at % 7];
        assert!(seen.body == body[..expected], "{at}: {} bytes", seen.body.len());
    }
    node.set_manner(Manner::Chunks(512));
    for client in &clients {
        let answer = client.get("/down").await.unwrap();
        assert_eq!(answer.body.len(), 8 << 20);
        assert!(answer.body.iter().all(|byte| *byte == b'x'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_end_where_they_should() {
    let (_farm, _balancer, node, clients) = stage("").await;
    for client in &clients {
        let head = client.ask(client.request("HEAD", "/"), Bytes::new()).await.unwrap();
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
        assert_eq!(head.headers["content-length"], "13");
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            node.set_manner(Manner::Status(status));
            let answer = client.get("/").await.unwrap();
            assert_eq!((answer.status, answer.body.len()), (status, 0));
        }
        node.set_manner(Manner::Prompt);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_no_node_answers_is_refused_without_a_body() {
    let (_farm, balancer, _node, [client, _]) = stage("").await;
    let mut raw = RawNode::register("r", balancer.mcmp, &["/raw"]).await.unwrap();
    balancer.await_usable(&["r"], SOON).await.unwrap();
    let asking = client.ask(client.request("HEAD", "/raw"), Bytes::new());
    let leaving = async {
        while let Ok(arrived) = raw.next().await {
            drop(arrived);
        }
    };
    let answer = tokio::select! {
        answer = asking => answer.unwrap(),
        () = leaving => unreachable!("the node goes on"),
    };
    assert_eq!((answer.status, answer.body.len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    assert_eq!(client.get("/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_404_of_a_context_that_was_stopped_meanwhile_goes_elsewhere() {
    let (_farm, balancer, _node, [client, _]) = stage("").await;
    let mut a = RawNode::register("r", balancer.mcmp, &["/raw"]).await.unwrap();
    let mut b = RawNode::register("s", balancer.mcmp, &["/raw"]).await.unwrap();
    balancer.await_usable(&["r", "s"], SOON).await.unwrap();
    let asking = client.get("/raw");
    let answering = async {
        let (mut arrived, stopped, other) = tokio::select! {
            arrived = a.next() => (arrived.unwrap(), &a, &mut b),
            arrived = b.next() => (arrived.unwrap(), &b, &mut a),
        };
        stopped.tell(balancer.mcmp, "STOP-APP", "/raw").await.unwrap();
        let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone";
        arrived.raw.send(gone).await.unwrap();
        let mut again = other.next().await.unwrap();
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        again.raw.send(good).await.unwrap();
        (arrived, again)
    };
    let (answer, _arrived) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().body, "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_pass_and_what_concerns_a_connection_does_not() {
    let (_farm, balancer, _node, [client, _]) = stage("").await;
    let mut raw = RawNode::register("r", balancer.mcmp, &["/raw"]).await.unwrap();
    balancer.await_usable(&["r"], SOON).await.unwrap();
    let mut wire = Wire::connect(balancer.http).await.unwrap();
    let head = fields(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/raw"),
        (":authority", "localhost"),
    ]);
    let flags = flag::END_STREAM | flag::END_HEADERS;
    assert!(wire.send(&frame(kind::HEADERS, flags, 1, &head)).await);
    let mut arrived = raw.next().await.unwrap();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    arrived.raw.send(hints).await.unwrap();
    let interim = wire.answer(1).await.unwrap();
    assert_eq!(interim.flags & flag::END_STREAM, 0, "{interim:?}");
    let last = "HTTP/1.1 200 OK\r\nConnection: close, x-inner\r\nX-Inner: 1\r\nX-Outer: 1\r\n\
                Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    arrived.raw.send(last).await.unwrap();
    let answer = wire.answer(1).await.unwrap();
    assert_eq!(answer.kind, kind::HEADERS);
    // The same again with a library that refuses what must not be said.
    let asked = client.get("/raw");
    let answering = async {
        let mut arrived = raw.next().await.unwrap();
        arrived.raw.send(last).await.unwrap();
        arrived
    };
    let (answer, _arrived) = tokio::join!(asked, answering);
    let answer = answer.unwrap();
    assert_eq!((&*answer.body, &answer.headers["x-outer"]), (&b"ok"[..], &"1".parse().unwrap()));
    assert!(!answer.headers.contains_key("x-inner"), "{:?}", answer.headers);
    assert!(!answer.headers.contains_key("keep-alive"), "{:?}", answer.headers);
}

/// What a client hears: a status, or how it ends without one.
fn heard(answer: &Frame) -> String {
    match answer.kind {
        kind::RST_STREAM => "reset".to_owned(),
        kind::GOAWAY => "goaway".to_owned(),
        _ => answer.status().map_or_else(|| format!("{answer:?}"), |status| status.to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_smuggle_as_http_1_reaches_no_node() {
    let (_farm, balancer, node, _clients) = stage("").await;
    let own =
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")];
    let with = |at: usize, value: &'static str| {
        let mut fields = own;
        fields[at].1 = value;
        fields.to_vec()
    };
    let and = |more: &[(&'static str, &'static str)]| [&own[..], more].concat();
    let requests = [
        with(0, "GET / HTTP/1.1\r\nx: y"),
        with(0, "G ET"),
        with(0, "TRACE"),
        with(1, "ftp"),
        with(2, ""),
        with(2, "a"),
        with(2, "http://localhost/"),
        with(2, "*"),
        with(2, "/a b"),
        with(2, "/a\r\nx: y"),
        with(2, "/ HTTP/1.1\r\nhost: b\r\n\r\nGET /"),
        with(2, "/a\tb"),
        with(2, "/a\0b"),
        with(2, "/caf\u{e9}"),
        with(3, "local host"),
        with(3, "localhost\r\nx: y"),
        with(3, "user@localhost"),
        with(3, "localhost:99999"),
        with(3, "localhost/x"),
        with(3, ""),
        and(&[("host", "other")]),
        and(&[("host", "localhost"), ("host", "localhost")]),
        and(&[("x", "a\r\ny: b")]),
        and(&[("x", "a\nb")]),
        and(&[("x", "a\0b")]),
        and(&[("x y", "a")]),
        and(&[("x\r\ny", "a")]),
        and(&[("x:", "a")]),
        and(&[("X", "a")]),
        and(&[("", "a")]),
        and(&[("transfer-encoding", "chunked")]),
        and(&[("connection", "close")]),
        and(&[("keep-alive", "1")]),
        and(&[("proxy-connection", "close")]),
        and(&[("upgrade", "websocket")]),
        and(&[("te", "gzip")]),
        and(&[("content-length", "5")]),
        and(&[("content-length", "0"), ("content-length", "0")]),
        and(&[("content-length", "0, 0")]),
        and(&[("content-length", "+0")]),
        and(&[("content-length", "0x0")]),
        and(&[("content-length", "9999999999999999999999")]),
        and(&[(":path", "/b")]),
        and(&[(":status", "200")]),
        and(&[(":protocol", "websocket")]),
    ];
    for request in &requests {
        let mut wire = Wire::connect(balancer.http).await.unwrap();
        let flags = flag::END_STREAM | flag::END_HEADERS;
        assert!(wire.send(&frame(kind::HEADERS, flags, 1, &fields(request))).await);
        let answer = wire.answer(1).await.unwrap_or_else(|| panic!("no word to {request:?}"));
        let refusal = heard(&answer);
        assert!(
            ["reset", "goaway", "400", "405"].contains(&refusal.as_str()),
            "{refusal}: {request:?}"
        );
    }
    assert_eq!(node.count(), 0, "{:?}", node.seen());
    for method in ["CONFIG", "ENABLE-APP", "STATUS", "INFO", "DUMP", "PING", "status"] {
        let mut wire = Wire::connect(balancer.http).await.unwrap();
        let flags = flag::END_STREAM | flag::END_HEADERS;
        let request = with(0, method);
        assert!(wire.send(&frame(kind::HEADERS, flags, 1, &fields(&request))).await);
        assert_eq!(heard(&wire.answer(1).await.unwrap()), "405", "{method}");
    }
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_than_said_is_no_whole_request() {
    let (_farm, balancer, node, _clients) = stage("").await;
    let mut head = fields(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "localhost"),
    ]);
    head.extend(fields(&[("content-length", "5")]));
    for body in ["123", "1234567"] {
        let mut wire = Wire::connect(balancer.http).await.unwrap();
        assert!(wire.send(&frame(kind::HEADERS, flag::END_HEADERS, 1, &head)).await);
        assert!(wire.send(&frame(kind::DATA, flag::END_STREAM, 1, body.as_bytes())).await);
        assert_eq!(heard(&wire.answer(1).await.unwrap()), "reset", "{body}");
    }
    assert_eq!(node.count(), 0, "{:?}", node.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_beyond_the_limits_say_so() {
    let (_farm, _balancer, node, [client, _]) = stage("").await;
    let status = async |request| client.ask(request, Bytes::new()).await.unwrap().status.as_u16();
    let get = || client.request("GET", "/");
    assert_eq!(status(get().header("x", "y".repeat(30_000))).await, 200);
    assert_eq!(status(get().header("x", "y".repeat(32_700))).await, 431);
    let many = (0..101).fold(get(), |get, at| get.header(format!("x-{at}"), "y"));
    assert_eq!(status(many).await, 431);
    let long = format!("http://localhost/{}", "y".repeat(9_000));
    assert_eq!(status(client.request("GET", "/").uri(long)).await, 414);
    assert_eq!(node.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_limit_say_so_and_the_connection_goes_on() {
    let (_farm, _balancer, _node, clients) = stage("[http]\nbody_limit = \"64KiB\"\n").await;
    for client in &clients {
        let said = client.request("POST", "/").header("content-length", 65_537);
        assert_eq!(client.ask(said, vec![0; 65_537]).await.unwrap().status, 413);
        let unsaid = client.request("POST", "/");
        assert_eq!(client.ask(unsaid, vec![0; 200_000]).await.unwrap().status, 413);
        assert_eq!(client.get("/").await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_too_slow_with_its_body_is_408_and_others_go_on() {
    let (_farm, _balancer, node, [client, _]) = stage("[http]\nbody_grace = \"1s\"\n").await;
    let mut slow = client.open(client.request("POST", "/slow"), false).await.unwrap();
    slow.send("a", false).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().status, 200);
    let (status, _) = slow.answered().await.unwrap();
    assert_eq!((status.as_u16(), node.count()), (408, 1));
    assert_eq!(client.get("/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_cut_and_others_go_on() {
    let (_farm, balancer, node, [client, _]) = stage("[http]\nread_timeout = \"1s\"\n").await;
    node.set_manner(Manner::Chunks(4_096));
    let mut deaf = Wire::connect(balancer.http).await.unwrap();
    let flags = flag::END_STREAM | flag::END_HEADERS;
    assert!(deaf.send(&frame(kind::HEADERS, flags, 1, &get(&[]))).await);
    assert_eq!(heard(&deaf.answer(1).await.unwrap()), "200");
    // It opens no window: after the first 64 KiB the balancer waits, and then waits no more.
    assert_eq!(heard(&deaf.answer(1).await.unwrap()), "reset");
    node.set_manner(Manner::Prompt);
    assert_eq!(client.get("/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_node_is_504_and_a_client_that_leaves_frees_its_node() {
    let (_farm, balancer, node, [client, other]) =
        stage("[upstream]\nread_timeout = \"1s\"\n").await;
    node.set_manner(Manner::Late(Duration::from_secs(60)));
    let answer = client.ask(client.request("POST", "/"), "x").await.unwrap();
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    let call = other.open(other.request("GET", "/"), true).await.unwrap();
    let in_flight = async |expected: u32| {
        let what = format!("{expected} in flight");
        let told = eventually(&what, SOON, || async {
            let form = "JVMRoute=a&Alias=localhost&Context=%2F";
            let told = mcmp::accepted(balancer.mcmp, "STOP-APP", "/", form).await.unwrap();
            let told: u32 = told.trim_end().rsplit_once("Requests=").unwrap().1.parse().unwrap();
            if told == expected { Ok(()) } else { Err(told.to_string()) }
        });
        told.await.unwrap();
    };
    let arrived = eventually("it arrives", SOON, || async {
        if node.count() == 2 { Ok(()) } else { Err(node.count()) }
    });
    arrived.await.unwrap();
    call.cancel();
    in_flight(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_says_goaway_and_finishes_what_is_under_way() {
    let (_farm, mut balancer, node, clients) = stage("").await;
    node.set_manner(Manner::Late(Duration::from_secs(2)));
    let [first, second] = &clients;
    let mut idle = Wire::connect(balancer.http).await.unwrap();
    let both = async { tokio::join!(first.get("/"), second.get("/")) };
    let ending = async {
        let under_way = eventually("both are under way", SOON, || async {
            if node.count() == 2 { Ok(()) } else { Err(node.count()) }
        });
        under_way.await.unwrap();
        balancer.process.inflict(Fault::Terminate).unwrap();
        let mut goaway = false;
        while let Some(frame) = idle.next().await {
            goaway |= frame.kind == kind::GOAWAY;
        }
        goaway
    };
    let ((first, second), goaway) = tokio::join!(both, ending);
    assert_eq!((first.unwrap().status, second.unwrap().status), (StatusCode::OK, StatusCode::OK));
    assert!(goaway, "the idle client hears it too");
    assert!(balancer.process.await_end(SOON).await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_ends_with_goaway() {
    let (_farm, balancer, _node, _clients) = stage("[http]\nidle_timeout = \"1s\"\n").await;
    let mut idle = Wire::connect(balancer.http).await.unwrap();
    let mut goaway = false;
    while let Some(frame) = idle.next().await {
        goaway |= frame.kind == kind::GOAWAY;
    }
    assert!(goaway);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_http_2_and_the_route() {
    let (_farm, balancer, _node, [client, _]) = stage("").await;
    client.get("/seen?in=log").await.unwrap();
    let line = eventually("the line", SOON, || async {
        let output = balancer.process.output();
        let line = output.lines().find(|line| line.contains("/seen?in=log")).map(str::to_owned);
        line.ok_or(output)
    });
    let line = line.await.unwrap();
    assert!(line.contains("\"GET /seen?in=log HTTP/2.0\" 200 13 "), "{line}");
    assert!(line.ends_with(" a elected"), "{line}");
}
