//! The manager page in a real browser, before the real balancer: every verb, with scripts and
//! without, and names of nodes that would like to be more than text.
#![cfg(feature = "system")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "browser/clusters.rs"]
mod clusters;
#[path = "browser/drains.rs"]
mod drains;
#[path = "browser/http.rs"]
mod http;
#[path = "browser/login.rs"]
mod login;
#[path = "browser/looks.rs"]
mod looks;
#[path = "browser/peers.rs"]
mod peers;
#[path = "browser/tls.rs"]
mod tls;
#[path = "browser/webdriver.rs"]
mod webdriver;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use webdriver::{Browser, Scripts, eventually};

/// A balancer of this test, ended when dropped.
struct Muster {
    process: Child,
    public: String,
    mcmp: String,
    manager: String,
}

impl Muster {
    fn start() -> Muster {
        Muster::with("")
    }

    /// With a configuration of its own.
    fn with(toml: &str) -> Muster {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, toml.as_bytes()).unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["run", "--http", "127.0.0.1:0", "--mcmp", "127.0.0.1:0"])
            .args(["--manager", "127.0.0.1:0", "--config"])
            .arg(file.path())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().expect("a first line").unwrap();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = |name: &str| {
            let words = first.split_whitespace();
            let value = words.filter_map(|word| word.strip_prefix(name)).next();
            value.unwrap_or_else(|| panic!("{name} is missing in {first}")).to_owned()
        };
        Muster {
            public: address("http="),
            mcmp: address("mcmp="),
            manager: address("manager="),
            process,
        }
    }

    /// Sends what a node would.
    fn tell(&self, command: &str, uri: &str, body: &str) {
        let (status, answer) = http::exchange(&self.mcmp, command, uri, "", body);
        assert_eq!(status, 200, "{command} {body}: {answer}");
    }

    /// A node that answers, with load and contexts.
    fn node(&self, route: &str, domain: &str, load: i32, contexts: &[&str]) {
        let port = http::node();
        let domain = if domain.is_empty() { String::new() } else { format!("&Domain={domain}") };
        let settings = format!("{domain}&Host=127.0.0.1&Port={port}&Type=http&ping=2");
        self.tell("CONFIG", "/", &format!("JVMRoute={route}{settings}&StickySessionForce=No"));
        for context in contexts {
            let body = format!("JVMRoute={route}&Alias=localhost&Context={context}");
            self.tell("ENABLE-APP", "/", &body);
        }
        self.tell("STATUS", "/", &format!("JVMRoute={route}&Load={load}"));
    }

    /// The state of a context as INFO has it.
    fn info(&self, route: &str, context: &str) -> Result<String, String> {
        let (_, info) = http::exchange(&self.mcmp, "INFO", "/", "", "");
        let line = info.lines().find(|line| line.contains(&format!(",Name: {route},")));
        let id = line.and_then(|line| line.strip_prefix("Node: [")?.split(']').next());
        let id = id.ok_or_else(|| format!("no node {route} in {info}"))?;
        let of_node = format!("Context: [{id}:");
        let its = format!(", Context: {context}, Status: ");
        info.lines()
            .filter(|line| line.starts_with(&of_node))
            .find_map(|line| Some(line.split_once(&its)?.1.to_owned()))
            .ok_or_else(|| format!("no context {context} of {route} in {info}"))
    }

    fn expect(&self, route: &str, context: &str, status: &str) {
        eventually(&format!("{route} {context} {status}"), || match self.info(route, context)? {
            now if now == status => Ok(()),
            now => Err(now),
        });
    }

    fn page(&self) -> String {
        self.at("/")
    }

    /// The address of a view.
    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.manager)
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The card of a node.
fn card(route: &str) -> String {
    format!("//article[.//h3[normalize-space()='{route}']]")
}

fn context_button(route: &str, context: &str, label: &str) -> String {
    format!("{}//tr[th[normalize-space()='{context}']]//button[.='{label}']", card(route))
}

fn node_button(route: &str, label: &str) -> String {
    format!("{}//button[.='{label} Contexts']", card(route))
}

fn group_button(group: &str, label: &str) -> String {
    format!("//section[.//h2[contains(., '{group}')]]//button[.='{label} all nodes']")
}

/// Whether a verb asks once more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    Yes,
    No,
}

/// Clicks a verb, and the button of the page that asks once more.
fn act(browser: &Browser, button: &str, asks: Asks) {
    browser.click(button);
    if asks == Asks::Yes {
        let question = "//section[.//h1[contains(., '?')]]";
        browser.click(&format!("{question}//button[contains(@class, 'go')]"));
        // The script leaves the page once it is told that the verb is done: whoever opened
        // another one before would be led away from it.
        eventually("the page before", || match browser.count(question) {
            0 => Ok(()),
            _ => Err(browser.url()),
        });
    }
}

fn every_verb_does_what_it_says(scripts: Scripts) {
    use Asks::{No, Yes};
    let muster = Muster::start();
    muster.node("n1", "left", 100, &["/shop", "/wiki"]);
    muster.node("n2", "left", 50, &["/shop"]);
    muster.node("n3", "", 1, &["/shop"]);
    let browser = Browser::start(scripts);
    browser.open(&muster.page());
    // The switch shows itself where scripts run.
    let switches = browser.count("//label[input[@id='live']][not(@hidden)]");
    assert_eq!(switches, usize::from(scripts == Scripts::Run), "{scripts:?}");

    // n2 and n3 have the shop too: to disable it here takes nothing from anybody.
    let of_context =
        [("Disable", "DISABLED", No), ("Stop", "STOPPED", Yes), ("Enable", "ENABLED", No)];
    for (label, status, asks) in of_context {
        act(&browser, &context_button("n1", "/shop", label), asks);
        muster.expect("n1", "/shop", status);
        muster.expect("n1", "/wiki", "ENABLED");
    }
    let of_node =
        [("Stop", "STOPPED", Yes), ("Disable", "DISABLED", No), ("Enable", "ENABLED", No)];
    for (label, status, asks) in of_node {
        act(&browser, &node_button("n1", label), asks);
        muster.expect("n1", "/shop", status);
        muster.expect("n1", "/wiki", status);
        muster.expect("n2", "/shop", "ENABLED");
    }
    // Nobody else has the wiki.
    act(&browser, &node_button("n1", "Disable"), Yes);
    muster.expect("n1", "/wiki", "DISABLED");
    act(&browser, &node_button("n1", "Enable"), No);
    muster.expect("n1", "/wiki", "ENABLED");
    let of_group =
        [("Disable", "DISABLED", Yes), ("Stop", "STOPPED", Yes), ("Enable", "ENABLED", No)];
    for (label, status, asks) in of_group {
        act(&browser, &group_button("left", label), asks);
        muster.expect("n1", "/wiki", status);
        muster.expect("n2", "/shop", status);
        muster.expect("n3", "/shop", "ENABLED");
    }
    act(&browser, &group_button("default", "Stop"), Yes);
    muster.expect("n3", "/shop", "STOPPED");
    muster.expect("n2", "/shop", "ENABLED");
    let state = format!("{}//tr[th='/shop']/td[1]", card("n3"));
    eventually("the page shows what was done", || match browser.text(&state)? {
        text if text.contains("stopped") => Ok(()),
        text => Err(text),
    });
    assert_eq!(browser.url(), muster.page());
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn every_verb_does_what_it_says_with_scripts() {
    every_verb_does_what_it_says(Scripts::Run);
}

#[test]
fn every_verb_does_what_it_says_without_scripts() {
    every_verb_does_what_it_says(Scripts::Off);
}

#[test]
fn a_dangerous_verb_says_its_effect_in_numbers_and_can_be_left() {
    let muster = Muster::start();
    muster.node("n1", "", 100, &["/shop", "/wiki"]);
    muster.node("n2", "", 100, &["/shop"]);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/nodes/n1"));
    browser.click(&node_button("n1", "Stop"));
    let said = eventually("the effect", || browser.text("//ul[@class='consequences']"));
    for part in [
        "/wiki will have 0 nodes: clients get 503",
        "/shop will have 1 node left for new sessions",
        "2 contexts of 1 node change their state",
    ] {
        assert!(said.contains(part), "{part} is missing in {said}");
    }
    browser.click("//summary[.='The same as a command']");
    let command = eventually("the command", || browser.text("//pre"));
    assert!(command.contains("route=n1&stop=%2A"), "{command}");
    browser.click("//a[.='Back without a change']");
    eventually("the node's page", || match browser.url() {
        url if url == muster.at("/nodes/n1") => Ok(()),
        url => Err(url),
    });
    muster.expect("n1", "/wiki", "ENABLED");
}

#[test]
fn the_sessions_that_a_node_holds_are_shown_and_told_before_they_move() {
    let muster = Muster::start();
    muster.node("n1", "", 100, &["/shop"]);
    muster.node("n2", "", 100, &["/shop"]);
    let status = "JVMRoute=n1&Load=100";
    let told = http::exchange(&muster.mcmp, "STATUS", "/", "X-Muster-Sessions: 37\r\n", status);
    assert_eq!(told.0, 200, "{}", told.1);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/nodes/n1"));
    let sessions = format!("{}//div[dt='Sessions']/dd", card("n1"));
    assert_eq!(eventually("its sessions", || browser.text(&sessions)), "37");
    let lead = eventually("its owner", || browser.text("//p[@class='lead']"));
    assert!(lead.contains("Registered by somebody at 127.0.0.1, without a proof"), "{lead}");
    browser.click(&node_button("n1", "Stop"));
    let said = eventually("the effect", || browser.text("//ul[@class='consequences']"));
    assert!(said.contains("37 sessions will fail over to other nodes"), "{said}");
}

#[test]
fn a_live_page_shows_a_newcomer_by_itself_and_a_paused_one_waits() {
    let muster = Muster::start();
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    let empty = eventually("the page", || browser.text("//main"));
    assert!(empty.contains("No node has registered yet"), "{empty}");
    muster.node("late", "", 100, &["/shop"]);
    eventually("the newcomer", || browser.text(&card("late")));

    // The focus stays with its button when a node comes in above it, and with its context when
    // the button goes.
    let focused = "const e = document.activeElement; return [e.form?.route.value, e.name, e.value]";
    browser.run("document.querySelector('[name=disable][value=\"/shop\"]').focus()");
    muster.node("another", "left", 100, &["/shop"]);
    eventually("another newcomer", || browser.text(&card("another")));
    assert_eq!(browser.run(focused), serde_json::json!(["late", "disable", "/shop"]));
    browser.click(&context_button("late", "/shop", "Disable"));
    eventually("the other button", || browser.text(&context_button("late", "/shop", "Enable")));
    eventually("the focus", || match browser.run(focused) {
        now if now == serde_json::json!(["late", "enable", "/shop"]) => Ok(()),
        now => Err(now.to_string()),
    });

    browser.click("//label[input[@id='live']]");
    eventually("a pause", || match browser.text("//label[input[@id='live']]")? {
        text if text.contains("Paused") => Ok(()),
        text => Err(text),
    });
    muster.node("third", "", 100, &["/shop"]);
    assert_eq!(browser.count(&card("third")), 0);
    browser.click("//label[input[@id='live']]");
    eventually("all that came meanwhile", || browser.text(&card("third")));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn what_was_typed_and_opened_stays_while_the_page_renews_itself() {
    let muster = Muster::start();
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/nodes/n1"));
    browser.run("document.querySelector('details.words').open = true");
    browser.type_into("//input[@name='ttl_ms']", "5000");
    muster.tell("STATUS", "/", "JVMRoute=n1&Load=42");
    eventually("the new load", || match browser.text(&card("n1"))? {
        text if text.contains("Load 42") => Ok(()),
        text => Err(text),
    });
    assert_eq!(browser.run("return document.querySelector('details.words').open"), true);
    assert_eq!(browser.run("return document.querySelector('[name=ttl_ms]').value"), "5000");
    browser.click("//button[.='Set']");
    let set = "//tr[th='ttl_ms']";
    eventually("both values side by side", || match browser.text(set)? {
        text if text.contains("60000") && text.contains("5000") => Ok(()),
        text => Err(text),
    });
    browser.click("//button[@name='reset']");
    eventually("the reported value alone", || match browser.text(set)? {
        text if text.contains("60000") && !text.contains("5000") => Ok(()),
        text => Err(text),
    });
}

#[test]
fn an_open_form_of_settings_stays_open_while_the_topology_renews_itself() {
    let muster = Muster::start();
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/topology"));
    browser.run("document.querySelector('details.set').open = true");
    browser.type_into("//input[@name='max_attempts']", "7");
    for load in [42, 43] {
        muster.tell("STATUS", "/", &format!("JVMRoute=n1&Load={load}"));
        eventually("the new load", || match browser.text("//div[@class='tree']")? {
            text if text.contains(&format!("load {load}")) => Ok(()),
            text => Err(text),
        });
        assert_eq!(browser.run("return document.querySelector('details.set').open"), true);
        let typed = browser.run("return document.querySelector('[name=max_attempts]').value");
        assert_eq!(typed, "7");
    }
}

fn settings_of_a_balancer_name_are_set_and_reset(scripts: Scripts) {
    let muster = Muster::start();
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(scripts);
    browser.open(&muster.at("/topology"));
    let settings = "//p[@class='settings']";
    let row = |name: &str| format!("//details[@class='set']//tr[th='{name}']");
    browser.click("//summary[.='Set otherwise']");
    browser.type_into(&format!("{}//input", row("max_attempts")), "7");
    browser.click(&format!("{}//option[.='true']", row("sticky_session_force")));
    browser.click("//button[.='Set']");
    let told = eventually("what was set", || match browser.text(settings)? {
        text if text.contains("max_attempts: 7") => Ok(text),
        text => Err(text),
    });
    for part in ["sticky_session_force: true", "force: yes", "7 retries at most"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    browser.click("//summary[.='Set otherwise']");
    browser.click("//details[@class='set']//button[@name='reset']");
    eventually("what nodes report", || match browser.text(settings)? {
        text if text.contains("set by an operator") => Err(text),
        _ => Ok(()),
    });
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn settings_of_a_balancer_name_are_set_and_reset_with_scripts() {
    settings_of_a_balancer_name_are_set_and_reset(Scripts::Run);
}

#[test]
fn settings_of_a_balancer_name_are_set_and_reset_without_scripts() {
    settings_of_a_balancer_name_are_set_and_reset(Scripts::Off);
}

#[test]
fn a_page_from_before_the_restart_is_told_so() {
    let muster = Muster::start();
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    muster.node("n1", "", 100, &["/shop"]);
    eventually("a renewed page", || browser.text(&card("n1")));
    browser.click("//label[input[@id='live']]");
    browser.run("document.querySelectorAll('[name=token]').forEach(t => t.value = '00')");
    browser.click(&node_button("n1", "Stop"));
    eventually("the refusal", || match browser.text("//*[@id='said']")? {
        said if said.contains("from before its restart: reload it") => Ok(()),
        said => Err(said),
    });
    muster.expect("n1", "/shop", "ENABLED");
}

#[test]
fn every_tab_can_be_reached_and_found_by_its_address() {
    let muster = Muster::start();
    muster.node("n1", "left", 100, &["/shop"]);
    muster.node("n2", "right", 0, &["/wiki"]);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    for (tab, path, part) in [
        ("Contexts", "/contexts", "/wiki"),
        ("Topology", "/topology", "mycluster"),
        ("Caches", "/caches", "No cluster is known"),
        ("Sessions", "/sessions", "No cluster is known"),
        ("Events", "/events", "ENABLE-APP"),
        ("Config", "/config", "max_streams = 32"),
        ("Nodes", "/", "LBGroup"),
    ] {
        browser.click(&format!("//header//nav//a[.='{tab}']"));
        eventually(tab, || match browser.url() {
            url if url == muster.at(path) => Ok(()),
            url => Err(url),
        });
        eventually(part, || match browser.text("//main")? {
            text if text.contains(part) => Ok(()),
            text => Err(text),
        });
    }
    browser.type_into("//input[@name='q']", "wiki");
    browser.click("//form[@role='search']//button");
    eventually("what was found", || match browser.url() {
        url if url == muster.at("/?q=wiki") => browser.text(&card("n2")),
        url => Err(url),
    });
    assert_eq!(browser.count(&card("n1")), 0);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
