//! The tabs of clusters in a real browser, before real members.

mod operated;

#[allow(dead_code, clippy::panic, reason = "the tools of the page's own stories")]
#[path = "../../../balancer/tests/browser/http.rs"]
mod http;
#[allow(dead_code, clippy::panic, reason = "the tools of the page's own stories")]
#[path = "../../../balancer/tests/browser/webdriver.rs"]
mod webdriver;

use std::time::Duration;

use muster_agent::session::Finished;
use muster_agent::{Cache, Cluster, Components, Mode, Sessions, Sso};
use muster_loadtests::testkit::{Balancer, Farm};
use tokio::runtime::Runtime;
use webdriver::{Browser, Scripts, eventually};

/// Segments of each of both tables.
const SEGMENTS: u16 = 16;

type Counters = Cache<String, u64>;

async fn join(name: &str, first: Option<&Cluster>) -> (Cluster, Counters) {
    let builder = Cluster::builder(name).cluster("shop").port(0).segments(SEGMENTS);
    let builder = builder.detection(Duration::from_secs(1));
    let builder = match first {
        None => builder.find_nobody(),
        Some(first) => builder.members([first.me().address.to_string()]),
    };
    let member = builder.join().await.unwrap();
    let cache = member.cache("counters").mode(Mode::Distributed).create().unwrap();
    (member, cache)
}

async fn count(caches: &[&Counters], numbers: std::ops::Range<u64>) {
    for (number, cache) in numbers.zip(caches.iter().cycle()) {
        cache.put(&format!("key{number}"), &number).await.unwrap();
    }
}

/// A balancer that asks this member what its cluster is.
async fn asks(member: &Cluster) -> (Farm, Balancer) {
    let management = member.management().unwrap();
    let settings =
        format!("[cluster]\nmembers = [\"http://{management}\"]\ninterval = \"100ms\"\n");
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer(&settings).await.unwrap();
    (farm, balancer)
}

/// The page, as who looks at it reads it.
struct Page(Browser);

impl Page {
    /// A cell by its row's first word and its place among the cells after that.
    fn cell(&self, row: &str, at: usize) -> Result<String, String> {
        let row = format!("//main//tr[starts-with(normalize-space(th[1]),'{row}')]");
        self.0.text(&format!("{row}/td[{at}]"))
    }

    fn number(&self, row: &str, at: usize) -> Result<u64, String> {
        let cell = self.cell(row, at)?;
        cell.parse().map_err(|_| format!("cell {at} of {row} is {cell:?}"))
    }

    /// Waits until these cells of a row show that; nobody reloads.
    fn shows(&self, row: &str, expected: &[(usize, u64)]) {
        eventually(&format!("{row} shows {expected:?}"), || {
            let numbers = expected.iter().map(|(at, _)| Ok((*at, self.number(row, *at)?)));
            let numbers: Vec<(usize, u64)> = numbers.collect::<Result<_, String>>()?;
            if numbers == expected { Ok(()) } else { Err(format!("{numbers:?}")) }
        });
    }

    fn says(&self, part: &str) {
        eventually(part, || {
            let text = self.0.text("//main")?;
            if text.contains(part) { Ok(()) } else { Err(text) }
        });
    }
}

#[test]
fn the_tabs_show_two_real_members_with_balanced_segments_and_counts_that_rise() {
    let runtime = Runtime::new().unwrap();
    let (one, ones) = runtime.block_on(join("one", None));
    let (two, twos) = runtime.block_on(join("two", Some(&one)));
    let (_farm, balancer) = runtime.block_on(asks(&one));
    let page = Page(Browser::start(Scripts::Run));
    let at = |path: &str| format!("http://{}{path}", balancer.manager);

    page.0.open(&at("/topology"));
    page.says("Cluster shop");
    page.says("two came");
    // Primary of, keeps, filling: both keep all, and each is the primary of about half.
    let rows = u64::from(2 * SEGMENTS);
    for name in ["one", "two"] {
        page.shows(name, &[(5, rows), (6, 0)]);
    }
    eventually("each is the primary of about half", || {
        let primary = (page.number("one", 4)?, page.number("two", 4)?);
        let is_so = primary.0 + primary.1 == rows && primary.0.abs_diff(primary.1) <= rows / 4;
        if is_so { Ok(()) } else { Err(format!("{primary:?}")) }
    });
    assert_eq!(page.cell("one", 1).as_deref(), Ok("up"));
    assert_eq!(page.cell("two", 1).as_deref(), Ok("up"));

    page.0.click("//header//nav//a[.='Caches']");
    page.shows("counters", &[(3, 2), (4, 0)]);
    runtime.block_on(count(&[&ones, &twos], 0..50));
    page.shows("counters", &[(3, 2), (4, 50), (7, 50)]);
    runtime.block_on(count(&[&ones, &twos], 50..80));
    page.shows("counters", &[(3, 2), (4, 80), (7, 80)]);
    page.0.click("//main//a[.='counters']");
    for name in ["one", "two"] {
        // Both have a copy of each entry.
        page.shows(name, &[(1, 80), (6, 40)]);
    }

    page.0.open(&at("/topology"));
    page.says("two came");
    runtime.block_on(two.leave());
    page.says("two went");
    page.shows("one", &[(4, rows), (5, rows), (7, 80)]);
    assert!(page.cell("two", 1).is_err(), "it is a member no more");
    assert_eq!(page.0.complaints(), Vec::<String>::new());
    runtime.block_on(one.leave());
}

/// A session that a member makes and a second request writes; its id.
async fn session_of(sessions: &Sessions) -> String {
    let request = sessions.request(None);
    request.session().await.unwrap().set("secret", "of a user").unwrap();
    let Finished::New(id) = request.finish().await.unwrap() else {
        unreachable!("a session is new")
    };
    let request = sessions.request(Some(&id));
    request.session().await.unwrap().set("secret", "of the same").unwrap();
    request.finish().await.unwrap();
    id
}

#[test]
fn the_sessions_tab_shows_what_two_real_members_count_and_never_an_id() {
    let runtime = Runtime::new().unwrap();
    let (one, _ones) = runtime.block_on(join("one", None));
    let (two, _twos) = runtime.block_on(join("two", Some(&one)));
    let _within = runtime.enter();
    let shop = |member| Sessions::builder("shop").cluster(member).distributable(true);
    let (at_one, at_two) = (shop(&one).start().unwrap(), shop(&two).start().unwrap());
    let carts = Components::<u32>::builder("Cart").cluster(&two).start().unwrap();
    let _hosts = Sso::builder("hosts").cluster(&one).start().unwrap();
    let (_farm, balancer) = runtime.block_on(asks(&one));
    let page = Page(Browser::start(Scripts::Run));

    page.0.open(&format!("http://{}/sessions", balancer.manager));
    // Members, active, created, ended, requests.
    page.shows("web/shop", &[(3, 2), (4, 0), (6, 0), (7, 0), (9, 0)]);
    page.shows("sso/hosts", &[(3, 1), (4, 0)]);
    let ids: Vec<String> = runtime.block_on(async {
        let cart = carts.create(7).await.unwrap();
        for _ in 0..4 {
            carts.call(&cart, |count| *count += 1).await.unwrap();
        }
        let mut ids = vec![session_of(&at_two).await];
        for _ in 0..3 {
            ids.push(session_of(&at_one).await);
        }
        assert_eq!(at_one.invalidate(&ids[3]).await, Ok(true));
        ids
    });
    // Nobody reloads.
    page.shows("web/shop", &[(3, 2), (4, 3), (6, 4), (7, 1), (9, 9)]);
    page.shows("bean/Cart", &[(3, 1), (4, 1), (6, 1), (9, 4)]);
    page.0.click("//main//a[.='web/shop']");
    // Active, copies, created, ended, requests: each has a copy of all.
    page.shows("one", &[(1, 2), (2, 3), (3, 3), (4, 1), (6, 7)]);
    page.shows("two", &[(1, 1), (2, 3), (3, 1), (4, 0), (6, 2)]);
    let told = page.0.text("//main").unwrap();
    assert!(ids.iter().all(|id| !told.contains(id.as_str())) && !told.contains("of the same"));
    runtime.block_on(two.leave());
    // What it kept goes on, on the other one.
    page.shows("one", &[(1, 3), (2, 3), (3, 3), (4, 1)]);
    assert!(page.cell("two", 1).is_err(), "it has no sessions any more");
    assert_eq!(page.0.complaints(), Vec::<String>::new());
    runtime.block_on(one.leave());
}
