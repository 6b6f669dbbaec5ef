//! Balancers side by side, as the page of one shows the other.

use crate::Muster;
use crate::webdriver::{Browser, Scripts, eventually};

#[test]
fn a_peer_that_sees_something_else_and_one_that_is_silent_are_shown() {
    let secret = "secret = \"known to both balancers\"\n";
    let left = Muster::with(&format!("[peers]\nname = \"left\"\n{secret}"));
    let place = format!("urls = [\"http://{}\"]\ninterval = \"300ms\"\n", left.manager);
    let right = Muster::with(&format!("[peers]\nname = \"right\"\n{secret}{place}"));
    for muster in [&left, &right] {
        muster.node("n1", "", 100, &["/shop"]);
    }
    let browser = Browser::start(Scripts::Run);
    browser.open(&right.at("/topology"));
    let shown = |parts: &[&str]| {
        eventually(&parts.join(", "), || {
            let text = browser.text("//ul[@class='peers']")?;
            if parts.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
        });
    };
    shown(&["answers left", "agrees with us"]);
    right.tell("STOP-APP", "/", "JVMRoute=n1&Alias=localhost&Context=/shop");
    right.node("n2", "", 100, &["/wiki"]);
    shown(&[
        "localhost/shop of n1 is stopped here and enabled there",
        "n2 is registered here and unknown there",
    ]);
    browser.open(&right.page());
    let sentence = eventually("a sentence on top", || match browser.text("//body")? {
        text if text.contains("The peer left disagrees with us in 2 points") => Ok(text),
        text => Err(text),
    });
    assert!(!sentence.contains("does not answer"), "{sentence}");
    drop(left);
    eventually("another sentence", || match browser.text("//body")? {
        text if text.contains("The peer left does not answer") => Ok(()),
        text => Err(text),
    });
    browser.open(&right.at("/topology"));
    shown(&["silent left"]);
}
