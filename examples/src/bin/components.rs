//! A shopping cart as a stateful component on two members: one of them breaks off, the cart goes on.

use muster_agent::component::Handle;
use muster_agent::{Cluster, ComponentError, Components};
use muster_examples::cluster::members;
use serde::{Deserialize, Serialize};

/// A customer's cart. The sum is not kept: it is computed where the cart is activated.
#[derive(Default, Serialize, Deserialize)]
struct Cart {
    pieces: Vec<(String, u32)>,
    #[serde(skip)]
    sum: u32,
}

impl Cart {
    fn put(&mut self, piece: &str, price: u32) -> String {
        self.pieces.push((piece.to_owned(), price));
        self.sum += price;
        format!("{} pieces, {} in all", self.pieces.len(), self.sum)
    }

    fn activate(&mut self) {
        self.sum = self.pieces.iter().map(|(_, price)| price).sum();
    }
}

/// The carts, as a member has them. Every member says the same of them.
fn carts(member: &Cluster) -> anyhow::Result<Components<Cart>> {
    let builder = Components::builder("cart").cluster(member).on_activate(Cart::activate);
    Ok(builder.start()?)
}

/// Two members fill one cart at once: it has one call at a time, and every call counts.
async fn fill(carts: [&Components<Cart>; 2], cart: &Handle<Cart>) -> anyhow::Result<()> {
    let calls = carts.map(|carts| {
        let (carts, cart) = (carts.clone(), cart.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                carts.call(&cart, |cart| cart.put("sugar", 1)).await?;
            }
            Ok::<_, ComponentError>(())
        })
    });
    for call in calls {
        call.await??;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut members = members(2).await?;
    let second = members.remove(1);
    let (first_carts, second_carts) = (carts(&members[0])?, carts(&second)?);

    let cart = first_carts.create(Cart::default()).await?;
    println!("node1: {}", first_carts.call(&cart, |cart| cart.put("tea", 7)).await?);
    println!("node2: {}", second_carts.call(&cart, |cart| cart.put("milk", 2)).await?);
    fill([&first_carts, &second_carts], &cart).await?;
    println!("both: {} pieces", second_carts.read(&cart).await?.pieces.len());

    // As if its process were killed: nothing is handed over.
    drop((first_carts, members));
    println!("node1 is gone");
    println!("node2: {}", second_carts.call(&cart, |cart| cart.put("jam", 4)).await?);

    second_carts.remove(&cart).await?;
    match second_carts.call(&cart, |_| ()).await {
        Err(ComponentError::NotFound) => println!("node2: the cart was removed"),
        other => anyhow::bail!("nobody finds what was removed: {other:?}"),
    }
    second.leave().await;
    Ok(())
}
