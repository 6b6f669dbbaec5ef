//! Content-Length in every form.

use crate::hostile::vector::{Vector, Wanted, get, post, request, smuggled};

/// Values that are no length, or not one that every reader reads alike. The body is `abc`.
const BAD: &[(&str, &[u8])] = &[
    ("with a plus sign", b"+3"),
    ("with a minus sign", b"-3"),
    ("in hexadecimal", b"0x3"),
    ("with letters behind", b"3abc"),
    ("that is empty", b""),
    ("with a blank inside", b"3 3"),
    ("with a fraction", b"3.0"),
    ("with an exponent", b"3e0"),
    ("beyond 64 bits", b"18446744073709551619"),
    ("of 30 digits", b"300000000000000000000000000003"),
    ("with a parameter", b"3;x=y"),
    ("in quotes", b"\"3\""),
    ("with an underscore", b"3_0"),
    ("as a list of equal ones", b"3, 3"),
    ("as a list of different ones", b"3, 4"),
    ("with a comma behind", b"3,"),
    ("with a comma before", b",3"),
    ("with a NUL", b"3\x00"),
    ("with a vertical tab", b"\x0b3"),
    ("with a non-breaking blank", b"3\xa0"),
    ("in full-width digits", "\u{ff13}".as_bytes()),
];

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, value)| {
        let line = [b"Content-Length: ", *value, b"\r\n"].concat();
        Vector::refused(format!("a Content-Length {what}"), post(line, "abc"))
    });
    bad.chain(doubled()).chain(good()).collect()
}

fn doubled() -> Vec<Vector> {
    let smuggled = smuggled();
    let hidden = format!("Content-Length: 0\r\nContent-Length: {}\r\n", smuggled.len());
    let shown = format!("Content-Length: {}\r\nContent-Length: 0\r\n", smuggled.len());
    vec![
        Vector::refused(
            "two equal Content-Length fields",
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        ),
        Vector::refused(
            "two different Content-Length fields",
            post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        ),
        Vector::refused(
            "two Content-Length fields in different case",
            post("Content-Length: 3\r\ncontent-length: 3\r\n", "abc"),
        ),
        Vector::refused(
            "three equal Content-Length fields",
            post("Content-Length: 3\r\nX: y\r\nContent-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        ),
        Vector::refused(
            "a good Content-Length and an empty one",
            post("Content-Length: 3\r\nContent-Length:\r\n", "abc"),
        ),
        Vector::refused("a Content-Length of 0 before the real one", post(hidden, &smuggled)),
        Vector::refused("a Content-Length of 0 after the real one", post(shown, &smuggled)),
        Vector::refused(
            "a blank before the colon of Content-Length",
            post("Content-Length : 3\r\n", "abc"),
        ),
        Vector::refused("a folded Content-Length", post("Content-Length:\r\n 3\r\n", "abc")),
    ]
}

fn good() -> Vec<Vector> {
    let forty_zeros = format!("Content-Length: {}3\r\n", "0".repeat(40));
    vec![
        Vector::served(
            "a Content-Length without a blank after the colon",
            post("Content-Length:3\r\n", "abc"),
            Wanted::post("abc"),
        ),
        Vector::either(
            "a Content-Length between tabs",
            post("Content-Length:\t3\t\r\n", "abc"),
            Wanted::post("abc"),
        ),
        Vector::either(
            "a Content-Length with a leading zero",
            post("Content-Length: 03\r\n", "abc"),
            Wanted::post("abc"),
        ),
        Vector::either(
            "a Content-Length with forty leading zeros",
            post(forty_zeros, "abc"),
            Wanted::post("abc"),
        ),
        Vector::served("a body of no bytes", post("Content-Length: 0\r\n", ""), Wanted::post("")),
        Vector::served("a POST that announces no body", post("", ""), Wanted::post("")),
        Vector::served(
            "a GET with a body",
            request("GET", "Content-Length: 3\r\n", "abc"),
            Wanted { body: b"abc".to_vec(), ..Wanted::get() },
        ),
        Vector::served(
            "a name that only looks like Content-Length",
            get("Content-Lengths: 3\r\n"),
            Wanted::get().has("content-lengths", b"3"),
        ),
    ]
}
