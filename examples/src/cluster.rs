//! Members of a cluster in one process, over loopback: what the cluster's examples share.

use muster_agent::Cluster;

/// So many members, each on a free port. They know the first by its address; in real life each is
/// a process, and multicast, a list, DNS, a directory or the balancers tell them of each other.
///
/// # Errors
/// When one cannot come in.
pub async fn members(count: usize) -> anyhow::Result<Vec<Cluster>> {
    let mut members: Vec<Cluster> = Vec::new();
    for number in 1..=count {
        let builder = Cluster::builder(format!("node{number}")).port(0);
        let builder = match members.first() {
            None => builder.find_nobody(),
            Some(first) => builder.members([&*first.me().address]),
        };
        members.push(builder.join().await?);
    }
    for member in &members {
        let mut views = member.engine().group().watch();
        views.wait_for(|view| view.members.len() == count).await?;
        member.balanced().await;
    }
    Ok(members)
}
