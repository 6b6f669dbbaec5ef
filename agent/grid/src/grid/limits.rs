//! Bounds and waits of the grid, and what it counts.

use std::time::Duration;

/// Bounds and waits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// After how long a request that found no primary is tried again. Default: 20 ms.
    pub again: Duration,
    /// After how long a request that is not answered is asked again, under its number; then when
    /// twice as much time has passed. Default: 1 s.
    pub unanswered: Duration,
    /// After how long an unanswered message about a row is sent again. Default: 100 ms.
    pub resend: Duration,
    /// How long a member that is being filled may hold up writes. Default: 500 ms.
    pub late: Duration,
    /// How often a primary compares digests with its backups. Default: 10 s.
    pub check: Duration,
    /// Writes of one row that wait for others, at most; also those that a copy keeps while the
    /// chunk that they may be in is under way. Default: 4,096.
    pub most_log: usize,
    /// Requests of this member under way, at most. Default: 65,536.
    pub most_asks: usize,
    /// Numbers of one asker's attempts that are remembered, so that none is done twice: one that is
    /// so far behind its latest counts as done. Default: 65,536.
    pub most_seen: usize,
    /// Checkouts of one group that wait for it, at most. Default: 1,024.
    pub most_waiting: usize,
    /// Rows that this member is being filled with at the same time. Default: 32.
    pub most_filling: usize,
    /// Groups that are kept to be given to the other side of a split; those beyond are lost, and
    /// counted. Default: 1,048,576.
    pub most_offers: usize,
    /// A chunk of a transfer, a page of a scan and a message that sends writes again end with the
    /// group or write that brings them over this. Default: 64 KiB.
    pub chunk: usize,
    /// A value's size at most. Default: 8 MiB; never more than 64 MiB.
    pub most_value: usize,
    /// A batch's keys and values together at most: a write must fit into a frame. Default: 32 MiB.
    pub most_batch: usize,
    /// How long a request under way is still waited for once too few voters are in sight.
    /// Default: 500 ms.
    pub without_quorum: Duration,
    /// How long a lease lasts for its primary. Default: 2 s.
    pub lease: Duration,
    /// How long it lasts for its holder. Default: 1.5 s.
    pub hold: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            again: ms(20),
            unanswered: ms(1_000),
            resend: ms(100),
            late: ms(500),
            check: ms(10_000),
            most_log: 4096,
            most_asks: 65_536,
            most_seen: 65_536,
            most_waiting: 1024,
            most_filling: 32,
            most_offers: 1 << 20,
            chunk: 64 << 10,
            most_value: 8 << 20,
            most_batch: 32 << 20,
            without_quorum: ms(500),
            lease: ms(2_000),
            hold: ms(1_500),
        }
    }
}

/// What has happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Rows that this member became primary of while another was it before.
    pub promotions: u64,
    /// Rows that were filled by another member's copy.
    pub transfers: u64,
    /// Transfers that went on in a later view where they were.
    pub resumed: u64,
    /// Messages refused for their epoch.
    pub epoch_refusals: u64,
    /// Copies that were found to differ and repaired.
    pub repairs: u64,
    /// Copies that their primary filled again because the shelf did not give a group.
    pub refills: u64,
    /// Groups that this member's shelf did not give, and another owner did.
    pub regained: u64,
    /// Groups taken from the other side of a split.
    pub merged: u64,
    /// Values of the other side that did not stay, or took the place of ours.
    pub overridden: u64,
    /// Groups that were too many to be given to the other side of a split.
    pub not_offered: u64,
    /// Writes executed here.
    pub writes: u64,
    /// Writes refused here for their token.
    pub fenced: u64,
    /// Checkouts that waited here for another's end, and got the group.
    pub waited: u64,
    /// Entries that expired here.
    pub expired: u64,
}

impl Stats {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            promotions: self.promotions + other.promotions,
            transfers: self.transfers + other.transfers,
            resumed: self.resumed + other.resumed,
            epoch_refusals: self.epoch_refusals + other.epoch_refusals,
            repairs: self.repairs + other.repairs,
            refills: self.refills + other.refills,
            regained: self.regained + other.regained,
            merged: self.merged + other.merged,
            overridden: self.overridden + other.overridden,
            not_offered: self.not_offered + other.not_offered,
            writes: self.writes + other.writes,
            fenced: self.fenced + other.fenced,
            waited: self.waited + other.waited,
            expired: self.expired + other.expired,
        }
    }
}
