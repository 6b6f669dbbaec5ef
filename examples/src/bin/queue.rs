//! A queue over three members: listeners on two, messages from the third, a request with its answer,
//! a message that fails too often, and a topic. All members run in this process.

use std::time::Duration;

use muster_agent::queue::{QueueError, Received, Sending};
use muster_agent::{Cluster, Queue};
use muster_examples::cluster::members;
use tokio::sync::mpsc;

/// Longer than anything takes.
const WAIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let members = members(3).await?;
    shared(&members).await?;
    in_order(&members).await?;
    asked(&members).await?;
    poisoned(&members).await?;
    news(&members).await?;
    for member in members.iter().rev() {
        member.leave().await;
    }
    Ok(())
}

fn queue(member: &Cluster, name: &str) -> anyhow::Result<Queue<String>> {
    Ok(member.queue(name).most_tries(2).start()?)
}

/// Two listeners share the messages.
async fn shared(members: &[Cluster]) -> anyhow::Result<()> {
    let (said, mut heard) = mpsc::unbounded_channel();
    let listen = |at: usize| -> anyhow::Result<_> {
        let said = said.clone();
        Ok(queue(&members[at], "/queue/work")?.listen(move |work: Received<String>| {
            let said = said.clone();
            async move { said.send((at, work.into_inner())) }
        }))
    };
    let listeners = (listen(1)?, listen(2)?);
    let work = queue(&members[0], "/queue/work")?;
    for number in 0..20 {
        work.publish(&format!("work {number}")).await?;
    }
    let mut done = [0; 3];
    for _ in 0..20 {
        let (at, _) = tokio::time::timeout(WAIT, heard.recv()).await?.unwrap_or_default();
        done[at] += 1;
    }
    println!(
        "shared: {} messages, both at work: {}",
        done[1] + done[2],
        done[1] > 0 && done[2] > 0
    );
    listeners.0.stop().await;
    listeners.1.stop().await;
    Ok(())
}

/// Messages of one group come in order, whoever handles them; and an id counts once.
async fn in_order(members: &[Cluster]) -> anyhow::Result<()> {
    let orders = queue(&members[0], "/queue/orders")?;
    for step in ["ordered", "paid", "shipped"] {
        orders.publish_with(&step.to_owned(), Sending::new().group("order 7")).await?;
    }
    let twice = Sending::new().group("order 7").id("end");
    let first = orders.publish_with(&"closed".to_owned(), twice.clone()).await?;
    let second = orders.publish_with(&"closed".to_owned(), twice).await?;
    let (said, mut heard) = mpsc::unbounded_channel();
    let _listener = queue(&members[2], "/queue/orders")?.listener().concurrency(4).start(
        move |step: Received<String>| {
            let said = said.clone();
            async move { said.send(step.into_inner()) }
        },
    );
    let mut steps = Vec::new();
    while steps.len() < 4 {
        steps.extend(tokio::time::timeout(WAIT, heard.recv()).await?);
    }
    println!("in order: {}; published twice: {first} {second}", steps.join(", "));
    Ok(())
}

/// A request and its answer.
async fn asked(members: &[Cluster]) -> anyhow::Result<()> {
    let lengths = queue(&members[1], "/queue/lengths")?;
    let _listener = lengths
        .listener()
        .respond(|text: Received<String>| async move { Ok::<_, String>(text.len() as u64) });
    let asked = queue(&members[0], "/queue/lengths")?;
    let length: u64 = asked.request(&"four".to_owned(), WAIT).await?;
    let nobody = queue(&members[0], "/queue/nobody")?;
    let soon = Duration::from_millis(100);
    let missing = nobody.request::<u64>(&"four".to_owned(), soon).await;
    println!("asked: {length}; nobody: {}", missing == Err(QueueError::NoAnswer(soon)));
    Ok(())
}

/// What fails too often waits among the dead letters.
async fn poisoned(members: &[Cluster]) -> anyhow::Result<()> {
    let poison = queue(&members[0], "/queue/poison")?;
    let _listener = poison.listen(|_: Received<String>| async { Err::<(), _>("cannot be done") });
    poison.publish(&"poison".to_owned()).await?;
    let letters = loop {
        let letters = poison.dead_letters(10).await?;
        if !letters.is_empty() {
            break letters;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!("dead: {} after {} tries", poison.read(&letters[0])?, letters[0].tries);
    poison.drop_dead(&letters).await?;
    Ok(())
}

/// A topic goes to everybody who listens.
async fn news(members: &[Cluster]) -> anyhow::Result<()> {
    let mut here = members[1].topic::<String>("/topic/news").subscribe().await;
    let mut there = members[2].topic::<String>("/topic/news").subscribe().await;
    members[0].topic("/topic/news").publish(&"all is well".to_owned()).await?;
    for heard in [&mut here, &mut there] {
        if let Some(heard) = tokio::time::timeout(WAIT, heard.next()).await? {
            println!("news: {}", heard?.value);
        }
    }
    Ok(())
}
