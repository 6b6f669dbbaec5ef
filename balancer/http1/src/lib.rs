//! The strict HTTP/1 codec of the balancer: bytes in, decisions and bytes out.
//!
//! This crate is pure: it owns no socket, clock or thread. Its story, in the order of a request:
//!
//! 1. [`parse_request`] reads the head of what a client sent, once, and says where it ends, where
//!    its body ends and what of it a node may see. It leaves [`Span`]s, not slices, so that the
//!    value can wait beside its buffer.
//! 2. [`RequestHead::write`] puts the head for the node together: always HTTP/1.1, without what
//!    concerned the client's connection only.
//! 3. [`BodyReader`] follows a body through the buffers it arrives in, and takes out in place
//!    what must not be passed on.
//! 4. [`parse_response`] and [`ResponseHead::write`] do the same for the node's answer.
//!
//! Strictness is the point: two readers that disagree about where a message ends can be played
//! against each other (request smuggling), so whatever has more than one reading is refused. What
//! passes here has exactly one (reference: RFC 9112, and the edge's list of vectors).

mod body;
mod connection;
mod fault;
mod framing;
mod host;
mod lines;
mod marks;
mod request;
mod response;
mod span;
mod target;

pub use body::{BadChunk, BodyReader, Keep, LAST_CHUNK, Taken, write_chunk_head};
pub use fault::Syntax;
pub use lines::{Class, Line, MAX_COOKIES};
pub use request::{
    BadRequest, HeadLimits, RequestBody, RequestChanges, RequestHead, TraceLines, Version,
    parse_request, worth_parsing,
};
pub use response::{
    BadResponse, Connection, Framing, Question, ResponseBody, ResponseChanges, ResponseHead,
    parse_response,
};
pub use span::Span;

/// The most header lines that any limit allows.
pub const MAX_HEADERS: usize = 100;

/// The most bytes that any limit allows a head: 1 MiB.
pub const MAX_HEAD_BYTES: usize = 1 << 20;
