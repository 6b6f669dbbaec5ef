//! The Topology and Caches tabs in a real browser, before real members.

#[allow(dead_code, clippy::panic, reason = "the tools of the page's own stories")]
#[path = "../../../balancer/tests/browser/http.rs"]
mod http;
#[allow(dead_code, clippy::panic, reason = "the tools of the page's own stories")]
#[path = "../../../balancer/tests/browser/webdriver.rs"]
mod webdriver;

use std::time::Duration;

use muster_agent::{Cache, Cluster, Mode};
use muster_loadtests::testkit::Farm;
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
    let management = one.management().unwrap();
    let settings =
        format!("[cluster]\nmembers = [\"http://{management}\"]\ninterval = \"100ms\"\n");
    let farm = Farm::new().unwrap();
    let balancer = runtime.block_on(farm.balancer(&settings)).unwrap();
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
