//! Line ends, folded lines, control characters.

use crate::hostile::vector::{Step, Vector, Wanted, get, raw};

/// Header lines that are broken; a good one follows.
const BAD: &[(&str, &[u8])] = &[
    ("a header line that ends in a bare LF", b"X-A: b\n"),
    ("a header line that ends in a bare CR", b"X-A: b\rX-B: c\r\n"),
    ("a header line that ends in CR CR LF", b"X-A: b\r\r\n"),
    ("a header line that ends in LF CR", b"X-A: b\n\rX-B: c\r\n"),
    ("a bare CR in a header value", b"X-A: b\rc\r\n"),
    ("a bare CR before a header value", b"X-A:\rb\r\n"),
    ("a bare CR in a header name", b"X-\rA: b\r\n"),
    ("a header line folded with a blank", b"X-A: b\r\n c\r\n"),
    ("a header line folded with a tab", b"X-A: b\r\n\tc\r\n"),
    ("a header line of a blank only", b"X-A: b\r\n \r\n"),
    ("a NUL in a header value", b"X-A: b\x00c\r\n"),
    ("a NUL in a header name", b"X-\x00A: b\r\n"),
    ("a control character in a header value", b"X-A: b\x01c\r\n"),
    ("an escape in a header value", b"X-A: b\x1bc\r\n"),
    ("a vertical tab in a header value", b"X-A: b\x0bc\r\n"),
    ("a DEL in a header value", b"X-A: b\x7fc\r\n"),
];

const HOST: &str = "Host: h.example\r\n";

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD
        .iter()
        .map(|(what, line)| Vector::refused(*what, get([*line, b"X-Good: 1\r\n"].concat())));
    bad.chain(heads()).chain(pieces()).collect()
}

fn heads() -> Vec<Vector> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        Vector::refused(
            "a request line that ends in a bare LF",
            text("GET /@TOKEN@/ HTTP/1.1\nHost: h.example\r\n\r\n"),
        ),
        Vector::refused(
            "a request line that ends in a bare CR",
            text("GET /@TOKEN@/ HTTP/1.1\rHost: h.example\r\n\r\n"),
        ),
        Vector::refused(
            "a head that ends in a bare LF",
            text("GET /@TOKEN@/ HTTP/1.1\r\nHost: h.example\r\n\n"),
        ),
        Vector::refused("a head of bare LFs", text("GET /@TOKEN@/ HTTP/1.1\nHost: h.example\n\n")),
        Vector::refused(
            "a blank before the first header",
            raw("GET /@TOKEN@/ HTTP/1.1", format!(" {HOST}X: y\r\n"), ""),
        ),
        Vector::refused(
            "a blank line of a blank before the first header",
            raw("GET /@TOKEN@/ HTTP/1.1", format!(" \r\n{HOST}"), ""),
        ),
        Vector::refused("a blank before the method", raw(" GET /@TOKEN@/ HTTP/1.1", HOST, "")),
        Vector::refused(
            "tabs between the words of the request line",
            raw("GET\t/@TOKEN@/\tHTTP/1.1", HOST, ""),
        ),
        Vector::refused("two blanks after the method", raw("GET  /@TOKEN@/ HTTP/1.1", HOST, "")),
        Vector::refused("two blanks before the version", raw("GET /@TOKEN@/  HTTP/1.1", HOST, "")),
        Vector::refused("a blank after the version", raw("GET /@TOKEN@/ HTTP/1.1 ", HOST, "")),
        Vector::either(
            "an empty line before the request",
            [b"\r\n", &get("")[..]].concat(),
            Wanted::get(),
        ),
        Vector::either(
            "a bare LF before the request",
            [b"\n", &get("")[..]].concat(),
            Wanted::get(),
        ),
        Vector::refused("a NUL before the request", [b"\0", &get("")[..]].concat()),
    ]
}

/// A good request is one however it is cut up on its way; the token stays in one piece.
fn pieces() -> Vec<Vector> {
    let whole = get("X-A: b\r\n");
    let cut = |name: &str, places: &[usize]| {
        let mut vector = Vector::served(name, &whole[..places[0]], Wanted::get().has("x-a", b"b"));
        for (index, &from) in places.iter().enumerate() {
            let to = places.get(index + 1).copied().unwrap_or(whole.len());
            vector = vector.then(Step::Pause).then(Step::Write(whole[from..to].to_vec()));
        }
        vector
    };
    let first_line = whole.iter().position(|&b| b == b'\r').unwrap_or(1);
    vec![
        cut("a head that comes in two pieces", &[4]),
        cut("a head that is cut between CR and LF", &[first_line + 1]),
        cut("a head that is cut before its last LF", &[whole.len() - 1]),
        cut("a head whose empty line comes apart", &[whole.len() - 2]),
        cut("a head that comes in seven pieces", &[1, 3, 4, 20, 30, 40]),
    ]
}
