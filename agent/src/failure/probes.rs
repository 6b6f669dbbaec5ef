//! foca, with its timers on the clock that stands still while this process does not run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, Foca, Member, NoCustomBroadcast, Notification, PostcardCodec, Runtime, Timer};
use muster_cluster::{MemberId, Moment, NodeId};
use rand_small::SeedableRng as _;
use rand_small::rngs::SmallRng;

use super::identity::Identity;

/// Bytes of a datagram at most. They travel as frames, but need not be large.
const MOST_DATAGRAM: usize = 1400;
/// Timers at most: a few for each member.
const MOST_TIMERS: usize = 4096;
/// How long foca remembers who was down.
const REMEMBERED: Duration = Duration::from_secs(600);

/// foca and what it wants done.
pub(crate) struct Probes {
    foca: Foca<Identity, PostcardCodec, SmallRng, NoCustomBroadcast>,
    world: World,
}

/// What foca wants done, and what it found.
#[derive(Debug, Default)]
struct World {
    now: Moment,
    number: u64,
    timers: BTreeMap<(Moment, u64), Timer<Identity>>,
    sent: Vec<(NodeId, Vec<u8>)>,
    down: BTreeSet<NodeId>,
}

impl Runtime<Identity> for &mut World {
    fn notify(&mut self, notification: Notification<'_, Identity>) {
        match notification {
            Notification::MemberUp(id) => {
                self.down.remove(&id.life().node);
            }
            Notification::MemberDown(id) => {
                self.down.insert(id.life().node);
            }
            // What becomes of the new name is told next; the rest is about this member.
            Notification::Rename(..)
            | Notification::Active
            | Notification::Idle
            | Notification::Defunct
            | Notification::Rejoin(_) => {}
        }
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sent.push((to.life().node, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Identity>, after: Duration) {
        if self.timers.len() < MOST_TIMERS {
            self.number += 1;
            self.timers.insert((self.now + after, self.number), event);
        }
    }
}

impl Probes {
    /// Probes by which a member is down after about two thirds of the detection time.
    pub(crate) fn new(me: MemberId, detection: Duration, seed: u64) -> Self {
        let nonzero = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
        let config = Config {
            probe_period: detection / 8,
            probe_rtt: detection / 20,
            num_indirect_probes: nonzero(3),
            max_transmissions: NonZeroU8::new(8).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: detection * 3 / 10,
            remove_down_after: Some(REMEMBERED),
            max_packet_size: nonzero(MOST_DATAGRAM),
            notify_down_members: true,
            periodic_announce: None,
            periodic_announce_to_down_members: None,
            periodic_gossip: None,
        };
        let rng = SmallRng::seed_from_u64(seed);
        let foca = Foca::new(Identity::new(me), config, rng, PostcardCodec);
        Self { foca, world: World::default() }
    }

    /// Members to be probed. Those it does not know yet are taken for alive.
    pub(crate) fn watch(&mut self, lives: impl Iterator<Item = MemberId>) {
        let known: BTreeMap<NodeId, u64> = (self.foca.iter_membership_state())
            .map(|member| member.id().life())
            .map(|life| (life.node, life.incarnation))
            .collect();
        let new: Vec<Member<Identity>> = lives
            .filter(|life| known.get(&life.node).is_none_or(|known| *known < life.incarnation))
            .map(|life| Member::alive(Identity::new(life)))
            .collect();
        // Where foca refuses an update, its probes find out the truth.
        let _ = self.foca.apply_many(new.into_iter(), false, &mut self.world);
    }

    /// This member has begun a new life.
    pub(crate) fn renewed(&mut self, me: MemberId) {
        let _ = self.foca.change_identity(Identity::new(me), &mut self.world);
    }

    /// A datagram came. One that cannot be read is nothing: it proved only that its sender lives.
    pub(crate) fn heard(&mut self, datagram: &[u8]) {
        let _ = self.foca.handle_data(datagram, &mut self.world);
    }

    /// Does what is due.
    pub(crate) fn beat(&mut self, now: Moment) {
        self.world.now = now;
        while let Some(first) = self.world.timers.first_entry()
            && first.key().0 <= now
        {
            let timer = first.remove();
            // An error is about a probe of a member that is not there any more.
            let _ = self.foca.handle_timer(timer, &mut self.world);
        }
    }

    /// Whether a node is down, as far as probes say it.
    pub(crate) fn is_down(&self, node: NodeId) -> bool {
        self.world.down.contains(&node)
    }

    /// Datagrams to be sent.
    pub(crate) fn take_sent(&mut self) -> Vec<(NodeId, Vec<u8>)> {
        std::mem::take(&mut self.world.sent)
    }
}
