//! One connection to one balancer: sends a message as every Java client does, reads the answer
//! within bounds, keeps the connection, and tries once more on a fresh one where a kept one had
//! been closed in the meantime.

use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use muster_protocol::cluster::PEERS_HEADER;
use muster_protocol::mcmp::{Message, RefusedKind};
use muster_protocol::signature::{Nonce, Reason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::life::Answer;
use super::signing::{Headers, Signing};
use crate::deployed::Deployed;
use crate::finding::Rendezvous;
use crate::tls::Connector;

/// Bytes of an answer's head.
const HEAD_LIMIT: usize = 64 * 1024;

/// Where a balancer takes messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name, or an address without brackets. A name is resolved anew for each connection.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// Both, as configured.
    pub(crate) text: String,
}

/// What an exchange may take, and how balancers are spoken to. The same for all of them.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// For connect, request and answer together.
    pub(crate) socket_timeout: Duration,
    /// Bytes of an answer's body.
    pub(crate) answer_limit: usize,
    /// Where it is set, messages are signed, and only signed answers are believed.
    pub(crate) signing: Option<Signing>,
    pub(crate) tls: Option<Connector>,
    /// The sessions whose numbers go with each STATUS.
    pub(crate) deployed: Deployed,
    /// Through which the cluster's member speaks with the balancers.
    pub(crate) rendezvous: Option<Rendezvous>,
}

/// A client of one balancer, with at most one connection.
#[derive(Debug)]
pub(crate) struct Client {
    target: Target,
    manner: Manner,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// Ends when the connection does, and ends it when dropped.
    driver: AbortOnDropHandle<()>,
    local: Option<IpAddr>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the connection failed: {}", chain(.0))]
    Connection(#[from] hyper::Error),
    #[error("the message is no HTTP: {0}")]
    Message(#[from] http::Error),
    #[error("the answer broke off: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no TLS with the balancer: {}", chain(.0))]
    Tls(std::io::Error),
    #[error("the answer is not believed: {} (it says {said:?})", unbelieved(.reason))]
    Unbelieved { reason: Reason, said: String },
}

// === impl Client ===

impl Client {
    /// A client that connects when it is first needed.
    pub(crate) fn new(target: Target, manner: Manner) -> Client {
        Client { target, manner, connection: None }
    }

    /// Changes with what the cluster's member has to say; `None` where there is none.
    pub(crate) fn news(&self) -> Option<watch::Receiver<()>> {
        self.manner.rendezvous.as_ref().map(Rendezvous::news)
    }

    /// `host:port`, as configured.
    pub(crate) fn address(&self) -> &str {
        &self.target.text
    }

    /// Sends a message and gives the answer, and the address that the balancer saw us under.
    pub(crate) async fn exchange(&mut self, message: &Message) -> (Answer, Option<IpAddr>) {
        let bound = self.manner.socket_timeout;
        let answer = match timeout(bound, self.exchange_unbounded(message)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Lost(error.to_string()),
            Err(_) => Answer::Lost(format!("no answer within {bound:?}")),
        };
        let local = self.connection.as_ref().and_then(|connection| connection.local);
        if matches!(answer, Answer::Lost(_) | Answer::TooLong) {
            self.connection = None;
        }
        (answer, local)
    }

    /// Returns when the connection has been closed; never while there is none.
    pub(crate) async fn closed(&mut self) {
        let Some(connection) = &mut self.connection else { return pending().await };
        // How it ended does not matter: the next message finds out what there is to know.
        let _ = (&mut connection.driver).await;
        self.connection = None;
    }

    async fn exchange_unbounded(&mut self, message: &Message) -> Result<Answer, ClientError> {
        if let Some(kept) = self.connection.as_mut().filter(|kept| !kept.sender.is_closed()) {
            match kept.send(&self.target, &self.manner, message).await {
                Ok((response, nonce)) => return self.read(response, nonce).await,
                // It was closed under our hands. The message may have arrived, yet every
                // message says how things should be: twice is as good as once.
                Err(ClientError::Connection(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let fresh = self.connection.insert(Connection::open(&self.target, &self.manner).await?);
        let (response, nonce) = fresh.send(&self.target, &self.manner, message).await?;
        self.read(response, nonce).await
    }

    /// Reads an answer, and believes it if it is signed where ours are.
    async fn read(
        &mut self,
        response: Response<Incoming>,
        nonce: Option<Nonce>,
    ) -> Result<Answer, ClientError> {
        let (head, body) = response.into_parts();
        let is_last = announces_close(&head.headers);
        let body = Limited::new(body, self.manner.answer_limit).collect().await;
        if is_last {
            self.connection = None;
        }
        let body = match body {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Ok(Answer::TooLong),
            Err(error) => return Err(ClientError::Body(error)),
        };
        if let (Some(signing), Some(nonce)) = (&self.manner.signing, nonce) {
            signing
                .check(nonce, head.status.as_u16(), &head.headers, &body)
                .map_err(|reason| unbelievable(reason, head.status, &head.headers))?;
        }
        if let (Some(rendezvous), Some(peers)) =
            (&self.manner.rendezvous, head.headers.get(PEERS_HEADER))
        {
            rendezvous.heard(peers.to_str().unwrap_or_default());
        }
        Ok(answer(head.status, &head.headers, &body))
    }
}

// === impl Connection ===

impl Connection {
    async fn open(target: &Target, manner: &Manner) -> Result<Connection, ClientError> {
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await?;
        stream.set_nodelay(true)?;
        let local = stream.local_addr().ok().map(|address| address.ip());
        match &manner.tls {
            None => Connection::over(stream, local).await,
            Some(tls) => {
                let stream = tls.connect(stream, &target.host).await.map_err(ClientError::Tls)?;
                Connection::over(stream, local).await
            }
        }
    }

    async fn over<S>(stream: S, local: Option<IpAddr>) -> Result<Connection, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = Builder::new()
            .title_case_headers(true)
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await?;
        let driver = tokio::spawn(async move {
            // Whoever waits for an answer hears of the error; an idle connection just ends.
            let _ = connection.await;
        });
        Ok(Connection { sender, driver: AbortOnDropHandle::new(driver), local })
    }

    async fn send(
        &mut self,
        target: &Target,
        manner: &Manner,
        message: &Message,
    ) -> Result<(Response<Incoming>, Option<Nonce>), ClientError> {
        self.sender.ready().await?;
        let mut own = match message.method {
            "STATUS" => manner.deployed.headers(),
            _ => Headers::new(),
        };
        if let Some(rendezvous) = &manner.rendezvous {
            own.extend(rendezvous.headers(message.method, self.local));
        }
        let nonce = manner.signing.as_ref().map(|signing| signing.sign(message, &mut own));
        let request = request(target, message, &own)?;
        Ok((self.sender.send_request(request).await?, nonce))
    }
}

/// The request, with the headers of a Java client in their order.
fn request(
    target: &Target,
    message: &Message,
    own: &Headers,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let method = Method::from_bytes(message.method.as_bytes())?;
    let mut request = Request::builder().method(method).uri(message.uri).header(HOST, &target.text);
    if !message.body.is_empty() {
        request = request.header(CONTENT_LENGTH, message.body.len());
    }
    for (name, value) in own {
        request = request.header(*name, value);
    }
    request
        .header(USER_AGENT, HeaderValue::from_static("ClusterListener/1.0"))
        .header(CONNECTION, HeaderValue::from_static("Keep-Alive"))
        .body(Full::from(message.body.clone()))
}

/// What an answer says that nobody vouches for, for whoever looks for the reason.
fn unbelievable(reason: Reason, status: StatusCode, headers: &HeaderMap) -> ClientError {
    let mess = headers.get("Mess").map(|mess| String::from_utf8_lossy(mess.as_bytes()));
    let said = match mess {
        Some(mess) => format!("{status}, {mess}"),
        None => status.to_string(),
    };
    ClientError::Unbelieved { reason, said }
}

fn unbelieved(reason: &Reason) -> &'static str {
    match reason {
        Reason::Missing => "it is not signed, so whoever answers does not know the secret",
        _ => "its signature is wrong, so whoever answers has another secret",
    }
}

/// What an answer means to the node.
fn answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
    if status == StatusCode::OK {
        return Answer::Good(String::from_utf8_lossy(body).into_owned());
    }
    let header =
        |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let reason = match header("Mess") {
        Some(text) => text.into_owned(),
        None => format!("the balancer answered {status}"),
    };
    match RefusedKind::from_word(header("Type").as_deref().unwrap_or_default()) {
        RefusedKind::Syntax => Answer::Syntax(reason),
        RefusedKind::Mem => Answer::Mem(reason),
    }
}

fn announces_close(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close")))
}

/// An error with its causes: hyper's own text is too short to act on.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
