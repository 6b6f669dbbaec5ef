//! Members of a cluster that find each other.
//!
//! Each story has a multicast group of its own on loopback, so that none hears another.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_agent::finding::{
    self, Files, Finder, Finding, Fixed, Me, Multicast, Names, Rendezvous,
};
use muster_protocol::cluster::{Key, parse};
use muster_protocol::signature::Secrets;

use crate::fake::Fake;
use crate::{agent, eventually, registered};

const SECRET: &str = "the secret of the stories";
const OTHER: &str = "another secret of the stories";

/// A member that looks for others.
struct Seeker {
    finding: Finding,
    found: Arc<Mutex<BTreeSet<String>>>,
}

fn me(cluster: &str, node: u16) -> Me {
    Me {
        cluster: cluster.parse().unwrap(),
        node: u128::from(node),
        incarnation: 1,
        address: format!("127.0.0.1:{node}").parse().unwrap(),
    }
}

impl Seeker {
    fn start(me: Me, secret: Option<&str>, finder: Finder) -> Seeker {
        let found = Arc::new(Mutex::new(BTreeSet::new()));
        let secrets = secret.map(|secret| Secrets::new([secret.parse().unwrap()]));
        let tell = {
            let found = found.clone();
            move |address: &str| {
                found.lock().unwrap().insert(address.to_owned());
            }
        };
        let finding = finding::start(me, secrets, vec![finder], tell).unwrap();
        Seeker { finding, found }
    }

    fn has_found(&self, addresses: &[&str]) -> bool {
        self.found.lock().unwrap().iter().eq(addresses)
    }
}

fn group() -> SocketAddrV4 {
    let [a, b, port] = [rand::random::<u8>(), rand::random(), rand::random()];
    SocketAddrV4::new(Ipv4Addr::new(239, 78, a, b), 21_000 + u16::from(port))
}

/// Somebody who only listens.
fn listener(group: SocketAddrV4) -> UdpSocket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&std::net::SocketAddr::V4(group).into()).unwrap();
    socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}

fn multicast(group: SocketAddrV4) -> Finder {
    Finder::Multicast(Multicast::default().group(group).interval(Duration::from_millis(50)))
}

#[tokio::test]
async fn members_that_share_a_secret_find_each_other_and_no_stranger() {
    let group = group();
    let one = Seeker::start(me("shop", 7001), Some(SECRET), multicast(group));
    let two = Seeker::start(me("shop", 7002), Some(SECRET), multicast(group));
    let wrong = Seeker::start(me("shop", 7003), Some(OTHER), multicast(group));
    let open = Seeker::start(me("shop", 7004), None, multicast(group));
    eventually("one finds two", || one.has_found(&["127.0.0.1:7002"])).await;
    eventually("two finds one", || two.has_found(&["127.0.0.1:7001"])).await;
    // By now both have heard the strangers too: a newcomer is answered by all of them.
    let three = Seeker::start(me("shop", 7005), Some(SECRET), multicast(group));
    eventually("three finds both", || three.has_found(&["127.0.0.1:7001", "127.0.0.1:7002"])).await;
    eventually("and they find it", || one.has_found(&["127.0.0.1:7002", "127.0.0.1:7005"])).await;
    assert!(wrong.has_found(&[]) && open.has_found(&[]));
    for seeker in [one, two, three, wrong, open] {
        seeker.finding.stop().await;
    }
}

#[tokio::test]
async fn two_clusters_share_a_port_and_do_not_meet() {
    let group = group();
    let shop = [7001, 7002].map(|node| Seeker::start(me("shop", node), None, multicast(group)));
    let other = [7003, 7004].map(|node| Seeker::start(me("other", node), None, multicast(group)));
    eventually("the shop", || shop[0].has_found(&["127.0.0.1:7002"])).await;
    eventually("the other", || other[1].has_found(&["127.0.0.1:7003"])).await;
    eventually("the shop", || shop[1].has_found(&["127.0.0.1:7001"])).await;
    eventually("the other", || other[0].has_found(&["127.0.0.1:7004"])).await;
}

#[tokio::test]
async fn a_datagram_is_signed_and_does_not_carry_the_secret() {
    let group = group();
    let ear = listener(group);
    let _one = Seeker::start(me("shop", 7001), Some(SECRET), multicast(group));
    let mut bytes = [0; 2048];
    let mut heard = Vec::new();
    eventually("three datagrams", || {
        if let Ok(length) = ear.recv(&mut bytes) {
            heard.push(bytes[..length].to_vec());
        }
        heard.len() == 3
    })
    .await;
    let said: Vec<_> = heard.iter().map(|bytes| parse(bytes).unwrap()).collect();
    assert!(said.windows(2).all(|pair| pair[0].stamp < pair[1].stamp));
    let has = |bytes: &Vec<u8>, text: &str| {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(heard.iter().all(|bytes| has(bytes, "127.0.0.1:7001") && !has(bytes, SECRET)));
    assert!(!format!("{:?}", Key::derived(&SECRET.parse().unwrap())).contains("secret"));
}

#[tokio::test]
async fn a_list_and_a_name_lead_to_members_and_not_to_oneself() {
    let list = Fixed::new(["127.0.0.1:7001", "node.example:7002", "[::1]:7003"]);
    let one = Seeker::start(me("shop", 7001), None, Finder::Fixed(list));
    eventually("the list", || one.has_found(&["[::1]:7003", "node.example:7002"])).await;
    let name = Finder::Names(Names::new("localhost:7009"));
    let two = Seeker::start(me("shop", 7002), None, name);
    let found = || two.found.lock().unwrap().contains("127.0.0.1:7009");
    eventually("where the name leads", found).await;
}

#[tokio::test]
async fn members_find_each_other_by_a_directory_and_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let files = || Finder::Files(Files::new(directory.path()).every(Duration::from_millis(50)));
    let one = Seeker::start(me("shop", 7001), None, files());
    let two = Seeker::start(me("shop", 7002), None, files());
    eventually("one finds two", || one.has_found(&["127.0.0.1:7002"])).await;
    eventually("two finds one", || two.has_found(&["127.0.0.1:7001"])).await;
    one.finding.stop().await;
    two.finding.stop().await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_balancer_is_told_of_the_member_and_tells_of_the_others() {
    let fake = Fake::start(7).await;
    fake.state().headers = "X-Muster-Peers: 10.0.0.2:7700, 10.0.0.3:7700\r\n".to_owned();
    let rendezvous = Rendezvous::new();
    rendezvous.manage_at("http://127.0.0.1:7790");
    let seeker = Seeker::start(me("shop", 7001), None, Finder::Balancers(rendezvous.clone()));
    let builder = agent("node1").balancer(fake.address().to_string()).context("/a");
    let agent = builder.rendezvous(&rendezvous).start().await.unwrap();
    registered(&agent).await;
    eventually("the others", || seeker.has_found(&["10.0.0.2:7700", "10.0.0.3:7700"])).await;
    let seat = format!("X-Muster-Cluster: shop {:032x} 127.0.0.1:7001\r\n", 7001);
    let told = |bytes: &String| bytes.contains(&seat);
    eventually("it is told", || fake.state().bytes.iter().any(told)).await;
    for bytes in fake.state().bytes.iter().filter(|bytes| told(bytes)) {
        assert!(bytes.starts_with("CONFIG") || bytes.starts_with("STATUS"), "{bytes}");
        assert!(bytes.contains("X-Muster-Management: http://127.0.0.1:7790\r\n"), "{bytes}");
    }
    // A member that has left is told of no more.
    seeker.finding.stop().await;
    assert!(!format!("{rendezvous:?}").contains("7001"));
}

#[tokio::test]
async fn a_balancer_is_told_at_once_of_a_member_that_comes_and_leaves_between_two_status() {
    let fake = Fake::start(7).await;
    let rendezvous = Rendezvous::new();
    let builder = agent("node1").balancer(fake.address().to_string()).context("/a");
    let builder = builder.status_interval(Duration::from_secs(3600)).rendezvous(&rendezvous);
    let agent = builder.start().await.unwrap();
    registered(&agent).await;
    let last_has_place = |has_place: bool| {
        let said = fake.state().bytes.last().cloned().unwrap_or_default();
        said.starts_with("STATUS") && said.contains("X-Muster-Cluster") == has_place
    };
    eventually("a STATUS without a place", || last_has_place(false)).await;
    let seeker = Seeker::start(me("shop", 7001), None, Finder::Balancers(rendezvous.clone()));
    eventually("a STATUS with the place", || last_has_place(true)).await;
    seeker.finding.stop().await;
    eventually("a STATUS without it again", || last_has_place(false)).await;
    drop(agent);
}

#[tokio::test]
async fn settings_that_cannot_work_name_their_value() {
    let refused =
        |finder| finding::start(me("shop", 1), None, vec![finder], |_| {}).unwrap_err().to_string();
    let list = refused(Finder::Fixed(Fixed::new(["a:1", "nowhere"])));
    assert_eq!(list, "\"nowhere\" is no address of a member: it is host:port");
    let name = refused(Finder::Names(Names::new("a:1").every(Duration::ZERO)));
    assert!(name.contains("the interval of look-ups has the bad value 0ns"), "{name}");
    let group = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    let group = refused(Finder::Multicast(Multicast::default().group(group)));
    assert!(group.contains("127.0.0.1:1: it is no IPv4 multicast address"), "{group}");
    let hops = refused(Finder::Multicast(Multicast::default().hops(256)));
    assert!(hops.contains("the bad value 256: it must be 1 to 255"), "{hops}");
}
