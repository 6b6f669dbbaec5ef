//! The library's own face, on every engine: groups, commands, services.

use std::sync::Mutex;

use muster_agent::cluster::{CommandError, DispatcherError, OfferError};
use muster_agent::{Cluster as Member, Command, MemberId, Targets};
use serde::{Deserialize, Serialize};

use crate::fixture::{Cluster, eventually, soon};

#[derive(Serialize, Deserialize)]
enum Stock {
    Add(u32),
    Count,
    Fail,
}

impl Command for Stock {
    type Context = Mutex<u32>;
    type Reply = (u32, MemberId);

    async fn execute(self, stock: &Mutex<u32>, from: MemberId) -> Result<Self::Reply, String> {
        let mut stock = stock.lock().unwrap();
        match self {
            Self::Add(more) => *stock += more,
            Self::Count => {}
            Self::Fail => return Err("out of stock".to_owned()),
        }
        Ok((*stock, from))
    }
}

fn members(cluster: &Cluster) -> Vec<Member> {
    cluster.engines.iter().map(|engine| Member::over(engine.clone())).collect()
}

pub(crate) async fn a_command_is_done_by_one_some_or_all(cluster: &Cluster) {
    let members = members(cluster);
    let stocks: Vec<_> =
        members.iter().map(|m| m.dispatcher::<Stock>("stock", Mutex::new(0)).unwrap()).collect();
    let (first, last) = (&members[0], members[members.len() - 1].me().id);
    let done = stocks[0].execute(last, &Stock::Add(5)).await;
    assert_eq!(done, Ok((5, first.me().id)));
    let replies = stocks[0].execute_on_all(&Stock::Add(1)).await.unwrap().all().await;
    let mut counts: Vec<u32> = replies.iter().map(|(_, reply)| reply.clone().unwrap().0).collect();
    counts.sort_unstable();
    let mut expected = vec![1; members.len() - 1];
    expected.push(6);
    assert_eq!(counts, expected);
    let others = Targets::AllBut(vec![first.me().id]);
    let replies = stocks[0].execute_on(others, &Stock::Count).await.unwrap().all().await;
    assert_eq!(replies.len(), members.len() - 1);
    let failed = stocks[0].execute(last, &Stock::Fail).await;
    assert_eq!(failed, Err(CommandError::Failed("out of stock".to_owned())));
}

pub(crate) async fn a_dispatcher_has_its_name_alone_and_is_gone_when_it_is_dropped(
    cluster: &Cluster,
) {
    let members = members(cluster);
    let (first, last) = (&members[0], &members[members.len() - 1]);
    let stock = last.dispatcher::<Stock>("stock", Mutex::new(0)).unwrap();
    let again = last.dispatcher::<Stock>("stock", Mutex::new(0)).err();
    assert_eq!(again, Some(DispatcherError::Taken("stock".to_owned())));
    let nameless = last.dispatcher::<Stock>("", Mutex::new(0)).err();
    assert_eq!(nameless, Some(DispatcherError::Name(String::new())));
    drop(stock);
    let other = first.dispatcher::<Stock>("stock", Mutex::new(0)).unwrap();
    if cluster.len() > 1 {
        let gone = other.execute(last.me().id, &Stock::Count).await;
        assert_eq!(gone, Err(CommandError::NoDispatcher(last.me().id)));
    }
}

pub(crate) async fn every_member_knows_who_offers_a_service(cluster: &Cluster) {
    let members = members(cluster);
    let offers: Vec<_> = members.iter().map(|m| m.services().offer("reports").unwrap()).collect();
    for offer in &offers {
        soon("all know", offer.is_known()).await;
    }
    let everyone: Vec<_> = members[0].view().members.clone();
    for member in &members {
        assert_eq!(member.services().providers("reports"), everyone);
        assert_eq!(member.group_of("reports").view().members, everyone);
    }
    let mut watch = members[0].services().watch("reports");
    drop(offers);
    while !watch.now().is_empty() {
        soon("a change", watch.changed()).await.unwrap();
    }
    let bad = members[0].services().offer("").err();
    assert_eq!(bad, Some(OfferError::Name(String::new())));
}

pub(crate) async fn who_leaves_takes_its_services_along_and_listeners_hear_of_it(
    cluster: &Cluster,
) {
    if cluster.len() == 1 {
        return;
    }
    let members = members(cluster);
    let (first, last) = (&members[0], &members[members.len() - 1]);
    let gone = last.me().id;
    let offer = last.services().offer("reports").unwrap();
    soon("all know", offer.is_known()).await;
    eventually("the first knows", || async { first.services().providers("reports").len() == 1 })
        .await;
    let mut changes = first.group().changes();
    let heard = std::sync::Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let _listening =
        first.group().listen(move |change| hears.lock().unwrap().push(change.current.id));
    last.leave().await;
    let change = soon("the view without it", async {
        loop {
            let change = changes.next().await.unwrap();
            if change.current.member(gone).is_none() {
                return change;
            }
        }
    })
    .await;
    assert!(change.previous.member(gone).is_some() && !change.merged);
    assert_eq!(first.services().providers("reports"), []);
    eventually("the listener has heard", || async {
        heard.lock().unwrap().contains(&change.current.id)
    })
    .await;
    let mut ended = last.group().changes();
    assert_eq!(soon("the end", ended.next()).await, None);
}

pub(crate) async fn a_caches_group_is_who_has_the_cache(cluster: &Cluster) {
    let members = members(cluster);
    let last = &members[members.len() - 1];
    let cache = last.cache::<u32, u32>("figures").create().unwrap();
    let expected = [last.me()];
    for member in &members {
        eventually("all know", || async {
            member.services().providers("cache:figures") == expected
        })
        .await;
    }
    assert_eq!(cache.members().view().members, expected);
    assert_eq!(cache.members().local(), last.me());
    let more = members[0].cache::<u32, u32>("figures").create().unwrap();
    eventually("both", || async { more.members().view().members.len() == cluster.len().min(2) })
        .await;
    assert_eq!(last.cache_names(), ["figures"]);
}
