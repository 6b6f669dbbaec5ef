//! The shell of discovery: hears datagrams, has them judged, and lets balancers be followed.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use muster_protocol::advertise::{Announcement, Datagram, MAX_DATAGRAM, Verifier, parse};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};
use tracing::{debug, info, warn};

use super::Multicast;
use super::book::{Book, Change};
use crate::registrar::client::Target;
use crate::registrar::now;
use crate::roster::Roster;
use crate::status::{Origin, Status};

/// Between two tries to open the socket.
const REOPEN: Duration = Duration::from_secs(5);

/// For the look-up of the names of the configured balancers.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Between two lines in the log about datagrams that are refused.
const REFUSED_LOG: Duration = Duration::from_secs(60);

/// Hears who advertises.
#[derive(Debug)]
pub(crate) struct Listener {
    settings: Multicast,
    verifier: Verifier,
    book: Book,
    /// Balancers of the configuration, by name: they need not be found.
    configured: Vec<(String, u16)>,
    roster: Arc<Roster>,
    status: Arc<watch::Sender<Status>>,
    /// So that a network that stays away is not a line in the log for each try.
    fault: Option<String>,
    refused_logged: Option<Instant>,
}

impl Listener {
    pub(crate) fn new(
        settings: Multicast,
        configured: Vec<(String, u16)>,
        roster: Arc<Roster>,
        status: Arc<watch::Sender<Status>>,
    ) -> Listener {
        Listener {
            verifier: Verifier::new(settings.rules.clone()),
            book: Book::new(settings.silence, settings.most_balancers),
            settings,
            configured,
            roster,
            status,
            fault: None,
            refused_logged: None,
        }
    }

    /// Runs until it is dropped.
    pub(crate) async fn run(mut self) {
        loop {
            match self.open() {
                Ok(socket) => {
                    self.fault = None;
                    let error = self.hear(&socket).await;
                    self.failed(&error);
                }
                Err(error) => self.failed(&error),
            }
            let again = now() + REOPEN;
            while now() < again {
                self.wait(again).await;
            }
        }
    }

    /// Until the socket fails.
    async fn hear(&mut self, socket: &UdpSocket) -> std::io::Error {
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            let look = self.book.next_look(now());
            tokio::select! {
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((length, from)) => self.received(&buffer[..length], from).await,
                    Err(error) => return error,
                },
                () = alarm(look) => self.look(),
            }
        }
    }

    /// Without a socket those who have gone are left all the same.
    async fn wait(&mut self, until: Instant) {
        match self.book.next_look(now()).filter(|look| *look < until) {
            Some(look) => {
                alarm(Some(look)).await;
                self.look();
            }
            None => alarm(Some(until)).await,
        }
    }

    async fn received(&mut self, bytes: &[u8], from: SocketAddr) {
        match self.judge(bytes, from) {
            Ok(said) => {
                self.count(|discovery| discovery.heard += 1);
                self.believed(&said).await;
            }
            Err(reason) => self.refused(reason, from),
        }
    }

    /// What a datagram says, if it may be believed.
    fn judge(&mut self, bytes: &[u8], from: SocketAddr) -> Result<Announcement, String> {
        let datagram: Datagram<'_> = parse(bytes).map_err(|error| error.to_string())?;
        self.verifier
            .verify(&datagram, SystemTime::now())
            .map_err(|refusal| refusal.to_string())?;
        let said = datagram.announcement;
        let is_ours = said.manager.is_some_and(|manager| manager.address.ip().is_loopback());
        match is_ours && !from.ip().is_loopback() {
            true => Err("another machine names an address of this one".to_owned()),
            false => Ok(said),
        }
    }

    async fn believed(&mut self, said: &Announcement) {
        if let Some(manager) = said.manager.filter(|manager| self.book.is_new(manager.address)) {
            if manager.protocol != self.settings.protocol {
                let (balancer, protocol) = (manager.address, manager.protocol.word());
                return debug!(%balancer, protocol, "advertised, and this agent speaks another");
            }
            // A name may have got another address in the meantime.
            self.book.set_configured(look_up(&self.configured).await);
        }
        let answers = answering(&self.status);
        let changes = self.book.heard(said, now(), |address| answers.contains(&address));
        self.carry_out(changes);
    }

    fn look(&mut self) {
        let answers = answering(&self.status);
        let changes = self.book.look(now(), |address| answers.contains(&address));
        self.carry_out(changes);
    }

    fn carry_out(&self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Follow(address) => {
                    info!(balancer = %address, "found by its advertise");
                    self.roster.follow(target(address), Origin::Advertised);
                }
                Change::Leave(address) => {
                    info!(balancer = %address, "advertised no more, and silent: left");
                    self.roster.leave(&address.to_string());
                }
            }
        }
    }

    /// Whoever floods the network must not flood the log.
    fn refused(&mut self, reason: String, from: SocketAddr) {
        let is_due = self.refused_logged.is_none_or(|last| now() - last >= REFUSED_LOG);
        if is_due {
            warn!(%from, reason, "an advertise datagram is not believed; \
                more of them are counted only, for a minute");
            self.refused_logged = Some(now());
        }
        self.count(|discovery| {
            discovery.refused += 1;
            discovery.last_refusal = Some(reason);
        });
    }

    /// Counted for those who ask, and nobody is woken for it.
    fn count(&self, count: impl FnOnce(&mut crate::status::DiscoveryStatus)) {
        self.status.send_if_modified(|status| {
            count(status.discovery.get_or_insert_default());
            false
        });
    }

    fn failed(&mut self, error: &std::io::Error) {
        let error = error.to_string();
        if self.fault.as_ref() != Some(&error) {
            warn!(error, group = %self.settings.group, "cannot hear who advertises, trying again");
        }
        self.fault = Some(error);
    }

    /// A socket that hears the group, and nothing else, on the wanted interfaces.
    fn open(&self) -> std::io::Result<UdpSocket> {
        let socket = socket2::Socket::new(
            socket2::Domain::IPV4,
            socket2::Type::DGRAM,
            Some(socket2::Protocol::UDP),
        )?;
        // Every node of a machine hears every datagram.
        socket.set_reuse_address(true)?;
        #[cfg(target_os = "linux")]
        socket.set_multicast_all_v4(false)?;
        socket.bind(&SocketAddr::V4(self.settings.group).into())?;
        self.join(&socket)?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket.into())
    }

    fn join(&self, socket: &socket2::Socket) -> std::io::Result<()> {
        let group = self.settings.group.ip();
        for interface in &self.settings.interfaces {
            socket.join_multicast_v4(group, interface)?;
        }
        if self.settings.interfaces.is_empty() {
            // A machine without a network has loopback, and one with a network may have none for
            // multicast there: one of the two is enough.
            let both = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED]
                .map(|interface| socket.join_multicast_v4(group, &interface));
            let [loopback, usual] = both;
            usual.or(loopback)?;
        }
        Ok(())
    }
}

async fn alarm(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The found balancers that answered their last message.
fn answering(status: &watch::Sender<Status>) -> BTreeSet<SocketAddr> {
    let status = status.borrow();
    let answering = status.balancers.iter().filter(|balancer| balancer.answers);
    answering.filter_map(|balancer| balancer.address.parse().ok()).collect()
}

async fn look_up(names: &[(String, u16)]) -> BTreeSet<SocketAddr> {
    let mut found = BTreeSet::new();
    for (host, port) in names {
        if let Ok(ip) = host.parse() {
            found.insert(SocketAddr::new(ip, *port));
        } else if let Ok(Ok(addresses)) =
            timeout(LOOK_UP, tokio::net::lookup_host((host.as_str(), *port))).await
        {
            found.extend(addresses);
        }
    }
    found
}

fn target(address: SocketAddr) -> Target {
    Target { host: address.ip().to_string(), port: address.port(), text: address.to_string() }
}
