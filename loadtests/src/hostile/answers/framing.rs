//! Answers whose length is said in two ways, or in none that counts.

use super::super::answer::{HostileAnswer, Outcome};
use super::say;

/// Values that are no length.
const BAD_LENGTHS: &[(&str, &str)] = &[
    ("with a plus sign", "+5"),
    ("with a minus sign", "-5"),
    ("in hexadecimal", "0x5"),
    ("with letters behind", "5abc"),
    ("with a fraction", "5.0"),
    ("beyond 64 bits", "18446744073709551621"),
    ("of 40 digits", "5000000000000000000000000000000000000000"),
    ("that is empty", ""),
    ("as a list of different ones", "5, 6"),
];

/// Codings that are not chunked.
const BAD_CODINGS: &[(&str, &str)] = &[
    ("identity", "identity"),
    ("chunked and then identity", "chunked, identity"),
    ("with an unknown name that ends in chunked", "xchunked"),
    ("with a vertical tab", "\x0bchunked"),
    ("in quotes", "\"chunked\""),
    ("that is empty", ""),
];

const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

pub(super) fn answers() -> Vec<HostileAnswer> {
    let lengths = BAD_LENGTHS.iter().map(|(what, value)| {
        let answer = say("200 OK", &format!("Content-Length: {value}\r\n"), "hello");
        HostileAnswer::closing(format!("an answer with a Content-Length {what}"), answer)
    });
    let codings = BAD_CODINGS.iter().map(|(what, value)| {
        let answer = say("200 OK", &format!("Transfer-Encoding: {value}\r\n"), CHUNKS);
        HostileAnswer::closing(format!("an answer with a Transfer-Encoding {what}"), answer)
    });
    lengths.chain(codings).chain(doubled()).collect()
}

fn doubled() -> Vec<HostileAnswer> {
    let hello = || Outcome::honest(200, "hello");
    let closing = |name: &str, lines: &str, body: &str| {
        HostileAnswer::closing(name, say("200 OK", lines, body))
    };
    vec![
        closing(
            "two different Content-Lengths",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "hello!",
        ),
        // One value in the place of equal ones is right too.
        closing("two equal Content-Lengths", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello")
            .or(hello()),
        closing("a list of equal Content-Lengths", "Content-Length: 5, 5\r\n", "hello").or(hello()),
        // So is the coding in the place of the length.
        closing(
            "Content-Length and Transfer-Encoding",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            CHUNKS,
        )
        .or(hello()),
        closing(
            "Transfer-Encoding and a smaller Content-Length",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            CHUNKS,
        )
        .or(hello()),
        HostileAnswer::closing(
            "an answer with chunks in HTTP/1.0",
            format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKS}"),
        ),
        closing("a Transfer-Encoding in capitals", "TRANSFER-ENCODING: Chunked\r\n", CHUNKS)
            .or(hello()),
        HostileAnswer::closing(
            "a body that ends with the connection",
            "HTTP/1.0 200 OK\r\n\r\nhello",
        )
        .only(hello()),
        closing("a body of HTTP/1.1 that ends with the connection", "", "hello").only(hello()),
    ]
}
