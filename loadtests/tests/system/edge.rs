//! The edge: who a client is, how much it may take, and that it hears why it is refused.

use std::time::Duration;

use muster_loadtests::testkit::raw::field;
use muster_loadtests::testkit::{Authority, Balancer, Client, Farm, Raw, eventually};
use tokio::net::TcpStream;

use super::support::{SOON, node};

const GET: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
const TRUST: &str = "[http]\nproxy_protocol_from = [\"127.0.0.1\"]\n";
const NAMED: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n";

/// Version 2, TCP over IPv4, of 192.0.2.8:4712.
const NAMED_V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x08\xc6\x33\x64\x01\x12\x68\0\x50";

/// A connection that began with these bytes.
async fn begun(balancer: &Balancer, with: impl AsRef<[u8]>) -> Raw<TcpStream> {
    let mut raw = Raw::connect(balancer.http).await.unwrap();
    raw.send(with).await.unwrap();
    raw
}

/// The status of the answer.
async fn status<S: tokio::io::AsyncRead + Unpin>(raw: &mut Raw<S>) -> u16 {
    let (head, _) = raw.message().await.unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_whom_a_trusted_proxy_header_names_in_either_version() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(TRUST).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    for header in [NAMED.as_bytes(), NAMED_V2] {
        let mut raw = begun(&balancer, [header, GET.as_bytes()].concat()).await;
        assert_eq!(status(&mut raw).await, 200);
        // It holds for the whole connection.
        raw.send(GET).await.unwrap();
        assert_eq!(status(&mut raw).await, 200);
    }
    let told: Vec<_> = node.seen().iter().map(|s| s.headers["x-forwarded-for"].clone()).collect();
    assert_eq!(told, ["192.0.2.7", "192.0.2.7", "192.0.2.8", "192.0.2.8"]);
    let logged = eventually("the log names the clients", SOON, || async {
        let output = balancer.process.output();
        let named = |client: &str| output.lines().filter(|l| l.starts_with(client)).count();
        match (named("192.0.2.7 "), named("192.0.2.8 ")) {
            (2, 2) => Ok(()),
            _ => Err(output.clone()),
        }
    });
    logged.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_header_stands_before_tls_too() {
    let own = Authority::new().unwrap();
    let files = own.certificate("shop", &["shop.test"]).unwrap();
    let farm = Farm::new().unwrap();
    let toml =
        format!("{TRUST}[tls]\nlisten = [\"127.0.0.1:0\"]\ncertificates = [{}]\n", files.toml());
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let https = balancer.process.listening("https").unwrap();
    let mut stream = TcpStream::connect(https).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, NAMED_V2).await.unwrap();
    let mut raw = own.client(&[]).unwrap().over(stream, "shop.test").await.unwrap();
    raw.send(GET).await.unwrap();
    assert_eq!(status(&mut raw).await, 200);
    let seen = node.seen();
    assert_eq!(seen[0].headers["x-forwarded-for"], "192.0.2.8");
    assert_eq!(seen[0].headers["x-forwarded-proto"], "https");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_proxy_header_is_due_a_connection_without_one_is_closed() {
    let farm = Farm::new().unwrap();
    let toml = format!("{TRUST}header_timeout = \"300ms\"\n");
    let balancer = farm.balancer(&toml).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    for beginning in [GET.as_bytes(), b"", b"PROXY TCP4 192.0", &NAMED_V2[..20], b"\0\0\0"] {
        let mut raw = begun(&balancer, beginning).await;
        let said = raw.rest().await;
        assert_eq!(said, b"", "{beginning:?}");
    }
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_others_a_proxy_header_is_not_understood() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    for header in [NAMED.as_bytes(), NAMED_V2] {
        let mut raw = begun(&balancer, [header, GET.as_bytes()].concat()).await;
        assert_eq!(status(&mut raw).await, 400);
        assert_eq!(raw.rest().await, b"");
    }
    assert_eq!(node.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trusted_proxy_says_of_its_client_is_told_on() {
    let farm = Farm::new().unwrap();
    let toml = "[http]\ntrusted_proxies = [\"127.0.0.0/8\", \"203.0.113.0/24\"]\n";
    let balancer = farm.balancer(toml).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let headers = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7, 203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ];
    balancer.client().send(http::Method::GET, "/", &headers, "").await.unwrap();
    let seen = node.seen();
    let told = &seen[0].headers;
    assert_eq!(told["x-forwarded-proto"], "https");
    assert_eq!(told["x-forwarded-host"], "shop.example");
    let told = told["x-forwarded-for"].to_str().unwrap();
    assert!(told.contains("192.0.2.7") && told.ends_with("127.0.0.1"), "{told}");
    let logged = eventually("the log names the client", SOON, || async {
        let output = balancer.process.output();
        match output.lines().any(|line| line.starts_with("192.0.2.7 ")) {
            true => Ok(()),
            false => Err(output),
        }
    });
    logged.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_at_its_limit_of_connections_gets_no_further_one_until_one_ends() {
    let farm = Farm::new().unwrap();
    // Loopback is never counted, so the clients are those that a proxy names.
    let toml = format!("{TRUST}max_connections_per_address = 2\n");
    let balancer = farm.balancer(&toml).await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let from = |ip: &str| format!("PROXY TCP4 {ip} 198.51.100.1 4711 80\r\n{GET}");
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut raw = begun(&balancer, from("192.0.2.7")).await;
        assert_eq!(status(&mut raw).await, 200);
        kept.push(raw);
    }
    assert_eq!(begun(&balancer, from("192.0.2.7")).await.rest().await, b"");
    assert_eq!(status(&mut begun(&balancer, from("192.0.2.9")).await).await, 200);
    let metrics = Client::new(balancer.manager).get("/metrics").await.unwrap().text();
    assert!(metrics.contains("muster_capped_total 1\n"), "{metrics}");
    kept.pop();
    let admitted = eventually("a place is free", SOON, || async {
        let mut raw = begun(&balancer, from("192.0.2.7")).await;
        raw.message().await.map(|_| ()).map_err(|error| error.to_string())
    });
    admitted.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_fast_is_told_when_to_come_again_and_keeps_the_connection() {
    let farm = Farm::new().unwrap();
    let limit = |by: &str| {
        format!(
            "{TRUST}[[rate_limit]]\ncontext = \"/\"\nrequests_per_second = 0.01\nburst = 3\n\
             by = \"{by}\"\n"
        )
    };
    for (by, others) in [("address", 200), ("context", 429)] {
        let balancer = farm.balancer(&limit(by)).await.unwrap();
        let node = node(&balancer, "a", 100).await;
        let mut raw = begun(&balancer, NAMED).await;
        for _ in 0..3 {
            raw.send(GET).await.unwrap();
            assert_eq!(status(&mut raw).await, 200);
        }
        for _ in 0..2 {
            raw.send(GET).await.unwrap();
            let (head, _) = raw.message().await.unwrap();
            assert!(head.starts_with("HTTP/1.1 429"), "{head}");
            let after: u64 = field(&head, "retry-after").unwrap().parse().unwrap();
            assert!((1..=100).contains(&after), "{head}");
            assert_eq!(field(&head, "connection"), None);
        }
        let mut other = begun(&balancer, [NAMED_V2, GET.as_bytes()].concat()).await;
        assert_eq!(status(&mut other).await, others, "{by}");
        assert_eq!(node.count(), if others == 200 { 4 } else { 3 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_limit_is_413_whichever_way_it_says_its_length() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nbody_limit = \"10 KiB\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let post = "POST / HTTP/1.1\r\nHost: x\r\n";
    let of_length =
        |length: usize| format!("{post}Content-Length: {length}\r\n\r\n{}", "b".repeat(length));
    let chunked = |chunks: usize| {
        let chunk = format!("400\r\n{}\r\n", "b".repeat(1024));
        format!("{post}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(chunks))
    };
    let cases = [
        (of_length(10_240), 200),
        (of_length(10_241), 413),
        (chunked(10), 200),
        (chunked(11), 413),
    ];
    for (request, expected) in cases {
        let mut raw = begun(&balancer, request).await;
        assert_eq!(status(&mut raw).await, expected);
    }
    assert_eq!(node.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_not_lost_on_a_client_that_is_still_sending() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nbody_limit = \"10 KiB\"\n").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let length = 1 << 20;
    let heads = [
        (format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"), 413),
        (format!("POST /\x01 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"), 400),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
            ),
            413,
        ),
    ];
    for (head, expected) in heads {
        for _ in 0..10 {
            // The whole upload first, then the answer: a reset on the way would have eaten it.
            let mut raw = begun(&balancer, &head).await;
            raw.send(vec![b'b'; length]).await.unwrap();
            assert_eq!(status(&mut raw).await, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_an_answer_of_our_own() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let mut raw = begun(&balancer, GET).await;
    assert_eq!(status(&mut raw).await, 404);
    let _node = node(&balancer, "a", 0).await;
    for (request, expected) in [
        ("CONFIG / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (GET, 200),
        ("STATUS /x HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (GET, 200),
    ] {
        raw.send(request).await.unwrap();
        assert_eq!(status(&mut raw).await, expected, "{request}");
    }
    // A HEAD is answered without a body, an old client with the end of the connection.
    let refused = "INFO / HTTP/1.1\r\nHost: x\r\n\r\n";
    raw.send([refused, GET].concat()).await.unwrap();
    assert_eq!((status(&mut raw).await, status(&mut raw).await), (405, 200));
    let mut old = begun(&balancer, "INFO / HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&mut old).await, 405);
    assert!(old.has_ended().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_and_a_head_over_their_limits_say_which() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("[http]\nmax_head_bytes = \"16 KiB\"\n").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let long = "a".repeat(9_000);
    let many = "X-A: b\r\n".repeat(101);
    let cases = [
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\nX-B: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\n\r\n"), 200),
    ];
    for (request, expected) in cases {
        let mut raw = begun(&balancer, request).await;
        assert_eq!(status(&mut raw).await, expected);
    }
    assert_eq!(node.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_trickles_in_is_408_however_soon_each_byte_comes() {
    let farm = Farm::new().unwrap();
    let toml = "[http]\nbody_grace = \"500ms\"\nmin_body_rate = \"100 KiB\"\n";
    let balancer = farm.balancer(toml).await.unwrap();
    let node = node(&balancer, "a", 100).await;
    for pause in [Duration::from_millis(5), Duration::from_millis(50)] {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n";
        let (mut reads, mut writes) = begun(&balancer, head).await.split();
        let dripping = tokio::spawn(async move {
            while writes.send("b").await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        });
        assert_eq!(status(&mut reads).await, 408, "a byte each {pause:?}");
        dripping.abort();
    }
    assert_eq!(node.count(), 0);
}
