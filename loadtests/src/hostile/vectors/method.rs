//! Methods and versions.

use crate::hostile::vector::{HOST, Vector, Wanted, get, raw, request};

fn first(line: impl AsRef<[u8]>) -> Vec<u8> {
    raw(line, format!("Host: {HOST}\r\nX-Case: @TOKEN@\r\n"), "")
}

pub(super) fn vectors() -> Vec<Vector> {
    bad_methods().into_iter().chain(bad_versions()).chain(good()).collect()
}

fn bad_methods() -> Vec<Vector> {
    vec![
        Vector::refused("TRACE", request("TRACE", "", "")).with(&[400, 405, 501]),
        Vector::refused("CONNECT to a host", first("CONNECT h.example:443 HTTP/1.1"))
            .with(&[400, 405, 501]),
        Vector::refused("CONNECT of a path", request("CONNECT", "", "")).with(&[400, 405, 501]),
        Vector::refused("a method with a bracket", request("GE(T", "", "")),
        Vector::refused("a method with a colon", request("GET:", "", "")),
        Vector::refused("a method in quotes", request("\"GET\"", "", "")),
        Vector::refused("a method with a NUL", request("GE\0T", "", "")),
        Vector::refused("a method that is not ASCII", first(b"G\xcbT /@TOKEN@/ HTTP/1.1")),
        Vector::refused("no method", first(" /@TOKEN@/ HTTP/1.1")),
        Vector::refused("a method of 10,000 letters", request(&"A".repeat(10_000), "", ""))
            .with(&[400, 405, 431, 501]),
    ]
}

fn bad_versions() -> Vec<Vector> {
    const BAD: &[(&str, &str)] = &[
        ("HTTP/2.0", "HTTP/2.0"),
        ("HTTP/3", "HTTP/3"),
        ("HTTP/0.9", "HTTP/0.9"),
        ("HTTP/1.10", "HTTP/1.10"),
        ("HTTP/01.1", "HTTP/01.1"),
        ("HTTP/1.", "HTTP/1."),
        ("HTTP/1", "HTTP/1"),
        ("HTTP/11", "HTTP/11"),
        ("HTTP/1.1 and a letter", "HTTP/1.1x"),
        ("http/1.1 in small letters", "http/1.1"),
        ("HTTP with a comma", "HTTP/1,1"),
        ("HTTP with a sign", "HTTP/1.+1"),
        ("another protocol", "FTP/1.1"),
    ];
    let named = BAD.iter().map(|(what, version)| {
        Vector::refused(format!("the version {what}"), first(format!("GET /@TOKEN@/ {version}")))
    });
    let without = [
        Vector::refused("a blank within the version", first("GET /@TOKEN@/ HTTP /1.1")),
        Vector::refused("no version", first("GET /@TOKEN@/")),
        Vector::refused("a request of HTTP/0.9", b"GET /@TOKEN@/\r\n".to_vec()),
    ];
    let all = named.chain(without).map(|vector| vector.with(&[400, 505]));
    let newer =
        Vector::either("the version HTTP/1.2", first("GET /@TOKEN@/ HTTP/1.2"), Wanted::get());
    all.chain([newer.with(&[400, 505])]).collect()
}

fn good() -> Vec<Vector> {
    let with_body = |method: &'static str| {
        let name = format!("{method} with a body");
        let raw = request(method, "Content-Length: 3\r\n", "abc");
        Vector::served(name, raw, Wanted { body: b"abc".to_vec(), ..Wanted::new(method) })
    };
    let plain = |method: &'static str| {
        let name = format!("{method} without a body");
        Vector::served(name, request(method, "", ""), Wanted::new(method))
    };
    vec![
        Vector::served("a plain GET", get(""), Wanted::get()),
        plain("HEAD"),
        plain("DELETE"),
        plain("OPTIONS"),
        with_body("PUT"),
        with_body("PATCH"),
        with_body("DELETE"),
        with_body("OPTIONS"),
        Vector::served("an unknown method", request("BREW", "", ""), Wanted::new("BREW")),
        Vector::served(
            "a method in small letters is another method",
            request("get", "", ""),
            Wanted::new("get"),
        ),
        Vector::served(
            "a method of odd characters",
            request("M-SEARCH!", "", ""),
            Wanted::new("M-SEARCH!"),
        ),
        Vector::served("an answer 204", get("X-Answer: 204\r\n"), Wanted::get().status(204)),
        Vector::served("an answer 304", get("X-Answer: 304\r\n"), Wanted::get().status(304)),
    ]
}
