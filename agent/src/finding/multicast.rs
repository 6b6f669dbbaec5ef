//! The shell of finding by datagrams: one socket, the pace at which it speaks, and whom it believes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use muster_protocol::cluster::{Datagram, GROUP, Key, Kind, MAX_DATAGRAM, Rules, Verifier, write};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::net::UdpSocket;
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::pace::Pace;
use super::quiet::Quiet;
use super::{Ground, Unusable, check_time, now};
use crate::wall;

/// Between two tries to open the socket.
const REOPEN: Duration = Duration::from_secs(5);

/// A member that was not heard for so long does not count for the pace.
const SILENT: Duration = Duration::from_secs(60);

/// Most members that count for the pace.
const MOST_MEMBERS: usize = 4096;

/// How members find each other by datagrams.
///
/// Without a secret whoever can send to the group can name any address, and this member asks there
/// whether it is one of the cluster. Without a secret the cluster is bound to loopback.
#[derive(Debug, Clone)]
#[must_use]
pub struct Multicast {
    group: SocketAddrV4,
    interface: Option<Ipv4Addr>,
    interval: Duration,
    most_per_second: u32,
    max_age: Duration,
    hops: u32,
}

impl Default for Multicast {
    fn default() -> Multicast {
        Multicast {
            group: GROUP,
            interface: None,
            interval: Duration::from_secs(1),
            most_per_second: 20,
            max_age: Duration::from_secs(30),
            hops: 1,
        }
    }
}

// === impl Multicast ===

impl Multicast {
    /// Another group and port than 239.255.77.1:45770. All members of a machine share the port.
    pub fn group(mut self, group: SocketAddrV4) -> Self {
        self.group = group;
        self
    }

    /// The network interface with this address. By default the one of the member's own address,
    /// loopback for a loopback address, and for a name or an IPv6 address whatever the system takes.
    pub fn interface(mut self, address: Ipv4Addr) -> Self {
        self.interface = Some(address);
        self
    }

    /// Between two datagrams after the first second, 50 ms to 1 min; 1 s by default.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// About how many datagrams a second all members send together, 1 to 10,000, however many they
    /// are: each sends fewer then. 20 by default.
    pub fn most_per_second(mut self, datagrams: u32) -> Self {
        self.most_per_second = datagrams;
        self
    }

    /// With a secret, how far a datagram's time may be from this machine's clock, 1 s to 1 h; 30 s by
    /// default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How many routers a datagram may pass, plus one, 1 to 255; 1 by default, which is none.
    pub fn hops(mut self, hops: u32) -> Self {
        self.hops = hops;
        self
    }

    pub(super) fn check(&self) -> Result<(), Unusable> {
        if !self.group.ip().is_multicast() || self.group.port() == 0 {
            return Err(Unusable::Group(self.group));
        }
        let interval = (Duration::from_millis(50), Duration::from_secs(60));
        check_time("the interval of the datagrams", self.interval, interval.0, interval.1)?;
        let age = (Duration::from_secs(1), Duration::from_secs(3600));
        check_time("the age of the datagrams", self.max_age, age.0, age.1)?;
        check_number("the datagrams a second", self.most_per_second, 10_000)?;
        check_number("the hops of the datagrams", self.hops, 255)
    }

    /// A socket that hears the group and speaks to it, on one interface.
    fn open(&self, interface: Ipv4Addr) -> std::io::Result<UdpSocket> {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        // Every member of a machine hears every datagram.
        socket.set_reuse_address(true)?;
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddr::V4(self.group).into())?;
        socket.join_multicast_v4(self.group.ip(), &interface)?;
        socket.set_multicast_if_v4(&interface)?;
        socket.set_multicast_loop_v4(true)?;
        socket.set_multicast_ttl_v4(self.hops)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    }
}

fn check_number(field: &'static str, value: u32, most: u64) -> Result<(), Unusable> {
    let value = u64::from(value);
    match (1..=most).contains(&value) {
        true => Ok(()),
        false => Err(Unusable::Number { field, value, least: 1, most }),
    }
}

pub(super) async fn run(settings: Multicast, ground: Ground) {
    let mut voice = Voice::new(settings, ground);
    tokio::select! {
        () = voice.ground.stop.clone().cancelled_owned() => {}
        () = voice.run() => {}
    }
}

/// A member that speaks and listens.
struct Voice {
    settings: Multicast,
    ground: Ground,
    /// What signs.
    key: Option<Key>,
    verifier: Verifier,
    pace: Pace,
    quiet: Quiet,
    /// When which node was heard last.
    heard: BTreeMap<u128, Instant>,
    last_stamp: u64,
    /// So that a network that stays away is not a line in the log for each try.
    fault: Option<String>,
}

// === impl Voice ===

impl Voice {
    fn new(settings: Multicast, ground: Ground) -> Voice {
        let keys = Key::all(ground.secrets.as_ref());
        let (cluster, node) = (ground.me.cluster.clone(), ground.me.node);
        let rules = Rules { cluster, node, keys: keys.clone(), max_age: settings.max_age };
        let chance = StdRng::seed_from_u64(rand::random());
        Voice {
            key: keys.into_iter().next(),
            verifier: Verifier::new(rules),
            pace: Pace::new(settings.interval, settings.most_per_second, now(), chance),
            quiet: Quiet::default(),
            heard: BTreeMap::new(),
            last_stamp: 0,
            fault: None,
            settings,
            ground,
        }
    }

    /// Never returns.
    async fn run(&mut self) {
        loop {
            let error = match self.settings.open(self.interface()) {
                Ok(socket) => self.speak_and_listen(&socket).await,
                Err(error) => error,
            };
            self.failed(&error);
            tokio::time::sleep(REOPEN).await;
        }
    }

    fn interface(&self) -> Ipv4Addr {
        let own = self.ground.me.address.host.as_str().parse().ok();
        self.settings.interface.or(own).unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// Until the socket fails.
    async fn speak_and_listen(&mut self, socket: &UdpSocket) -> std::io::Error {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let due = self.pace.due();
            tokio::select! {
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.received(&buffer[..length], from.ip()),
                    Err(error) => return error,
                },
                () = sleep_until(due.into()) => {
                    if let Err(error) = self.speak(socket).await {
                        return error;
                    }
                }
            }
        }
    }

    async fn speak(&mut self, socket: &UdpSocket) -> std::io::Result<()> {
        let now = now();
        self.heard.retain(|_, heard| now.saturating_duration_since(*heard) < SILENT);
        let Some(kind) = self.pace.take(self.heard.len(), now) else { return Ok(()) };
        let bytes = write(&self.said(kind), self.key.as_ref());
        socket.send_to(&bytes, self.settings.group).await?;
        // What failed before is worth a line again.
        self.fault = None;
        Ok(())
    }

    fn said(&mut self, kind: Kind) -> Datagram {
        let me = &self.ground.me;
        self.last_stamp = wall::us().max(self.last_stamp + 1);
        Datagram {
            kind,
            cluster: me.cluster.clone(),
            node: me.node,
            incarnation: me.incarnation,
            stamp: self.last_stamp,
            address: me.address.clone(),
        }
    }

    fn received(&mut self, bytes: &[u8], from: IpAddr) {
        match self.verifier.judge(bytes, wall::us()) {
            Ok(said) => self.believed(&said, from),
            Err(refusal) if !refusal.is_notable() => {}
            Err(refusal) => {
                let reason = refusal.to_string();
                let Some(left_out) = self.quiet.line(from, &reason, now()) else { return };
                let cluster = self.ground.me.cluster.as_str();
                warn!(%from, reason, left_out, cluster, "a datagram to the cluster is refused");
            }
        }
    }

    fn believed(&mut self, said: &Datagram, from: IpAddr) {
        let is_loopback = |host: &str| host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        if is_loopback(said.address.host.as_str()) && !from.is_loopback() && !self.is_here(from) {
            return debug!(%from, "another machine names an address of this one");
        }
        if self.heard.len() < MOST_MEMBERS || self.heard.contains_key(&said.node) {
            self.heard.insert(said.node, now());
        }
        if said.kind == Kind::Seeking {
            self.pace.sought(now());
        }
        self.ground.found(&said.address);
    }

    /// Whether an address is our own: on some systems what is sent to loopback comes from it.
    fn is_here(&self, from: IpAddr) -> bool {
        self.ground.me.address.host.as_str().parse() == Ok(from)
    }

    fn failed(&mut self, error: &std::io::Error) {
        let error = error.to_string();
        if self.fault.as_ref() != Some(&error) {
            let group = self.settings.group;
            warn!(error, %group, "cannot find members by multicast, trying again");
        }
        self.fault = Some(error);
    }
}
