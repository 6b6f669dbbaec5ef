//! One request on its way over a connection to a node, as a state machine: bytes of the node and
//! data of the client in, events and bytes for the node out.
//!
//! The node may ask for the request's body before, amid and after its answer, so both directions
//! belong to one loop that waits for neither alone (reference: AJP13, point 11):
//!
//! ```
//! use muster_protocol::ajp::{Body, Event, Exchange, PacketSize};
//! let mut exchange = Exchange::new(Body::Unknown, false, PacketSize::default());
//! let received = exchange.receive(b"AB\0\x03\x06\x1f\xfa")?;
//! assert_eq!((received.consumed, received.event), (7, Event::Wants(8_186)));
//! let mut out = Vec::new();
//! assert_eq!(exchange.send(b"hello", true, &mut out), 5);
//! assert_eq!(out, b"\x12\x34\0\x07\0\x05hello");
//! # Ok::<(), muster_protocol::ajp::BadAnswer>(())
//! ```

use super::body::{Body, Upload};
use super::codes::{END_RESPONSE, FROM_NODE, GET_BODY_CHUNK, SEND_BODY_CHUNK, SEND_HEADERS};
use super::packet::{HEADER, PacketSize, Reader};
use super::response::{AnswerHead, BadAnswer};

/// Most heads before the final one.
const MAX_INTERIM: u8 = 10;

/// One request on its way over an AJP connection, without sockets. Its head has been sent.
#[derive(Debug)]
pub struct Exchange {
    upload: Upload,
    stage: Stage,
    /// What is left of the body packet that is being read.
    chunk: Chunk,
    is_head: bool,
}

/// What a call of [`Exchange::receive`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'b> {
    /// Bytes that are done with; the next call begins after them.
    pub consumed: usize,
    /// What they told.
    pub event: Event<'b>,
}

/// What a node tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'b> {
    /// Nothing yet: more bytes of the node are needed, after those that were not consumed.
    More,
    /// The answer's head. Another follows where it is interim.
    Head(AnswerHead<'b>),
    /// A part of the answer's body, never empty. It need not be a whole packet.
    Body(&'b [u8]),
    /// What there is of the body should not wait for more.
    Flush,
    /// The node takes so many bytes of the request's body now; see [`Exchange::wants`].
    Wants(usize),
    /// The answer is whole. What the client still sends is not for this connection.
    End,
}

#[derive(Debug)]
enum Stage {
    /// The final head has not come; so many interim ones have.
    Head { interim: u8 },
    /// The body: passed on with what is left of its length, or of HEAD, 204 and 304, discarded.
    Body(Kept),
    /// Nothing may come any more.
    Over { is_reusable: bool },
}

#[derive(Debug, Clone, Copy)]
enum Kept {
    All,
    Left(u64),
    Nothing,
}

#[derive(Debug, Default)]
struct Chunk {
    data: usize,
    /// The packet's spare bytes after its data.
    spare: usize,
}

// === impl Exchange ===

impl Exchange {
    /// The exchange of a request whose FORWARD_REQUEST is on its way, over a connection on which
    /// nothing is left to be read. `is_head`: its method is HEAD.
    pub fn new(body: Body, is_head: bool, max_packet_size: PacketSize) -> Exchange {
        Exchange {
            upload: Upload::new(body, max_packet_size),
            stage: Stage::Head { interim: 0 },
            chunk: Chunk::default(),
            is_head,
        }
    }

    /// How many bytes of the request's body the node takes now; 0 while it has not asked. With a
    /// length, the first packet goes unasked.
    ///
    /// While it is not 0 the node waits for the client's data, or to hear that there is no more:
    /// call [`Exchange::send`], with empty data at the end.
    pub fn wants(&self) -> usize {
        match self.stage {
            Stage::Head { .. } | Stage::Body(_) => self.upload.wish(),
            Stage::Over { .. } => 0,
        }
    }

    /// Appends a packet for the node to `out`, and returns how many bytes of `data` it holds: at
    /// most [`Exchange::wants`], and over all calls never more than the body's length. `is_end`:
    /// nothing follows `data`; it may be said again.
    ///
    /// A body that ends before its length is never told as whole, so the node waits in vain:
    /// close its connection then, and that of the client too.
    pub fn send(&mut self, data: &[u8], is_end: bool, out: &mut Vec<u8>) -> usize {
        match self.stage {
            Stage::Head { .. } | Stage::Body(_) => self.upload.send(data, is_end, out),
            Stage::Over { .. } => 0,
        }
    }

    /// Reads what the node sent, one event a call, until it says [`Event::More`].
    ///
    /// A head has to be there as a whole, which takes at most [`super::MAX_ANSWER_PACKET`] bytes;
    /// a body is passed on as it comes. After an error no call succeeds.
    pub fn receive<'b>(&mut self, bytes: &'b [u8]) -> Result<Received<'b>, BadAnswer> {
        let received = self.next(bytes);
        if received.is_err() {
            self.stage = Stage::Over { is_reusable: false };
        }
        received
    }

    /// Whether the connection may carry another request: the answer is whole, the node said so,
    /// and is owed nothing. There must be nothing left to be read either, which the shell sees.
    pub fn is_reusable(&self) -> bool {
        matches!(self.stage, Stage::Over { is_reusable: true }) && self.upload.is_clean()
    }

    fn next<'b>(&mut self, bytes: &'b [u8]) -> Result<Received<'b>, BadAnswer> {
        let mut consumed = 0;
        loop {
            let (step, event) = self.step(&bytes[consumed..])?;
            consumed += step;
            match event {
                Some(event) => return Ok(Received { consumed, event }),
                None if step == 0 => return Ok(Received { consumed, event: Event::More }),
                // What is discarded tells nothing.
                None => {}
            }
        }
    }

    /// Takes a part of a body packet, or a packet; zero bytes when there is not enough.
    fn step<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Option<Event<'b>>), BadAnswer> {
        if self.chunk.data > 0 {
            let data = &bytes[..bytes.len().min(self.chunk.data)];
            self.chunk.data -= data.len();
            let is_told = !data.is_empty() && !matches!(self.stage, Stage::Body(Kept::Nothing));
            return Ok((data.len(), is_told.then_some(Event::Body(data))));
        }
        if self.chunk.spare > 0 {
            let spare = bytes.len().min(self.chunk.spare);
            self.chunk.spare -= spare;
            return Ok((spare, None));
        }
        self.packet(bytes)
    }

    fn packet<'b>(&mut self, bytes: &'b [u8]) -> Result<(usize, Option<Event<'b>>), BadAnswer> {
        if bytes.is_empty() {
            return Ok((0, None));
        }
        if matches!(self.stage, Stage::Over { .. }) {
            return Err(BadAnswer::AfterEnd);
        }
        if let Some((&byte, _)) = bytes.iter().zip(&FROM_NODE).find(|(byte, magic)| byte != magic) {
            return Err(BadAnswer::Magic(byte));
        }
        let Some((&[_, _, high, low], rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok((0, None));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 {
            return Err(BadAnswer::Packet("an empty packet"));
        }
        match rest.first() {
            None => Ok((0, None)),
            Some(&SEND_BODY_CHUNK) => self.body_chunk(length, Reader(&rest[1..])),
            Some(&code @ (SEND_HEADERS | END_RESPONSE | GET_BODY_CHUNK)) => {
                let Some(content) = rest.get(1..length) else { return Ok((0, None)) };
                Ok((HEADER + length, Some(self.whole(code, Reader(content))?)))
            }
            Some(&code) => Err(BadAnswer::UnknownPacket(code)),
        }
    }

    /// Begins a packet of body; its data need not be there yet.
    fn body_chunk<'b>(
        &mut self,
        length: usize,
        mut content: Reader<'b>,
    ) -> Result<(usize, Option<Event<'b>>), BadAnswer> {
        let Some(data) = content.number() else { return Ok((0, None)) };
        // The number of the packet and that of its bytes, and at most one spare byte after them.
        let spare = length.checked_sub(3 + usize::from(data)).filter(|&spare| spare <= 1);
        let spare = spare.ok_or(BadAnswer::Packet("SEND_BODY_CHUNK"))?;
        let kept = match &mut self.stage {
            Stage::Body(kept) => kept,
            Stage::Head { .. } | Stage::Over { .. } => return Err(BadAnswer::BeforeHead("a body")),
        };
        kept.take(data)?;
        self.chunk = Chunk { data: usize::from(data), spare };
        let is_flush = data == 0 && !matches!(kept, Kept::Nothing);
        Ok((HEADER + 3, is_flush.then_some(Event::Flush)))
    }

    fn whole<'b>(&mut self, code: u8, content: Reader<'b>) -> Result<Event<'b>, BadAnswer> {
        match code {
            SEND_HEADERS => self.head(content),
            GET_BODY_CHUNK => self.wish(content),
            _ => self.end(content),
        }
    }

    fn head<'b>(&mut self, content: Reader<'b>) -> Result<Event<'b>, BadAnswer> {
        let Stage::Head { interim } = self.stage else { return Err(BadAnswer::SecondHead) };
        let head = AnswerHead::parse(content, self.is_head)?;
        self.stage = match (head.is_interim(), head.is_bodiless, head.length) {
            (true, ..) if interim == MAX_INTERIM => {
                return Err(BadAnswer::TooManyInterim(MAX_INTERIM));
            }
            (true, ..) => Stage::Head { interim: interim + 1 },
            (false, true, _) => Stage::Body(Kept::Nothing),
            (false, false, Some(length)) => Stage::Body(Kept::Left(length)),
            (false, false, None) => Stage::Body(Kept::All),
        };
        Ok(Event::Head(head))
    }

    fn wish<'b>(&mut self, mut content: Reader<'b>) -> Result<Event<'b>, BadAnswer> {
        let wish = content.number().filter(|_| content.is_empty());
        let wish = wish.ok_or(BadAnswer::Packet("GET_BODY_CHUNK"))?;
        self.upload.ask(wish).map(Event::Wants).ok_or(BadAnswer::Wish(wish))
    }

    fn end<'b>(&mut self, mut content: Reader<'b>) -> Result<Event<'b>, BadAnswer> {
        // A node that does not say whether it goes on does not.
        let is_reusable = content.byte() == Some(1);
        if !content.is_empty() {
            return Err(BadAnswer::Packet("END_RESPONSE"));
        }
        match self.stage {
            Stage::Body(Kept::Left(left)) if left > 0 => Err(BadAnswer::BodyTooShort(left)),
            Stage::Body(_) => {
                self.stage = Stage::Over { is_reusable };
                Ok(Event::End)
            }
            Stage::Head { .. } | Stage::Over { .. } => Err(BadAnswer::BeforeHead("the end")),
        }
    }
}

// === impl Kept ===

impl Kept {
    /// So many bytes of body come.
    fn take(&mut self, data: u16) -> Result<(), BadAnswer> {
        if let Kept::Left(left) = self {
            let data = u64::from(data);
            let too_long = BadAnswer::BodyTooLong(data.saturating_sub(*left));
            *left = left.checked_sub(data).ok_or(too_long)?;
        }
        Ok(())
    }
}
