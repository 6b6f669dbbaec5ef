//! Drains, from their beginning on the page to their end.

use crate::webdriver::{Browser, Scripts, eventually};
use crate::{Asks, Muster, act, card};

fn a_drain_is_begun_watched_and_cancelled(scripts: Scripts) {
    // Nobody's silence is taken for the end of his session while this test runs.
    let muster = Muster::with("[drain]\nquiet = \"5m\"\n");
    muster.node("n1", "left", 100, &["/shop", "/wiki"]);
    muster.node("n2", "left", 100, &["/shop"]);
    let browser = Browser::start(scripts);
    browser.open(&muster.page());
    browser.click(&format!("{}//button[@name='drain']", card("n1")));
    let said = eventually("the effect", || browser.text("//ul[@class='consequences']"));
    assert!(said.contains("/wiki will have 0 nodes for new sessions"), "{said}");
    browser.click("//button[contains(@class, 'go')]");

    let drain = "//section[h2='Draining']//div[@class='drain']";
    let seen = eventually("the drain", || browser.text(drain));
    for part in ["n1", "left", "deadline in", "by local"] {
        assert!(seen.contains(part), "{part} is missing in {seen}");
    }
    muster.expect("n1", "/shop", "DISABLED");
    muster.expect("n2", "/shop", "ENABLED");
    let state = format!("{}//div[@class='id']", card("n1"));
    eventually("its state", || match browser.text(&state)? {
        text if text.contains("draining") => Ok(()),
        text => Err(text),
    });

    browser.click(&format!("{drain}//button[.='Cancel']"));
    muster.expect("n1", "/shop", "ENABLED");
    eventually("its end", || {
        browser.click("//section[h2='Draining']//summary");
        let text = browser.text("//section[h2='Draining']//table")?;
        if text.contains("cancelled") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_drain_is_begun_watched_and_cancelled_with_scripts() {
    a_drain_is_begun_watched_and_cancelled(Scripts::Run);
}

#[test]
fn a_drain_is_begun_watched_and_cancelled_without_scripts() {
    a_drain_is_begun_watched_and_cancelled(Scripts::Off);
}

#[test]
fn a_drain_can_be_ended_at_once() {
    let muster = Muster::with("[drain]\nquiet = \"5m\"\n");
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/nodes/n1"));
    act(&browser, "//article//button[@name='drain']", Asks::Yes);
    act(&browser, "//section[h2='Draining']//button[.='Stop now']", Asks::Yes);
    muster.expect("n1", "/shop", "STOPPED");
}
