//! Probes and silence together: whom to suspect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_cluster::{MemberId, Moment, NodeId};

use super::awake::Awake;
use super::probes::Probes;
use super::silence::Silence;

/// The failure detector of one member: beats and datagrams in, verdicts and datagrams out.
pub(crate) struct Detector {
    detection: Duration,
    awake: Awake,
    probes: Probes,
    silence: Silence,
    suspects: BTreeSet<MemberId>,
}

/// What became of a watched life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It does not run, or cannot be reached.
    Suspect(MemberId),
    /// It was heard again.
    Alive(MemberId),
}

/// What a beat gave.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Whom to suspect, and whom not any more.
    pub(crate) verdicts: Vec<Verdict>,
    /// Datagrams to be sent.
    pub(crate) datagrams: Vec<(NodeId, Vec<u8>)>,
}

impl Detector {
    pub(crate) fn new(me: MemberId, detection: Duration, seed: u64) -> Self {
        Self {
            detection,
            awake: Awake::default(),
            probes: Probes::new(me, detection, seed),
            silence: Silence::default(),
            suspects: BTreeSet::new(),
        }
    }

    /// Every 50 ms or so, by the node's clock: who is watched, with how often something was read
    /// from each.
    pub(crate) fn beat(&mut self, clock: Moment, watched: &BTreeMap<MemberId, u64>) -> Said {
        let (now, was_away) = self.awake.beat(clock);
        self.silence.note(watched, now);
        if was_away {
            // Whatever others sent meanwhile is still to be read.
            self.silence.begin_anew(now);
        }
        self.probes.watch(watched.keys().copied());
        self.probes.beat(now);
        Said { verdicts: self.judge(now), datagrams: self.probes.take_sent() }
    }

    /// A datagram came; returns those to be sent.
    pub(crate) fn heard(&mut self, datagram: &[u8]) -> Vec<(NodeId, Vec<u8>)> {
        self.probes.heard(datagram);
        self.probes.take_sent()
    }

    /// This member has begun a new life.
    pub(crate) fn renewed(&mut self, me: MemberId) {
        self.probes.renewed(me);
        self.suspects.clear();
        self.silence.begin_anew(self.awake.now());
    }

    fn judge(&mut self, now: Moment) -> Vec<Verdict> {
        let (short, long) = (self.detection / 2, self.detection);
        let mut verdicts = Vec::new();
        let mut watched = BTreeSet::new();
        for (life, silent) in self.silence.lasts(now) {
            watched.insert(life);
            let is_gone = silent >= long || (silent >= short && self.probes.is_down(life.node));
            if is_gone && self.suspects.insert(life) {
                verdicts.push(Verdict::Suspect(life));
            } else if silent < short && self.suspects.remove(&life) {
                verdicts.push(Verdict::Alive(life));
            }
        }
        self.suspects.retain(|life| watched.contains(life));
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETECTION: Duration = Duration::from_secs(2);
    const BEAT: Duration = Duration::from_millis(50);

    /// Members that hear each other within the same beat, unless one of them is frozen.
    struct Members {
        detectors: Vec<Detector>,
        reads: BTreeMap<(usize, usize), u64>,
        frozen: BTreeSet<usize>,
        /// From whom to whom nothing goes.
        cut: BTreeSet<(usize, usize)>,
        clock: Duration,
        verdicts: Vec<(usize, Duration, Verdict)>,
    }

    fn life(at: usize) -> MemberId {
        MemberId { node: NodeId(at as u128 + 1), incarnation: 1 }
    }

    impl Members {
        fn new(count: usize) -> Self {
            Self {
                detectors: (0..count)
                    .map(|at| Detector::new(life(at), DETECTION, at as u64))
                    .collect(),
                reads: BTreeMap::new(),
                frozen: BTreeSet::new(),
                cut: BTreeSet::new(),
                clock: Duration::ZERO,
                verdicts: Vec::new(),
            }
        }

        /// Some beats; `greets` says whether members also talk of other things, every 500 ms.
        fn pass(&mut self, time: Duration) {
            let end = self.clock + time;
            while self.clock < end {
                self.clock += BEAT;
                let greets = self.clock.as_millis().is_multiple_of(500);
                let mut mail = Vec::new();
                for at in 0..self.detectors.len() {
                    if self.frozen.contains(&at) {
                        continue;
                    }
                    for to in (0..self.detectors.len()).filter(|_| greets) {
                        self.read(at, to);
                    }
                    let watched = (0..self.detectors.len())
                        .filter(|other| *other != at)
                        .map(|other| (life(other), *self.reads.get(&(other, at)).unwrap_or(&0)))
                        .collect();
                    let said = self.detectors[at].beat(self.clock, &watched);
                    let clock = self.clock;
                    self.verdicts.extend(said.verdicts.into_iter().map(|v| (at, clock, v)));
                    mail.extend(said.datagrams.into_iter().map(|(to, data)| (at, to, data)));
                }
                while let Some((from, to, data)) = mail.pop() {
                    let to = usize::try_from(to.0 - 1).expect("a small one");
                    if self.frozen.contains(&to) || !self.read(from, to) {
                        continue;
                    }
                    let more = self.detectors[to].heard(&data);
                    mail.extend(more.into_iter().map(|(next, data)| (to, next, data)));
                }
            }
        }

        fn read(&mut self, from: usize, to: usize) -> bool {
            let goes = from != to && !self.cut.contains(&(from, to));
            if goes {
                *self.reads.entry((from, to)).or_default() += 1;
            }
            goes
        }
    }

    #[test]
    fn members_that_run_suspect_nobody() {
        let mut members = Members::new(5);
        members.pass(Duration::from_secs(120));
        assert_eq!(members.verdicts, []);
    }

    #[test]
    fn a_frozen_member_is_suspected_by_all_within_the_detection_time_and_is_alive_when_it_speaks() {
        for frozen in 0..3 {
            let mut members = Members::new(3);
            members.pass(Duration::from_secs(10));
            members.frozen.insert(frozen);
            let since = members.clock;
            members.pass(Duration::from_secs(5));
            let suspects: BTreeSet<usize> = (members.verdicts.iter())
                .filter(|(_, _, verdict)| *verdict == Verdict::Suspect(life(frozen)))
                .map(|(at, ..)| *at)
                .collect();
            assert_eq!((suspects.len(), members.verdicts.len()), (2, 2), "{:?}", members.verdicts);
            let last = members.verdicts.iter().map(|(_, clock, _)| *clock - since).max();
            assert!(last.is_some_and(|last| last <= Duration::from_millis(1_700)), "{last:?}");
            members.verdicts.clear();
            members.frozen.clear();
            members.pass(Duration::from_secs(30));
            let back = members.verdicts.iter().map(|(_, _, verdict)| *verdict);
            assert_eq!(back.collect::<Vec<_>>(), [Verdict::Alive(life(frozen)); 2]);
        }
    }

    #[test]
    fn a_member_that_was_frozen_suspects_nobody() {
        let mut members = Members::new(3);
        members.pass(Duration::from_secs(10));
        members.frozen.insert(1);
        members.pass(Duration::from_secs(60));
        members.frozen.clear();
        members.pass(Duration::from_secs(30));
        assert!(members.verdicts.iter().all(|(at, ..)| *at != 1), "{:?}", members.verdicts);
    }

    #[test]
    fn who_is_cut_off_one_way_is_suspected_by_whom_it_does_not_reach() {
        let mut members = Members::new(3);
        members.pass(Duration::from_secs(10));
        members.cut.insert((0, 2));
        members.pass(Duration::from_secs(5));
        let first = members.verdicts.first().map(|(at, _, verdict)| (*at, *verdict));
        assert_eq!(first, Some((2, Verdict::Suspect(life(0)))));
    }

    #[test]
    fn a_silent_member_stays_suspected_when_its_connections_are_closed_until_it_speaks() {
        let mut members = Members::new(2);
        members.pass(Duration::from_secs(10));
        members.cut.extend([(0, 1), (1, 0)]);
        members.pass(Duration::from_secs(5));
        assert_eq!(members.verdicts.len(), 2, "{:?}", members.verdicts);
        members.verdicts.clear();
        // The next connections count from the beginning.
        members.reads.clear();
        members.pass(Duration::from_secs(1));
        assert_eq!(members.verdicts, []);
        members.cut.clear();
        members.pass(Duration::from_secs(5));
        let alive =
            |at| move |verdict: &(usize, Duration, Verdict)| verdict.2 == Verdict::Alive(life(at));
        assert!((0..2).all(|at| members.verdicts.iter().any(alive(at))), "{:?}", members.verdicts);
    }

    #[test]
    fn any_bytes_are_heard_without_a_panic() {
        let mut detector = Detector::new(life(0), DETECTION, 1);
        for length in 0..64u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(37) ^ length).collect();
            detector.heard(&bytes);
        }
    }
}
