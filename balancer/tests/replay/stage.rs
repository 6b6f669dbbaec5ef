//! Where the replay plays: a network of its own, three back ends, and the real `muster`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::exchange::{Answer, Request};

/// Set for the test inside its own network.
const INSIDE: &str = "MUSTER_REPLAY_INSIDE";

/// Bound of each wait; far longer than any should last.
const PATIENCE: Duration = Duration::from_secs(30);

/// The fixed address of MCMP, as the recordings have it.
fn mcmp() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 6666))
}

pub(crate) fn is_own_network() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Runs this program's test of that name again, in a network namespace with a loopback of its own.
pub(crate) fn run_in_own_network(test: &str) {
    // Without root a namespace needs a user namespace around it.
    let plain = Command::new("unshare").args(["-n", "true"]).status();
    let flags = match plain.expect("the program unshare is there").success() {
        true => "-n",
        false => "-rn",
    };
    let this = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args([flags, "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(this)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "the replay failed: see above");
}

/// Back ends that answer each request with 200 and close.
pub(crate) fn start_back_ends(ports: &[u16]) {
    for port in ports {
        let listener = TcpListener::bind(("127.0.0.1", *port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || answer_once(stream));
            }
        });
    }
}

fn answer_once(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = BufReader::new(stream.try_clone()?).lines();
    while head.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// The balancer under test; it is killed when this is dropped.
pub(crate) struct Muster {
    child: Child,
}

// === impl Muster ===

impl Muster {
    /// Starts it with its shipped defaults, and waits until it listens.
    pub(crate) fn start() -> Muster {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["run", "--http", "127.0.0.1:0", "--mcmp", &mcmp().to_string()])
            .args(["--manager", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let muster = Muster { child };
        let (sender, first_line) = mpsc::channel();
        // Reads on to the end, so that the balancer never waits for its own log.
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let line = first_line.recv_timeout(PATIENCE).expect("muster says where it listens");
        assert!(line.starts_with("listening "), "{line}");
        muster
    }

    /// What it answers, on a connection of its own.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        let stream = TcpStream::connect_timeout(&mcmp(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        (&stream).write_all(&bytes(request)).unwrap();
        read_answer(BufReader::new(stream)).unwrap_or_default()
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(request: &Request) -> Vec<u8> {
    let mut text = format!("{}\r\nHost: {}\r\n", request.line, mcmp());
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let is_chunked = request.headers.iter().any(|(name, _)| name == "Transfer-Encoding");
    text += "\r\n";
    match is_chunked {
        true => text += &format!("{:x}\r\n{}\r\n0\r\n\r\n", request.body.len(), request.body),
        false => text += &request.body,
    }
    text.into_bytes()
}

/// `None` where the connection ended before a whole answer.
fn read_answer(mut stream: impl BufRead) -> Option<Answer> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let status = lines.first()?.split(' ').nth(1)?.parse().ok();
    let mut answer = Answer { status, headers: headers.collect(), body: String::new() };
    let length = answer.header("Content-Length").and_then(|length| length.parse().ok());
    stream.take(length.unwrap_or(u64::MAX)).read_to_string(&mut answer.body).ok()?;
    Some(answer)
}
