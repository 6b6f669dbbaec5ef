//! From settings as the user says them to checked values, or to everything that is wrong.

use std::fmt;

use muster_protocol::advertise::{Key, Protocol};
use muster_protocol::mcmp::{Address, NodeConfig};
use muster_protocol::names::{Alias, ContextPath, NameError, NodeHost, Route};
use muster_protocol::signature::{BadSecret, Secrets};

use super::Builder;
use crate::agent::Setup;
use crate::deployed::Deployed;
use crate::discovery::Multicast;
use crate::load::{Averaging, LoadMetric, LoadSource};
use crate::registrar::client::{Manner, Target};
use crate::registrar::life::Plan;
use crate::registrar::signing::Signing;
use crate::session::Place;

/// Why an agent cannot start: everything that is wrong with its settings.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the agent's settings are not usable: {}", Lines(.faults))]
pub struct StartError {
    /// What is wrong; never empty.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Something that must be set is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A name is none of its kind.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A balancer's address is not of the form `host:port`.
    #[error("balancer has the bad value {0:?}: it is not host:port")]
    Balancer(String),
    /// A balancer is named twice.
    #[error("balancer {0:?} is named twice")]
    Twice(String),
    /// The port where the node answers is 0: bind first, and give the bound address.
    #[error("listen has the bad port 0: give the address that is bound")]
    PortZero,
    /// A duration is zero where it must not be.
    #[error("{0} must be longer than 0")]
    ZeroDuration(&'static str),
    /// A metric's capacity is not a positive number.
    #[error("the capacity of a metric has the bad value {0}: it must be greater than 0")]
    Capacity(f64),
    /// The group of discovery is none.
    #[error("the group of discovery has the bad value {0}: it is no IPv4 multicast address")]
    Group(std::net::SocketAddrV4),
    /// The key of discovery is none.
    #[error("the security key of discovery is not usable: {0}")]
    SecurityKey(muster_protocol::advertise::KeyError),
    /// Discovery may follow nobody.
    #[error("most_balancers must be 1 or more")]
    NoBalancers,
    /// The decay is below 1.
    #[error("decay has the bad value {0}: it must be 1 or more")]
    Decay(f64),
    /// A secret is too short or too long; it does not carry the text.
    #[error(transparent)]
    Secret(#[from] BadSecret),
    /// A file of the balancers' TLS cannot be used.
    #[error("balancer_tls: {file} cannot be used: {reason}")]
    Tls {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The name in the balancers' certificates is none.
    #[error("balancer_tls: server_name has the bad value {0:?}")]
    ServerName(String),
    /// The initial load is over 100.
    #[error("initial load has the bad value {0}: it must be 0 to 100")]
    InitialLoad(u8),
}

struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if i == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Gathers faults while values are read.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn name<T: std::str::FromStr<Err = NameError>>(&mut self, text: &str) -> Option<T> {
        self.keep(text.parse().map_err(Fault::Name))
    }

    fn names<T: std::str::FromStr<Err = NameError>>(&mut self, texts: &[String]) -> Vec<T> {
        texts.iter().filter_map(|text| self.name(text)).collect()
    }

    fn keep<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.0.push(fault)).ok()
    }
}

impl Builder {
    pub(super) fn check(mut self) -> Result<Setup, StartError> {
        let mut faults = Faults::default();
        let route = self.node_name.take().ok_or(Fault::Missing("node_name"));
        let route = faults.keep(route).and_then(|name| faults.name::<Route>(&name));
        let address = self.check_listen(&mut faults);
        let config = route.zip(address).map(|(route, address)| NodeConfig::new(route, address));
        let config = self.check_names(config, &mut faults);
        let mut aliases: Vec<Alias> = faults.names(&self.aliases);
        if self.aliases.is_empty() {
            aliases.extend(faults.name::<Alias>("localhost"));
        }
        let contexts: Vec<ContextPath> = faults.names(&self.contexts);
        let excluded: Vec<ContextPath> = faults.names(&self.excluded);
        let balancers = self.check_balancers(&mut faults);
        let discovery = self.check_discovery(&mut faults);
        self.check_numbers(&mut faults);
        let signing = self.check_secrets(&mut faults);
        let tls = self.balancer_tls.as_ref().and_then(|tls| faults.keep(tls.check()));
        if let LoadSource::Metrics(metrics) = &mut self.load
            && metrics.is_empty()
        {
            metrics.push(LoadMetric::cpu());
        }
        let Some(config) = config.filter(|_| faults.0.is_empty()) else {
            return Err(StartError { faults: faults.0 });
        };
        let host = config.address.host.as_str();
        let plan = Plan {
            host_from_connection: matches!(host, "0.0.0.0" | "[::]"),
            config,
            aliases,
            status_interval: self.status_interval,
            retry_first: self.retry_first,
            retry_most: self.retry_most,
        };
        let sessions = self.sessions.take().or_else(|| self.load.sessions());
        let deployed = Deployed::new(self.session_draining, sessions);
        let place = Place::of(&plan.config);
        for (context, sessions) in self.deployed.drain(..) {
            let Ok(context) = context.parse::<ContextPath>() else { continue };
            sessions.placed(place.at(Some(context.clone())));
            deployed.put(context, sessions);
        }
        let (socket_timeout, answer_limit) = (self.socket_timeout, self.answer_limit);
        let rendezvous = self.rendezvous.take();
        Ok(Setup {
            plan,
            balancers,
            discovery,
            manner: Manner {
                socket_timeout,
                answer_limit,
                signing,
                tls,
                deployed: deployed.clone(),
                rendezvous,
            },
            contexts,
            excluded,
            auto_enable: self.auto_enable,
            stop_context_timeout: self.stop_context_timeout,
            load: self.load,
            averaging: self.averaging,
            deployed,
            place,
        })
    }

    /// Who shares a secret for messages needs no other key; whoever speaks TLS follows those who do.
    fn check_discovery(&mut self, faults: &mut Faults) -> Option<Multicast> {
        let discovery = self.discovery.take()?;
        let derived = self.secrets.iter().flatten().map(Key::derived).collect();
        let protocol = match self.balancer_tls {
            Some(_) => Protocol::Https,
            None => Protocol::Http,
        };
        let checked = discovery.check(derived, protocol);
        checked.map_err(|found| faults.0.extend(found)).ok()
    }

    fn check_secrets(&mut self, faults: &mut Faults) -> Option<Signing> {
        let secrets = std::mem::take(&mut self.secrets).into_iter();
        let secrets = secrets.filter_map(|secret| faults.keep(secret.map_err(Fault::Secret)));
        Secrets::from_list(secrets.collect()).map(Signing::new)
    }

    fn check_listen(&self, faults: &mut Faults) -> Option<Address> {
        let listen = self.listen.as_ref().ok_or(Fault::Missing("listen"));
        let (scheme, host, port) = faults.keep(listen)?;
        let host = faults.name(host);
        if *port == 0 {
            faults.0.push(Fault::PortZero);
        }
        Some(Address { scheme: *scheme, host: host?, port: *port })
    }

    /// CONFIG's optional names; read also when there is no config, for their faults.
    fn check_names(
        &mut self,
        config: Option<NodeConfig>,
        faults: &mut Faults,
    ) -> Option<NodeConfig> {
        let balancer = self.balancer_name.take().and_then(|name| faults.name(&name));
        let domain = self.domain.take().and_then(|name| faults.name(&name));
        let cookie = self.cookie.take().and_then(|name| faults.name(&name));
        let path = self.path_parameter.take().and_then(|name| faults.name(&name));
        let mut config = config?;
        config.settings = self.settings.clone();
        config.settings.cookie = cookie.unwrap_or(config.settings.cookie);
        config.settings.path = path.unwrap_or(config.settings.path);
        config.balancer = balancer.unwrap_or(config.balancer);
        config.domain = domain;
        (config.ping, config.smax, config.ttl) = (self.ping, self.smax, self.ttl);
        config.timeout = self.timeout;
        Some(config)
    }

    fn check_balancers(&self, faults: &mut Faults) -> Vec<Target> {
        if self.balancers.is_empty() && self.discovery.is_none() {
            faults.0.push(Fault::Missing("balancer"));
        }
        let mut targets: Vec<Target> = Vec::new();
        for text in &self.balancers {
            match target(text) {
                Some(target) if targets.contains(&target) => {
                    faults.0.push(Fault::Twice(text.clone()));
                }
                Some(target) => targets.push(target),
                None => faults.0.push(Fault::Balancer(text.clone())),
            }
        }
        targets
    }

    fn check_numbers(&self, faults: &mut Faults) {
        let durations = [
            ("ping", self.ping),
            ("status_interval", self.status_interval),
            ("socket_timeout", self.socket_timeout),
            ("retry", self.retry_first.min(self.retry_most)),
        ];
        let zero = durations.iter().filter(|(_, duration)| duration.is_zero());
        faults.0.extend(zero.map(|(name, _)| Fault::ZeroDuration(name)));
        if let LoadSource::Metrics(metrics) = &self.load {
            let bad = metrics.iter().map(|metric| metric.capacity);
            let bad = bad.filter(|capacity| !capacity.is_finite() || *capacity <= 0.0);
            faults.0.extend(bad.map(Fault::Capacity));
        }
        let Averaging { decay, initial_load, .. } = self.averaging;
        if !decay.is_finite() || decay < 1.0 {
            faults.0.push(Fault::Decay(decay));
        }
        if let Some(factor) = initial_load.filter(|factor| *factor > 100) {
            faults.0.push(Fault::InitialLoad(factor));
        }
    }
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn target(text: &str) -> Option<Target> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    // The name rule keeps out blanks, user parts and paths, and bare IPv6 addresses.
    let _: NodeHost = host.parse().ok()?;
    Some(Target { host: bare.unwrap_or(host).to_owned(), port, text: text.to_owned() })
}
