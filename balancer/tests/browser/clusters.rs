//! Clusters of back ends on the page: their members, views and caches, and what is wrong.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::webdriver::{Browser, Scripts, eventually};
use crate::{Muster, http};

/// The management of a member, which says what it is told to say.
#[derive(Clone)]
pub(crate) struct Management {
    pub(crate) url: String,
    said: Arc<Mutex<(Value, Value)>>,
}

impl Management {
    pub(crate) fn start() -> Management {
        let said = Arc::new(Mutex::new((report(), caches())));
        let shown = said.clone();
        let port = http::serve(move |path| {
            let (report, caches) = &*shown.lock().unwrap();
            match path.split('?').next().unwrap_or(path) {
                "/v1/cluster" => report.to_string(),
                "/v1/cluster/caches" => caches.to_string(),
                "/v1/cluster/deployments" => deployments().to_string(),
                "/v1/cluster/singletons" => singletons().to_string(),
                "/v1/cluster/singletons/timer/move" => {
                    json!({"done": "timer moves to where its policy puts it"}).to_string()
                }
                "/v1/cluster/jobs" => jobs().to_string(),
                "/v1/cluster/queues" => queues().to_string(),
                "/v1/cluster/queues/%2Fqueue%2Fmsg/dead/requeue" => {
                    json!({"done": "4 dead letters of /queue/msg are delivered again"}).to_string()
                }
                "/v1/cluster/settings" => settings().to_string(),
                "/v1/cluster/settings/history" => history().to_string(),
                "/v1/cluster/events" => events().to_string(),
                other => panic!("nobody should ask for {other}"),
            }
        });
        Management { url: format!("http://127.0.0.1:{port}"), said }
    }

    fn says(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.said.lock().unwrap().0);
    }
}

/// The section of the configuration that names it.
pub(crate) fn section(management: &Management) -> String {
    format!("[cluster]\nmembers = [\"{}\"]\ninterval = \"100ms\"\n", management.url)
}

fn member(name: &str, state: &str) -> Value {
    json!({
        "name": name, "node": "0000000000000000000000000000002a", "life": 1,
        "address": "127.0.0.1:7700", "state": state, "error": null, "age_ms": 3_700_000,
        "join": 1, "weight": 100, "primary": 128, "owned": 256, "filling": 3,
        "entries": 1_234, "bytes": 5_678_901
    })
}

fn report() -> Value {
    json!({
        "name": "shop", "engine": "embedded", "me": "one", "coordinator": "one", "view": "e4/n1",
        "quorum": {"needed": 2, "known": ["one", "two", "three"], "is_quorate": true},
        "segments": 512, "members": [member("one", "up"), member("two", "up")],
        "lost_rows": 0, "merges": 1, "overridden": 2,
        "history": [{
            "at_ms": 1_796_000_000_000_u64, "view": "e4/n1", "members": ["one", "two"],
            "reason": "two came", "is_quorate": true, "views": 2, "settled_ms": 12
        }],
        "warnings": [{"kind": "merged", "text": "two sides of a split met once"}]
    })
}

fn caches() -> Value {
    let member = |name: &str, hits: u64| {
        json!({
            "member": name,
            "distribution": {"entries": 10, "primary_entries": 5, "bytes": 1000},
            "operations": {"hits": hits, "misses": 3, "puts": 11, "removes": 1, "expired": 2},
            "rpc": {"count": 21, "failures": 1},
            "batches": {"prepares": 4, "commits": 3, "rollbacks": 1}
        })
    };
    json!({
        "caches": [{
            "name": "counters", "mode": "distributed", "entries": 10, "bytes": 2000,
            "view": ["one", "two"], "members": [member("one", 7_777), member("two", 1)]
        }],
        "silent": []
    })
}

/// Waits until the page's main part has all of these; nobody reloads.
fn main_has(browser: &Browser, parts: &[&str]) {
    eventually(&parts.join(", "), || {
        let text = browser.text("//main")?;
        if parts.iter().all(|part| text.contains(part)) { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_cluster_and_its_caches_are_shown_and_change_by_themselves() {
    let management = Management::start();
    let muster = Muster::with(&section(&management));
    let browser = Browser::start(Scripts::Run);
    let shows = |parts: &[&str]| main_has(&browser, parts);
    browser.open(&muster.at("/topology"));
    shows(&["Cluster shop", "quorum 2 of 3 known nodes", "coordinator", "two came", "12 ms"]);
    shows(&["two sides of a split met once"]);
    management.says(|report| {
        report["quorum"]["is_quorate"] = json!(false);
        report["members"] = json!([member("one", "up"), member("two", "away")]);
        report["warnings"] = json!([
            {"kind": "not_quorate", "text": "too few members are in sight"},
            {"kind": "away", "text": "two votes and is away"}
        ]);
    });
    // Nobody reloads.
    shows(&["not quorate", "away", "too few members are in sight"]);
    browser.open(&muster.page());
    shows(&["Cluster shop: too few members are in sight"]);
    browser.click("//header//nav//a[.='Caches']");
    shows(&["counters", "distributed", "2.00 kB"]);
    browser.click("//main//a[.='counters']");
    eventually("its address", || match browser.url() {
        url if url == muster.at("/caches/shop/counters") => Ok(()),
        url => Err(url),
    });
    shows(&["Distribution and operations", "7\u{202f}777", "Rollbacks"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn deployments() -> Value {
    let member = |name: &str, created: u64| {
        json!({
            "member": name,
            "lives": {"active": 5, "copies": 10, "created": created, "invalidated": 2,
                "expired": 1, "passivated": 4},
            "distribution": {"entries": 20, "primary_entries": 10, "bytes": 1000},
            "operations": {"hits": 7, "misses": 3, "puts": 11, "removes": 1, "expired": 2},
            "rpc": {"count": 21, "failures": 1},
            "batches": {"prepares": 4, "commits": 3, "rollbacks": 1}
        })
    };
    let of = |kind: &str, name: &str, created: u64| {
        json!({
            "kind": kind, "name": name, "mode": "distributed", "active": 10, "bytes": 2000,
            "view": ["one", "two"], "members": [member("one", created), member("two", 1)]
        })
    };
    json!({"deployments": [of("web", "shop", 8_888), of("bean", "Cart", 3)], "silent": []})
}

#[test]
fn sessions_and_components_are_shown_in_counts() {
    let muster = Muster::with(&section(&Management::start()));
    let browser = Browser::start(Scripts::Run);
    let shows = |parts: &[&str]| main_has(&browser, parts);
    browser.open(&muster.page());
    browser.click("//header//nav//a[.='Sessions']");
    shows(&["web/shop", "bean/Cart", "8\u{202f}889", "2.00 kB"]);
    browser.click("//main//a[.='web/shop']");
    eventually("its address", || match browser.url() {
        url if url == muster.at("/sessions/shop/web%2Fshop") => Ok(()),
        url => Err(url),
    });
    shows(&["10 sessions", "8\u{202f}888", "Passivated", "Rollbacks"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn singletons() -> Value {
    let member = |name: &str, state: &str, starts: u64| {
        json!({"member": name, "state": state, "token": null, "starts": starts, "failures": 2,
            "lost": 1, "cut_off": 0})
    };
    json!({"singletons": [{
        "name": "timer", "kind": "daemon", "is_everywhere": false,
        "policy": "simple(0), prefers one", "policy_name": "default", "quorum": 1,
        "provider": "one", "token": "4.17", "elected": "one", "no_provider": null, "moved": null,
        "candidates": ["one", "two"],
        "members": [member("one", "running", 6_666), member("two", "standby", 0)],
        "history": [{"at_ms": 1_796_000_000_000_u64, "member": "one", "text": "one is elected"}]
    }]})
}

#[test]
fn singletons_are_shown_with_their_provider_and_history() {
    let muster = Muster::with(&section(&Management::start()));
    let browser = Browser::start(Scripts::Run);
    let shows = |parts: &[&str]| main_has(&browser, parts);
    browser.open(&muster.page());
    browser.click("//header//nav//a[.='Singletons']");
    shows(&["timer", "daemon", "simple(0), prefers one", "4.17"]);
    browser.click("//main//a[.='timer']");
    eventually("its address", || match browser.url() {
        url if url == muster.at("/singletons/shop/timer") => Ok(()),
        url => Err(url),
    });
    shows(&["runs on one", "6\u{202f}666", "standby", "one is elected"]);
    browser.click("//main//button[.='Move']");
    eventually("back where it was", || match browser.url() {
        url if url == muster.at("/singletons/shop/timer") => Ok(()),
        url => Err(url),
    });
    browser.open(&muster.at("/events"));
    shows(&["singleton timer of shop", "timer moves"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn jobs() -> Value {
    let at = 1_796_000_000_000_i64;
    json!({"jobs": [{
        "name": "report", "schedule": "every 10s", "is_paused": false, "members": ["one", "two"],
        "through_ms": at, "next_ms": at + 10_000,
        "open": [{"at_ms": at, "is_wished": true, "tries": 1, "member": "two", "token": "4.19",
            "error": "the disk is full"}],
        "done": 5_555, "failed": 1, "missed": 2, "skipped": 3, "failures": 4, "lost": 1,
        "history": [{"at_ms": at, "ended_ms": at + 500, "outcome": "done", "tries": 1, "lost": 0,
            "member": "one", "token": "4.18", "took_ms": 12, "error": null}]
    }]})
}

fn queues() -> Value {
    json!({"queues": [{
        "name": "/queue/msg", "home": "two", "members": ["one", "two"],
        "settings": {"most": 1_000_000, "visibility_ms": 30_000, "most_tries": 10,
            "dedup_window_ms": 120_000},
        "numbers": {"ready": 7_654, "in_flight": 3, "dead": 4, "published": 9_876, "duplicates": 1,
            "delivered": 2_229, "redelivered": 11, "done": 2_215, "expired": 0, "buried": 4},
        "consumers": [{"member": "one", "consumers": 2, "in_flight": 3}]
    }], "silent": []})
}

#[test]
fn queues_are_shown_with_their_consumers_and_dead_letters_come_again() {
    let muster = Muster::with(&section(&Management::start()));
    let browser = Browser::start(Scripts::Run);
    let shows = |parts: &[&str]| main_has(&browser, parts);
    browser.open(&muster.page());
    browser.click("//header//nav//a[.='Queues']");
    shows(&["/queue/msg", "two", "7\u{202f}654", "9\u{202f}876"]);
    browser.click("//main//a[.='/queue/msg']");
    let is_there = || {
        eventually("its address", || match browser.url() {
            url if url == muster.at("/queues/shop/%2Fqueue%2Fmsg") => Ok(()),
            url => Err(url),
        });
    };
    is_there();
    shows(&["its home is two", "4 dead", "on 1 of 2 members", "11 of them again"]);
    browser.click("//main//button[.='Deliver again']");
    is_there();
    browser.open(&muster.at("/events"));
    shows(&["queue /queue/msg of shop", "4 dead letters of /queue/msg are delivered again"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

fn settings() -> Value {
    let (key, bound) = ("shop.limits.carts", "a whole number from 1 to 1000");
    json!({
        "version": 7,
        "settings": [{"key": key, "value": "250", "version": 7, "at_ms": 1_796_000_000_000_u64,
            "by": "ann", "default": "100", "bound": bound, "problem": null}],
        "known": [{"key": key, "bound": bound, "default": "100", "about": "carts of a user"}]
    })
}

fn history() -> Value {
    json!({"version": 7, "changes": [{"version": 7, "at_ms": 1_796_000_000_000_u64, "by": "ann",
        "key": "shop.limits.carts", "old": null, "new": "250"}]})
}

fn events() -> Value {
    json!({"events": [{"at_ms": 1_796_000_000_000_u64, "kind": "singleton",
        "text": "timer started on one with token 4.17", "members": ["one"]}], "silent": []})
}

#[test]
fn a_cluster_that_cannot_be_asked_says_why() {
    let muster = Muster::with("[cluster]\nmembers = [\"http://127.0.0.1:9\"]\n");
    let browser = Browser::start(Scripts::Run);
    browser.open(&muster.at("/topology"));
    eventually("why", || match browser.text("//main")? {
        text if text.contains("cannot connect to 127.0.0.1:9") => Ok(()),
        text => Err(text),
    });
}
