//! Several requests on a connection, and bodies that look like requests.

use crate::hostile::vector::{Ends, Step, Vector, Wanted, get, path, post, raw, request, smuggled};

fn at(method: &str, rest: &str, lines: &str, body: &str) -> Vec<u8> {
    let first = [method.as_bytes(), b" ", &path(rest), b" HTTP/1.1"].concat();
    raw(first, format!("Host: h.example\r\n{lines}"), body)
}

pub(super) fn vectors() -> Vec<Vector> {
    pipelined().into_iter().chain(look_alikes()).chain(ends()).collect()
}

fn pipelined() -> Vec<Vector> {
    let three = [
        at("GET", "1", "", ""),
        at("POST", "2", "Content-Length: 3\r\n", "abc"),
        at("POST", "3", "Transfer-Encoding: chunked\r\n", "3\r\ndef\r\n0\r\n\r\n"),
    ];
    let head_first = [at("HEAD", "1", "", ""), at("GET", "2", "", "")];
    let closing = [at("GET", "1", "Connection: close\r\n", ""), smuggled()];
    let bad_first = [get("X-A : b\r\n"), smuggled()];
    let bad_second = [at("GET", "1", "", ""), get("X-A : b\r\n"), smuggled()];
    let wanted = |method, rest, body: &str| Wanted {
        body: body.into(),
        ..Wanted::new(method).at(path(rest))
    };
    vec![
        Vector::served_all(
            "three requests in one write",
            three.concat(),
            vec![wanted("GET", "1", ""), wanted("POST", "2", "abc"), wanted("POST", "3", "def")],
        ),
        Vector::served_all(
            "HEAD and then GET in one write",
            head_first.concat(),
            vec![wanted("HEAD", "1", ""), wanted("GET", "2", "")],
        ),
        Vector::served_all(
            "a request behind Connection: close",
            closing.concat(),
            vec![wanted("GET", "1", "")],
        )
        .ends(Ends::Closed),
        Vector::refused("a good request behind a bad one", bad_first.concat()),
        Vector::served_all(
            "a bad request behind a good one",
            bad_second.concat(),
            vec![wanted("GET", "1", "")],
        )
        .ends(Ends::Refused),
    ]
}

fn look_alikes() -> Vec<Vector> {
    let inner = smuggled();
    let length = format!("Content-Length: {}\r\n", inner.len());
    let chunks = [format!("{:x}\r\n", inner.len()).as_bytes(), &inner, b"\r\n0\r\n\r\n"].concat();
    vec![
        Vector::served(
            "a body that looks like a request",
            post(&length, &inner),
            Wanted::post(&inner[..]),
        ),
        Vector::served(
            "a GET whose body looks like a request",
            request("GET", &length, &inner),
            Wanted { body: inner.clone(), ..Wanted::get() },
        ),
        Vector::served(
            "a HEAD whose body looks like a request",
            request("HEAD", &length, &inner),
            Wanted { body: inner.clone(), ..Wanted::new("HEAD") },
        ),
        Vector::served(
            "a DELETE whose body looks like a request",
            request("DELETE", &length, &inner),
            Wanted { body: inner.clone(), ..Wanted::new("DELETE") },
        ),
        Vector::served(
            "an OPTIONS whose body looks like a request",
            request("OPTIONS", &length, &inner),
            Wanted { body: inner.clone(), ..Wanted::new("OPTIONS") },
        ),
        Vector::served(
            "a chunk that looks like a request",
            post("Transfer-Encoding: chunked\r\n", chunks),
            Wanted::post(&inner[..]),
        ),
        Vector::served(
            "a body that looks like a request and comes late",
            post(&length, ""),
            Wanted::post(&inner[..]),
        )
        .then(Step::Pause)
        .then(Step::Write(inner.clone())),
    ]
}

fn ends() -> Vec<Vector> {
    vec![
        Vector::refused("a body shorter than its length", post("Content-Length: 9\r\n", "abc"))
            .in_body()
            .with(&[400, 408])
            .then(Step::HalfClose),
        Vector::refused("a connection that ends within the head", {
            let whole = get("X-A: b\r\n");
            whole[..whole.len() - 4].to_vec()
        })
        .in_body()
        .with(&[400, 408])
        .then(Step::HalfClose),
        Vector::served(
            "a body longer than its length",
            post("Content-Length: 3\r\n", "abcdef\r\n\r\n"),
            Wanted::post("abc"),
        )
        .ends(Ends::Refused),
        Vector::served(
            "something behind a GET",
            [get(""), b"\x00\x01\x02\r\n\r\n".to_vec()].concat(),
            Wanted::get(),
        )
        .ends(Ends::Refused),
    ]
}
