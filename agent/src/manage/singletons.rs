//! Singletons, as all members see them together.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use muster_protocol::cluster::singletons::{
    MOST_HAPPENINGS, MoveWish, SingletonReport, SingletonState, SingletonsReport,
};

use super::Ground;
use super::act::NotDone;
use super::gather::Gathered;
use crate::singleton::{MoveError, SingletonTold, Table};

impl Ground {
    pub(super) fn table(&self) -> Option<Arc<Table>> {
        self.singletons.get().and_then(Weak::upgrade)
    }

    pub(super) async fn singletons(&self) -> SingletonsReport {
        self.gather().await.singletons()
    }

    /// Another node for one of them.
    pub(super) async fn move_singleton(
        &self,
        name: &str,
        wish: &MoveWish,
    ) -> Result<String, NotDone> {
        let why = || NotDone::Refused("this member is in no cluster yet".to_owned());
        let table = self.table().ok_or_else(why)?;
        let moved = table.talk().move_to(name, wish.node.as_deref()).await;
        self.forget_gathered().await;
        match (moved, &wish.node) {
            (Ok(()), Some(node)) => Ok(format!("{name} moves to {node}")),
            (Ok(()), None) => Ok(format!("{name} moves to where its policy puts it")),
            (Err(error @ (MoveError::Unknown(_) | MoveError::NoCandidate { .. })), _) => {
                Err(NotDone::Unknown(error.to_string()))
            }
            (Err(error @ MoveError::Undecided), _) => Err(NotDone::Refused(error.to_string())),
        }
    }

    /// This member in numbers, but for its components.
    pub(super) fn metrics(&self) -> String {
        let singletons = self.table().map(|table| table.counts()).unwrap_or_default();
        let jobs = self.cluster_here().map(|cluster| cluster.jobs_here().counts());
        let jobs = jobs.unwrap_or_default();
        crate::cluster::metrics::text(&*self.engine, &self.tallies, singletons, jobs)
    }
}

impl Gathered {
    fn singletons(&self) -> SingletonsReport {
        let mut by_name: BTreeMap<&str, Vec<&SingletonTold>> = BTreeMap::new();
        for member in &self.view.members {
            let Some(Ok(told)) = self.told.get(&member.id) else { continue };
            for one in &told.singletons {
                by_name.entry(&one.name).or_default().push(one);
            }
        }
        SingletonsReport {
            singletons: by_name.into_values().filter_map(|all| report(&all)).collect(),
        }
    }
}

/// One singleton out of what its members say of it, oldest first: the oldest has elected.
fn report(all: &[&SingletonTold]) -> Option<SingletonReport> {
    let first = *all.first()?;
    let running = all.iter().filter(|one| one.here.state == SingletonState::Running);
    let provider = running.max_by_key(|one| one.here.token.as_deref().map(number));
    let mut history: Vec<_> = all.iter().flat_map(|one| one.history.iter().cloned()).collect();
    history.sort_by_key(|change| Reverse(change.at_ms));
    history.truncate(MOST_HAPPENINGS);
    Some(SingletonReport {
        name: first.name.clone(),
        kind: first.kind,
        is_everywhere: first.is_everywhere,
        policy: first.policy.clone(),
        policy_name: first.policy_name.clone(),
        quorum: first.quorum,
        provider: provider.map(|one| one.here.member.clone()),
        token: provider.and_then(|one| one.here.token.clone()),
        elected: first.elected.clone(),
        no_provider: first.no_provider.clone(),
        moved: first.moved.clone(),
        candidates: first.candidates.clone(),
        members: all.iter().map(|one| one.here.clone()).collect(),
        history,
    })
}

/// A token as it is shown, for comparison.
fn number(token: &str) -> (u64, u64) {
    let (epoch, seq) = token.split_once('.').unwrap_or(("0", token));
    (epoch.parse().unwrap_or(0), seq.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::cluster::singletons::{SingletonChange, SingletonKind, SingletonMember};

    fn told(member: &str, state: SingletonState, token: Option<&str>, at_ms: u64) -> SingletonTold {
        let (member, text) = (member.to_owned(), "stopped".to_owned());
        SingletonTold {
            name: "timer".to_owned(),
            kind: SingletonKind::Daemon,
            is_everywhere: false,
            policy: "simple(0)".to_owned(),
            policy_name: "default".to_owned(),
            quorum: 1,
            elected: Some("one".to_owned()),
            no_provider: None,
            moved: None,
            candidates: vec!["one".to_owned(), "two".to_owned()],
            here: SingletonMember {
                member: member.clone(),
                state,
                token: token.map(ToOwned::to_owned),
                ..SingletonMember::default()
            },
            history: vec![SingletonChange { at_ms, member, text }],
        }
    }

    #[test]
    fn of_two_that_say_that_they_run_it_the_later_token_counts() {
        let one = told("one", SingletonState::Running, Some("9.20"), 5);
        let two = told("two", SingletonState::Running, Some("10.3"), 7);
        let both = report(&[&one, &two]).expect("two say so");
        assert_eq!((both.provider.as_deref(), both.token.as_deref()), (Some("two"), Some("10.3")));
        assert_eq!(both.history.iter().map(|change| change.at_ms).collect::<Vec<_>>(), [7, 5]);
        let none = told("one", SingletonState::Stopping, Some("9.20"), 5);
        assert_eq!(report(&[&none]).expect("one says so").provider, None);
        assert_eq!(report(&[]), None);
    }
}
