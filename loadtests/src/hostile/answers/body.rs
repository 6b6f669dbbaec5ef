//! Bodies that break off, chunks that are none.

use super::super::answer::{HostileAnswer, Outcome};
use super::super::backend::Act;
use super::say;

/// Chunked bodies that are broken; all begin with a good chunk `hello`.
const BAD_CHUNKS: &[(&str, &str)] = &[
    ("a chunk size that is no number", "x\r\nhello\r\n0\r\n\r\n"),
    ("an empty chunk size", "\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size with a plus sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a negative chunk size", "-5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size that begins with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a blank before a chunk size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("a chunk size beyond 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a chunk longer than its size", "3\r\nhello\r\n0\r\n\r\n"),
    ("no line end after a chunk", "5\r\nhello0\r\n\r\n"),
    ("a bare LF after a chunk size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare LF after a chunk", "5\r\nhello\n0\r\n\r\n"),
    ("a bare CR after a chunk size", "5\rhello\r\n0\r\n\r\n"),
    ("a NUL in a chunk size", "5\0\r\nhello\r\n0\r\n\r\n"),
];

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// What may be got of a broken body: its beginning, or nothing.
fn broken(name: String, acts: Vec<Act>, beginning: &str) -> HostileAnswer {
    HostileAnswer::new(name, acts).or(Outcome::Cut(200, beginning.into()))
}

pub(super) fn answers() -> Vec<HostileAnswer> {
    let chunks = BAD_CHUNKS.iter().map(|(what, rest)| {
        let answer = say("200 OK", CHUNKED, &format!("5\r\nhello\r\n{rest}"));
        broken(format!("an answer with {what}"), vec![Act::Say(answer), Act::Close], "hellohello")
    });
    // That much may be announced; it cannot all come.
    let all_bits = say("200 OK", CHUNKED, "5\r\nhello\r\nffffffffffffffff\r\nworld");
    let all_bits = broken(
        "a chunk size of all bits".to_owned(),
        vec![Act::Say(all_bits), Act::Close],
        "helloworld",
    );
    chunks.chain([all_bits]).chain(cut()).chain(endless()).chain(good()).collect()
}

fn cut() -> Vec<HostileAnswer> {
    let length = || say("200 OK", "Content-Length: 10\r\n", "hello");
    let chunks = |rest: &str| say("200 OK", CHUNKED, &format!("5\r\nhello\r\n{rest}"));
    let cases = [
        ("a close within a body", length(), Act::Close),
        ("a reset within a body", length(), Act::Reset),
        ("a close within a chunk", chunks("5\r\nwo"), Act::Close),
        ("a reset within a chunk", chunks("5\r\nwo"), Act::Reset),
        ("a close within a chunk size", chunks("5"), Act::Close),
        ("a close before the last chunk", chunks(""), Act::Close),
        ("a close within the trailers", chunks("0\r\nX: y\r\n"), Act::Close),
        ("a close before the first chunk", say("200 OK", CHUNKED, ""), Act::Close),
    ];
    let case = |(name, bytes, end): (&str, _, _)| {
        broken(name.to_owned(), vec![Act::Say(bytes), end], "hellowo")
    };
    let huge = say("200 OK", "Content-Length: 999999999999999999\r\n", "hello");
    cases
        .into_iter()
        .map(case)
        .chain([broken(
            "a Content-Length of 18 digits and few bytes".to_owned(),
            vec![Act::Say(huge), Act::Close],
            "hello",
        )])
        .collect()
}

fn endless() -> Vec<HostileAnswer> {
    let start = |rest: &str| Act::Say(say("200 OK", CHUNKED, &format!("5\r\nhello\r\n{rest}")));
    vec![
        broken(
            "an extension that does not end".to_owned(),
            vec![start("5;x="), Act::Repeat(vec![b'y'; 64 << 10], 100), Act::Close],
            "hello",
        ),
        broken(
            "trailers that do not end".to_owned(),
            vec![start("0\r\n"), Act::Repeat("X: y\r\n".repeat(10_000).into(), 100), Act::Close],
            "hello",
        ),
        broken(
            "a chunk size that does not end".to_owned(),
            vec![start(""), Act::Repeat(vec![b'0'; 64 << 10], 100), Act::Close],
            "hello",
        ),
    ]
}

fn good() -> Vec<HostileAnswer> {
    let hello = || Outcome::honest(200, "hello");
    let chunked = |name: &str, body: &str| {
        HostileAnswer::keeping(name, say("200 OK", CHUNKED, body)).only(hello())
    };
    vec![
        chunked("an answer with a chunk extension", "5;x=y\r\nhello\r\n0;z\r\n\r\n"),
        chunked("an answer with trailers", "5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n"),
        chunked(
            "an answer in chunks of a byte",
            "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        ),
        // Trailers are dropped, so a proxy need not look at them.
        HostileAnswer::closing(
            "an answer with a trailer without a colon",
            say("200 OK", CHUNKED, "5\r\nhello\r\n0\r\ntrailer\r\n\r\n"),
        )
        .or(Outcome::Cut(200, b"hello".to_vec()))
        .or(hello()),
        HostileAnswer::closing(
            "an answer whose node closes though it said nothing of it",
            super::hello(""),
        )
        .only(hello()),
        HostileAnswer::keeping(
            "an answer whose node says close and does not",
            super::hello("Connection: close\r\n"),
        )
        .only(hello()),
    ]
}
