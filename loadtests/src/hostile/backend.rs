//! A raw node: it records every byte by case, reads strictly, and answers well, or as a script
//! says.
//!
//! Each record has a serial number, and the good answer to it names that number in `X-Serial`, so
//! that the judge sees whose answer a client got.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::case::{self, CaseId};
use super::heads;
use super::reading::{self, Fault, Named as _, Reading, Request};

/// Most bytes of one request; more is recorded as unfinished and the connection closed.
const MAX_REQUEST: usize = 16 << 20;

/// How long a script may stay silent.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// Whose answer it is.
pub const SERIAL: &str = "x-serial";

/// The status that a request asks for, where 200 is not wanted.
pub const WISH: &str = "x-answer";

/// What reached the node.
#[derive(Debug, Clone)]
pub struct Record {
    /// Rises over all connections.
    pub serial: u64,
    /// The connection it came on.
    pub connection: u64,
    /// All its bytes.
    pub raw: Vec<u8>,
    /// How they read.
    pub got: Got,
}

/// How the bytes of a record read.
#[derive(Debug, Clone)]
pub enum Got {
    /// As one request.
    Whole(Request),
    /// As the beginning of one; then the connection ended.
    Partial,
    /// Not in one way only.
    Broken(Fault),
}

/// A step of a script.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes this.
    Say(Vec<u8>),
    /// Writes this again and again, up to so many times.
    Repeat(Vec<u8>, usize),
    /// Waits: the pause is part of the attack.
    Pause(Duration),
    /// Says nothing until the other side closes, a minute at most.
    Hold,
    /// Closes.
    Close,
    /// Closes with a reset.
    Reset,
}

/// What the node does instead of a good answer.
#[derive(Debug, Clone)]
pub struct Script {
    /// One after the other; then the connection goes on.
    pub acts: Vec<Act>,
    /// Whether it begins once the head is there, whatever is still to come of the body.
    pub at_head: bool,
}

/// The node. Dropping it closes all its sockets.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    serials: AtomicU64,
    bytes: AtomicU64,
    records: Mutex<HashMap<CaseId, Vec<Arc<Record>>>>,
    scripts: Mutex<HashMap<CaseId, Arc<Script>>>,
    /// The scripts that were played to their end.
    played: watch::Sender<HashSet<CaseId>>,
    first_words: Mutex<Option<(CaseId, Vec<u8>)>>,
    /// Changes when idle connections are to be closed.
    generation: watch::Sender<u64>,
}

/// Whether a connection goes on.
type GoesOn = bool;

// === impl Backend ===

impl Backend {
    /// Listens; port 0 takes a free one.
    pub async fn bind(address: SocketAddr) -> io::Result<Backend> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            serials: AtomicU64::new(1),
            bytes: AtomicU64::new(0),
            records: Mutex::default(),
            scripts: Mutex::default(),
            played: watch::Sender::default(),
            first_words: Mutex::default(),
            generation: watch::Sender::new(0),
        });
        let server = tokio::spawn(serve(listener, shared.clone())).abort_handle();
        Ok(Backend { address, shared, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What reached it for a case, in order.
    pub fn records(&self, case: CaseId) -> Vec<Arc<Record>> {
        lock(&self.shared.records).get(&case).cloned().unwrap_or_default()
    }

    /// The same, and forgets it.
    pub fn take(&self, case: CaseId) -> Vec<Arc<Record>> {
        lock(&self.shared.records).remove(&case).unwrap_or_default()
    }

    /// Answers the requests of a case whose target has the word `attack` by a script.
    pub fn script(&self, case: CaseId, script: Script) {
        lock(&self.shared.scripts).insert(case, Arc::new(script));
    }

    /// Waits until the script of a case was played to its end, or cannot be any more because the
    /// connection of its first words is gone.
    pub async fn await_played(&self, case: CaseId, within: Duration) {
        let mut played = self.shared.played.subscribe();
        let done = played.wait_for(|played| played.contains(&case));
        // A script that a proxy cuts short has no end; what the client got shows it.
        let _ = tokio::time::timeout(within, done).await;
    }

    /// Says this on the next connection before anything was asked.
    pub fn speak_first(&self, case: CaseId, words: Vec<u8>) {
        *lock(&self.shared.first_words) = Some((case, words));
    }

    /// Closes the connections on which no request is under way.
    pub fn drop_idle(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Waits until no byte has come for this time, at most for two seconds.
    pub async fn settle(&self, quiet: Duration) {
        let bytes = || self.shared.bytes.load(Ordering::Relaxed);
        let end = Instant::now() + Duration::from_secs(2);
        let mut seen = bytes();
        while Instant::now() < end {
            tokio::time::sleep(quiet).await;
            if std::mem::replace(&mut seen, bytes()) == seen {
                break;
            }
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.server.abort();
    }
}

// === impl Record ===

impl Record {
    /// The request, where it came whole and reads in one way.
    pub fn request(&self) -> Option<&Request> {
        match &self.got {
            Got::Whole(request) => Some(request),
            Got::Partial | Got::Broken(_) => None,
        }
    }

    /// Whether its bytes, whole or not, begin a request for a target that ends so.
    pub fn is_at(&self, end: &str) -> bool {
        reading::started(&self.raw).is_some_and(|r| r.target.ends_with(end.as_bytes()))
    }

    /// Whether its target ends so.
    pub fn is_for(&self, end: &str) -> bool {
        self.request().is_some_and(|request| request.target.ends_with(end.as_bytes()))
    }
}

// === impl Shared ===

impl Shared {
    fn record(&self, connection: u64, raw: &[u8], got: Got) -> u64 {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed);
        let record = Arc::new(Record { serial, connection, raw: raw.to_vec(), got });
        let mut records = lock(&self.records);
        for case in case::ids(raw) {
            records.entry(case).or_default().push(record.clone());
        }
        serial
    }

    fn script_for(&self, raw: &[u8]) -> Option<Arc<Script>> {
        let request = reading::started(raw)?;
        let is_attack = request.target.windows(6).any(|word| word == b"attack");
        let case =
            is_attack.then(|| case::ids(&request.target)).and_then(|ids| ids.first().copied());
        lock(&self.scripts).get(&case?).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === A connection ===

struct Connection {
    number: u64,
    stream: TcpStream,
    shared: Arc<Shared>,
    buffer: Vec<u8>,
    said_continue: bool,
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // When the server is aborted, its connections go with it.
    let mut connections = JoinSet::new();
    for number in 1.. {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let shared = shared.clone();
        let connection =
            Connection { number, stream, shared, buffer: Vec::new(), said_continue: false };
        // How a connection ends is the other side's affair.
        connections.spawn(async move { drop(connection.run().await) });
    }
}

impl Connection {
    async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let first_words = lock(&self.shared.first_words).take();
        let Some((case, words)) = first_words else { return self.listen().await };
        let shared = self.shared.clone();
        let done = match self.stream.write_all(&words).await {
            Ok(()) => self.listen().await,
            error => error,
        };
        shared.played.send_modify(|played| played.extend([case]));
        done
    }

    async fn listen(mut self) -> io::Result<()> {
        let mut generation = self.shared.generation.subscribe();
        loop {
            let read = tokio::select! {
                read = self.stream.read_buf(&mut self.buffer) => read,
                _ = generation.changed(), if self.buffer.is_empty() => return Ok(()),
            };
            let read = read.unwrap_or(0);
            self.shared.bytes.fetch_add(read as u64, Ordering::Relaxed);
            if read == 0 || self.buffer.len() > MAX_REQUEST {
                if !self.buffer.is_empty() {
                    self.shared.record(self.number, &self.buffer, Got::Partial);
                }
                return Ok(());
            }
            while !self.buffer.is_empty() {
                match self.step().await? {
                    Some(true) => {}
                    Some(false) => return Ok(()),
                    None => break,
                }
            }
        }
    }

    /// Takes one request from the buffer; `None` when more bytes are needed.
    async fn step(&mut self) -> io::Result<Option<GoesOn>> {
        match reading::request(&self.buffer) {
            Reading::More => self.unfinished().await,
            Reading::Broken(fault) => {
                self.shared.record(self.number, &self.buffer, Got::Broken(fault));
                let answer = b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                self.stream.write_all(answer).await?;
                Ok(Some(false))
            }
            Reading::Whole { value, length } => {
                let raw: Vec<u8> = self.buffer.drain(..length).collect();
                self.said_continue = false;
                let serial = self.shared.record(self.number, &raw, Got::Whole(value.clone()));
                match self.shared.script_for(&raw) {
                    Some(script) => {
                        let goes_on = self.play(&script).await;
                        self.shared.played.send_modify(|played| played.extend(case::ids(&raw)));
                        goes_on.map(Some)
                    }
                    None => self.answer(&value, serial).await.map(Some),
                }
            }
        }
    }

    async fn unfinished(&mut self) -> io::Result<Option<GoesOn>> {
        if let Some(script) = self.shared.script_for(&self.buffer).filter(|s| s.at_head) {
            self.shared.record(self.number, &self.buffer, Got::Partial);
            self.buffer.clear();
            return self.play(&script).await.map(Some);
        }
        let head = reading::started(&self.buffer);
        if !self.said_continue
            && head.is_some_and(|h| h.minor == 1 && h.headers.lists("expect", "100-continue"))
        {
            self.said_continue = true;
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        Ok(None)
    }

    async fn answer(&mut self, request: &Request, serial: u64) -> io::Result<GoesOn> {
        let headers = &request.headers[..];
        if headers.lists("connection", "upgrade") && headers.all("upgrade").next().is_some() {
            return self.tunnel(headers, serial).await;
        }
        let wish = headers.only(WISH).map(heads::text).unwrap_or_default();
        let body = format!("{} {}\n", request.method, heads::text(&request.target));
        let answer = match wish.as_str() {
            "204" | "304" => format!("HTTP/1.1 {wish} Wished\r\n{SERIAL}: {serial}\r\n\r\n"),
            _ => {
                let head = format!("{SERIAL}: {serial}\r\nContent-Length: {}", body.len());
                let body = if request.method == "HEAD" { "" } else { &body };
                format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}")
            }
        };
        self.stream.write_all(answer.as_bytes()).await?;
        Ok(request.minor == 1 && !headers.lists("connection", "close"))
    }

    /// Says 101 and echoes what comes.
    async fn tunnel(&mut self, headers: &[reading::Header], serial: u64) -> io::Result<GoesOn> {
        let protocol = headers.all("upgrade").next().map(heads::text).unwrap_or_default();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
             {SERIAL}: {serial}\r\n\r\n"
        );
        self.stream.write_all(answer.as_bytes()).await?;
        self.stream.write_all(&std::mem::take(&mut self.buffer)).await?;
        let (mut read, mut write) = self.stream.split();
        tokio::io::copy(&mut read, &mut write).await?;
        Ok(false)
    }

    async fn play(&mut self, script: &Script) -> io::Result<GoesOn> {
        for act in &script.acts {
            match act {
                Act::Say(bytes) => self.stream.write_all(bytes).await?,
                Act::Repeat(bytes, times) => {
                    for _ in 0..*times {
                        self.stream.write_all(bytes).await?;
                    }
                }
                Act::Pause(time) => tokio::time::sleep(*time).await,
                Act::Hold => self.hold().await,
                Act::Close => {
                    self.stream.shutdown().await?;
                    // Read on for a moment: a close with unread bytes would be a reset.
                    let rest = self.stream.read_to_end(&mut self.buffer);
                    let _ = tokio::time::timeout(Duration::from_millis(100), rest).await;
                    return Ok(false);
                }
                Act::Reset => {
                    self.stream.set_zero_linger()?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn hold(&mut self) {
        let ended = async {
            let mut sink = vec![0; 4096];
            while !matches!(self.stream.read(&mut sink).await, Ok(0) | Err(_)) {}
        };
        let _ = tokio::time::timeout(MAX_HOLD, ended).await;
    }
}
