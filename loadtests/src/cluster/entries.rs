//! What a member does with one key, through the engine's map: a group of its own for each key, with
//! one entry in it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::{Batch, Checkout, Ending, Map, MapError, Read};
use muster_grid::{Expect, Op, Put, Rev};
use serde_json::{Value, json};

use super::words::Answer;

/// The one entry of a group.
const ENTRY: &[u8] = b"v";
/// How often an increment is tried when others are quicker.
const MOST_TRIES: u32 = 1000;

/// One connection's entries, and what it has checked out.
pub struct Entries {
    map: Arc<dyn Map>,
    held: HashMap<String, Checkout>,
}

// === impl Entries ===

impl Entries {
    /// Nothing is checked out.
    pub fn new(map: Arc<dyn Map>) -> Entries {
        Entries { map, held: HashMap::new() }
    }

    /// The value, as fresh as can be.
    pub async fn get(&self, key: &str) -> Answer {
        match self.read(key).await {
            Ok((value, _)) => Answer::ok(value),
            Err(error) => told(error),
        }
    }

    /// Writes a value.
    pub async fn put(&self, key: &str, value: &Value) -> Answer {
        answered(self.write(key, Expect::Any, Some(value)).await, Value::Null)
    }

    /// Removes a value.
    pub async fn remove(&self, key: &str) -> Answer {
        answered(self.write(key, Expect::Any, None).await, Value::Null)
    }

    /// Writes a value where another is.
    pub async fn cas(&self, key: &str, old: &Value, new: &Value) -> Answer {
        match self.read(key).await {
            // A read changes nothing, whatever became of it.
            Err(error) => Answer::fail(error),
            Ok((there, _)) if there != *old => Answer::fail(format!("{there} is there")),
            Ok((_, rev)) => {
                answered(self.write(key, expect(rev), Some(new)).await, json!([old, new]))
            }
        }
    }

    /// Adds one.
    pub async fn incr(&self, key: &str) -> Answer {
        for _ in 0..MOST_TRIES {
            let (there, rev) = match self.read(key).await {
                Ok(read) => read,
                Err(error) => return Answer::fail(error),
            };
            let number = there.as_i64().unwrap_or(0) + 1;
            match self.write(key, expect(rev), Some(&json!(number))).await {
                Err(MapError::Conflict { .. }) => {}
                written => return answered(written, json!([1, number])),
            }
        }
        Answer::fail("others were quicker")
    }

    /// Checks a key out.
    pub async fn lock(&mut self, key: &str, wait: Duration, hold: Duration) -> Answer {
        match self.map.checkout(key.as_bytes(), wait, hold).await {
            Ok(checkout) => {
                // A number that rises as the fence does: 31 bits of its epoch, 32 of its place there.
                let fence = checkout.fence;
                let fence = (fence.epoch & 0x7fff_ffff) << 32 | (fence.number & 0xffff_ffff);
                let there = checkout.entries.entries.get(ENTRY);
                let there = there.map_or(Value::Null, |(there, _)| value(there));
                self.held.insert(key.to_owned(), checkout);
                Answer::ok(json!([fence, there]))
            }
            Err(error) => told(error),
        }
    }

    /// Writes under a checkout and ends it.
    pub async fn commit(&mut self, key: &str, value: &Value) -> Answer {
        let Some(mut checkout) = self.held.remove(key) else {
            return Answer::fail("it is not checked out here");
        };
        let ops = vec![op(Expect::Any, Some(value))];
        answered(self.map.commit(&mut checkout, ops, Ending::Release).await, Value::Null)
    }

    async fn read(&self, key: &str) -> Result<(Value, Option<Rev>), MapError> {
        let entries = self.map.get(key.as_bytes(), Read::Confirmed).await?.entries;
        Ok(entries
            .get(ENTRY)
            .map_or((Value::Null, None), |(there, rev)| (value(there), Some(*rev))))
    }

    async fn write(
        &self,
        key: &str,
        expect: Expect,
        value: Option<&Value>,
    ) -> Result<Rev, MapError> {
        self.map.write(Batch::new(key.as_bytes(), vec![op(expect, value)])).await
    }
}

fn op(expect: Expect, value: Option<&Value>) -> Op {
    let put = value.map(|value| Put::new(value.to_string().as_bytes()));
    Op { key: ENTRY.into(), expect, put }
}

/// What is there was written by a member of this program, unless the cluster spoilt it.
fn value(there: &[u8]) -> Value {
    serde_json::from_slice(there).unwrap_or_else(|_| json!("spoilt"))
}

fn expect(rev: Option<Rev>) -> Expect {
    rev.map_or(Expect::Absent, Expect::Rev)
}

fn answered(written: Result<Rev, MapError>, value: Value) -> Answer {
    match written {
        Ok(_) => Answer::ok(value),
        Err(error) => told(error),
    }
}

fn told(error: MapError) -> Answer {
    match error {
        MapError::Unknown => Answer::unknown(error),
        MapError::Conflict { .. }
        | MapError::Fenced
        | MapError::Locked
        | MapError::NotQuorate
        | MapError::Unavailable
        | MapError::Busy
        | MapError::TooLarge(_)
        | MapError::Closed => Answer::fail(error),
    }
}
