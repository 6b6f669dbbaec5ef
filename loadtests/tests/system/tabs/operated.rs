//! What operators set, start and watch: the tabs Jobs, Settings, Singletons and Events.

use muster_agent::job::Run;
use muster_agent::settings::{How, Setting};
use muster_agent::singleton::{Policy, Singleton};
use muster_agent::{Cluster, Job};
use muster_loadtests::testkit::{Balancer, Farm};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::webdriver::{Browser, Scripts, eventually};
use super::{Page, asks, join};

/// Two members, and a browser before a balancer that asks the first one.
struct World {
    page: Page,
    balancer: Balancer,
    _farm: Farm,
    one: Cluster,
    two: Cluster,
    runtime: Runtime,
}

// === impl World ===

impl World {
    fn new() -> World {
        let runtime = Runtime::new().unwrap();
        let (one, _) = runtime.block_on(join("one", None));
        let (two, _) = runtime.block_on(join("two", Some(&one)));
        let (farm, balancer) = runtime.block_on(asks(&one));
        let page = Page(Browser::start(Scripts::Run));
        World { page, balancer, _farm: farm, one, two, runtime }
    }

    fn open(&self, path: &str) {
        self.page.0.open(&format!("http://{}{path}", self.balancer.manager));
    }

    fn press(&self, button: &str) {
        self.page.0.click(&format!("//main//button[.='{button}']"));
    }

    /// Ends well, with so many verbs that were refused: a browser complains of each.
    fn ends(self, refused: usize) {
        let complaints = self.page.0.complaints();
        let is_refusal = |complaint: &&String| complaint.contains("409 (Conflict)");
        let refusals = complaints.iter().filter(is_refusal).count();
        assert_eq!((refusals, complaints.len()), (refused, refused), "{complaints:?}");
        self.runtime.block_on(async {
            self.two.leave().await;
            self.one.leave().await;
        });
    }
}

/// A job that fires once a year, and whose runs wait until the gate is open.
fn yearly(member: &Cluster, gate: &watch::Receiver<bool>) -> Job {
    let gate = gate.clone();
    let job = member.job("report").cron("0 3 1 1 *", "Europe/Berlin");
    job.start(move |_: Run| {
        let mut gate = gate.clone();
        async move { gate.wait_for(|is_open| *is_open).await.map(|_| ()) }
    })
    .unwrap()
}

#[test]
fn the_jobs_tab_runs_pauses_and_resumes_a_job_of_two_real_members() {
    let world = World::new();
    let (open, gate) = watch::channel(false);
    let within = world.runtime.enter();
    let jobs = [yearly(&world.one, &gate), yearly(&world.two, &gate)];
    drop(within);
    world.open("/jobs");
    // Cluster, when, next, running on.
    eventually("the job and its next firing", || {
        let (when, next) = (world.page.cell("report", 2)?, world.page.cell("report", 3)?);
        let is_so = when.contains("0 3 1 1 *") && next.starts_with("in ");
        if is_so { Ok(()) } else { Err(format!("{when}, {next}")) }
    });
    assert_eq!(world.page.cell("report", 4).as_deref(), Ok("–"));
    world.page.0.click("//main//a[.='report']");
    world.page.says("Members that have it: 2");
    world.press("Run now");
    world.page.says("by an operator");
    world.open("/jobs");
    let runs_on = eventually("who runs it", || {
        let runs_on = world.page.cell("report", 4)?;
        if ["one", "two"].contains(&&*runs_on) { Ok(runs_on) } else { Err(runs_on) }
    });
    open.send(true).unwrap();
    // Nobody reloads: the last run on, its token, its outcome; how many are done.
    eventually("it is done", || {
        let cells = [4, 5, 6, 7].map(|at| world.page.cell("report", at));
        match &cells {
            [Ok(running), Ok(last), Ok(token), Ok(outcome)]
                if running == "–"
                    && *last == runs_on
                    && token.contains('.')
                    && outcome.starts_with("done") =>
            {
                Ok(())
            }
            cells => Err(format!("{cells:?}")),
        }
    });
    world.page.shows("report", &[(8, 1), (9, 0), (10, 0)]);
    world.page.0.click("//main//a[.='report']");
    world.press("Pause");
    world.page.says("paused");
    world.press("Resume");
    eventually("it goes on", || {
        let text = world.page.0.text("//main")?;
        if text.contains("paused") { Err(text) } else { Ok(()) }
    });
    world.page.says("Firings: 1 done");
    world.open("/events");
    for told in ["job report of shop", "report is paused", "report goes on"] {
        world.page.says(told);
    }
    world.runtime.block_on(async {
        for job in jobs {
            job.stop().await;
        }
    });
    world.ends(0);
}

#[test]
fn the_settings_tab_sets_and_unsets_for_all_members_after_a_question() {
    const KEY: &str = "shop.limits.carts";
    let world = World::new();
    for member in [&world.one, &world.two] {
        let carts = Setting::whole(KEY, 1..=1000).default("100").about("carts of a user");
        member.settings().register(carts).unwrap();
    }
    let now = |member: &Cluster| member.settings().view("").whole(KEY);
    world.open("/settings");
    world.page.says("all is at its default");
    let set = |value: &str| {
        world.page.0.type_into("//main//input[@name='key']", KEY);
        world.page.0.type_into("//main//input[@name='value']", value);
        world.press("Set");
        world.page.says(&format!("to {value}?"));
    };
    set("250");
    world.page.says("It counts on 2 members of cluster shop at once");
    world.page.says("a whole number from 1 to 1000");
    assert_eq!((now(&world.one), now(&world.two)), (Some(100), Some(100)), "only asked");
    world.press("Set");
    // Value, default, since version.
    world.page.shows(KEY, &[(1, 250), (2, 100), (3, 1)]);
    eventually("all members have it", || match (now(&world.one), now(&world.two)) {
        (Some(250), Some(250)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    // Who opened the question before somebody else set it is told so, and changes nothing.
    set("300");
    world.runtime.block_on(world.two.settings().set(KEY, "500", &How::by("ann"))).unwrap();
    world.press("Set");
    world.page.says("the settings have version 2 by now, not 1");
    world.open("/settings");
    world.page.shows(KEY, &[(1, 500), (3, 2)]);
    assert_eq!(world.page.cell(KEY, 5).as_deref(), Ok("ann"));
    set("0");
    world.press("Set");
    world.page.says("\"0\": a whole number from 1 to 1000 is possible");
    world.open("/settings");
    world.press("Unset");
    world.page.says("It is 500 now");
    world.press("Unset");
    world.page.says("all is at its default");
    world.page.says("its default");
    eventually("the default counts again", || match (now(&world.one), now(&world.two)) {
        (Some(100), Some(100)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    world.ends(2);
}

#[test]
fn the_events_tab_tells_what_happens_to_members_and_to_a_singleton_that_is_moved() {
    let world = World::new();
    let within = world.runtime.enter();
    for member in [&world.one, &world.two] {
        let timer = Singleton::daemon("timer").policy(Policy::oldest());
        let body = |term: muster_agent::singleton::Term| async move {
            term.stopped().await;
            Ok(())
        };
        timer.start(member, body).unwrap();
    }
    drop(within);
    world.open("/singletons/shop/timer");
    world.page.says("runs on one");
    world.page.0.click("//main//select[@name='node']/option[.='two']");
    world.press("Move");
    world.page.says("runs on two");
    world.open("/events?q=singleton");
    for told in ["timer moves to two", "timer stopped on one", "timer started on two with token"] {
        world.page.says(told);
    }
    let row = |what: &str| format!("//main//tr[contains(., '{what}')]");
    let started = world.page.0.text(&row("timer started on two")).unwrap();
    assert!(started.contains("singleton") && started.contains("cluster shop"), "{started}");
    world.open("/events");
    world.runtime.block_on(world.two.leave());
    // Nobody reloads.
    world.page.says("two went");
    let first = world.page.0.text("//main//tbody/tr[1]").unwrap();
    assert!(!first.contains("two came"), "the latest is first: {first}");
    world.page.says("timer started on one with token");
    world.ends(0);
}
