//! One value in caches of the four modes, on three members: who has a copy, who reads it, and what
//! is left when the member that put it has gone. With `--clustered` it is one member of a cluster
//! of processes: each counts itself in, and which caches show it the others is the mode's doing.

use clap::Parser;
use muster_agent::{Cache, Cluster, Mode};
use muster_examples::cluster::members;
use muster_examples::clustered::Node;
use muster_examples::ending::Ending;

const MODES: [Mode; 4] = [Mode::Local, Mode::Invalidated, Mode::Distributed, Mode::Replicated];

/// One value in caches of the four modes
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { node } = Options::parse();
    if node.clustered {
        return one_of_many(&node).await;
    }
    let members = members(3).await?;
    println!("{} members", members.len());
    let key = "greeting".to_owned();
    for mode in MODES {
        let caches = caches(&members, mode)?;
        // Acknowledged when all that shall have it have it: the next line may rely on that.
        caches[0].put(&key, &"hello".to_owned()).await?;
        let copies = copies(&caches, &key)?;
        let readers = readers(&caches, &key).await?;
        println!("{mode:?}: node1 put it, {copies} have a copy, {readers} can read it");
    }
    change(&caches(&members, Mode::Invalidated)?, &key).await?;
    count(&caches(&members, Mode::Distributed)?).await?;

    members[0].leave().await;
    for mode in MODES {
        let left = caches(&members[1..], mode)?;
        println!("{mode:?}: node1 has left, {} can read it", readers(&left, &key).await?);
    }
    for member in &members[1..] {
        member.leave().await;
    }
    Ok(())
}

/// One process of a cluster, until it is asked to end.
async fn one_of_many(node: &Node) -> anyhow::Result<()> {
    let mut ending = Ending::new(false)?;
    let member = node.join().await?;
    println!("member {} at {}", member.me().name, member.me().address);
    for mode in MODES {
        let cache = member.cache::<String, u32>(&format!("{mode:?} count")).mode(mode).create()?;
        let counted = cache.update(&"nodes".to_owned(), |old| Some(old.unwrap_or(0) + 1)).await?;
        println!("{mode:?}: {} counted", counted.unwrap_or(0));
    }
    ending.asked().await;
    member.leave().await;
    Ok(())
}

/// The cache of one mode as each member has it.
fn caches(members: &[Cluster], mode: Mode) -> anyhow::Result<Vec<Cache<String, String>>> {
    let cache = |member: &Cluster| member.cache(&format!("{mode:?}")).mode(mode).create();
    Ok(members.iter().map(cache).collect::<Result<_, _>>()?)
}

/// How many members have a copy of their own.
fn copies(caches: &[Cache<String, String>], key: &String) -> anyhow::Result<usize> {
    let mut copies = 0;
    for cache in caches {
        copies += usize::from(cache.peek(key)?.is_some());
    }
    Ok(copies)
}

/// How many members find it, wherever it is.
async fn readers(caches: &[Cache<String, String>], key: &String) -> anyhow::Result<usize> {
    let mut readers = 0;
    for cache in caches {
        readers += usize::from(cache.contains(key).await?);
    }
    Ok(readers)
}

/// In an invalidated cache a member keeps what it has loaded, until another changes it.
async fn change(caches: &[Cache<String, String>], key: &String) -> anyhow::Result<()> {
    caches[1].put_if_absent(key, &"hello, as loaded".to_owned()).await?;
    println!("Invalidated: node2 loaded it too, {} have a copy", copies(caches, key)?);
    caches[2].put(key, &"goodbye".to_owned()).await?;
    println!("Invalidated: node3 changed it, {} has a copy", copies(caches, key)?);
    Ok(())
}

/// Three members count at once, and none of their steps is lost.
async fn count(caches: &[Cache<String, String>]) -> anyhow::Result<()> {
    let key = "visits".to_owned();
    let one_more = |old: Option<String>| {
        let old: u32 = old.and_then(|old| old.parse().ok()).unwrap_or(0);
        Some((old + 1).to_string())
    };
    let hundred = |cache: Cache<String, String>, key: String| async move {
        for _ in 0..100 {
            cache.update(&key, one_more).await?;
        }
        anyhow::Ok(())
    };
    let tasks = caches.iter().map(|cache| tokio::spawn(hundred(cache.clone(), key.clone())));
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let visits = caches[0].get(&key).await?.unwrap_or_default();
    println!("Distributed: three members counted to 100 each, together to {visits}");
    Ok(())
}
