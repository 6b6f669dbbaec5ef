//! What [`write_forward`] writes is what a node reads.

use muster_protocol::ajp::{Body, Forward, HeadTooLong, PacketSize, Tls, write_forward};
use proptest::prelude::*;
use proptest::sample::select;

use crate::server::{Request, read_request};

type Header<'h> = (&'h str, &'h [u8]);

fn forward<'f>(
    method: &'f str,
    body: Body,
    headers: &'f [Header<'f>],
) -> Forward<'f, impl Iterator<Item = Header<'f>> + Clone> {
    Forward {
        method,
        protocol: "HTTP/1.1",
        uri: "/app/x",
        query: None,
        remote_addr: "192.0.2.7",
        remote_port: 40_404,
        server_name: "example.com",
        server_port: 8_080,
        tls: None,
        route: None,
        secret: None,
        body,
        headers: headers.iter().copied(),
    }
}

fn written<'h>(forward: &Forward<'_, impl Iterator<Item = Header<'h>> + Clone>) -> Request {
    let mut out = Vec::new();
    write_forward(forward, PacketSize::default(), &mut out).unwrap();
    let (request, rest) = read_request(&out);
    assert!(rest.is_empty());
    request
}

fn names(request: &Request) -> Vec<&str> {
    request.headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_plain_request_says_who_asked_and_for_what() {
    let headers = [("Host", &b"example.com:8080"[..]), ("X-Node", b"\xE4")];
    let request = written(&forward("GET", Body::None, &headers));
    let expected = Request {
        method: "GET".to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        uri: "/app/x".to_owned(),
        remote_addr: "192.0.2.7".to_owned(),
        server_name: "example.com".to_owned(),
        server_port: 8_080,
        is_tls: false,
        headers: vec![
            ("host".to_owned(), b"example.com:8080".to_vec()),
            ("X-Node".to_owned(), b"\xE4".to_vec()),
        ],
        attributes: vec![("AJP_REMOTE_PORT".to_owned(), "40404".to_owned())],
    };
    assert_eq!(request, expected);
}

#[test]
fn attributes_carry_query_route_tls_and_secret() {
    let tls = Tls {
        cipher: Some("TLS_AES_128_GCM_SHA256"),
        key_size: Some(128),
        protocol: Some("TLSv1.3"),
        certificate: Some("-----BEGIN CERTIFICATE-----\n"),
    };
    let request = written(&Forward {
        query: Some(""),
        route: Some("node1"),
        tls: Some(tls),
        secret: Some("s3cret"),
        ..forward("GET", Body::None, &[])
    });
    assert!(request.is_tls);
    let attributes: Vec<_> =
        request.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("5", ""),
        ("6", "node1"),
        ("7", "-----BEGIN CERTIFICATE-----\n"),
        ("8", "TLS_AES_128_GCM_SHA256"),
        ("11", "128"),
        ("12", "s3cret"),
        ("AJP_REMOTE_PORT", "40404"),
        ("AJP_SSL_PROTOCOL", "TLSv1.3"),
    ];
    assert_eq!(attributes, expected);
}

#[test]
fn tls_of_which_nothing_is_known_is_still_tls() {
    let request =
        written(&Forward { tls: Some(Tls::default()), ..forward("GET", Body::None, &[]) });
    assert!(request.is_tls);
    assert_eq!(request.attributes.len(), 1);
}

#[test]
fn several_cookie_lines_stay_several() {
    let headers = [("Cookie", &b"a=1"[..]), ("accept", b"*/*"), ("cookie", b"b=2")];
    let request = written(&forward("GET", Body::None, &headers));
    assert_eq!(names(&request), ["cookie", "accept", "cookie"]);
}

#[test]
fn what_ends_at_this_hop_and_expect_are_not_sent() {
    let headers = [
        ("X-Hop", &b"1"[..]),
        ("connection", b"close, x-hop"),
        ("Keep-Alive", b"timeout=5"),
        ("Proxy-Connection", b"close"),
        ("TE", b"trailers"),
        ("Trailer", b"x"),
        ("Upgrade", b"h2c"),
        ("HTTP2-Settings", b"x"),
        ("Expect", b"100-continue"),
        ("x-kept", b"1"),
        ("Connection", b"x-other"),
        ("x-other", b"1"),
    ];
    assert_eq!(names(&written(&forward("GET", Body::None, &headers))), ["x-kept"]);
}

#[test]
fn the_body_alone_says_how_long_it_is() {
    let headers = [("Content-Length", &b"7"[..]), ("transfer-encoding", b"chunked")];
    let framing = |body| written(&forward("POST", body, &headers)).headers;
    assert_eq!(framing(Body::None), []);
    assert_eq!(framing(Body::Length(0)), [("content-length".to_owned(), b"0".to_vec())]);
    assert_eq!(framing(Body::Length(5)), [("content-length".to_owned(), b"5".to_vec())]);
    assert_eq!(framing(Body::Unknown), [("transfer-encoding".to_owned(), b"chunked".to_vec())]);
}

#[test]
fn a_head_that_fits_no_packet_leaves_nothing_behind() {
    let long = vec![b'x'; 9_000];
    let headers = [("x-long", &long[..])];
    let forward = forward("GET", Body::None, &headers);
    let mut out = b"before".to_vec();
    let refused = write_forward(&forward, PacketSize::default(), &mut out).unwrap_err();
    assert!(refused.length > 9_000);
    assert_eq!((refused.limit, &out[..]), (8_192, &b"before"[..]));
    write_forward(&forward, PacketSize::new(16_384).unwrap(), &mut out).unwrap();
    assert_eq!(read_request(&out[6..]).0.headers[0].1, long);
}

#[test]
fn a_head_that_fills_its_packet_fits() {
    let spare = {
        let mut out = Vec::new();
        let empty = [("x", &b""[..])];
        write_forward(&forward("GET", Body::None, &empty), PacketSize::default(), &mut out)
            .unwrap();
        8_192 - out.len()
    };
    let write = |length: usize| {
        let (value, mut out) = (vec![b'x'; length], Vec::new());
        let headers = [("x", &value[..])];
        write_forward(&forward("GET", Body::None, &headers), PacketSize::default(), &mut out)
            .map(|()| out.len())
    };
    assert_eq!(write(spare), Ok(8_192));
    assert_eq!(write(spare + 1), Err(HeadTooLong { length: 8_193, limit: 8_192 }));
}

#[test]
fn no_length_of_a_name_or_value_can_be_misread() {
    let long = "x".repeat(70_000);
    let size = PacketSize::new(PacketSize::MAX).unwrap();
    for length in [40_959, 40_960, 41_000, 65_534, 65_535, 65_536, 70_000] {
        for headers in [[("x", &long.as_bytes()[..length])], [(&long[..length], &b"v"[..])]] {
            let mut out = Vec::new();
            let forward = forward("GET", Body::None, &headers);
            if write_forward(&forward, size, &mut out).is_ok() {
                let (name, value) = &read_request(&out).0.headers[0];
                assert_eq!((name.as_str(), &value[..]), headers[0]);
            } else {
                assert!(out.is_empty());
            }
        }
    }
}

// === Properties ===

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec!["GET", "HEAD", "POST", "OPTIONS", "MKACTIVITY", "VERSION-CONTROL"])
            .prop_map(str::to_owned),
        "[A-Za-z!#$%&'*+.^_`|~-]{1,12}",
    ]
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let known = select(vec!["host", "cookie", "accept", "user-agent", "content-type", "cookie2"]);
    let name = prop_oneof![known.prop_map(str::to_owned), "x-[a-z0-9_.~-]{0,12}"];
    (name, proptest::collection::vec(any::<u8>(), 0..40))
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![Just(Body::None), any::<u64>().prop_map(Body::Length), Just(Body::Unknown)]
}

proptest! {
    #[test]
    fn what_is_written_a_node_reads_alike(
        method in method(),
        uri in "/[ -~]{0,40}",
        query in proptest::option::of("[ -~]{0,40}"),
        remote_addr in "[0-9a-f.:]{2,40}",
        ports in any::<(u16, u16)>(),
        is_tls in any::<bool>(),
        route in proptest::option::of("[a-z0-9.]{1,20}"),
        headers in proptest::collection::vec(header(), 0..30),
        body in body(),
    ) {
        let borrowed: Vec<Header<'_>> = headers.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        let request = written(&Forward {
            uri: &uri,
            query: query.as_deref(),
            remote_addr: &remote_addr,
            remote_port: ports.0,
            server_port: ports.1,
            tls: is_tls.then(Tls::default),
            route: route.as_deref(),
            ..forward(&method, body, &borrowed)
        });
        prop_assert_eq!(&request.method, &method);
        prop_assert_eq!(&request.uri, &uri);
        prop_assert_eq!(&request.remote_addr, &remote_addr);
        prop_assert_eq!((request.server_port, request.is_tls), (ports.1, is_tls));
        let framing = usize::from(body != Body::None);
        prop_assert_eq!(&request.headers[framing..], &headers[..]);
        let mut expected = Vec::new();
        expected.extend(query.map(|query| ("5".to_owned(), query)));
        expected.extend(route.map(|route| ("6".to_owned(), route)));
        expected.push(("AJP_REMOTE_PORT".to_owned(), ports.0.to_string()));
        prop_assert_eq!(request.attributes, expected);
    }
}
