//! A queue as a member process uses it for its test: a journal of what was published and of what was
//! handled, written line by line, so that a kill -9 loses none.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use muster_agent::queue::{Listener, QueueError, Received};
use muster_agent::{Cluster, FileShelf, Queue};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::bench::figure::{Figure, Latencies};
use super::clock::{Nanos, now};
use super::history::{Entry, History, Outcome};

/// Publications under way at a time.
const CALLERS: u64 = 32;
/// Handlers at a time, for each consumer.
const HANDLERS: usize = 16;
/// Messages that a member may have at a time, for each consumer.
const CREDITS: usize = 256;
/// Until a publication that changed nothing is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// What a member does with a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueWork {
    /// Its name.
    pub name: String,
    /// How many messages it publishes, in all of its lives.
    pub publishes: u64,
    /// How many a second; 0 for as fast as it goes.
    pub rate: u64,
    /// How many consumers it has.
    pub consumers: usize,
    /// The bytes of a message.
    pub size: usize,
    /// Whether it notes what it does.
    pub has_journal: bool,
    /// Whether the queue outlives a restart of all members.
    pub is_kept: bool,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parcel {
    /// Its name: no other message has it.
    pub name: String,
    /// What makes it as long as it shall be.
    pub filler: Vec<u8>,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Note {
    /// It is about to be published.
    Sends {
        /// Its number at this member.
        number: u64,
        /// When.
        at: Nanos,
    },
    /// What came of that.
    Sent {
        /// Its number at this member.
        number: u64,
        /// When.
        at: Nanos,
        /// What.
        ok: Outcome,
    },
    /// It was given to a handler.
    Given {
        /// Its name.
        name: String,
        /// When.
        at: Nanos,
        /// The how manyth time, as the queue says.
        tries: u32,
    },
}

/// What became of all messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Publications that were acknowledged.
    pub acknowledged: u64,
    /// Those of which nobody knows.
    pub unknown: u64,
    /// Acknowledged, and given to nobody.
    pub lost: u64,
    /// Given more than once.
    pub repeated: u64,
    /// Given once more, and not marked as such.
    pub unmarked: u64,
    /// Numbers that were begun.
    pub begun: u64,
}

/// A member's part in a queue. Dropping it ends its consumers.
#[derive(Debug)]
pub struct Working {
    /// How many messages were handled here.
    pub handled: Arc<AtomicU64>,
    _listeners: Vec<Listener>,
}

/// Where a member notes what it does, if it does.
type Journal = Arc<Option<Mutex<File>>>;

/// Does its part of the work, in the background; publishes on from where its last life ended.
///
/// # Errors
/// When the journal cannot be written, or the queue not be had.
pub fn offer(
    cluster: &Cluster,
    member: &str,
    work: &QueueWork,
    journal: Option<&Path>,
    kept: Option<&Path>,
) -> anyhow::Result<Working> {
    let mut queue = cluster.queue::<Parcel>(&work.name);
    if let Some(kept) = kept {
        queue = queue.journal(FileShelf::keep(kept)?);
    }
    let queue = queue.start()?;
    let next = journal.map_or_else(Vec::new, read).iter().map(Note::next).max().unwrap_or(1);
    let open = |path: &Path| {
        let file = File::options().create(true).append(true).open(path);
        file.with_context(|| path.display().to_string()).map(Mutex::new)
    };
    let file: Journal = Arc::new(journal.map(open).transpose()?);
    let handled = Arc::new(AtomicU64::new(0));
    let listeners = (0..work.consumers).map(|_| listen(&queue, &file, &handled)).collect();
    if next <= work.publishes {
        tokio::spawn(publish_all(queue, work.clone(), member.to_owned(), next, file));
    }
    Ok(Working { handled, _listeners: listeners })
}

/// Publishes so many messages as fast as it goes.
///
/// # Errors
/// When one is not acknowledged.
pub async fn bench(
    cluster: &Cluster,
    name: &str,
    count: u64,
    callers: usize,
    bytes: usize,
) -> anyhow::Result<Figure> {
    let queue: Queue<Parcel> = cluster.queue(name).start()?;
    let began = Instant::now();
    let mut running = JoinSet::new();
    for caller in 0..callers as u64 {
        let queue = queue.clone();
        let share = count / callers as u64 + u64::from(caller < count % callers as u64);
        running.spawn(async move {
            let mut latencies = Latencies::default();
            let parcel = Parcel { name: String::new(), filler: vec![b'm'; bytes] };
            for _ in 0..share {
                let began = Instant::now();
                queue.publish(&parcel).await?;
                latencies.note(began.elapsed());
            }
            Ok::<_, QueueError>(latencies)
        });
    }
    let mut latencies = Latencies::default();
    while let Some(ended) = running.join_next().await {
        latencies.merge(&ended??);
    }
    Ok(latencies.figure(began.elapsed(), Duration::ZERO))
}

/// What a journal says, whole lines only.
pub fn read(journal: &Path) -> Vec<Note> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The history that the journals tell, by the names of their members, and what became of all.
pub fn history(journals: &[(String, Vec<Note>)]) -> (History, Count) {
    let history = History::new();
    let mut count = Count::default();
    let mut acknowledged = Vec::new();
    let mut given: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (member, notes) in journals {
        let ends: BTreeMap<u64, (Nanos, Outcome)> = (notes.iter())
            .filter_map(|note| match note {
                Note::Sent { number, at, ok } => Some((*number, (*at, *ok))),
                _ => None,
            })
            .collect();
        for note in notes {
            match note {
                Note::Sends { number, at } => {
                    let (end, ok) = ends.get(number).copied().unwrap_or((*at, Outcome::Unknown));
                    let name = name(member, *number);
                    count.begun += 1;
                    count.acknowledged += u64::from(ok == Outcome::Ok);
                    count.unknown += u64::from(ok == Outcome::Unknown);
                    // One publication each: a caller has one open at a time.
                    history.push(entry("enqueue", json!(name), (*at, end), ok, name.clone()));
                    if ok == Outcome::Ok {
                        acknowledged.push(name);
                    }
                }
                Note::Given { name, at, tries } => {
                    let (all, unmarked) = given.entry(name).or_default();
                    *all += 1;
                    *unmarked += u64::from(*tries == 1);
                    let client = format!("{member}-{name}-{all}");
                    history.push(entry("dequeue", json!(name), (*at, *at), Outcome::Ok, client));
                }
                Note::Sent { .. } => {}
            }
        }
    }
    count.lost =
        acknowledged.iter().filter(|name| !given.contains_key(name.as_str())).count() as u64;
    count.repeated = given.values().filter(|(all, _)| *all > 1).count() as u64;
    count.unmarked = given.values().filter(|(_, unmarked)| *unmarked > 1).count() as u64;
    (history, count)
}

fn entry(op: &'static str, value: Value, at: (Nanos, Nanos), ok: Outcome, client: String) -> Entry {
    Entry { op, key: "queue".into(), value, start: at.0, end: at.1, ok, client }
}

fn name(member: &str, number: u64) -> String {
    format!("{member}-{number}")
}

fn listen(queue: &Queue<Parcel>, journal: &Journal, handled: &Arc<AtomicU64>) -> Listener {
    let (journal, handled) = (journal.clone(), handled.clone());
    let listener = queue.listener().concurrency(HANDLERS).credits(CREDITS);
    listener.start(move |parcel: Received<Parcel>| {
        let (name, tries) = (parcel.name.clone(), parcel.tries());
        let noted = write(&journal, &Note::Given { name, at: now(), tries });
        handled.fetch_add(1, Ordering::Relaxed);
        async move { noted }
    })
}

/// Publishes the rest of its messages, many at a time.
async fn publish_all(
    queue: Queue<Parcel>,
    work: QueueWork,
    member: String,
    first: u64,
    journal: Journal,
) {
    let next = Arc::new(AtomicU64::new(first));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (queue, work, member) = (queue.clone(), work.clone(), member.clone());
        let (next, journal) = (next.clone(), journal.clone());
        callers.spawn(async move {
            let mut pace = Some(work.rate).filter(|rate| *rate > 0).map(|rate| {
                let mut pace = tokio::time::interval(Duration::from_secs(CALLERS) / rate as u32);
                pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
                pace
            });
            loop {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > work.publishes {
                    return io::Result::Ok(());
                }
                publish(&queue, &member, number, work.size, &journal).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        if let Ok(Err(error)) = ended {
            eprintln!("the journal: {error}");
        }
    }
}

/// Publishes one message; tries again where nothing was changed.
async fn publish(
    queue: &Queue<Parcel>,
    member: &str,
    number: u64,
    size: usize,
    journal: &Journal,
) -> io::Result<()> {
    let parcel = Parcel { name: name(member, number), filler: vec![b'm'; size] };
    write(journal, &Note::Sends { number, at: now() })?;
    let ok = loop {
        match queue.publish(&parcel).await {
            Ok(()) => break Outcome::Ok,
            Err(QueueError::Unknown) => break Outcome::Unknown,
            Err(QueueError::Closed) => break Outcome::Fail,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    write(journal, &Note::Sent { number, at: now(), ok })
}

fn write(journal: &Journal, line: &impl Serialize) -> io::Result<()> {
    let Some(file) = &**journal else { return Ok(()) };
    let text = serde_json::to_string(line)?;
    file.lock().write_all(format!("{text}\n").as_bytes())
}

// === impl Note ===

impl Note {
    /// The number after it, of one that was begun.
    fn next(&self) -> u64 {
        match self {
            Note::Sends { number, .. } | Note::Sent { number, .. } => number + 1,
            Note::Given { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Vec<(String, Vec<Note>)> {
        let given = |number: u64, tries| Note::Given { name: name("a", number), at: 9, tries };
        let sent = |number, ok| Note::Sent { number, at: 5, ok };
        let begun = (1..=4).map(|number| Note::Sends { number, at: 1 });
        let ended = [sent(1, Outcome::Ok), sent(2, Outcome::Ok), sent(3, Outcome::Ok)];
        let deliveries = [given(1, 1), given(2, 1), given(2, 2), given(3, 1), given(3, 1)];
        vec![
            ("a".into(), begun.chain(ended).collect()),
            ("b".into(), deliveries.into_iter().collect()),
        ]
    }

    #[test]
    fn what_was_given_once_more_without_a_mark_is_told_apart() {
        let (history, count) = history(&journal());
        let wanted =
            Count { acknowledged: 3, unknown: 1, lost: 0, repeated: 2, unmarked: 1, begun: 4 };
        assert_eq!(count, wanted);
        assert_eq!((history.count_ok("enqueue"), history.count_ok("dequeue")), (3, 5));
    }

    #[test]
    fn what_was_acknowledged_and_given_to_nobody_is_lost() {
        let mut journals = journal();
        journals[1].1.retain(|note| !matches!(note, Note::Given { name, .. } if name == "a-1"));
        assert_eq!(history(&journals).1.lost, 1);
    }

    #[test]
    fn a_new_life_goes_on_behind_what_was_begun() {
        assert_eq!(journal()[0].1.iter().map(Note::next).max(), Some(5));
    }
}
