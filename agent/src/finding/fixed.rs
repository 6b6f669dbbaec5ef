//! A list of addresses: each is told at once and again and again, for its member may come later.

use std::time::Duration;

use muster_protocol::cluster::PeerAddress;

use super::{Ground, Unusable};

/// Members that are known by their addresses. Not all of them need be there, and a member that is
/// not in the list is found by those that are.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Fixed {
    addresses: Vec<String>,
}

// === impl Fixed ===

impl Fixed {
    /// These, each `host:port`; the own one may be among them.
    pub fn new(addresses: impl IntoIterator<Item = impl Into<String>>) -> Fixed {
        Fixed { addresses: addresses.into_iter().map(Into::into).collect() }
    }

    pub(super) fn check(&self) -> Result<(), Unusable> {
        self.read().map(|_| ())
    }

    fn read(&self) -> Result<Vec<PeerAddress>, Unusable> {
        self.addresses.iter().map(|text| Ok(text.parse()?)).collect()
    }
}

pub(super) async fn run(settings: Fixed, ground: Ground) {
    let addresses = settings.read().unwrap_or_default();
    loop {
        addresses.iter().for_each(|address| ground.found(address));
        if !ground.pause(Duration::from_secs(1)).await {
            return;
        }
    }
}
