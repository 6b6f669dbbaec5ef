//! The last changes of the view: who came, who went, how long it took until all rows had their
//! owners. While rows move there is one view after the other with the same members; they are one
//! change.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use muster_protocol::cluster::report::{MOST_CHANGES, ViewChange};
use tokio_util::sync::CancellationToken;

use super::{Ground, view_name};
use crate::engine::View;
use crate::wall;
use crate::watching::changed;

/// What a member has seen.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: VecDeque<ViewChange>,
    last: Option<(Arc<View>, Instant)>,
}

// === impl History ===

impl History {
    /// A view stands; `is_settled` says whether every row has its owners, where there are rows.
    pub(super) fn seen(
        &mut self,
        view: &Arc<View>,
        is_settled: Option<bool>,
        now: Instant,
        wall_ms: u64,
    ) {
        let is_same = self.last.as_ref().is_some_and(|(last, _)| is_same(last, view));
        if !is_same {
            let before = self.last.as_ref().map(|(last, _)| &**last);
            self.changes.truncate(MOST_CHANGES - 1);
            self.changes.push_front(ViewChange {
                at_ms: wall_ms,
                view: view_name(view),
                members: view.members.iter().map(|member| member.name.to_string()).collect(),
                reason: reason(before, view),
                is_quorate: view.is_quorate,
                views: 0,
                settled_ms: None,
            });
        }
        let since = match &self.last {
            Some((_, since)) if is_same => *since,
            _ => now,
        };
        self.last = Some((view.clone(), since));
        if let Some(change) = self.changes.front_mut() {
            change.views += 1;
            let took = now.saturating_duration_since(since).as_millis();
            if is_settled == Some(true) && change.settled_ms.is_none() {
                change.settled_ms = u64::try_from(took).ok();
            }
        }
    }

    pub(super) fn latest_first(&self) -> Vec<ViewChange> {
        self.changes.iter().cloned().collect()
    }
}

fn is_same(last: &View, view: &View) -> bool {
    last.is_quorate == view.is_quorate
        && last.merges == view.merges
        && last.members.iter().map(|member| member.id).eq(view.members.iter().map(|m| m.id))
}

/// What has changed, in words.
fn reason(before: Option<&View>, view: &View) -> String {
    let Some(before) = before else { return "the management of this member began".to_owned() };
    let names = |of: &View, but: &View| -> Vec<String> {
        let others = of.members.iter().filter(|member| but.member(member.id).is_none());
        others.map(|member| member.name.to_string()).collect()
    };
    let (came, gone) = (names(view, before), names(before, view));
    let mut parts = Vec::new();
    if view.merges > before.merges {
        parts.push("two sides of a split met".to_owned());
    }
    if !came.is_empty() {
        parts.push(format!("{} came", came.join(", ")));
    }
    if !gone.is_empty() {
        parts.push(format!("{} went", gone.join(", ")));
    }
    if before.is_quorate != view.is_quorate {
        let now = if view.is_quorate { "enough" } else { "too few" };
        parts.push(format!("{now} members are in sight"));
    }
    match parts.is_empty() {
        true => "another order of the members".to_owned(),
        false => parts.join("; "),
    }
}

/// Watches the views until `stop`.
pub(super) async fn keep(ground: Arc<Ground>, stop: CancellationToken) {
    let mut views = ground.engine.group().watch();
    let mut lost = 0;
    loop {
        let view = views.borrow_and_update().clone();
        let inside = ground.inside.as_ref().and_then(|inside| inside.view());
        let is_settled = inside.map(|inside| inside.is_settled());
        ground.history.lock().seen(&view, is_settled, Instant::now(), wall::ms());
        ground.tell_lost(&mut lost);
        if !changed(&mut views, &stop).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_cluster::{Epoch, MemberId, NodeId, ViewId};

    use super::*;
    use crate::engine::Member;

    fn view(counter: u64, names: &[&str], is_quorate: bool, merges: u64) -> Arc<View> {
        let member = |name: &&str| {
            let node = NodeId(u128::from(name.as_bytes()[0]));
            let id = MemberId { node, incarnation: 1 };
            Member { id, name: (*name).into(), address: "".into(), join: 0 }
        };
        let members: Vec<_> = names.iter().map(member).collect();
        let epoch = Epoch { counter, join: 1, by: members[0].id };
        let id = ViewId { epoch, coordinator: members[0].id };
        Arc::new(View { id, members, is_quorate, merges })
    }

    #[test]
    fn a_change_says_who_came_who_went_and_how_long_the_rows_took() {
        let (mut history, start) = (History::default(), Instant::now());
        let mut at = |ms: u64, view: &Arc<View>, is_settled| {
            let now = start + Duration::from_millis(ms);
            history.seen(view, Some(is_settled), now, 1000 + ms);
            history.latest_first().remove(0)
        };
        assert_eq!(at(0, &view(1, &["a"], true, 0), true).settled_ms, Some(0));
        let came = at(100, &view(2, &["a", "b"], true, 0), false);
        assert_eq!((came.reason.as_str(), came.settled_ms), ("b came", None));
        let moved = at(150, &view(3, &["a", "b"], true, 0), true);
        assert_eq!((moved.views, moved.settled_ms, moved.at_ms), (2, Some(50), 1100));
        let both = at(200, &view(4, &["b", "c"], false, 0), false);
        assert_eq!(both.reason, "c came; a went; too few members are in sight");
        let met = at(300, &view(5, &["b", "c", "d"], true, 1), true);
        assert_eq!(met.reason, "two sides of a split met; d came; enough members are in sight");
        assert_eq!(history.changes.len(), 4);
    }

    #[test]
    fn only_the_last_changes_are_remembered() {
        let (mut history, now) = (History::default(), Instant::now());
        for counter in 0..100 {
            let names: &[&str] = if counter % 2 == 0 { &["a"] } else { &["a", "b"] };
            history.seen(&view(counter, names, true, 0), None, now, counter);
        }
        let changes = history.latest_first();
        assert_eq!((changes.len(), changes[0].at_ms), (MOST_CHANGES, 99));
        assert_eq!(changes[0].settled_ms, None, "no rows are shared");
    }
}
