//! Advertise: tells nodes over multicast where this balancer takes messages.
//!
//! One [`Herald`] for each address that is told. What goes wrong is logged and counted, and never
//! more than that: nodes with a list of balancers need none of it.

mod place;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use muster_protocol::advertise::{Announcement, Key, Manager, Phase, Protocol, Server, write};
use muster_web_ui::page::BalancerState;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::{Advertise, Config};
use crate::metrics::Metrics;
pub(crate) use place::{Place, places};

/// Tells of one address.
#[derive(Debug)]
pub(crate) struct Herald {
    place: Place,
    group: SocketAddrV4,
    ttl: u8,
    interval: Duration,
    key: Option<Key>,
    protocol: Protocol,
    server: Server,
    sequence: u64,
    socket: Option<(UdpSocket, SocketAddr)>,
    /// So that a network that stays away is not a line in the log for each try.
    fault: Option<String>,
    metrics: Arc<Metrics>,
}

// === impl Herald ===

impl Herald {
    /// A herald who has said nothing yet; each one has a name of its own.
    pub(crate) fn new(
        place: Place,
        config: &Advertise,
        key: Option<Key>,
        protocol: Protocol,
        metrics: Arc<Metrics>,
    ) -> Herald {
        Herald {
            place,
            group: config.group,
            ttl: config.ttl,
            interval: config.interval,
            key,
            protocol,
            server: Server::from_bits(rand::random()),
            sequence: 0,
            socket: None,
            fault: None,
            metrics,
        }
    }

    /// Says how the balancer stands: as soon as it serves, at each interval, at each change, and at
    /// the end that it is gone.
    pub(crate) async fn run(
        mut self,
        mut state: watch::Receiver<BalancerState>,
        stop: CancellationToken,
    ) {
        loop {
            let now = *state.borrow_and_update();
            if let Some(phase) = phase(now) {
                self.say(phase).await;
            }
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                changed = state.changed() => if changed.is_err() { break },
                () = stop.cancelled() => break,
            }
        }
        self.say(Phase::Gone).await;
    }

    async fn say(&mut self, phase: Phase) {
        match self.send(phase).await {
            Ok(()) => {
                self.metrics.advertised.inc();
                if self.fault.take().is_some() {
                    tracing::info!(group = %self.group, "advertising again");
                }
            }
            Err(error) => {
                // The network may be another one the next time.
                self.socket = None;
                self.metrics.advertise_failed.inc();
                let error = error.to_string();
                if self.fault.as_ref() != Some(&error) {
                    tracing::warn!(error, group = %self.group, place = %self.place,
                        "cannot advertise; nodes that follow it do not hear of this balancer");
                }
                self.fault = Some(error);
            }
        }
    }

    async fn send(&mut self, phase: Phase) -> std::io::Result<()> {
        let (socket, address) = match self.socket.take() {
            Some(open) => open,
            None => self.open()?,
        };
        self.sequence += 1;
        let protocol = self.protocol;
        let announcement = Announcement {
            phase,
            date: SystemTime::now(),
            sequence: self.sequence,
            server: self.server.clone(),
            manager: (phase != Phase::Gone).then_some(Manager { address, protocol }),
        };
        let datagram = write(&announcement, self.key.as_ref());
        socket.send_to(&datagram, SocketAddr::V4(self.group)).await?;
        self.socket = Some((socket, address));
        Ok(())
    }

    /// The socket, and the address that is told.
    fn open(&self) -> std::io::Result<(UdpSocket, SocketAddr)> {
        let interface = match self.place.interface {
            Some(interface) => interface,
            None => route_to(self.group)?,
        };
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        socket.set_multicast_if_v4(&interface)?;
        socket.set_multicast_ttl_v4(self.ttl.into())?;
        socket.bind(&SocketAddr::from((interface, 0)).into())?;
        socket.set_nonblocking(true)?;
        let address = self.place.told(interface);
        Ok((UdpSocket::from_std(socket.into())?, address))
    }
}

/// What the datagrams are signed with: the key of advertise, or else one that is made of the secret
/// that nodes sign their messages with.
///
/// # Errors
/// Where a file of either cannot be used.
pub(crate) fn key(config: &Config) -> anyhow::Result<Option<Key>> {
    if let Some(key) = config.advertise.key()? {
        return Ok(Some(key));
    }
    let secrets = crate::mcmp::secrets::load(&config.mcmp)?;
    Ok(secrets.map(|secrets| Key::derived(secrets.first())))
}

/// Our own address on the way to the group; nothing is sent.
pub(crate) fn route_to(group: SocketAddrV4) -> std::io::Result<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(group)?;
    match socket.local_addr()? {
        SocketAddr::V4(own) => Ok(*own.ip()),
        SocketAddr::V6(_) => Err(std::io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// What is said of a state; nothing before the balancer serves.
fn phase(state: BalancerState) -> Option<Phase> {
    match state {
        BalancerState::Starting => None,
        BalancerState::Ready => Some(Phase::Serving),
        BalancerState::Draining => Some(Phase::Draining),
    }
}
