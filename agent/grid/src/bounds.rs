//! What a message about rows may not exceed.

use crate::batch::{Batch, Entries, Reply, Request};
use crate::core::Wire;
use crate::message::Message;
use crate::segment::{Bytes, Group};
use crate::store::{Effect, WholeGroup};
use muster_cluster::bounds::{self, MOST_NUMBER, OutOfBounds, length, within};

/// Bytes of a group's name or of a key at most.
pub const MOST_KEY: usize = 1024;
/// Bytes of a value at most, whatever [`crate::Limits::most_value`] says.
pub(crate) const MOST_VALUE: usize = 64 << 20;
/// Operations of a batch at most.
pub const MOST_OPS: usize = 1024;
/// Writes of one row in one message at most.
pub(crate) const MOST_ITEMS: usize = 65_536;

pub(crate) fn wire(wire: &Wire) -> Result<(), OutOfBounds> {
    match wire {
        Wire::Cluster(told) => bounds::message(told),
        Wire::Grid(told) => message(told),
    }
}

fn message(message: &Message) -> Result<(), OutOfBounds> {
    match message {
        Message::Ask { attempt, life: _, request: asked } => {
            within("attempt", *attempt, 0, MOST_NUMBER)?;
            request(asked)
        }
        Message::Answer { reply: told, .. } => reply(told),
        Message::Sync { epoch, begun, .. } => {
            bounds::epoch(epoch)?;
            bounds::epoch(&begun.reign)?;
            within("a write's number", begun.base, 0, MOST_NUMBER)?;
            within("a write's number", begun.seq, 0, MOST_NUMBER)
        }
        Message::Synced { epoch, .. }
        | Message::Pull { epoch, .. }
        | Message::Want { epoch, .. } => bounds::epoch(epoch),
        Message::Have { epoch, whole: told, .. } => {
            bounds::epoch(epoch)?;
            whole(told)
        }
        Message::Chunk { epoch, chunk, .. } => {
            bounds::epoch(epoch)?;
            within("a chunk's write", chunk.as_of, 0, MOST_NUMBER)?;
            chunk.groups.iter().try_for_each(whole)
        }
        Message::Append { epoch, first, items, answers, .. } => {
            bounds::epoch(epoch)?;
            within("a write's number", *first, 0, MOST_NUMBER)?;
            length("writes", items.len(), 0, MOST_ITEMS)?;
            length("answers", answers.len(), 0, MOST_ITEMS)?;
            answers.iter().try_for_each(|with| reply(&with.reply))?;
            items.iter().flatten().try_for_each(|item| effect(item))
        }
        Message::Unkept { epoch, upto, seqs, .. } => {
            bounds::epoch(epoch)?;
            within("a write's number", *upto, 0, MOST_NUMBER)?;
            length("writes", seqs.len(), 0, MOST_ITEMS)?;
            seqs.iter().try_for_each(|seq| within("a write's number", *seq, 0, MOST_NUMBER))
        }
        Message::Appended { epoch, upto: seq, .. } | Message::Check { epoch, seq, .. } => {
            bounds::epoch(epoch)?;
            within("a write's number", *seq, 0, MOST_NUMBER)
        }
    }
}

fn group(group: &Group) -> Result<(), OutOfBounds> {
    length("bytes of a group's name", group.name.len(), 0, MOST_KEY)
}

fn key(key: &Bytes) -> Result<(), OutOfBounds> {
    length("bytes of a key", key.len(), 0, MOST_KEY)
}

fn value(value: &Bytes) -> Result<(), OutOfBounds> {
    length("bytes of a value", value.len(), 0, MOST_VALUE)
}

fn request(request: &Request) -> Result<(), OutOfBounds> {
    match request {
        Request::Get(of) | Request::GetLocal(of) | Request::Release(of, _) => group(of),
        Request::Checkout { group: of, .. } => group(of),
        Request::Write(told) => batch(told),
        Request::Lease { name, .. } => length("bytes of a lease's name", name.len(), 0, MOST_KEY),
        Request::Scan { after, .. } => after.as_ref().map_or(Ok(()), key),
        Request::Merge { group: of, entries, .. } => {
            group(of)?;
            entries.iter().try_for_each(|(name, put)| {
                key(name)?;
                value(&put.value)
            })
        }
    }
}

fn batch(batch: &Batch) -> Result<(), OutOfBounds> {
    group(&batch.group)?;
    length("operations of a batch", batch.ops.len(), 0, MOST_OPS)?;
    batch.ops.iter().try_for_each(|op| {
        key(&op.key)?;
        op.put.as_ref().map_or(Ok(()), |put| value(&put.value))
    })
}

fn reply(reply: &Reply) -> Result<(), OutOfBounds> {
    match reply {
        Reply::Entries(told) | Reply::Checkout { entries: told, .. } => entries(told),
        Reply::Groups { groups, .. } => groups.iter().try_for_each(|(name, told)| {
            length("bytes of a group's name", name.len(), 0, MOST_KEY)?;
            entries(told)
        }),
        _ => Ok(()),
    }
}

fn entries(told: &Entries) -> Result<(), OutOfBounds> {
    told.entries.iter().try_for_each(|(name, (told, _))| {
        key(name)?;
        value(told)
    })
}

fn effect(effect: &Effect) -> Result<(), OutOfBounds> {
    group(&effect.group)?;
    effect.puts.iter().try_for_each(|(name, put)| {
        key(name)?;
        put.as_ref().map_or(Ok(()), |put| value(&put.value))
    })
}

fn whole(whole: &WholeGroup) -> Result<(), OutOfBounds> {
    group(&whole.group)?;
    whole.entries.iter().try_for_each(|(name, _, put)| {
        key(name)?;
        value(&put.value)
    })
}
