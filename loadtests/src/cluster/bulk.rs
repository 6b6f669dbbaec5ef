//! What a member does many times over: filling, counting, and what is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use muster_agent::engine::{Batch, Ending, Map, MapError, Read};
use muster_grid::{Bytes, Expect, Op, Put};

use super::bench::figure::{Figure, Latencies};
use super::bench::{KEYS, VALUE};
use super::words::Work;

/// How many entries are written or read at a time.
const AT_A_TIME: usize = 64;
/// How often an operation is tried again that a change of view came between.
const MOST_TRIES: u32 = 100;
/// How long a checkout that is measured waits and holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes `count` entries. How many were acknowledged.
pub async fn fill(map: &Arc<dyn Map>, prefix: &str, count: u32, bytes: usize) -> u32 {
    each((0..count).map(|number| write_one(map, name(prefix, number), value(number, bytes)))).await
}

/// Reads what [`fill`] has written. How many are there and whole.
pub async fn count(map: &Arc<dyn Map>, prefix: &str, count: u32, bytes: usize) -> u32 {
    each((0..count).map(|number| read_one(map, name(prefix, number), value(number, bytes)))).await
}

/// The groups that a kind of work is done with; each is there by then.
///
/// # Errors
/// When one cannot be written again and again.
pub async fn groups(map: &Arc<dyn Map>, work: Work) -> Result<Arc<[Bytes]>, MapError> {
    let groups: Vec<Bytes> = match work {
        Work::PutHere | Work::CommitHere => (0..KEYS).map(|_| map.mint_local()).collect(),
        Work::PutAnywhere | Work::CommitAnywhere | Work::GetNear | Work::GetConfirmed => {
            (0..KEYS).map(|number| name("bench-", number).into()).collect()
        }
    };
    let value = [b'v'; VALUE];
    // The members may just have come together, and move what they keep.
    let write = |at: usize| write_one(map, groups[at].to_vec(), value.to_vec());
    let written = each((0..groups.len()).map(write));
    if written.await < groups.len() as u32 {
        return Err(MapError::Unavailable);
    }
    Ok(groups.into())
}

/// Does the same over and over, so many callers at a time, with these groups.
///
/// # Errors
/// The first operation's that failed: a figure of failures would be none.
pub async fn bench(
    map: &Arc<dyn Map>,
    work: Work,
    groups: Arc<[Bytes]>,
    callers: usize,
    lasts: Duration,
) -> Result<Figure, MapError> {
    let began = Instant::now();
    let tasks = (0..callers).map(|_| {
        let (map, groups) = (map.clone(), groups.clone());
        tokio::spawn(async move { caller(&map, work, &groups, began + lasts).await })
    });
    let mut all = Latencies::default();
    for ended in join_all(tasks).await {
        all.merge(&ended.unwrap_or(Err(MapError::Closed))?);
    }
    Ok(all.figure(began.elapsed(), Duration::ZERO))
}

/// How many turned out well.
async fn each(all: impl Iterator<Item = impl Future<Output = bool>>) -> u32 {
    let done = stream::iter(all).buffer_unordered(AT_A_TIME);
    done.fold(0, |good, is_good| async move { good + u32::from(is_good) }).await
}

async fn write_one(map: &Arc<dyn Map>, group: Vec<u8>, value: Vec<u8>) -> bool {
    for _ in 0..MOST_TRIES {
        if map.write(Batch::new(&group, vec![put(b"v", &value)])).await.is_ok() {
            return true;
        }
    }
    false
}

async fn read_one(map: &Arc<dyn Map>, group: Vec<u8>, value: Vec<u8>) -> bool {
    for _ in 0..MOST_TRIES {
        if let Ok(there) = map.get(&group, Read::Confirmed).await {
            let there = there.entries.get(b"v".as_slice());
            return there.is_some_and(|(there, _)| there[..] == value[..]);
        }
    }
    false
}

fn name(prefix: &str, number: u32) -> Vec<u8> {
    format!("{prefix}{number}").into_bytes()
}

/// Another one for each number.
fn value(number: u32, bytes: usize) -> Vec<u8> {
    let mut value = format!("{number:010}").into_bytes();
    value.resize(bytes, b'.');
    value
}

fn put(key: &[u8], value: &[u8]) -> Op {
    Op { key: key.into(), expect: Expect::Any, put: Some(Put::new(value)) }
}

async fn caller(
    map: &Arc<dyn Map>,
    work: Work,
    groups: &[Bytes],
    until: Instant,
) -> Result<Latencies, MapError> {
    let (mut latencies, value) = (Latencies::default(), Bytes::from(&[b'w'; VALUE][..]));
    let mut from = Instant::now();
    loop {
        let at = rand::random_range(0..groups.len());
        let done = match work {
            Work::GetNear => get_near(map, groups, at).await,
            _ => once(map, work, &groups[at], &value).await.map(|()| 1_u32)?,
        };
        let now = Instant::now();
        latencies.note_all((now - from) / done, done.into());
        from = now;
        if now >= until {
            return Ok(latencies);
        }
    }
}

/// So quick that the clock and chance would be most of it: many for one look at the clock. How many.
async fn get_near(map: &Arc<dyn Map>, groups: &[Bytes], from: usize) -> u32 {
    const MANY: u32 = 1000;
    for group in groups.iter().cycle().skip(from).take(MANY as usize) {
        std::hint::black_box(map.peek(group, b"v"));
    }
    // A caller that never waits would keep the others from their turn.
    tokio::task::yield_now().await;
    MANY
}

async fn once(
    map: &Arc<dyn Map>,
    work: Work,
    group: &Bytes,
    value: &Bytes,
) -> Result<(), MapError> {
    let op =
        |key: &[u8]| Op { key: key.into(), expect: Expect::Any, put: Some(Put::of(value.clone())) };
    match work {
        Work::PutHere | Work::PutAnywhere => {
            map.write(Batch { group: group.clone(), ops: vec![op(b"v")], token: None }).await?;
        }
        Work::GetNear | Work::GetConfirmed => {
            std::hint::black_box(map.get(group, Read::Confirmed).await?);
        }
        Work::CommitHere | Work::CommitAnywhere => {
            let mut checkout = map.checkout(group, PATIENCE, PATIENCE).await?;
            map.commit(&mut checkout, vec![op(b"v"), op(b"w")], Ending::Release).await?;
        }
    }
    Ok(())
}
