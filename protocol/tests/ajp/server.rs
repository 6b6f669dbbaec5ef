//! A node's side of AJP: reads requests and their bodies, writes answers. It is as plain as can
//! be and shares nothing with what it tests.

use muster_protocol::ajp::{BadAnswer, Event, Exchange};

// === What a node reads ===

/// A FORWARD_REQUEST, word for word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) protocol: String,
    pub(crate) uri: String,
    pub(crate) remote_addr: String,
    pub(crate) server_name: String,
    pub(crate) server_port: u16,
    pub(crate) is_tls: bool,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// By name, or by number where they have none; in their order.
    pub(crate) attributes: Vec<(String, String)>,
}

const METHODS: &str = "OPTIONS GET HEAD POST PUT DELETE TRACE PROPFIND PROPPATCH MKCOL COPY MOVE \
    LOCK UNLOCK ACL REPORT VERSION-CONTROL CHECKIN CHECKOUT UNCHECKOUT SEARCH MKWORKSPACE UPDATE \
    LABEL MERGE BASELINE-CONTROL MKACTIVITY";

const HEADERS: &str = "accept accept-charset accept-encoding accept-language authorization \
    connection content-type content-length cookie cookie2 host pragma referer user-agent";

fn word(words: &'static str, number: u8) -> String {
    words.split_whitespace().nth(usize::from(number) - 1).unwrap().to_owned()
}

pub(crate) struct Packet<'p>(pub(crate) &'p [u8]);

impl<'p> Packet<'p> {
    pub(crate) fn bytes(&mut self, count: usize) -> &'p [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes(self.bytes(2).try_into().unwrap())
    }

    fn raw(&mut self) -> Option<Vec<u8>> {
        let length = self.number();
        if length == 0xFFFF {
            return None;
        }
        let text = self.bytes(usize::from(length)).to_vec();
        assert_eq!(self.byte(), 0, "a string ends in zero");
        Some(text)
    }

    fn string(&mut self) -> String {
        String::from_utf8(self.raw().unwrap()).unwrap()
    }

    fn header(&mut self) -> (String, Vec<u8>) {
        let name = match self.0[0] {
            0xA0 => word(HEADERS, self.bytes(2)[1]),
            _ => self.string(),
        };
        (name, self.raw().unwrap())
    }
}

/// The packet's content, and what follows it.
pub(crate) fn packet(bytes: &[u8]) -> (Packet<'_>, &[u8]) {
    let mut packet = Packet(bytes);
    assert_eq!(packet.number(), 0x1234);
    let length = usize::from(packet.number());
    let content = packet.bytes(length);
    (Packet(content), packet.0)
}

/// Reads a FORWARD_REQUEST; returns what follows it too.
pub(crate) fn read_request(bytes: &[u8]) -> (Request, &[u8]) {
    let (mut packet, rest) = packet(bytes);
    assert_eq!(packet.byte(), 2);
    let method = packet.byte();
    let mut request = Request {
        protocol: packet.string(),
        uri: packet.string(),
        remote_addr: packet.string(),
        ..Request::default()
    };
    assert_eq!(packet.raw(), None, "nobody looked the client's name up");
    request.server_name = packet.string();
    request.server_port = packet.number();
    request.is_tls = packet.byte() == 1;
    request.headers = (0..packet.number()).map(|_| packet.header()).collect();
    request.attributes = read_attributes(&mut packet);
    assert!(packet.0.is_empty());
    let stored = request.attributes.iter().position(|(name, _)| name == "13");
    request.method = match stored {
        Some(at) if method == 0xFF => request.attributes.remove(at).1,
        _ => word(METHODS, method),
    };
    (request, rest)
}

fn read_attributes(packet: &mut Packet<'_>) -> Vec<(String, String)> {
    let mut attributes = Vec::new();
    loop {
        attributes.push(match packet.byte() {
            0xFF => return attributes,
            0x0A => (packet.string(), packet.string()),
            0x0B => ("11".to_owned(), packet.number().to_string()),
            number => (number.to_string(), packet.string()),
        });
    }
}

/// Reads the packets of a body: the data of each; an empty one is the end.
pub(crate) fn read_data(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (mut content, rest) = packet(bytes);
        bytes = rest;
        if content.0.is_empty() {
            found.push(Vec::new());
            continue;
        }
        let length = content.number();
        assert_eq!(usize::from(length), content.0.len());
        assert_ne!(length, 0, "a packet of data is never empty");
        found.push(content.0.to_vec());
    }
    found
}

// === What a node writes ===

pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    [b"AB", &length.to_be_bytes()[..], content].concat()
}

pub(crate) fn string(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap();
    [&length.to_be_bytes()[..], text, b"\0"].concat()
}

/// SEND_HEADERS; a name that has a number is sent as one.
pub(crate) fn head(status: u16, message: &str, headers: &[(&str, &[u8])]) -> Vec<u8> {
    let count = u16::try_from(headers.len()).unwrap();
    let mut content = vec![4];
    content.extend(status.to_be_bytes());
    content.extend(string(message.as_bytes()));
    content.extend(count.to_be_bytes());
    for (name, value) in headers {
        match *name {
            "Content-Type" => content.extend([0xA0, 1]),
            "Content-Length" => content.extend([0xA0, 3]),
            "Set-Cookie" => content.extend([0xA0, 7]),
            name => content.extend(string(name.as_bytes())),
        }
        content.extend(string(value));
    }
    framed(&content)
}

/// SEND_BODY_CHUNK; without data it is a flush.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    framed(&[&[3], &length.to_be_bytes()[..], data, b"\0"].concat())
}

/// GET_BODY_CHUNK.
pub(crate) fn wish(bytes: u16) -> Vec<u8> {
    framed(&[&[6], &bytes.to_be_bytes()[..]].concat())
}

/// END_RESPONSE.
pub(crate) fn end(is_reusable: bool) -> Vec<u8> {
    framed(&[5, u8::from(is_reusable)])
}

// === What the balancer hears ===

/// An event that owns what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Head {
        status: u16,
        message: String,
        length: Option<u64>,
        is_bodiless: bool,
        headers: Vec<(String, Vec<u8>)>,
    },
    Body(Vec<u8>),
    Flush,
    Wants(usize),
    End,
    Bad(BadAnswer),
}

impl Told {
    fn of(event: Event<'_>) -> Option<Told> {
        Some(match event {
            Event::More => return None,
            Event::Head(head) => Told::Head {
                status: head.status,
                message: head.message.to_owned(),
                length: head.length,
                is_bodiless: head.is_bodiless,
                headers: head
                    .headers()
                    .map(|(name, value)| (name.to_owned(), value.to_vec()))
                    .collect(),
            },
            Event::Body(data) => Told::Body(data.to_vec()),
            Event::Flush => Told::Flush,
            Event::Wants(wish) => Told::Wants(wish),
            Event::End => Told::End,
        })
    }
}

/// Everything that an exchange tells of these pieces of an answer, which never exceeds what is
/// left to be read; neighbouring parts of the body as one. Each wish is told that there is no more.
pub(crate) fn told<'p>(
    exchange: &mut Exchange,
    pieces: impl IntoIterator<Item = &'p [u8]>,
) -> Vec<Told> {
    let (mut buffer, mut found) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let received = match exchange.receive(&buffer) {
                Ok(received) => received,
                Err(bad) => {
                    found.push(Told::Bad(bad));
                    return found;
                }
            };
            let event = Told::of(received.event);
            let consumed = received.consumed;
            buffer.drain(..consumed);
            exchange.send(&[], true, &mut Vec::new());
            match (event, found.last_mut()) {
                (None, _) => break,
                (Some(Told::Body(more)), Some(Told::Body(data))) => data.extend(more),
                (Some(event), _) => found.push(event),
            }
        }
    }
    found
}
