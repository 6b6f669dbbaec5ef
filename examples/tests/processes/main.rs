//! The examples as real processes, asked over real connections.

mod adapters;
mod cluster;
mod counter;
mod counters;
mod demo;
mod tutorial;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The bound of every wait in these tests; none is expected to come near it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A started program; it is killed when dropped.
struct Program {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

/// An answer, as text.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Program {
    fn start(program: &str, args: &[&str]) -> Program {
        let process = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Program::of(process)
    }

    fn of(mut process: Child) -> Program {
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        Program { process, output }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its output is text");
        line.trim_end().to_owned()
    }

    fn terminate(&self) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).expect("it runs");
    }

    fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the program ends", || {
            status = self.process.try_wait().expect("it is our child");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request on a connection of its own; `None` while nobody answers.
fn ask(address: SocketAddr, request: &str, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
    let length = body.len();
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let mut text = format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    text += &format!("Content-Length: {length}\r\n");
    headers.lines().for_each(|header| text += &format!("{header}\r\n"));
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

fn get(address: SocketAddr, request: &str) -> Answer {
    ask(address, &format!("GET {request}"), "").expect("an answer")
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.body.trim_end_matches('x')).expect("JSON")
    }

    /// The cookie that it sets, as a request header.
    fn cookie(&self) -> Option<String> {
        let pair = self.header("set-cookie")?.split(';').next()?;
        Some(format!("Cookie: {pair}"))
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "too late: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
