//! Answers of our own, as Pingora writes them and as we do.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use pingora_core::Result;
use pingora_http::ResponseHeader;

use crate::proxy::Refused;

/// The answer to a request that cannot be read, on a connection that ends with it, as text.
pub(super) fn last(refused: Refused) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {}\r\n", refused.status_line()).into_bytes();
    let Ok((mut head, body)) = answer(refused) else { return text };
    let _ = head.insert_header(CONNECTION, "close");
    for (name, value) in &head.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    text
}

/// Head and body.
pub(super) fn answer(refused: Refused) -> Result<(ResponseHeader, Bytes)> {
    let body = Bytes::from(refused.body());
    let mut head = ResponseHeader::build(refused.status(), Some(4))?;
    head.insert_header(CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    if let Some(allow) = refused.allow() {
        head.insert_header(ALLOW, allow)?;
    }
    if let Some(after) = refused.retry_after() {
        head.insert_header(RETRY_AFTER, after.as_secs())?;
    }
    Ok((head, body))
}
