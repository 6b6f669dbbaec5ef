//! What a message, a view and what stands on disk may not exceed. Whatever comes from a socket or
//! a disk is held against this before a state machine sees it, so that no number overflows, no
//! list that must have a first element is empty, and nothing grows beyond its bound.

use crate::id::{Epoch, MemberId};
use crate::message::{Durable, Joining, Message, Promise, Refusal, Summary};
use crate::rows::RowSet;
use crate::view::{Copies, Electorate, Member, Row, View};
use thiserror::Error;

/// Counters of epochs, incarnations, joins and writes at most: there is room to count on.
pub const MOST_NUMBER: u64 = 1 << 62;
/// Members of a view at most.
pub const MOST_MEMBERS: usize = 256;
/// Known nodes of an electorate at most.
pub const MOST_KNOWN: usize = 1024;
/// Bytes of a member's name at most.
pub const MOST_NAME: usize = 128;
/// Bytes of a member's address at most.
pub const MOST_ADDRESS: usize = 256;
/// Tables of a view at most.
pub const MOST_TABLES: usize = 4;
/// Rows of a table at most.
pub const MOST_SEGMENTS: u16 = 4096;
/// A member's share at most.
pub const MOST_WEIGHT: u16 = 1000;
/// Doubts of a row at most.
pub const MOST_DOUBTS: usize = 8;

/// A field and its value, beyond what is possible.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("{field} is {value}: {least} to {most} are possible")]
pub struct OutOfBounds {
    /// Which field.
    pub field: &'static str,
    /// Its value or length.
    pub value: u64,
    /// The least that is possible.
    pub least: u64,
    /// The most that is possible.
    pub most: u64,
}

/// Holds a number against its bounds.
///
/// # Errors
/// Names the field, its value and the bounds.
pub fn within(field: &'static str, value: u64, least: u64, most: u64) -> Result<(), OutOfBounds> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(OutOfBounds { field, value, least, most })
    }
}

/// Holds a length against its bounds.
///
/// # Errors
/// Names the field, its length and the bounds.
pub fn length(
    field: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), OutOfBounds> {
    within(field, value as u64, least as u64, most as u64)
}

/// Holds an epoch against its bounds.
///
/// # Errors
/// When one of its counters leaves no room to count on.
pub fn epoch(epoch: &Epoch) -> Result<(), OutOfBounds> {
    within("epoch", epoch.counter, 0, MOST_NUMBER)?;
    life(&epoch.by)
}

fn life(id: &MemberId) -> Result<(), OutOfBounds> {
    within("incarnation", id.incarnation, 0, MOST_NUMBER)
}

fn names(name: &str, address: &str, weight: u16) -> Result<(), OutOfBounds> {
    length("bytes of a member's name", name.len(), 1, MOST_NAME)?;
    length("bytes of an address", address.len(), 0, MOST_ADDRESS)?;
    within("weight", weight.into(), 1, MOST_WEIGHT.into())
}

/// Holds what stood on disk against its bounds.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn durable(durable: &Durable) -> Result<(), OutOfBounds> {
    within("incarnation", durable.incarnation, 0, MOST_NUMBER)?;
    epoch(&durable.promised)?;
    epoch(&durable.was_in)?;
    durable.accepted.as_ref().map_or(Ok(()), |accepted| view(accepted))
}

/// Holds a message against its bounds.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn message(message: &Message) -> Result<(), OutOfBounds> {
    match message {
        Message::Greet { view, accepted, .. } => {
            view.as_ref().map_or(Ok(()), summary)?;
            accepted.as_ref().map_or(Ok(()), epoch)
        }
        Message::Join(who) => joining(who),
        Message::Refused { id, why } => {
            life(id)?;
            refusal(why)
        }
        Message::Prepare { epoch: of }
        | Message::Accepted { epoch: of }
        | Message::Installed { epoch: of }
        | Message::Late { epoch: of, .. }
        | Message::Dissolve { epoch: of, .. } => epoch(of),
        Message::Promise(told) => promise(told),
        Message::Nack { epoch: of, promised } => {
            epoch(of)?;
            epoch(promised)
        }
        Message::Accept { view: told } | Message::Commit { view: told } => view(told),
        Message::Filled { epoch: of, complete } => {
            epoch(of)?;
            rows(complete)
        }
        Message::Offer { view } | Message::Welcome { view } => summary(view),
        Message::NotGranted(why) => refusal(why),
        Message::Fetch | Message::Leave | Message::Ask(_) => Ok(()),
    }
}

fn summary(summary: &Summary) -> Result<(), OutOfBounds> {
    epoch(&summary.epoch)?;
    life(&summary.coordinator)
}

fn joining(joining: &Joining) -> Result<(), OutOfBounds> {
    life(&joining.id)?;
    names(&joining.name, &joining.address, joining.weight)
}

fn promise(promise: &Promise) -> Result<(), OutOfBounds> {
    epoch(&promise.epoch)?;
    joining(&promise.who)?;
    promise.accepted.as_ref().map_or(Ok(()), |accepted| view(accepted))?;
    promise.installed.as_ref().map_or(Ok(()), epoch)?;
    epoch(&promise.was_in)?;
    rows(&promise.complete)
}

fn refusal(refusal: &Refusal) -> Result<(), OutOfBounds> {
    let Refusal::NameTaken { name, .. } = refusal else { return Ok(()) };
    length("bytes of a member's name", name.len(), 0, MOST_NAME)
}

fn rows(rows: &RowSet) -> Result<(), OutOfBounds> {
    length("words of a set of rows", rows.words(), 0, MOST_TABLES * usize::from(MOST_SEGMENTS) / 64)
}

/// Holds a view against its bounds.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn view(view: &View) -> Result<(), OutOfBounds> {
    epoch(&view.epoch)?;
    length("members", view.members.len(), 1, MOST_MEMBERS)?;
    view.members.iter().try_for_each(member)?;
    within("next join", view.next_join, 0, MOST_NUMBER)?;
    electorate(&view.electorate)?;
    view.before.as_ref().map_or(Ok(()), electorate)?;
    length("tables", view.tables.len(), 1, MOST_TABLES)?;
    let copies = |copies: &Copies| match copies {
        Copies::Some(copies) => within("copies", (*copies).into(), 1, u8::MAX.into()),
        Copies::Every => Ok(()),
    };
    view.tables.iter().try_for_each(copies)?;
    within("segments", view.segments.into(), 1, MOST_SEGMENTS.into())?;
    let all = view.tables.len() * usize::from(view.segments);
    length("rows", view.rows.len(), all, all)?;
    view.rows.iter().try_for_each(row)
}

fn member(member: &Member) -> Result<(), OutOfBounds> {
    life(&member.id)?;
    names(&member.name, &member.address, member.weight)
}

fn electorate(electorate: &Electorate) -> Result<(), OutOfBounds> {
    length("known nodes", electorate.known.len(), 0, MOST_KNOWN)?;
    (electorate.known.values())
        .try_for_each(|name| length("bytes of a member's name", name.len(), 0, MOST_NAME))
}

fn row(row: &Row) -> Result<(), OutOfBounds> {
    length("owners of a row", row.owners.len(), 0, MOST_MEMBERS)?;
    length("members that a row is copied to", row.pending.len(), 0, MOST_MEMBERS)?;
    length("doubts of a row", row.doubts.len(), 0, MOST_DOUBTS)?;
    row.doubts.iter().try_for_each(|doubt| {
        epoch(&doubt.epoch)?;
        length("owners of a doubt", doubt.owners.len(), 0, MOST_MEMBERS)
    })
}
