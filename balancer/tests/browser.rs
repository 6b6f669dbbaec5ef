//! The manager page in a real browser, before the real balancer: every verb, with scripts and
//! without, and names of nodes that would like to be more than text.
#![cfg(feature = "system")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "browser/http.rs"]
mod http;
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
        let mut process = Command::new(env!("CARGO_BIN_EXE_muster"))
            .args(["run", "--http", "127.0.0.1:0", "--mcmp", "127.0.0.1:0"])
            .args(["--manager", "127.0.0.1:0"])
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
        format!("http://{}/", self.manager)
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

fn every_verb_does_what_it_says(scripts: Scripts) {
    let muster = Muster::start();
    muster.node("n1", "left", 100, &["/shop", "/wiki"]);
    muster.node("n2", "left", 50, &["/shop"]);
    muster.node("n3", "", 1, &["/shop"]);
    let browser = Browser::start(scripts);
    browser.open(&muster.page());
    // The switch shows itself where scripts run.
    let switches = browser.count("//label[input[@id='live']][not(@hidden)]");
    assert_eq!(switches, usize::from(scripts == Scripts::Run), "{scripts:?}");

    for (label, status) in [("Disable", "DISABLED"), ("Stop", "STOPPED"), ("Enable", "ENABLED")] {
        browser.click(&context_button("n1", "/shop", label));
        muster.expect("n1", "/shop", status);
        muster.expect("n1", "/wiki", "ENABLED");
    }
    for (label, status) in [("Stop", "STOPPED"), ("Disable", "DISABLED"), ("Enable", "ENABLED")] {
        browser.click(&node_button("n1", label));
        muster.expect("n1", "/shop", status);
        muster.expect("n1", "/wiki", status);
        muster.expect("n2", "/shop", "ENABLED");
    }
    for (label, status) in [("Disable", "DISABLED"), ("Stop", "STOPPED"), ("Enable", "ENABLED")] {
        browser.click(&group_button("left", label));
        muster.expect("n1", "/wiki", status);
        muster.expect("n2", "/shop", status);
        muster.expect("n3", "/shop", "ENABLED");
    }
    browser.click(&group_button("default", "Stop"));
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
fn a_live_page_shows_a_newcomer_by_itself() {
    let muster = Muster::start();
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    assert!(browser.text("//main").unwrap().contains("No node has registered yet"));
    muster.node("late", "", 100, &["/shop"]);
    eventually("the newcomer", || browser.text(&card("late")));

    // The focus stays with its button when a node comes in above it, and with its context when
    // the button goes.
    let focused = "const e = document.activeElement; return [e.form.route.value, e.name, e.value]";
    browser.run("document.querySelector('[name=stop][value=\"/shop\"]').focus()");
    muster.node("another", "left", 100, &["/shop"]);
    eventually("another newcomer", || browser.text(&card("another")));
    assert_eq!(browser.run(focused), serde_json::json!(["late", "stop", "/shop"]));
    browser.click(&context_button("late", "/shop", "Stop"));
    eventually("the other button", || browser.text(&context_button("late", "/shop", "Enable")));
    assert_eq!(browser.run(focused), serde_json::json!(["late", "enable", "/shop"]));
}

#[test]
fn a_page_from_before_the_restart_is_told_so() {
    let muster = Muster::start();
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    muster.node("n1", "", 100, &["/shop"]);
    eventually("a renewed page", || browser.text(&card("n1")));
    browser.run("document.getElementById('live').checked = false");
    browser.run("document.querySelectorAll('[name=token]').forEach(t => t.value = '00')");
    browser.click(&node_button("n1", "Stop"));
    eventually("the refusal", || match browser.text("//*[@id='said']")? {
        said if said.contains("from before its restart: reload it") => Ok(()),
        said => Err(said),
    });
    muster.expect("n1", "/shop", "ENABLED");
}

/// The wire refuses `<` and quotes in a name. What it lets through must not become them either:
/// entities, with and without their semicolon, and characters that turn the reading direction.
#[test]
fn hostile_names_are_text() {
    let (route, domain) = ("&lt;b&gt;`", "\u{202e}deeps");
    let (alias, context) = ("&#34;onload=alert(1)", "/&ltscript&gtalert(1)\u{202e}");
    let muster = Muster::start();
    let (route_field, port) = (format!("JVMRoute={}", encoded(route)), http::node());
    let address = format!("Domain={}&Host=127.0.0.1&Port={port}&Type=http", encoded(domain));
    muster.tell("CONFIG", "/", &format!("{route_field}&{address}"));
    let host = format!("Alias={}&Context={}", encoded(alias), encoded(context));
    muster.tell("ENABLE-APP", "/", &format!("{route_field}&{host}"));

    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    let text = browser.text("//main").unwrap();
    for shown in [route, r"\u{202e}deeps", alias, r"/&ltscript&gtalert(1)\u{202e}"] {
        assert!(text.contains(shown), "{shown} is missing in {text}");
    }
    assert_eq!(browser.count("//h3//b | //script[not(@src)] | //*[@onload]"), 0);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    browser.click("//tbody//button[.='Stop']");
    eventually("the stop", || match browser.text("//article//tbody//td[1]")? {
        text if text.contains("stopped") => Ok(()),
        text => Err(text),
    });
}

/// A value with every byte that is no letter or digit percent-encoded.
fn encoded(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[test]
fn nothing_hangs_over_the_edge_of_a_narrow_screen() {
    let muster = Muster::start();
    muster.node(
        "jboss-eap-7.0-2-with-a-long-name-of-sixty-three-characters-yes",
        "left",
        75,
        &["/counter", "/a-context-of-a-length-that-nobody-wants-but-the-wire-permits-up-to-80"],
    );
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    for (width, scheme) in [(320, "light"), (320, "dark"), (768, "light"), (1_200, "dark")] {
        browser.resize(width, 800);
        browser.prefer(scheme);
        let over = browser.run(
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
        );
        assert_eq!(over, 0, "at {width} px");
    }
}

/// With `MUSTER_SCREENSHOT` set, the page's picture for the documents is written to that file.
#[test]
fn the_picture_of_the_documents_can_be_taken() {
    let muster = Muster::start();
    muster.node("node1", "left", 100, &["/counter", "/shop"]);
    muster.node("node2", "left", 60, &["/counter", "/shop"]);
    muster.node("node3", "right", 20, &["/counter"]);
    muster.node("node4", "right", 0, &["/counter"]);
    let (shop, all) = ("JVMRoute=node2&Alias=localhost&Context=/shop", "JVMRoute=node3");
    muster.tell("STOP-APP", "/", shop);
    muster.tell("DISABLE-APP", "/*", all);
    let order = "article=4711&".repeat(20);
    for (method, body) in [("GET", ""), ("POST", &order), ("GET", "")].repeat(200) {
        assert_eq!(http::exchange(&muster.public, method, "/counter", "", body).0, 200);
    }

    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    browser.prefer("light");
    browser.resize(1_200, 800);
    let height = browser.run("return document.documentElement.scrollHeight").as_u64().unwrap();
    browser.resize(1_200, u32::try_from(height).unwrap());
    let picture = browser.screenshot();
    assert!(picture.starts_with("iVBORw0KGgo"), "a PNG");
    if let Ok(file) = std::env::var("MUSTER_SCREENSHOT") {
        std::fs::write(file, base64(&picture)).unwrap();
    }
}

/// The bytes that a base64 text stands for.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let values: Vec<u32> = text.bytes().filter_map(value).collect();
    let bytes = |quad: &[u32]| {
        let all = quad.iter().fold(0, |all, value| all << 6 | value) << (6 * (4 - quad.len()));
        all.to_be_bytes()[1..quad.len()].to_vec()
    };
    values.chunks(4).flat_map(bytes).collect()
}
