//! What a seed means.

use fastrand::Rng;
use muster_grid::Rules;
use muster_grid::queue::QueueRules;
use std::time::Duration;

/// Browsers of a schedule with sessions.
const BROWSERS: usize = 4;

/// Which faults, and so which promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No quorum; processes die, freeze and come back; the network delays, loses a little, doubles
    /// and reorders, and never cuts. Everything is linearizable, nothing acknowledged is lost.
    Crashes,
    /// With a quorum; the network cuts as well. Everything is linearizable, nothing is lost.
    Quorum,
    /// No quorum, and the network cuts: both sides serve. Checked is that they meet again and
    /// agree, and that what only one side had is kept.
    Splits,
}

/// A rule that is broken on purpose, to show that a checker notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutation {
    /// Copies take writes of any epoch, and of whoever led the row in it.
    NoEpochCheck,
    /// Writes are acknowledged before the backups have them.
    AckBeforeBackup,
    /// A member that is late is dropped as if it were dead.
    DropLate,
    /// A lease goes to the next without waiting for its end.
    NoLeaseWait,
    /// A commit stands although its checkout is over.
    NoFence,
    /// A session that a checkout did not find counts as gone, although nobody confirmed it.
    UnprovenMiss,
    /// A commit of unknown end counts as one that stands when its member sees it, although nobody
    /// confirmed it.
    UnprovenStand,
    /// A publication is acknowledged before it is written.
    QueueEarlyAck,
    /// What a queue's home finds counts as never given.
    QueueNoMark,
    /// A queue's home gives without knowing that it still is the home.
    QueueNoLease,
    /// Messages of a group are given at once.
    QueueNoOrder,
    /// A publication that a journal has not taken is acknowledged.
    QueueNoJournal,
}

impl std::str::FromStr for Mutation {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "no-epoch-check" => Ok(Self::NoEpochCheck),
            "ack-before-backup" => Ok(Self::AckBeforeBackup),
            "drop-late" => Ok(Self::DropLate),
            "no-lease-wait" => Ok(Self::NoLeaseWait),
            "no-fence" => Ok(Self::NoFence),
            "unproven-miss" => Ok(Self::UnprovenMiss),
            "unproven-stand" => Ok(Self::UnprovenStand),
            "queue-early-ack" => Ok(Self::QueueEarlyAck),
            "queue-no-mark" => Ok(Self::QueueNoMark),
            "queue-no-lease" => Ok(Self::QueueNoLease),
            "queue-no-order" => Ok(Self::QueueNoOrder),
            "queue-no-journal" => Ok(Self::QueueNoJournal),
            _ => Err(format!(
                "no such mutation: {word:?}; there are no-epoch-check, ack-before-backup, \
                 drop-late, no-lease-wait, no-fence, unproven-miss, unproven-stand, \
                 queue-early-ack, queue-no-mark, queue-no-lease, queue-no-order and \
                 queue-no-journal"
            )),
        }
    }
}

/// One schedule.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its seed.
    pub seed: u64,
    /// Members.
    pub members: usize,
    /// Their quorum.
    pub quorum: Option<u16>,
    /// Which faults.
    pub kind: Kind,
    /// Rows of each table.
    pub segments: u16,
    /// Owners in the distributed table.
    pub copies: u8,
    /// How long things go wrong, in ms.
    pub faulty_ms: u64,
    /// The failure detector's time.
    pub detection: Duration,
    /// Nodes may come back with an empty disk and a new identity.
    pub wipes: bool,
    /// Members have different shares of the rows.
    pub is_weighted: bool,
    /// Browsers with sessions. A seed has none by itself, so that its story stays what it was.
    pub browsers: usize,
    /// Members keep few groups in memory, and the others on shelves that fail now and then. None by
    /// itself either.
    pub has_shelves: bool,
    /// Members have a queue, with producers and consumers. None by itself either.
    pub has_queues: bool,
    /// Their members write the queue down, and all of them end at once now and then. Then nothing else is
    /// asked of the cluster. None by itself either.
    pub has_journals: bool,
    /// A rule that is broken.
    pub mutation: Option<Mutation>,
}

impl Case {
    /// The schedule of a seed; members and quorum may be given.
    #[must_use]
    pub fn of(seed: u64, members: Option<usize>, quorum: Option<u16>) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x6d75_7374_6572);
        let members = members.unwrap_or_else(|| *rng.choice(&[2, 3, 3, 5, 7]).unwrap_or(&3));
        let kind = match (quorum, rng.u8(0..10)) {
            (Some(_), _) | (None, 0..5) => Kind::Quorum,
            (None, 5..8) => Kind::Crashes,
            (None, _) => Kind::Splits,
        };
        let majority = u16::try_from(members / 2 + 1).unwrap_or(1);
        Self {
            seed,
            members,
            quorum: (kind == Kind::Quorum).then(|| quorum.unwrap_or(majority)),
            kind,
            segments: *rng.choice(&[4, 8, 16, 32]).unwrap_or(&8),
            copies: if members > 2 && rng.u8(0..4) == 0 { 3 } else { 2 },
            faulty_ms: rng.u64(4_000..9_000),
            detection: Duration::from_millis(1_000),
            wipes: rng.bool(),
            is_weighted: rng.u8(0..3) == 0,
            browsers: 0,
            has_shelves: false,
            has_queues: false,
            has_journals: false,
            mutation: None,
        }
    }

    /// The same with browsers that have sessions.
    #[must_use]
    pub fn with_sessions(self) -> Self {
        Self { browsers: BROWSERS, ..self }
    }

    /// The same with little memory.
    #[must_use]
    pub fn with_shelves(self) -> Self {
        Self { has_shelves: true, ..self }
    }

    /// The same with a queue.
    #[must_use]
    pub fn with_queues(self) -> Self {
        Self { has_queues: true, ..self }
    }

    /// The same with a queue that is written down, and restarts of all members.
    #[must_use]
    pub fn with_journals(self) -> Self {
        // Of two sides of a split that end before they meet, the journals of one count.
        let kind = if self.kind == Kind::Splits { Kind::Crashes } else { self.kind };
        // A machine that loses its disk loses its journal, and perhaps the only one.
        Self { kind, has_journals: true, has_queues: true, wipes: false, ..self }
    }

    /// The rules of queues, one of them perhaps broken.
    #[must_use]
    pub fn queue_rules(&self) -> QueueRules {
        let strict = QueueRules::default();
        match self.mutation {
            Some(Mutation::QueueEarlyAck) => QueueRules { acknowledges_late: false, ..strict },
            Some(Mutation::QueueNoMark) => QueueRules { marks_found: false, ..strict },
            Some(Mutation::QueueNoLease) => QueueRules { gives_under_lease: false, ..strict },
            Some(Mutation::QueueNoOrder) => QueueRules { keeps_order: false, ..strict },
            Some(Mutation::QueueNoJournal) => QueueRules { minds_journals: false, ..strict },
            _ => strict,
        }
    }

    /// The same without quorum.
    #[must_use]
    pub fn without_quorum(mut self) -> Self {
        if self.kind == Kind::Quorum {
            self.kind = Kind::Crashes;
        }
        self.quorum = None;
        self
    }

    /// The grid's rules, one of them perhaps broken.
    #[must_use]
    pub fn rules(&self) -> Rules {
        let strict = Rules::default();
        match self.mutation {
            None
            | Some(Mutation::DropLate | Mutation::UnprovenMiss | Mutation::UnprovenStand)
            | Some(Mutation::QueueEarlyAck | Mutation::QueueNoMark)
            | Some(Mutation::QueueNoLease | Mutation::QueueNoOrder)
            | Some(Mutation::QueueNoJournal) => strict,
            Some(Mutation::NoEpochCheck) => {
                Rules { takes: |_, _, _| true, follows: |_, _| true, ..strict }
            }
            Some(Mutation::AckBeforeBackup) => {
                Rules { acknowledged: |last, _, _| Some(last), ..strict }
            }
            Some(Mutation::NoLeaseWait) => Rules { lease_over: |_, _| true, ..strict },
            Some(Mutation::NoFence) => Rules { commits: |_| true, ..strict },
        }
    }
}
