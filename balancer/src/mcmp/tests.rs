//! Stories of the listener: who is heard, who is not, and what is said and counted.

use std::net::SocketAddr;

use muster_protocol::signature::{Message, Nonce, Purpose, Stamp, sign, verify_answer};
use muster_routing::health::Timing;
use muster_routing::{Limits, Registry};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::*;
use crate::probe::Prober;
use crate::trusted::Networks;

const PATIENCE: Duration = Duration::from_secs(60);
const SECRET: &str = "the secret of the stories";
const OTHER: &str = "the secret of somebody else";

/// A listener of nodes.
struct World {
    address: SocketAddr,
    mcmp: Mcmp,
    nonces: std::cell::Cell<u8>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// What was answered.
#[derive(Debug)]
struct Said {
    status: u16,
    headers: HeaderMap,
    body: String,
    nonce: Nonce,
}

impl World {
    async fn new(settings: config::Mcmp) -> World {
        World::with(settings, |guard| guard).await
    }

    async fn with(settings: config::Mcmp, guard: impl FnOnce(Guard) -> Guard) -> World {
        let limits = Limits { nodes: 10, contexts: 100, gone: 1 };
        let registry = Registry::new(limits, Timing::default(), false);
        let published = Arc::new(Published::new(registry, Prober::default(), 1));
        let secrets = secrets::load(&settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let own = vec![address, SocketAddr::from(([127, 0, 0, 1], 8000))];
        let mut mcmp = Mcmp::of(&settings, secrets, own, published, Arc::default());
        mcmp.guard = guard(mcmp.guard);
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(run(mcmp.clone(), listener.into(), settings, None, stop.clone()));
        World { address, mcmp, nonces: std::cell::Cell::new(0), stop, running }
    }

    async fn locked() -> World {
        World::new(locked()).await
    }

    /// How often something was refused for this reason.
    fn refused(&self, reason: &'static str) -> u64 {
        self.mcmp.metrics.mcmp_refusals(reason)
    }

    fn stamp(&self, seconds: i64) -> Stamp {
        self.nonces.set(self.nonces.get() + 1);
        let date = lock::now().checked_add_signed(seconds).unwrap();
        Stamp { date, nonce: Nonce([self.nonces.get(); 16]) }
    }

    async fn unsigned(&self, line: &str) -> Said {
        self.send(line, &[], Nonce([0; 16])).await
    }

    async fn signed(&self, secret: &str, instance: &str, line: &str) -> Said {
        self.signed_at(self.stamp(0), secret, instance, line).await
    }

    async fn signed_at(&self, stamp: Stamp, secret: &str, instance: &str, line: &str) -> Said {
        let (method, uri, body) = words(line);
        let own = [("X-Muster-Instance", instance.as_bytes()), ("X-Muster-Sessions", b"3")];
        let message = Message { method, uri, fields: &own, body: body.as_bytes() };
        let secrets = Secrets::new([secret.parse().unwrap()]);
        let mut headers: Vec<(&str, String)> = own
            .iter()
            .map(|(name, value)| (*name, String::from_utf8_lossy(value).into()))
            .collect();
        headers.extend(sign(&secrets, Purpose::Mcmp, &message, stamp));
        self.send(line, &headers, stamp.nonce).await
    }

    async fn send(&self, line: &str, headers: &[(&str, String)], nonce: Nonce) -> Said {
        let (method, uri, body) = words(line);
        let mut text = format!("{method} {uri} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        read(&tell(self.address, &text).await, nonce)
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.unwrap().unwrap();
    }
}

impl Said {
    fn is_signed(&self) -> bool {
        let fields: Vec<_> = self.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        let (status, body) = (self.status, self.body.as_bytes());
        let answer = muster_protocol::signature::Answer { status, fields: &fields, body };
        let secrets = Secrets::new([SECRET.parse().unwrap()]);
        verify_answer(&secrets, Purpose::Mcmp, self.nonce, &answer).is_ok()
    }

    fn message(&self) -> &str {
        self.headers.get("mess").map_or("", |value| value.to_str().unwrap())
    }
}

fn locked() -> config::Mcmp {
    config::Mcmp { secret: Some(SECRET.parse().unwrap()), ..config::Mcmp::default() }
}

fn words(line: &str) -> (&str, &str, &str) {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    (word(), word(), word())
}

/// Sends a message and gives the whole answer.
async fn tell(to: SocketAddr, message: &str) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(message.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    answer
}

fn read(answer: &str, nonce: Nonce) -> Said {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pairs = lines.map(|line| line.split_once(": ").unwrap());
    let headers = pairs.map(|(name, value)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
    });
    Said { status, headers: headers.collect(), body: body.to_owned(), nonce }
}

const CONFIG: &str = "CONFIG / JVMRoute=a&Host=127.0.0.1&Port=9&Type=http";

#[tokio::test]
async fn messages_without_their_bodies_do_not_block_the_listener() {
    let settings = config::Mcmp { max_connections: 2, ..config::Mcmp::default() };
    // Only the bound of a message can end one that has come in part.
    let world = World::new(settings).await;
    let mcmp = Mcmp { read_timeout: Duration::from_millis(100), ..world.mcmp.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bounds = server::Bounds { max_connections: 2, idle_timeout: PATIENCE * 60 };
    let door = NodeDoor::new(Networks::NONE, None, Arc::default(), Arc::default());
    let stop = world.stop.clone();
    let running =
        tokio::spawn(server::run_behind(door, listener.into(), router(mcmp), bounds, stop));

    let broken = "CONFIG / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nJVMRoute=a";
    let whole = "INFO / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    let told = [tell(address, broken), tell(address, broken), tell(address, whole)];
    let [first, second, third] = futures_util::future::join_all(told).await.try_into().unwrap();
    assert!(first.starts_with("HTTP/1.1 408 "), "{first}");
    assert!(second.starts_with("HTTP/1.1 408 "), "{second}");
    assert!(third.starts_with("HTTP/1.1 200 "), "{third}");

    world.end().await;
    tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
}

#[tokio::test]
async fn without_a_secret_every_message_of_loopback_is_taken() {
    let world = World::new(config::Mcmp::default()).await;
    let said = world.unsigned(CONFIG).await;
    assert_eq!((said.status, said.body.as_str()), (200, ""));
    let said = world.signed(SECRET, "one", "STATUS / JVMRoute=a&Load=1").await;
    assert_eq!(said.status, 200, "a signature that nobody asked for does not matter");
    assert!(!said.headers.contains_key(SIGNATURE));
    world.end().await;
}

#[tokio::test]
async fn with_a_secret_only_who_knows_it_is_heard_and_it_is_answered_with_a_signature() {
    let world = World::locked().await;
    let said = world.signed(SECRET, "one", CONFIG).await;
    assert_eq!(said.status, 200, "{said:?}");
    assert!(said.is_signed());
    let said = world.signed(SECRET, "one", "INFO /").await;
    assert!(said.is_signed() && said.body.contains("Name: a"), "{said:?}");
    let mut stranger = said;
    stranger.nonce = Nonce([99; 16]);
    assert!(!stranger.is_signed(), "the answer is to this message and to no other");

    for line in [CONFIG, "INFO /", "DUMP /", "VERSION /", "PING /", "GET /", "STATUS / x"] {
        let said = world.unsigned(line).await;
        assert_eq!((said.status, said.headers["type"].to_str().unwrap()), (403, "MEM"), "{line}");
        assert!(!said.headers.contains_key(SIGNATURE), "{line}");
    }
    assert_eq!(world.refused("unsigned"), 7);
    let said = world.signed(OTHER, "one", "REMOVE-APP /* JVMRoute=a").await;
    assert_eq!((said.status, said.headers.contains_key(SIGNATURE)), (403, false), "{said:?}");
    assert!(said.message().contains("the signature is wrong"), "{said:?}");
    assert_eq!(world.refused("wrong_signature"), 1);
    let nodes = world.mcmp.published.rows().nodes;
    assert_eq!(
        (nodes.len(), nodes[0].owner.as_ref().unwrap().to_string().as_str()),
        (1, "instance:one")
    );
    world.end().await;
}

#[tokio::test]
async fn old_future_and_repeated_messages_are_refused_with_a_signature_and_counted() {
    let world = World::locked().await;
    assert_eq!(world.signed(SECRET, "one", CONFIG).await.status, 200);
    let remove = "REMOVE-APP /* JVMRoute=a";
    let status = "STATUS / JVMRoute=a&Load=1";
    for (seconds, reason, says) in [(-120, "old", "too old"), (120, "future", "in the future")] {
        let said = world.signed_at(world.stamp(seconds), SECRET, "one", remove).await;
        assert_eq!((said.status, said.is_signed()), (403, true), "{said:?}");
        assert!(said.message().contains(says), "{said:?}");
        assert!(said.message().contains("the clock here says"), "{said:?}");
        assert_eq!(world.refused(reason), 1);
    }
    let stamp = world.stamp(0);
    assert_eq!(world.signed_at(stamp, SECRET, "one", status).await.status, 200);
    let again = world.signed_at(stamp, SECRET, "one", status).await;
    assert_eq!((again.status, again.is_signed()), (403, true), "{again:?}");
    assert!(again.message().contains("came before"), "{again:?}");
    assert_eq!(world.refused("replayed"), 1);
    assert_eq!(world.mcmp.published.rows().nodes.len(), 1);
    world.end().await;
}

#[tokio::test]
async fn a_signed_message_that_is_malformed_is_answered_as_ever_but_signed() {
    let world = World::locked().await;
    let said = world.signed(SECRET, "one", "CONFIG / JVMRoute").await;
    assert_eq!((said.status, said.headers["type"].to_str().unwrap()), (500, "SYNTAX"));
    assert!(said.is_signed());
    let said = world.signed(SECRET, "no good\tinstance", CONFIG).await;
    assert_eq!(said.status, 403, "{said:?}");
    assert_eq!(world.refused("malformed_signature"), 1);
    let half = [("X-Muster-Signature", "v1=0".to_owned())];
    assert_eq!(world.send(CONFIG, &half, Nonce([0; 16])).await.status, 403);
    assert_eq!(world.refused("malformed_signature"), 2);
    world.end().await;
}

#[tokio::test]
async fn secrets_change_without_a_moment_in_which_nobody_is_heard() {
    let old = vec![OTHER.parse().unwrap()];
    let world = World::new(config::Mcmp { old_secrets: old, ..locked() }).await;
    assert_eq!(world.signed(OTHER, "one", CONFIG).await.status, 200);
    let said = world.signed(SECRET, "one", "STATUS / JVMRoute=a&Load=1").await;
    assert_eq!((said.status, said.is_signed()), (200, true));
    world.end().await;
}

#[tokio::test]
async fn a_route_is_its_owners() {
    let world = World::locked().await;
    // The node answers, as something does that listens.
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = node.local_addr().unwrap().port();
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = node.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let config = format!("CONFIG / JVMRoute=a&Host=127.0.0.1&Port={port}&Type=http");
    assert_eq!(world.signed(SECRET, "one", &config).await.status, 200);
    for line in [
        "STATUS / JVMRoute=a&Load=-1",
        "DISABLE-APP /* JVMRoute=a",
        "STOP-APP / JVMRoute=a&Alias=h&Context=/x",
        "REMOVE-APP /* JVMRoute=a",
        "CONFIG / JVMRoute=a&Host=127.0.0.1&Port=7&Type=http",
    ] {
        let said = world.signed(SECRET, "two", line).await;
        assert_eq!((said.status, said.is_signed()), (403, true), "{line}: {said:?}");
        assert!(said.message().contains("belongs to another"), "{line}: {said:?}");
    }
    assert_eq!(world.refused("owner"), 5);
    let said = world.signed(SECRET, "one", "STATUS / JVMRoute=a&Load=100").await;
    assert!(said.body.contains("State=OK"), "{said:?}");
    assert_eq!(world.mcmp.published.rows().nodes[0].sessions, Some(3));
    assert_eq!(world.signed(SECRET, "one", "REMOVE-APP /* JVMRoute=a").await.status, 200);
    answering.abort();
    world.end().await;
}

#[tokio::test]
async fn no_node_registers_metadata_services_our_own_ports_or_others_addresses() {
    let guard = |guard: Guard| {
        guard.with_names(|name| match name {
            "metadata.example" => &["169.254.169.254"],
            "rebound.example" => &["127.0.0.1", "169.254.169.254"],
            "node.example" => &["127.0.0.1"],
            _ => &[],
        })
    };
    let world = World::with(config::Mcmp::default(), guard).await;
    let own = world.address.port().to_string();
    let hosts = [
        ("169.254.169.254", "80"),
        ("[::ffff:169.254.169.254]", "80"),
        ("metadata.example", "80"),
        ("rebound.example", "80"),
        ("[fe80::1]", "80"),
        ("10.1.2.3", "80"),
        ("127.0.0.1", "8000"),
        ("[::ffff:127.0.0.1]", "8000"),
        ("127.0.0.1", own.as_str()),
    ];
    for (host, port) in hosts {
        let line = format!("CONFIG / JVMRoute=a&Host={host}&Port={port}&Type=http");
        let said = world.unsigned(&line).await;
        assert_eq!((said.status, said.headers["type"].to_str().unwrap()), (403, "MEM"), "{line}");
    }
    assert_eq!(world.refused("address"), hosts.len() as u64);
    assert!(world.mcmp.published.rows().nodes.is_empty());

    let line = "CONFIG / JVMRoute=a&Host=node.example&Port=9&Type=http";
    assert_eq!(world.unsigned(line).await.status, 200);
    let published = &world.mcmp.published;
    let address = published.rows().nodes[0].config.address.clone();
    // The system knows no such name: it is the checked address that is used.
    let socket = Some(SocketAddr::from(([127, 0, 0, 1], 9)));
    assert_eq!(published.prober().socket(&address), socket);
    assert_eq!(published.prober().resolve(&address).await, socket);
    world.end().await;
}

#[tokio::test]
async fn strangers_are_told_so_and_nobody_else_waits_for_them() {
    let settings = config::Mcmp {
        allow: Networks::parse(&["10.0.0.0/8"]).unwrap(),
        max_connections: 1,
        ..config::Mcmp::default()
    };
    let world = World::new(settings).await;
    for _ in 0..3 {
        let said = world.unsigned(CONFIG).await;
        assert_eq!((said.status, said.headers["type"].to_str().unwrap()), (403, "MEM"));
    }
    assert_eq!(world.refused("network"), 3);
    assert!(world.mcmp.published.rows().nodes.is_empty());
    world.end().await;
}

#[tokio::test]
async fn beside_a_secret_named_networks_need_none() {
    let allow_unsigned = Networks::parse(&["127.0.0.0/8"]).unwrap();
    let world = World::new(config::Mcmp { allow_unsigned, ..locked() }).await;
    assert_eq!(world.unsigned(CONFIG).await.status, 200);
    let said = world.signed(OTHER, "one", CONFIG).await;
    assert_eq!(said.status, 403, "who signs must sign well: {said:?}");
    world.end().await;
}

/// Signed or not, with headers of ours.
async fn seated(world: &World, line: &str, headers: &[(&str, &str)]) -> Said {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).into())).collect();
    world.send(line, &headers, Nonce([0; 16])).await
}

fn peers(said: &Said) -> &str {
    assert_eq!(said.status, 200, "{said:?}");
    said.headers.get("x-muster-peers").map_or("", |value| value.to_str().unwrap())
}

const NODE: &str = "0000000000000000000000000000002a";

#[tokio::test]
async fn members_of_one_cluster_are_told_of_each_other_and_of_no_other_cluster() {
    let world = World::new(config::Mcmp::default()).await;
    let config = |route: &str, port: u16| {
        format!("CONFIG / JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http")
    };
    let told = async |line: &str, cluster: &str, port: u16| {
        let seat = format!("{cluster} {NODE} 127.0.0.1:{port}");
        seated(&world, line, &[("X-Muster-Cluster", &seat)]).await
    };
    let one = told(&config("a", 8081), "shop", 7701).await;
    assert_eq!(peers(&one), "", "nobody else is there");
    let two = told(&config("b", 8082), "shop", 7702).await;
    assert_eq!(peers(&two), "127.0.0.1:7701");
    let other = told(&config("c", 8083), "other", 7703).await;
    assert_eq!(peers(&other), "");
    let status = told("STATUS / JVMRoute=a&Load=50", "shop", 7701).await;
    assert_eq!(peers(&status), "127.0.0.1:7702");
    let old = seated(&world, "STATUS / JVMRoute=c&Load=50", &[]).await;
    assert_eq!(peers(&old), "", "who says nothing is told nothing");
    // A node that is gone, or says nothing of a cluster any more, is told of no more.
    assert_eq!(seated(&world, "REMOVE-APP /* JVMRoute=b", &[]).await.status, 200);
    let status = told("STATUS / JVMRoute=a&Load=50", "shop", 7701).await;
    assert_eq!(peers(&status), "");
    world.end().await;
}

#[tokio::test]
async fn a_place_counts_before_its_node_has_answered() {
    let world = World::new(config::Mcmp::default()).await;
    // Connections are taken, and nothing is ever answered.
    let node = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = node.local_addr().unwrap().port();
    let registered =
        world.unsigned(&format!("CONFIG / JVMRoute=a&Host=127.0.0.1&Port={port}&Type=http")).await;
    assert_eq!(registered.status, 200, "{registered:?}");
    let place = [("X-Muster-Cluster", format!("shop {NODE} 127.0.0.1:7701"))];
    let status = world.send("STATUS / JVMRoute=a&Load=50", &place, Nonce([0; 16]));
    let other = async {
        let _probe = node.accept().await.unwrap();
        let place = format!("shop {NODE} 127.0.0.1:7702");
        let config = "CONFIG / JVMRoute=b&Host=127.0.0.1&Port=8082&Type=http";
        seated(&world, config, &[("X-Muster-Cluster", &place)]).await
    };
    tokio::select! {
        early = status => panic!("answered although the node does not: {early:?}"),
        other = other => assert_eq!(peers(&other), "127.0.0.1:7701"),
    }
    world.end().await;
}

#[tokio::test]
async fn only_addresses_that_a_node_may_register_are_passed_on_or_asked() {
    let world = World::new(config::Mcmp::default()).await;
    let config = "CONFIG / JVMRoute=a&Host=127.0.0.1&Port=8081&Type=http";
    let seat = |address: &str| format!("shop {NODE} {address}");
    let management = async |address: &str, url: &str| {
        let headers = [("X-Muster-Cluster", &*seat(address)), ("X-Muster-Management", url)];
        let said = seated(&world, config, &headers).await;
        assert_eq!(said.status, 200, "the node registers all the same: {said:?}");
        let seated = world.mcmp.published.seat_of(&"a".parse().unwrap());
        seated.map(|seated| seated.management.as_ref().map(|found| found.socket.to_string()))
    };
    let good = "127.0.0.1:7701";
    let found = management(good, "http://127.0.0.1:7790").await;
    assert_eq!(found, Some(Some("127.0.0.1:7790".to_owned())));
    for bad in ["http://192.0.2.1:7790", "http://169.254.169.254:80", "ftp://127.0.0.1:1", "x"] {
        assert_eq!(management(good, bad).await, Some(None), "{bad}");
    }
    let ours = format!("http://{}", world.address);
    assert_eq!(management(good, &ours).await, Some(None), "a listener of ours");
    for bad in ["192.0.2.1:7701", "169.254.169.254:80", "x"] {
        assert_eq!(management(bad, "http://127.0.0.1:7790").await, None, "{bad}");
    }
    world.end().await;
}

#[tokio::test]
async fn the_peers_are_signed_with_the_answer() {
    let world = World::locked().await;
    let message = |route: &str, port: u16| {
        (
            format!("CONFIG / JVMRoute={route}&Host=127.0.0.1&Port={port}&Type=http"),
            format!("shop {NODE} 127.0.0.1:{port}"),
        )
    };
    let mut last = None;
    for (line, seat) in [message("a", 8081), message("b", 8082)] {
        let (method, uri, body) = words(&line);
        let own = [("X-Muster-Cluster", seat.as_bytes())];
        let signed = Message { method, uri, fields: &own, body: body.as_bytes() };
        let (stamp, secrets) = (world.stamp(0), Secrets::new([SECRET.parse().unwrap()]));
        let mut headers = vec![("X-Muster-Cluster", seat.clone())];
        headers.extend(sign(&secrets, Purpose::Mcmp, &signed, stamp));
        last = Some(world.send(&line, &headers, stamp.nonce).await);
    }
    let last = last.unwrap();
    assert_eq!(peers(&last), "127.0.0.1:8081");
    assert!(last.is_signed());
    world.end().await;
}
