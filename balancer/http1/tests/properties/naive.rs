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

/// The data of a body in chunks and the body's length, if it is whole and good.
pub(crate) fn decode(body: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut rest) = (Vec::new(), body);
    loop {
        let (line, after) = cut_line(rest)?;
        let (size, extension) = match line.iter().position(|byte| *byte == b';') {
            Some(at) => (&line[..at], &line[at..]),
            None => (line, &[][..]),
        };
        let is_size = (1..=16).contains(&size.len()) && size.iter().all(u8::is_ascii_hexdigit);
        if !is_size || !is_text(extension) || line.len() > 256 {
            return None;
        }
        let size =
            usize::try_from(i64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?).ok()?;
        rest = after;
        if size == 0 {
            break;
        }
        data.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        let (line, after) = cut_line(rest)?;
        rest = after;
        if line.is_empty() {
            return Some((data, body.len() - rest.len()));
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if colon == 0 || !line[..colon].iter().all(is_name) || !is_text(&line[colon..]) {
            return None;
        }
    }
}

/// The text up to the first CRLF, and what follows it.
fn cut_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7F))
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

    /// The target, between the two blanks of the first line.
    pub(crate) fn target(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// Whether browsers write every character of the target so.
    pub(crate) fn has_usual_target(&self) -> bool {
        let path = self.target().split('?').next().unwrap_or_default();
        !self.target().contains(['#', '"', '<', '>']) && !path.contains('`')
    }

    /// Whether Host is the host of the URL, if both are there.
    pub(crate) fn has_one_host(&self) -> bool {
        let url = Some(self.target()).filter(|target| !target.starts_with('/'));
        let Some((scheme, rest)) = url.and_then(|url| url.split_once("://")) else { return true };
        let Some(host) = self.all("host").into_iter().find(|host| !host.is_empty()) else {
            return true;
        };
        let port = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        let plain = |host: &str| {
            let (name, own) = match host.rsplit_once(':') {
                Some((name, own)) if !own.ends_with(']') => (name, own),
                _ => (host, ""),
            };
            let own = if own.is_empty() { port } else { own.parse().unwrap() };
            (name.to_ascii_lowercase(), own)
        };
        plain(host) == plain(rest.split('/').next().unwrap_or_default())
    }

    /// Whether these lines list tokens, up to a `/` or `;`, and empty elements.
    pub(crate) fn lists_tokens(&self, name: &str) -> bool {
        let is_token = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        };
        let values = self.all(name).join(",");
        let mut elements = values.split(',').map(|element| element.trim_matches([' ', '\t']));
        elements.all(|element| match name {
            "te" => is_token(element.split(';').next().unwrap_or_default().trim_end()),
            "upgrade" => element.split('/').count() <= 2 && element.split('/').all(is_token),
            _ => is_token(element),
        })
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
