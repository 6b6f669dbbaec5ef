//! What is written says what was read, once, to every reader.

use muster_http1::{
    Framing, HeadLimits, Question, RequestChanges, RequestHead, ResponseBody, ResponseChanges,
    Version, parse_request, parse_response,
};
use proptest::prelude::*;

use super::{make, naive};

const TRUSTING: RequestChanges<'_> =
    RequestChanges { target: None, host: None, cookies: None, keeps_forwarding: true, lines: &[] };

fn written(head: &RequestHead, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    head.write(bytes, &TRUSTING, &mut out);
    out
}

/// Our own parser reads the written head as it read the first one.
fn says_the_same(head: &RequestHead, bytes: &[u8], out: &[u8]) {
    if head.host.is_empty() {
        return; // HTTP/1.0 without a host: the engine gives one.
    }
    let again = parse_request(out, &HeadLimits::default()).unwrap().unwrap();
    assert_eq!(again.length, out.len());
    assert_eq!(again.method.of(out), head.method.of(bytes));
    assert_eq!(again.origin(out), head.origin(bytes));
    assert_eq!(again.host.of(out), head.host.of(bytes));
    assert_eq!((again.version, again.body), (Version::Http11, head.body));
    let upgrade = |head: &RequestHead, bytes: &[u8]| head.upgrade.map(|at| at.of(bytes).to_vec());
    assert_eq!(upgrade(&again, out), upgrade(head, bytes));
    let cookies = |head: &RequestHead, bytes: &[u8]| {
        head.cookies.iter().map(|cookie| cookie.of(bytes).to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(cookies(&again, out), cookies(head, bytes));
    // Written once more it is the same, but for the place of the upgrade lines.
    assert_eq!(written(&again, out).len(), out.len());
}

/// Another parser and a naive reading find the same framing and the same lines.
fn others_agree(head: &RequestHead, bytes: &[u8], out: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let mut second = httparse::Request::new(&mut headers);
    assert_eq!(second.parse(out), Ok(httparse::Status::Complete(out.len())));
    assert_eq!(second.path.unwrap().as_bytes(), head.origin(bytes));

    let (before, after) = (naive::read(&bytes[..head.length]), naive::read(out));
    assert_eq!(after.framing(), Some(head.body), "{}", out.escape_ascii());
    assert_eq!(after.all("host").len(), 1);
    assert_eq!(second.headers.len(), after.lines.len());
    let mut expected = before.end_to_end();
    let mut found = after.end_to_end();
    // These may be spelt and placed otherwise.
    let is_checked = |name: &str| !["host", "transfer-encoding", "expect"].contains(&name);
    expected.retain(|(name, _)| is_checked(name));
    found.retain(|(name, _)| is_checked(name));
    assert_eq!(found, expected);
}

/// A reader that is as strict as ours, but was written another way, accepts what we accept.
fn was_rightly_accepted(head: &RequestHead, bytes: &[u8]) {
    let plain = naive::read(&bytes[..head.length]);
    let lowered = |mut plain: naive::Plain| {
        let encodings = plain.lines.iter_mut().filter(|(name, _)| name == "transfer-encoding");
        encodings.for_each(|(_, value)| value.make_ascii_lowercase());
        plain
    };
    assert!(!bytes[..head.length].windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r'));
    assert!(plain.first.matches(' ').count() == 2 && plain.all("host").len() <= 1);
    assert_eq!(lowered(plain).framing(), Some(head.body));
}

fn holds(bytes: &[u8]) {
    if let Ok(Some(head)) = parse_request(bytes, &HeadLimits::default()) {
        let out = written(&head, bytes);
        was_rightly_accepted(&head, bytes);
        others_agree(&head, bytes, &out);
        says_the_same(&head, bytes, &out);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_good_request_says_the_same_to_every_reader(head in make::good()) {
        prop_assert!(parse_request(&head, &HeadLimits::default()).unwrap().is_some());
        holds(&head);
    }

    #[test]
    fn a_wild_request_is_refused_or_says_the_same_to_every_reader(head in make::wild()) {
        holds(&head);
    }

    #[test]
    fn an_answer_says_the_same_to_every_reader(bytes in make::answer()) {
        let question = Question::default();
        if let Ok(Some(head)) = parse_response(&bytes, &HeadLimits::default(), question) {
            for framing in [Framing::Keep, Framing::Chunked, Framing::Close] {
                let mut out = Vec::new();
                head.write(&bytes, &ResponseChanges { framing, ..Default::default() }, &mut out);
                let again = parse_response(&out, &HeadLimits::default(), question);
                let again = again.unwrap().unwrap();
                prop_assert_eq!((again.length, again.status), (out.len(), head.status));
                prop_assert_eq!(again.reason(&out), head.reason(&bytes));
                let expected = match (framing, head.body) {
                    (_, ResponseBody::None) => ResponseBody::None,
                    (Framing::Chunked, _) => ResponseBody::Chunked,
                    (Framing::Close, ResponseBody::Chunked) => ResponseBody::Close,
                    (Framing::Keep | Framing::Close, body) => body,
                };
                prop_assert_eq!(again.body, expected);
                let plain = naive::read(&out);
                let framings = ["content-length", "transfer-encoding"].map(|name| plain.all(name));
                prop_assert!(framings.concat().len() <= 1);
            }
        }
    }
}
