//! Sessions whose time is over: the primary's engine ends them, and here it is counted and told.

use std::collections::HashMap;

use muster_grid::Bytes;

use super::events::End;
use super::follow::Heard;
use super::manager::Inner;
use super::{plan, store};
use crate::engine::map::{Change, Kind};

/// Sessions of which some entries were told and the last one not yet, at most. The engine tells all
/// of one in a row, so that there are few.
const MOST_BEGUN: usize = 1024;

/// What is known of sessions that are just ending, entry by entry.
#[derive(Default)]
pub(super) struct Expiry(HashMap<Bytes, Vec<(Bytes, Bytes)>>);

// === impl Expiry ===

impl Expiry {
    /// Takes one more; the last of a session's tells of its end.
    pub(super) fn heard(&mut self, inner: &Inner, heard: Heard<Change>) {
        match heard {
            Heard::Told(Change { group, key, kind: Kind::Expired(was), .. }) => {
                if self.0.len() >= MOST_BEGUN {
                    self.0.clear();
                }
                let is_last = &*key == plan::METADATA;
                self.0.entry(group.clone()).or_default().push((key, was));
                if is_last
                    && let Some(entries) = self.0.remove(&group)
                    && !store::expired(inner, &group, &entries)
                {
                    let entries = entries.iter().map(|(key, was)| (key, was));
                    inner.ended(&group, entries, End::Expired);
                }
            }
            Heard::Told(_) => {}
            Heard::Missed(missed) => {
                self.0.clear();
                let application = &inner.application;
                tracing::warn!(missed, application, "ends of sessions were not told to listeners");
            }
        }
    }
}
