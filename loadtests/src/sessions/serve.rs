//! A back end that counts a session's requests, with its sessions kept in one of several ways: what
//! the bench compares differs in nothing else.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use clap::ValueEnum;
use muster_agent::session::{Granularity, Storing};
use muster_agent::{Cluster, FileShelf, Session, SessionError, Sessions};
use muster_store_postgres::PostgresStore;
use muster_store_redis::RedisStore;
use parking_lot::Mutex;
use rand::Rng as _;
use serde::Deserialize;
use serde_json::json;

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kept {
    /// In a map of this process.
    Plain,
    /// By Muster in this process alone.
    Local,
    /// By Muster with another member, written whole.
    Session,
    /// By Muster with another member, changed attributes alone.
    Attribute,
    /// In Redis, by tower-sessions and its store.
    #[cfg(feature = "redis-store")]
    Redis,
}

/// What a request does beside counting: `fill` attributes of `size` bytes are there after the first
/// request, and attribute `touch` is written anew by each.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Asked {
    fill: u32,
    size: usize,
    touch: Option<u32>,
}

/// How the server is wanted.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where sessions are kept.
    pub kept: Kept,
    /// Its member's port, and those of the others.
    pub member: Option<(u16, Vec<SocketAddr>)>,
    /// How many sessions are in memory, and where the others go.
    pub bound: Option<Bound>,
    /// Where its member keeps what it must not forget.
    pub data_dir: Option<PathBuf>,
    /// Where Redis is.
    pub redis: Option<SocketAddr>,
    /// The URL of a store in which every commit is saved too, for sessions that Muster keeps.
    pub shared: Option<String>,
    /// Its name.
    pub name: String,
}

/// How many sessions are in memory, and where the others go.
#[derive(Debug, Clone)]
pub struct Bound {
    /// In memory at most.
    pub most: usize,
    /// The store's file.
    pub store: PathBuf,
    /// Every commit goes there at once.
    pub write_through: bool,
}

// === impl Asked ===

impl Asked {
    /// Attributes that this request writes; all where the session is new.
    pub(super) fn writes(self, is_new: bool) -> impl Iterator<Item = (String, Bytes)> {
        let all = if is_new { self.fill } else { 0 };
        let value = move |attribute: u32| {
            let mut value = vec![0; self.size];
            rand::rng().fill(&mut value[..]);
            (format!("a{attribute}"), Bytes::from(value))
        };
        (0..all).chain(self.touch.filter(|_| !is_new)).map(value)
    }
}

// === impl Server ===

impl Server {
    /// The application. With Muster's sessions the member is in the cluster when this returns.
    ///
    /// # Errors
    /// When the member or the store cannot be had.
    pub async fn router(&self) -> anyhow::Result<(Router, Option<Cluster>)> {
        match self.kept {
            Kept::Plain => Ok((plain(), None)),
            #[cfg(feature = "redis-store")]
            Kept::Redis => Ok((super::redis::router(self.redis).await?, None)),
            Kept::Local | Kept::Session | Kept::Attribute => self.ours().await,
        }
    }

    async fn ours(&self) -> anyhow::Result<(Router, Option<Cluster>)> {
        let builder = Cluster::builder(&self.name).no_management();
        let builder = self.data_dir.iter().fold(builder, |builder, home| builder.data_dir(home));
        let cluster = match &self.member {
            Some((port, others)) if self.kept != Kept::Local => {
                let others = others.iter().map(ToString::to_string);
                builder.port(*port).members(others).join().await?
            }
            _ => builder.local(),
        };
        let granularity = match self.kept {
            Kept::Attribute => Granularity::Attribute,
            _ => Granularity::Session,
        };
        let sessions = Sessions::builder("counter").cluster(&cluster);
        let sessions = sessions.distributable(self.kept != Kept::Local).granularity(granularity);
        let sessions = match &self.bound {
            Some(Bound { most, store, write_through }) => {
                let store = FileShelf::keep(store)?;
                sessions.max_active_sessions(*most, store).write_through(*write_through)
            }
            None => sessions,
        };
        let sessions = match &self.shared {
            Some(url) => sessions.store(saved_in(url)?),
            None => sessions,
        };
        let sessions = sessions.start()?;
        sessions.restored().await;
        let router = Router::new().route("/counter", get(count)).route("/end", get(end));
        Ok((router.layer(sessions.layer()), Some(cluster)))
    }
}

/// How long a commit waits for its store: what that has not taken by then is lost with all members, and
/// a disk may stand still for seconds.
const STORE_WAIT: Duration = Duration::from_secs(15);

/// Every commit in the store of this URL too.
fn saved_in(url: &str) -> anyhow::Result<Storing> {
    let storing = if url.starts_with("postgres") {
        Storing::write_through(PostgresStore::builder(url).statement_time(STORE_WAIT).open()?)
    } else {
        Storing::write_through(RedisStore::builder(url).command_wait(STORE_WAIT).open()?)
    };
    Ok(storing.deadline(STORE_WAIT))
}

async fn end(session: Session) -> Result<&'static str, SessionError> {
    session.invalidate()?;
    Ok("ended")
}

async fn count(session: Session, Query(asked): Query<Asked>) -> Result<Response, SessionError> {
    let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
    session.set("count", &count)?;
    for (name, value) in asked.writes(count == 1) {
        session.set_raw(&name, value)?;
    }
    Ok(answer(count))
}

/// The answer that all give.
pub(super) fn answer(count: u64) -> Response {
    Json(json!({ "node": "bench", "new": count == 1, "count": count })).into_response()
}

#[derive(Debug, Default)]
struct PlainSession {
    count: u64,
    attributes: BTreeMap<String, Bytes>,
}

type PlainSessions = Arc<Mutex<HashMap<String, PlainSession>>>;

fn plain() -> Router {
    let sessions = PlainSessions::default();
    Router::new().route("/counter", get(count_plain)).with_state(sessions)
}

async fn count_plain(
    State(sessions): State<PlainSessions>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Response {
    let cookies = headers.get(header::COOKIE).and_then(|value| value.to_str().ok());
    let known = cookies.and_then(|cookies| cookies.strip_prefix("JSESSIONID="));
    let mut sessions = sessions.lock();
    let (id, is_new) = match known.filter(|id| sessions.contains_key(*id)) {
        Some(id) => (id.to_owned(), false),
        None => (format!("{:032x}", rand::random::<u128>()), true),
    };
    let session = sessions.entry(id.clone()).or_default();
    session.count += 1;
    session.attributes.extend(asked.writes(is_new));
    let mut response = answer(session.count);
    if is_new && let Ok(cookie) = format!("JSESSIONID={id}; Path=/; HttpOnly").parse() {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
