//! Stories: what the balancer answers on the right, what the node says on the left.

mod again;
mod leaves;
mod registers;
mod whatever;

use super::*;

const INTERVAL: Duration = Duration::from_secs(10);

struct Story {
    life: Life,
    wanted: Wanted,
    now: Instant,
}

fn path(text: &str) -> ContextPath {
    text.parse().expect("a context")
}

impl Story {
    fn begin(contexts: &[&str]) -> Story {
        let address = muster_protocol::mcmp::Address {
            scheme: muster_protocol::mcmp::Scheme::Http,
            host: "127.0.0.1".parse().expect("a host"),
            port: 8080,
        };
        let mut config = NodeConfig::new("node1".parse().expect("a route"), address);
        config.settings.sticky_force = false;
        Story::of(config, contexts)
    }

    fn of(config: NodeConfig, contexts: &[&str]) -> Story {
        let plan = Plan {
            host_from_connection: config.address.host.as_str() == "0.0.0.0",
            config,
            aliases: vec!["localhost".parse().expect("an alias")],
            status_interval: INTERVAL,
            retry_first: Duration::from_millis(250),
            retry_most: Duration::from_millis(2500),
        };
        let contexts = contexts.iter().map(|text| (path(text), Want::Enabled)).collect();
        let wanted = Wanted { contexts, ..Wanted::default() };
        let now = Instant::now();
        let life = Life::new(Arc::new(plan), wanted.clone(), Load::Usable(50), 7, now);
        Story { life, wanted, now }
    }

    /// A node that is registered with a balancer of id 1.
    fn registered(contexts: &[&str]) -> Story {
        let mut story = Story::begin(contexts);
        story.registers(contexts, 1);
        story
    }

    fn registers(&mut self, contexts: &[&str], id: u64) {
        self.says("INFO /", "");
        self.says(
            "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
            "",
        );
        for context in contexts {
            self.says(&app("ENABLE-APP", context), "");
        }
        let load = self.life.load.number();
        self.says(&format!("STATUS / JVMRoute=node1&Load={load}"), &state("OK", id));
        self.waits();
    }

    /// The node sends this, and the balancer answers so: a body, or `500 SYNTAX: text`,
    /// `500 MEM: text`, `- reason` for no answer.
    fn says(&mut self, message: &str, answer: &str) {
        let Action::Send(command) = self.life.next(self.now) else {
            panic!("the node waits instead of {message}");
        };
        let sent = muster_protocol::mcmp::write(&command);
        let body = sent.body.replace("%2F", "/").replace("%2C", ",");
        let said = format!("{} {} {body}", sent.method, sent.uri);
        assert_eq!(said.trim_end(), message);
        let answer = match answer {
            text if text.starts_with("500 SYNTAX") => Answer::Syntax(text[4..].to_owned()),
            text if text.starts_with("500 MEM") => Answer::Mem(text[4..].to_owned()),
            text if text.starts_with("- ") => Answer::Lost(text[2..].to_owned()),
            text => Answer::Good(text.to_owned()),
        };
        self.life.handle(Event::Answer(answer, None), self.now);
    }

    fn waits(&mut self) -> Option<Instant> {
        match self.life.next(self.now) {
            Action::Wait(until) => until,
            other => panic!("the node does not wait: {other:?}"),
        }
    }

    /// Time passes until the node wants to do something by itself.
    fn wakes(&mut self) -> Duration {
        let until = self.waits().expect("the node waits for something");
        let passed = until - self.now;
        self.now = until;
        passed
    }

    fn tick(&mut self, load: u8) {
        self.now += INTERVAL;
        self.life.handle(Event::Tick(Load::Usable(load)), self.now);
    }

    fn want(&mut self, change: impl FnOnce(&mut Wanted, Instant)) {
        change(&mut self.wanted, self.now);
        self.life.handle(Event::Wanted(self.wanted.clone()), self.now);
    }

    fn deploy(&mut self, context: &str) {
        self.want(|wanted, _| {
            wanted.contexts.insert(path(context), Want::Enabled);
        });
    }

    fn undeploy(&mut self, context: &str) {
        self.want(|wanted, now| {
            wanted.contexts.insert(path(context), Want::Gone { by: now + INTERVAL });
        });
    }

    fn forget(&mut self, context: &str) {
        self.want(|wanted, _| {
            wanted.contexts.remove(&path(context));
        });
    }

    fn stop(&mut self) {
        self.want(|wanted, now| wanted.leaving_by = Some(now + INTERVAL));
    }

    fn refresh(&mut self) {
        self.want(|wanted, _| wanted.refreshes += 1);
    }

    fn drains(&mut self, context: &str) {
        self.says(&app("DISABLE-APP", context), "");
        self.says(&app("STOP-APP", context), &requests(0));
        self.says(&app("REMOVE-APP", context), "");
    }

    fn context(&self, context: &str) -> Option<ContextState> {
        self.life.contexts().get(&path(context)).copied()
    }

    fn ends(&mut self) {
        assert_eq!(self.life.next(self.now), Action::End);
        assert_eq!(*self.life.state(), BalancerState::Left);
    }
}

fn app(method: &str, context: &str) -> String {
    format!("{method} / JVMRoute=node1&Alias=localhost&Context={context}")
}

fn state(state: &str, id: u64) -> String {
    format!("Type=STATUS-RSP&JVMRoute=node1&State={state}&id={id}\n")
}

fn requests(count: u64) -> String {
    format!("Type=STOP-APP-RSP&JvmRoute=node1&Alias=localhost&Context=%2Fshop&Requests={count}\n")
}

/// INFO of a balancer that knows node1 with these contexts.
fn info(contexts: &[(&str, &str)]) -> String {
    let mut text = "Node: [1],Name: node1,Balancer: mycluster,LBGroup: ,Host: 127.0.0.1,\
        Port: 8080,Type: http,Flushpackets: Off,Flushwait: 10,Ping: 10,Smax: -1,Ttl: 60,\
        Elected: 0,Read: 0,Transfered: 0,Connected: 0,Load: 50\nVhost: [1:1:1], Alias: localhost\n"
        .to_owned();
    for (i, (context, status)) in contexts.iter().enumerate() {
        text += &format!("Context: [1:1:{i}], Context: {context}, Status: {status}\n");
    }
    text
}
