//! A name of DNS that leads to all members, as a headless service of Kubernetes does.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use muster_protocol::cluster::PeerAddress;
use tokio::time::timeout;
use tracing::warn;

use super::{Ground, Unusable, check_time};

/// How long one look-up may take.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Most addresses of one answer that count.
const MOST: usize = 256;

/// A name whose addresses are the members', all with one port.
#[derive(Debug, Clone)]
#[must_use]
pub struct Names {
    name: String,
    every: Duration,
}

// === impl Names ===

impl Names {
    /// `name:port`.
    pub fn new(name: impl Into<String>) -> Names {
        Names { name: name.into(), every: Duration::from_secs(5) }
    }

    /// How often it is resolved, 100 ms to 1 h; 5 s by default.
    pub fn every(mut self, every: Duration) -> Names {
        self.every = every;
        self
    }

    pub(super) fn check(&self) -> Result<(), Unusable> {
        let _: PeerAddress = self.name.parse()?;
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
        check_time("the interval of look-ups", self.every, least, most)
    }
}

pub(super) async fn run(settings: Names, ground: Ground) {
    // So that a name that leads nowhere is one line in the log, not one for each try.
    let mut fault: Option<String> = None;
    loop {
        match look_up(&settings.name).await {
            Ok(found) => {
                fault = None;
                found.iter().for_each(|address| ground.found(address));
            }
            Err(error) if fault.as_ref() == Some(&error) => {}
            Err(error) => {
                warn!(name = settings.name, error, "no members are found by this name");
                fault = Some(error);
            }
        }
        if !ground.pause(settings.every).await {
            return;
        }
    }
}

async fn look_up(name: &str) -> Result<Vec<PeerAddress>, String> {
    let found = timeout(LOOK_UP, tokio::net::lookup_host(name)).await;
    let found = found.map_err(|_| format!("no answer within {LOOK_UP:?}"))?;
    let found = found.map_err(|error| error.to_string())?;
    Ok(found.take(MOST).filter_map(peer).collect())
}

pub(super) fn peer(socket: SocketAddr) -> Option<PeerAddress> {
    let ip = match socket.ip().to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    };
    Some(PeerAddress { host: ip.parse().ok()?, port: socket.port() })
}
