//! Which member offers what: a table of lives, as a function of what was heard and of the views.
//!
//! Offers are told, not stored. Each member keeps what every life in its view offers; a life's offers
//! go with the life, whatever ended it, so that none is ever stale. Stored in the grid they would
//! outlive a killed provider until somebody cleaned up, and could not be told without a quorum.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use muster_cluster::MemberId;
use serde::{Deserialize, Serialize};

use crate::engine::{Member, View};

/// Services that one member offers, at most.
pub(super) const MOST_OFFERS: usize = 1024;
/// Bytes of a service's name at most.
pub(super) const MOST_NAME: usize = 256;
/// Lives that were heard of and are not in the view yet, at most.
const MOST_EARLY: usize = 256;

/// What one member tells the others.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Rises with every change.
    pub(super) version: u64,
    /// All that it offers.
    pub(super) services: BTreeSet<String>,
}

/// Which member offers what, at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Snapshot {
    pub(crate) view: Arc<View>,
    pub(crate) local: MemberId,
    /// Providers of each service, oldest first.
    pub(crate) providers: BTreeMap<String, Vec<Member>>,
}

/// What a member knows of the others' offers, and they of its own.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Each offered service, and how often.
    mine: BTreeMap<String, usize>,
    version: u64,
    heard: HashMap<MemberId, Heard>,
    /// What others know of this life.
    acknowledged: HashMap<MemberId, u64>,
    life: MemberId,
}

#[derive(Debug)]
struct Heard {
    told: Told,
    was_in_view: bool,
}

// === impl Offers ===

impl Offers {
    /// Nothing is offered. Versions begin with the time in microseconds: another registry of the
    /// same life, made later, says the later word.
    pub(super) fn new(wall_us: u64) -> Self {
        Self { version: wall_us, ..Self::default() }
    }

    /// Offers a service once more. False: it has too many.
    pub(super) fn offer(&mut self, service: &str) -> bool {
        if self.mine.len() >= MOST_OFFERS && !self.mine.contains_key(service) {
            return false;
        }
        let times = self.mine.entry(service.to_owned()).or_default();
        *times += 1;
        if *times == 1 {
            self.version += 1;
        }
        true
    }

    /// Offers it once less.
    pub(super) fn withdraw(&mut self, service: &str) {
        let Some(times) = self.mine.get_mut(service) else { return };
        *times -= 1;
        if *times == 0 {
            self.mine.remove(service);
            self.version += 1;
        }
    }

    /// What the others must know.
    pub(super) fn mine(&self) -> Told {
        Told { version: self.version, services: self.mine.keys().cloned().collect() }
    }

    /// Another life has told what it offers. It may be heard before the view that it is in.
    pub(super) fn heard(&mut self, from: MemberId, told: Told) -> Result<(), &'static str> {
        if told.services.len() > MOST_OFFERS {
            return Err("too many services");
        }
        if told.services.iter().any(|name| name.is_empty() || name.len() > MOST_NAME) {
            return Err("a service's name is empty or too long");
        }
        let known = self.heard.get(&from);
        if known.is_some_and(|known| known.told.version >= told.version) {
            return Ok(());
        }
        if known.is_none() {
            let early = self.heard.values().filter(|heard| !heard.was_in_view).count();
            if early >= MOST_EARLY {
                return Err("too many members that are not in the view");
            }
        }
        let was_in_view = known.is_some_and(|known| known.was_in_view);
        self.heard.insert(from, Heard { told, was_in_view });
        Ok(())
    }

    /// A member knows this version of what this one offers.
    pub(super) fn acknowledged(&mut self, by: MemberId, version: u64) {
        let known = self.acknowledged.entry(by).or_default();
        *known = version.max(*known);
    }

    /// A view stands: what lives that are over offered is forgotten. When this member itself has
    /// begun another life, nobody knows what that one offers.
    pub(super) fn view(&mut self, view: &View, local: MemberId) {
        if self.life != local {
            self.life = local;
            self.acknowledged.clear();
        }
        for (life, heard) in &mut self.heard {
            heard.was_in_view |= view.member(*life).is_some();
        }
        // An earlier life of a node that is in the view is over, even if no view ever had it.
        let is_over = |life: &MemberId, heard: &Heard| {
            let later = |member: &Member| {
                member.id.node == life.node && member.id.incarnation > life.incarnation
            };
            (heard.was_in_view && view.member(*life).is_none()) || view.members.iter().any(later)
        };
        self.heard.retain(|life, heard| !is_over(life, heard));
        self.acknowledged.retain(|life, _| view.member(*life).is_some());
    }

    /// Members that do not know yet what this one offers.
    pub(super) fn due(&self, view: &View, local: MemberId) -> Vec<MemberId> {
        let knows = |id| self.acknowledged.get(&id).is_some_and(|known| *known >= self.version);
        (view.members.iter().map(|member| member.id))
            .filter(|id| *id != local && !knows(*id))
            .collect()
    }

    /// Which member offers what.
    pub(super) fn snapshot(&self, view: &Arc<View>, local: MemberId) -> Snapshot {
        let mut providers: BTreeMap<String, Vec<Member>> = BTreeMap::new();
        for member in &view.members {
            let mut has = |service: &String| {
                providers.entry(service.clone()).or_default().push(member.clone());
            };
            if member.id == local {
                self.mine.keys().for_each(&mut has);
            } else if let Some(heard) = self.heard.get(&member.id) {
                heard.told.services.iter().for_each(&mut has);
            }
        }
        Snapshot { view: view.clone(), local, providers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_cluster::{Epoch, NodeId, ViewId};

    fn life(node: u128, incarnation: u64) -> MemberId {
        MemberId { node: NodeId(node), incarnation }
    }

    fn view(lives: &[MemberId]) -> Arc<View> {
        let member = |(join, id): (usize, &MemberId)| Member {
            id: *id,
            name: "n".into(),
            address: "".into(),
            join: join as u64,
        };
        let id = ViewId { epoch: Epoch::default(), coordinator: lives[0] };
        let members = lives.iter().enumerate().map(member).collect();
        Arc::new(View { id, members, is_quorate: true, merges: 0 })
    }

    fn told(version: u64, services: &[&str]) -> Told {
        let services = services.iter().map(|service| (*service).to_owned()).collect();
        Told { version, services }
    }

    fn providers(offers: &Offers, view: &Arc<View>, me: MemberId, of: &str) -> Vec<MemberId> {
        let snapshot = offers.snapshot(view, me);
        snapshot.providers.get(of).into_iter().flatten().map(|member| member.id).collect()
    }

    #[test]
    fn a_life_takes_its_offers_along_whether_it_left_or_came_back() {
        let (me, other) = (life(1, 1), life(2, 1));
        let (mut offers, both) = (Offers::default(), view(&[other, me]));
        offers.offer("a");
        offers.heard(other, told(1, &["a", "b"])).unwrap();
        offers.view(&both, me);
        assert_eq!(providers(&offers, &both, me, "a"), [other, me]);
        let (back, alone) = (life(2, 2), view(&[me]));
        offers.view(&alone, me);
        assert_eq!(providers(&offers, &alone, me, "a"), [me]);
        let again = view(&[me, back]);
        offers.view(&again, me);
        assert_eq!(providers(&offers, &again, me, "b"), []);
        offers.heard(back, told(9, &["b"])).unwrap();
        assert_eq!(providers(&offers, &again, me, "b"), [back]);
        assert_eq!(offers.heard.len(), 1);
    }

    #[test]
    fn what_is_heard_before_its_view_counts_from_that_view_on_and_old_news_never() {
        let (me, early) = (life(1, 1), life(2, 1));
        let mut offers = Offers::default();
        let (alone, both) = (view(&[me]), view(&[me, early]));
        offers.heard(early, told(2, &["a"])).unwrap();
        offers.heard(early, told(1, &["b"])).unwrap();
        offers.view(&alone, me);
        assert_eq!(providers(&offers, &alone, me, "a"), []);
        offers.view(&both, me);
        assert_eq!(providers(&offers, &both, me, "a"), [early]);
        assert_eq!(providers(&offers, &both, me, "b"), []);
    }

    #[test]
    fn who_was_dropped_and_came_back_tells_all_once_more() {
        let (me, back, other) = (life(1, 1), life(1, 2), life(2, 1));
        let (mut offers, before, after) =
            (Offers::default(), view(&[me, other]), view(&[other, back]));
        offers.view(&before, me);
        offers.offer("a");
        offers.acknowledged(other, 1);
        assert_eq!(offers.due(&before, me), []);
        // The view in between was not seen.
        offers.view(&after, back);
        assert_eq!(offers.due(&after, back), [other]);
    }

    #[test]
    fn every_member_is_told_until_it_knows_the_latest() {
        let (me, other) = (life(1, 1), life(2, 1));
        let (mut offers, both) = (Offers::default(), view(&[me, other]));
        assert_eq!(offers.due(&both, me), [other]);
        offers.acknowledged(other, 0);
        assert_eq!(offers.due(&both, me), []);
        assert!(offers.offer("a") && offers.offer("a"));
        assert_eq!(offers.due(&both, me), [other]);
        offers.acknowledged(other, 1);
        offers.withdraw("a");
        assert_eq!(offers.due(&both, me), []);
        offers.withdraw("a");
        assert_eq!((offers.due(&both, me), offers.mine()), (vec![other], told(2, &[])));
    }
}
