//! Stateful components, on every engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use muster_agent::component::{CheckedOut, ComponentsBuilder, Handle};
use muster_agent::{Cluster as Member, ComponentError, Components, FileShelf, Sessions};
use serde::{Deserialize, Serialize};

use crate::fixture::{Cluster, eventually};

/// A shopping cart, and what its hooks did.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Cart {
    pieces: Vec<String>,
    activated: u32,
    passivated: u32,
}

/// The carts of one name, as every member has them.
fn carts(
    cluster: &Cluster,
    name: &str,
    set: impl Fn(ComponentsBuilder<Cart>) -> ComponentsBuilder<Cart>,
) -> Vec<Components<Cart>> {
    let of = |engine: &Arc<_>| {
        let member = Member::over(Arc::clone(engine));
        set(Components::builder(name).cluster(&member)).start().unwrap()
    };
    cluster.engines.iter().map(of).collect()
}

pub(crate) async fn every_call_of_a_component_counts_whichever_member_makes_it(cluster: &Cluster) {
    let carts = carts(cluster, "counted", |builder| builder);
    let cart = carts[0].create(Cart::default()).await.unwrap();
    let call = |(number, carts): (usize, &Components<Cart>)| {
        let (carts, cart) = (carts.clone(), cart.clone());
        tokio::spawn(async move {
            for piece in 0..20 {
                let put = |cart: &mut Cart| cart.pieces.push(format!("{number}-{piece}"));
                carts.call(&cart, put).await.unwrap();
            }
        })
    };
    for task in carts.iter().enumerate().map(call).collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut pieces = carts[carts.len() - 1].read(&cart).await.unwrap().pieces;
    pieces.sort();
    pieces.dedup();
    assert_eq!(pieces.len(), 20 * carts.len());
    let stats: Vec<_> = carts.iter().map(Components::stats).collect();
    assert!(stats.iter().all(|stats| stats.calls == 20), "{stats:?}");
    assert_eq!(stats.iter().map(|stats| stats.active).sum::<u64>(), 1);
    assert_eq!(stats.iter().map(|stats| stats.copies).sum::<u64>(), carts.len().min(2) as u64);
    assert_eq!(stats[0].created, 1);
}

pub(crate) async fn a_component_that_is_checked_out_keeps_other_calls_waiting(cluster: &Cluster) {
    let wait = Duration::from_millis(50);
    let hasty = carts(cluster, "checked-out", |builder| builder.lock_wait(wait));
    let (first, last) = (&hasty[0], &hasty[hasty.len() - 1]);
    let cart = first.create(Cart::default()).await.unwrap();
    let mut held = first.check_out(&cart).await.unwrap();
    held.pieces.push("tea".to_owned());
    assert_eq!(last.call(&cart, |_| ()).await, Err(ComponentError::Busy));
    // A copy is read meanwhile, as the last call has left it.
    assert_eq!(last.read(&cart).await, Ok(Cart::default()));
    held.commit().await.unwrap();
    let pieces = last.call(&cart, |cart| cart.pieces.len()).await;
    assert_eq!(pieces, Ok(1));
    // What is dropped has changed nothing, and keeps nobody waiting.
    let mut dropped: CheckedOut<Cart> = last.check_out(&cart).await.unwrap();
    dropped.pieces.clear();
    drop(dropped);
    eventually("it is given back", || async { first.call(&cart, |_| ()).await.is_ok() }).await;
    assert_eq!(first.read(&cart).await.unwrap().pieces.len(), 1);
}

pub(crate) async fn what_the_hooks_change_is_kept(cluster: &Cluster) {
    let carts = carts(cluster, "hooks", |builder| {
        let builder = builder.on_activate(|cart| cart.activated += 1);
        builder.on_passivate(|cart| cart.passivated += 1)
    });
    let (first, last) = (&carts[0], &carts[carts.len() - 1]);
    let cart = first.create(Cart::default()).await.unwrap();
    let seen = last.call(&cart, |cart| (cart.activated, cart.passivated)).await;
    assert_eq!(seen, Ok((1, 1)));
    let seen = first.call(&cart, |cart| (cart.activated, cart.passivated)).await;
    assert_eq!(seen, Ok((2, 2)));
    // A copy is activated too, and what that changes is the copy's alone.
    for _ in 0..2 {
        let copy = last.read(&cart).await.unwrap();
        assert_eq!((copy.activated, copy.passivated), (3, 3));
    }
}

pub(crate) async fn a_component_without_passivation_is_its_members_own(cluster: &Cluster) {
    let carts = carts(cluster, "own", |builder| {
        builder.passivation_capable(false).on_passivate(|cart| cart.passivated += 1)
    });
    let cart = carts[0].create(Cart::default()).await.unwrap();
    assert_eq!(carts[0].call(&cart, |cart| cart.passivated).await, Ok(0));
    for other in &carts[1..] {
        assert_eq!(other.call(&cart, |_| ()).await, Err(ComponentError::NotFound));
    }
    let copies: u64 = carts.iter().map(|carts| carts.stats().copies).sum();
    assert_eq!(copies, 1);
}

pub(crate) async fn a_component_goes_when_it_is_removed_or_idle(cluster: &Cluster) {
    let idle = Some(Duration::from_millis(300));
    let members: Vec<Member> =
        cluster.engines.iter().map(|engine| Member::over(Arc::clone(engine))).collect();
    let of = |member| Components::<Cart>::builder("idle").cluster(member).idle_timeout(idle);
    let carts: Vec<_> = members.iter().map(|member| of(member).start().unwrap()).collect();
    let (first, last) = (&carts[0], &carts[carts.len() - 1]);
    let cart = first.create(Cart::default()).await.unwrap();
    assert_eq!(last.remove(&cart).await, Ok(true));
    assert_eq!(last.remove(&cart).await, Ok(false));
    assert_eq!(first.call(&cart, |_| ()).await, Err(ComponentError::NotFound));
    let idle = first.create(Cart::default()).await.unwrap();
    let is_gone = || async { last.read(&idle).await == Err(ComponentError::NotFound) };
    eventually("it was idle for too long", is_gone).await;
    let expired = || async { carts.iter().map(|carts| carts.stats().expired).sum::<u64>() == 1 };
    eventually("it is counted", expired).await;
    assert_eq!((first.stats().created, last.stats().removed), (2, 1));
    let told = members[0].metrics();
    assert!(told.contains("muster_component_created_total{component=\"idle\"} 2"), "{told}");
    assert!(told.contains("muster_component_active{component=\"idle\"} 0"), "{told}");
    let unknown: Handle<Cart> = "00000000000000000000000000000000".parse().unwrap();
    assert_eq!(last.read(&unknown).await, Err(ComponentError::NotFound));
}

pub(crate) async fn a_component_that_is_one_too_many_goes_to_its_store_and_comes_back(
    cluster: &Cluster,
) {
    let folder = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    let bounded = |builder: ComponentsBuilder<Cart>| {
        let file = folder.path().join(number.fetch_add(1, Ordering::Relaxed).to_string());
        builder.max_active(2, FileShelf::open(&file).unwrap())
    };
    let few = carts(cluster, "few", bounded);
    let all = carts(cluster, "in-memory", |builder| bounded(builder).passivation_capable(false));
    for carts in [&few, &all] {
        let mut handles = Vec::new();
        for piece in 0..12 {
            let cart = carts[0].create(Cart::default()).await.unwrap();
            let put = |cart: &mut Cart| cart.pieces.push(piece.to_string());
            carts[0].call(&cart, put).await.unwrap();
            handles.push(cart);
        }
        for (piece, cart) in handles.iter().enumerate() {
            let pieces = carts[0].call(cart, |cart| cart.pieces.clone()).await.unwrap();
            assert_eq!(pieces, [piece.to_string()]);
        }
    }
    let stats = few[0].stats();
    assert!(stats.passivated >= 10 && stats.activated >= 10, "{stats:?}");
    let stats = all[0].stats();
    assert_eq!((stats.passivated, stats.activated), (0, 0), "it stays in memory");
}

pub(crate) async fn a_call_that_cannot_be_written_changes_nothing(cluster: &Cluster) {
    let carts = carts(cluster, "bounded", |builder| builder.most_bytes(100));
    let (first, last) = (&carts[0], &carts[carts.len() - 1]);
    let cart = first.create(Cart::default()).await.unwrap();
    let too_much = |cart: &mut Cart| cart.pieces.push("x".repeat(200));
    let told = last.call(&cart, too_much).await;
    assert!(matches!(told, Err(ComponentError::TooLarge { most: 100, .. })), "{told:?}");
    let panics = carts[0].clone();
    let handle = cart.clone();
    let task = tokio::spawn(async move {
        panics.call(&handle, |_| -> () { std::panic::resume_unwind(Box::new(())) }).await
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(first.call(&cart, |cart| cart.clone()).await, Ok(Cart::default()));
    // Another type under that name reads nothing, and may remove what is there.
    let member = Member::over(Arc::clone(cluster.last()));
    let texts = Components::<String>::builder("bounded").cluster(&member);
    let texts = texts.start().unwrap();
    let foreign = cart.as_str().parse().unwrap();
    assert!(matches!(texts.read(&foreign).await, Err(ComponentError::Value(_))));
    assert_eq!(texts.remove(&foreign).await, Ok(true));
}

pub(crate) async fn a_handle_is_kept_in_a_session(cluster: &Cluster) {
    let carts = carts(cluster, "handles", |builder| builder);
    let sessions = Sessions::builder("handles").start().unwrap();
    let cart = carts[0].create(Cart::default()).await.unwrap();
    let request = sessions.request(None);
    let session = request.session().await.unwrap();
    session.set("cart", &cart).unwrap();
    let kept = session.get_ref::<Handle<Cart>>("cart").unwrap().unwrap();
    request.finish().await.unwrap();
    assert_eq!(*kept, cart);
    assert_eq!(carts[carts.len() - 1].read(&kept).await, Ok(Cart::default()));
}

pub(crate) async fn a_component_goes_on_when_a_member_leaves(cluster: &Cluster) {
    let carts = carts(cluster, "left", |builder| builder);
    let cart = carts[0].create(Cart::default()).await.unwrap();
    carts[0].call(&cart, |cart| cart.pieces.push("tea".to_owned())).await.unwrap();
    cluster.first().shutdown().await;
    let put = |cart: &mut Cart| cart.pieces.push("milk".to_owned());
    assert_eq!(carts[0].call(&cart, put).await, Err(ComponentError::Unavailable));
    for other in &carts[1..] {
        other.call(&cart, put).await.unwrap();
    }
    if let Some(other) = carts.get(1) {
        let pieces = other.read(&cart).await.unwrap().pieces;
        assert_eq!(pieces.len(), carts.len(), "{pieces:?}");
    }
}
