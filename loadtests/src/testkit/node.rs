//! Synthetic nodes: HTTP servers in this process that register by hand and log what reaches them.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::mcmp::{self, Refused};

/// How often a registered node says STATUS.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Most requests that a node remembers; it counts all.
const REMEMBERED: usize = 100_000;
/// The chunks of [`Manner::Chunks`], all alike.
pub const CHUNK: &[u8] = &[b'x'; 16 << 10];
/// Largest body that a node takes.
const MAX_BODY: usize = 64 << 20;

/// How a node treats requests. Probes (`OPTIONS *`) are always answered at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Answers at once.
    Prompt,
    /// Answers after this time.
    Late(Duration),
    /// Answers with this status.
    Status(StatusCode),
    /// Answers with so many times [`CHUNK`] and says no length.
    Chunks(usize),
}

/// What a node registers with.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The load that it reports.
    pub load: i32,
    /// Its contexts.
    pub contexts: &'static [&'static str],
    /// More of the CONFIG form, beginning with `&`.
    pub config: &'static str,
}

/// A request as the node saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers, as they arrived.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A node in this process. Dropping it closes its sockets and sends nothing, as a crash does.
#[derive(Debug)]
pub struct Node {
    /// Where it answers.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    server: AbortHandle,
    status: Option<AbortHandle>,
}

#[derive(Debug)]
struct Inner {
    route: String,
    load: AtomicI32,
    manner: Mutex<Manner>,
    seen: Mutex<Vec<Seen>>,
    count: AtomicU64,
}

// === impl NodeOptions ===

impl Default for NodeOptions {
    fn default() -> Self {
        NodeOptions { load: 100, contexts: &["/"], config: "" }
    }
}

// === impl Node ===

impl Node {
    /// A node that answers and is not registered.
    pub async fn start(route: &str) -> io::Result<Node> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            route: route.to_owned(),
            load: AtomicI32::new(100),
            manner: Mutex::new(Manner::Prompt),
            seen: Mutex::default(),
            count: AtomicU64::new(0),
        });
        let server = tokio::spawn(serve(listener, inner.clone())).abort_handle();
        Ok(Node { address, inner, server, status: None })
    }

    /// A node that answers, has registered, and goes on saying STATUS.
    pub async fn register(
        route: &str,
        balancer: SocketAddr,
        options: &NodeOptions,
    ) -> anyhow::Result<Node> {
        let mut node = Node::start(route).await?;
        node.inner.load.store(options.load, Ordering::Relaxed);
        node.announce(balancer, options).await?;
        let inner = node.inner.clone();
        let status = tokio::spawn(async move {
            loop {
                tokio::time::sleep(STATUS_INTERVAL).await;
                // A balancer that is down hears the next one.
                let _ = inner.say_status(balancer).await;
            }
        });
        node.status = Some(status.abort_handle());
        Ok(node)
    }

    /// CONFIG, ENABLE-APP for each context, STATUS.
    pub async fn announce(
        &self,
        balancer: SocketAddr,
        options: &NodeOptions,
    ) -> Result<(), Refused> {
        let (route, port) = (&self.inner.route, self.address.port());
        let config = options.config;
        let form = format!("JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http{config}");
        mcmp::accepted(balancer, "CONFIG", "/", &form).await?;
        for context in options.contexts {
            let context = context.replace('/', "%2F");
            let form = format!("JVMRoute={route}&Alias=localhost&Context={context}");
            mcmp::accepted(balancer, "ENABLE-APP", "/", &form).await?;
        }
        self.inner.say_status(balancer).await
    }

    /// Its name.
    pub fn route(&self) -> &str {
        &self.inner.route
    }

    /// How it treats requests from now on.
    pub fn set_manner(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// The load that its next STATUS says.
    pub fn set_load(&self, load: i32) {
        self.inner.load.store(load, Ordering::Relaxed);
    }

    /// How many requests reached it, probes not counted.
    pub fn count(&self) -> u64 {
        self.inner.count.load(Ordering::Relaxed)
    }

    /// What reached it, probes left out, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
        if let Some(status) = &self.status {
            status.abort();
        }
    }
}

// === impl Inner ===

impl Inner {
    async fn say_status(&self, balancer: SocketAddr) -> Result<(), Refused> {
        let form = format!("JVMRoute={}&Load={}", self.route, self.load.load(Ordering::Relaxed));
        mcmp::accepted(balancer, "STATUS", "/", &form).await?;
        Ok(())
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        if request.method() == Method::OPTIONS && request.uri() == "*" {
            return self.respond(StatusCode::OK);
        }
        if request.headers().contains_key(header::UPGRADE) {
            return self.upgrade(request);
        }
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return self.respond(StatusCode::BAD_REQUEST);
        };
        self.remember(Seen {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body: body.to_bytes(),
        });
        let manner = *self.manner.lock().unwrap_or_else(PoisonError::into_inner);
        match manner {
            Manner::Prompt => self.respond(StatusCode::OK),
            Manner::Status(status) => self.respond(status),
            Manner::Late(time) => {
                tokio::time::sleep(time).await;
                self.respond(StatusCode::OK)
            }
            Manner::Chunks(count) => {
                let chunk = || Ok(Frame::data(Bytes::from_static(CHUNK)));
                let chunks = stream::iter(std::iter::repeat_with(chunk).take(count));
                self.respond(StatusCode::OK).map(|_| BodyExt::boxed(StreamBody::new(chunks)))
            }
        }
    }

    /// Says 101 and then echoes bytes, whatever the protocol.
    fn upgrade(&self, request: Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let protocol = request.headers().get(header::UPGRADE).cloned();
        self.remember(Seen {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            body: Bytes::new(),
        });
        tokio::spawn(async move {
            let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
            // The echo ends with the connection, whichever side ends it.
            let _ = tokio::io::copy(&mut read, &mut write).await;
        });
        let mut response = self.respond(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
        if let Some(protocol) = protocol {
            headers.insert(header::UPGRADE, protocol);
        }
        response
    }

    fn remember(&self, request: Seen) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < REMEMBERED {
            seen.push(request);
        }
    }

    fn respond(&self, status: StatusCode) -> Response<BoxBody<Bytes, Infallible>> {
        let body = match status {
            StatusCode::SWITCHING_PROTOCOLS => String::new(),
            _ => format!("{{\"node\":\"{}\"}}\n", self.route),
        };
        let mut response = Response::new(Full::new(Bytes::from(body)).boxed());
        *response.status_mut() = status;
        if let Ok(route) = self.route.parse() {
            response.headers_mut().insert("x-node", route);
        }
        response
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // When the server is aborted, its connections go with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, inner.clone()));
    }
}

async fn converse(stream: TcpStream, inner: Arc<Inner>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let inner = inner.clone();
        async move { Ok::<_, Infallible>(inner.answer(request).await) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // How a connection ends is the other side's affair.
    let _ = connection.with_upgrades().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::client::Client;
    use crate::testkit::eventually;

    #[tokio::test]
    async fn a_node_logs_what_reaches_it_and_leaves_out_probes() {
        let node = Node::start("a").await.unwrap();
        let mut client = Client::new(node.address);
        client.send(Method::OPTIONS, "*", &[], "").await.unwrap();
        let id = [("x-request-id", "7")];
        let answer = client.send(Method::POST, "/x?y=1", &id, "body").await.unwrap();
        assert_eq!(answer.node().as_deref(), Some("a"));
        let seen = node.seen();
        assert_eq!((seen.len(), node.count(), client.opened()), (1, 1, 1));
        assert_eq!(seen[0].uri, "/x?y=1");
        assert_eq!(seen[0].headers["x-request-id"], "7");
        assert_eq!(seen[0].body, "body");
    }

    #[tokio::test]
    async fn a_node_echoes_on_an_upgraded_connection() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let node = Node::start("a").await.unwrap();
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: e\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101") && !head.contains("content-length"), "{head}");
        stream.write_all(b"hello").await.unwrap();
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(&echo, b"hello");
    }

    #[tokio::test]
    async fn a_dropped_node_answers_no_more() {
        let node = Node::start("a").await.unwrap();
        let address = node.address;
        Client::new(address).get("/").await.unwrap();
        drop(node);
        // The closing of the sockets is the runtime's next step, not this one.
        let gone = async || Client::new(address).get("/").await.err().ok_or("it still answers");
        eventually("no connection", Duration::from_secs(5), gone).await.unwrap();
    }
}
