//! What the HTML promises.

mod clusters;

use proptest::prelude::*;

use super::*;
use crate::action::{Action, Target};
use crate::csrf::{Csrf, KEY_BYTES};
use crate::curl::Login;
use crate::page::samples::{cluster, event, node, page};
use crate::page::{
    Cluster, Context, Drain, Firing, Load, Member, MemberState, Pace, PastDrain, Property, Series,
    VirtualHost,
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

/// A view of each thing of a kind that clusters have.
fn each<T>(page: &Page, of: fn(&Cluster) -> &[T], view: fn(String, &T) -> View) -> Vec<View> {
    let views = |cluster: &Cluster| -> Vec<View> {
        of(cluster).iter().map(|one| view(cluster.name.clone(), one)).collect()
    };
    page.clusters.iter().flat_map(views).collect()
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
    views.extend(each(
        page,
        |of| &of.queues,
        |cluster, one| View::Queue { cluster, queue: one.name.clone() },
    ));
    views.extend(each(
        page,
        |of| &of.jobs,
        |cluster, one| View::Job { cluster, job: one.name.clone() },
    ));
    views.extend(each(
        page,
        |of| &of.singletons,
        |cluster, one| View::Singleton { cluster, singleton: one.name.clone() },
    ));
    views.extend(each(
        page,
        |of| &of.deployments,
        |cluster, one| View::Deployment { cluster, deployment: one.key() },
    ));
    views.extend(each(
        page,
        |of| &of.caches,
        |cluster, one| View::Cache { cluster, cache: one.name.clone() },
    ));
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
