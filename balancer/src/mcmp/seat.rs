//! The balancer as the place where members of a cluster meet: what a node says of its cluster with
//! CONFIG and STATUS, and where the others are.
//!
//! The addresses are guarded as a node's own are: other members would connect to the one, and this
//! balancer to the other. One that is refused is not passed on; the node registers all the same.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use muster_protocol::cluster::{
    CLUSTER_HEADER, MANAGEMENT_HEADER, MEMBERS_HEADER, Members, PEERS_HEADER, Seat,
    read_management, write_peers,
};
use muster_protocol::mcmp::{Address, Command, Scheme};
use muster_protocol::names::Route;
use muster_routing::cluster::{Management, Seated};

use super::Mcmp;
use super::guard::BadAddress;

/// Whose place in a cluster a message may tell.
fn teller(command: &Command) -> Option<&Route> {
    match command {
        Command::Config(config) => Some(&config.route),
        Command::Status(status) => status.route.as_ref(),
        Command::App(_) | Command::Ping(_) | Command::Info | Command::Dump | Command::Version => {
            None
        }
    }
}

impl Mcmp {
    /// A node's place in its cluster, if it says one that can be believed.
    pub(super) async fn seated(
        &self,
        head: &Parts,
        command: &Command,
        from: IpAddr,
    ) -> Option<Arc<Seated>> {
        let route = teller(command)?;
        let text = |name| head.headers.get(name)?.to_str().ok();
        let seat: Seat = match text(CLUSTER_HEADER)?.parse() {
            Ok(seat) => seat,
            Err(error) => {
                self.not_passed_on(route, from, CLUSTER_HEADER, &error);
                return None;
            }
        };
        let management = text(MANAGEMENT_HEADER).and_then(read_management);
        // It says the same again and again, and a name need not be looked up each time.
        let known = self.published.seat_of(route).filter(|known| {
            known.seat == seat
                && known.from == from
                && known.management.as_ref().map(|known| &known.address) == management.as_ref()
        });
        if known.is_some() {
            return known;
        }
        let (host, port) = (seat.address.host.clone(), seat.address.port);
        let address = Address { scheme: Scheme::Http, host, port };
        if let Err(error) = self.checked(&address, from).await {
            self.not_passed_on(route, from, CLUSTER_HEADER, &error);
            return None;
        }
        let management = match management {
            Some(address) => match self.checked(&address, from).await {
                Ok(socket) => Some(Management { address, socket }),
                Err(error) => {
                    self.not_passed_on(route, from, MANAGEMENT_HEADER, &error);
                    None
                }
            },
            None => None,
        };
        Some(Arc::new(Seated { seat, from, management }))
    }

    /// Whom a node sees in its cluster, if it says so with its STATUS.
    pub(super) fn members(&self, head: &Parts, command: &Command, from: IpAddr) -> Option<Members> {
        let Command::Status(status) = command else { return None };
        let text = head.headers.get(MEMBERS_HEADER)?.to_str().unwrap_or_default();
        let members = text.parse();
        if let (Err(error), Some(route)) = (&members, &status.route) {
            self.not_passed_on(route, from, MEMBERS_HEADER, error);
        }
        members.ok()
    }

    async fn checked(&self, address: &Address, from: IpAddr) -> Result<SocketAddr, BadAddress> {
        let found = self.guard.check(address, from).await?;
        let found = found.or_else(|| address.socket());
        found.ok_or_else(|| BadAddress::Nowhere(address.host.to_string()))
    }

    fn not_passed_on(
        &self,
        route: &Route,
        from: IpAddr,
        header: &'static str,
        error: &dyn std::fmt::Display,
    ) {
        let Some(left_out) = self.quiet.line(Instant::now()) else { return };
        tracing::warn!(%route, %from, header, %error, left_out, "a node's cluster is not believed");
    }

    /// Where others of the node's cluster are, as a header of the answer.
    pub(super) fn peers(&self, head: &Parts, command: &Command) -> Option<(&'static str, String)> {
        let route = teller(command).filter(|_| head.headers.contains_key(CLUSTER_HEADER))?;
        let peers = self.published.cluster_peers(route);
        (!peers.is_empty()).then(|| (PEERS_HEADER, write_peers(&peers)))
    }
}
