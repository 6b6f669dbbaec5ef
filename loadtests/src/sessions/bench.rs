//! What a session costs: the same counter with its sessions in a plain map, kept by Muster, and in
//! Redis, measured in turns in one run.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;

use crate::cluster::bench::figure::{Latencies, median};
use crate::cluster::bench::redis::Redis;
use crate::cluster::cpu;
use crate::testkit::binaries;
use crate::testkit::client::Client;
use crate::testkit::eventually;
use crate::testkit::ports::free_address;
use crate::testkit::process::{Process, Spec};

const PATIENCE: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_millis(500);

/// What is measured, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What every request asks for.
    pub query: String,
    /// Callers at once, each with its own session and connection, of each row in turn.
    pub callers: Vec<usize>,
    /// How long a turn takes.
    pub lasts: Duration,
    /// Turns; a figure is their median.
    pub turns: u32,
    /// Only rows whose name contains this.
    pub only: Option<String>,
}

/// One way to keep sessions, and the processes that do it.
struct Row {
    name: &'static str,
    serving: Process,
    backup: Option<Process>,
    redis: Option<Redis>,
    /// The ports between members, or to Redis.
    ports: Vec<u16>,
}

/// What one turn brought, a request.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    per_second: f64,
    p50_us: f64,
    p99_us: f64,
    serving_us: f64,
    other_us: f64,
    bytes: f64,
}

/// All rows, each with its turns.
#[derive(Debug, Default)]
pub struct Table(Vec<(String, Vec<Turn>)>);

/// Measures all.
///
/// # Errors
/// When something does not start, or a request fails.
pub async fn run(plan: &Plan) -> anyhow::Result<Table> {
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    for (name, kept) in ROWS {
        if plan.only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            rows.push(Row::start(name, kept, folder.path()).await?);
        }
    }
    let mut table = Table::default();
    for turn in 0..=plan.turns {
        // The first one warms up.
        let lasts = if turn == 0 { WARM_UP } else { plan.lasts };
        for callers in &plan.callers {
            for row in &rows {
                let measured = row.turn(&plan.query, *callers, lasts).await?;
                if turn > 0 {
                    table.note(&format!("{}, {callers} at a time", row.name), measured);
                }
            }
        }
    }
    Ok(table)
}

const ROWS: [(&str, &str); 5] = [
    ("plain map", "plain"),
    ("Muster, not distributable", "local"),
    ("Muster, SESSION", "session"),
    ("Muster, ATTRIBUTE", "attribute"),
    ("tower-sessions with Redis", "redis"),
];

// === impl Row ===

impl Row {
    async fn start(name: &'static str, kept: &str, folder: &Path) -> anyhow::Result<Row> {
        let start = async |name: String, more: Vec<String>| {
            let kept = ["--kept".into(), kept.to_owned(), "--name".into(), name.clone()];
            let program = binaries::find("muster-session-node")?;
            let arguments = kept.into_iter().chain(more).collect();
            let spec = Spec { name, program, arguments, folder: folder.to_owned() };
            anyhow::Ok(Process::start(spec).await?)
        };
        if kept == "redis" {
            let redis = Redis::alone(folder)?;
            let port = redis.address().port();
            let more = vec!["--redis".into(), redis.address().to_string()];
            let serving = start("redis-node".into(), more).await?;
            return Ok(Row { name, serving, backup: None, redis: Some(redis), ports: vec![port] });
        }
        if !matches!(kept, "session" | "attribute") {
            let serving = start(kept.to_owned(), Vec::new()).await?;
            return Ok(Row { name, serving, backup: None, redis: None, ports: Vec::new() });
        }
        let (one, two) = (free_address()?, free_address()?);
        let member = |own: SocketAddr, other: SocketAddr| {
            vec!["--port".into(), own.port().to_string(), "--other".into(), other.to_string()]
        };
        let serving = start(format!("{kept}-one"), member(one, two)).await?;
        let backup = Some(start(format!("{kept}-two"), member(two, one)).await?);
        Ok(Row { name, serving, backup, redis: None, ports: vec![one.port(), two.port()] })
    }

    async fn turn(&self, query: &str, callers: usize, lasts: Duration) -> anyhow::Result<Turn> {
        let address = self.serving.listening("http").context("no address")?;
        let path = format!("/counter?{query}");
        let mut clients = Vec::new();
        for _ in 0..callers {
            clients.push(self.session(address, &path).await?);
        }
        let others: Vec<u32> = (self.backup.iter().map(Process::id))
            .chain(self.redis.iter().flat_map(Redis::pids))
            .collect();
        let own = [self.serving.id()];
        let before = (cpu::used(&own), cpu::used(&others), self.bytes()?, Instant::now());
        let mut all = JoinSet::new();
        for client in clients {
            all.spawn(ask(client, path.clone(), lasts));
        }
        let mut latencies = Latencies::default();
        while let Some(ended) = all.join_next().await {
            latencies.merge(&ended??);
        }
        let elapsed = before.3.elapsed();
        let figure = latencies.figure(elapsed, cpu::used(&own).saturating_sub(before.0));
        let count = figure.count.max(1) as f64;
        let other = cpu::used(&others).saturating_sub(before.1);
        Ok(Turn {
            per_second: figure.per_second,
            p50_us: figure.p50_us,
            p99_us: figure.p99_us,
            serving_us: figure.cpu_us,
            other_us: other.as_secs_f64() * 1e6 / count,
            bytes: (self.bytes()? - before.2) as f64 / count,
        })
    }

    /// A client that has a session whose attributes are there. Members that have just come
    /// together may still move what they keep.
    async fn session(&self, address: SocketAddr, path: &str) -> anyhow::Result<Client> {
        let begun = eventually("a session begins", PATIENCE, async || {
            let mut client = Client::new(address);
            let answer = client.get(path).await.map_err(|error| error.to_string())?;
            if answer.status.is_success() { Ok(client) } else { Err(answer.text()) }
        });
        Ok(begun.await?)
    }

    /// Bytes sent by either side between the serving node and who keeps its sessions, so far.
    fn bytes(&self) -> anyhow::Result<u64> {
        let Some((first, rest)) = self.ports.split_first() else { return Ok(0) };
        let mut filter = format!("( sport = :{first} or dport = :{first}");
        for port in rest {
            filter.push_str(&format!(" or sport = :{port} or dport = :{port}"));
        }
        filter.push_str(" )");
        let shown = Command::new("ss").args(["-tinH", "state", "established", &filter]).output();
        let shown = shown.context("ss of iproute2 shows the bytes of connections")?;
        let text = String::from_utf8_lossy(&shown.stdout);
        let sent = text.split_whitespace().filter_map(|word| word.strip_prefix("bytes_sent:"));
        Ok(sent.filter_map(|bytes| bytes.parse::<u64>().ok()).sum())
    }
}

/// One caller's requests, one after the other.
async fn ask(mut client: Client, path: String, lasts: Duration) -> anyhow::Result<Latencies> {
    let (mut latencies, began) = (Latencies::default(), Instant::now());
    while began.elapsed() < lasts {
        let asked = Instant::now();
        let answer = client.get(&path).await?;
        latencies.note(asked.elapsed());
        if !answer.status.is_success() || answer.json().is_none_or(|json| json["new"] == true) {
            bail!("{} {}", answer.status, answer.text());
        }
    }
    Ok(latencies)
}

// === impl Table ===

impl Table {
    fn note(&mut self, name: &str, turn: Turn) {
        match self.0.iter_mut().find(|(row, _)| row == name) {
            Some((_, turns)) => turns.push(turn),
            None => self.0.push((name.to_owned(), vec![turn])),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | requests/s | p50 us | p99 us | CPU us | other's CPU us | bytes |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (name, turns) in &self.0 {
            let of = |value: fn(&Turn) -> f64| median(turns.iter().map(value).collect());
            writeln!(
                f,
                "| {name} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} |",
                of(|turn| turn.per_second),
                of(|turn| turn.p50_us),
                of(|turn| turn.p99_us),
                of(|turn| turn.serving_us),
                of(|turn| turn.other_us),
                of(|turn| turn.bytes),
            )?;
        }
        Ok(())
    }
}
