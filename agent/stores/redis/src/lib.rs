//! Sessions of a Muster agent in Redis, beside the cluster's memory.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Sessions;
//! use muster_agent::session::Storing;
//! use muster_store_redis::RedisStore;
//!
//! let store = RedisStore::builder("rediss://:password@redis.example:6379").open()?;
//! let sessions = Sessions::builder("shop").store(Storing::write_through(store)).start()?;
//! # Ok(()) }
//! ```
//! One hash for each session, one sorted set for each application; what they say is in `scripts`. All
//! times are the server's own. What Redis forgets (no append-only file, an eviction policy, a failover
//! to a replica that is behind) is forgotten.

mod scripts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fred::clients::Pool;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike as _;
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy, TlsConfig};
use fred::types::scripts::Script;
use muster_agent::session::SessionStore;
use muster_agent::session::store::{Ending, Saving, SessionKey, SessionRecord, StoreError};
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error as ThisError;

use scripts::Scripts;

/// Commands that wait for a connection at most, on each connection.
const MOST_WAITING: usize = 4096;

/// Where the sessions are, and how long anything may take. [`RedisStore::builder`] begins.
#[derive(Clone)]
#[must_use]
pub struct RedisBuilder {
    url: String,
    prefix: String,
    connections: usize,
    connect_wait: Duration,
    command_wait: Duration,
    redial: Duration,
    margin: Duration,
    roots: Option<RootCertStore>,
}

/// Sessions in Redis. Clones are the same one; the last one that goes closes its connections.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Pool,
    scripts: Scripts,
    prefix: String,
    margin: Duration,
}

/// Why there is no store.
#[derive(Debug, ThisError)]
pub enum OpenError {
    /// The URL is none. It is not repeated here: it may have a password.
    #[error(
        "the URL of Redis has a bad value: it is redis://user:password@host:port/database, or rediss:// for TLS"
    )]
    Url,
    /// A setting is out of its bounds.
    #[error("{field} has the bad value {value}: {why}")]
    Bound {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
    /// TLS cannot be had.
    #[error("TLS to Redis cannot be set up: {0}")]
    Tls(String),
}

// === impl RedisBuilder ===

impl RedisBuilder {
    /// What its keys begin with: letters, digits, `-` and `_`, 1 to 64. Default: `muster`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.to_owned();
        self
    }

    /// Connections, 1 to 256. Default: 4.
    pub fn connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// How long a connection may take, with its TLS. Default: 2 s.
    pub fn connect_wait(mut self, wait: Duration) -> Self {
        self.connect_wait = wait;
        self
    }

    /// How long a command may take, with the wait for a connection. Default: 2 s.
    pub fn command_wait(mut self, wait: Duration) -> Self {
        self.command_wait = wait;
        self
    }

    /// How long until a lost connection is dialled again. Default: 250 ms.
    pub fn redial(mut self, pause: Duration) -> Self {
        self.redial = pause;
        self
    }

    /// How long Redis keeps a session whose time is over, so that its end can be told: longer than
    /// [`Storing::sweep_every`] and [`Storing::grace`] together. Default: 10 min.
    ///
    /// [`Storing::sweep_every`]: muster_agent::session::Storing::sweep_every
    /// [`Storing::grace`]: muster_agent::session::Storing::grace
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Whose certificates are trusted with `rediss://`. Default: those that the system trusts.
    pub fn roots(mut self, roots: RootCertStore) -> Self {
        self.roots = Some(roots);
        self
    }

    /// The store. It is not connected yet, so that a member starts while Redis is away. It must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self) -> Result<RedisStore, OpenError> {
        self.check()?;
        // fred's own TLS would install a provider for the whole process.
        let (url, is_secure) = match self.url.strip_prefix("rediss") {
            Some(rest) => (format!("redis{rest}"), true),
            None => (self.url.clone(), false),
        };
        let mut config = Config::from_url(&url).map_err(|_| OpenError::Url)?;
        config.fail_fast = false;
        if is_secure {
            config.tls = Some(self.tls()?);
        }
        let mut builder = Builder::from_config(config);
        let Self { connect_wait, command_wait, .. } = self;
        builder.with_connection_config(|config| {
            config.connection_timeout = connect_wait;
            config.internal_command_timeout = connect_wait;
            config.max_command_attempts = 1;
            config.max_command_buffer_len = MOST_WAITING;
            config.tcp.nodelay = Some(true);
        });
        builder.with_performance_config(|config| config.default_command_timeout = command_wait);
        let pause = u32::try_from(self.redial.as_millis()).unwrap_or(u32::MAX);
        builder.set_policy(ReconnectPolicy::new_constant(0, pause));
        let pool = builder.build_pool(self.connections).map_err(|_| OpenError::Url)?;
        // They end with the pool.
        drop(pool.connect_pool());
        let (prefix, margin) = (self.prefix, self.margin);
        Ok(RedisStore {
            shared: Arc::new(Shared { pool, scripts: Scripts::new(), prefix, margin }),
        })
    }

    fn check(&self) -> Result<(), OpenError> {
        let bad = |field, value: String, why| Err(OpenError::Bound { field, value, why });
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !(1..=64).contains(&self.prefix.len()) || !self.prefix.bytes().all(is_good) {
            let why = "it is letters, digits, - and _, 1 to 64 of them";
            return bad("prefix", format!("{:?}", self.prefix), why);
        }
        if !(1..=256).contains(&self.connections) {
            return bad("connections", self.connections.to_string(), "it is 1 to 256");
        }
        let times = [
            ("connect_wait", self.connect_wait),
            ("command_wait", self.command_wait),
            ("redial", self.redial),
            ("margin", self.margin),
        ];
        let range = Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600);
        match times.into_iter().find(|(_, time)| !range.contains(time)) {
            Some((field, time)) => bad(field, format!("{time:?}"), "it is 1 ms to 7 days"),
            None => Ok(()),
        }
    }

    fn tls(&self) -> Result<TlsConfig, OpenError> {
        let roots = match &self.roots {
            Some(roots) => roots.clone(),
            None => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                roots
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| OpenError::Tls(error.to_string()))?;
        Ok(config.with_root_certificates(roots).with_no_client_auth().into())
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL, which may have a password.
        f.debug_struct("RedisBuilder")
            .field("prefix", &self.prefix)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

// === impl RedisStore ===

impl RedisStore {
    /// Settings of a store at this URL: `redis://user:password@host:port/database`, `rediss://` with
    /// TLS; `redis-sentinel://` and `redis-cluster://` as fred reads them. The keys of one application
    /// are in one slot.
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder {
            url: url.to_owned(),
            prefix: "muster".to_owned(),
            connections: 4,
            connect_wait: Duration::from_secs(2),
            command_wait: Duration::from_secs(2),
            redial: Duration::from_millis(250),
            margin: Duration::from_secs(600),
            roots: None,
        }
    }

    async fn say<const N: usize>(
        &self,
        script: &Script,
        key: SessionKey<'_>,
        words: [Vec<u8>; N],
    ) -> Result<Vec<Bytes>, StoreError> {
        let Shared { prefix, .. } = &*self.shared;
        let slot = format!("{{{prefix}:{}}}", key.application);
        let mut all = vec![Bytes::copy_from_slice(key.id.as_bytes())];
        all.extend(words.into_iter().map(Bytes::from));
        self.run(script, vec![format!("{slot}:{}", key.id), slot], all).await
    }

    async fn run(
        &self,
        script: &Script,
        keys: Vec<String>,
        words: Vec<Bytes>,
    ) -> Result<Vec<Bytes>, StoreError> {
        script.evalsha_with_reload(self.shared.pool.next(), keys, words).await.map_err(why)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let pool = self.pool.clone();
        // Without a runtime there are no connections.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { pool.quit().await });
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.shared.prefix).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    fn name(&self) -> &str {
        "redis"
    }

    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError> {
        let said = self.say(&self.shared.scripts.load, key, []).await?;
        match said.is_empty() {
            true => Ok(None),
            false => record(&said).map(Some),
        }
    }

    async fn save(
        &self,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        let SessionRecord { version, commit, ends_ms, body } = record;
        let ends = ends_ms.map(|ends| ends.to_string()).unwrap_or_default().into_bytes();
        let words = [text(*version), text(*commit), ends, body.to_vec(), ms(self.shared.margin)];
        let said = self.say(&self.shared.scripts.save, key, words).await?;
        match said.first().map(|word| &word[..]) {
            Some(b"saved") => Ok(Saving::Saved),
            Some(b"ended") => Ok(Saving::Ended),
            Some(b"late") => Ok(Saving::Late),
            Some(b"behind") => {
                Ok(Saving::Behind { version: number(&said, 1)?, commit: number(&said, 2)? })
            }
            _ => Err(strange()),
        }
    }

    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let words = [text(version), ms(keep)];
        self.say(&self.shared.scripts.take, key, words).await.map(drop)
    }

    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        let said = self.say(&self.shared.scripts.end, key, [text(version), ms(keep)]).await?;
        match said.first().map(|word| &word[..]) {
            Some(b"now") => Ok(Ending::Now(record(&said[1..])?)),
            Some(b"before") => Ok(Ending::Before),
            Some(b"later") => Ok(Ending::Later),
            Some(b"absent") => Ok(Ending::Absent),
            _ => Err(strange()),
        }
    }

    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let slot = format!("{{{}:{application}}}", self.shared.prefix);
        let words = [ms(grace), skip.to_string().into(), most.to_string().into()];
        let words = words.into_iter().map(Bytes::from).collect();
        let said = self.run(&self.shared.scripts.over, vec![slot], words).await?;
        let of = |word: &Bytes| {
            let (id, version) = std::str::from_utf8(word).ok()?.rsplit_once(':')?;
            Some((id.to_owned(), version.parse().ok()?))
        };
        said.iter().map(|word| of(word).ok_or_else(strange)).collect()
    }

    async fn forget(&self, _: &str, _: usize) -> Result<usize, StoreError> {
        // Redis forgets by itself.
        Ok(0)
    }
}

fn text(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn ms(time: Duration) -> Vec<u8> {
    // Beyond that numbers of Lua are not exact.
    time.as_millis().min(1 << 50).to_string().into_bytes()
}

fn number(said: &[Bytes], at: usize) -> Result<u64, StoreError> {
    let word = said.get(at).and_then(|word| std::str::from_utf8(word).ok());
    word.and_then(|word| word.parse().ok()).ok_or_else(strange)
}

/// What is said of a session that is there.
fn record(said: &[Bytes]) -> Result<SessionRecord, StoreError> {
    let [_, _, ends, body] = said else { return Err(strange()) };
    let ends_ms = if ends.is_empty() { None } else { Some(number(said, 2)?) };
    let (version, commit) = (number(said, 0)?, number(said, 1)?);
    Ok(SessionRecord { version, commit, ends_ms, body: body.clone() })
}

fn strange() -> StoreError {
    StoreError::Refused("what is kept under its keys is none of ours".to_owned())
}

/// What an error means to who asked. What passes by itself, or when an operator has done something, is
/// a store that cannot be reached; the rest it refuses.
fn why(error: Error) -> StoreError {
    let is_refused = match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::InvalidCommand | ErrorKind::Parse => true,
        ErrorKind::Unknown => {
            let passing =
                ["OOM", "MISCONF", "READONLY", "LOADING", "BUSY", "NOREPLICAS", "MASTERDOWN"];
            !passing.iter().any(|word| error.details().contains(word))
        }
        _ => false,
    };
    match is_refused {
        true => StoreError::Refused(error.to_string()),
        false => StoreError::Unreachable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bad_setting_is_named_and_a_password_is_not() {
        let builder = RedisStore::builder("redis://me:secret@127.0.0.1:1");
        let bad = builder.clone().prefix("a b").open().unwrap_err().to_string();
        assert!(bad.starts_with("prefix has the bad value \"a b\""), "{bad}");
        let bad = builder.clone().connections(0).open().unwrap_err().to_string();
        assert_eq!(bad, "connections has the bad value 0: it is 1 to 256");
        let bad = RedisStore::builder("me:secret@host").open().unwrap_err().to_string();
        assert!(!bad.contains("secret"), "{bad}");
        assert!(!format!("{builder:?} {:?}", builder.clone().open().unwrap()).contains("secret"));
        let secure = RedisStore::builder("rediss://me:secret@127.0.0.1:1");
        assert!(secure.roots(RootCertStore::empty()).open().is_ok());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_cannot_be_reached() {
        let builder = RedisStore::builder("redis://me:secret@127.0.0.1:1");
        let store = builder.command_wait(Duration::from_millis(200)).open().unwrap();
        let key = SessionKey { application: "shop", id: "0" };
        let error = store.load(key).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable(_)), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
