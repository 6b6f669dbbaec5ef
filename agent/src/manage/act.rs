//! What operators may want of a cluster. Whichever member is asked, the right one does it.

use bytes::Bytes;
use muster_cluster::NodeId;
use muster_cluster::message::Wish;
use muster_protocol::cluster::report::{NodeWish, QuorumWish};

use super::Ground;
use super::inside::{Inside, knows};
use super::told::{Ask, SERVICE, is_own};
use crate::engine::group::is_called;

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotDone {
    /// What is asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It cannot be done now, or not at all.
    #[error("{0}")]
    Refused(String),
}

impl Ground {
    /// Another quorum.
    pub(super) async fn set_quorum(&self, wish: QuorumWish) -> Result<String, NotDone> {
        let QuorumWish { quorum, force } = wish;
        if quorum == Some(0) {
            let why = "the quorum has the bad value 0: 1 or more, or none at all";
            return Err(NotDone::Refused(why.to_owned()));
        }
        let wish = Wish::Quorum { quorum, forced: force };
        self.grant(wish).await?;
        Ok(match quorum {
            Some(quorum) => format!("the quorum is {quorum}"),
            None => "there is no quorum: each side of a split may serve".to_owned(),
        })
    }

    /// A node that never comes back.
    pub(super) async fn forget(&self, wish: &NodeWish) -> Result<String, NotDone> {
        let view = self.inside()?.view();
        let view =
            view.ok_or_else(|| NotDone::Refused("this member is in no cluster yet".to_owned()))?;
        let known = view.electorate.known.iter().map(|(node, name)| (*node, name.as_ref()));
        let members = view.members.iter().map(|member| (member.id.node, member.name.as_ref()));
        let (node, name) = named(known.chain(members), &wish.node)?;
        if let Some(member) = view.member(node) {
            let text = format!("{} is in the cluster: let it leave, or stop it first", member.name);
            return Err(NotDone::Refused(text));
        }
        self.grant(Wish::Forget(node)).await?;
        match self.inside()?.view().is_some_and(|view| knows(&view, node)) {
            true => Err(NotDone::Refused(format!("{name} is back"))),
            false => Ok(format!("{name} is forgotten: it does not vote any more")),
        }
    }

    /// A member hands over what it has and leaves.
    pub(super) async fn leave(&self, wish: &NodeWish) -> Result<String, NotDone> {
        self.inside()?;
        let view = self.engine.group().view();
        let members = view.members.iter().map(|member| (member.id.node, member.name.as_ref()));
        let (node, name) = named(members, &wish.node)?;
        let member = view.members.iter().find(|member| member.id.node == node);
        let Some(member) = member else { return Err(unknown(&wish.node)) };
        let command = Bytes::from(serde_json::to_vec(&Ask::Leave).unwrap_or_default());
        let dispatch = self.engine.dispatch();
        let asked = dispatch.call(member.id, SERVICE, command, self.settings.deadline).await;
        asked.map_err(|error| NotDone::Refused(error.to_string()))?;
        self.forget_gathered().await;
        Ok(format!("{name} hands over what it has and leaves"))
    }

    /// Removes all entries of a cache.
    pub(super) async fn clear(&self, name: &str) -> Result<String, NotDone> {
        let maps = self.engine.maps();
        let map = maps.iter().find(|map| map.spec().name == name && !is_own(name));
        let Some(map) = map else {
            let why = format!("this member has no cache {name:?}: ask one that has it");
            return Err(NotDone::Unknown(why));
        };
        let cleared = tokio::time::timeout(self.settings.patience, map.clear()).await;
        let cleared = cleared.map_err(|_| {
            NotDone::Refused("it takes longer: some entries are gone, some may be left".to_owned())
        })?;
        cleared.map_err(|error| NotDone::Refused(format!("some entries may be left: {error}")))?;
        self.forget_gathered().await;
        Ok(format!("the cache {name} is empty"))
    }

    async fn grant(&self, wish: Wish) -> Result<(), NotDone> {
        let granted = self.inside()?.grant(wish, self.settings.patience).await;
        self.forget_gathered().await;
        granted.map_err(NotDone::Refused)
    }

    fn inside(&self) -> Result<&dyn Inside, NotDone> {
        let why = || {
            let engine = self.engine.name();
            NotDone::Refused(format!("the engine {engine} has neither voters nor segments"))
        };
        self.inside.as_deref().ok_or_else(why)
    }
}

/// The node of this name or id.
fn named<'n>(
    mut nodes: impl Iterator<Item = (NodeId, &'n str)>,
    text: &str,
) -> Result<(NodeId, &'n str), NotDone> {
    nodes.find(|(node, name)| is_called(*node, name, text)).ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> NotDone {
    NotDone::Unknown(format!("there is no node {text:?}"))
}
