//! Stories: what the balancer answers on the right, what the node says on the left.

use super::mount::DRAIN_POLL;
use super::*;
use crate::status::Drained;

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

const LEAVE: &str = "REMOVE-APP /* JVMRoute=node1";

#[test]
fn a_node_says_what_the_recorded_tomcat_says() {
    let mut story = Story::begin(&["/counter"]);
    story.registers(&["/counter"], 1);
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 1 });
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
    assert_eq!(story.waits(), None, "nothing but a tick");
}

#[test]
fn a_deployed_context_is_enabled_and_an_undeployed_one_drained() {
    let mut story = Story::registered(&["/counter"]);
    story.deploy("/second");
    story.says(&app("ENABLE-APP", "/second"), "");
    story.waits();
    story.undeploy("/second");
    story.drains("/second");
    assert_eq!(story.context("/second"), Some(ContextState::Removed { requests_left: 0 }));
    story.forget("/second");
    assert_eq!(story.context("/second"), None);
    story.waits();
}

#[test]
fn a_drain_waits_for_the_requests_in_flight() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    story.says(&app("STOP-APP", "/shop"), &requests(2));
    assert_eq!(story.wakes(), DRAIN_POLL);
    story.says(&app("STOP-APP", "/shop"), &requests(1));
    story.life.handle(Event::Tick(Load::Usable(60)), story.now);
    story.says("STATUS / JVMRoute=node1&Load=60", &state("OK", 1));
    story.wakes();
    story.says(&app("STOP-APP", "/shop"), &requests(0));
    story.says(&app("REMOVE-APP", "/shop"), "");
    assert_eq!(story.context("/shop"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn a_drain_is_given_up_when_its_time_is_over() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    let mut asked = 0;
    let mut passed = Duration::ZERO;
    while passed < INTERVAL {
        story.says(&app("STOP-APP", "/shop"), &requests(3));
        passed += story.wakes();
        asked += 1;
    }
    assert_eq!(asked, 40, "once every 250 ms for 10 s");
    story.says(&app("REMOVE-APP", "/shop"), "");
    assert_eq!(story.context("/shop"), Some(ContextState::Removed { requests_left: 3 }));
}

#[test]
fn an_answer_to_a_stop_that_nobody_can_read_holds_up_nothing() {
    let mut story = Story::registered(&["/shop"]);
    story.undeploy("/shop");
    story.says(&app("DISABLE-APP", "/shop"), "");
    story.says(&app("STOP-APP", "/shop"), "Type=STOP-APP-RSP&JvmRoute=node1");
    assert!(story.life.take_note().expect("a note").starts_with("STOP-APP cannot be read"));
    story.says(&app("REMOVE-APP", "/shop"), "");
}

#[test]
fn a_graceful_stop_drains_every_context_and_then_leaves() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.drains("/a");
    story.drains("/b");
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn busy_contexts_drain_side_by_side() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.says(&app("DISABLE-APP", "/a"), "");
    story.says(&app("STOP-APP", "/a"), &requests(1));
    story.drains("/b");
    story.wakes();
    story.says(&app("STOP-APP", "/a"), &requests(0));
    story.says(&app("REMOVE-APP", "/a"), "");
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn a_node_that_never_registered_leaves_without_a_word() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "- connection refused");
    story.stop();
    story.ends();
    assert_eq!(story.context("/a"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn a_node_that_lost_its_balancer_tries_one_good_bye() {
    let mut story = Story::registered(&["/a"]);
    story.tick(60);
    story.says("STATUS / JVMRoute=node1&Load=60", "- connection refused");
    story.stop();
    story.says(LEAVE, "- connection refused");
    story.ends();
    assert_eq!(story.context("/a"), Some(ContextState::Unreached));
}

#[test]
fn a_balancer_that_fails_during_the_good_bye_gets_one_more_try() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.stop();
    story.says(&app("DISABLE-APP", "/a"), "- connection reset");
    story.says(LEAVE, "");
    story.ends();
    assert_eq!(story.context("/b"), Some(ContextState::Removed { requests_left: 0 }));
}

#[test]
fn another_id_means_another_balancer_that_knows_nothing() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 2));
    assert_eq!(*story.life.state(), BalancerState::Registering);
    story.registers(&["/a", "/b"], 2);
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 2 });
}

#[test]
fn a_balancer_that_changes_its_id_each_time_is_not_asked_without_end() {
    let mut story = Story::registered(&["/a"]);
    for id in 2..5 {
        story.tick(75);
        story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 10 * id));
        story.registers(&["/a"], 10 * id + 1);
    }
}

#[test]
fn mem_makes_the_node_register_again_within_the_interval() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "500 MEM: Can't read node");
    assert!(
        matches!(story.life.state(), BalancerState::Waiting { reason } if reason.contains("MEM"))
    );
    assert!(story.wakes() <= Duration::from_millis(250));
    story.registers(&["/a"], 1);
}

#[test]
fn tries_to_reach_a_lost_balancer_grow_apart_up_to_a_bound() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection refused");
    let mut pauses = Vec::new();
    for _ in 0..12 {
        pauses.push(story.wakes().as_millis());
        story.says("INFO /", "- connection refused");
    }
    for (pause, most) in pauses.iter().zip([250, 500, 1000, 2000, 2500, 2500, 2500]) {
        assert!((most * 3 / 4..=most).contains(pause), "{pause} of {most}");
    }
    assert!(pauses.iter().all(|pause| *pause <= 2500), "{pauses:?}");
    story.wakes();
    story.registers(&["/a"], 2);
}

#[test]
fn refusals_are_at_most_an_interval_apart() {
    let mut story = Story::begin(&["/a"]);
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    for _ in 0..9 {
        story.says("INFO /", "");
        story.says(config, "500 MEM: node1 still answers elsewhere");
        assert!(story.wakes() <= INTERVAL);
    }
}

#[test]
fn syntax_ends_it_until_a_refresh_or_another_configuration() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "");
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    story.says(config, "500 SYNTAX: Type field too big");
    let refused = BalancerState::Refused { reason: "SYNTAX: Type field too big".to_owned() };
    assert_eq!(*story.life.state(), refused);
    story.tick(75);
    assert_eq!(story.waits(), None, "a tick changes nothing");
    story.refresh();
    story.says("INFO /", "");
    story.says(config, "500 SYNTAX: Type field too big");
    story.waits();
    story.deploy("/b");
    story.registers(&["/a", "/b"], 1);
}

#[test]
fn a_refused_node_still_says_good_bye() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "");
    let config = "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http";
    story.says(config, "");
    story.says(&app("ENABLE-APP", "/a"), "500 SYNTAX: Context field too big");
    story.waits();
    story.stop();
    story.says(LEAVE, "");
    story.ends();
}

#[test]
fn notok_from_a_balancer_that_knows_the_node_just_means_that_it_cannot_reach_it() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.says("INFO /", &info(&[("/a", "ENABLED")]));
    assert_eq!(*story.life.state(), BalancerState::Unreachable);
    assert!(story.wakes() <= Duration::from_millis(250), "it may be reached in a moment");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    assert!(story.wakes() <= Duration::from_millis(500));
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
    assert_eq!(*story.life.state(), BalancerState::Registered { id: 1 });
    assert_eq!(story.waits(), None);
}

#[test]
fn notok_from_a_balancer_that_forgot_the_node_makes_it_register_again() {
    let mut story = Story::registered(&["/a"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.says("INFO /", "");
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("NOTOK", 1));
    story.wakes();
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn a_closed_connection_is_looked_into_once_a_tick() {
    let mut story = Story::registered(&["/a"]);
    story.life.handle(Event::Closed, story.now);
    story.says("STATUS / JVMRoute=node1&Load=50", &state("OK", 1));
    story.life.handle(Event::Closed, story.now);
    assert_eq!(story.waits(), None);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn contexts_of_a_former_life_are_removed() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", &info(&[("/a", "ENABLED"), ("/old", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("REMOVE-APP", "/old"), "500 MEM: no such context");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=50", &state("OK", 1));
}

#[test]
fn an_info_that_cannot_be_read_is_no_obstacle() {
    let mut story = Story::begin(&["/a"]);
    story.says("INFO /", "Node: [what]");
    assert!(story.life.take_note().expect("a note").starts_with("INFO cannot be read"));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/a"), "");
}

#[test]
fn what_an_operator_stopped_stays_stopped_over_a_lost_connection() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection reset");
    story.wakes();
    story.says("INFO /", &info(&[("/a", "STOPPED"), ("/b", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("ENABLE-APP", "/b"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn an_undeploy_does_not_wait_for_a_balancer_that_is_away_and_is_told_later() {
    let mut story = Story::registered(&["/a", "/b"]);
    story.tick(75);
    story.says("STATUS / JVMRoute=node1&Load=75", "- connection refused");
    story.undeploy("/b");
    assert_eq!(story.context("/b"), Some(ContextState::Unreached));
    story.forget("/b");
    story.wakes();
    story.says("INFO /", &info(&[("/a", "ENABLED"), ("/b", "ENABLED")]));
    story.says(
        "CONFIG / JVMRoute=node1&Host=127.0.0.1&Port=8080&StickySessionForce=No&Type=http",
        "",
    );
    story.says(&app("REMOVE-APP", "/b"), "");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.says("STATUS / JVMRoute=node1&Load=75", &state("OK", 1));
}

#[test]
fn a_balancer_lost_in_the_middle_of_a_drain_ends_the_wait() {
    let mut story = Story::registered(&["/a"]);
    story.undeploy("/a");
    story.says(&app("DISABLE-APP", "/a"), "");
    story.says(&app("STOP-APP", "/a"), "- no answer within 20s");
    assert_eq!(story.context("/a"), Some(ContextState::Unreached));
}

#[test]
fn a_context_deployed_again_after_its_removal_is_enabled_again() {
    let mut story = Story::registered(&["/a"]);
    story.undeploy("/a");
    story.drains("/a");
    story.deploy("/a");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.waits();
}

#[test]
fn a_context_may_start_disabled_and_be_enabled_later() {
    let mut story = Story::registered(&[]);
    story.want(|wanted, _| {
        wanted.contexts.insert(path("/a"), Want::Disabled);
    });
    story.says(&app("DISABLE-APP", "/a"), "");
    story.deploy("/a");
    story.says(&app("ENABLE-APP", "/a"), "");
    story.waits();
}

#[test]
fn a_node_on_all_addresses_names_the_one_it_is_reached_from() {
    let address = muster_protocol::mcmp::Address {
        scheme: muster_protocol::mcmp::Scheme::Http,
        host: "0.0.0.0".parse().unwrap(),
        port: 8080,
    };
    let mut story = Story::of(NodeConfig::new("node1".parse().unwrap(), address), &[]);
    assert_eq!(story.life.next(story.now), Action::Send(Command::Info));
    let local = Some("10.1.2.3".parse().unwrap());
    story.life.handle(Event::Answer(Answer::Good(String::new()), local), story.now);
    story.says("CONFIG / JVMRoute=node1&Host=10.1.2.3&Port=8080&Type=http", "");
}

#[test]
fn a_drain_that_was_cut_off_is_not_complete() {
    let balancer = |told| crate::status::BalancerStatus {
        address: "a:1".to_owned(),
        origin: crate::status::Origin::Configured,
        answers: true,
        state: BalancerState::Left,
        contexts: BTreeMap::from([(path("/a"), told)]),
    };
    let removed = |requests_left| balancer(ContextState::Removed { requests_left });
    assert!(Drained::sum(&[removed(0)], |_| true).is_complete());
    let drained =
        Drained::sum(&[removed(2), removed(1), balancer(ContextState::Unreached)], |_| true);
    assert_eq!(drained, Drained { requests_left: 3, unreached: 1, ..Drained::default() });
}

// === whatever happens ===

/// What a balancer may say, whatever the message was.
fn any_answer() -> impl proptest::strategy::Strategy<Value = Answer> {
    use proptest::prelude::*;
    let body = prop_oneof![
        Just(String::new()),
        (0..3_u64).prop_map(|id| state("OK", id)),
        (0..3_u64).prop_map(|id| state("NOTOK", id)),
        (0..3_u64).prop_map(requests),
        Just(info(&[("/a", "ENABLED"), ("/old", "STOPPED")])),
        "[ -~]{0,40}",
    ];
    prop_oneof![
        8 => body.prop_map(Answer::Good),
        1 => Just(Answer::TooLong),
        1 => Just(Answer::Syntax("SYNTAX: no".to_owned())),
        1 => Just(Answer::Mem("MEM: no".to_owned())),
        1 => Just(Answer::Lost("connection refused".to_owned())),
    ]
}

proptest::proptest! {
    /// No balancer can make the node panic, keep it busy between two ticks, or hold up its end.
    #[test]
    fn no_balancer_can_keep_a_node_busy_or_from_leaving(
        answers in proptest::collection::vec(any_answer(), 60..200),
        turns in proptest::collection::vec(0..6_u8, 20),
    ) {
        let mut story = Story::begin(&["/a", "/b"]);
        let mut answers = answers.into_iter().cycle();
        for turn in turns {
            let mut sent = 0;
            while let Action::Send(_) = story.life.next(story.now) {
                let answer = answers.next().expect("they never end");
                story.life.handle(Event::Answer(answer, None), story.now);
                sent += 1;
                proptest::prop_assert!(sent <= 24, "the node is kept busy");
            }
            match turn {
                0 => story.deploy("/c"),
                1 => story.undeploy("/c"),
                2 => story.forget("/c"),
                3 => story.life.handle(Event::Closed, story.now),
                4 => story.refresh(),
                _ => story.tick(60),
            }
        }
        story.stop();
        let mut steps = 0;
        loop {
            match story.life.next(story.now) {
                Action::Send(_) => {
                    let answer = answers.next().expect("they never end");
                    story.life.handle(Event::Answer(answer, None), story.now);
                }
                Action::Wait(until) => story.now = until.expect("a stop waits for a time"),
                Action::End => break,
            }
            steps += 1;
            proptest::prop_assert!(steps < 500, "the node does not come to its end");
        }
        proptest::prop_assert!(story.life.contexts().values().all(|context| context.is_gone()));
    }
}
