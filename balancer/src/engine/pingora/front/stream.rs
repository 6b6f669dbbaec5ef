//! One request over HTTP/2, as Pingora's proxy wants a client's session.
//!
//! Pingora has such a session itself, but it knows no time while a body is read, drops 1xx
//! answers, and does not find the end of a body with trailers. Trailers of answers pass; those of
//! requests are read and dropped, for no node of HTTP/1 could be told them, and gRPC has none.

mod answer;
mod session;

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use pingora_core::protocols::Digest;
use pingora_core::{Error, ErrorType, OrErr as _, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout_at};

use super::pace::Pace;
use crate::proxy::Refused;

/// Most bytes of a body that are kept to be told a second node.
const REPLAY: usize = 64 * 1024;

/// A request, and the way back to its client.
pub(super) struct ClientStream {
    head: RequestHeader,
    body: RecvStream,
    answer: SendResponse<Bytes>,
    /// For the answer's body, once its head has gone.
    sender: Option<SendStream<Bytes>>,
    /// The answer's head.
    written: Option<Box<ResponseHeader>>,
    /// Whether the client's body is over.
    is_read: bool,
    /// Whether our answer is over.
    is_ended: bool,
    received: usize,
    sent: usize,
    replay: Replay,
    pace: Pace,
    digest: Arc<Digest>,
    /// How long the client may take for a part of the answer.
    write_timeout: Option<Duration>,
}

/// What of the body can be told again.
enum Replay {
    Off,
    Kept(BytesMut),
    /// It was too long.
    Lost,
}

impl ClientStream {
    pub(super) fn new(
        head: RequestHeader,
        body: RecvStream,
        answer: SendResponse<Bytes>,
        pace: Pace,
        digest: Arc<Digest>,
        write_timeout: Duration,
    ) -> ClientStream {
        ClientStream {
            is_read: body.is_end_stream(),
            head,
            body,
            answer,
            sender: None,
            written: None,
            is_ended: false,
            received: 0,
            sent: 0,
            replay: Replay::Off,
            pace,
            digest,
            write_timeout: Some(write_timeout),
        }
    }

    /// The next bytes of the body; `None` at its end. It can be dropped and asked for again
    /// without a loss.
    async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.is_over() {
            return Ok(None);
        }
        let until = self.pace.client_until(self.received, Instant::now());
        let Ok(read) = timeout_at(until, self.body.data()).await else {
            return late(Refused::ClientSlow);
        };
        self.pace.client_spoke(Instant::now());
        match read {
            Some(Ok(data)) => {
                self.received += data.len();
                self.keep(&data);
                // It fails only where the stream is closed already.
                let _ = self.body.flow_control().release_capacity(data.len());
                Ok(Some(data))
            }
            Some(Err(error)) => Err(down(ErrorType::ReadError, "the body of a request", error)),
            None => {
                // There are trailers, or there is nothing: it is ready in any case.
                let trailers = self.body.trailers().await;
                trailers.or_err(ErrorType::ReadError, "the trailers of a request")?;
                self.is_read = true;
                Ok(None)
            }
        }
    }

    /// Waits for the client to leave, or for the node to have been silent for too long. It never
    /// ends well.
    async fn idle(&mut self) -> Result<Option<Bytes>> {
        let until = self.pace.node_until();
        let (answer, sender) = (&mut self.answer, &mut self.sender);
        let left = poll_fn(|cx| match sender {
            Some(sender) => sender.poll_reset(cx),
            None => answer.poll_reset(cx),
        });
        match timeout_at(until, left).await {
            Err(_) => late(Refused::NodeSilent),
            Ok(Ok(reason)) => {
                let reason = format!("the client took its request back: {reason}");
                Err(Error::explain(ErrorType::ConnectionClosed, reason).into_down())
            }
            Ok(Err(error)) => Err(down(ErrorType::ConnectionClosed, "waiting for a node", error)),
        }
    }

    /// Whether the body is over: the client has ended it, or said that there is none.
    fn is_over(&self) -> bool {
        self.is_read || self.body.is_end_stream() || self.is_empty()
    }

    fn is_empty(&self) -> bool {
        let says_none = || {
            let length = self.head.headers.get(http::header::CONTENT_LENGTH);
            length.is_some_and(|length| length == "0")
        };
        self.received == 0 && (self.is_read || self.body.is_end_stream() || says_none())
    }

    fn keep(&mut self, data: &[u8]) {
        if let Replay::Kept(kept) = &mut self.replay {
            match kept.len() + data.len() <= REPLAY {
                true => kept.extend_from_slice(data),
                false => self.replay = Replay::Lost,
            }
        }
    }
}

/// Somebody took too long. The hooks know the status for what it is.
fn late<T>(who: Refused) -> Result<T> {
    let error = Error::explain(ErrorType::HTTPStatus(who.status()), "it took too long");
    Err(error.into_down())
}

fn down(kind: ErrorType, doing: &'static str, error: h2::Error) -> Box<Error> {
    Error::because(kind, doing, error).into_down()
}
