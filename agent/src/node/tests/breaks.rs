//! Connections that end while something is under way on them.

use tokio::time::timeout;

use muster_grid::Reply;

use super::{NodeState, PATIENCE, cluster, get, group, put, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_answer_that_was_lost_with_its_link() {
    let nodes = cluster(&["one", "two"]).await;
    let other = nodes[1].me();
    let led_there = |state: &NodeState| {
        let view = state.view.as_ref()?;
        let is_led_there = |name: &String| view.primary(group(name).row(view)) == Some(other);
        (0..1_000).map(|n| format!("k{n}")).find(is_led_there)
    };
    // A newcomer leads rows one view later than it has them.
    until(&nodes[0], "a row of the other's", |state| led_there(state).is_some()).await;
    let name = led_there(&nodes[0].state().borrow()).expect("a row of the other's");
    for number in 0..20_u8 {
        let (asker, name) = (nodes[0].clone(), name.clone());
        let asked = tokio::spawn(async move { put(&asker, &name, &[number]).await });
        nodes[0].shared.links.give_up(other);
        // Far less than the request's own deadline, which is as long for each.
        let reply =
            timeout(PATIENCE / 2, asked).await.expect("it is asked again").expect("it ends");
        assert!(matches!(reply, Reply::Written(_) | Reply::Unknown), "{reply:?}");
    }
    assert!(get(&nodes[0], &name).await.is_some());
}
