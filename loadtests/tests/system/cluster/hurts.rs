//! What stories do to one member of a cluster whose members live in network namespaces.

use muster_loadtests::cluster::Herd;
use muster_loadtests::testkit::faults::Fault;
use rand::Rng as _;
use rand::rngs::StdRng;

/// What happens to a member.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hurt {
    /// It is cut off.
    Alone,
    /// It is cut off together with another.
    Pair,
    /// What it sends is lost.
    Silent,
    /// What the others send it is lost.
    Deaf,
    /// It is frozen.
    Freeze,
    /// It is killed.
    Kill,
}

/// In turns.
pub(crate) const HURTS: [Hurt; 6] =
    [Hurt::Alone, Hurt::Freeze, Hurt::Silent, Hurt::Kill, Hurt::Pair, Hurt::Deaf];

impl Hurt {
    /// From now on, until its end.
    pub(crate) fn begin(self, herd: &mut Herd, victim: usize, chance: &mut StdRng) {
        let (one, count) = (victim + 1, herd.members.len());
        let but = |these: &[usize]| -> Vec<usize> {
            (1..=count).filter(|number| !these.contains(number)).collect()
        };
        let net = herd.net.as_ref().unwrap();
        match self {
            Hurt::Alone => net.isolate(one).unwrap(),
            Hurt::Pair => {
                let others = but(&[one]);
                let pair = [one, others[chance.random_range(0..others.len())]];
                net.cut(&pair, &but(&pair)).unwrap();
            }
            Hurt::Silent => net.one_way(&[one], &but(&[one])).unwrap(),
            Hurt::Deaf => net.one_way(&but(&[one]), &[one]).unwrap(),
            Hurt::Freeze => herd.members[victim].process.inflict(Fault::Freeze).unwrap(),
            Hurt::Kill => herd.members[victim].process.kill().unwrap(),
        }
    }

    /// It is over.
    pub(crate) async fn end(self, herd: &mut Herd, victim: usize) {
        match self {
            Hurt::Alone | Hurt::Pair | Hurt::Silent | Hurt::Deaf => {
                herd.net.as_ref().unwrap().heal().unwrap();
            }
            Hurt::Freeze => herd.members[victim].process.inflict(Fault::Thaw).unwrap(),
            Hurt::Kill => herd.members[victim].process.restart().await.unwrap(),
        }
    }
}
