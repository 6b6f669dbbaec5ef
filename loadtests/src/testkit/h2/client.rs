//! A client of HTTP/2: one connection, whole exchanges, and calls that are told bit by bit.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use bytes::{Bytes, BytesMut};
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::testkit::raw::PATIENCE;
use crate::testkit::tls::TlsClient;

/// Most bytes of an answer.
const MAX_BODY: usize = 64 << 20;

/// What frames may waste that are small and not yet read, in bytes.
const SMALL_FRAMES: usize = 16 << 20;

/// A connection. Dropping it closes it.
#[derive(Debug)]
pub struct H2Client {
    sender: SendRequest<Bytes>,
    driver: AbortHandle,
    scheme: &'static str,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct H2Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The trailers, none when there are none.
    pub trailers: HeaderMap,
}

/// An exchange under way, both of whose directions are open.
#[derive(Debug)]
pub struct Call {
    /// To the other side.
    pub sender: SendStream<Bytes>,
    answer: Option<ResponseFuture>,
    body: Option<RecvStream>,
}

// === impl H2Client ===

impl H2Client {
    /// Connects without TLS, knowing that the other side speaks HTTP/2.
    pub async fn plain(to: SocketAddr) -> anyhow::Result<H2Client> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        H2Client::over(stream, "http").await
    }

    /// Connects with TLS, whose handshake must agree on HTTP/2.
    pub async fn tls(client: &TlsClient, to: SocketAddr, name: &str) -> anyhow::Result<H2Client> {
        let raw = client.connect(to, name).await?;
        anyhow::ensure!(raw.protocol().as_deref() == Some("h2"), "not HTTP/2 but {raw:?}");
        H2Client::over(raw.into_stream(), "https").await
    }

    async fn over<S>(stream: S, scheme: &'static str) -> anyhow::Result<H2Client>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut begun = Builder::new();
        // Many answers of single bytes at once are no attack here.
        begun.data_frame_budget(SMALL_FRAMES);
        let (sender, connection) = timeout(PATIENCE, begun.handshake(stream)).await??;
        // How it ends, the requests hear.
        let driver = tokio::spawn(async move { drop(connection.await) }).abort_handle();
        Ok(H2Client { sender, driver, scheme })
    }

    /// A request for `localhost`.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let uri = format!("{}://localhost{path}", self.scheme);
        Request::builder().method(method).uri(uri)
    }

    /// Opens an exchange; `end` when there is no body.
    pub async fn open(&self, request: http::request::Builder, end: bool) -> anyhow::Result<Call> {
        let mut sender = timeout(PATIENCE, self.sender.clone().ready()).await??;
        let (answer, sender) = sender.send_request(request.body(())?, end)?;
        Ok(Call { sender, answer: Some(answer), body: None })
    }

    /// A whole exchange.
    pub async fn ask(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<H2Answer> {
        let body = body.into();
        let mut call = self.open(request, body.is_empty()).await?;
        if !body.is_empty() {
            let (mut sender, rest) = (call.sender, (call.answer, call.body));
            // Beside the answer, which may come before the body is taken.
            let sending = async { send(&mut sender, body, true).await };
            let reading =
                async { rest.0.context("no answer is awaited")?.await.map_err(Into::into) };
            let (_, answer) = timeout(PATIENCE, async { tokio::join!(sending, reading) }).await?;
            let answer: anyhow::Result<_> = answer;
            let (head, body) = answer?.into_parts();
            return whole(head, body).await;
        }
        let (head, body) = call.head().await?;
        whole(head, body).await
    }

    /// A GET without a body.
    pub async fn get(&self, path: &str) -> anyhow::Result<H2Answer> {
        self.ask(self.request("GET", path), Bytes::new()).await
    }
}

impl Drop for H2Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

// === impl Call ===

impl Call {
    /// Sends a part of the body, as there is room for it.
    pub async fn send(&mut self, data: impl Into<Bytes>, end: bool) -> anyhow::Result<()> {
        timeout(PATIENCE, send(&mut self.sender, data.into(), end)).await?
    }

    /// Waits for the answer's head.
    pub async fn answered(&mut self) -> anyhow::Result<(StatusCode, HeaderMap)> {
        let (head, body) = self.head().await?;
        self.body = Some(body);
        Ok((head.status, head.headers))
    }

    /// The next part of the answer's body; `None` at its end.
    pub async fn next(&mut self) -> anyhow::Result<Option<Bytes>> {
        let body = self.body.as_mut().context("there is no head yet")?;
        next(body).await
    }

    /// The trailers, once the body is over.
    pub async fn trailers(&mut self) -> anyhow::Result<HeaderMap> {
        let body = self.body.as_mut().context("there is no head yet")?;
        Ok(timeout(PATIENCE, body.trailers()).await??.unwrap_or_default())
    }

    /// Takes the request back.
    pub fn cancel(mut self) {
        self.sender.send_reset(h2::Reason::CANCEL);
    }

    async fn head(&mut self) -> anyhow::Result<(http::response::Parts, RecvStream)> {
        let answer = self.answer.take().context("the head has been taken")?;
        Ok(timeout(PATIENCE, answer).await??.into_parts())
    }
}

async fn whole(head: http::response::Parts, mut body: RecvStream) -> anyhow::Result<H2Answer> {
    let mut all = BytesMut::new();
    while let Some(data) = next(&mut body).await? {
        all.extend_from_slice(&data);
        anyhow::ensure!(all.len() <= MAX_BODY, "the answer is too long");
    }
    let trailers = timeout(PATIENCE, body.trailers()).await??.unwrap_or_default();
    Ok(H2Answer { status: head.status, headers: head.headers, body: all.freeze(), trailers })
}

/// The next part of a body, whose room is given back at once.
pub(super) async fn next(body: &mut RecvStream) -> anyhow::Result<Option<Bytes>> {
    let Some(data) = timeout(PATIENCE, body.data()).await? else { return Ok(None) };
    let data = data?;
    body.flow_control().release_capacity(data.len())?;
    Ok(Some(data))
}

/// Sends all of it, as there is room.
pub(super) async fn send(
    sender: &mut SendStream<Bytes>,
    mut data: Bytes,
    end: bool,
) -> anyhow::Result<()> {
    if data.is_empty() {
        return Ok(sender.send_data(data, end)?);
    }
    while !data.is_empty() {
        sender.reserve_capacity(data.len());
        let room = std::future::poll_fn(|cx| sender.poll_capacity(cx)).await;
        let room = room.context("the stream is closed")??;
        let part = data.split_to(room.min(data.len()));
        sender.send_data(part, end && data.is_empty())?;
    }
    Ok(())
}

/// How long a story lets something not happen.
pub const MOMENT: Duration = Duration::from_millis(300);
