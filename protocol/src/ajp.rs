//! AJP13, the protocol that mod_cluster's classic workers speak to their balancer, as a pure
//! codec: the side that asks (reference: AJP13).
//!
//! A request goes out as one packet, its head ([`write_forward`]), and as many packets of body as
//! the node asks for. What the node sends comes back as [`Event`]s. [`Exchange`] is the whole of
//! it: the shell brings bytes of the socket and data of the client, and learns what to do next.
//!
//! Nothing from a node is believed: what [`Exchange::receive`] hands out can be written to an
//! HTTP client as it is. Nothing is copied but what is sent.

mod body;
mod codes;
mod exchange;
mod hop;
mod packet;
mod ping;
mod request;
mod response;

pub use body::Body;
pub use exchange::{Event, Exchange, Received};
pub use packet::{BadPacketSize, MAX_ANSWER_PACKET, PacketSize};
pub use ping::{PING, PONG};
pub use request::{Forward, HeadTooLong, Tls, write_forward};
pub use response::{AnswerHead, BadAnswer, Headers, MAX_HEADERS};
