//! Transfer-Encoding in every form, alone and beside Content-Length.

use crate::hostile::vector::{Vector, Wanted, post, raw, request, smuggled};

/// The body `abc` in chunks.
const CHUNKS: &[u8] = b"3\r\nabc\r\n0\r\n\r\n";

/// Codings that are not exactly `chunked`.
const BAD: &[(&str, &[u8])] = &[
    ("with an empty element before", b",chunked"),
    ("with an empty element behind", b"chunked,"),
    ("chunked twice", b"chunked, chunked"),
    ("gzip and then chunked", b"gzip, chunked"),
    ("chunked and then gzip", b"chunked, gzip"),
    ("identity and then chunked", b"identity, chunked"),
    ("chunked and then identity", b"chunked, identity"),
    ("with an unknown name that ends in chunked", b"xchunked"),
    ("with an unknown name that begins with chunked", b"chunkedx"),
    ("identity", b"identity"),
    ("gzip", b"gzip"),
    ("that is empty", b""),
    ("chunked in quotes", b"\"chunked\""),
    ("chunked with a parameter", b"chunked;x=y"),
    ("chunked with a vertical tab before", b"\x0bchunked"),
    ("chunked with a form feed behind", b"chunked\x0c"),
    ("chunked with a NUL behind", b"chunked\x00"),
    ("chunked with a non-breaking blank behind", b"chunked\xa0"),
    ("chunked with a tab inside", b"chun\tked"),
    ("chunked without a comma", b"gzip chunked"),
];

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, value)| {
        let line = [b"Transfer-Encoding: ", *value, b"\r\n"].concat();
        Vector::refused(format!("a Transfer-Encoding {what}"), post(line, CHUNKS)).with(&[400, 501])
    });
    bad.chain(with_length()).chain(several()).chain(hidden()).chain(good()).collect()
}

fn with_length() -> Vec<Vector> {
    let smuggled = smuggled();
    // By its length the body is everything; by its chunks it ends before the second request.
    let by_chunks = [b"0\r\n\r\n", &smuggled[..]].concat();
    let whole = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", by_chunks.len());
    let reversed = format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", by_chunks.len());
    // By its length the body ends after the size line; by its chunks the rest belongs to it.
    let size = format!("{:x}\r\n", smuggled.len());
    let by_length = [size.as_bytes(), &smuggled[..], b"\r\n0\r\n\r\n"].concat();
    let short = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", size.len());
    vec![
        Vector::refused(
            "Content-Length and then Transfer-Encoding, both of the same end",
            post("Content-Length: 13\r\nTransfer-Encoding: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "Transfer-Encoding and then Content-Length, both of the same end",
            post("Transfer-Encoding: chunked\r\nContent-Length: 13\r\n", CHUNKS),
        ),
        Vector::refused("chunks that end before the Content-Length", post(whole, &by_chunks)),
        Vector::refused(
            "chunks that end before the Content-Length that follows",
            post(reversed, &by_chunks),
        ),
        Vector::refused("a Content-Length that ends before the chunks", post(short, by_length)),
        Vector::refused(
            "Transfer-Encoding and a Content-Length that is no number",
            post("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding identity beside a Content-Length",
            post("Content-Length: 3\r\nTransfer-Encoding: identity\r\n", "abc"),
        )
        .with(&[400, 501]),
    ]
}

fn several() -> Vec<Vector> {
    let lines = |first: &str, second: &str| {
        let text = format!("Transfer-Encoding: {first}\r\nX: y\r\nTransfer-Encoding: {second}\r\n");
        post(text, CHUNKS)
    };
    vec![
        Vector::refused("two fields Transfer-Encoding: chunked", lines("chunked", "chunked"))
            .with(&[400, 501]),
        Vector::refused("a second Transfer-Encoding identity", lines("chunked", "identity"))
            .with(&[400, 501]),
        Vector::refused("a first Transfer-Encoding identity", lines("identity", "chunked"))
            .with(&[400, 501]),
        Vector::refused("a second Transfer-Encoding of nonsense", lines("chunked", "x"))
            .with(&[400, 501]),
    ]
}

/// Forms that one reader takes for Transfer-Encoding and another does not.
fn hidden() -> Vec<Vector> {
    let host = "Host: h.example\r\n";
    vec![
        Vector::refused(
            "a blank before the colon of Transfer-Encoding",
            post("Transfer-Encoding : chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a tab before the colon of Transfer-Encoding",
            post("Transfer-Encoding\t: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a folded Transfer-Encoding",
            post("Transfer-Encoding:\r\n chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding in a folded line",
            post("X: y\r\n Transfer-Encoding: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding behind a bare LF",
            post("X: y\nTransfer-Encoding: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding behind a bare CR",
            post("X: y\rTransfer-Encoding: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding with an LF in its name",
            post("Transfer-\nEncoding: chunked\r\n", CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding in HTTP/1.0",
            raw("POST /@TOKEN@/ HTTP/1.0", format!("{host}Transfer-Encoding: chunked\r\n"), CHUNKS),
        ),
        Vector::refused(
            "a Transfer-Encoding beside a Content-Length in HTTP/1.0",
            raw(
                "POST /@TOKEN@/ HTTP/1.0",
                format!("{host}Transfer-Encoding: chunked\r\nContent-Length: 13\r\n"),
                CHUNKS,
            ),
        ),
    ]
}

fn good() -> Vec<Vector> {
    vec![
        Vector::served(
            "a chunked body",
            post("Transfer-Encoding: chunked\r\n", CHUNKS),
            Wanted::post("abc"),
        ),
        Vector::served(
            "a GET with a chunked body",
            request("GET", "Transfer-Encoding: chunked\r\n", CHUNKS),
            Wanted { body: b"abc".to_vec(), ..Wanted::get() },
        ),
        Vector::either(
            "a Transfer-Encoding in capitals",
            post("TRANSFER-ENCODING: CHUNKED\r\n", CHUNKS),
            Wanted::post("abc"),
        )
        .with(&[400, 501]),
        Vector::either(
            "a Transfer-Encoding behind a tab",
            post("Transfer-Encoding:\tchunked\r\n", CHUNKS),
            Wanted::post("abc"),
        ),
    ]
}
