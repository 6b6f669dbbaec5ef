//! What the HTML promises.

use proptest::prelude::*;

use super::*;
use crate::action::{Action, Target};
use crate::csrf::{Csrf, KEY_BYTES};
use crate::curl::Login;
use crate::page::samples::{cluster, event, node, page};
use crate::page::{
    Cache, Cluster, Context, Deployment, Drain, Firing, Job, Load, Member, MemberState, Pace,
    PastDrain, Property, Queue, Series, Singleton, VirtualHost,
};

fn csrf() -> Csrf {
    Csrf::new([7; KEY_BYTES])
}

/// Somebody who may act.
fn seen(page: &Page, looked: View, query: &str) -> String {
    let csrf = csrf();
    let viewer = viewer(csrf.token(), true);
    view(page, &viewer, &looked, &Look::from_query(query)).expect("a view")
}

fn viewer(token: &str, can_act: bool) -> Viewer<'_> {
    let (name, role) = ("anna", if can_act { "operator" } else { "viewer" });
    Viewer { name, role, can_act, can_leave: true, can_drain: true, token, theme: Theme::System }
}

fn html(page: &Page) -> String {
    seen(page, View::Nodes, "")
}

/// The page with everything between tags and in attributes that is not markup of ours taken
/// out: what is left must not depend on names.
fn skeleton(html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        let mut quoted = false;
        let end = rest
            .char_indices()
            .find(|(_, c)| {
                quoted ^= *c == '"';
                *c == '>' && !quoted
            })
            .map(|(at, _)| at)
            .expect("every tag is closed");
        // The even parts of a tag stand outside of its quotes: its name and attribute names.
        tags.push(rest[..=end].split('"').step_by(2).collect());
        rest = &rest[end..];
    }
    tags
}

fn named(name: &str) -> Page {
    let mut bad = node("n", Some("g"), 1);
    bad.route = name.to_owned();
    bad.domain = Some(name.to_owned());
    bad.balancer = name.to_owned();
    bad.address = name.to_owned();
    bad.properties = vec![Property {
        name: "Timeout".to_owned(),
        reported: name.to_owned(),
        overridden: Some(name.to_owned()),
    }];
    bad.virtual_hosts = vec![VirtualHost {
        aliases: vec![name.to_owned()],
        contexts: vec![Context {
            path: name.to_owned(),
            state: ContextState::Enabled,
            requests_in_flight: 0,
            requests: 0,
            errors: 0,
        }],
    }];
    let mut page = page(vec![bad]);
    page.product = name.to_owned();
    page.version = name.to_owned();
    page.balancers[0].name = name.to_owned();
    page.balancers[0].cookie = name.to_owned();
    page.balancers[0].path = name.to_owned();
    page.drains = vec![drain(name)];
    page.past_drains = vec![PastDrain {
        route: name.to_owned(),
        by: name.to_owned(),
        outcome: "done".to_owned(),
        seconds: 1,
        seconds_ago: 1,
        lost_requests: 0,
        moved_sessions: None,
    }];
    page.peers = vec![crate::page::Peer {
        name: name.to_owned(),
        answers: true,
        why_not: Some(name.to_owned()),
        seconds_since_answer: Some(1),
        disagreements: vec![name.to_owned()],
    }];
    page.clusters = vec![cluster(name)];
    page
}

fn drain(route: &str) -> Drain {
    Drain {
        route: route.to_owned(),
        by: route.to_owned(),
        sessions_then: Some(50),
        sessions_left: Some(37),
        requests_left: 2,
        requests_then: 9,
        seconds: 60,
        seconds_to_deadline: Some(240),
    }
}

fn every_view(page: &Page) -> Vec<String> {
    let csrf = csrf();
    let viewer = viewer(csrf.token(), true);
    let first = page.nodes().next().map(|node| node.route.clone()).unwrap_or_default();
    let form = Form {
        action: Action::new(Verb::Stop, Target::Node(first.clone())),
        confirmed: false,
        back: "/".to_owned(),
    };
    let look = Look::default();
    let reach =
        Reach { origin: "http://localhost".to_owned(), login: Login::None, certificate: false };
    let told = event(&first);
    let mut views = vec![View::Nodes, View::Node(first), View::Contexts, View::Topology];
    views.extend([View::Caches, View::Sessions, View::Singletons, View::Jobs, View::Settings]);
    views.push(View::Queues);
    views.extend(page.clusters.iter().flat_map(|cluster| {
        let of = |one: &Queue| (cluster.name.clone(), one.name.clone());
        cluster.queues.iter().map(of).map(|(cluster, queue)| View::Queue { cluster, queue })
    }));
    views.extend(page.clusters.iter().flat_map(|cluster| {
        let of = |one: &Job| View::Job { cluster: cluster.name.clone(), job: one.name.clone() };
        cluster.jobs.iter().map(of)
    }));
    views.extend(page.clusters.iter().flat_map(|cluster| {
        let of = |one: &Singleton| (cluster.name.clone(), one.name.clone());
        let of = cluster.singletons.iter().map(of);
        of.map(|(cluster, singleton)| View::Singleton { cluster, singleton })
    }));
    views.extend(page.clusters.iter().flat_map(|cluster| {
        let of = |one: &Deployment| (cluster.name.clone(), one.key());
        let of = cluster.deployments.iter().map(of);
        of.map(|(cluster, deployment)| View::Deployment { cluster, deployment })
    }));
    views.extend(page.clusters.iter().flat_map(|cluster| {
        let of = |cache: &Cache| (cluster.name.clone(), cache.name.clone());
        let of = cluster.caches.iter().map(of);
        of.map(|(cluster, cache)| View::Cache { cluster, cache })
    }));
    let mut all: Vec<String> =
        views.iter().map(|of| view(page, &viewer, of, &look).expect("a view")).collect();
    all.push(events(page, &viewer, &look, &[told]));
    all.extend(page.clusters.iter().map(|cluster| {
        let name = || cluster.name.clone();
        let wish = Change { cluster: name(), key: name(), value: Some(name()) };
        change(page, &viewer, &wish).expect("a change")
    }));
    all.push(config(page, &viewer, "threads = 2"));
    all.push(confirm(page, &viewer, &form, &reach));
    all.push(curl(page, &viewer, &form, &reach));
    all
}

#[test]
fn the_page_has_all_nine_items_of_the_figure() {
    let html = html(&page(vec![node("node1", Some("left"), 1)]));
    for item in [
        "muster/0.1.0",
        "http://127.0.0.1:8080",
        "<h3><a href=\"/nodes/node1\"><bdi>node1</bdi></a></h3>",
        "Virtual Host 1",
        r#"title="No new sessions; ongoing sessions stay">Disable</button>"#,
        r#"title="No requests; sessions fail over unless sticky-session-force">Stop</button>"#,
        "Enable Contexts</button>",
        "Disable Contexts</button>",
        "Stop Contexts</button>",
        "<span>LBGroup</span> <bdi>left</bdi>",
        "Load 100",
    ] {
        assert!(html.contains(item), "{item} is missing in {html}");
    }
}

#[test]
fn markup_in_a_name_is_text() {
    for html in every_view(&named(r#"<script>alert(1)</script>" onx=1 '"#)) {
        assert!(!html.contains("<script>"), "{html}");
        assert!(!html.contains(r#"" onx"#), "{html}");
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
    }
}

#[test]
fn a_name_that_turns_the_reading_direction_is_written_out() {
    let html = html(&named("a\u{202e}b"));
    assert!(html.contains(r"<bdi>a\u{202e}b</bdi></a></h3>"), "{html}");
}

#[test]
fn a_long_name_is_cut_and_whole_in_its_title() {
    let name = "x".repeat(10_000);
    let html = html(&named(&name));
    let shown = format!("<bdi title=\"{name}\">{}…</bdi></a></h3>", &name[..64]);
    assert!(html.contains(&shown));
}

#[test]
fn an_empty_page_says_what_to_do() {
    let empty = page(Vec::new());
    let html = html(&empty);
    assert!(html.contains("No node has registered yet"), "{html}");
    let caches = seen(&empty, View::Caches, "");
    assert!(caches.contains("No cluster is known") && caches.contains("[cluster]"), "{caches}");
}

#[test]
fn a_cluster_shows_who_is_there_what_has_changed_and_what_is_wrong() {
    let mut page = page(Vec::new());
    let mut shop = cluster("shop");
    shop.members.push(Member {
        name: "two".to_owned(),
        state: MemberState::Silent,
        ..shop.members[0].clone()
    });
    shop.warnings[0].text = "two does not answer".to_owned();
    page.clusters = vec![shop];
    let html = seen(&page, View::Topology, "");
    for part in [
        "<span>Cluster</span> <bdi>shop</bdi>",
        "quorate</span> quorum 2 of 3 known nodes",
        "512 segments",
        "<small>coordinator</small>",
        "<span class=\"s up\">up</span>",
        "<span class=\"s down\">silent</span>",
        "1 min 1 s",
        "5.60 MB",
        "<bdi>two does not answer</bdi>",
        ">12 ms",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let top = |page: &Page| seen(page, View::Nodes, "");
    assert!(top(&page).contains("Cluster shop: two does not answer"), "it needs attention");
    page.clusters[0].warnings[0].is_past = true;
    assert!(!top(&page).contains("Cluster shop: "), "it is over");
    page.clusters[0].error = Some("no answer within 2s".to_owned());
    assert!(top(&page).contains("No member of cluster shop answers"));
    page.clusters[0].view = String::new();
    assert!(!seen(&page, View::Topology, "").contains("coordinator"), "nothing is known of it");
}

#[test]
fn caches_are_found_and_shown_one_by_one() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop"), cluster("a/b c")];
    let all = seen(&page, View::Caches, "");
    assert!(all.contains("href=\"/caches/a%2Fb%20c/a%2Fb%20c\""), "{all}");
    assert!(all.contains("75 %") && all.contains("2.00 kB"), "{all}");
    assert!(!seen(&page, View::Caches, "q=shop").contains("a/b c"), "it is not looked for");
    let one = View::Cache { cluster: "a/b c".to_owned(), cache: "a/b c".to_owned() };
    let html = seen(&page, one, "");
    for part in ["Distribution and operations", "Rollbacks", "10 entries"] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let gone = View::Cache { cluster: "shop".to_owned(), cache: "none".to_owned() };
    let csrf = csrf();
    assert!(view(&page, &viewer(csrf.token(), true), &gone, &Look::default()).is_none());
}

#[test]
fn sessions_are_found_and_shown_in_counts_one_deployment_by_one() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop"), cluster("a/b c")];
    let all = seen(&page, View::Sessions, "");
    assert!(all.contains("href=\"/sessions/a%2Fb%20c/web%2Fa%2Fb%20c\""), "{all}");
    assert!(all.contains("1\u{202f}234") && all.contains("2\u{202f}345"), "{all}");
    assert!(!seen(&page, View::Sessions, "q=web/shop").contains("a/b c"), "it is not looked for");
    let of = |cluster: &str, deployment: &str| View::Deployment {
        cluster: cluster.to_owned(),
        deployment: deployment.to_owned(),
    };
    let html = seen(&page, of("a/b c", "web/a/b c"), "");
    for part in ["1\u{202f}234 sessions", "Passivated", "Rollbacks"] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let csrf = csrf();
    let gone = of("shop", "bean/shop");
    assert!(view(&page, &viewer(csrf.token(), true), &gone, &Look::default()).is_none());
    page.clusters.clear();
    assert!(seen(&page, View::Sessions, "").contains("No cluster is known"));
}

#[test]
fn queues_are_found_and_shown_with_their_consumers_and_dead_letters() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop"), cluster("a/b c")];
    let all = seen(&page, View::Queues, "");
    assert!(all.contains("href=\"/queues/a%2Fb%20c/a%2Fb%20c\""), "{all}");
    assert!(all.contains("7\u{202f}654") && all.contains("class=\"s warning\">2<"), "{all}");
    assert!(!seen(&page, View::Queues, "q=shop").contains("a/b c"), "it is not looked for");
    let of = || View::Queue { cluster: "shop".to_owned(), queue: "shop".to_owned() };
    let html = seen(&page, of(), "");
    for part in ["its home is", "2 dead", "30.0 s", ">Deliver again<", "on 1 of 1 members"] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let csrf = csrf();
    let looked = view(&page, &viewer(csrf.token(), false), &of(), &Look::default()).unwrap();
    assert!(!looked.contains("/queues/requeue"), "a viewer has no verbs");
    let queue = &mut page.clusters[0].queues[0];
    (queue.dead, queue.home) = (0, None);
    let html = seen(&page, of(), "");
    assert!(html.contains("nobody says") && html.contains("none dead"), "{html}");
    assert!(!html.contains("/queues/requeue"), "there is nothing to deliver again");
    let gone = View::Queue { cluster: "shop".to_owned(), queue: "none".to_owned() };
    assert!(view(&page, &viewer(csrf.token(), true), &gone, &Look::default()).is_none());
}

#[test]
fn jobs_are_found_and_shown_with_what_became_of_their_firings() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop"), cluster("a/b c")];
    let all = seen(&page, View::Jobs, "");
    assert!(all.contains("href=\"/jobs/a%2Fb%20c/a%2Fb%20c\""), "{all}");
    assert!(all.contains(">paused<") && all.contains("5\u{202f}432"), "{all}");
    assert!(!seen(&page, View::Jobs, "q=shop").contains("a/b c"), "it is not looked for");
    let of = || View::Job { cluster: "shop".to_owned(), job: "shop".to_owned() };
    let html = seen(&page, of(), "");
    for part in [">Run now<", ">Resume<", "Under way", ">done<", "12 ms"] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    let csrf = csrf();
    let looked = view(&page, &viewer(csrf.token(), false), &of(), &Look::default()).unwrap();
    assert!(!looked.contains("/jobs/act"), "a viewer has no verbs");
    let job = &mut page.clusters[0].jobs[0];
    (job.is_paused, job.open) = (false, Vec::new());
    let failed = Firing { outcome: "failed".to_owned(), ..job.history[0].clone() };
    job.history.insert(0, failed);
    let html = seen(&page, of(), "");
    assert!(html.contains("in 1 min 1 s") && html.contains(">Pause<"), "{html}");
    assert!(!html.contains("Under way"), "{html}");
    assert!(seen(&page, View::Jobs, "q=failed").contains("class=\"s down\">failed<"));
    let gone = View::Job { cluster: "shop".to_owned(), job: "none".to_owned() };
    assert!(view(&page, &viewer(csrf.token(), true), &gone, &Look::default()).is_none());
}

#[test]
fn settings_are_shown_with_who_set_them_and_changed_after_a_question() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop"), Cluster { settings: None, ..cluster("old") }];
    let html = seen(&page, View::Settings, "");
    for part in ["version 7", ">Unset<", "not used", "What can be set: 1", "Changes"] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
    assert!(!html.contains(">old<"), "it tells nothing of its settings");
    assert!(seen(&page, View::Settings, "q=none").contains("Nothing that is set is so"));
    let csrf = csrf();
    let looked = |can_act| {
        let viewer = viewer(csrf.token(), can_act);
        view(&page, &viewer, &View::Settings, &Look::default()).unwrap()
    };
    assert!(
        looked(true).contains("/settings/change") && !looked(false).contains("/settings/change")
    );
    let asked = |cluster: &str, key: &str, value: Option<&str>| {
        let (cluster, key) = (cluster.to_owned(), key.to_owned());
        let wish = Change { cluster, key, value: value.map(str::to_owned) };
        change(&page, &viewer(csrf.token(), true), &wish)
    };
    let question = asked("shop", "shop", Some("12")).unwrap();
    for part in ["to <bdi>12</bdi>?", "since version 6", "name=\"version\" value=\"7\"", ">Set<"] {
        assert!(question.contains(part), "{part} is missing in {question}");
    }
    assert!(asked("shop", "shop", None).unwrap().contains("name=\"unset\" value=\"yes\""));
    assert!(asked("shop", "other", Some("1")).unwrap().contains("knows no such setting"));
    assert!(asked("old", "shop", None).is_none() && asked("none", "shop", None).is_none());
}

#[test]
fn what_clusters_tell_stands_among_the_balancers_own_events() {
    let mut page = page(Vec::new());
    page.clusters = vec![cluster("shop")];
    let csrf = csrf();
    let viewer = viewer(csrf.token(), true);
    let own = |at_ms: u64, name: &str| Event { at_ms, ..event(name) };
    let told = page.clusters[0].events[0].at_ms;
    let own = [own(told + 1, "later"), own(told - 1, "before")];
    let shown = |query: &str| events(&page, &viewer, &Look::from_query(query), &own);
    let all = shown("");
    let at = |name: &str| all.find(&format!("<bdi>{name}</bdi>")).expect(name);
    assert!(at("later") < at("shop") && at("shop") < at("before"), "{all}");
    assert!(shown("q=shop").contains("<bdi>shop</bdi>") && !shown("q=shop").contains("later"));
}

#[test]
fn a_thousand_caches_and_a_cluster_of_many_stay_small() {
    let mut page = page(Vec::new());
    let mut large = cluster("shop");
    large.caches = (0..1000).map(|at| cluster(&format!("cache{at}")).caches.remove(0)).collect();
    large.members = (0..256).map(|at| cluster(&format!("member{at}")).members.remove(0)).collect();
    page.clusters = vec![large];
    let (caches, topology) = (seen(&page, View::Caches, ""), seen(&page, View::Topology, ""));
    println!("{} and {} bytes", caches.len(), topology.len());
    assert!(caches.len() < 60_000 && topology.len() < 60_000);
    assert!(caches.contains("Page 1 of 10") && topology.contains("and 156 more"), "{topology}");
}

#[test]
fn states_are_words() {
    let mut one = node("a", None, 3);
    one.state = NodeState::Standby;
    one.load = Load::new(0);
    one.virtual_hosts[0].contexts[1].state = ContextState::Disabled;
    one.virtual_hosts[0].contexts[2].state = ContextState::Stopped;
    let html = html(&page(vec![one]));
    for word in [">standby<", ">enabled<", ">disabled<", ">stopped<", "used only when no other"] {
        assert!(html.contains(word), "{word}");
    }
}

#[test]
fn a_viewer_sees_all_and_gets_no_verb() {
    let csrf = csrf();
    let page = page(vec![node("a", Some("g"), 2)]);
    for of in [View::Nodes, View::Node("a".to_owned())] {
        let html = view(&page, &viewer(csrf.token(), false), &of, &Look::default()).unwrap();
        assert!(html.contains("/app1"), "{html}");
        assert!(!html.contains("action=/action") && !html.contains("action=\"/action\""), "{html}");
    }
}

#[test]
fn a_drain_shows_how_far_it_is_with_its_ways_out() {
    let mut page = page(vec![node("a", None, 1)]);
    page.drains = vec![drain("a")];
    let html = html(&page);
    for part in [
        "37 sessions left</b> of 50",
        "2 in flight",
        "13 a minute",
        "done in about 2 min 51 s",
        "deadline in 4 min 0 s",
        "value=\"26\"",
        ">Cancel</button>",
        ">Stop now</button>",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
}

/// The worst: every node with traffic that makes its chart as long as it can be.
fn busy(nodes: usize) -> Page {
    let one = |at: usize| {
        let mut one = node(&format!("node-{at:03}"), Some("group"), 10);
        let wild = |n: usize| ((n * 7_919 + at * 31) % 97) as f32;
        let requests: Vec<f32> = (0..60).map(wild).collect();
        let errors = requests.iter().map(|value| value / 50.0).collect();
        let series = Series { requests, errors, ..Series::default() };
        one.pace = Pace { series, requests: 10_000, requests_per_second: 31.4, ..Pace::default() };
        one
    };
    let mut page = page((0..nodes).map(one).collect());
    page.pace.series = page.groups[0].nodes[0].pace.series.clone();
    page
}

#[test]
fn a_hundred_nodes_of_ten_contexts_stay_under_100_kb() {
    for nodes in [100, 1_000] {
        let html = html(&busy(nodes));
        println!("{nodes} nodes: {} bytes", html.len());
        assert!(html.len() < 100_000, "{} bytes", html.len());
        assert_eq!(html.matches("Virtual Host 1").count(), 0, "contexts are a link away");
        assert!(html.contains("href=\"/nodes/node-041\""));
    }
    assert_eq!(html(&busy(10)).matches("Virtual Host 1").count(), 10, "few are all shown");
    let last = seen(&busy(1_000), View::Nodes, "page=99");
    assert!(last.contains("Page 10 of 10") && last.contains("node-999"));
    let one = seen(&busy(1_000), View::Nodes, "q=node-777");
    assert!(one.contains("Virtual Host 1") && !one.contains("node-778"));
}

#[test]
fn the_other_views_of_many_nodes_stay_small_too() {
    let page = busy(1_000);
    for (of, most) in [(View::Contexts, 40_000), (View::Topology, 60_000)] {
        let html = seen(&page, of.clone(), "");
        assert!(html.len() < most, "{of:?}: {} bytes", html.len());
    }
}

#[test]
fn nothing_is_asked_of_another_host() {
    for html in every_view(&page(vec![node("a", None, 1)])) {
        for outside in ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url(", "style=\""] {
            assert!(!html.contains(outside), "{outside}");
        }
    }
}

#[test]
fn only_the_parts_that_changed_differ() {
    let calm = page(vec![node("a", None, 1), node("b", None, 1), node("c", None, 1)]);
    let mut busy = calm.clone();
    busy.groups[0].nodes[1].requests_in_flight = 7;
    let (calm, busy) = (html(&calm), html(&busy));
    let (calm, busy) = (parts(&calm), parts(&busy));
    assert_eq!(calm.len(), busy.len());
    let changed: Vec<usize> = (0..calm.len()).filter(|at| calm[*at] != busy[*at]).collect();
    assert_eq!(changed.len(), 2, "the node's, and the sum's");
    assert!(calm[0].ends_with("<div id=\"zone\">") && calm[0].contains("<title>"));
}

#[test]
fn a_confirmation_says_the_numbers_and_carries_the_action_whole() {
    let csrf = csrf();
    let mut one = node("a", None, 1);
    one.virtual_hosts[0].contexts[0].requests_in_flight = 12;
    let form = Form {
        action: Action::new(Verb::Stop, Target::Node("a".to_owned())),
        confirmed: false,
        back: "/nodes/a".to_owned(),
    };
    let reach = Reach { origin: "http://h".to_owned(), login: Login::None, certificate: false };
    let html = confirm(&page(vec![one]), &viewer(csrf.token(), true), &form, &reach);
    for part in [
        "Stop node a?",
        "12 requests in flight finish",
        "/app0 will have 0 nodes: clients get 503",
        "name=\"confirmed\" value=\"yes\"",
        "name=\"route\" value=\"a\"",
        "name=\"stop\" value=\"*\"",
        "href=\"/nodes/a\">Back without a change",
        "route=a&#38;stop=%2A",
    ] {
        assert!(html.contains(part), "{part} is missing in {html}");
    }
}

#[test]
fn a_refusal_and_a_login_show_their_message_as_text() {
    let html = refusal("400 Bad Request", "\"<b>\" is no field");
    assert!(html.contains("&#34;&#60;b&#62;&#34; is no field"), "{html}");
    let html = login("muster/0.1.0", "/?q=\"><b>", "<b>", Theme::Dark);
    assert!(!html.contains("<b>\"") && html.contains("&#60;b&#62;"), "{html}");
    assert!(html.contains("data-theme=\"dark\""), "{html}");
}

proptest! {
    #[test]
    fn no_name_breaks_out_of_the_markup(
        name in prop_oneof![any::<String>(), "[<>\"'&=/ a-z\\PC]{0,40}", "\\PC{65,90}"],
    ) {
        // An empty name has no node page; and its skeleton is that of any other short name.
        prop_assume!(!name.is_empty());
        let cut = crate::text::cut(&crate::text::visible(&name)).is_some();
        let plain = if cut { "x".repeat(90) } else { "x".to_owned() };
        for (one, other) in every_view(&named(&name)).iter().zip(every_view(&named(&plain))) {
            prop_assert_eq!(skeleton(one), skeleton(&other));
        }
    }

    /// What a browser sends for the first button of a form is the action that it stands for.
    #[test]
    fn the_forms_carry_the_names_whole(name in "/[^\\p{C}]{0,40}") {
        let html = html(&named(&name));
        let form = html.rsplit_once("<form class=host").expect("a form").1;
        let mut fields: Vec<String> = form
            .split("<input type=hidden name=")
            .skip(1)
            .map(|rest| rest.split('>').next().expect("the end of the tag"))
            .map(|pair| pair.replacen(" value=", "=", 1).replace('"', ""))
            .collect();
        let button = form.split("<button name=").nth(1).expect("a button");
        let (verb, rest) = button.split_once(" value=\"").expect("a value");
        let value = rest.split('"').next().expect("the end of the value");
        fields.push(format!("{verb}={value}"));
        let sent: Vec<String> = fields.iter().map(|field| urlencoded(&unescaped(field))).collect();

        let form = Form::parse(sent.join("&").as_bytes(), Some(&csrf())).expect("a good form");
        let (route, aliases) = (name.clone(), vec![name.clone()]);
        let target = Target::Context { route, aliases, path: name };
        prop_assert_eq!(form.action, Action::new(Verb::Disable, target));
    }
}

fn unescaped(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn urlencoded(field: &str) -> String {
    let (name, value) = field.split_once('=').expect("a field");
    let set = percent_encoding::NON_ALPHANUMERIC;
    format!("{name}={}", percent_encoding::utf8_percent_encode(value, set))
}
