//! A directory that all members share: each keeps a file of its own there, with its address and the
//! time, and reads those of the others.
//!
//! ```text
//! shop-0000000000000000000000000000002a.member
//!     shop 0000000000000000000000000000002a 10.0.0.1:7700
//!     1796000000
//! ```
//!
//! A file is written beside its place and then moved there, so nobody reads half of one. A member
//! that died leaves its file: it is not believed once it is older than `stale`, and whoever sees it
//! ten times as old takes it away. Whoever may write into the directory is believed, so its rights
//! are the lock.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use muster_protocol::cluster::{PeerAddress, Seat};
use tracing::warn;

use super::{Ground, Me, Unusable, check_time};
use crate::wall;

/// How a member's file ends.
const ENDING: &str = ".member";

/// Most files of a directory that are read, and most bytes of each.
const MOST_FILES: usize = 4096;
const MOST_BYTES: u64 = 1024;

/// Files this many times as old as they may be are taken away.
const DEAD: u64 = 10;

/// A directory that all members may write into.
#[derive(Debug, Clone)]
#[must_use]
pub struct Files {
    directory: PathBuf,
    every: Duration,
    stale: Duration,
}

// === impl Files ===

impl Files {
    /// This directory. It must be there.
    pub fn new(directory: impl Into<PathBuf>) -> Files {
        let (every, stale) = (Duration::from_secs(2), Duration::from_secs(30));
        Files { directory: directory.into(), every, stale }
    }

    /// How often the own file is written and those of others are read, 50 ms to 5 min; 2 s by
    /// default.
    pub fn every(mut self, every: Duration) -> Files {
        self.every = every;
        self
    }

    /// A file that is older than this is a dead member's, 1 s to 1 day and longer than the interval;
    /// 30 s by default. The members' clocks must differ by less.
    pub fn stale(mut self, stale: Duration) -> Files {
        self.stale = stale;
        self
    }

    pub(super) fn check(&self) -> Result<(), Unusable> {
        let every = (Duration::from_millis(50), Duration::from_secs(300));
        check_time("the interval of the files", self.every, every.0, every.1)?;
        let least = self.every.max(Duration::from_secs(1));
        check_time("the age of stale files", self.stale, least, Duration::from_secs(86_400))
    }

    fn own(&self, me: &Me) -> PathBuf {
        self.directory.join(format!("{}-{:032x}{ENDING}", me.cluster, me.node))
    }

    /// Writes the own file, and gives the addresses in the others'.
    fn look(&self, me: &Me, now: u64) -> io::Result<Vec<PeerAddress>> {
        write(&self.own(me), me, now)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory)?.take(MOST_FILES) {
            let path = entry?.path();
            let is_one = path.file_name().and_then(|name| name.to_str());
            if !is_one.is_some_and(|name| name.ends_with(ENDING)) {
                continue;
            }
            // Another may have taken it away meanwhile, and what cannot be read is no member's.
            let Some((seat, date)) = read(&path) else { continue };
            let (age, stale) = (now.abs_diff(date), self.stale.as_secs().max(1));
            if age > stale.saturating_mul(DEAD) {
                let _ = fs::remove_file(&path);
            } else if age <= stale && seat.cluster == me.cluster && seat.node != me.node {
                found.push(seat.address);
            }
        }
        Ok(found)
    }
}

fn write(path: &Path, me: &Me, now: u64) -> io::Result<()> {
    let (cluster, node) = (me.cluster.clone(), me.node);
    let seat = Seat { cluster, node, address: me.address.clone() };
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(format!("{seat}\n{now}\n").as_bytes())?;
    drop(file);
    fs::rename(beside, path)
}

fn read(path: &Path) -> Option<(Seat, u64)> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some((lines.next()?.parse().ok()?, lines.next()?.parse().ok()?))
}

pub(super) async fn run(settings: Files, ground: Ground) {
    // So that a directory that stays away is one line in the log, not one for each try.
    let mut fault: Option<String> = None;
    loop {
        let (files, me) = (settings.clone(), ground.me.clone());
        let looked = move || files.look(&me, wall::us() / 1_000_000);
        let found = tokio::task::spawn_blocking(looked).await;
        match found.unwrap_or_else(|_| Err(io::Error::other("the look was given up"))) {
            Ok(found) => {
                fault = None;
                found.iter().for_each(|address| ground.found(address));
            }
            Err(error) => {
                let error = error.to_string();
                if fault.as_ref() != Some(&error) {
                    let directory = settings.directory.display();
                    warn!(%directory, error, "members are not found by this directory");
                }
                fault = Some(error);
            }
        }
        if !ground.pause(settings.every).await {
            let own = settings.own(&ground.me);
            // Whoever finds it later would only try an address where nobody is.
            let _ = tokio::task::spawn_blocking(move || fs::remove_file(own)).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(cluster: &str, node: u128) -> Me {
        let address = format!("10.0.0.{node}:7700").parse().unwrap();
        Me { cluster: cluster.parse().unwrap(), node, incarnation: 0, address }
    }

    fn found(files: &Files, me: &Me, now: u64) -> Vec<String> {
        let mut found: Vec<_> =
            files.look(me, now).unwrap().iter().map(ToString::to_string).collect();
        found.sort();
        found
    }

    #[test]
    fn members_read_each_others_files_and_not_those_of_the_dead() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(directory.path());
        let (one, two, three) = (me("shop", 1), me("shop", 2), me("shop", 3));
        assert!(found(&files, &one, 1000).is_empty());
        assert_eq!(found(&files, &two, 1000), ["10.0.0.1:7700"]);
        assert!(found(&files, &me("other", 4), 1000).is_empty(), "another cluster");
        assert_eq!(found(&files, &one, 1030), ["10.0.0.2:7700"]);
        // Two has died: its file is read no more, and in the end it is taken away.
        assert_eq!(found(&files, &three, 1031), ["10.0.0.1:7700"]);
        assert!(files.own(&two).exists());
        assert_eq!(found(&files, &three, 1301).len(), 0);
        assert!(!files.own(&two).exists() && files.own(&three).exists());
    }

    #[test]
    fn whatever_else_is_in_the_directory_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::new(directory.path());
        let at = |name: &str| directory.path().join(name);
        fs::write(at("README"), "x").unwrap();
        fs::write(at("shop-1.member"), [0xff; 5000]).unwrap();
        fs::create_dir(at("shop-2.member")).unwrap();
        assert!(found(&files, &me("shop", 9), 1000).is_empty());
        assert!(at("README").exists() && at("shop-1.member").exists());
    }
}
