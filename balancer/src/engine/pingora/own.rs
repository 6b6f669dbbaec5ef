//! Answers of our own, as Pingora writes them.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use pingora_core::Result;
use pingora_http::ResponseHeader;

use crate::proxy::{Refused, refuse};

/// Head and body.
pub(super) fn answer(refused: Refused) -> Result<(ResponseHeader, Bytes)> {
    let body = Bytes::from(refused.body());
    let mut head = ResponseHeader::build(refused.status(), Some(4))?;
    head.insert_header(CONTENT_TYPE, refuse::CONTENT_TYPE)?;
    head.insert_header(CONTENT_LENGTH, body.len())?;
    if let Some(allow) = refused.allow() {
        head.insert_header(ALLOW, allow)?;
    }
    if let Some(after) = refused.retry_after() {
        head.insert_header(RETRY_AFTER, after.as_secs())?;
    }
    Ok((head, body))
}
