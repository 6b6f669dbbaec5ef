//! Sessions of a Muster agent in PostgreSQL, beside the cluster's memory.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use muster_agent::Sessions;
//! use muster_agent::session::Storing;
//! use muster_store_postgres::PostgresStore;
//!
//! let store = PostgresStore::builder("postgres://shop@db.example/shop?sslmode=verify-full").open()?;
//! let sessions = Sessions::builder("shop").store(Storing::write_through(store)).start()?;
//! # Ok(()) }
//! ```
//! One row for each session of each application; what a row says is in `statements`. All times are
//! the database's own.

mod statements;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_agent::session::SessionStore;
use muster_agent::session::store::{Ending, Saving, SessionKey, SessionRecord, StoreError};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Row as _};
use thiserror::Error;
use tokio::sync::OnceCell;

use statements::{ENDED, LEFT, Statements, THERE};

/// Where the sessions are, and how long anything may take. [`PostgresStore::builder`] begins.
#[derive(Clone)]
#[must_use]
pub struct PostgresBuilder {
    url: String,
    schema: String,
    table: String,
    connections: u32,
    connect_wait: Duration,
    statement_time: Duration,
}

/// Sessions in a table of PostgreSQL. Clones are the same one. The table is created at the first
/// call where it is missing.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    statements: Arc<Statements>,
    is_ready: Arc<OnceCell<()>>,
}

/// Why there is no store.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL is none. It is not repeated here: it may have a password.
    #[error("the URL of PostgreSQL is bad: it is postgres://user:password@host:port/database")]
    Url,
    /// A name is no identifier.
    #[error(
        "{field} has the bad value {value:?}: letters, digits and _, 1 to {most} of them, no digit first"
    )]
    Name {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
        /// How long it may be.
        most: usize,
    },
    /// A number is out of its bounds.
    #[error("{field} has the bad value {value}: {why}")]
    Bound {
        /// Which.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
}

// === impl PostgresBuilder ===

impl PostgresBuilder {
    /// The schema, which must be there. Default: `public`.
    pub fn schema(mut self, schema: &str) -> Self {
        self.schema = schema.to_owned();
        self
    }

    /// The table. Default: `muster_sessions`.
    pub fn table(mut self, table: &str) -> Self {
        self.table = table.to_owned();
        self
    }

    /// Connections at most, 1 to 1000. Default: 8.
    pub fn connections(mut self, most: u32) -> Self {
        self.connections = most;
        self
    }

    /// How long a call waits for a connection, a new one among them. Default: 2 s.
    pub fn connect_wait(mut self, wait: Duration) -> Self {
        self.connect_wait = wait;
        self
    }

    /// After so long the database itself gives a statement up. Default: 5 s.
    pub fn statement_time(mut self, time: Duration) -> Self {
        self.statement_time = time;
        self
    }

    /// The store. Nothing is connected yet, so that a member starts while the database is away. It
    /// must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(self) -> Result<PostgresStore, OpenError> {
        let statements = Statements::of(&self.schema, &self.table)?;
        let bad = |field, value: String, why| Err(OpenError::Bound { field, value, why });
        if !(1..=1000).contains(&self.connections) {
            return bad("connections", self.connections.to_string(), "it is 1 to 1000");
        }
        for (field, time) in
            [("connect_wait", self.connect_wait), ("statement_time", self.statement_time)]
        {
            if time < Duration::from_millis(1) || time > Duration::from_secs(3600) {
                return bad(field, format!("{time:?}"), "it is 1 ms to 1 h");
            }
        }
        // Of what scheme it is sqlx does not ask.
        let is_ours = ["postgres://", "postgresql://"].iter().any(|s| self.url.starts_with(s));
        let options = PgConnectOptions::from_str(&self.url)
            .ok()
            .filter(|_| is_ours)
            .ok_or(OpenError::Url)?
            .application_name("muster")
            .options([("statement_timeout", self.statement_time.as_millis().to_string())])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(self.connections)
            .acquire_timeout(self.connect_wait)
            .connect_lazy_with(options);
        let (statements, is_ready) = (Arc::new(statements), Arc::default());
        Ok(PostgresStore { pool, statements, is_ready })
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL, which may have a password.
        f.debug_struct("PostgresBuilder")
            .field("schema", &self.schema)
            .field("table", &self.table)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

// === impl PostgresStore ===

impl PostgresStore {
    /// Settings of a store at this URL: `postgres://user:password@host:port/database`, with
    /// `sslmode` and `sslrootcert` for TLS.
    pub fn builder(url: &str) -> PostgresBuilder {
        PostgresBuilder {
            url: url.to_owned(),
            schema: "public".to_owned(),
            table: "muster_sessions".to_owned(),
            connections: 8,
            connect_wait: Duration::from_secs(2),
            statement_time: Duration::from_secs(5),
        }
    }

    /// Closes its connections. Calls fail afterwards.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The pool, of a database that has the table.
    async fn ready(&self) -> Result<&PgPool, StoreError> {
        self.is_ready.get_or_try_init(|| self.create()).await.map_err(why)?;
        Ok(&self.pool)
    }

    /// Creates what is missing. Where the table is there no right to create one is needed.
    async fn create(&self) -> Result<(), sqlx::Error> {
        let Statements { exists, create, .. } = &*self.statements;
        let there: bool = sqlx::query_scalar(exists.clone()).fetch_one(&self.pool).await?;
        if there {
            return Ok(());
        }
        let mut all = self.pool.begin().await?;
        // Of two members that create it at once the second waits.
        sqlx::query("SELECT pg_advisory_xact_lock(7700452710)").execute(&mut *all).await?;
        for statement in create {
            sqlx::query(statement.clone()).execute(&mut *all).await?;
        }
        all.commit().await
    }

    /// Why a record was not saved; it was, when an earlier call did.
    async fn refused(
        &self,
        pool: &PgPool,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        let there = sqlx::query(self.statements.look.clone());
        let there = there.bind(key.application).bind(key.id).fetch_optional(pool).await;
        let Some(row) = there.map_err(why)? else { return Ok(Saving::Late) };
        let state: i16 = row.try_get(0).map_err(why)?;
        let (version, commit) =
            (unsigned(row.try_get(1).map_err(why)?), unsigned(row.try_get(2).map_err(why)?));
        if state == ENDED {
            return Ok(Saving::Ended);
        }
        if version < record.version {
            return Ok(Saving::Late);
        }
        let is_this = state == THERE && (version, commit) == (record.version, record.commit);
        Ok(if is_this { Saving::Saved } else { Saving::Behind { version, commit } })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.statements.table)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for PostgresStore {
    fn name(&self) -> &str {
        "postgresql"
    }

    async fn load(&self, key: SessionKey<'_>) -> Result<Option<SessionRecord>, StoreError> {
        let pool = self.ready().await?;
        let row = sqlx::query(self.statements.load.clone());
        let row = row.bind(key.application).bind(key.id).fetch_optional(pool).await.map_err(why)?;
        row.as_ref().map(record).transpose().map_err(why)
    }

    async fn save(
        &self,
        key: SessionKey<'_>,
        record: &SessionRecord,
    ) -> Result<Saving, StoreError> {
        let pool = self.ready().await?;
        let saved = sqlx::query(self.statements.save.clone())
            .bind(key.application)
            .bind(key.id)
            .bind(signed(record.version))
            .bind(signed(record.commit))
            .bind(record.ends_ms.map(bounded))
            .bind(&record.body[..])
            .execute(pool)
            .await
            .map_err(why)?;
        match saved.rows_affected() {
            0 => self.refused(pool, key, record).await,
            _ => Ok(Saving::Saved),
        }
    }

    async fn take(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let pool = self.ready().await?;
        let taken = sqlx::query(self.statements.take.clone());
        let taken = taken.bind(key.application).bind(key.id).bind(signed(version)).bind(ms(keep));
        taken.execute(pool).await.map(drop).map_err(why)
    }

    async fn end(
        &self,
        key: SessionKey<'_>,
        version: u64,
        keep: Duration,
    ) -> Result<Ending, StoreError> {
        let mut all = self.ready().await?.begin().await.map_err(why)?;
        let absent = sqlx::query(self.statements.end_absent.clone());
        let absent = absent.bind(key.application).bind(key.id).bind(ms(keep));
        let ending = if absent.execute(&mut *all).await.map_err(why)?.rows_affected() > 0 {
            Ending::Absent
        } else {
            let row = sqlx::query(self.statements.hold.clone());
            let row =
                row.bind(key.application).bind(key.id).fetch_one(&mut *all).await.map_err(why)?;
            let state: i16 = row.try_get(4).map_err(why)?;
            match state {
                THERE => {
                    let record = record(&row).map_err(why)?;
                    if record.version > version { Ending::Later } else { Ending::Now(record) }
                }
                LEFT => Ending::Absent,
                _ => Ending::Before,
            }
        };
        if matches!(ending, Ending::Now(_) | Ending::Absent) {
            let ended = sqlx::query(self.statements.end.clone());
            let ended = ended.bind(key.application).bind(key.id).bind(ms(keep));
            ended.execute(&mut *all).await.map_err(why)?;
        }
        all.commit().await.map_err(why)?;
        Ok(ending)
    }

    async fn over(
        &self,
        application: &str,
        grace: Duration,
        skip: usize,
        most: usize,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let pool = self.ready().await?;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let rows = sqlx::query(self.statements.over.clone());
        let rows = rows.bind(application).bind(ms(grace)).bind(count(most)).bind(count(skip));
        let rows = rows.fetch_all(pool).await.map_err(why)?;
        let of = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, unsigned(row.try_get(1)?)));
        rows.iter().map(of).collect::<Result<_, _>>().map_err(why)
    }

    async fn forget(&self, application: &str, most: usize) -> Result<usize, StoreError> {
        let pool = self.ready().await?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let gone = sqlx::query(self.statements.forget.clone()).bind(application).bind(most);
        let gone = gone.execute(pool).await.map_err(why)?.rows_affected();
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}

fn record(row: &sqlx::postgres::PgRow) -> Result<SessionRecord, sqlx::Error> {
    let ends: Option<i64> = row.try_get(2)?;
    let body: Option<Vec<u8>> = row.try_get(3)?;
    Ok(SessionRecord {
        version: unsigned(row.try_get(0)?),
        commit: unsigned(row.try_get(1)?),
        ends_ms: ends.map(unsigned),
        body: Bytes::from(body.unwrap_or_default()),
    })
}

/// The database has no numbers without a sign: the same bits.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn unsigned(number: i64) -> u64 {
    number.cast_unsigned()
}

fn bounded(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn ms(time: Duration) -> i64 {
    // So that now and this together are a number, too.
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// What an error means to who asked. What passes by itself, or when an operator has done something, is
/// a store that cannot be reached; the rest it refuses.
fn why(error: sqlx::Error) -> StoreError {
    let is_refused = match &error {
        sqlx::Error::Database(error) => !error.code().is_some_and(|code| {
            let passing = ["08", "25", "28", "3D", "40", "53", "55", "57", "58"];
            passing.iter().any(|class| code.starts_with(class))
        }),
        sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::RowNotFound => true,
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
        let open = |set: fn(PostgresBuilder) -> PostgresBuilder| {
            let builder = PostgresStore::builder("postgres://me:secret@127.0.0.1:1/x");
            set(builder).open().map(drop).map_err(|error| error.to_string())
        };
        let bad = open(|builder| builder.table("x; DROP TABLE y")).unwrap_err();
        assert!(bad.starts_with("table has the bad value \"x; DROP TABLE y\""), "{bad}");
        assert!(open(|builder| builder.schema("1st")).is_err());
        let bad = open(|builder| builder.connections(0)).unwrap_err();
        assert_eq!(bad, "connections has the bad value 0: it is 1 to 1000");
        let bad = PostgresStore::builder("me:secret@host").open().unwrap_err();
        assert!(!bad.to_string().contains("secret"), "{bad}");
        let builder = PostgresStore::builder("postgres://me:secret@127.0.0.1:1/x");
        assert!(!format!("{builder:?} {:?}", builder.clone().open().unwrap()).contains("secret"));
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_cannot_be_reached() {
        let builder = PostgresStore::builder("postgres://me:secret@127.0.0.1:1/x");
        let store = builder.connect_wait(Duration::from_secs(1)).open().unwrap();
        let key = SessionKey { application: "shop", id: "0" };
        let error = store.load(key).await.unwrap_err();
        assert!(matches!(&error, StoreError::Unreachable(_)), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
