//! Malformed messages in a row, made by chance from a seed, while a registered node serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_loadtests::testkit::{Client, Farm, Fault};
use muster_protocol::signature::{Message, Nonce, Purpose, Secrets, Stamp, sign};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{PATIENCE, SECRET, counter, is_up, secret_file};
use crate::system::support::seed;

/// Messages in the plain run; `MUSTER_MALFORMED` says how many in a long one.
const FEW: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages_in_a_row_harm_neither_node_nor_traffic() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer(&format!("[mcmp]\nsecret = \"{SECRET}\"\n")).await.unwrap();
    let secret = secret_file(&farm, "secret", SECRET);
    let mut node = counter(&farm, &balancer, "good", &["--secret-file", &secret]).await;
    is_up(&balancer, "good").await;
    balancer.await_served("/counter", PATIENCE).await.unwrap();

    let count = std::env::var("MUSTER_MALFORMED").ok().and_then(|count| count.parse().ok());
    let count = count.unwrap_or(FEW);
    let asked = Asked::begin(balancer.http);
    let answered = flood(balancer.mcmp, seed(), count).await;
    let (good, failed) = asked.end().await;
    eprintln!("round: {count} malformed messages, {answered:?}; {good} good, {failed} failed");

    assert_eq!(answered.taken, 0, "one of them was taken: {answered:?}");
    assert!(good > 0 && failed == 0, "{good} good, {failed} failed");
    assert_eq!(balancer.process.ended().unwrap(), None);
    is_up(&balancer, "good").await;
    balancer.await_served("/counter", PATIENCE).await.unwrap();
    let told = balancer.process.errors() + &balancer.process.output();
    assert!(!told.contains("panicked"), "a panic");
    // A flood cannot fill the log.
    let lines = told.lines().filter(|line| line.contains("refused")).count() as u64;
    assert!(lines < count / 4 + 1_000, "{lines} lines for {count} messages");
    node.process.inflict(Fault::Terminate).unwrap();
    assert!(node.process.await_end(PATIENCE).await.unwrap().success());
}

/// A client that asks without a pause.
struct Asked {
    stop: Arc<AtomicBool>,
    asking: tokio::task::JoinHandle<(u64, u64)>,
}

impl Asked {
    fn begin(http: SocketAddr) -> Asked {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let asking = tokio::spawn(async move {
            let (mut client, mut good, mut failed) = (Client::new(http), 0, 0);
            while !stopped.load(Ordering::Relaxed) || good == 0 {
                match client.get("/counter?nosession=1").await {
                    Ok(answer) if answer.status.is_success() => good += 1,
                    _ => failed += 1,
                }
                if failed > 100 {
                    break;
                }
            }
            (good, failed)
        });
        Asked { stop, asking }
    }

    async fn end(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.await.unwrap()
    }
}

/// What came back.
#[derive(Debug, Default)]
struct Answered {
    /// 200: none should be.
    taken: u64,
    /// 403.
    locked: u64,
    /// Any other status.
    refused: u64,
    /// Nothing, but the end of the connection.
    closed: u64,
}

async fn flood(to: SocketAddr, seed: u64, count: u64) -> Answered {
    let mut maker = Maker::new(seed);
    let mut answered = Answered::default();
    let mut stream = None;
    for _ in 0..count {
        let (bytes, is_last) = maker.message();
        let mut own = match stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(to).await.unwrap(),
        };
        // The other side may close before it has taken everything.
        let _ = own.write_all(&bytes).await;
        if is_last {
            let _ = own.shutdown().await;
        }
        let answer = tokio::time::timeout(PATIENCE, answer(&mut own)).await.expect("an answer");
        let (status, is_open) = answer.unwrap_or((0, false));
        match status {
            0 => answered.closed += 1,
            200 => answered.taken += 1,
            403 => answered.locked += 1,
            _ => answered.refused += 1,
        }
        stream = (is_open && !is_last).then_some(own);
    }
    answered
}

/// The status, and whether the connection stays.
async fn answer(stream: &mut TcpStream) -> Option<(u16, bool)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    let length: usize = field("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, field("connection").as_deref() != Some("close")))
}

// === what is sent ===

static NONCES: AtomicU64 = AtomicU64::new(1);

struct Maker(StdRng);

impl Maker {
    fn new(seed: u64) -> Maker {
        Maker(StdRng::seed_from_u64(seed))
    }

    /// A message, and whether nothing can follow it on its connection.
    fn message(&mut self) -> (Vec<u8>, bool) {
        let method =
            self.one(&["CONFIG", "ENABLE-APP", "STOP-APP", "STATUS", "REMOVE-APP", "PING"]);
        let form = self.form();
        match self.0.random_range(0..16) {
            0 => (self.noise(200), true),
            1 => (
                format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 90\r\n\r\n{form:.20}")
                    .into(),
                true,
            ),
            2 => (format!("{method} /\r\n\r\n").into(), true),
            3 => (plain(method, "/", &[("X-Long", "x".repeat(70_000))], &form), true),
            4 => (plain(method, "/", &[], &"x=y&".repeat(20_000)), true),
            5 => (plain(method, "/", &[], &form), false),
            6 => (plain("FROBNICATE", "/", &[], &form), false),
            // Signed by nobody who knows the secret.
            7 => (self.signed("another secret of some length", 0, method, &form), false),
            8 => (self.signed(SECRET, -3600, method, GOOD), false),
            9 => (self.signed(SECRET, 3600, method, GOOD), false),
            10 => {
                let mut headers = self.headers(SECRET, 0, method, &form);
                let which = self.0.random_range(0..headers.len());
                headers[which].1 = self.text(40);
                (plain(method, "/", &headers, &form), false)
            }
            11 => {
                let mut headers = self.headers(SECRET, 0, method, &form);
                let which = self.0.random_range(0..headers.len());
                headers.push(headers[which].clone());
                (plain(method, "/", &headers, &form), false)
            }
            // Signed, of another owner or of an address that is no node's.
            12 => (
                self.signed(
                    SECRET,
                    0,
                    "REMOVE-APP",
                    "JVMRoute=good&Alias=localhost&Context=/counter",
                ),
                false,
            ),
            13 => (self.signed(SECRET, 0, "STATUS", "JVMRoute=good&Load=-1"), false),
            14 => (
                self.signed(
                    SECRET,
                    0,
                    "CONFIG",
                    "JVMRoute=evil&Host=169.254.169.254&Port=80&Type=http",
                ),
                false,
            ),
            // Signed, and no form.
            _ => (self.signed(SECRET, 0, method, "JVMRoute"), false),
        }
    }

    fn form(&mut self) -> String {
        let key = self.one(&["JVMRoute", "Host", "Port", "Load", "Context", "Type", "x"]);
        let value = self.text(30);
        format!("JVMRoute=good&{key}={value}&{}", self.one(&["", "=", "&&", "Load", "%", "a=%zz"]))
    }

    fn one<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.0.random_range(0..all.len())]
    }

    fn text(&mut self, most: usize) -> String {
        let length = self.0.random_range(0..most);
        (0..length).map(|_| char::from(self.0.random_range(b'!'..=b'~'))).collect()
    }

    fn noise(&mut self, most: usize) -> Vec<u8> {
        let mut noise = vec![0; self.0.random_range(1..most)];
        self.0.fill_bytes(&mut noise);
        noise
    }

    fn signed(&mut self, secret: &str, seconds: i64, method: &str, form: &str) -> Vec<u8> {
        let headers = self.headers(secret, seconds, method, form);
        plain(method, "/", &headers, form)
    }

    fn headers(&mut self, secret: &str, seconds: i64, method: &str, form: &str) -> Vec<Header> {
        let own = ("X-Muster-Instance", "flood".to_owned());
        let fields = [(own.0, own.1.as_bytes())];
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let mut nonce = [0xf1; 16];
        nonce[8..].copy_from_slice(&NONCES.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let stamp = Stamp { date: now.saturating_add_signed(seconds), nonce: Nonce(nonce) };
        let message = Message { method, uri: "/", fields: &fields, body: form.as_bytes() };
        let secrets = Secrets::new([secret.parse().unwrap()]);
        let signature = sign(&secrets, Purpose::Mcmp, &message, stamp);
        std::iter::once(own.clone()).chain(signature).collect()
    }
}

type Header = (&'static str, String);

const GOOD: &str = "JVMRoute=good&Load=1";

fn plain(method: &str, uri: &str, headers: &[Header], form: &str) -> Vec<u8> {
    let mut text = format!("{method} {uri} HTTP/1.1\r\nHost: h\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n{form}", form.len());
    text.into_bytes()
}
