//! Balancers that advertise themselves: found, followed, and left in order.
//!
//! Each story has a multicast group of its own on loopback, so that none hears another.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::time::{Duration, SystemTime};

use muster_agent::{Agent, Builder, Discovery, DiscoveryStatus, Fault, Origin};
use muster_protocol::advertise::{Announcement, Key, Manager, Phase, Protocol, Server, write};

use crate::fake::Fake;
use crate::{agent as listed, eventually, registered};

const KEY: &str = "known to our balancers only";

/// A balancer's voice.
struct Voice {
    socket: UdpSocket,
    group: SocketAddrV4,
    server: Server,
    sequence: u64,
    key: Option<Key>,
}

impl Voice {
    fn new(key: Option<&str>) -> Voice {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None);
        let socket = socket.unwrap();
        socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
        let [a, b, port] = [rand::random::<u8>(), rand::random(), rand::random()];
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 77, a, b), 20_000 + u16::from(port));
        let server = Server::from_bits(rand::random());
        let key = key.map(|key| Key::new(key).unwrap());
        Voice { socket: socket.into(), group, server, sequence: 0, key }
    }

    /// Another one in the same group.
    fn another(&self, key: Option<&str>) -> Voice {
        Voice { group: self.group, ..Voice::new(key) }
    }

    fn datagram(&mut self, phase: Phase, address: Option<SocketAddr>) -> Vec<u8> {
        self.sequence += 1;
        let protocol = Protocol::Http;
        let said = Announcement {
            phase,
            date: SystemTime::now(),
            sequence: self.sequence,
            server: self.server.clone(),
            manager: address.map(|address| Manager { address, protocol }),
        };
        write(&said, self.key.as_ref())
    }

    fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.group).unwrap();
    }

    fn serves(&mut self, fake: &Fake) {
        let datagram = self.datagram(Phase::Serving, Some(fake.address()));
        self.send(&datagram);
    }

    /// Says it again and again: nobody knows when the agent begins to listen.
    async fn serves_until(&mut self, fake: &Fake, what: &str, mut is_so: impl FnMut() -> bool) {
        eventually(what, || {
            self.serves(fake);
            is_so()
        })
        .await;
    }

    fn discovery(&self) -> Discovery {
        Discovery::multicast().group(self.group).interface(Ipv4Addr::LOCALHOST)
    }
}

/// An agent with no list of balancers.
fn agent(discovery: Discovery) -> Builder {
    listed("node1").discovery(discovery).context("/shop")
}

fn heard(agent: &Agent) -> DiscoveryStatus {
    agent.status().discovery.unwrap_or_default()
}

fn followed(agent: &Agent) -> Vec<String> {
    agent.status().balancers.into_iter().map(|balancer| balancer.address).collect()
}

#[tokio::test]
async fn a_node_without_a_list_registers_with_the_balancers_that_advertise() {
    let (one, two) = (Fake::start(1).await, Fake::start(2).await);
    let mut voice = Voice::new(None);
    let mut other = voice.another(None);
    let node = agent(voice.discovery()).start().await.unwrap();
    assert!(!node.status().is_registered(), "nobody was found yet");
    voice.serves_until(&one, "one is found", || followed(&node).len() == 1).await;
    registered(&node).await;
    other.serves_until(&two, "both are found", || followed(&node).len() == 2).await;
    registered(&node).await;
    let status = node.status();
    assert!(status.balancers.iter().all(|balancer| balancer.origin == Origin::Advertised));
    assert_eq!((one.count("CONFIG"), two.count("CONFIG")), (1, 1));
    let _ = crate::soon("the node has left", node.stop()).await;
    for fake in [one, two] {
        assert_eq!(fake.heard().last().unwrap(), "REMOVE-APP /* JVMRoute=node1");
    }
}

#[tokio::test]
async fn a_balancer_of_the_list_is_not_followed_twice() {
    let (named, found) = (Fake::start(1).await, Fake::start(2).await);
    let mut voice = Voice::new(None);
    let name = format!("localhost:{}", named.address().port());
    let node = agent(voice.discovery()).balancer(&name).start().await.unwrap();
    voice.serves_until(&named, "it is heard", || heard(&node).heard > 2).await;
    voice
        .another(None)
        .serves_until(&found, "the other is found", || followed(&node).len() > 1)
        .await;
    registered(&node).await;
    assert_eq!(followed(&node), [name, found.address().to_string()]);
    assert_eq!(node.status().balancers[0].origin, Origin::Configured);
}

#[tokio::test]
async fn a_balancer_that_says_good_bye_is_left_once_it_answers_no_more() {
    let fake = Fake::start(1).await;
    let mut voice = Voice::new(None);
    let node = agent(voice.discovery()).start().await.unwrap();
    voice.serves_until(&fake, "it is found", || followed(&node).len() == 1).await;
    registered(&node).await;
    let before = heard(&node).heard;
    let bye = voice.datagram(Phase::Draining, Some(fake.address()));
    voice.send(&bye);
    let bye = voice.datagram(Phase::Gone, None);
    voice.send(&bye);
    eventually("both are heard", || heard(&node).heard >= before + 2).await;
    let reports = fake.count("STATUS");
    eventually("it is still told", || fake.count("STATUS") > reports + 3).await;
    assert!(node.status().is_registered(), "it answers, so it is kept");
    fake.stop().await;
    eventually("it is left", || followed(&node).is_empty()).await;
}

#[tokio::test]
async fn a_silent_balancer_is_left_once_it_answers_no_more_and_found_again() {
    let fake = Fake::start(1).await;
    let address = fake.address();
    let mut voice = Voice::new(None);
    let silence = Duration::from_millis(50);
    let node = agent(voice.discovery().silence(silence)).start().await.unwrap();
    // Until it has answered: one that is slow to do so may be left in between.
    voice.serves_until(&fake, "it is registered", || node.status().is_registered()).await;
    let reports = fake.count("STATUS");
    eventually("it is told long after it fell silent", || fake.count("STATUS") > reports + 10)
        .await;
    assert_eq!(followed(&node).len(), 1);
    fake.stop().await;
    eventually("it is left", || followed(&node).is_empty()).await;
    let again = Fake::start_at(address, 2).await;
    let mut voice = voice.another(None);
    voice.serves_until(&again, "it is found again", || again.count("ENABLE-APP") > 0).await;
}

#[tokio::test]
async fn with_a_key_no_forged_old_or_replayed_datagram_of_5000_leads_to_a_connection() {
    let (good, trap) = (Fake::start(1).await, Fake::start(2).await);
    let mut voice = Voice::new(Some(KEY));
    let node = agent(voice.discovery().security_key(KEY)).start().await.unwrap();
    voice.serves_until(&good, "it is found", || followed(&node).len() == 1).await;
    registered(&node).await;
    let forged = Forger::new(&mut voice, &good, &trap);
    let mut sent = 0;
    // More than the socket holds are lost on the way, so it goes on until 5,000 were heard.
    eventually("5,000 were refused", || {
        for _ in 0..50 {
            voice.send(&forged.0[sent % forged.0.len()]);
            sent += 1;
        }
        heard(&node).refused >= 5000
    })
    .await;
    assert_eq!(trap.state().connections, 0);
    assert_eq!(followed(&node), [good.address().to_string()]);
    assert!(node.status().is_registered());
    let reports = good.count("STATUS");
    eventually("the good one is still told", || good.count("STATUS") > reports).await;
}

#[tokio::test]
async fn a_node_that_shares_a_secret_for_messages_needs_no_other_key() {
    const SECRET: &str = "shared by all of our balancers and nodes";
    let fake = Fake::start(1).await;
    let mut voice = Voice::new(None);
    let mut forger = voice.another(Some(SECRET));
    voice.key = Some(Key::derived(&SECRET.parse().unwrap()));
    let node = agent(voice.discovery()).secret(SECRET).start().await.unwrap();
    let trap = Fake::start(2).await;
    forger.serves_until(&trap, "it is refused", || heard(&node).refused > 0).await;
    voice.serves_until(&fake, "it is found", || followed(&node).len() == 1).await;
    eventually("it is asked", || fake.count("INFO") > 0).await;
    assert_eq!(followed(&node), [fake.address().to_string()]);
    assert_eq!(trap.state().connections, 0);
}

/// Datagrams that name the trap, and good-byes that nobody said.
struct Forger(Vec<Vec<u8>>);

impl Forger {
    fn new(voice: &mut Voice, good: &Fake, trap: &Fake) -> Forger {
        let (place, trap) = (trap.address(), Some(trap.address()));
        let mut wrong = voice.another(Some("a key that somebody guessed"));
        let mut bare = voice.another(None);
        let mut all = vec![
            wrong.datagram(Phase::Serving, trap),
            wrong.datagram(Phase::Gone, None),
            bare.datagram(Phase::Serving, trap),
            bare.datagram(Phase::Gone, None),
            b"HTTP/1.0 200 OK\r\n".to_vec(),
            vec![0xff; 2000],
        ];
        // In the good one's name: its own words with another address, with and without the new
        // digest, and its own words of a while ago.
        let said = voice.datagram(Phase::Serving, Some(good.address()));
        let said = String::from_utf8(said).unwrap();
        let moved = said.replace(&good.address().to_string(), &place.to_string());
        all.push(moved.split("X-Digest").next().unwrap().as_bytes().to_vec());
        all.push(moved.into_bytes());
        let (server, key) = (voice.server.clone(), voice.key.clone());
        let old = |phase, manager, ago| Announcement {
            phase,
            date: SystemTime::now() - Duration::from_secs(ago),
            sequence: u64::MAX,
            server: server.clone(),
            manager,
        };
        let manager = trap.map(|address| Manager { address, protocol: Protocol::Http });
        all.push(write(&old(Phase::Serving, manager, 3600), key.as_ref()));
        all.push(write(&old(Phase::Gone, None, 3600), key.as_ref()));
        // Young, signed, and heard before.
        let replayed = Announcement { sequence: 1, ..old(Phase::Serving, manager, 0) };
        all.push(write(&replayed, key.as_ref()));
        Forger(all)
    }
}

#[tokio::test]
async fn without_a_key_a_flood_of_addresses_costs_no_balancer_that_answers() {
    let good = Fake::start(1).await;
    let mut voice = Voice::new(None);
    let node = agent(voice.discovery().most_balancers(3)).start().await.unwrap();
    voice.serves_until(&good, "it is found", || followed(&node).len() == 1).await;
    registered(&node).await;
    let mut flood = voice.another(None);
    eventually("500 are heard", || {
        let port = 1 + (flood.sequence % 500) as u16;
        let datagram =
            flood.datagram(Phase::Serving, Some(SocketAddr::from(([127, 0, 0, 2], port))));
        flood.send(&datagram);
        heard(&node).heard >= 500
    })
    .await;
    let followed = followed(&node);
    assert_eq!((followed.len(), &followed[0]), (3, &good.address().to_string()));
    let reports = good.count("STATUS");
    eventually("the good one is still told", || good.count("STATUS") > reports).await;
}

#[tokio::test]
async fn settings_of_discovery_that_cannot_work_are_refused() {
    let unicast = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 23364);
    let bad = Discovery::multicast().group(unicast).security_key("").most_balancers(0);
    let error = agent(bad.silence(Duration::ZERO)).start().await.unwrap_err();
    assert!(
        matches!(
            error.faults[..],
            [
                Fault::Group(_),
                Fault::ZeroDuration("silence"),
                Fault::NoBalancers,
                Fault::SecurityKey(_)
            ]
        ),
        "{error}"
    );
    let shown = format!("{:?}", Discovery::multicast().security_key(KEY));
    assert!(!shown.contains(KEY), "{shown}");
}
