//! CPing and CPong: whether whoever listens there speaks AJP, and listens at all.
//!
//! A node answers a CPing on a connection that carries no request, at any time, before any
//! application is asked. (reference: AJP13, point 2)

/// What is sent to ask.
pub const PING: [u8; 5] = [0x12, 0x34, 0, 1, 10];

/// What a node answers, byte for byte; anything else is none of AJP's.
pub const PONG: [u8; 5] = [b'A', b'B', 0, 1, 9];
