//! What a batch does to a group.

use muster_grid::{Bytes, Expect, Op, Put, Rev, Watched};
use tokio::time::Instant;

use super::held::{Entry, Held};
use super::{Shard, Timer};
use crate::engine::map::{Batch, Change, Kind, MapError};

impl Shard {
    /// Check first, change after.
    pub(super) fn apply(&mut self, batch: Batch, now: Instant) -> Result<Rev, MapError> {
        let held = self.groups.entry(batch.group.clone()).or_default();
        if let (Some(seen), Some(token)) = (held.token, batch.token)
            && token < seen
        {
            return Err(MapError::Fenced);
        }
        let conflict = batch.ops.iter().position(|op| !is_as_expected(held, op));
        if let Some(at) = conflict {
            self.forget(&batch.group);
            return Err(MapError::Conflict { at });
        }
        held.token = held.token.max(batch.token);
        let rev = self.next_rev();
        for op in batch.ops {
            match op.put {
                Some(put) => self.put(&batch.group, op.key, put, rev, now),
                None if self.remove(&batch.group, &op.key, rev, Kind::Removed) => {
                    self.counts.removes += 1;
                }
                None => {}
            }
        }
        if let Some(held) = self.groups.get_mut(&batch.group) {
            held.rev = rev;
        }
        self.forget(&batch.group);
        Ok(rev)
    }

    pub(super) fn put(&mut self, group: &Bytes, key: Bytes, put: Put, rev: Rev, now: Instant) {
        let value = put.value.clone();
        let entry = Entry::new(put, rev, now);
        let ends = entry.deadline();
        self.counts.puts += 1;
        self.counts.bytes += (key.len() + value.len()) as u64;
        let held = self.groups.entry(group.clone()).or_default();
        let kind = match held.find(&key) {
            Ok(at) => {
                let old = std::mem::replace(&mut held.entries[at].1, entry);
                self.counts.bytes -= (key.len() + old.value.len()) as u64;
                self.stop(group, &key, old.deadline());
                Kind::Changed(value)
            }
            Err(at) => {
                self.counts.groups += u64::from(held.entries.is_empty());
                held.entries.insert(at, (key.clone(), entry));
                self.counts.entries += 1;
                Kind::Created(value)
            }
        };
        if let Some(ends) = ends {
            self.deadlines.insert((ends, group.clone(), Timer::Entry(key.clone())));
        }
        self.tell(group, key, kind, rev);
    }

    pub(super) fn remove(
        &mut self,
        group: &Bytes,
        key: &Bytes,
        rev: Rev,
        kind: fn(Bytes) -> Kind,
    ) -> bool {
        let Some(held) = self.groups.get_mut(group) else { return false };
        let Ok(at) = held.find(key) else { return false };
        let (key, old) = held.entries.remove(at);
        held.rev = rev;
        self.counts.groups -= u64::from(held.entries.is_empty());
        self.counts.entries -= 1;
        self.counts.bytes -= (key.len() + old.value.len()) as u64;
        self.stop(group, &key, old.deadline());
        self.tell(group, key, kind(old.value), rev);
        true
    }

    pub(super) fn stop(&mut self, group: &Bytes, key: &Bytes, deadline: Option<Instant>) {
        if let Some(ends) = deadline {
            self.deadlines.remove(&(ends, group.clone(), Timer::Entry(key.clone())));
        }
    }

    pub(super) fn tell(&mut self, group: &Bytes, key: Bytes, kind: Kind, rev: Rev) {
        let is_told = match self.watched {
            Some(Watched::All) => true,
            Some(Watched::Ends) => matches!(kind, Kind::Expired(_)),
            Some(Watched::Merges) | None => false,
        };
        if is_told {
            self.told.push(Change { group: group.clone(), key, kind, rev });
        }
    }

    pub(super) fn forget(&mut self, group: &[u8]) {
        if self.groups.get(group).is_some_and(|held| !held.is_needed()) {
            self.groups.remove(group);
        }
    }

    pub(super) fn next_rev(&mut self) -> Rev {
        self.seq += 1;
        Rev { epoch: 1, seq: self.seq }
    }
}

fn is_as_expected(held: &Held, op: &Op) -> bool {
    let present = held.entry(&op.key).map(|entry| entry.rev);
    match op.expect {
        Expect::Any => true,
        Expect::Absent => present.is_none(),
        Expect::Rev(rev) => present == Some(rev),
    }
}
