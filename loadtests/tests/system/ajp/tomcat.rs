//! Two real Tomcats that register as ajp, unchanged.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use muster_loadtests::generator;
use muster_loadtests::record::{Class, Record};
use muster_loadtests::scenario::{End, Scenario};
use muster_loadtests::testkit::tomcat::{Connector, Tomcat};
use muster_loadtests::testkit::{Balancer, Farm, Fault, eventually, mcmp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ask::{Upload, ask, get, send, sequence};
use crate::system::support::{UNMAPPED, gets, head, quiet_machine, rounds};

const BOTH: [&str; 2] = ["tc1", "tc2"];
const ECHO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/system/ajp/Echo.java");
/// A start of Tomcat, its registration and the first STATUS that counts.
const JOIN: Duration = Duration::from_secs(60);
/// Load before and after what happens.
const MARGIN: Duration = Duration::from_secs(1);
/// More than anything here takes.
const LONG: Duration = Duration::from_secs(300);
const COUNTER: &str = "/counter/";
const ONE: &str = "/counter/?nosession=1";
/// The borders of packets: none, one byte, a packet less one and whole, many, very many.
const SIZES: [usize; 7] = [0, 1, 8191, 8192, 8193, 65_536, 8 << 20];

/// A balancer with two Tomcats behind it.
struct Herd {
    balancer: Balancer,
    tomcats: [Tomcat; 2],
    // Last: the others live in its folder.
    _farm: Farm,
}

impl Herd {
    async fn gather(toml: &str) -> Herd {
        let farm = Farm::new().unwrap();
        let balancer = farm.balancer(toml).await.unwrap();
        let echo = [Path::new(ECHO)];
        let start = |name| Tomcat::start_with(&farm, name, balancer.mcmp, Connector::Ajp, &echo);
        let (tc1, tc2) = tokio::join!(start("tc1"), start("tc2"));
        let tomcats = [tc1.unwrap(), tc2.unwrap()];
        let herd = Herd { balancer, tomcats, _farm: farm };
        herd.await_both().await;
        herd
    }

    /// Waits until both are usable with both contexts enabled.
    async fn await_both(&self) {
        let registered = eventually("both are registered", JOIN, || async {
            for (route, context) in
                BOTH.iter().flat_map(|route| [(route, "/counter"), (route, "/echo")])
            {
                let enabled = mcmp::has_context(self.balancer.mcmp, route, context, "ENABLED");
                if !enabled.await.map_err(|e| e.to_string())? {
                    return Err(format!("not {route}{context}"));
                }
            }
            Ok(())
        });
        registered.await.unwrap();
        self.balancer.await_usable(&BOTH, JOIN).await.unwrap();
    }

    /// Waits until a node answers.
    async fn await_traffic(&self, route: &str) {
        let what = format!("{route} answers");
        let answers = eventually(&what, JOIN, || async {
            let answer = self.balancer.client().get(ONE).await.map_err(|e| e.to_string())?;
            let node = answer.node();
            if node.as_deref() == Some(route) { Ok(()) } else { Err(format!("{node:?}")) }
        });
        answers.await.unwrap();
    }

    /// Lets something happen under a load, from a second before it to a second after.
    async fn while_asked(
        &mut self,
        what: &str,
        load: Scenario,
        happens: impl AsyncFnOnce(&mut Herd),
    ) -> Record {
        let outcome = generator::run_until(load, async {
            tokio::time::sleep(MARGIN).await;
            happens(self).await;
            tokio::time::sleep(MARGIN).await;
        });
        let record = outcome.await.record;
        let Record { ok, nodes, failures, .. } = &record;
        eprintln!("{what}: {ok} good, nodes {nodes:?}, failed {failures:?}");
        record
    }
}

/// FNV-1a, as the echo tells it.
fn hash(body: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{} {:016x}", body.len(), body.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_3000_requests_of_200_clients_over_ajp_none_is_misrouted() {
    let _quiet = quiet_machine().await;
    let herd = Herd::gather("").await;
    for _ in 0..rounds(1) {
        let mut load = gets(&herd.balancer, COUNTER, 16, End::Count(3000));
        load.clients = 200;
        load.session_cookie = Some("JSESSIONID".to_owned());
        let record = generator::run(load).await.record;
        assert_eq!((record.ok, record.failed()), (3000, 0), "{record:?}");
        assert_eq!((record.misrouted, record.lost_sessions), (0, 0), "{record:?}");
        assert!(BOTH.iter().all(|route| record.by(route) > 0), "{:?}", record.nodes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_ajp_are_the_same_on_both_sides_whatever_their_size_and_framing() {
    let _quiet = quiet_machine().await;
    let herd = Herd::gather("").await;
    let to = herd.balancer.http;
    for size in SIZES {
        let body = sequence(size);
        for upload in [Upload::Length(body.clone()), Upload::Chunked(body.clone())] {
            let told = ask(to, Method::POST, "/echo/hash", upload.clone()).await;
            assert_eq!(told.text(), hash(&body), "{size} up");
            let echo = ask(to, Method::POST, "/echo/echo", upload).await;
            assert!(echo.body == body, "{size} echoed: {} bytes", echo.body.len());
        }
        for more in ["", "&length=1", "&flush=1"] {
            let down = get(to, &format!("/echo/down?n={size}{more}")).await;
            assert!(down.body == body, "{size}{more} down: {} bytes", down.body.len());
            let said = down.header("content-length").map(str::to_owned);
            if more == "&length=1" {
                assert_eq!(said, Some(size.to_string()), "{:?}", down.headers);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_streams_and_leave_to_send_pass_over_ajp() {
    let _quiet = quiet_machine().await;
    let herd = Herd::gather("").await;
    let to = herd.balancer.http;

    let head_only = ask(to, Method::HEAD, "/echo/down?n=9000&length=1", Upload::None).await;
    assert_eq!(head_only.header("content-length"), Some("9000"));
    for status in [204, 304] {
        let answer = get(to, &format!("/echo/status?s={status}")).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(answer.header("content-length"), None, "{status}");
        assert_eq!(answer.header("etag"), Some("\"x\""));
    }
    let patched = ask(to, Method::PATCH, "/echo/told?a=1%20b", Upload::None).await.text();
    assert!(patched.contains("PATCH /echo/told ? a=1%20b"), "{patched}");
    assert!(patched.contains("remote 127.0.0.1 server localhost:80 http"), "{patched}");

    said_first_and_then_the_rest(&herd).await;
    waits_for_leave(&herd).await;

    // The node answers early; what the client still sends is in nobody's way.
    let early = send(to, Method::POST, "/echo/early", Upload::Length(sequence(1 << 20))).await;
    assert_eq!(early.status(), StatusCode::PAYLOAD_TOO_LARGE);

    // The next requests find none of what an aborted client left.
    for _ in 0..20 {
        let mut endless = send(to, Method::GET, "/echo/endless", Upload::None).await;
        let some = endless.body_mut().frame().await.unwrap().unwrap();
        assert!(some.data_ref().is_some_and(|data| data.iter().all(|&byte| byte == 0)));
        drop(endless);
        let mut half = TcpStream::connect(to).await.unwrap();
        let text = "POST /echo/hash HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nhalf";
        half.write_all(text.as_bytes()).await.unwrap();
        drop(half);
        let body = sequence(20_000);
        let told = ask(to, Method::POST, "/echo/hash", Upload::Length(body.clone())).await;
        assert_eq!(told.text(), hash(&body));
    }
}

/// A flushed answer is there while its request still comes.
async fn said_first_and_then_the_rest(herd: &Herd) {
    let mut stream = TcpStream::connect(herd.balancer.http).await.unwrap();
    let text = "POST /echo/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                Connection: close\r\n\r\n";
    stream.write_all(text.as_bytes()).await.unwrap();
    let told = head(&mut stream).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let mut first = [0; 11];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"6\r\nfirst \r\n");
    stream.write_all(b"4\r\nrest\r\n0\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "4\r\nrest\r\n0\r\n\r\n");
}

/// A client that waits for leave to send its body gets it once.
async fn waits_for_leave(herd: &Herd) {
    let framings =
        [("Content-Length: 4", "body"), ("Transfer-Encoding: chunked", "4\r\nbody\r\n0\r\n\r\n")];
    for (framing, body) in framings {
        let mut stream = TcpStream::connect(herd.balancer.http).await.unwrap();
        let text = format!(
            "POST /echo/hash HTTP/1.1\r\nHost: x\r\n{framing}\r\nExpect: 100-continue\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        assert_eq!(head(&mut stream).await, "HTTP/1.1 100 Continue\r\n\r\n", "{framing}");
        stream.write_all(body.as_bytes()).await.unwrap();
        let told = head(&mut stream).await;
        assert!(told.starts_with("HTTP/1.1 200"), "{framing}: {told}");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains(&hash(b"body")), "{framing}: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ajp_node_that_ends_dies_or_hangs_costs_at_most_one_get_and_no_post_is_taken_twice() {
    let _quiet = quiet_machine().await;
    let mut herd = Herd::gather("").await;
    for round in 0..rounds(1) {
        let load = gets(&herd.balancer, ONE, 16, End::After(LONG));
        let terminated = herd.while_asked("SIGTERM", load.clone(), async |herd| {
            herd.tomcats[1].inflict(Fault::Terminate).unwrap();
            herd.balancer.await_gone("tc2", JOIN).await.unwrap();
        });
        // Tomcat 7 unmaps a context some milliseconds before it says so.
        let record = terminated.await;
        let unmapped = record.failed_by(Class::Status(404));
        assert!(record.failed() == unmapped && unmapped <= UNMAPPED, "{:?}", record.failures);
        herd.tomcats[1].restart().await.unwrap();
        herd.await_both().await;

        let killed = herd.while_asked("kill -9", load, async |herd| {
            herd.tomcats[0].inflict(Fault::Kill).unwrap();
            herd.tomcats[0].restart().await.unwrap();
            herd.await_traffic("tc1").await;
        });
        let record = killed.await;
        assert!(record.failed() <= 1, "{:?}", record.failures);
        herd.await_both().await;

        let mut posts = gets(&herd.balancer, "/echo/post", 16, End::After(LONG));
        posts.method = Method::POST;
        posts.body = vec![b'x'; 100].into();
        posts.request_ids = Some(format!("{round}-"));
        let killed = herd.while_asked("kill -9 under POST", posts, async |herd| {
            herd.tomcats[0].inflict(Fault::Kill).unwrap();
            herd.tomcats[0].restart().await.unwrap();
            herd.await_traffic("tc1").await;
        });
        let record = killed.await;
        // Those in flight: unanswered, or with an answer that broke off on its way, in its body or
        // so early that the client saw no more than a reset.
        let in_flight = [Class::Status(502), Class::Body, Class::Reset];
        let lost: u64 = in_flight.into_iter().map(|class| record.failed_by(class)).sum();
        assert!(record.failed() == lost && lost <= 16, "{:?}", record.failures);
        herd.await_both().await;
    }
    let mut taken = BTreeMap::<String, u32>::new();
    for id in herd.tomcats.iter().flat_map(Tomcat::request_ids) {
        *taken.entry(id).or_default() += 1;
    }
    let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
    assert!(!taken.is_empty() && twice.is_empty(), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_goes_past_an_ajp_node_that_hangs_with_its_connections_open() {
    let _quiet = quiet_machine().await;
    // No probe shall find out before the POSTs do.
    let toml =
        "threads = 1\n[upstream]\nconnect_timeout = \"1s\"\n[health]\nprobe_interval = \"10m\"\n";
    let herd = Herd::gather(toml).await;
    let load = gets(&herd.balancer, ONE, 8, End::Count(200));
    let record = generator::run(load).await.record;
    assert_eq!((record.ok, record.failed()), (200, 0), "{record:?}");
    herd.tomcats[0].inflict(Fault::Freeze).unwrap();
    // The balancer asks a connection whether it still answers once it was idle for a second.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for _ in 0..6 {
        let body = sequence(100);
        let told =
            ask(herd.balancer.http, Method::POST, "/echo/hash", Upload::Length(body.clone())).await;
        assert_eq!((told.text(), told.node().as_deref()), (hash(&body), Some("tc2")));
    }
    herd.tomcats[0].inflict(Fault::Thaw).unwrap();
}
