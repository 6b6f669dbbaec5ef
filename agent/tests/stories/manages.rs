//! The management of a member, over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use muster_agent::engine::local::Local;
use muster_agent::engine::{Batch, Engine, MapSpec, Mode, QueueSpec, Read};
use muster_agent::manage::{self, Management, Settings};
use muster_agent::session::{Finished, ReadSession, SessionListener};
use muster_agent::{Cluster, Components, Sessions, Sso};
use muster_protocol::cluster::report::{
    CacheReport, CachesReport, ClusterReport, DeploymentKind, DeploymentReport, DeploymentsReport,
    Lives, MemberReport, MemberState, SegmentsReport, WarningKind,
};
use muster_protocol::signature::{
    Answer, Field, Message, Nonce, Purpose, Secrets, Stamp, sign, verify_answer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::soon;

const SECRET: &str = "the secret of the stories";
const OTHER: &str = "another secret of the stories";

struct World {
    engine: Arc<dyn Engine>,
    management: Management,
}

/// A member of a real cluster, whose management is asked.
struct Asked<'c>(&'c Cluster);

pub(crate) struct Said {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

async fn world(secret: Option<&str>) -> World {
    let engine: Arc<dyn Engine> = Arc::new(Local::new("one"));
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { bind, secrets: secret.map(secrets), ..Settings::new("shop") };
    let management = manage::start(settings, engine.clone(), None).await.unwrap();
    World { engine, management }
}

fn secrets(text: &str) -> Secrets {
    Secrets::new([text.parse().unwrap()])
}

impl World {
    async fn send(&self, line: &str, headers: &str, body: &str) -> Said {
        send(self.management.address(), line, headers, body).await
    }

    async fn get(&self, path: &str) -> Said {
        self.send(&format!("GET {path}"), "Host: localhost\r\n", "").await
    }

    async fn post(&self, path: &str, body: &str) -> Said {
        let headers = "Host: 127.0.0.1:7790\r\nContent-Type: application/json\r\n";
        self.send(&format!("POST {path}"), headers, body).await
    }

    /// Signed; gives the answer, and whether it is signed for this request.
    async fn signed(&self, secret: &str, stamp: Stamp, path: &str) -> (Said, bool) {
        let message = Message { method: "GET", uri: path, fields: &[], body: b"" };
        let headers = sign(&secrets(secret), Purpose::Manage, &message, stamp);
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let said = self.send(&format!("GET {path}"), &format!("Host: x\r\n{headers}"), "").await;
        let lines = said.head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        let fields: Vec<Field<'_>> = lines.map(|(n, v)| (n, v.as_bytes())).collect();
        let answer = Answer { status: said.status, fields: &fields, body: said.body.as_bytes() };
        let checked = verify_answer(&secrets(SECRET), Purpose::Manage, stamp.nonce, &answer);
        let is_signed = checked.is_ok();
        (said, is_signed)
    }
}

/// Sends a request as it is.
pub(crate) async fn send(address: SocketAddr, line: &str, headers: &str, body: &str) -> Said {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    soon("an answer", stream.read_to_string(&mut text)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Said { status, head: head.to_owned(), body: body.to_owned() }
}

impl Asked<'_> {
    async fn report(&self) -> ClusterReport {
        let address = self.0.management().unwrap();
        let said = send(address, "GET /v1/cluster", "Host: localhost\r\n", "").await;
        serde_json::from_str(&said.body).unwrap()
    }

    async fn caches(&self) -> CachesReport {
        let address = self.0.management().unwrap();
        let said = send(address, "GET /v1/cluster/caches", "Host: localhost\r\n", "").await;
        serde_json::from_str(&said.body).unwrap()
    }

    async fn deployments(&self) -> DeploymentsReport {
        let address = self.0.management().unwrap();
        let said = send(address, "GET /v1/cluster/deployments", "Host: localhost\r\n", "").await;
        serde_json::from_str(&said.body).unwrap()
    }

    async fn wish(&self, verb: &str, body: &str) -> Said {
        let address = self.0.management().unwrap();
        let headers = "Host: localhost\r\nContent-Type: application/json\r\n";
        send(address, &format!("POST /v1/cluster/{verb}"), headers, body).await
    }

    /// Asks until the report is so.
    async fn until(&self, what: &str, is_so: impl Fn(&ClusterReport) -> bool) -> ClusterReport {
        let mut last = self.report().await;
        let asked = async {
            while !is_so(&last) {
                tokio::time::sleep(Duration::from_millis(100)).await;
                last = self.report().await;
            }
        };
        let is_in_time = tokio::time::timeout(crate::PATIENCE, asked).await.is_ok();
        assert!(is_in_time, "{what}: {last:?}");
        last
    }
}

/// Members that find each other by a list.
pub(crate) async fn cluster(names: &[&str]) -> Vec<Cluster> {
    let mut members: Vec<Cluster> = Vec::new();
    for name in names {
        members.push(join(name, members.first().map(|first| first.me().address)).await);
    }
    members
}

async fn join(name: &str, first: Option<Box<str>>) -> Cluster {
    let builder = Cluster::builder(name).cluster("shop").port(0).segments(16);
    let builder = builder.detection(Duration::from_secs(1));
    let builder = match first {
        None => builder.find_nobody(),
        Some(first) => builder.members([first.to_string()]),
    };
    builder.join().await.unwrap()
}

fn stamp(nonce: u8) -> Stamp {
    let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    Stamp { date, nonce: Nonce([nonce; 16]) }
}

fn put(key: &[u8]) -> muster_grid::Op {
    let put = muster_grid::Put::new(b"1");
    muster_grid::Op { key: key.into(), expect: muster_grid::Expect::Any, put: Some(put) }
}

#[tokio::test]
async fn a_member_answers_for_its_cluster() {
    let world = world(None).await;
    let said = world.get("/v1/cluster").await;
    let report: ClusterReport = serde_json::from_str(&said.body).unwrap();
    assert_eq!((report.name.as_str(), report.engine.as_str()), ("shop", "local"));
    assert_eq!((report.me.as_str(), report.coordinator.as_str()), ("one", "one"));
    assert!(report.quorum.is_quorate && report.warnings.is_empty());
    assert_eq!(report.members.len(), 1);
    assert_eq!(
        (report.members[0].name.as_str(), report.members[0].state),
        ("one", MemberState::Up)
    );
    assert_eq!(report.history.len(), 1);
    let segments = world.get("/v1/cluster/segments").await;
    assert!(segments.body.contains("\"tables\":[]"), "{}", segments.body);
}

#[tokio::test]
async fn a_cache_is_shown_with_what_was_asked_of_it_and_can_be_cleared() {
    let world = world(None).await;
    let map = world.engine.map(MapSpec::new("counters", Mode::Distributed)).unwrap();
    map.write(Batch::new(b"g", vec![put(b"a"), put(b"b")])).await.unwrap();
    map.get(b"g", Read::Confirmed).await.unwrap();
    let said = world.get("/v1/cluster/caches").await;
    let report: CachesReport = serde_json::from_str(&said.body).unwrap();
    assert!(report.silent.is_empty());
    let cache = &report.caches[0];
    assert_eq!((cache.name.as_str(), cache.mode.as_str()), ("counters", "distributed"));
    assert_eq!((cache.entries, cache.view.as_slice()), (2, &["one".to_owned()][..]));
    assert_eq!((cache.members[0].operations.puts, cache.members[0].operations.hits), (2, 1));
    assert!(cache.bytes > 0);
    let metrics = world.get("/metrics").await.body;
    for line in [
        "muster_cluster_members 1",
        "muster_cluster_quorate 1",
        "muster_cache_puts_total{cache=\"counters\"} 2",
        "muster_cache_entries{cache=\"counters\"} 2",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }
    let done = world.post("/v1/cluster/caches/counters/clear", "").await;
    assert!(done.body.contains("the cache counters is empty"), "{}", done.body);
    let said = world.get("/v1/cluster/caches/counters").await;
    let cache: CacheReport = serde_json::from_str(&said.body).unwrap();
    assert_eq!(cache.entries, 0);
    assert_eq!(world.get("/v1/cluster/caches/none").await.status, 404);
    assert_eq!(world.post("/v1/cluster/caches/none/clear", "").await.status, 404);
}

/// What is asked for each operation of the document, and the status of the answer.
const OPERATIONS: [(&str, &str, &str, u16); 30] = [
    ("get", "/v1/cluster", "", 200),
    ("get", "/v1/cluster/segments", "", 200),
    ("get", "/v1/cluster/caches", "", 200),
    ("get", "/v1/cluster/caches/{name}", "", 200),
    ("get", "/v1/cluster/deployments", "", 200),
    ("get", "/v1/cluster/deployments/{kind}/{name}", "", 200),
    ("get", "/metrics", "", 200),
    ("post", "/v1/cluster/quorum", "{\"quorum\":2}", 409),
    ("post", "/v1/cluster/forget", "{\"node\":\"two\"}", 409),
    ("post", "/v1/cluster/leave", "{\"node\":\"two\"}", 409),
    ("post", "/v1/cluster/caches/{name}/clear", "", 200),
    ("get", "/v1/cluster/queues", "", 200),
    ("get", "/v1/cluster/queues/{name}", "", 200),
    ("get", "/v1/cluster/queues/{name}/dead", "", 200),
    ("post", "/v1/cluster/queues/{name}/dead/requeue", "{}", 200),
    ("post", "/v1/cluster/queues/{name}/dead/drop", "{\"ids\":[\"1.2.3\"]}", 200),
    // Of a member that is in no cluster yet.
    ("get", "/v1/cluster/singletons", "", 200),
    ("get", "/v1/cluster/singletons/{name}", "", 404),
    ("post", "/v1/cluster/singletons/{name}/move", "{\"node\":\"two\"}", 409),
    ("get", "/v1/cluster/events", "", 200),
    ("get", "/v1/cluster/jobs", "", 503),
    ("get", "/v1/cluster/jobs/{name}", "", 503),
    ("post", "/v1/cluster/jobs/{name}/run", "{}", 409),
    ("post", "/v1/cluster/jobs/{name}/pause", "{}", 409),
    ("post", "/v1/cluster/jobs/{name}/resume", "{}", 409),
    ("get", "/v1/cluster/settings", "", 503),
    ("get", "/v1/cluster/settings/history", "", 503),
    ("get", "/v1/cluster/settings/{key}", "", 503),
    ("post", "/v1/cluster/settings/{key}", "{\"value\":\"3\"}", 409),
    ("post", "/v1/cluster/settings/{key}/unset", "{}", 409),
];

#[tokio::test]
async fn the_document_has_every_route_and_each_answers_as_it_says() {
    let world = world(None).await;
    for map in ["counters", "web/counters"] {
        world.engine.map(MapSpec::new(map, Mode::Distributed)).unwrap();
    }
    world.engine.queue(QueueSpec::new("counters")).unwrap();
    let document = world.get("/v1/openapi.json").await;
    let document: serde_json::Value = serde_json::from_str(&document.body).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    for (method, path, body, status) in OPERATIONS {
        let target = path.replace("{name}", "counters").replace("{kind}", "web");
        let target = target.replace("{key}", "shop.limit");
        let said = match method {
            "get" => world.get(&target).await,
            _ => world.post(&target, body).await,
        };
        assert_eq!(said.status, status, "{method} {target}: {}", said.body);
        let operation = &document["paths"][path][method];
        let content = &operation["responses"][status.to_string()]["content"];
        let is_described = content.as_object().is_some_and(|kinds| {
            let has_schema = |kind: &serde_json::Value| kind["schema"].is_object();
            !kinds.is_empty() && kinds.values().all(has_schema)
        });
        assert!(is_described, "{method} {path}: {operation}");
    }
    let documented = document["paths"].as_object().unwrap();
    let documented: usize = documented.values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(documented, OPERATIONS.len(), "an operation that nobody asks for");
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let world = world(None).await;
    let quorum = world.post("/v1/cluster/quorum", "{\"quorum\":2}").await;
    assert_eq!(quorum.status, 409);
    assert!(quorum.body.contains("has neither voters nor segments"), "{}", quorum.body);
    let zero = world.post("/v1/cluster/quorum", "{\"quorum\":0}").await;
    assert!(zero.body.contains("the quorum has the bad value 0"), "{}", zero.body);
    let bad = world.post("/v1/cluster/forget", "{\"nod\":\"two\"}").await;
    assert_eq!(bad.status, 400);
    assert!(bad.body.contains("unknown field `nod`"), "{}", bad.body);
    assert_eq!(world.get("/").await.status, 404);
    assert_eq!(world.get("/v1/cluster/quorum").await.status, 405);
}

#[tokio::test]
async fn no_page_of_another_host_gets_in() {
    let world = world(None).await;
    let named = world.send("GET /v1/cluster", "Host: evil.example\r\n", "").await;
    assert_eq!(named.status, 403);
    let form = "Host: localhost\r\nContent-Type: text/plain\r\n";
    let form = world.send("POST /v1/cluster/quorum", form, "{\"quorum\":null}").await;
    assert_eq!(form.status, 415);
    let long = world.post("/v1/cluster/quorum", &"x".repeat(70_000)).await;
    assert_eq!(long.status, 413);
}

#[tokio::test]
async fn with_a_secret_only_who_signs_is_answered_and_each_request_once() {
    let world = world(Some(SECRET)).await;
    assert_eq!(world.get("/v1/cluster").await.status, 403);
    let (wrong, _) = world.signed(OTHER, stamp(1), "/v1/cluster").await;
    assert_eq!(wrong.status, 403);
    let once = stamp(2);
    let (good, is_signed) = world.signed(SECRET, once, "/v1/cluster").await;
    assert!(good.status == 200 && is_signed, "{}", good.body);
    let (again, is_signed) = world.signed(SECRET, once, "/v1/cluster").await;
    assert!(again.status == 403 && !is_signed && again.body.contains("came before"));
    let old = Stamp { date: once.date - 3600, ..stamp(3) };
    let (old, _) = world.signed(SECRET, old, "/v1/cluster").await;
    assert!(old.status == 403 && old.body.contains("the clock here says"), "{}", old.body);
    let (missing, is_signed) = world.signed(SECRET, stamp(4), "/nothing").await;
    assert!(missing.status == 404 && is_signed, "a refusal is signed too");
}

#[tokio::test]
async fn beyond_loopback_it_does_not_start_without_a_secret() {
    let engine: Arc<dyn Engine> = Arc::new(Local::new("one"));
    let refused = async |settings: Settings| {
        manage::start(settings, engine.clone(), None).await.unwrap_err().to_string()
    };
    let bind = "192.0.2.1:7790".parse().unwrap();
    let open = refused(Settings { bind, ..Settings::new("shop") }).await;
    let expected = "the management's address 192.0.2.1:7790 is no loopback address: set a cluster \
                    secret or mutual TLS, or bind it to 127.0.0.1";
    assert_eq!(open, expected);
    let late = refused(Settings { deadline: Duration::ZERO, ..Settings::new("shop") }).await;
    assert!(late.contains("the management's deadline has the bad value 0ns"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_member_answers_for_all_of_them() {
    let members = cluster(&["one", "two"]).await;
    let cache = members[0].cache::<String, u64>("counters").mode(Mode::Distributed).create();
    let cache = cache.unwrap();
    let _same = members[1].cache::<String, u64>("counters").mode(Mode::Distributed).create();
    for number in 0..50 {
        cache.put(&format!("key{number}"), &number).await.unwrap();
    }
    for (at, member) in members.iter().enumerate() {
        let report = Asked(member)
            .until("both are whole", |report| {
                let is_up = |m: &&_| matches!(m, MemberReport { state: MemberState::Up, .. });
                report.members.iter().filter(is_up).count() == 2
                    && report.warnings.is_empty()
                    && report.members.iter().all(|member| member.owned == 32)
            })
            .await;
        assert_eq!((report.engine.as_str(), report.coordinator.as_str()), ("embedded", "one"));
        assert_eq!((report.me.as_str(), report.segments), (["one", "two"][at], 32));
        assert_eq!(report.members.iter().map(|member| member.primary).sum::<u32>(), 32);
        let caches = Asked(member).caches().await;
        let cache = &caches.caches[0];
        assert_eq!((cache.entries, cache.view.len(), caches.silent.len()), (50, 2, 0));
        assert_eq!(cache.members.iter().map(|m| m.distribution.entries).sum::<u64>(), 100);
        assert!(cache.members.iter().map(|m| m.operations.puts).sum::<u64>() >= 50);
    }
    let report = Asked(&members[0]).report().await;
    assert!(report.history.iter().any(|change| change.reason.contains("two came")), "{report:?}");
    let address = members[1].management().unwrap();
    let said = send(address, "GET /v1/cluster/segments", "Host: localhost\r\n", "").await;
    let segments: SegmentsReport = serde_json::from_str(&said.body).unwrap();
    assert_eq!(segments.tables.len(), 2);
    let rows = segments.tables.iter().flat_map(|table| &table.segments);
    let all: u64 = rows.filter_map(|row| row.groups).sum();
    assert_eq!(all, 50);
    assert!(segments.tables[0].segments.iter().all(|row| row.owners.len() == 2));
}

/// A new session with one attribute; its id.
async fn session_of(sessions: &Sessions) -> String {
    let request = sessions.request(None);
    request.session().await.unwrap().set("secret", "of a user").unwrap();
    let Finished::New(id) = request.finish().await.unwrap() else { panic!("no session") };
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_components_are_counted_for_each_deployment_and_never_named() {
    let members = cluster(&["one", "two"]).await;
    // What is created here shall stay here: the other one has no such components.
    members[0].balanced().await;
    let shop = |cluster: &Cluster| {
        Sessions::builder("shop").cluster(cluster).distributable(true).start().unwrap()
    };
    let (at_one, at_two) = (shop(&members[0]), shop(&members[1]));
    let carts = Components::<u32>::builder("Cart").cluster(&members[0]).start().unwrap();
    let cart = carts.create(7).await.unwrap();
    carts.call(&cart, |count| *count += 1).await.unwrap();
    let _hosts = Sso::builder("hosts").cluster(&members[0]).start().unwrap();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(session_of(&at_one).await);
    }
    ids.push(session_of(&at_two).await);
    assert!(at_two.invalidate(&ids[0]).await.unwrap());

    let asked = async {
        loop {
            let told = Asked(&members[1]).deployments().await;
            // A moment ago a member may have told others.
            if told.deployments.iter().map(|one| one.active).eq([5, 1, 0]) {
                return told;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let told = soon("all are counted", asked).await;
    let [web, bean, sso] = &told.deployments[..] else { panic!("{told:?}") };
    assert_eq!((web.kind, &*web.name, &*web.mode), (DeploymentKind::Web, "shop", "distributed"));
    assert_eq!((&web.view[..], told.silent.len()), (&["one".to_owned(), "two".to_owned()][..], 0));
    assert_eq!(web.members[0].lives.calls, 5, "each wrote its session");
    let one = ["one".to_owned()];
    let of = |number: fn(&Lives) -> u64| -> Vec<u64> {
        web.members.iter().map(|member| number(&member.lives)).collect()
    };
    assert_eq!(
        (of(|lives| lives.created), of(|lives| lives.invalidated)),
        (vec![5, 1], vec![0, 1])
    );
    assert_eq!(of(|lives| lives.copies), [5, 5], "two owners have each");
    assert!(web.members[0].batches.commits > 0 || web.members[0].operations.puts > 0);
    assert_eq!((bean.kind, &*bean.name, bean.view.len()), (DeploymentKind::Bean, "Cart", 1));
    let Lives { created, copies, calls, .. } = bean.members[0].lives;
    assert_eq!((created, copies, calls), (1, 1, 1));
    assert_eq!((sso.kind, &*sso.name, &*sso.view), (DeploymentKind::Sso, "hosts", &one[..]));
    let address = members[0].management().unwrap();
    let metrics = send(address, "GET /metrics", "Host: localhost\r\n", "").await.body;
    assert_eq!(metrics, members[0].metrics());
    for line in [
        "muster_session_created_total{application=\"shop\"} 5",
        "muster_component_calls_total{component=\"Cart\"} 1",
        "muster_identity_created_total{sso=\"hosts\"} 0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line}: {metrics}");
    }

    let address = members[0].management().unwrap();
    let one = "GET /v1/cluster/deployments/web/shop";
    let said = send(address, one, "Host: localhost\r\n", "").await;
    assert!(ids.iter().all(|id| !said.body.contains(id)) && !said.body.contains("of a user"));
    let one: DeploymentReport = serde_json::from_str(&said.body).unwrap();
    assert_eq!((one.active, &one.view), (5, &web.view));
    let none = "GET /v1/cluster/deployments/bean/shop";
    assert_eq!(send(address, none, "Host: localhost\r\n", "").await.status, 404);
}

/// Is slow, and then looks whether its member is still there.
struct Slow {
    other: Cluster,
    has_seen: Arc<Mutex<Option<usize>>>,
}

impl SessionListener for Slow {
    fn created(&self, _: &ReadSession) {
        std::thread::sleep(Duration::from_millis(500));
        *self.has_seen.lock().unwrap() = Some(self.other.view().members.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_by_an_operators_wish_brings_its_sessions_to_their_end_first() {
    let members = cluster(&["one", "two"]).await;
    let has_seen = Arc::default();
    let slow = Slow { other: members[0].clone(), has_seen: Arc::clone(&has_seen) };
    let sessions = Sessions::builder("shop").cluster(&members[1]).distributable(true);
    let sessions = sessions.listener(slow).start().unwrap();
    session_of(&sessions).await;
    assert_eq!(Asked(&members[0]).wish("leave", "{\"node\":\"two\"}").await.status, 200);
    Asked(&members[0]).until("it has left", |report| report.members.len() == 1).await;
    assert_eq!(*has_seen.lock().unwrap(), Some(2), "what listeners hear of comes before");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sets_a_quorum_lets_a_member_leave_and_forgets_a_node() {
    let members = cluster(&["one", "two"]).await;
    // The third has threads of its own, which end without a word.
    let process = tokio::runtime::Runtime::new().unwrap();
    let first = members[0].me().address;
    let third = process.spawn(async move { join("three", Some(first)).await });
    let third = soon("three joins", third).await.unwrap();
    let whole = |report: &ClusterReport| report.members.len() == 3 && report.warnings.is_empty();
    Asked(&members[0]).until("all are there", whole).await;
    // Whoever is asked passes it on to the coordinator.
    let small = Asked(&members[1]).wish("quorum", "{\"quorum\":1}").await;
    assert_eq!(small.status, 409, "{}", small.body);
    assert!(small.body.contains("at most half of 3 known nodes"), "{}", small.body);
    let done = Asked(&members[1]).wish("quorum", "{\"quorum\":2}").await;
    assert_eq!((done.status, done.body.contains("the quorum is 2")), (200, true), "{}", done.body);
    let here = Asked(&members[0]).wish("forget", "{\"node\":\"three\"}").await;
    assert!(here.body.contains("three is in the cluster"), "{}", here.body);
    let unknown = Asked(&members[0]).wish("forget", "{\"node\":\"four\"}").await;
    assert_eq!(unknown.status, 404);
    // It breaks off, and still votes.
    process.shutdown_background();
    let is_away =
        |member: &MemberReport| (&*member.name, member.state) == ("three", MemberState::Away);
    let report = Asked(&members[0])
        .until("three is away", |report| report.members.iter().any(is_away))
        .await;
    assert!(report.quorum.is_quorate && report.quorum.needed == Some(2));
    assert!(report.warnings.iter().any(|warning| warning.kind == WarningKind::Away));
    let done = Asked(&members[1]).wish("forget", "{\"node\":\"three\"}").await;
    assert_eq!(done.status, 200, "{}", done.body);
    Asked(&members[0]).until("two are known", |report| report.quorum.known.len() == 2).await;
    let none = Asked(&members[0]).wish("quorum", "{\"quorum\":null}").await;
    assert_eq!(none.status, 200, "{}", none.body);
    let left = Asked(&members[0]).wish("leave", "{\"node\":\"two\"}").await;
    assert_eq!(left.status, 200, "{}", left.body);
    let report = Asked(&members[0]).until("two has left", |r| r.members.len() == 1).await;
    assert!(report.history[0].reason.contains("two went"), "{:?}", report.history[0]);
    drop(third);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_last_handle_is_dropped_breaks_off() {
    let mut members = cluster(&["one", "two"]).await;
    let both = |report: &ClusterReport| report.members.len() == 2 && report.warnings.is_empty();
    Asked(&members[0]).until("both are there", both).await;
    drop(members.pop());
    let report = Asked(&members[0]).until("one is alone", |r| r.members.len() == 1).await;
    assert_eq!(report.history[0].reason, "two went");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_by_an_operators_wish_is_not_to_be_found_any_more() {
    let shared = tempfile::tempdir().unwrap();
    let builder = Cluster::builder("one").cluster("shop").port(0).segments(16);
    let member = builder.directory(shared.path()).join().await.unwrap();
    let said = || std::fs::read_dir(shared.path()).unwrap().count();
    crate::eventually("it is to be found", || said() == 1).await;
    let left = Asked(&member).wish("leave", "{\"node\":\"one\"}").await;
    assert_eq!(left.status, 200, "{}", left.body);
    crate::eventually("it is not to be found", || said() == 0).await;
}
