//! Session nodes of one cluster whose sessions are not all in memory, and what is on disk outlives
//! them: started, ended and started again all at once.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::cpu;
use crate::testkit::binaries;
use crate::testkit::client::{Client, Jar};
use crate::testkit::faults::Fault;
use crate::testkit::ports::free_address;
use crate::testkit::process::{Process, Spec};

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(120);
/// Clients at once.
const CLIENTS: usize = 16;

/// Session nodes, and the folder that outlives their processes.
#[derive(Debug)]
pub struct Stored {
    /// The nodes.
    pub nodes: Vec<Process>,
    // Last: the others live in it.
    folder: TempDir,
}

/// A session as its client knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its cookie.
    pub jar: Jar,
    /// The count of the last answer.
    pub count: u64,
}

// === impl Stored ===

impl Stored {
    /// Starts so many, each with so many sessions in memory at most.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(count: usize, most: usize, more: &[&str]) -> anyhow::Result<Stored> {
        let folder = tempfile::tempdir()?;
        let mut addresses = Vec::new();
        for _ in 0..count {
            addresses.push(free_address()?);
        }
        let program = binaries::find("muster-session-node")?;
        let starts = (0..count).map(|at| {
            let name = ["a", "b", "c", "d", "e"][at % 5].to_owned();
            let home = folder.path().join(&name);
            let others = addresses.iter().filter(|other| **other != addresses[at]);
            let mut arguments: Vec<String> =
                ["--kept", "session", "--name", &name].map(str::to_owned).into();
            let mut option = |key: &str, value: String| arguments.extend([key.to_owned(), value]);
            option("--port", addresses[at].port().to_string());
            others.for_each(|other| option("--other", other.to_string()));
            option("--max-active", most.to_string());
            option("--data-dir", home.display().to_string());
            option("--store", home.join("sessions").display().to_string());
            arguments.extend(more.iter().map(|more| (*more).to_owned()));
            let folder = folder.path().to_owned();
            let spec = Spec { name, program: program.clone(), arguments, folder };
            async { Process::start(spec).await }
        });
        let nodes = try_join_all(starts).await?;
        Ok(Stored { nodes, folder })
    }

    /// Where a node's store is.
    pub fn store(&self, at: usize) -> std::path::PathBuf {
        self.folder.path().join(["a", "b", "c", "d", "e"][at % 5]).join("sessions")
    }

    /// Where a node answers.
    pub fn http(&self, at: usize) -> SocketAddr {
        let address = self.nodes.get(at).and_then(|node| node.listening("http"));
        address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Asks all to end, one after the other, and waits for each: the next ones get what it had.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn end_in_turn(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.inflict(Fault::Terminate)?;
            node.await_end(PATIENCE).await?;
        }
        Ok(())
    }

    /// Kills all in one go.
    ///
    /// # Errors
    /// When one cannot be killed.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            if node.ended()?.is_none() {
                node.inflict(Fault::Kill)?;
            }
        }
        Ok(self.nodes.iter_mut().try_for_each(Process::kill)?)
    }

    /// Starts all again, at once. Each has given back what it kept when this returns.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        try_join_all(self.nodes.iter_mut().map(Process::restart)).await?;
        Ok(())
    }

    /// New sessions of so many bytes, made at all nodes in turn.
    ///
    /// # Errors
    /// When a request fails.
    pub async fn fill(&self, sessions: usize, bytes: usize) -> anyhow::Result<Vec<Known>> {
        let path = format!("/counter?fill=1&size={bytes}");
        let path = path.as_str();
        let begin = |at: usize| async move {
            let mut all = Vec::new();
            let mut client = Client::new(self.http(at % self.nodes.len()));
            for _ in (at..sessions).step_by(CLIENTS) {
                client.jar = Jar::default();
                all.push(ask(&mut client, path, 1).await?);
            }
            anyhow::Ok(all)
        };
        let all = stream::iter((0..CLIENTS).map(begin)).buffer_unordered(CLIENTS);
        Ok(all.try_collect::<Vec<_>>().await?.concat())
    }

    /// Asks for every session once more, at another node than the client's last one: each must count
    /// on from where it was.
    ///
    /// # Errors
    /// When one does not.
    pub async fn ask_all(&self, sessions: &mut [Known], at: usize) -> anyhow::Result<()> {
        let share = sessions.len().div_ceil(CLIENTS).max(1);
        let shares = sessions.chunks_mut(share).map(|share| async {
            let mut client = Client::new(self.http(at % self.nodes.len()));
            for known in share {
                client.jar = known.jar.clone();
                *known = ask(&mut client, "/counter", known.count + 1).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(shares).await?;
        Ok(())
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the request fails.
    pub async fn end_session(&self, known: &Known, at: usize) -> anyhow::Result<()> {
        let mut client = Client::new(self.http(at));
        client.jar = known.jar.clone();
        let answer = client.get("/end").await?;
        anyhow::ensure!(answer.status.is_success(), "{}", answer.status);
        Ok(())
    }

    /// What the largest node has in memory, in bytes.
    pub fn resident(&self) -> u64 {
        self.nodes.iter().map(|node| cpu::resident(node.id())).max().unwrap_or(0)
    }
}

/// What a request counts to, and the cookie after it.
///
/// # Errors
/// When the request fails.
pub async fn counted(client: &mut Client, path: &str) -> anyhow::Result<u64> {
    let answer = client.get(path).await?;
    anyhow::ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
    let count = answer.json().and_then(|json| json.get("count").and_then(Value::as_u64));
    count.ok_or_else(|| anyhow::anyhow!("no count in {:?}", answer.text()))
}

async fn ask(client: &mut Client, path: &str, expected: u64) -> anyhow::Result<Known> {
    let count = counted(client, path).await?;
    anyhow::ensure!(count == expected, "the count is {count}, and was to be {expected}");
    Ok(Known { jar: client.jar.clone(), count })
}
