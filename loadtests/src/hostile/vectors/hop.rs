//! Headers of one hop, and the attempt to have others taken out as such.

use crate::hostile::vector::{Ends, Vector, Wanted, get, post, raw, request, smuggled};

pub(super) fn vectors() -> Vec<Vector> {
    named_framing().into_iter().chain(stripped()).chain(kept()).collect()
}

/// `Connection` names a header without which the request means something else.
fn named_framing() -> Vec<Vector> {
    let smuggled = smuggled();
    let length = |connection: &str| {
        post(
            format!("Connection: {connection}\r\nContent-Length: {}\r\n", smuggled.len()),
            &smuggled,
        )
    };
    let chunked = |connection: &str| {
        post(
            format!("Connection: {connection}\r\nTransfer-Encoding: chunked\r\n"),
            "3\r\nabc\r\n0\r\n\r\n",
        )
    };
    vec![
        Vector::refused("Connection names Content-Length", length("content-length"))
            .keeps(&["content-length"]),
        Vector::refused(
            "Connection names Content-Length beside keep-alive",
            length("keep-alive, Content-Length"),
        )
        .keeps(&["content-length"]),
        Vector::refused("Connection names Transfer-Encoding", chunked("transfer-encoding"))
            .keeps(&["transfer-encoding"]),
        Vector::refused(
            "Connection names Transfer-Encoding in odd case",
            chunked("x, tRANSFER-eNCODING"),
        )
        .keeps(&["transfer-encoding"]),
        Vector::refused("Connection lists two words as one", get("Connection: x-a x-b\r\n")),
        Vector::refused("Connection lists a quoted text", get("Connection: \"close\"\r\n")),
        Vector::refused(
            "Connection lists what is no token behind what is one",
            get("Connection: keep-alive, x@a\r\n"),
        ),
        Vector::refused("TE lists what is no coding", get("TE: trailers, g zip\r\n")),
        Vector::refused("Upgrade lists what is no protocol", get("Upgrade: a/b/c\r\n")),
        Vector::refused("Connection names Host", get("Connection: host\r\n")).keeps(&["host"]),
        Vector::refused(
            "a second Connection names Host",
            get("Connection: close\r\nConnection: Host\r\n"),
        )
        .keeps(&["host"]),
    ]
}

fn stripped() -> Vec<Vector> {
    let gone = |name: &str, lines: &str, lacks: &[&'static str]| {
        Vector::served(name, get(format!("{lines}X-Kept: 1\r\n")), {
            Wanted::get().lacks(lacks).has("x-kept", b"1")
        })
    };
    vec![
        gone("a header that Connection names", "Connection: x-a\r\nX-A: b\r\n", &["x-a"]),
        gone(
            "headers that two Connection fields name",
            "Connection: x-a\r\nX-A: b\r\nX-B: c\r\nConnection: keep-alive , X-B\r\n",
            &["x-a", "x-b"],
        ),
        gone(
            "a header that Connection names twice over",
            "X-A: b\r\nConnection: x-a,,x-a\r\nX-A: c\r\n",
            &["x-a"],
        ),
        gone("Keep-Alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", &["keep-alive"]),
        gone(
            "a Keep-Alive that Connection does not name",
            "Keep-Alive: timeout=5\r\n",
            &["keep-alive"],
        ),
        gone("Proxy-Connection", "Proxy-Connection: close\r\n", &["proxy-connection"]),
        gone("TE", "Connection: TE\r\nTE: trailers\r\n", &["te"]),
        gone("a TE with weights", "TE: deflate;q=0.5, , gzip ; q=1\r\n", &["te"]),
        gone("a TE that Connection does not name", "TE: gzip, trailers\r\n", &["te"]),
        gone("Trailer", "Trailer: X-Sum\r\n", &["trailer"]),
        gone("an Upgrade that Connection does not name", "Upgrade: websocket\r\n", &["upgrade"]),
        gone("HTTP2-Settings alone", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n", &["http2-settings"]),
    ]
}

fn kept() -> Vec<Vector> {
    vec![
        Vector::served(
            "Connection names a header that is not there",
            get("Connection: x-none\r\nX-Kept: 1\r\n"),
            Wanted::get().has("x-kept", b"1"),
        ),
        Vector::served(
            "an empty Connection",
            get("Connection:\r\nX-Kept: 1\r\n"),
            Wanted::get().has("x-kept", b"1"),
        ),
        Vector::served(
            "Connection: close, of which the node hears nothing",
            get("Connection: close\r\nX-Kept: 1\r\n"),
            Wanted::get().has("x-kept", b"1"),
        )
        .ends(Ends::Closed),
        Vector::served(
            "close in odd case among others",
            get("Connection: x-a, CLOSE\r\n"),
            Wanted::get(),
        )
        .ends(Ends::Closed),
        Vector::served(
            "Authorization passes",
            request("GET", "Authorization: Basic eDp5\r\n", ""),
            Wanted::get().has("authorization", b"Basic eDp5"),
        ),
        Vector::served(
            "keep-alive in HTTP/1.0",
            raw("GET /@TOKEN@/ HTTP/1.0", "Host: h.example\r\nConnection: keep-alive\r\n", ""),
            Wanted::get(),
        ),
        Vector::served(
            "HTTP/1.0 without keep-alive",
            raw("GET /@TOKEN@/ HTTP/1.0", "Host: h.example\r\n", ""),
            Wanted::get(),
        )
        .ends(Ends::Closed),
        Vector::served(
            "a POST of HTTP/1.0",
            raw("POST /@TOKEN@/ HTTP/1.0", "Host: h.example\r\nContent-Length: 3\r\n", "abc"),
            Wanted::post("abc"),
        )
        .ends(Ends::Closed),
    ]
}
