//! Operators who log in, and what each may do.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::webdriver::{Browser, Scripts, eventually};
use crate::{Asks, Muster, act, card, node_button};

/// What `muster password` prints.
fn hash(password: &str) -> String {
    let mut process = Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(process.stdin.take().unwrap(), "{password}").unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A balancer with an operator and a viewer, and more of a configuration.
pub(crate) fn guarded(more: &str) -> Muster {
    let user = |name: &str, role: &str| {
        let hash = hash(&format!("{name} is here"));
        format!("[[manager.user]]\nname = \"{name}\"\nrole = \"{role}\"\npassword = \"{hash}\"\n")
    };
    Muster::with(&[more, &user("anna", "operator"), &user("vera", "viewer")].concat())
}

pub(crate) fn log_in(browser: &Browser, name: &str, password: &str) {
    browser.type_into("//input[@name='name']", name);
    browser.type_into("//input[@name='password']", password);
    browser.click("//button[.='Log in']");
}

fn operators_act_and_viewers_look(scripts: Scripts) {
    let muster = guarded("");
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(scripts);
    browser.open(&muster.at("/contexts"));
    eventually("the login", || match browser.url() {
        url if url.ends_with("/login?back=%2Fcontexts") => Ok(()),
        url => Err(url),
    });
    log_in(&browser, "vera", "wrong");
    let wrong = eventually("the refusal", || browser.text("//*[@role='alert']"));
    assert!(wrong.contains("not known"), "{wrong}");
    log_in(&browser, "vera", "vera is here");
    eventually("what was asked for", || match browser.url() {
        url if url == muster.at("/contexts") => Ok(()),
        url => Err(url),
    });
    browser.open(&muster.page());
    let who = eventually("the header", || browser.text("//header"));
    assert!(who.contains("vera viewer"), "{who}");
    let seen = eventually("the node", || browser.text(&card("n1")));
    assert!(seen.contains("/shop"), "{seen}");
    assert_eq!(browser.count("//button[@name='stop' or @name='disable' or @name='drain']"), 0);

    browser.click("//button[.='Log out']");
    eventually("the login again", || browser.text("//h1[.='Log in']"));
    log_in(&browser, "anna", "anna is here");
    eventually("the operator's page", || browser.text(&node_button("n1", "Stop")));
    act(&browser, &node_button("n1", "Stop"), Asks::Yes);
    muster.expect("n1", "/shop", "STOPPED");
    eventually("what she did", || {
        // Asked for anew each time: the way back from her verb may still be under way, and win.
        browser.open(&muster.at("/events"));
        match browser.text("//main")? {
            text if text.contains("anna from 127.0.0.1") && text.contains("log in") => Ok(()),
            text => Err(text),
        }
    });
}

#[test]
fn operators_act_and_viewers_look_with_scripts() {
    operators_act_and_viewers_look(Scripts::Run);
}

#[test]
fn operators_act_and_viewers_look_without_scripts() {
    operators_act_and_viewers_look(Scripts::Off);
}
