//! The words of the stories: a head is a list of lines.

use muster_http1::{
    BadRequest, BadResponse, HeadLimits, Question, RequestChanges, RequestHead, ResponseChanges,
    ResponseHead, parse_request, parse_response,
};

/// A head of these lines.
pub(crate) fn head(lines: &[&str]) -> Vec<u8> {
    let mut head = lines.join("\r\n").into_bytes();
    head.extend_from_slice(b"\r\n\r\n");
    head
}

/// A head of a good first line and Host, and these lines.
pub(crate) fn get(lines: &[&str]) -> Vec<u8> {
    head(&[&["GET /shop HTTP/1.1", "Host: shop.example"], lines].concat())
}

/// The same of a POST.
pub(crate) fn post(lines: &[&str]) -> Vec<u8> {
    head(&[&["POST /shop HTTP/1.1", "Host: shop.example"], lines].concat())
}

/// The head that is there, whole and good.
pub(crate) fn read(bytes: &[u8]) -> RequestHead {
    parse_request(bytes, &HeadLimits::default()).unwrap().unwrap()
}

/// Why it is refused.
pub(crate) fn refusal(bytes: &[u8]) -> BadRequest {
    parse_request(bytes, &HeadLimits::default()).unwrap_err()
}

/// Its log word.
pub(crate) fn refused(bytes: &[u8]) -> &'static str {
    refusal(bytes).word()
}

/// What the node gets, as text.
pub(crate) fn written(bytes: &[u8], changes: &RequestChanges<'_>) -> String {
    let mut out = Vec::new();
    read(bytes).write(bytes, changes, &mut out);
    String::from_utf8(out).unwrap()
}

/// What the node gets when nothing is to be changed.
pub(crate) fn passed(bytes: &[u8]) -> String {
    written(bytes, &RequestChanges::default())
}

/// Lines as text.
pub(crate) fn text(lines: &[&str]) -> String {
    String::from_utf8(head(lines)).unwrap()
}

/// The answer to a GET.
pub(crate) fn answer(bytes: &[u8]) -> ResponseHead {
    parse_response(bytes, &HeadLimits::default(), Question::default()).unwrap().unwrap()
}

/// Why an answer is not passed on.
pub(crate) fn bad_answer(bytes: &[u8]) -> BadResponse {
    parse_response(bytes, &HeadLimits::default(), Question::default()).unwrap_err()
}

/// What the client gets, as text.
pub(crate) fn told(bytes: &[u8], changes: &ResponseChanges<'_>) -> String {
    let mut out = Vec::new();
    answer(bytes).write(bytes, changes, &mut out);
    String::from_utf8(out).unwrap()
}
