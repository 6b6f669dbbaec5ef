//! Puts that are acknowledged by both members.

use std::sync::Arc;
use std::time::Duration;

use muster_cluster::View;
use muster_grid::batch::{Op, Put};
use muster_grid::{Batch, Bytes, Expect, Group, Reply, Request, Space};

use super::{Measured, VALUE, echo::drive};
use crate::node::Node;

/// Groups that each caller writes to in turn.
const GROUPS: usize = 64;

pub(crate) async fn measure(
    node: &Node,
    view: &View,
    is_local: bool,
    other: u32,
    callers: usize,
    time: Duration,
) -> Measured {
    let me = node.me();
    let names = (0u64..1_000_000)
        .map(|n| Group::new(Space { table: 0, cache: 1 }, format!("group-{n}").as_bytes()))
        .filter(|group| (view.primary(group.row(view)) == Some(me)) == is_local);
    let groups: Arc<Vec<Group>> = Arc::new(names.take(GROUPS * callers).collect());
    let value: Bytes = vec![7; VALUE].into();
    let node = node.clone();
    let what = if is_local { "put, primary here" } else { "put, primary there" };
    drive(what, other, callers, time, move |caller, number| {
        let (node, groups, value) = (node.clone(), groups.clone(), value.clone());
        async move {
            let at = caller * GROUPS + number as usize % GROUPS;
            let put = Put::of(value);
            let op = Op { key: b"v".into(), expect: Expect::Any, put: Some(put) };
            let batch = Batch::new(groups[at].clone(), vec![op]);
            let reply = node.request(Request::Write(batch), Duration::from_secs(10)).await;
            assert!(matches!(reply, Reply::Written(_)), "{reply:?}");
        }
    })
    .await
}
