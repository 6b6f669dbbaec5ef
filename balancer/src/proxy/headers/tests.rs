//! Stories of proxies in front: requests in, header lines out.

use proptest::prelude::*;

use super::*;

impl Head for HeaderMap {
    fn headers(&self) -> &HeaderMap {
        self
    }
    fn set(&mut self, name: &'static str, value: HeaderValue) {
        self.insert(name, value);
    }
    fn remove(&mut self, name: &str) {
        HeaderMap::remove(self, name);
    }
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

/// Who is trusted in these stories: 10.0.0.0/8.
fn trusted() -> Networks {
    Networks::parse(&["10.0.0.0/8"]).unwrap()
}

fn said<'r>(lines: &[(&str, &'r str)]) -> Said<'r> {
    let mut said = Said::default();
    for (name, value) in lines {
        assert!(said.note(name, value.as_bytes()), "{name}");
    }
    said
}

/// What a node is told of a request over plain HTTP, and who its client is.
fn story(peer: &str, lines: &[(&str, &str)]) -> (String, String) {
    let seen =
        Seen { peer: Some(peer.parse().unwrap()), is_tls: false, host: Some(b"shop.example") };
    let said = said(lines);
    let told = told(seen, &said, &trusted());
    let mut out = Vec::new();
    told_lines(&told, &mut out);
    let client = told.client.unwrap().to_string();
    (client, String::from_utf8(out).unwrap().replace("\r\n", "\n"))
}

fn line<'l>(lines: &'l str, name: &str) -> Option<&'l str> {
    lines.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn what_a_client_says_of_itself_is_replaced() {
    let mut head = headers(&[
        ("host", "shop.example"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "81"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=10.0.0.1"),
    ]);
    let client = forward(&mut head, Some(IpAddr::from([192, 0, 2, 7])), false, &trusted());
    let expected = headers(&[
        ("host", "shop.example"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example"),
    ]);
    assert_eq!(head, expected);
    assert_eq!(client, Some(IpAddr::from([192, 0, 2, 7])));
}

#[test]
fn a_stranger_that_speaks_like_a_proxy_is_the_client() {
    let (client, lines) =
        story("192.0.2.7", &[("X-Forwarded-For", "10.0.0.1"), ("Forwarded", "for=10.0.0.1")]);
    assert_eq!(client, "192.0.2.7");
    assert_eq!(
        lines,
        "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Host: shop.example\nX-Forwarded-Proto: http\n"
    );
}

#[test]
fn a_trusted_proxy_is_believed_and_added() {
    let (client, lines) = story(
        "10.0.0.1",
        &[
            ("X-Forwarded-For", "192.0.2.7"),
            ("x-forwarded-proto", "https"),
            ("X-Forwarded-Host", "www.shop.example"),
            ("X-Forwarded-Port", "8443"),
            ("X-Forwarded-Prefix", "/x"),
        ],
    );
    assert_eq!(client, "192.0.2.7");
    assert_eq!(
        lines,
        "X-Forwarded-For: 192.0.2.7, 10.0.0.1\nX-Forwarded-Host: www.shop.example\n\
         X-Forwarded-Proto: https\nX-Forwarded-Port: 8443\n"
    );
}

#[test]
fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
    // The first address was said by the client, who wants to be another.
    let (client, lines) =
        story("10.0.0.1", &[("X-Forwarded-For", "203.0.113.9, 192.0.2.7, 10.0.0.3")]);
    assert_eq!(client, "192.0.2.7");
    let chain = "203.0.113.9, 192.0.2.7, 10.0.0.3, 10.0.0.1";
    assert_eq!(line(&lines, "X-Forwarded-For"), Some(chain));
    let several = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "192.0.2.7,10.0.0.3")];
    let (client, lines) = story("10.0.0.1", &several);
    assert_eq!(client, "192.0.2.7");
    let chain = "203.0.113.9, 192.0.2.7,10.0.0.3, 10.0.0.1";
    assert_eq!(line(&lines, "X-Forwarded-For"), Some(chain));
}

#[test]
fn where_a_chain_cannot_be_followed_the_last_known_address_is_the_client() {
    for (chain, client) in [
        ("192.0.2.7, unknown", "10.0.0.1"),
        ("192.0.2.7, unknown, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.5, 10.0.0.2", "10.0.0.5"),
        ("", "10.0.0.1"),
        ("192.0.2.7:51234", "192.0.2.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
    ] {
        assert_eq!(story("10.0.0.1", &[("X-Forwarded-For", chain)]).0, client, "{chain:?}");
    }
}

#[test]
fn a_proxy_that_says_nothing_is_the_client() {
    let (client, lines) = story("::ffff:10.0.0.1", &[]);
    assert_eq!(client, "10.0.0.1");
    assert_eq!(line(&lines, "X-Forwarded-For"), Some("10.0.0.1"));
    assert_eq!(line(&lines, "X-Forwarded-Proto"), Some("http"));
}

#[test]
fn forwarded_is_told_on_where_it_came_and_says_what_the_others_do_not() {
    let forwarded = "for=203.0.113.9, for=\"[2001:db8::7]\";proto=https;host=www.shop.example";
    let (client, lines) = story("10.0.0.1", &[("Forwarded", forwarded)]);
    assert_eq!(client, "2001:db8::7");
    assert_eq!(
        lines,
        format!(
            "X-Forwarded-For: 2001:db8::7, 10.0.0.1\nX-Forwarded-Host: www.shop.example\n\
             X-Forwarded-Proto: https\nForwarded: {forwarded}, for=10.0.0.1\n"
        )
    );
    let both = [("Forwarded", forwarded), ("X-Forwarded-For", "192.0.2.7")];
    assert_eq!(story("10.0.0.1", &both).0, "192.0.2.7");
}

#[test]
fn of_several_values_the_proxys_own_counts() {
    let lines = [("X-Forwarded-Proto", "https, http"), ("X-Forwarded-Host", "evil, shop.example")];
    let (_, lines) = story("10.0.0.1", &lines);
    assert_eq!(line(&lines, "X-Forwarded-Proto"), Some("http"));
    assert_eq!(line(&lines, "X-Forwarded-Host"), Some("shop.example"));
    let (_, lines) =
        story("10.0.0.1", &[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Port", "x")]);
    assert_eq!(line(&lines, "X-Forwarded-Proto"), Some("http"));
    assert_eq!(line(&lines, "X-Forwarded-Port"), None);
}

#[test]
fn of_a_chain_that_is_too_long_the_end_is_told_on() {
    let chain = vec!["192.0.2.7"; 1_000].join(", ");
    let forwarded = vec!["for=192.0.2.7"; 1_000].join(",");
    let (client, lines) =
        story("10.0.0.1", &[("X-Forwarded-For", &chain), ("Forwarded", &forwarded)]);
    assert_eq!(client, "192.0.2.7");
    for name in ["X-Forwarded-For", "Forwarded"] {
        let value = line(&lines, name).unwrap();
        assert!(value.len() <= MAX_CHAIN + 50 && value.len() > MAX_CHAIN / 2, "{value}");
        assert!(value.split(", ").all(|one| one.len() >= "10.0.0.1".len()), "{value}");
        assert!(value.ends_with("10.0.0.1"), "{value}");
    }
}

#[test]
fn a_request_without_host_or_peer_is_told_without() {
    let nobody = Seen { peer: None, is_tls: true, host: None };
    let told = told(nobody, &Said::default(), &trusted());
    let mut out = Vec::new();
    told_lines(&told, &mut out);
    assert_eq!(out, b"X-Forwarded-Proto: https\r\n");
    assert!(told.is_tls() && told.client.is_none());
}

#[test]
fn only_headers_of_the_kind_are_noted() {
    let mut said = Said::default();
    for name in ["forwarded", "FORWARDED", "X-Forwarded-For", "x-forwarded-anything"] {
        assert!(said.note(name, b"x"), "{name}");
    }
    for name in [
        "host",
        "x-forwarded",
        "forwarded-for",
        "x-real-ip",
        "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}",
    ] {
        assert!(!said.note(name, b"x"), "{name}");
    }
}

#[test]
fn only_the_session_cookie_is_stripped() {
    let settings = BalancerSettings::default();
    let mut head = headers(&[("cookie", "a=1; JSESSIONID=k.a"), ("cookie", "b=2")]);
    strip_session(&mut head, &settings);
    assert_eq!(head, headers(&[("cookie", "a=1; b=2")]));
    let mut head = HeaderMap::new();
    head.append("cookie", HeaderValue::from_bytes(b"name=Jos\xc3\xa9; JSESSIONID=k.a").unwrap());
    strip_session(&mut head, &settings);
    assert_eq!(head["cookie"].as_bytes(), b"name=Jos\xc3\xa9");
    let mut head = headers(&[("cookie", "JSESSIONID=k.a")]);
    strip_session(&mut head, &settings);
    assert!(head.is_empty());
}

fn name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("x-forwarded-for"),
        Just("forwarded"),
        Just("x-forwarded-proto"),
        Just("x-forwarded-host"),
        Just("x-forwarded-port"),
    ]
}

proptest! {
    #[test]
    fn whatever_a_proxy_says_each_header_is_one_line_and_bounded(
        lines in proptest::collection::vec((name(), any::<Vec<u8>>()), 0..6),
    ) {
        let mut said = Said::default();
        for (name, value) in &lines {
            said.note(name, value);
        }
        let seen = Seen { peer: Some([10, 0, 0, 1].into()), is_tls: true, host: Some(b"h") };
        let mut out = Vec::new();
        told_lines(&told(seen, &said, &trusted()), &mut out);
        prop_assert!(out.ends_with(b"\r\n"));
        let lines: Vec<&[u8]> = out[..out.len() - 2].split(|&byte| byte == b'\n').collect();
        prop_assert!(lines.len() <= HEADERS.len());
        for line in lines {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            prop_assert!(HEADERS.iter().any(|(name, _)| line.starts_with(name.as_bytes())));
            prop_assert!(!line.contains(&b'\r') && !line.contains(&0));
        }
    }

    #[test]
    fn both_engines_tell_the_same(
        lines in proptest::collection::vec((name(), "[ -~]{0,60}"), 0..6),
        peer in prop_oneof![Just([10u8, 0, 0, 1]), Just([192, 0, 2, 7])], is_tls: bool,
    ) {
        let (peer, mut head, mut said) = (Some(peer.into()), HeaderMap::new(), Said::default());
        head.insert("host", HeaderValue::from_static("shop.example"));
        for (name, value) in &lines {
            head.append(*name, HeaderValue::from_str(value).unwrap());
        }
        for (name, value) in &head {
            said.note(name.as_str(), value.as_bytes());
        }
        let before = head.clone();
        let seen = Seen { peer, is_tls, host: Some(b"shop.example") };
        let mut raw = Vec::new();
        told_lines(&told(seen, &said, &trusted()), &mut raw);
        forward(&mut head, peer, is_tls, &trusted());
        let mut mapped = Vec::new();
        for (name, _) in HEADERS {
            if let Some(value) = head.get(name) {
                mapped.extend_from_slice(format!("{name}: ").as_bytes());
                mapped.extend_from_slice(value.as_bytes());
                mapped.extend_from_slice(b"\r\n");
            }
        }
        prop_assert_eq!(raw, mapped);
        prop_assert_eq!(head.len() <= 1 + HEADERS.len(), true, "{:?}", before);
    }
}
