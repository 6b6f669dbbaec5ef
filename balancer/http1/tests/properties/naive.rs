//! A second reading, written as plainly as can be: slow, and strict by other means.

use muster_http1::RequestBody;

/// The first line, and the header lines as name (in small letters) and value.
pub(crate) struct Plain {
    pub(crate) first: String,
    pub(crate) lines: Vec<(String, String)>,
}

/// Takes a head apart at its line ends. Bytes beyond ASCII become question marks.
pub(crate) fn read(head: &[u8]) -> Plain {
    let text: String =
        head.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect();
    let text = text.strip_suffix("\r\n\r\n").expect("a head ends with an empty line");
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap().to_owned();
    let pair = |line: &str| {
        let (name, value) = line.split_once(':').expect("a line has a colon");
        (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
    };
    Plain { first, lines: lines.map(pair).collect() }
}

// === impl Plain ===

impl Plain {
    /// The values of the lines of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let own = self.lines.iter().filter(|(own, _)| own == name);
        own.map(|(_, value)| value.as_str()).collect()
    }

    /// Where the body ends, if there is exactly one way to say it.
    pub(crate) fn framing(&self) -> Option<RequestBody> {
        match (&self.all("content-length")[..], &self.all("transfer-encoding")[..]) {
            ([], []) => Some(RequestBody::None),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().ok().map(RequestBody::Length)
            }
            ([], ["chunked"]) => Some(RequestBody::Chunked),
            _ => None,
        }
    }

    /// The lines that concern one connection only are no part of this.
    pub(crate) fn end_to_end(&self) -> Vec<(String, String)> {
        let hop = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "upgrade",
            "http2-settings",
        ];
        let connection = self.all("connection").join(",").to_ascii_lowercase();
        let named: Vec<_> = connection.split(',').map(str::trim).collect();
        let stays = |name: &str| !hop.contains(&name) && !named.contains(&name);
        self.lines.iter().filter(|(name, _)| stays(name)).cloned().collect()
    }
}
