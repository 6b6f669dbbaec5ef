//! The builder: settings as the user says them, [checked](check) together at
//! [`Builder::start`].

mod check;

use std::net::SocketAddr;
use std::time::Duration;

use muster_protocol::mcmp::{BalancerSettings, Load, Scheme};
use muster_protocol::signature::{BadSecret, Secret};

use crate::agent::Agent;
use crate::deployed::SessionDraining;
use crate::discovery::Discovery;
use crate::finding::Rendezvous;
use crate::load::{Averaging, LoadMetric, LoadSource, SessionGauge};
use crate::session::Sessions;
use crate::tls::BalancerTls;
pub use check::{Fault, StartError};

/// Settings of an [`Agent`]. A bad value is no error until [`start`](Builder::start), which tells
/// of all of them at once.
#[derive(Debug)]
#[must_use]
pub struct Builder {
    node_name: Option<String>,
    listen: Option<(Scheme, String, u16)>,
    balancers: Vec<String>,
    discovery: Option<Discovery>,
    aliases: Vec<String>,
    contexts: Vec<String>,
    deployed: Vec<(String, Sessions)>,
    session_draining: SessionDraining,
    excluded: Vec<String>,
    balancer_name: Option<String>,
    domain: Option<String>,
    cookie: Option<String>,
    path_parameter: Option<String>,
    settings: BalancerSettings,
    ping: Duration,
    smax: Option<u32>,
    ttl: Duration,
    timeout: Option<Duration>,
    status_interval: Duration,
    socket_timeout: Duration,
    stop_context_timeout: Duration,
    retry_first: Duration,
    retry_most: Duration,
    answer_limit: usize,
    auto_enable: bool,
    load: LoadSource,
    averaging: Averaging,
    sessions: Option<SessionGauge>,
    secrets: Vec<Result<Secret, BadSecret>>,
    balancer_tls: Option<BalancerTls>,
    rendezvous: Option<Rendezvous>,
}

// === impl Builder: who and where ===

impl Builder {
    /// The defaults of a real client (reference: MCMP, client settings).
    pub(crate) fn new() -> Builder {
        Builder {
            node_name: None,
            listen: None,
            balancers: Vec::new(),
            discovery: None,
            aliases: Vec::new(),
            contexts: Vec::new(),
            deployed: Vec::new(),
            session_draining: SessionDraining::default(),
            excluded: Vec::new(),
            balancer_name: None,
            domain: None,
            cookie: None,
            path_parameter: None,
            settings: BalancerSettings { sticky_force: false, ..BalancerSettings::default() },
            ping: Duration::from_secs(10),
            smax: None,
            ttl: Duration::from_secs(60),
            timeout: None,
            status_interval: Duration::from_secs(10),
            socket_timeout: Duration::from_secs(20),
            stop_context_timeout: Duration::from_secs(10),
            retry_first: Duration::from_millis(250),
            retry_most: Duration::from_millis(2500),
            answer_limit: 16 * 1024 * 1024,
            auto_enable: true,
            load: LoadSource::Metrics(Vec::new()),
            averaging: Averaging::default(),
            sessions: None,
            secrets: Vec::new(),
            balancer_tls: None,
            rendezvous: None,
        }
    }

    /// The node's name (JVMRoute): unique among all nodes of a balancer. Required.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// Where this node answers HTTP: the address that is really bound, so never port 0. When it
    /// listens on all addresses, each balancer is told the one that it is reached from.
    pub fn listen(self, address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        self.listen_at(Scheme::Http, host, address.port())
    }

    /// Where this node answers, with a scheme and a host of your own; an IPv6 address in
    /// brackets.
    pub fn listen_at(mut self, scheme: Scheme, host: impl Into<String>, port: u16) -> Self {
        self.listen = Some((scheme, host.into(), port));
        self
    }

    /// A balancer's MCMP address, `host:port`. Call it once for each; at least one is required,
    /// or [discovery](Builder::discovery).
    pub fn balancer(mut self, address: impl Into<String>) -> Self {
        self.balancers.push(address.into());
        self
    }

    /// Follows balancers that advertise themselves, beside those that are named or without any.
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = Some(discovery);
        self
    }

    /// Tells balancers where the cluster's member of this process is, and the member where its
    /// balancers know others: give the cluster the same one.
    pub fn rendezvous(mut self, rendezvous: &Rendezvous) -> Self {
        self.rendezvous = Some(rendezvous.clone());
        self
    }

    /// A name of the virtual host that all contexts are on; `localhost` when there is none.
    pub fn alias(mut self, alias: impl Into<String>) -> Self {
        self.aliases.push(alias.into());
        self
    }

    /// A context that is deployed from the start, such as `/shop`.
    pub fn context(mut self, path: impl Into<String>) -> Self {
        self.contexts.push(path.into());
        self
    }

    /// A context that is deployed from the start, and the sessions of the application there: their
    /// cookie gets the context's path, this node's route and the names that balancers are told,
    /// and balancers are told how many sessions there are.
    pub fn context_with(mut self, path: impl Into<String>, sessions: &Sessions) -> Self {
        let path = path.into();
        self.deployed.push((path.clone(), sessions.clone()));
        self.context(path)
    }

    /// A context that no balancer hears of, though it is deployed.
    pub fn exclude_context(mut self, path: impl Into<String>) -> Self {
        self.excluded.push(path.into());
        self
    }

    /// Whether contexts are enabled as soon as they are deployed (default), or registered
    /// disabled until [`Deployment::enable`](crate::Deployment::enable) or an operator.
    pub fn auto_enable_contexts(mut self, auto_enable: bool) -> Self {
        self.auto_enable = auto_enable;
        self
    }

    /// The group that the node registers for; `mycluster` by default.
    pub fn balancer_name(mut self, name: impl Into<String>) -> Self {
        self.balancer_name = Some(name.into());
        self
    }

    /// The failover group (load-balancing group); none by default.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }
}

// === impl Builder: who is believed ===

impl Builder {
    /// What this node and its balancers know and nobody else, 16 to 255 bytes: each message is
    /// signed with it, and an answer without a signature of it is not believed. Balancers other
    /// than Muster's sign nothing, so with them there is none to set.
    pub fn secret(self, secret: impl Into<String>) -> Self {
        self.secrets([secret])
    }

    /// The same while a secret is changed: the first one signs, answers signed with any of them are
    /// believed.
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.secrets = secrets.into_iter().map(|secret| secret.into().parse()).collect();
        self
    }

    /// Speaks with all balancers over TLS.
    pub fn balancer_tls(mut self, tls: BalancerTls) -> Self {
        self.balancer_tls = Some(tls);
        self
    }
}

// === impl Builder: sessions and the balancer's bounds ===

impl Builder {
    /// Whether sessions stay with their node; on by default.
    pub fn sticky_session(mut self, is_on: bool) -> Self {
        self.settings.sticky = is_on;
        self
    }

    /// Whether a session whose node is gone gets 503 instead of another node; off by default.
    pub fn sticky_session_force(mut self, is_on: bool) -> Self {
        self.settings.sticky_force = is_on;
        self
    }

    /// Whether the session id is stripped when a request leaves its domain; off by default.
    pub fn sticky_session_remove(mut self, is_on: bool) -> Self {
        self.settings.sticky_remove = is_on;
        self
    }

    /// The session cookie; `JSESSIONID` by default.
    pub fn session_cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = Some(name.into());
        self
    }

    /// The path parameter that may carry the session id; `jsessionid` by default.
    pub fn session_path_parameter(mut self, name: impl Into<String>) -> Self {
        self.path_parameter = Some(name.into());
        self
    }

    /// How long a request waits in the balancer while no node is usable; 0 by default.
    pub fn wait_worker(mut self, wait: Duration) -> Self {
        self.settings.wait_worker = wait;
        self
    }

    /// Retries on other nodes after the first try; 1 by default.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// The balancer's bound for a probe and a connect to this node; 10 s by default.
    pub fn ping(mut self, ping: Duration) -> Self {
        self.ping = ping;
        self
    }

    /// Most idle connections that the balancer keeps to this node; its own bound by default.
    pub fn smax(mut self, connections: u32) -> Self {
        self.smax = Some(connections);
        self
    }

    /// How long the balancer keeps an idle connection; 60 s by default.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The balancer's bound for this node's silence; its own by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

// === impl Builder: the agent's own times and load ===

impl Builder {
    /// Between two reports of the load; 10 s by default.
    pub fn status_interval(mut self, interval: Duration) -> Self {
        self.status_interval = interval;
        self
    }

    /// Bound of one exchange with a balancer, connect and answer together; 20 s by default.
    pub fn socket_timeout(mut self, timeout: Duration) -> Self {
        self.socket_timeout = timeout;
        self
    }

    /// How long a drain waits for requests in flight; 10 s by default. Before that it waits as long
    /// at most for sessions, where [`session_draining`](Builder::session_draining) says so.
    pub fn stop_context_timeout(mut self, timeout: Duration) -> Self {
        self.stop_context_timeout = timeout;
        self
    }

    /// Whether the end of a context waits for its sessions: where they end with this node, by
    /// default. Those of [`context_with`](Builder::context_with) and
    /// [`Deployment::serves`](crate::Deployment::serves) are known; of others nobody knows.
    pub fn session_draining(mut self, draining: SessionDraining) -> Self {
        self.session_draining = draining;
        self
    }

    /// The pause after a balancer's first failure, and the longest one while it cannot be
    /// reached; it doubles in between, less a random quarter at most. 250 ms and 2.5 s by
    /// default. After a refusal (MEM) the longest pause is the status interval.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        (self.retry_first, self.retry_most) = (first, most);
        self
    }

    /// Most bytes of a balancer's answer that are read; 16 MiB by default.
    pub fn answer_limit(mut self, bytes: usize) -> Self {
        self.answer_limit = bytes;
        self
    }

    /// A load metric beside those named before. The first call replaces the default,
    /// [`LoadMetric::cpu`].
    pub fn metric(mut self, metric: LoadMetric) -> Self {
        match &mut self.load {
            LoadSource::Metrics(metrics) => metrics.push(metric),
            LoadSource::Fixed(_) => self.load = LoadSource::Metrics(vec![metric]),
        }
        self
    }

    /// Tells balancers how many sessions there are, for their page and their drains. A
    /// [sessions metric](LoadMetric::sessions) and [`Builder::context_with`] do so by themselves.
    pub fn sessions(mut self, sessions: impl Into<SessionGauge>) -> Self {
        self.sessions = Some(sessions.into());
        self
    }

    /// Reports this load always, and reads no metrics.
    pub fn fixed_load(mut self, load: Load) -> Self {
        self.load = LoadSource::Fixed(load);
        self
    }

    /// How many values of a metric are averaged with the newest, and by how much each older one
    /// counts less; 9 and 2 by default.
    pub fn load_history(mut self, values: usize, decay: f64) -> Self {
        (self.averaging.history, self.averaging.decay) = (values, decay);
        self
    }

    /// The factor, 0 to 100, that the history pretends at the start, so that the node ramps up
    /// from there; `None` for no pretence. 0 by default.
    pub fn initial_load(mut self, factor: Option<u8>) -> Self {
        self.averaging.initial_load = factor;
        self
    }

    /// Checks the settings and starts the agent's tasks. It does not wait for a balancer:
    /// [`Agent::registered`] does.
    pub async fn start(self) -> Result<Agent, StartError> {
        Ok(Agent::start(self.check()?))
    }
}

#[cfg(test)]
mod tests {
    use super::check::target;
    use super::*;

    fn good() -> Builder {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Builder::new().node_name("node1").listen(address).balancer("127.0.0.1:6666")
    }

    fn config(builder: Builder) -> String {
        let setup = builder.check().expect("good settings");
        let config = Box::new(setup.plan.config);
        muster_protocol::mcmp::write(&muster_protocol::mcmp::Command::Config(config)).body
    }

    #[test]
    fn the_defaults_send_what_the_recorded_tomcat_sends() {
        assert_eq!(
            config(good()),
            "JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http"
        );
    }

    #[test]
    fn every_setting_reaches_the_wire_as_the_recorded_tomcat_sends_it() {
        let builder = good().balancer_name("bal1").domain("g1").max_attempts(3);
        let builder = builder.sticky_session_remove(true).timeout(Duration::from_secs(20));
        let builder = builder.wait_worker(Duration::from_secs(4)).ping(Duration::from_secs(5));
        let builder = builder.smax(7).ttl(Duration::from_secs(30));
        assert_eq!(
            config(builder),
            "JVMRoute=node1&Balancer=bal1&Domain=g1&Host=127.0.0.1&Maxattempts=3&Port=8080\
             &StickySessionForce=No&StickySessionRemove=Yes&Timeout=20&Type=http&WaitWorker=4\
             &ping=5&smax=7&ttl=30"
        );
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let builder = Builder::new().balancer("nowhere").balancer("a:1").balancer("a:1");
        let builder = builder.context("shop").metric(LoadMetric::busyness().capacity(0.0));
        let builder = builder.listen(SocketAddr::from(([127, 0, 0, 1], 0)));
        let builder = builder.status_interval(Duration::ZERO).load_history(9, 0.5);
        let error = builder.check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the agent's settings are not usable: node_name is missing; listen has the bad port \
             0: give the address that is bound; Context has the bad value \"shop\": a context \
             begins with /; balancer has the bad value \"nowhere\": it is not host:port; balancer \
             \"a:1\" is named twice; status_interval must be longer than 0; the capacity of a \
             metric has the bad value 0: it must be greater than 0; decay has the bad value 0.5: \
             it must be 1 or more"
        );
    }

    #[test]
    fn a_balancer_is_a_host_and_a_port() {
        let host = |text| target(text).map(|target| target.host);
        assert_eq!(host("example.com:6666").as_deref(), Some("example.com"));
        assert_eq!(host("[::1]:6666").as_deref(), Some("::1"));
        for bad in ["", ":6666", "a:", "a:0", "a:x", "::1:6666", "http://a:1", "a b:1"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
