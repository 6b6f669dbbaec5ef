//! A lease that a member campaigns for over and over, and a journal of when it held it: written from
//! inside, line by line, so that a kill -9 loses none.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use muster_agent::engine::{Leases, Token};
use serde::{Deserialize, Serialize};

use super::clock::{Nanos, now};

/// How long one campaign waits.
const WAIT: Duration = Duration::from_millis(500);
/// How long a holder holds at most, and how long it then lets others try.
const HOLDS: std::ops::Range<u64> = 20..200;
const PAUSES: std::ops::Range<u64> = 1..30;

/// A line of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum Line {
    /// It is held.
    Start {
        /// When it was asked for.
        asked: Nanos,
        /// When it was there.
        at: Nanos,
        /// A number that rises as its token does.
        token: u64,
    },
    /// It is not held any more, from just after this instant on.
    Stop {
        /// Before it was given back, or when it was found to be lost.
        at: Nanos,
    },
}

/// Campaigns for ever.
///
/// # Errors
/// When the journal cannot be written.
pub async fn campaign(leases: Arc<dyn Leases>, name: String, journal: &Path) -> io::Result<()> {
    let mut journal = File::options().create(true).append(true).open(journal)?;
    let mut write = move |line: Line| {
        let text = serde_json::to_string(&line)?;
        journal.write_all(format!("{text}\n").as_bytes())
    };
    loop {
        let asked = now();
        if let Ok(lease) = leases.campaign(&name, WAIT).await {
            write(Line::Start { asked, at: now(), token: number(lease.token) })?;
            let holds = Duration::from_millis(rand::random_range(HOLDS));
            let _ = tokio::time::timeout(holds, lease.lost()).await;
            write(Line::Stop { at: now() })?;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(PAUSES))).await;
    }
}

/// What a journal says, whole lines only.
pub fn read(journal: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(journal).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The token as a number that fits: 31 bits of its epoch, 32 of its place there.
pub(crate) fn number(token: Token) -> u64 {
    ((token.0 >> 64) as u64 & 0x7fff_ffff) << 32 | (token.0 as u64 & 0xffff_ffff)
}
