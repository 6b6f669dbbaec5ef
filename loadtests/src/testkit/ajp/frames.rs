//! The frames of AJP13, a node's side of them, read and written without any code of the
//! balancer's (reference: AJP13).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What opens the balancer's frames, and the node's.
const FROM_BALANCER: u16 = 0x1234;
const FROM_NODE: [u8; 2] = *b"AB";

const FORWARD: u8 = 2;
const CPING: u8 = 10;
const NULL: u16 = 0xFFFF;

const METHODS: &str = "OPTIONS GET HEAD POST PUT DELETE TRACE PROPFIND PROPPATCH MKCOL COPY MOVE \
    LOCK UNLOCK ACL REPORT VERSION-CONTROL CHECKIN CHECKOUT UNCHECKOUT SEARCH MKWORKSPACE UPDATE \
    LABEL MERGE BASELINE-CONTROL MKACTIVITY";

const HEADERS: &str = "accept accept-charset accept-encoding accept-language authorization \
    connection content-type content-length cookie cookie2 host pragma referer user-agent";

/// The head of a request, word for word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The path.
    pub uri: String,
    /// The client's address.
    pub remote_addr: String,
    /// The host that the client asked for.
    pub server_name: String,
    /// The port that it asked for.
    pub server_port: u16,
    /// Whether the client came over TLS.
    pub is_tls: bool,
    /// The headers in their order, names in lower case where they have a number.
    pub headers: Vec<(String, String)>,
    /// Attributes, by name, or by number where they have none (12 is the secret).
    pub attributes: Vec<(String, String)>,
}

/// What a balancer sends between two requests.
#[derive(Debug)]
pub enum Packet {
    /// CPing.
    Ping,
    /// A request.
    Request(Box<Head>),
}

/// What is left of a frame's content.
struct Reader<'p>(&'p [u8]);

// === impl Head ===

impl Head {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// An attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

// === Reading ===

/// Reads what comes next; `None` at the connection's end.
pub async fn packet(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Packet>> {
    let Some(content) = frame(stream).await? else { return Ok(None) };
    let packet = match content.split_first() {
        Some((&CPING, [])) => Some(Packet::Ping),
        Some((&FORWARD, rest)) => head(Reader(rest)).map(|head| Packet::Request(Box::new(head))),
        _ => None,
    };
    packet.map(Some).ok_or_else(|| bad("no CPing and no FORWARD_REQUEST"))
}

/// Reads a frame of the request's body; empty at the body's end.
pub async fn data(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let content = frame(stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    match content.split_first_chunk::<2>() {
        None if content.is_empty() => Ok(content),
        Some((length, data)) if usize::from(u16::from_be_bytes(*length)) == data.len() => {
            Ok(data.to_vec())
        }
        _ => Err(bad("a frame of data with another length")),
    }
}

async fn frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut opening = [0; 4];
    match stream.read_exact(&mut opening).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let [a, b, high, low] = opening;
    if u16::from_be_bytes([a, b]) != FROM_BALANCER {
        return Err(bad("not a balancer's frame"));
    }
    let mut content = vec![0; usize::from(u16::from_be_bytes([high, low]))];
    stream.read_exact(&mut content).await?;
    Ok(Some(content))
}

fn head(mut packet: Reader<'_>) -> Option<Head> {
    let method = packet.byte()?;
    let _protocol = packet.string()?;
    let mut head =
        Head { uri: packet.string()??, remote_addr: packet.string()??, ..Head::default() };
    let _remote_host = packet.string()?;
    head.server_name = packet.string()??;
    head.server_port = packet.number()?;
    head.is_tls = packet.byte()? == 1;
    for _ in 0..packet.number()? {
        let name = match packet.0.first()? {
            0xA0 => word(HEADERS, packet.bytes(2)?[1])?,
            _ => packet.string()??,
        };
        head.headers.push((name, packet.string()??));
    }
    loop {
        head.attributes.push(match packet.byte()? {
            0xFF => break,
            0x0A => (packet.string()??, packet.string()??),
            0x0B => ("11".to_owned(), packet.number()?.to_string()),
            number => (number.to_string(), packet.string()??),
        });
    }
    head.method = match method {
        0xFF => head.attribute("13")?.to_owned(),
        number => word(METHODS, number)?,
    };
    packet.0.is_empty().then_some(head)
}

fn word(words: &str, number: u8) -> Option<String> {
    let at = usize::from(number).checked_sub(1)?;
    words.split_whitespace().nth(at).map(str::to_owned)
}

impl<'p> Reader<'p> {
    fn bytes(&mut self, count: usize) -> Option<&'p [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn number(&mut self) -> Option<u16> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*number))
    }

    /// The inner `None` is AJP's null.
    fn string(&mut self) -> Option<Option<String>> {
        let length = self.number()?;
        if length == NULL {
            return Some(None);
        }
        let text = String::from_utf8_lossy(self.bytes(usize::from(length))?).into_owned();
        (self.byte()? == 0).then_some(Some(text))
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

// === Writing ===

/// CPong.
pub fn pong() -> Vec<u8> {
    framed(&[9])
}

/// SEND_HEADERS.
pub fn answer_head(status: u16, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut content = vec![4];
    content.extend(status.to_be_bytes());
    content.extend(text("OK"));
    content.extend((headers.len() as u16).to_be_bytes());
    for (name, value) in headers {
        content.extend(text(name));
        content.extend(text(value));
    }
    framed(&content)
}

/// SEND_BODY_CHUNK of at most 8 KiB; without data it is a flush.
pub fn chunk(data: &[u8]) -> Vec<u8> {
    framed(&[&[3], &(data.len() as u16).to_be_bytes()[..], data, b"\0"].concat())
}

/// GET_BODY_CHUNK.
pub fn wish(bytes: u16) -> Vec<u8> {
    framed(&[&[6], &bytes.to_be_bytes()[..]].concat())
}

/// END_RESPONSE.
pub fn end(is_reusable: bool) -> Vec<u8> {
    framed(&[5, u8::from(is_reusable)])
}

fn framed(content: &[u8]) -> Vec<u8> {
    [&FROM_NODE, &(content.len() as u16).to_be_bytes()[..], content].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text.as_bytes(), b"\0"].concat()
}
