//! The language of the stories; the only file here that knows the registry's interface.
//!
//! ```text
//! CONFIG / JVMRoute=a&Port=1      an MCMP message that must be accepted
//! CONFIG / JVMRoute=a&Port=2 => MEM    one that must be refused
//! GET h/x JSESSIONID=k.a => a     a request and its node, or why there is none
//! silent a / slow a / answers a   from now on node a is gone / answers too late / answers
//! refused a                       a request could not connect to a
//! hold a 3                        three requests stay at a
//! by instance:a 10.0.0.1          what follows is of this owner, from this address
//! by operator                     ... of an operator again
//! sees a b,c                      node a says that these are in its cluster beside it
//! wait 5s                         time passes, and probes are made
//! ```

use std::collections::HashSet;
use std::time::Duration;

use muster_protocol::cluster::Members;
use muster_protocol::mcmp::parse::{ParseError, parse};
use muster_protocol::mcmp::{Address, Command, Load, NodeConfig, Scheme, VirtualHost};
use muster_routing::health::{Probed, Timing};
use muster_routing::registry::{ApplyError, Heard, Outcome};
use muster_routing::{
    Decision, InFlight, Limits, Moment, NodeId, Refusal, Registry, Request, Sender, decide,
};

pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) now: Moment,
    silent: HashSet<String>,
    slow: HashSet<String>,
    held: Vec<InFlight>,
    /// Who tells; an operator where there is nobody.
    sender: Option<Sender>,
    /// Probes that were due while time passed.
    pub(crate) probes: usize,
    pub(crate) max_in_flight: u32,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("SYNTAX {0}")]
    Syntax(#[from] ParseError),
    #[error("MEM {0}")]
    Mem(#[from] ApplyError),
}

impl World {
    pub(crate) fn new() -> World {
        World::with(Limits::default(), false)
    }

    pub(crate) fn with(limits: Limits, use_alias: bool) -> World {
        World {
            registry: Registry::new(limits, Timing::default(), use_alias),
            now: Moment::from_secs(1),
            silent: HashSet::new(),
            slow: HashSet::new(),
            held: Vec::new(),
            sender: None,
            probes: 0,
            max_in_flight: 0,
        }
    }

    /// Nodes named in the text, each enabled on `/x` of host `h` with load 100.
    pub(crate) fn of_nodes(names: &str) -> World {
        let mut world = World::new();
        names.split_whitespace().for_each(|name| world.join(name, 100));
        world
    }

    /// A node of its own port registers with one context, and reports a load.
    pub(crate) fn join(&mut self, name: &str, load: i32) {
        self.join_with(name, load, "");
    }

    pub(crate) fn join_with(&mut self, name: &str, load: i32, more: &str) {
        let port = 1000 + self.registry.rows(self.now).nodes.len();
        self.tell(&format!("CONFIG / JVMRoute={name}&Type=http&Port={port}{more}"));
        self.tell(&format!("ENABLE-APP / JVMRoute={name}&Alias=h&Context=/x"));
        self.tell(&format!("STATUS / JVMRoute={name}&Load={load}"));
    }

    /// A node of the configuration file, on `/x` of host `h`, port 9.
    pub(crate) fn add_static(&mut self, name: &str, load: u8) {
        let address = Address { scheme: Scheme::Http, host: "localhost".parse().unwrap(), port: 9 };
        let mut config = NodeConfig::new(name.parse().unwrap(), address);
        config.virtual_host = Some(VirtualHost {
            aliases: vec!["h".parse().unwrap()],
            contexts: vec!["/x".parse().unwrap()],
        });
        self.registry.add_static(config, Load::Usable(load), self.now).unwrap();
    }

    /// Tells a story; panics where it goes otherwise than told.
    pub(crate) fn story(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (told, expected) = line.split_once(" => ").unwrap_or((line, ""));
            let found = self.line(told);
            let agrees = match expected {
                "MEM" | "SYNTAX" => found.starts_with(expected),
                _ => found == expected,
            };
            assert!(agrees, "{line}\n  but: {found:?}\n  {:#?}", self.registry.rows(self.now));
        }
    }

    fn line(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["GET", target] => self.get(target, ""),
            ["GET", target, cookie] => self.get(target, cookie),
            ["silent", name] => {
                self.silent.insert(name.into());
                String::new()
            }
            ["slow", name] => {
                self.slow.insert(name.into());
                String::new()
            }
            ["answers", name] => {
                self.silent.remove(name);
                self.slow.remove(name);
                String::new()
            }
            ["by", "operator"] => {
                self.sender = None;
                String::new()
            }
            ["by", owner, from] => {
                let (owner, from) = (owner.parse().unwrap(), from.parse().unwrap());
                self.sender = Some(Sender { owner, sessions: Some(7), ..Sender::at(from) });
                String::new()
            }
            ["sees", name, others] => self.sees(name, others),
            ["refused", name] => {
                let id = self.id(name);
                self.registry.connect_failed(id, self.now);
                String::new()
            }
            ["hold", name, count] => self.hold(name, count.parse().unwrap()),
            ["release"] => {
                self.held.clear();
                String::new()
            }
            ["wait", time] => self.wait(time.trim_end_matches('s').parse().unwrap()),
            [method, uri, ..] => {
                let body = words.get(2).copied().unwrap_or_default();
                self.try_tell(method, uri, body).map_or_else(|e| e.to_string(), describe)
            }
            _ => panic!("not a line of a story: {line}"),
        }
    }

    pub(crate) fn tell(&mut self, line: &str) -> Outcome {
        let words: Vec<&str> = line.split_whitespace().collect();
        let body = words.get(2).copied().unwrap_or_default();
        self.try_tell(words[0], words[1], body).unwrap_or_else(|e| panic!("{line}: {e}"))
    }

    fn try_tell(&mut self, method: &str, uri: &str, body: &str) -> Result<Outcome, Refused> {
        let command: Command = parse(method, uri, body.as_bytes())?;
        let questions = match &self.sender {
            Some(sender) => self.registry.questions_from(sender, &command),
            None => self.registry.questions(&command),
        };
        let heard = Heard(questions.iter().map(|q| (q.id, self.probe(q.id))).collect());
        Ok(match &self.sender {
            Some(sender) => self.registry.apply_from(sender, &command, &heard, self.now)?,
            None => self.registry.apply(&command, &heard, self.now)?,
        })
    }

    fn wait(&mut self, seconds: u64) -> String {
        for _ in 0..seconds * 4 {
            self.now += Duration::from_millis(250);
            for order in self.registry.tick(self.now) {
                self.probes += 1;
                let found = self.probe(order.id);
                self.registry.probed(order.id, found, self.now);
            }
        }
        String::new()
    }

    fn get(&mut self, target: &str, cookie: &str) -> String {
        let answer = self.decide(target, cookie, |decision| {
            decision.count();
            decision.node.config.route.to_string()
        });
        answer.unwrap_or_else(|refusal| match refusal {
            Refusal::NoNode { wait } if !wait.is_zero() => format!("wait {}s", wait.as_secs()),
            other => other.to_string(),
        })
    }

    pub(crate) fn decide<T>(
        &self,
        target: &str,
        cookie: &str,
        found: impl FnOnce(&Decision<'_>) -> T,
    ) -> Result<T, Refusal> {
        let slash = target.find('/').expect("a target is host/path");
        let request = Request {
            host: &target[..slash],
            path: &target[slash..],
            cookies: &[cookie],
            tried: &[],
            max_in_flight: self.max_in_flight,
        };
        decide(self.registry.table(), &request).map(|decision| found(&decision))
    }

    /// Sends requests without sessions, and gives the names of their nodes.
    pub(crate) fn newcomers(&self, count: usize) -> Vec<String> {
        let one = |_| {
            let name = |decision: &Decision<'_>| {
                decision.count();
                decision.node.config.route.to_string()
            };
            self.decide("h/x", "", name).expect("a node takes it")
        };
        (0..count).map(one).collect()
    }

    /// A node says with STATUS whom it sees in its cluster; `-` is nobody.
    fn sees(&mut self, name: &str, others: &str) -> String {
        let id = |name: &str| u128::from(name.as_bytes()[0]);
        let others = others.split(',').filter(|other| *other != "-").map(id);
        let members = Members::new(id(name), others);
        let sender = Sender { members, ..Sender::at([127, 0, 0, 1].into()) };
        let before = self.sender.replace(sender);
        let told = self.try_tell("STATUS", "/", &format!("JVMRoute={name}&Load=100"));
        self.sender = before;
        told.map_or_else(|e| e.to_string(), describe)
    }

    fn hold(&mut self, name: &str, count: usize) -> String {
        let cookie = format!("JSESSIONID=k.{name}");
        for _ in 0..count {
            let started = self.decide("h/x", &cookie, |decision| {
                assert_eq!(decision.node.config.route.as_str(), name);
                decision.count()
            });
            self.held.push(started.expect("the owner takes it"));
        }
        String::new()
    }

    fn probe(&self, id: NodeId) -> Probed {
        let rows = self.registry.rows(self.now);
        let row = rows.nodes.iter().find(|row| row.id == id);
        let name = row.map_or("", |row| row.config.route.as_str());
        match (self.silent.contains(name), self.slow.contains(name)) {
            (true, _) => Probed::Refused,
            (false, true) => Probed::TimedOut,
            (false, false) => Probed::Answered,
        }
    }

    fn id(&self, name: &str) -> NodeId {
        let rows = self.registry.rows(self.now);
        rows.nodes.iter().find(|row| row.config.route.as_str() == name).expect("it is there").id
    }
}

fn describe(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done | Outcome::Report | Outcome::Alive(true) => String::new(),
        Outcome::Alive(false) => "NOTOK".into(),
        Outcome::Stopped { requests } => format!("Requests={requests}"),
    }
}
