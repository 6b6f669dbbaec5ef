//! What several readings have to agree about: of one head in parts, of a head before and after it
//! was written, of one body in pieces.

use muster_http1::{
    BadChunk, BodyReader, Framing, HeadLimits, Question, RequestChanges, RequestHead, ResponseBody,
    ResponseChanges, TraceLines, Version, parse_request, parse_response,
};

use super::naive;

const QUESTIONS: [Question; 3] = [
    Question { is_head: false, asks_upgrade: false },
    Question { is_head: true, asks_upgrade: false },
    Question { is_head: false, asks_upgrade: true },
];

/// A head that comes in two parts is judged as if it came in one: either the first part says
/// nothing yet, or it says what the whole says.
pub(crate) fn is_judged_alike(
    bytes: &[u8],
    ends: impl Iterator<Item = usize> + Clone,
    limits: &HeadLimits,
) {
    let whole = parse_request(bytes, limits);
    for end in ends.clone() {
        let part = parse_request(&bytes[..end], limits);
        assert!(part == Ok(None) || part == whole, "{end}: {part:?}, {whole:?}");
    }
    for question in QUESTIONS {
        let whole = parse_response(bytes, limits, question);
        for end in ends.clone() {
            let part = parse_response(&bytes[..end], limits, question);
            assert!(part == Ok(None) || part == whole, "{end}: {part:?}, {whole:?}");
        }
    }
}

/// Whatever is read can be written and listed.
pub(crate) fn can_be_written(bytes: &[u8]) {
    let mut out = Vec::new();
    if let Ok(Some(head)) = parse_request(bytes, &HeadLimits::default()) {
        head.write(bytes, &RequestChanges::default(), &mut out);
        assert!(head.length <= bytes.len() && head.headers(bytes).count() <= 100);
    }
    for question in QUESTIONS {
        if let Ok(Some(head)) = parse_response(bytes, &HeadLimits::default(), question) {
            head.write(bytes, &ResponseChanges::default(), &mut out);
            assert!(head.length <= bytes.len() && head.headers(bytes).count() <= 100);
        }
    }
}

const TRUSTING: RequestChanges<'_> = RequestChanges {
    target: None,
    host: None,
    cookies: None,
    keeps_forwarding: true,
    trace: TraceLines::Kept,
    lines: &[],
};

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
    assert!(plain.has_usual_target() && plain.has_one_host(), "{}", plain.first);
    for name in ["connection", "te", "upgrade"] {
        assert!(plain.lists_tokens(name), "{name}: {:?}", plain.all(name));
    }
    assert_eq!(lowered(plain).framing(), Some(head.body));
}

/// A request is refused, or says the same to every reader.
pub(crate) fn request_agrees(bytes: &[u8]) {
    if let Ok(Some(head)) = parse_request(bytes, &HeadLimits::default()) {
        let out = written(&head, bytes);
        was_rightly_accepted(&head, bytes);
        others_agree(&head, bytes, &out);
        says_the_same(&head, bytes, &out);
    }
}

/// An answer is refused, or says the same to every reader.
pub(crate) fn answer_agrees(bytes: &[u8]) {
    let question = Question::default();
    if let Ok(Some(head)) = parse_response(bytes, &HeadLimits::default(), question) {
        for framing in [Framing::Keep, Framing::Chunked, Framing::Close] {
            let mut out = Vec::new();
            head.write(bytes, &ResponseChanges { framing, ..Default::default() }, &mut out);
            let again = parse_response(&out, &HeadLimits::default(), question);
            let again = again.unwrap().unwrap();
            assert_eq!((again.length, again.status), (out.len(), head.status));
            assert_eq!(again.reason(&out), head.reason(bytes));
            let expected = match (framing, head.body) {
                (_, ResponseBody::None) => ResponseBody::None,
                (Framing::Chunked, _) => ResponseBody::Chunked,
                (Framing::Close, ResponseBody::Chunked) => ResponseBody::Close,
                (Framing::Keep | Framing::Close, body) => body,
            };
            assert_eq!(again.body, expected);
            let plain = naive::read(&out);
            let framings = ["content-length", "transfer-encoding"].map(|name| plain.all(name));
            assert!(framings.concat().len() <= 1);
        }
    }
}

/// What one reading of a body gave.
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) kept: Vec<u8>,
    pub(crate) consumed: usize,
    pub(crate) data: u64,
    pub(crate) verdict: Result<(), BadChunk>,
}

/// Reads a body in pieces of these sizes, then in one.
pub(crate) fn read(mut reader: BodyReader, body: &[u8], sizes: &[usize]) -> Read {
    let (mut kept, mut consumed) = (Vec::new(), 0);
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(usize::MAX));
    while consumed < body.len() && !reader.is_done() {
        let size = sizes.next().unwrap().min(body.len() - consumed);
        let mut piece = body[consumed..consumed + size].to_vec();
        match reader.take(&mut piece) {
            Ok(taken) => {
                assert!(taken.kept <= taken.consumed && taken.consumed <= size);
                assert!(taken.consumed == size || reader.is_done());
                // What does not belong to the body has not been touched.
                assert_eq!(
                    piece[taken.consumed..],
                    body[consumed + taken.consumed..][..size - taken.consumed]
                );
                kept.extend_from_slice(&piece[..taken.kept]);
                consumed += taken.consumed;
            }
            Err(fault) => {
                return Read { kept, consumed: 0, data: 0, verdict: Err(fault) };
            }
        }
    }
    Read { kept, consumed, data: reader.data(), verdict: reader.end() }
}

/// A body read in pieces gives what it gives in one.
pub(crate) fn is_read_alike(reader: &BodyReader, body: &[u8], sizes: &[usize]) {
    let whole = read(reader.clone(), body, &[]);
    let pieces = read(reader.clone(), body, sizes);
    match whole.verdict {
        // A fault ends the reading in its piece: what came before has been passed on.
        Err(fault) if fault != BadChunk::Premature => assert_eq!(pieces.verdict, Err(fault)),
        _ => assert_eq!(pieces, whole),
    }
}
