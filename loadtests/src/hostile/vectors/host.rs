//! Host: whom the request is for.

use crate::hostile::vector::{Ends, Vector, Wanted, raw, target};

/// Values that are no host.
const BAD: &[(&str, &[u8])] = &[
    ("with a blank", b"a b"),
    ("with a path that climbs", b"a/../b"),
    ("with a path", b"a/"),
    ("with a scheme", b"http://a"),
    ("with a user", b"user@a"),
    ("with a query", b"a?b"),
    ("with a fragment", b"a#b"),
    ("with a backslash", b"a\\b"),
    ("with angle brackets", b"<a>"),
    ("with a quote", b"a\"b"),
    ("with a port that is no number", b"a:b"),
    ("with a port with a sign", b"a:+80"),
    ("with a port beyond 65535", b"a:65536"),
    ("with two ports", b"a:80:80"),
    ("with a bracket that is not closed", b"[::1"),
    ("with brackets around no address", b"[a b]"),
    ("with something behind the bracket", b"[::1]a"),
    ("with a tab inside", b"a\tb"),
    ("with a NUL", b"a\x00b"),
    ("that is not ASCII", b"a\xe9"),
];

const GET: &str = "GET /@TOKEN@/ HTTP/1.1";

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, value)| {
        let line = [b"Host: ", *value, b"\r\n"].concat();
        Vector::refused(format!("a Host {what}"), raw(GET, line, ""))
    });
    bad.chain(none_or_several()).chain(good()).chain(absolute()).collect()
}

fn none_or_several() -> Vec<Vector> {
    vec![
        Vector::refused("no Host in HTTP/1.1", raw(GET, "X: y\r\n", "")),
        Vector::refused("no header at all in HTTP/1.1", raw(GET, "", "")),
        Vector::refused(
            "two equal Host fields",
            raw(GET, "Host: h.example\r\nHost: h.example\r\n", ""),
        ),
        Vector::refused(
            "two different Host fields",
            raw(GET, "Host: h.example\r\nX: y\r\nhost: evil.example\r\n", ""),
        ),
        Vector::refused(
            "a second Host with a blank before the colon",
            raw(GET, "Host: h.example\r\nHost : evil.example\r\n", ""),
        ),
        Vector::refused(
            "a second Host in a folded line",
            raw(GET, "Host: h.example\r\n Host: evil.example\r\n", ""),
        ),
        Vector::refused(
            "two Host fields in HTTP/1.0",
            raw("GET /@TOKEN@/ HTTP/1.0", "Host: h.example\r\nHost: evil.example\r\n", ""),
        ),
        Vector::either("an empty Host", raw(GET, "Host:\r\n", ""), Wanted::get().host(None)),
    ]
}

fn good() -> Vec<Vector> {
    let host = |name: &str, host: &'static str| {
        let wanted = Wanted::get().host(host);
        Vector::served(name, raw(GET, format!("Host: {host}\r\n"), ""), wanted)
    };
    vec![
        host("a Host with a port", "h.example:8080"),
        host("a Host in capitals", "H.EXAMPLE"),
        host("a Host that is an IPv4 address", "192.0.2.7"),
        host("a Host that is an IPv6 address", "[2001:db8::7]"),
        host("a Host that is an IPv6 address with a port", "[::1]:80"),
        host("a Host with an underscore and a dot behind", "h_1.example."),
        Vector::served(
            "no Host in HTTP/1.0",
            raw("GET /@TOKEN@/ HTTP/1.0", "", ""),
            Wanted::get().host(None),
        )
        .ends(Ends::Closed),
    ]
}

/// An absolute target and Host name one host.
fn absolute() -> Vec<Vector> {
    let absolute = "GET http://other.example/@TOKEN@/ HTTP/1.1";
    let wanted = || Wanted::get().at(target()).host("other.example");
    vec![
        Vector::served(
            "an absolute target with its own host as Host",
            raw(absolute, "Host: other.example\r\n", ""),
            wanted(),
        ),
        Vector::served(
            "an absolute target with its own host in capitals as Host",
            raw(absolute, "Host: OTHER.example\r\n", ""),
            wanted().host(None),
        ),
        Vector::served(
            "an absolute target with its own host and the usual port as Host",
            raw(absolute, "Host: other.example:80\r\n", ""),
            wanted().host(None),
        ),
        Vector::refused(
            "an absolute target with another Host",
            raw(absolute, "Host: h.example\r\n", ""),
        ),
        Vector::refused(
            "an absolute target with another port as Host",
            raw(absolute, "Host: other.example:443\r\n", ""),
        ),
        Vector::refused(
            "an absolute target with another Host in HTTP/1.0",
            raw("GET http://other.example/@TOKEN@/ HTTP/1.0", "Host: h.example\r\n", ""),
        ),
        Vector::either("an absolute target without Host", raw(absolute, "", ""), wanted()),
        Vector::refused("an absolute target with a bad Host", raw(absolute, "Host: a b\r\n", "")),
        Vector::refused(
            "an absolute target with two Host fields",
            raw(absolute, "Host: h.example\r\nHost: h.example\r\n", ""),
        ),
    ]
}
