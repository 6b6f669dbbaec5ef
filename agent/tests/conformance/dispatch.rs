//! Commands to members.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_agent::engine::{CallError, Handler, Targets};
use muster_cluster::{MemberId, NodeId};
use tokio::sync::Notify;

use crate::fixture::{Cluster, PATIENCE, soon};

/// Long enough that a test which waits for it does not pass.
const FOR_GOOD: Duration = Duration::from_secs(3600);

/// Answers with its own number, and what it was asked by whom.
struct Echo(usize);

#[async_trait]
impl Handler for Echo {
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String> {
        match &command[..] {
            b"fail" => Err(format!("{} will not", self.0)),
            b"panic" => panic!("as the test wants it"),
            other => {
                let asked = String::from_utf8_lossy(other);
                Ok(format!("{} did {asked} for {from}", self.0).into())
            }
        }
    }
}

/// Says that it has begun, and never ends.
struct Stuck(Arc<Notify>);

#[async_trait]
impl Handler for Stuck {
    async fn handle(&self, _: MemberId, _: Bytes) -> Result<Bytes, String> {
        self.0.notify_one();
        std::future::pending().await
    }
}

fn register(cluster: &Cluster) {
    for (at, engine) in cluster.engines.iter().enumerate() {
        engine.dispatch().register("echo", Arc::new(Echo(at)));
    }
}

pub(crate) async fn a_command_is_done_by_the_member_that_was_asked(cluster: &Cluster) {
    register(cluster);
    for asker in &cluster.engines {
        let me = asker.group().local().id;
        for (at, asked) in cluster.engines.iter().enumerate() {
            let (to, dispatch) = (asked.group().local().id, asker.dispatch());
            let answer = dispatch.call(to, "echo", "this".into(), PATIENCE).await;
            assert_eq!(answer, Ok(format!("{at} did this for {me}").into()));
        }
    }
}

pub(crate) async fn who_is_not_there_or_lacks_the_service_is_answered_for_at_once(
    cluster: &Cluster,
) {
    register(cluster);
    let dispatch = cluster.first().dispatch();
    let nobody = MemberId { node: NodeId(77), incarnation: 1 };
    let answer = soon("nobody", dispatch.call(nobody, "echo", Bytes::new(), FOR_GOOD)).await;
    assert_eq!(answer, Err(CallError::Left(nobody)));
    let last = cluster.last().group().local().id;
    cluster.last().dispatch().unregister("echo");
    for service in ["echo", "another"] {
        let answer = soon("no service", dispatch.call(last, service, Bytes::new(), FOR_GOOD)).await;
        let service = service.to_owned();
        assert_eq!(answer, Err(CallError::NoService { member: last, service }));
    }
}

pub(crate) async fn a_handlers_error_and_its_panic_are_answers(cluster: &Cluster) {
    register(cluster);
    let (dispatch, last) = (cluster.first().dispatch(), cluster.last().group().local().id);
    let answer = dispatch.call(last, "echo", "fail".into(), PATIENCE).await;
    assert_eq!(answer, Err(CallError::Failed(format!("{} will not", cluster.len() - 1))));
    let answer = soon("panic", dispatch.call(last, "echo", "panic".into(), FOR_GOOD)).await;
    assert_eq!(answer, Err(CallError::Failed("the handler panicked".to_owned())));
    assert!(dispatch.call(last, "echo", "go on".into(), PATIENCE).await.is_ok());
}

pub(crate) async fn a_handler_that_is_late_is_waited_for_no_longer(cluster: &Cluster) {
    let begun = Arc::new(Notify::new());
    cluster.last().dispatch().register("stuck", Arc::new(Stuck(begun.clone())));
    let (dispatch, last) = (cluster.first().dispatch(), cluster.last().group().local().id);
    let deadline = Duration::from_millis(200);
    let answer = soon("late", dispatch.call(last, "stuck", Bytes::new(), deadline)).await;
    assert_eq!(answer, Err(CallError::Late(deadline)));
}

pub(crate) async fn a_cast_gives_one_answer_for_each_target(cluster: &Cluster) {
    register(cluster);
    let first = cluster.first();
    let (dispatch, me) = (first.dispatch(), first.group().local().id);
    let everyone: Vec<MemberId> = first.group().view().members.iter().map(|m| m.id).collect();
    let ask = |targets| async {
        let answers = dispatch.cast(targets, "echo", "it".into(), PATIENCE).await;
        let mut answers = soon("answers", answers.all()).await;
        answers.sort_by_key(|(member, _)| everyone.iter().position(|other| other == member));
        answers
    };
    let all = ask(Targets::All).await;
    assert!(all.iter().all(|(_, answer)| answer.is_ok()), "{all:?}");
    assert_eq!(all.iter().map(|(member, _)| *member).collect::<Vec<_>>(), everyone);
    let others = ask(Targets::AllBut(vec![me])).await;
    assert_eq!(others, all.iter().filter(|(member, _)| *member != me).cloned().collect::<Vec<_>>());
    let nobody = MemberId { node: NodeId(77), incarnation: 1 };
    cluster.last().dispatch().unregister("echo");
    let last = cluster.last().group().local().id;
    let some = ask(Targets::Some(vec![nobody, last])).await;
    let lacking = CallError::NoService { member: last, service: "echo".to_owned() };
    assert_eq!(some, [(nobody, Err(CallError::Left(nobody))), (last, Err(lacking))]);
}

pub(crate) async fn who_leaves_during_a_call_is_answered_for_at_once(cluster: &Cluster) {
    if cluster.len() == 1 {
        return;
    }
    let begun = Arc::new(Notify::new());
    cluster.last().dispatch().register("stuck", Arc::new(Stuck(begun.clone())));
    let (dispatch, last) = (cluster.first().dispatch(), cluster.last().group().local().id);
    let call = dispatch.call(last, "stuck", Bytes::new(), FOR_GOOD);
    let leave = async {
        begun.notified().await;
        cluster.last().shutdown().await;
    };
    let (answer, ()) = soon("the answer", async { tokio::join!(call, leave) }).await;
    assert_eq!(answer, Err(CallError::Left(last)));
}
