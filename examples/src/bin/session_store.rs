//! Sessions that outlive their whole cluster: every commit is saved in PostgreSQL or Redis too.
//!
//! `session_store postgres://user@host/database`, or `redis://host:6379`.

use std::process::ExitCode;

use anyhow::bail;
use muster_agent::session::{Finished, Storing};
use muster_agent::{Cluster, Sessions};
use muster_store_postgres::PostgresStore;
use muster_store_redis::RedisStore;

/// A member of a cluster whose sessions have this store beside them.
async fn member(name: &str, url: &str) -> anyhow::Result<(Cluster, Sessions)> {
    let storing = match url.split_once("://") {
        Some(("postgres" | "postgresql", _)) => {
            Storing::write_through(PostgresStore::builder(url).open()?)
        }
        Some(("redis" | "rediss", _)) => Storing::write_through(RedisStore::builder(url).open()?),
        // Not the URL: it may have a password.
        _ => bail!("the store is postgres://... or redis://..."),
    };
    let cluster = Cluster::builder(name).port(0).find_nobody().join().await?;
    let sessions = Sessions::builder("shop").cluster(&cluster).distributable(true);
    Ok((cluster, sessions.store(storing).start()?))
}

/// Counts a visit, as a handler would. The session's id, and the count.
async fn visit(sessions: &Sessions, id: Option<&str>) -> anyhow::Result<(String, u64)> {
    let request = sessions.request(id);
    let session = request.session().await?;
    let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
    session.set("count", &count)?;
    // When this returns the members have it, and the store.
    match request.finish().await? {
        Finished::New(id) | Finished::Same(id) => Ok((id, count)),
        other => bail!("no session: {other:?}"),
    }
}

async fn run(url: &str) -> anyhow::Result<()> {
    let (cluster, sessions) = member("node1", url).await?;
    let (id, first) = visit(&sessions, None).await?;
    let (_, second) = visit(&sessions, Some(&id)).await?;
    println!("visits {first} and {second}");
    cluster.leave().await;
    drop((cluster, sessions));

    let (cluster, sessions) = member("node2", url).await?;
    let (_, third) = visit(&sessions, Some(&id)).await?;
    println!("after all members have gone: visit {third}");
    sessions.invalidate(&id).await?;
    cluster.leave().await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("session_store postgres://user@host/database | redis://host:6379");
        return Ok(ExitCode::from(2));
    };
    run(&url).await?;
    Ok(ExitCode::SUCCESS)
}
