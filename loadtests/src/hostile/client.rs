//! A client of a proxy, over HTTP/1 or HTTP/2: asks, and hears one final answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::heads::text;
use super::reading::{self, Answer, Header, Reading};
use super::wire::{Heard, Wire};

/// Most bytes of one answer.
const MAX_ANSWER: usize = 64 << 20;

/// What a proxy's clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Front {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, with prior knowledge.
    Http2,
}

/// A connection to a proxy.
pub(super) enum Client {
    Http1(Wire),
    Http2(Streams),
}

/// A connection of HTTP/2. Dropping it closes it.
pub(super) struct Streams {
    sender: SendRequest<Bytes>,
    driver: AbortHandle,
}

// === impl Client ===

impl Client {
    pub(super) async fn connect(front: Front, to: SocketAddr) -> io::Result<Client> {
        match front {
            Front::Http1 => Wire::connect(to).await.map(Client::Http1),
            Front::Http2 => Streams::connect(to).await.map(Client::Http2),
        }
    }

    /// Sends a request, which is written as HTTP/1, and hears the final answer.
    pub(super) async fn ask(&mut self, request: &[u8], is_head: bool, within: Duration) -> Heard {
        match self {
            Client::Http1(wire) => {
                wire.write(request, within).await;
                wire.hear_final(is_head, within).await
            }
            Client::Http2(streams) => {
                timeout(within, streams.ask(request)).await.unwrap_or(Heard::Late)
            }
        }
    }
}

// === impl Streams ===

impl Streams {
    async fn connect(to: SocketAddr) -> io::Result<Streams> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let begun = h2::client::handshake(stream).await.map_err(io::Error::other)?;
        let (sender, connection) = begun;
        // How it ends, the requests hear.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(Streams { sender, driver })
    }

    async fn ask(&mut self, request: &[u8]) -> Heard {
        let Some((head, body)) = translated(request) else { return Heard::Ended };
        let Ok(mut ready) = self.sender.clone().ready().await else { return Heard::Ended };
        let is_short = body.is_empty();
        let Ok((answer, sender)) = ready.send_request(head, is_short) else { return Heard::Ended };
        let hearing = async {
            match answer.await {
                Ok(answer) => hear(answer).await,
                Err(_) => Heard::Ended,
            }
        };
        let mut hearing = std::pin::pin!(hearing);
        // An early answer ends the sending.
        tokio::select! {
            heard = &mut hearing => return heard,
            () = send(sender, body), if !is_short => {}
        }
        hearing.await
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// A request of HTTP/1 as one of HTTP/2: without what concerns a connection.
fn translated(request: &[u8]) -> Option<(Request<()>, Bytes)> {
    let Reading::Whole { value, .. } = reading::request(request) else { return None };
    let own =
        |name: &str| name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case("connection");
    let host = value.headers.iter().find(|line| line.name.eq_ignore_ascii_case("host"))?;
    let uri = format!("http://{}{}", text(&host.value), text(&value.target));
    let mut head = Request::builder().method(value.method.as_str()).uri(uri);
    for Header { name, value } in value.headers.iter().filter(|line| !own(&line.name)) {
        head = head.header(name.to_ascii_lowercase(), value.as_slice());
    }
    Some((head.body(()).ok()?, Bytes::from(value.body)))
}

/// Sends all of it, or as much as is taken.
async fn send(mut sender: SendStream<Bytes>, mut body: Bytes) {
    while !body.is_empty() {
        sender.reserve_capacity(body.len());
        let Some(Ok(room)) = std::future::poll_fn(|cx| sender.poll_capacity(cx)).await else {
            return std::future::pending().await;
        };
        let part = body.split_to(room.min(body.len()));
        if sender.send_data(part, body.is_empty()).is_err() {
            return;
        }
    }
}

async fn hear(answer: Response<RecvStream>) -> Heard {
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    let mut is_whole = true;
    while let Some(data) = stream.data().await {
        match data {
            Ok(data) if body.len() + data.len() <= MAX_ANSWER => {
                // It fails only where nothing more is to come.
                let _ = stream.flow_control().release_capacity(data.len());
                body.extend_from_slice(&data);
            }
            _ => {
                is_whole = false;
                break;
            }
        }
    }
    let headers = headers(&head.headers);
    Heard::Answer(Answer {
        status: head.status.as_u16(),
        headers,
        body,
        is_whole,
        until_close: false,
    })
}

fn headers(map: &HeaderMap) -> Vec<Header> {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
        name: name.to_string(),
        value: value.as_bytes().to_vec(),
    };
    map.iter().map(header).collect()
}
