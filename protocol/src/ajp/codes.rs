//! The numbers that stand for words: packets, methods, header names, attributes.
//! (reference: AJP13, points 3 to 8)

/// Begins each packet to a node.
pub(super) const TO_NODE: [u8; 2] = [0x12, 0x34];

/// Begins each packet from a node.
pub(super) const FROM_NODE: [u8; 2] = *b"AB";

/// Stands for a string that is not there.
pub(super) const NULL: u16 = 0xFFFF;

/// The first byte of a header name that is a number; such a name is no string.
pub(super) const NAME_IS_CODED: u8 = 0xA0;

// === Packets ===

pub(super) const FORWARD_REQUEST: u8 = 2;
pub(super) const SEND_BODY_CHUNK: u8 = 3;
pub(super) const SEND_HEADERS: u8 = 4;
pub(super) const END_RESPONSE: u8 = 5;
pub(super) const GET_BODY_CHUNK: u8 = 6;

// === Attributes ===

pub(super) const QUERY: u8 = 0x05;
pub(super) const ROUTE: u8 = 0x06;
pub(super) const TLS_CERTIFICATE: u8 = 0x07;
pub(super) const TLS_CIPHER: u8 = 0x08;
pub(super) const NAMED: u8 = 0x0A;
pub(super) const TLS_KEY_SIZE: u8 = 0x0B;
pub(super) const SECRET: u8 = 0x0C;
pub(super) const METHOD: u8 = 0x0D;
pub(super) const ATTRIBUTES_END: u8 = 0xFF;

/// Stands for a method without a number; [`METHOD`] has its name.
pub(super) const METHOD_IS_NAMED: u8 = 0xFF;

// === Words ===

/// The number of a method, where it has one; methods know case.
pub(super) fn method(name: &str) -> Option<u8> {
    const METHODS: [&str; 27] = [
        "OPTIONS",
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "TRACE",
        "PROPFIND",
        "PROPPATCH",
        "MKCOL",
        "COPY",
        "MOVE",
        "LOCK",
        "UNLOCK",
        "ACL",
        "REPORT",
        "VERSION-CONTROL",
        "CHECKIN",
        "CHECKOUT",
        "UNCHECKOUT",
        "SEARCH",
        "MKWORKSPACE",
        "UPDATE",
        "LABEL",
        "MERGE",
        "BASELINE-CONTROL",
        "MKACTIVITY",
    ];
    METHODS.iter().zip(1..).find(|&(&method, _)| method == name).map(|(_, code)| code)
}

/// The number of a request header, where it has one; the first byte is [`NAME_IS_CODED`].
pub(super) fn request_header(name: &str) -> Option<[u8; 2]> {
    const HEADERS: [&str; 14] = [
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "authorization",
        "connection",
        "content-type",
        "content-length",
        "cookie",
        "cookie2",
        "host",
        "pragma",
        "referer",
        "user-agent",
    ];
    let mut numbered = HEADERS.iter().zip(1..);
    numbered.find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, n)| [NAME_IS_CODED, n])
}

/// The answer header that a number stands for; `code` is what follows [`NAME_IS_CODED`].
pub(super) fn answer_header(code: u8) -> Option<&'static str> {
    const HEADERS: [&str; 11] = [
        "Content-Type",
        "Content-Language",
        "Content-Length",
        "Date",
        "Last-Modified",
        "Location",
        "Set-Cookie",
        "Set-Cookie2",
        "Servlet-Engine",
        "Status",
        "WWW-Authenticate",
    ];
    HEADERS.get(usize::from(code).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_the_numbers_of_the_protocol() {
        assert_eq!(
            (method("OPTIONS"), method("GET"), method("MKACTIVITY")),
            (Some(1), Some(2), Some(27))
        );
        assert_eq!((method("PATCH"), method("get")), (None, None));
        assert_eq!(request_header("Accept"), Some([0xA0, 0x01]));
        assert_eq!(request_header("user-agent"), Some([0xA0, 0x0E]));
        assert_eq!(request_header("x-node"), None);
        assert_eq!(
            (answer_header(1), answer_header(11)),
            (Some("Content-Type"), Some("WWW-Authenticate"))
        );
        assert_eq!((answer_header(0), answer_header(12)), (None, None));
    }
}
