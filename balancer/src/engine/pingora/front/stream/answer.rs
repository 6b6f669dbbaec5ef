//! The way back: 1xx, the head, the body as fast as the client takes it, trailers, the end.

use std::future::poll_fn;

use bytes::Bytes;
use h2::SendStream;
use http::{HeaderMap, Method, Response};
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use tokio::time::{Instant, timeout};

use super::{ClientStream, down};
use crate::engine::pingora::answer::strip_framing;

impl ClientStream {
    /// Sends the head; one with a status below 200 is followed by another.
    pub(super) fn write_head(&mut self, mut head: Box<ResponseHeader>, end: bool) -> Result<()> {
        if self.is_ended || self.written.is_some() {
            return Ok(());
        }
        strip_framing(&mut head);
        self.pace.moves(Instant::now());
        let answer = Response::from_parts(head.as_owned_parts(), ());
        if head.status.is_informational() {
            // Nobody has asked for another protocol here.
            if head.status == http::StatusCode::SWITCHING_PROTOCOLS {
                return broken("a node switches protocols for a client of HTTP/2");
            }
            let sent = self.answer.send_informational(answer);
            return sent.map_err(|error| down(ErrorType::WriteError, "a 1xx answer", error));
        }
        let sent = self.answer.send_response(answer, end);
        let sender =
            sent.map_err(|error| down(ErrorType::WriteError, "an answer's head", error))?;
        self.sender = Some(sender);
        self.written = Some(head);
        self.is_ended = end;
        Ok(())
    }

    /// Sends a part of the body, as far as the client has room for it, and waits for more room.
    pub(super) async fn send(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        if self.head.method == Method::HEAD {
            // Our own answers have a body, and say how long it would be.
            data.clear();
        }
        if data.is_empty() {
            return if end { self.end() } else { Ok(()) };
        }
        if self.is_ended {
            return Ok(());
        }
        let Some(sender) = &mut self.sender else {
            return broken("a body came before its head");
        };
        while !data.is_empty() {
            let room = match self.write_timeout {
                Some(within) => timeout(within, room(sender, data.len())).await,
                None => Ok(room(sender, data.len()).await),
            };
            let Ok(room) = room else {
                let error = Error::explain(ErrorType::WriteTimedout, "the client takes no more");
                return Err(error.into_down());
            };
            let part = data.split_to(room?.min(data.len()));
            self.sent += part.len();
            sent(sender.send_data(part, end && data.is_empty()))?;
            self.pace.moves(Instant::now());
        }
        self.is_ended = end;
        Ok(())
    }

    /// Sends trailers, which end the answer.
    pub(super) fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.is_ended {
            return Ok(());
        }
        let Some(sender) = &mut self.sender else {
            return broken("trailers came before the head");
        };
        sent(sender.send_trailers(trailers))?;
        self.is_ended = true;
        Ok(())
    }

    /// Ends an answer that is not ended. One without a head is left: the client hears of a reset.
    pub(super) fn end(&mut self) -> Result<()> {
        match &mut self.sender {
            Some(sender) if !self.is_ended => {
                self.is_ended = true;
                sent(sender.send_data(Bytes::new(), true))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Takes what came from the node; true when that was the end.
    pub(super) async fn write(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(head, end) => self.write_head(head, end).map(|()| end),
            HttpTask::Body(data, end) => {
                self.send(data.unwrap_or_default(), end).await?;
                Ok(end)
            }
            HttpTask::Trailer(Some(trailers)) => self.send_trailers(*trailers).map(|()| true),
            HttpTask::Trailer(None) | HttpTask::Done => Ok(true),
            HttpTask::Failed(error) => Err(error),
            HttpTask::UpgradedBody(..) => broken("a tunnel came for a client of HTTP/2"),
        }
    }
}

/// Waits for room at the client, at most `wanted`.
async fn room(sender: &mut SendStream<Bytes>, wanted: usize) -> Result<usize> {
    sender.reserve_capacity(wanted);
    match poll_fn(|cx| sender.poll_capacity(cx)).await {
        Some(Ok(room)) => Ok(room),
        Some(Err(error)) => Err(down(ErrorType::WriteError, "an answer's body", error)),
        None => {
            let error = Error::explain(ErrorType::WriteError, "the client has closed the stream");
            Err(error.into_down())
        }
    }
}

fn sent(sent: Result<(), h2::Error>) -> Result<()> {
    sent.map_err(|error| down(ErrorType::WriteError, "an answer's body", error))
}

/// What the node said cannot be told to the client.
fn broken<T>(what: &'static str) -> Result<T> {
    Err(Error::explain(ErrorType::H2Error, what).into_up())
}
