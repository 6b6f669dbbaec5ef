//! What a member process does for its test: it answers over a Unix socket, and tells its views.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_agent::Cluster;
use muster_agent::engine::{Engine, Map, MapError, View};
use muster_grid::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};

use super::bench::figure::Figure;
use super::bulk;
use super::clock::now;
use super::entries::Entries;
use super::job;
use super::queue;
use super::words::{Answer, Ask, ViewTold, Work};

/// A member's engine and the map that its test is about.
#[derive(Clone)]
pub struct Served {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// The map.
    pub map: Arc<dyn Map>,
    /// The member, where it is more than an engine.
    cluster: Option<Cluster>,
    /// Messages of its queue that were handled here.
    handled: Arc<AtomicU64>,
    /// What is measured again and again is prepared once.
    groups: Arc<Mutex<HashMap<Work, Arc<[Bytes]>>>>,
}

impl Served {
    /// An engine and a map of it.
    pub fn new(engine: Arc<dyn Engine>, map: Arc<dyn Map>) -> Served {
        Served { engine, map, cluster: None, handled: Arc::default(), groups: Arc::default() }
    }

    /// The same of a member, which leaves as a whole.
    #[must_use]
    pub fn of(self, cluster: &Cluster) -> Served {
        Served { cluster: Some(cluster.clone()), ..self }
    }

    /// The same of a member that handles messages of a queue, and counts them.
    #[must_use]
    pub fn counting(self, handled: Arc<AtomicU64>) -> Served {
        Served { handled, ..self }
    }

    async fn publish(&self, name: &str, count: u64, callers: usize, bytes: usize) -> Answer {
        let Some(cluster) = &self.cluster else { return Answer::fail("it is an engine alone") };
        match queue::bench(cluster, name, count, callers, bytes).await {
            Ok(figure) => Answer::ok(json!(figure)),
            Err(error) => Answer::fail(error),
        }
    }

    async fn leave(&self) {
        match &self.cluster {
            Some(cluster) => cluster.leave().await,
            None => self.engine.shutdown().await,
        }
    }

    async fn provider(&self, name: &str) -> Answer {
        let Some(cluster) = &self.cluster else { return Answer::fail("it is an engine alone") };
        let provider = cluster.provider(name).await;
        Answer::ok(json!(provider.map(|provider| provider.member.name.to_string())))
    }

    async fn job(&self, name: &str) -> Answer {
        let Some(cluster) = &self.cluster else { return Answer::fail("it is an engine alone") };
        match cluster.job_report(name).await {
            Ok(report) => Answer::ok(json!(report)),
            Err(error) => Answer::fail(error),
        }
    }

    async fn bench(&self, work: Work, callers: usize, lasts: Duration) -> Result<Figure, MapError> {
        let mut prepared = self.groups.lock().await;
        let groups = match prepared.get(&work) {
            Some(groups) => groups.clone(),
            None => bulk::groups(&self.map, work).await?,
        };
        prepared.insert(work, groups.clone());
        drop(prepared);
        bulk::bench(&self.map, work, groups, callers, lasts).await
    }
}

/// Answers at this socket until asked to leave; has left when it returns.
///
/// # Errors
/// When nothing can be listened on there.
pub async fn serve(served: Served, socket: &Path) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    let (leave, mut left) = mpsc::channel(1);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let (served, leave) = (served.clone(), leave.clone());
                // It ends with its connection or with the process.
                tokio::spawn(async move { converse(&served, stream, &leave).await });
            }
            asker = left.recv() => {
                served.leave().await;
                if let Some(mut asker) = asker {
                    let _ = say(&mut asker, &Answer::ok(Value::Null)).await;
                }
                return Ok(());
            }
        }
    }
}

/// Tells each view on standard output: `view {"at":...}`.
pub async fn tell_views(engine: Arc<dyn Engine>) {
    let mut views = engine.group().watch();
    loop {
        let view = told(&views.borrow_and_update().clone());
        println!("view {}", json!(view));
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// A view as it is told, now.
pub fn told(view: &View) -> ViewTold {
    ViewTold {
        at: now(),
        epoch: view.id.epoch.counter,
        members: view.members.iter().map(|member| member.name.to_string()).collect(),
        is_quorate: view.is_quorate,
        merges: view.merges,
    }
}

async fn converse(served: &Served, stream: UnixStream, leave: &mpsc::Sender<UnixStream>) {
    let mut entries = Entries::new(served.map.clone());
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        // Whoever hangs up has nothing more to ask.
        if !matches!(stream.read_line(&mut line).await, Ok(count) if count > 0) {
            return;
        }
        let answer = match serde_json::from_str(&line) {
            Ok(Ask::Leave) => {
                let _ = leave.send(stream.into_inner()).await;
                return;
            }
            Ok(ask) => answer(served, &mut entries, ask).await,
            Err(error) => Answer::fail(format!("not understood: {error}")),
        };
        if say(stream.get_mut(), &answer).await.is_err() {
            return;
        }
    }
}

async fn say(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    stream.write_all(format!("{}\n", json!(answer)).as_bytes()).await
}

async fn answer(served: &Served, entries: &mut Entries, ask: Ask) -> Answer {
    let map = &served.map;
    let millis = Duration::from_millis;
    match ask {
        Ask::Get { key } => entries.get(&key).await,
        Ask::Put { key, value } => entries.put(&key, &value).await,
        Ask::Cas { key, old, new } => entries.cas(&key, &old, &new).await,
        Ask::Incr { key } => entries.incr(&key).await,
        Ask::Remove { key } => entries.remove(&key).await,
        Ask::Lock { key, wait_ms, hold_ms } => {
            entries.lock(&key, millis(wait_ms), millis(hold_ms)).await
        }
        Ask::Commit { key, value } => entries.commit(&key, &value).await,
        Ask::Owners { key } => {
            let owners = map.owners(key.as_bytes());
            Answer::ok(owners.iter().map(|owner| owner.name.to_string()).collect::<Vec<_>>())
        }
        Ask::Provider { name } => served.provider(&name).await,
        Ask::Job { name } => served.job(&name).await,
        Ask::Firings => match job::written(&**map).await {
            Ok(written) => Answer::ok(json!(written)),
            Err(error) => Answer::fail(error),
        },
        Ask::View => Answer::ok(json!(told(&served.engine.group().view()))),
        Ask::Stats => {
            let stats = map.stats();
            Answer::ok(json!({
                "entries": stats.entries, "primary_entries": stats.primary_entries,
                "bytes": stats.bytes, "rpcs": stats.rpcs, "rpc_failures": stats.rpc_failures,
            }))
        }
        Ask::Fill { prefix, count, bytes } => {
            Answer::ok(bulk::fill(map, &prefix, count, bytes).await)
        }
        Ask::Count { prefix, count, bytes } => {
            Answer::ok(bulk::count(map, &prefix, count, bytes).await)
        }
        Ask::Bench { work, callers, millis: lasts } => {
            match served.bench(work, callers, millis(lasts)).await {
                Ok(figure) => Answer::ok(json!(figure)),
                Err(error) => Answer::fail(error),
            }
        }
        Ask::Publish { queue, count, callers, bytes } => {
            served.publish(&queue, count, callers, bytes).await
        }
        Ask::Handled => Answer::ok(served.handled.load(Ordering::Relaxed)),
        Ask::Leave => Answer::fail("it leaves by its own way"),
    }
}
