//! What a member is told at its start: its names, and a bound for everything.

use crate::bounds::{
    MOST_ADDRESS, MOST_MEMBERS, MOST_NAME, MOST_SEGMENTS, MOST_TABLES, MOST_WEIGHT,
};
use crate::id::{MemberId, Moment};
use crate::view::Copies;
use thiserror::Error;

/// The settings of one member.
#[derive(Clone, Debug)]
pub struct Config {
    /// Node and life. The shell has put the incarnation on disk.
    pub id: MemberId,
    /// Unique in the cluster; 1..=128 bytes.
    pub name: Box<str>,
    /// Where its channel listens; at most 256 bytes.
    pub address: Box<str>,
    /// Its share of the rows, 1..=1000. Default: 100.
    pub weight: u16,
    /// The tables of a cluster that this member founds. Default: one with two owners and one with
    /// every member.
    pub tables: Vec<Copies>,
    /// Rows in each table of a cluster that this member founds, 1..=4096. Default: 256.
    pub segments: u16,
    /// The quorum of a cluster that this member founds. Default: none.
    pub quorum: Option<u16>,
    /// How long the failure detector needs. A restarted member proposes nothing before it has
    /// listened that long. Default: 2 s.
    pub detection: Moment,
    /// How often members greet each other and those they only know of. Default: 500 ms.
    pub greet: Moment,
    /// After how long an unanswered message is sent again. Default: 200 ms.
    pub retry: Moment,
    /// How long a member that was taken out of `pending` for its lateness is not tried again.
    /// Default: 5 s.
    pub late_pause: Moment,
    /// Members, joiners and hints at most, each; 1..=256. Default: 64.
    pub most: usize,
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The name is empty or too long.
    #[error("name has {0} bytes: 1 to 128 are possible")]
    Name(usize),
    /// The address is too long.
    #[error("address has {0} bytes: at most 256 are possible")]
    Address(usize),
    /// A weight out of bounds.
    #[error("weight is {0}: 1 to 1000 are possible")]
    Weight(u16),
    /// Rows out of bounds.
    #[error("{tables} tables of {segments} segments: 1 to 4 tables of 1 to 4096 are possible")]
    Rows {
        /// Tables asked for.
        tables: usize,
        /// Segments asked for.
        segments: u16,
    },
    /// A table whose rows nobody would keep.
    #[error("copies is 0: a table is kept by at least one member")]
    Copies,
    /// Room for nobody, or for more than a view can have.
    #[error("room for {0} members: 1 to 256 are possible")]
    Most(usize),
    /// A quorum of none.
    #[error("quorum is 0: at least 1 is possible, or none at all")]
    Quorum,
}

impl Config {
    /// The defaults for a member.
    #[must_use]
    pub fn new(id: MemberId, name: &str) -> Self {
        let ms = Moment::from_millis;
        Self {
            id,
            name: name.into(),
            address: "".into(),
            weight: 100,
            tables: vec![Copies::Some(2), Copies::Every],
            segments: 256,
            quorum: None,
            detection: ms(2_000),
            greet: ms(500),
            retry: ms(200),
            late_pause: ms(5_000),
            most: 64,
        }
    }

    /// Says what is out of bounds.
    ///
    /// # Errors
    /// Names the field and its value.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.name.is_empty() || self.name.len() > MOST_NAME {
            return Err(ConfigError::Name(self.name.len()));
        }
        if self.address.len() > MOST_ADDRESS {
            return Err(ConfigError::Address(self.address.len()));
        }
        if !(1..=MOST_WEIGHT).contains(&self.weight) {
            return Err(ConfigError::Weight(self.weight));
        }
        let tables = self.tables.len();
        if !(1..=MOST_TABLES).contains(&tables) || !(1..=MOST_SEGMENTS).contains(&self.segments) {
            return Err(ConfigError::Rows { tables, segments: self.segments });
        }
        if !(1..=MOST_MEMBERS).contains(&self.most) {
            return Err(ConfigError::Most(self.most));
        }
        if self.tables.contains(&Copies::Some(0)) {
            return Err(ConfigError::Copies);
        }
        if self.quorum == Some(0) {
            return Err(ConfigError::Quorum);
        }
        Ok(())
    }
}
