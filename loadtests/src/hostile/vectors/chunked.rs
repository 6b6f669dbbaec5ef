//! Chunks, their sizes, extensions and trailers.

use crate::hostile::vector::{Ends, Step, Vector, Wanted, post, smuggled};

/// Bodies in which a chunk is broken.
const BAD: &[(&str, &[u8])] = &[
    ("an empty chunk size", b"\r\nabc\r\n0\r\n\r\n"),
    ("an empty chunk size before an extension", b";x=y\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size with a plus sign", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size with a minus sign", b"-3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size that begins with 0x", b"0x3\r\nabc\r\n0\r\n\r\n"),
    ("a blank before the chunk size", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("a tab before the chunk size", b"\t3\r\nabc\r\n0\r\n\r\n"),
    ("a blank within the chunk size", b"0 3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size that is no number", b"g\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size with an underscore", b"0_3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size with a NUL", b"3\x00\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size with a comma", b"3,3\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size beyond 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("a chunk size of 32 digits", b"fffffffffffffffffffffffffffffffd\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF after the chunk size", b"3\nabc\r\n0\r\n\r\n"),
    ("a bare CR after the chunk size", b"3\rabc\r\n0\r\n\r\n"),
    ("two CR after the chunk size", b"3\r\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF after the chunk", b"3\r\nabc\n0\r\n\r\n"),
    ("no line end after the chunk", b"3\r\nabc0\r\n\r\n"),
    ("a chunk longer than its size", b"3\r\nabcdef\r\n0\r\n\r\n"),
    ("a chunk followed by a CR and something else", b"3\r\nabc\rX0\r\n\r\n"),
    ("a bare LF in an extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
    ("a bare CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("a NUL in an extension", b"3;a\x00b\r\nabc\r\n0\r\n\r\n"),
    ("a bare LF after the last chunk", b"3\r\nabc\r\n0\n\r\n"),
    ("a bare LF at the end", b"3\r\nabc\r\n0\r\n\n"),
    ("a trailer without a colon", b"3\r\nabc\r\n0\r\ntrailer\r\n\r\n"),
    ("a trailer without a name", b"3\r\nabc\r\n0\r\n: x\r\n\r\n"),
    ("a trailer that ends in a bare LF", b"3\r\nabc\r\n0\r\nX: y\n\r\n"),
    ("a trailer with a bare CR", b"3\r\nabc\r\n0\r\nX: a\rb\r\n\r\n"),
    ("a trailer with a NUL", b"3\r\nabc\r\n0\r\nX: a\x00b\r\n\r\n"),
    ("a folded trailer", b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"),
    ("a blank before the colon of a trailer", b"3\r\nabc\r\n0\r\nX : a\r\n\r\n"),
];

/// Bodies that say `abc` in another way.
const GOOD: &[(&str, &[u8])] = &[
    ("a chunk extension", b"3;x=y\r\nabc\r\n0\r\n\r\n"),
    ("a chunk extension without a value", b"3;x\r\nabc\r\n0\r\n\r\n"),
    ("a quoted chunk extension", b"3;x=\"y;z\"\r\nabc\r\n0\r\n\r\n"),
    ("an extension of the last chunk", b"3\r\nabc\r\n0;x=y\r\n\r\n"),
    ("a trailer", b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n"),
    ("a chunk size with leading zeros", b"0003\r\nabc\r\n000\r\n\r\n"),
    ("chunks of a byte each", b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"),
];

fn chunked(body: impl AsRef<[u8]>) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", body)
}

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, body)| Vector::refused(*what, chunked(body)).in_body());
    let good = GOOD.iter().map(|(what, body)| {
        Vector::served(*what, chunked(body), Wanted::post("abc").hides(&["X-Sum"]))
    });
    bad.chain(good).chain(odd()).chain(long()).chain(early_ends()).collect()
}

fn odd() -> Vec<Vector> {
    let lies = "3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: evil.example\r\n\
                Transfer-Encoding: gzip\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let unended = [b"3\r\nabc\r\n0\r\n", &smuggled()[..]].concat();
    let all_bytes: Vec<u8> = (0..=255).collect();
    let binary = [b"100\r\n", &all_bytes[..], b"\r\n0\r\n\r\n"].concat();
    vec![
        Vector::served(
            "a trailer that would change the head",
            chunked(lies),
            Wanted::post("abc").hides(&["evil.example", "gzip", "6.6.6.6"]),
        ),
        Vector::refused("a request in the place of the trailers", chunked(unended)).in_body(),
        Vector::served("a chunk of all bytes", chunked(binary), Wanted::post(all_bytes)),
        Vector::served(
            "a chunk size in capitals",
            chunked("A\r\n0123456789\r\n0\r\n\r\n"),
            Wanted::post("0123456789"),
        ),
        Vector::either(
            "blanks after the chunk size",
            chunked("3  \r\nabc\r\n0\r\n\r\n"),
            Wanted::post("abc"),
        )
        .in_body(),
        Vector::either(
            "an empty extension",
            chunked("3;\r\nabc\r\n0\r\n\r\n"),
            Wanted::post("abc"),
        )
        .in_body(),
        Vector::either(
            "a chunk size of 17 digits, most of them zeros",
            chunked("00000000000000003\r\nabc\r\n0\r\n\r\n"),
            Wanted::post("abc"),
        )
        .in_body(),
        Vector::served("a chunked body that comes in pieces", chunked("3\r"), Wanted::post("abc"))
            .then(Step::Pause)
            .then(Step::Write(b"\nab".to_vec()))
            .then(Step::Pause)
            .then(Step::Write(b"c\r\n0\r\n\r".to_vec()))
            .then(Step::Pause)
            .then(Step::Write(b"\n".to_vec())),
    ]
}

fn long() -> Vec<Vector> {
    let many = "1\r\nx\r\n".repeat(1_000) + "0\r\n\r\n";
    let extension = format!("3;x={}\r\nabc\r\n0\r\n\r\n", "y".repeat(64 << 10));
    let trailers = format!("3\r\nabc\r\n0\r\n{}\r\n", "X-Sum: 7\r\n".repeat(10_000));
    vec![
        Vector::served("a thousand chunks", chunked(many), Wanted::post("x".repeat(1_000))),
        Vector::refused("an extension of 64 KiB", chunked(extension))
            .in_body()
            .with(&[400, 413, 431]),
        Vector::refused("ten thousand trailers", chunked(trailers))
            .in_body()
            .with(&[400, 413, 431]),
    ]
}

/// The client ends its sending side before the body is whole.
fn early_ends() -> Vec<Vector> {
    let ends = [
        ("a chunked body that ends before the first chunk", ""),
        ("a chunked body that ends within a size", "3"),
        ("a chunked body that ends within a chunk", "3\r\nab"),
        ("a chunked body that ends after a chunk", "3\r\nabc\r\n"),
        ("a chunked body that ends after the last chunk's size", "3\r\nabc\r\n0\r\n"),
        ("a chunked body that ends within its trailers", "3\r\nabc\r\n0\r\nX: y\r\n"),
    ];
    let early = |(what, body): (&str, &str)| {
        let vector = Vector::refused(what, chunked(body)).in_body().with(&[400, 408]);
        vector.then(Step::HalfClose).ends(Ends::Closed)
    };
    ends.into_iter().map(early).collect()
}
