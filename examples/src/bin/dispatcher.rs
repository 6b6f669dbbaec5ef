//! Commands to members of a cluster: to one, to all, to all others; and a member that has left.
//! With `--clustered` it is one member of a cluster of processes, and tells the others to add.

use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser;
use muster_agent::cluster::CommandError;
use muster_agent::{Cluster, Command, CommandDispatcher, MemberId, Targets};
use muster_examples::cluster::members;
use muster_examples::clustered::Node;
use muster_examples::ending::Ending;
use serde::{Deserialize, Serialize};

/// What a shop's members can be told.
#[derive(Serialize, Deserialize)]
enum Stock {
    Add(u32),
    Sell(u32),
    Count,
}

/// What each member has at hand.
struct Shelf {
    node: String,
    pieces: AtomicU32,
}

impl Command for Stock {
    type Context = Shelf;
    type Reply = (String, u32);

    async fn execute(self, shelf: &Shelf, _from: MemberId) -> Result<Self::Reply, String> {
        let pieces = &shelf.pieces;
        match self {
            Stock::Add(more) => {
                pieces.fetch_add(more, Ordering::Relaxed);
            }
            Stock::Sell(sold) => {
                let less = |there: u32| there.checked_sub(sold);
                pieces
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
                    .map_err(|there| format!("{} has only {there}", shelf.node))?;
            }
            Stock::Count => {}
        }
        Ok((shelf.node.clone(), pieces.load(Ordering::Relaxed)))
    }
}

/// Commands to members of a cluster
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { node } = Options::parse();
    if node.clustered {
        return one_of_many(&node).await;
    }
    let members = members(3).await?;
    let stocks = members.iter().map(dispatcher).collect::<anyhow::Result<Vec<_>>>()?;
    let (me, second) = (members[0].me().id, members[1].me().id);

    let (node, pieces) = stocks[0].execute(second, &Stock::Add(5)).await?;
    println!("one: {node} has {pieces}");
    println!("all: {}", told(&stocks[0], Targets::All, &Stock::Add(10)).await?);
    println!("others: {}", told(&stocks[0], Targets::AllBut(vec![me]), &Stock::Count).await?);

    match stocks[0].execute(second, &Stock::Sell(100)).await {
        Err(CommandError::Failed(why)) => println!("refused: {why}"),
        other => anyhow::bail!("nobody sells what is not there: {other:?}"),
    }

    members[1].leave().await;
    match stocks[0].execute(second, &Stock::Count).await {
        Err(CommandError::Left(_)) => println!("gone: answered for at once"),
        other => anyhow::bail!("it has left: {other:?}"),
    }
    println!("all: {}", told(&stocks[0], Targets::All, &Stock::Count).await?);
    members[2].leave().await;
    members[0].leave().await;
    Ok(())
}

/// One process of a cluster, until it is asked to end.
async fn one_of_many(node: &Node) -> anyhow::Result<()> {
    let mut ending = Ending::new(false)?;
    let member = node.join().await?;
    let stock = dispatcher(&member)?;
    println!("member {} at {}", member.me().name, member.me().address);
    println!("all: {}", told(&stock, Targets::All, &Stock::Add(10)).await?);
    ending.asked().await;
    member.leave().await;
    Ok(())
}

fn dispatcher(member: &Cluster) -> anyhow::Result<CommandDispatcher<Stock>> {
    let shelf = Shelf { node: member.me().name.to_string(), pieces: AtomicU32::new(0) };
    Ok(member.dispatcher("stock", shelf)?)
}

/// What all of them answered, by name.
async fn told(
    stock: &CommandDispatcher<Stock>,
    targets: Targets,
    command: &Stock,
) -> anyhow::Result<String> {
    let mut replies = Vec::new();
    for (_, reply) in stock.execute_on(targets, command).await?.all().await {
        let (node, pieces) = reply?;
        replies.push(format!("{node} {pieces}"));
    }
    replies.sort();
    Ok(replies.join(", "))
}
