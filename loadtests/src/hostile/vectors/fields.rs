//! Header names and values.

use crate::hostile::vector::{Vector, Wanted, get};

/// Header lines that are none.
const BAD: &[(&str, &[u8])] = &[
    ("a header line without a colon", b"X-A\r\n"),
    ("a header line without a name", b": b\r\n"),
    ("a blank in a header name", b"X A: b\r\n"),
    ("a blank before a colon", b"X-A : b\r\n"),
    ("a tab before a colon", b"X-A\t: b\r\n"),
    ("a bracket in a header name", b"X(A): b\r\n"),
    ("an at sign in a header name", b"X@A: b\r\n"),
    ("a slash in a header name", b"X/A: b\r\n"),
    ("a quote in a header name", b"X\"A: b\r\n"),
    ("a semicolon in a header name", b"X;A: b\r\n"),
    ("a comma in a header name", b"X,A: b\r\n"),
    ("a header name that is not ASCII", b"X-\xe9: b\r\n"),
    ("a header name in UTF-8", "X-\u{e9}: b\r\n".as_bytes()),
];

pub(super) fn vectors() -> Vec<Vector> {
    let bad = BAD.iter().map(|(what, line)| Vector::refused(*what, get(line)));
    bad.chain(good()).collect()
}

fn good() -> Vec<Vector> {
    let long = format!("X-Long: {}\r\n", "y".repeat(8 << 10));
    let pass = |name: &str, lines: &[u8], header: &'static str, value: &'static [u8]| {
        Vector::served(name, get(lines), Wanted::get().has(header, value))
    };
    vec![
        pass("an empty header value", b"X-A:\r\nX-B: c\r\n", "x-a", b""),
        pass("a header value of blanks", b"X-A:    \r\n", "x-a", b""),
        pass("blanks around a header value", b"X-A: \t b \t \r\n", "x-a", b"b"),
        pass("no blank before a header value", b"X-A:b\r\n", "x-a", b"b"),
        pass("a tab within a header value", b"X-A: b\tc\r\n", "x-a", b"b\tc"),
        pass(
            "a header value of Latin-1 bytes",
            b"X-A: K\xf6ln \x80\xff\r\n",
            "x-a",
            b"K\xf6ln \x80\xff",
        ),
        pass(
            "a header value in UTF-8",
            "X-A: \u{20ac}\r\n".as_bytes(),
            "x-a",
            "\u{20ac}".as_bytes(),
        ),
        pass(
            "colons and quotes in a header value",
            b"X-A: a:b, \"c;d\"\r\n",
            "x-a",
            b"a:b, \"c;d\"",
        ),
        pass(
            "a header value that looks like a request line",
            b"X-A: GET / HTTP/1.1\r\n",
            "x-a",
            b"GET / HTTP/1.1",
        ),
        pass(
            "all the characters of a header name",
            b"!#$%&'*+-.^_`|~09azAZ: b\r\n",
            "!#$%&'*+-.^_`|~09azAZ",
            b"b",
        ),
        pass("a header name of one digit", b"1: b\r\n", "1", b"b"),
        Vector::served(
            "a header that is there three times",
            get("X-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-A: 1\r\n"),
            Wanted::get().has_all("x-a", &[b"1", b"3", b"1"]).has("x-b", b"2"),
        ),
        Vector::served("a header of 8 KiB", get(long), Wanted::get()),
        Vector::served("two Cookie fields", get("Cookie: a=1\r\nCookie: b=2\r\n"), Wanted::get()),
    ]
}
