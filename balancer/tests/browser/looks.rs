//! How the page looks: to everybody, at any width, in light and dark, with names that would like
//! to be more than text, and with many nodes.

use std::time::{Duration, Instant};

use crate::webdriver::{Browser, Scripts, eventually};
use crate::{Asks, Muster, act, clusters, http, login};

const AXE: &str = include_str!("axe/axe.min.js");

/// What the browser is asked of each page.
const ASK: &str = "return axe.run(document, { resultTypes: ['violations'] }).then(found => \
    found.violations.filter(one => ['serious', 'critical'].includes(one.impact)).map(one => \
    `${one.impact}: ${one.help}: ${one.nodes.map(node => node.html).slice(0, 3).join(' ')}`))";

/// A balancer that has something of everything to show.
fn busy() -> Muster {
    let management = clusters::Management::start();
    let cluster = clusters::section(&management);
    let muster = Muster::with(&format!("[drain]\nquiet = \"5m\"\n{cluster}"));
    eventually("the cluster", || {
        let (_, shown) = http::exchange(&muster.manager, "GET", "/caches/shop/counters", "", "");
        if shown.contains("Rollbacks") { Ok(()) } else { Err(shown) }
    });
    muster.node("node1", "left", 100, &["/counter", "/shop"]);
    muster.node("node2", "left", 60, &["/counter", "/shop"]);
    muster.node("node3", "right", 9, &["/counter"]);
    muster.node("node4", "right", 0, &["/counter"]);
    muster.tell("STOP-APP", "/", "JVMRoute=node2&Alias=localhost&Context=/shop");
    muster.tell("DISABLE-APP", "/*", "JVMRoute=node3");
    let tool = "X-Muster-Client: test\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let drain = http::exchange(&muster.manager, "POST", "/action", tool, "route=node1&drain=*");
    assert_eq!(drain.0, 303, "{}", drain.1);
    let order = "article=4711&".repeat(20);
    for (method, body) in [("GET", ""), ("POST", &order), ("GET", "")].repeat(60) {
        assert_eq!(http::exchange(&muster.public, method, "/counter", "", body).0, 200);
    }
    muster
}

const VIEWS: [&str; 20] = [
    "/",
    "/nodes/node1",
    "/nodes/node2?window=1h",
    "/contexts",
    "/topology",
    "/caches",
    "/caches/shop/counters",
    "/sessions",
    "/sessions/shop/web%2Fshop",
    "/singletons",
    "/singletons/shop/timer",
    "/jobs",
    "/jobs/shop/report",
    "/queues",
    "/queues/shop/%2Fqueue%2Fmsg",
    "/settings",
    "/settings/confirm?cluster=shop&key=shop.limits.carts&value=300",
    "/events",
    "/config",
    "/confirm?route=node2&stop=*",
];

#[test]
fn nobody_is_left_out_in_light_in_dark_and_on_a_narrow_screen() {
    let muster = busy();
    let browser = Browser::start(Scripts::Run);
    for (width, scheme) in [(1_280, "light"), (1_280, "dark"), (320, "light"), (320, "dark")] {
        browser.resize(width, 800);
        browser.prefer(scheme);
        for view in VIEWS {
            browser.open(&muster.at(view));
            browser.run("document.querySelectorAll('details').forEach(one => one.open = true)");
            let found = browser.run(&format!("{AXE}; {ASK}"));
            assert_eq!(found, serde_json::json!([]), "{view} at {width} px, {scheme}");
        }
    }
}

#[test]
fn nobody_is_left_out_at_the_door() {
    let muster = login::guarded("");
    let browser = Browser::start(Scripts::Run);
    for (width, scheme) in [(1_280, "light"), (1_280, "dark"), (320, "light"), (320, "dark")] {
        browser.resize(width, 800);
        browser.prefer(scheme);
        browser.open(&muster.page());
        let found = browser.run(&format!("{AXE}; {ASK}"));
        assert_eq!(found, serde_json::json!([]), "the login at {width} px, {scheme}");
    }
    login::log_in(&browser, "vera", "wrong");
    eventually("the refusal", || browser.text("//*[@role='alert']"));
    let found = browser.run(&format!("{AXE}; {ASK}"));
    assert_eq!(found, serde_json::json!([]), "the login that is refused");
}

#[test]
fn nothing_hangs_over_the_edge_of_a_narrow_screen() {
    let muster = busy();
    muster.node(
        "jboss-eap-7.0-2-with-a-long-name-of-sixty-three-characters-yes",
        "left",
        75,
        &["/counter", "/a-context-of-a-length-that-nobody-wants-but-the-wire-permits-up-to-80"],
    );
    let browser = Browser::start(Scripts::Run);
    for view in VIEWS {
        browser.open(&muster.at(view));
        for (width, scheme) in [(320, "light"), (320, "dark"), (768, "light"), (1_200, "dark")] {
            browser.resize(width, 800);
            browser.prefer(scheme);
            let over = browser.run(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth",
            );
            assert_eq!(over, 0, "{view} at {width} px");
        }
    }
}

#[test]
fn a_choice_of_colours_holds_for_all_views_without_a_script() {
    let muster = busy();
    let browser = Browser::start(Scripts::Off);
    browser.prefer("light");
    browser.open(&muster.at("/contexts"));
    browser.click("//button[@name='theme']");
    eventually("the dark theme", || browser.text("//html[@data-theme='dark']"));
    assert_eq!(browser.url(), muster.at("/contexts"));
    browser.open(&muster.page());
    assert_eq!(browser.count("//html[@data-theme='dark']"), 1);
}

/// The wire refuses `<` and quotes in a name. What it lets through must not become them either:
/// entities, with and without their semicolon, and characters that turn the reading direction.
#[test]
fn names_that_would_like_to_be_more_than_text_are_text() {
    let muster = Muster::start();
    let (route, domain) = ("&lt;b&gt;`", "\u{202e}deeps");
    let (alias, context) = ("&#34;onload=alert(1)", "/&ltscript&gtalert(1)\u{202e}");
    let (route_field, port) = (format!("JVMRoute={}", encoded(route)), http::node());
    let address = format!("Domain={}&Host=127.0.0.1&Port={port}&Type=http", encoded(domain));
    muster.tell("CONFIG", "/", &format!("{route_field}&{address}"));
    let host = format!("Alias={}&Context={}", encoded(alias), encoded(context));
    muster.tell("ENABLE-APP", "/", &format!("{route_field}&{host}"));

    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.page());
    let text = eventually("the page", || browser.text("//main"));
    for shown in [route, r"\u{202e}deeps", alias, r"/&ltscript&gtalert(1)\u{202e}"] {
        assert!(text.contains(shown), "{shown} is missing in {text}");
    }
    let own = format!("/nodes/{}", encoded(route));
    for view in ["/", &own, "/contexts", "/topology", "/events"] {
        browser.open(&muster.at(view));
        assert_eq!(browser.count("//bdi/* | //script[not(@src)] | //*[@onload]"), 0, "{view}");
    }
    browser.open(&muster.page());
    act(&browser, "//tbody//button[.='Stop']", Asks::Yes);
    eventually("the stop", || match browser.text("//article//tbody//td[1]")? {
        text if text.contains("stopped") => Ok(()),
        text => Err(text),
    });
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// The wire refuses these, and so they stand in no row; but what was refused is told, and what a
/// stranger types comes back.
#[test]
fn what_the_wire_refuses_and_what_strangers_type_is_text_too() {
    let muster = login::guarded("");
    muster.node("n1", "left", 100, &["/shop"]);
    let script = "<script>document.title='gone'</script><img src=x onerror=alert(1)>";
    let (endless, turned) = ("x".repeat(10_240), "\u{202e}\u{2067}".repeat(1_700));
    for name in [script, &endless, &turned] {
        let name = encoded(name);
        for body in [
            format!("JVMRoute={name}&Host=127.0.0.1&Port=9&Type=http"),
            format!("JVMRoute=n1&Domain={name}&Host=127.0.0.1&Port=9&Type=http"),
            format!("JVMRoute=n1&Alias={name}&Context=%2Fx"),
        ] {
            let command = if body.contains("Context") { "ENABLE-APP" } else { "CONFIG" };
            let (status, answer) = http::exchange(&muster.mcmp, command, "/", "", &body);
            assert_ne!(status, 200, "{answer}");
        }
        let form = format!("name={name}&password=x");
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        // A form of more than 16 KiB is read by nobody.
        let expected = if form.len() > 16 * 1_024 { 413 } else { 401 };
        assert_eq!(http::exchange(&muster.manager, "POST", "/login", kind, &form).0, expected);
    }
    let browser = Browser::start(Scripts::Run);
    browser.resize(320, 800);
    browser.open(&muster.page());
    login::log_in(&browser, "anna", "anna is here");
    eventually("the page", || browser.text("//article"));
    let script = encoded(script);
    for view in [
        "/".to_owned(),
        "/events".to_owned(),
        format!("/?q={script}"),
        format!("/nodes/{script}"),
        format!("/confirm?route={script}&stop=*"),
        format!("/login?back=%2F{script}"),
        format!("/?q={}", encoded(&turned[..600])),
        format!("/confirm?route={}&stop=*", encoded(&turned[..600])),
    ] {
        browser.open(&muster.at(&view));
        assert_eq!(browser.count("//script[not(@src)] | //*[@onerror]"), 0, "{view}");
        assert_ne!(browser.run("return document.title"), "gone", "{view}");
        let over = "const e = document.documentElement; return e.scrollWidth - e.clientWidth";
        assert_eq!(browser.run(over), 0, "{view}");
    }
    browser.open(&muster.at("/events"));
    let told = eventually("the refused logins", || browser.text("//main"));
    assert!(told.contains("<script>document.title='gone'</script>"), "{told}");
    let refused: Vec<String> = browser.complaints();
    assert!(!refused.iter().any(|line| line.contains("Security Policy")), "{refused:?}");
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
fn a_hundred_nodes_of_ten_contexts_are_a_small_page() {
    let muster = Muster::start();
    for node in 0..100 {
        let own = format!("JVMRoute=node-{node:03}&Domain=group-{}", node / 25);
        let place = format!("Host=127.0.1.{node}&Port=9&Type=http");
        muster.tell("CONFIG", "/", &format!("{own}&{place}"));
        let contexts: Vec<String> = (0..10).map(|at| format!("/app{at}")).collect();
        let all = format!("JVMRoute=node-{node:03}&Alias=localhost&Context={}", contexts.join(","));
        muster.tell("ENABLE-APP", "/", &all);
    }
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..11 {
        let began = Instant::now();
        let (status, page) = http::exchange(&muster.manager, "GET", "/", "", "");
        times.push(began.elapsed());
        assert_eq!(status, 200);
        bytes = page.len();
        assert!(bytes < 100_000, "{bytes} bytes");
        assert_eq!(page.matches("<article").count(), 100);
    }
    times.sort();
    println!(
        "100 nodes of 10 contexts: {bytes} bytes, median {:?}, most {:?}",
        times[5], times[10]
    );
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/?q=node-042"));
    let text = eventually("the node", || browser.text("//main"));
    assert!(text.contains("/app9"), "its contexts are shown: {text}");
}

/// Requests for so long that a chart has a shape.
fn fill_charts(muster: &Muster) {
    let end = Instant::now() + Duration::from_secs(40);
    for round in 0_u64.. {
        if Instant::now() > end {
            return;
        }
        assert_eq!(http::exchange(&muster.public, "GET", "/counter", "", "").0, 200);
        // Now many, now few.
        std::thread::sleep(Duration::from_millis(5 + 20 * (round / 50 % 4)));
    }
}

/// With `MUSTER_SCREENSHOTS` set, the pictures of the documents are written into that folder.
#[test]
fn the_pictures_of_the_documents_can_be_taken() {
    let muster = busy();
    let folder = std::env::var("MUSTER_SCREENSHOTS").ok();
    if folder.is_some() {
        fill_charts(&muster);
    }
    let browser = Browser::start(Scripts::Run);
    for (name, view, width, scheme) in [
        ("manager", "/", 1_200, "light"),
        ("manager-dark", "/", 1_200, "dark"),
        ("manager-narrow", "/", 320, "light"),
        ("manager-topology", "/topology", 1_200, "light"),
        ("manager-confirm", "/confirm?route=node2&stop=*", 800, "light"),
    ] {
        browser.prefer(scheme);
        browser.resize(width, 800);
        browser.open(&muster.at(view));
        browser.run("document.querySelectorAll('details.set').forEach(one => one.open = true)");
        let height = browser.run("return document.documentElement.scrollHeight").as_u64().unwrap();
        browser.resize(width, u32::try_from(height.min(2_400)).unwrap());
        let picture = browser.screenshot();
        assert!(picture.starts_with("iVBORw0KGgo"), "a PNG");
        if let Some(folder) = &folder {
            let file = std::path::Path::new(folder).join(format!("{name}.png"));
            std::fs::write(file, base64(&picture)).unwrap();
        }
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
