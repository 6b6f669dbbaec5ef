//! The target of a request.

use crate::hostile::vector::{HOST, Vector, Wanted, path, raw};

/// Targets that are none.
const BAD: &[(&str, &[u8])] = &[
    ("a blank", b"/@TOKEN@/a b"),
    ("a tab", b"/@TOKEN@/a\tb"),
    ("a NUL", b"/@TOKEN@/a\x00b"),
    ("a bare CR", b"/@TOKEN@/a\rb"),
    ("a bare LF", b"/@TOKEN@/a\nb"),
    ("a control character", b"/@TOKEN@/a\x01b"),
    ("a DEL", b"/@TOKEN@/a\x7fb"),
    ("a fragment", b"/@TOKEN@/a#b"),
    ("a quote", b"/@TOKEN@/a\"b"),
    ("angle brackets", b"/@TOKEN@/<a>"),
    ("a backtick in its path", b"/@TOKEN@/a`b"),
    ("a quote in its query", b"/@TOKEN@/?a=\"b\""),
    ("an angle bracket in its query", b"/@TOKEN@/?a=<b"),
    ("an angle bracket behind an absolute path", b"http://h.example/@TOKEN@/>"),
    ("a Latin-1 byte", b"/@TOKEN@/\xe9"),
    ("UTF-8", "/@TOKEN@/\u{e9}".as_bytes()),
    ("no slash at its beginning", b"@TOKEN@/"),
    ("a backslash at its beginning", b"\\@TOKEN@\\"),
    ("a question mark at its beginning", b"?@TOKEN@"),
    ("a user in its authority", b"http://user@h.example/@TOKEN@/"),
    ("another scheme", b"ftp://h.example/@TOKEN@/"),
    ("the scheme of scripts", b"javascript:@TOKEN@"),
    ("a scheme and no authority", b"http:///@TOKEN@/"),
    ("a scheme and one slash", b"http:/@TOKEN@/"),
    ("a bad port in its authority", b"http://h.example:99999/@TOKEN@/"),
    ("a fragment behind an absolute path", b"http://h.example/@TOKEN@/#a"),
];

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, target)| {
        let first = [b"GET ", *target, b" HTTP/1.1"].concat();
        Vector::refused(format!("a target with {what}"), host(first))
    });
    bad.chain(forms()).chain(good()).collect()
}

fn host(first: impl AsRef<[u8]>) -> Vec<u8> {
    raw(first, format!("Host: {HOST}\r\nX-Case: @TOKEN@\r\n"), "")
}

fn forms() -> Vec<Vector> {
    vec![
        Vector::refused("no target", host("GET  HTTP/1.1")),
        Vector::refused("no target and no second blank", host("GET HTTP/1.1")).with(&[400, 505]),
        Vector::refused("GET of the asterisk", host("GET * HTTP/1.1")),
        Vector::refused("GET of a host and port", host("GET h.example:80 HTTP/1.1")),
        Vector::refused("OPTIONS of the asterisk with a path", host("OPTIONS */a HTTP/1.1")),
        Vector::either(
            "OPTIONS of the asterisk",
            host("OPTIONS * HTTP/1.1"),
            Wanted::new("OPTIONS").at("*"),
        )
        .with(&[404, 405]),
    ]
}

fn good() -> Vec<Vector> {
    let served = |name: &str, rest: &str| {
        let target = path(rest);
        let first = [b"GET ", &target[..], b" HTTP/1.1"].concat();
        Vector::served(name, host(first), Wanted::get().at(target))
    };
    vec![
        served("a query", "a?b=c&d=%20;e"),
        served("an empty query", "a?"),
        served("two question marks", "a?b?c"),
        served("percent signs as they came", "%41%2f%C3%A9?%0d%0a"),
        served("all characters that a path may have", "-._~!$&'()*+,;=:@"),
        served("a backtick in its query", "?a=`b`"),
        served("braces, bars and carets", "{a|b}^?c=[{d|e}]^"),
        served("two slashes", "a//b//"),
        served("a path parameter", "a;v=1/b;jsessionid=k7"),
        Vector::served(
            "a target that begins with two slashes",
            host("GET //@TOKEN@/a HTTP/1.1"),
            Wanted::get().at("//@TOKEN@/a"),
        ),
        Vector::served(
            "an absolute target",
            host("GET http://h.example/@TOKEN@/a?b HTTP/1.1"),
            Wanted::get().at(path("a?b")),
        ),
        Vector::served(
            "an absolute target with its scheme in capitals",
            host("GET HTTP://h.example/@TOKEN@/ HTTP/1.1"),
            Wanted::get(),
        ),
        Vector::either(
            "an absolute target without a path",
            host("GET http://h.example?@TOKEN@ HTTP/1.1"),
            Wanted::get().at("/?@TOKEN@"),
        ),
    ]
}
