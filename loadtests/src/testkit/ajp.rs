//! A synthetic node that speaks AJP: registers by hand, logs what reaches it, and can do what no
//! real worker would.

pub mod frames;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

pub use self::frames::Head;
use self::frames::Packet;
use super::mcmp;

/// How often a registered node says STATUS.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// Most requests that a node remembers, and most CPings.
const REMEMBERED: usize = 100_000;
/// Most bytes of a body in one frame, either way.
const MOST: u16 = 8184;

/// How a node treats requests. CPing is always answered at once, unless it is `Silent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manner {
    /// Takes the whole body, and answers with it.
    Echo,
    /// Answers with the body while it comes.
    Duplex,
    /// Sends these bytes without asking for the body, and then awaits the next request.
    Says(Vec<u8>),
    /// Sends these bytes without asking for the body, and closes.
    SaysAndCloses(Vec<u8>),
    /// Takes requests, and answers none.
    Silent,
}

/// A request as the node saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its head.
    pub head: Head,
    /// What came of its body.
    pub body: Vec<u8>,
    /// Which connection it came on, counted from 1.
    pub connection: u64,
}

/// A node in this process. Dropping it closes its sockets and sends nothing, as a crash does.
#[derive(Debug)]
pub struct AjpNode {
    /// Where it answers.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
}

#[derive(Debug)]
struct Inner {
    route: String,
    manner: Mutex<Manner>,
    seen: Mutex<Vec<Seen>>,
    /// Connections so far, and those that the balancer has ended.
    opened: AtomicU64,
    ended: AtomicU64,
    /// The connection of each CPing.
    pings: Mutex<Vec<u64>>,
}

/// What is left of a request's body.
#[derive(Debug)]
struct Upload {
    /// With a length, the first frame comes unasked.
    is_unasked: bool,
    is_over: bool,
}

// === impl AjpNode ===

impl AjpNode {
    /// A node with the context `/` that has registered, and goes on saying STATUS.
    pub async fn register(route: &str, balancer: SocketAddr) -> anyhow::Result<AjpNode> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            route: route.to_owned(),
            manner: Mutex::new(Manner::Echo),
            seen: Mutex::default(),
            opened: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            pings: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, inner.clone())).abort_handle();
        let mut node = AjpNode { address, inner, tasks: vec![server] };
        let port = address.port();
        let form = format!("JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=ajp");
        mcmp::accepted(balancer, "CONFIG", "/", &form).await?;
        let form = format!("JVMRoute={route}&Alias=localhost&Context=%2F");
        mcmp::accepted(balancer, "ENABLE-APP", "/", &form).await?;
        let form = format!("JVMRoute={route}&Load=100");
        mcmp::accepted(balancer, "STATUS", "/", &form).await?;
        let status = tokio::spawn(async move {
            loop {
                tokio::time::sleep(STATUS_INTERVAL).await;
                // A balancer that is down hears the next one.
                let _ = mcmp::accepted(balancer, "STATUS", "/", &form).await;
            }
        });
        node.tasks.push(status.abort_handle());
        Ok(node)
    }

    /// How it treats requests from now on.
    pub fn set_manner(&self, manner: Manner) {
        *self.inner.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }

    /// What reached it, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections on which requests came.
    pub fn connections(&self) -> usize {
        let all: BTreeSet<u64> = self.seen().iter().map(|seen| seen.connection).collect();
        all.len()
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        let opened = self.inner.opened.load(Ordering::Relaxed);
        opened - self.inner.ended.load(Ordering::Relaxed)
    }

    /// How many CPings came on a connection.
    pub fn pings(&self, connection: u64) -> usize {
        let pings = self.inner.pings.lock().unwrap_or_else(PoisonError::into_inner);
        pings.iter().filter(|&&own| own == connection).count()
    }
}

impl Drop for AjpNode {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

// === impl Inner ===

impl Inner {
    async fn converse(&self, stream: TcpStream, number: u64) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(packet) = frames::packet(&mut stream).await? {
            match packet {
                Packet::Ping => {
                    self.note_ping(number);
                    stream.write_all(&frames::pong()).await?;
                }
                Packet::Request(head) => self.answer(&mut stream, *head, number).await?,
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        stream: &mut BufReader<TcpStream>,
        head: Head,
        connection: u64,
    ) -> io::Result<()> {
        let manner = self.manner.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut upload = Upload::of(&head);
        let is_head = head.method == "HEAD";
        let seen = Seen { head, body: Vec::new(), connection };
        match manner {
            Manner::Echo => {
                let mut body = Vec::new();
                while let Some(data) = upload.next(stream).await? {
                    body.extend(data);
                }
                let told = if is_head { &[][..] } else { &body };
                let answer = self.whole_answer(told, body.len());
                self.remember(Seen { body, ..seen });
                stream.write_all(&answer).await
            }
            Manner::Duplex => {
                let head = frames::answer_head(200, &[("X-Node", &self.route)]);
                stream.write_all(&head).await?;
                let mut body = Vec::new();
                while let Some(data) = upload.next(stream).await? {
                    stream.write_all(&frames::chunk(&data)).await?;
                    body.extend(data);
                }
                self.remember(Seen { body, ..seen });
                stream.write_all(&frames::end(true)).await
            }
            Manner::Says(bytes) => {
                self.remember(seen);
                upload.drop_unasked(stream).await?;
                stream.write_all(&bytes).await
            }
            Manner::SaysAndCloses(bytes) => {
                self.remember(seen);
                upload.drop_unasked(stream).await?;
                stream.write_all(&bytes).await?;
                stream.shutdown().await?;
                Err(io::ErrorKind::ConnectionAborted.into())
            }
            Manner::Silent => {
                self.remember(seen);
                while !frames::data(stream).await?.is_empty() {}
                Ok(())
            }
        }
    }

    fn whole_answer(&self, body: &[u8], length: usize) -> Vec<u8> {
        let length = length.to_string();
        let headers = [("X-Node", self.route.as_str()), ("Content-Length", length.as_str())];
        let mut answer = frames::answer_head(200, &headers);
        body.chunks(usize::from(MOST)).for_each(|part| answer.extend(frames::chunk(part)));
        answer.extend(frames::end(true));
        answer
    }

    fn note_ping(&self, connection: u64) {
        let mut pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner);
        if pings.len() < REMEMBERED {
            pings.push(connection);
        }
    }

    fn remember(&self, request: Seen) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < REMEMBERED {
            seen.push(request);
        }
    }
}

// === impl Upload ===

impl Upload {
    fn of(head: &Head) -> Upload {
        let is_unasked = head.header("content-length").is_some_and(|length| length != "0");
        let is_over = !is_unasked && head.header("transfer-encoding").is_none();
        Upload { is_unasked, is_over }
    }

    /// The next frame of the body, asked for where that is needed; `None` at its end.
    async fn next(&mut self, stream: &mut BufReader<TcpStream>) -> io::Result<Option<Vec<u8>>> {
        if self.is_over {
            return Ok(None);
        }
        if !std::mem::take(&mut self.is_unasked) {
            stream.write_all(&frames::wish(MOST)).await?;
        }
        let data = frames::data(stream).await?;
        self.is_over = data.is_empty();
        Ok((!self.is_over).then_some(data))
    }

    /// What comes unasked comes to those too who want none of it.
    async fn drop_unasked(&mut self, stream: &mut BufReader<TcpStream>) -> io::Result<()> {
        if std::mem::take(&mut self.is_unasked) {
            frames::data(stream).await?;
        }
        Ok(())
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // When the server is aborted, its connections go with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let inner = inner.clone();
        let number = inner.opened.fetch_add(1, Ordering::Relaxed) + 1;
        connections.spawn(async move {
            // How a connection ends is the other side's affair.
            let _ = inner.converse(stream, number).await;
            inner.ended.fetch_add(1, Ordering::Relaxed);
        });
    }
}
