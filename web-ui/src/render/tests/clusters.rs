//! The tabs of what clusters of back ends have.

use super::*;

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
