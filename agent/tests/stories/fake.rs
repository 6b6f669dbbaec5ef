//! A balancer that answers as it is told to and remembers what it heard.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A balancer on a free port of its own.
pub(crate) struct Fake {
    address: SocketAddr,
    shared: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What it does, and what it has heard.
#[derive(Default)]
pub(crate) struct State {
    /// Its id in the answers to STATUS.
    pub(crate) id: u64,
    /// Whether a CONFIG came: without one, a STATUS is answered MEM.
    pub(crate) is_known: bool,
    /// Requests in flight, as STOP-APP is answered.
    pub(crate) in_flight: u64,
    /// What this method is answered instead: status line's rest and headers.
    pub(crate) refusals: Vec<(&'static str, &'static str)>,
    /// More headers of every good answer, each with its line end.
    pub(crate) headers: String,
    /// Whether no answer ever comes.
    pub(crate) is_silent: bool,
    /// Whether each connection is closed after an answer, without a word.
    pub(crate) hangs_up: bool,
    /// `METHOD uri body`, in order.
    pub(crate) heard: Vec<String>,
    /// The bytes of each request.
    pub(crate) bytes: Vec<String>,
    /// Connections so far, and those that are open.
    pub(crate) connections: usize,
    pub(crate) open: usize,
}

impl Fake {
    pub(crate) async fn start(id: u64) -> Fake {
        Fake::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), id).await
    }

    pub(crate) async fn start_at(address: SocketAddr, id: u64) -> Fake {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let shared = Arc::new(Mutex::new(State { id, ..State::default() }));
        let state = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&state)));
            }
        });
        Fake { address, shared, accepting }
    }

    /// Closes the port and all connections.
    pub(crate) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().expect("no test panics with the lock held")
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.state().heard.clone()
    }

    /// What it heard beside STATUS.
    pub(crate) fn heard_but_status(&self) -> Vec<String> {
        self.heard().into_iter().filter(|line| !line.starts_with("STATUS")).collect()
    }

    pub(crate) fn count(&self, start: &str) -> usize {
        self.heard().iter().filter(|line| line.starts_with(start)).count()
    }
}

/// Counts an open connection until it is dropped.
struct Open(Arc<Mutex<State>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.lock().expect("no test panics with the lock held").open -= 1;
    }
}

async fn serve(stream: TcpStream, shared: Arc<Mutex<State>>) {
    {
        let mut state = shared.lock().expect("no test panics with the lock held");
        state.connections += 1;
        state.open += 1;
    }
    let _open = Open(Arc::clone(&shared));
    let mut stream = BufReader::new(stream);
    while let Some((head, body)) = read(&mut stream).await {
        let (answer, is_silent, hangs_up) = {
            let mut state = shared.lock().expect("no test panics with the lock held");
            let answer = state.answer(&head, &body);
            (answer, state.is_silent, state.hangs_up)
        };
        if is_silent {
            std::future::pending::<()>().await;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() || hangs_up {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let mut head = String::new();
    let mut length = 0;
    loop {
        let start = head.len();
        stream.read_line(&mut head).await.ok().filter(|read| *read > 0)?;
        let line = &head[start..];
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).ok()?))
}

impl State {
    fn answer(&mut self, head: &str, body: &str) -> String {
        let line = head.lines().next().unwrap_or_default();
        let start = line.strip_suffix(" HTTP/1.1").unwrap_or(line);
        let readable = body.replace("%2F", "/").replace("%2C", ",");
        self.heard.push(format!("{start} {readable}").trim_end().to_owned());
        self.bytes.push(format!("{head}{body}"));
        let method = start.split(' ').next().unwrap_or_default();
        if let Some((_, refusal)) = self.refusals.iter().find(|(refused, _)| *refused == method) {
            return format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n");
        }
        let body = match method {
            "CONFIG" => {
                self.is_known = true;
                String::new()
            }
            "STATUS" if !self.is_known => {
                return "HTTP/1.1 500 \r\nType: MEM\r\nMess: MEM: Can't read node\r\n\
                    Content-Length: 0\r\n\r\n"
                    .to_owned();
            }
            "STATUS" => format!("Type=STATUS-RSP&JVMRoute=n&State=OK&id={}\n", self.id),
            "STOP-APP" => format!("Type=STOP-APP-RSP&JvmRoute=n&Requests={}\n", self.in_flight),
            _ => String::new(),
        };
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{}Content-Length: {}\r\n\r\n{body}",
            self.headers,
            body.len()
        )
    }
}
