//! What is said to the database.
//!
//! A row is of one session: there, left (the members have it again; its version is remembered), or
//! ended. `ends_ms` is the end of the session, or of the memory of it. Each statement is one step, and
//! conditional on one row.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::OpenError;

/// A row's states.
pub(crate) const THERE: i16 = 0;
pub(crate) const LEFT: i16 = 1;
pub(crate) const ENDED: i16 = 2;

/// The database's clock, in ms since 1970.
const NOW: &str = "(extract(epoch from clock_timestamp()) * 1000)::bigint";

/// A statement, which may name a table that was checked.
pub(crate) type Statement = SqlStr;

/// The statements over one table.
pub(crate) struct Statements {
    pub(crate) table: String,
    pub(crate) exists: Statement,
    pub(crate) create: [Statement; 2],
    pub(crate) load: Statement,
    pub(crate) look: Statement,
    pub(crate) save: Statement,
    pub(crate) take: Statement,
    pub(crate) end_absent: Statement,
    pub(crate) hold: Statement,
    pub(crate) end: Statement,
    pub(crate) over: Statement,
    pub(crate) forget: Statement,
}

// === impl Statements ===

impl Statements {
    /// # Errors
    /// When a name is no identifier: it stands in the statements as it is.
    pub(crate) fn of(schema: &str, name: &str) -> Result<Self, OpenError> {
        identifier("schema", schema, 63)?;
        identifier("table", name, 58)?;
        let table = format!("\"{schema}\".\"{name}\"");
        let say = |text: &str| -> Statement {
            let text = text.replace("TABLE_", &table).replace("NOW_", NOW);
            AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
        };
        Ok(Self {
            exists: say(&format!("SELECT to_regclass('{table}') IS NOT NULL")),
            create: [
                say("CREATE TABLE IF NOT EXISTS TABLE_ (
                    application text COLLATE \"C\" NOT NULL,
                    id text COLLATE \"C\" NOT NULL,
                    state smallint NOT NULL,
                    version bigint NOT NULL,
                    stamp bigint NOT NULL,
                    ends_ms bigint,
                    body bytea,
                    PRIMARY KEY (application, id))"),
                say(&format!(
                    "CREATE INDEX IF NOT EXISTS \"{name}_ends\" ON TABLE_ (application, state, ends_ms)"
                )),
            ],
            load: say("SELECT version, stamp, ends_ms, body FROM TABLE_
                WHERE application = $1 AND id = $2 AND state = 0
                AND (ends_ms IS NULL OR ends_ms > NOW_)"),
            look: say(
                "SELECT state, version, stamp FROM TABLE_ WHERE application = $1 AND id = $2",
            ),
            save: say("INSERT INTO TABLE_ AS s
                (application, id, state, version, stamp, ends_ms, body)
                SELECT $1::text, $2::text, 0, $3::bigint, $4::bigint, $5::bigint, $6::bytea
                WHERE $5::bigint IS NULL OR $5::bigint > NOW_
                ON CONFLICT (application, id) DO UPDATE SET state = 0, version = excluded.version,
                stamp = excluded.stamp, ends_ms = excluded.ends_ms, body = excluded.body
                WHERE s.state <> 2 AND s.version < excluded.version"),
            take: say("UPDATE TABLE_ SET state = 1, body = NULL, ends_ms = NOW_ + $4
                WHERE application = $1 AND id = $2 AND state = 0 AND version <= $3"),
            end_absent: say("INSERT INTO TABLE_ (application, id, state, version, stamp, ends_ms)
                VALUES ($1, $2, 2, 0, 0, NOW_ + $3) ON CONFLICT DO NOTHING"),
            hold: say("SELECT version, stamp, ends_ms, body, state FROM TABLE_
                WHERE application = $1 AND id = $2 FOR UPDATE"),
            end: say("UPDATE TABLE_ SET state = 2, body = NULL, ends_ms = NOW_ + $3
                WHERE application = $1 AND id = $2"),
            over: say("SELECT id, version FROM TABLE_
                WHERE application = $1 AND state = 0 AND ends_ms <= NOW_ - $2
                ORDER BY ends_ms, id LIMIT $3 OFFSET $4"),
            forget: say(
                "DELETE FROM TABLE_ WHERE application = $1 AND id IN (SELECT id FROM TABLE_
                WHERE application = $1 AND state IN (1, 2) AND ends_ms <= NOW_ LIMIT $2)
                AND state IN (1, 2) AND ends_ms <= NOW_",
            ),
            table,
        })
    }
}

fn identifier(field: &'static str, value: &str, most: usize) -> Result<(), OpenError> {
    let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_good = (1..=most).contains(&value.len())
        && value.bytes().next().is_some_and(is_first)
        && value.bytes().all(|byte| is_first(byte) || byte.is_ascii_digit());
    match is_good {
        true => Ok(()),
        false => Err(OpenError::Name { field, value: value.to_owned(), most }),
    }
}
