//! Single sign-on, on every engine: two applications, both served by every member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::routing::get;
use axum::{Router, extract::Request};
use muster_agent::session::SessionsBuilder;
use muster_agent::sso::{SsoApplication, SsoBuilder, SsoStats};
use muster_agent::{
    Cluster as Member, Identity, Principal, Session, SessionError, Sessions, Sso, SsoError,
};
use tower_service::Service;

use crate::fixture::{Cluster, eventually};

const SHOP: usize = 0;
const BANK: usize = 1;

/// An application as one member serves it.
struct Site {
    router: Router,
    sessions: Sessions,
    application: SsoApplication,
}

/// Two applications as one member serves them.
struct Host {
    sso: Sso,
    sites: [Site; 2],
}

/// A client: the cookies of each application, and those of both.
#[derive(Default)]
struct Browser {
    own: [BTreeMap<String, String>; 2],
    shared: BTreeMap<String, String>,
}

async fn login(identity: Identity, Path(name): Path<String>) -> Result<String, SsoError> {
    identity.login(Principal::new(&name, ["buyer"]), "FORM").await?;
    Ok(format!("welcome, {name}"))
}

/// Who it is, and what the session has seen.
async fn who(identity: Identity, session: Session) -> Result<String, SessionError> {
    let Some(principal) = identity.principal() else { return Ok("nobody".to_owned()) };
    let count = session.get::<u32>("count")?.unwrap_or(0) + 1;
    session.set("count", &count)?;
    let (name, method) = (principal.name(), identity.method().unwrap_or_default());
    assert!(principal.has_role("buyer") && method == "FORM");
    Ok(format!("{name} {count}"))
}

async fn logout(identity: Identity) -> Result<String, SsoError> {
    Ok(identity.logout().await?.to_string())
}

async fn end(_: Identity, session: Session) -> Result<&'static str, SessionError> {
    session.invalidate()?;
    Ok("ended")
}

async fn rotate(_: Identity, session: Session) -> Result<&'static str, SessionError> {
    session.rotate_id()?;
    Ok("rotated")
}

fn site(
    member: &Member,
    sso: &Sso,
    name: &str,
    set: &impl Fn(SessionsBuilder) -> SessionsBuilder,
) -> Site {
    let sessions = Sessions::builder(name).cluster(member).distributable(true);
    let sessions = set(sessions).start().unwrap();
    let application = sso.application(&sessions).unwrap();
    let router = Router::new()
        .route("/login/{name}", get(login))
        .route("/who", get(who))
        .route("/logout", get(logout))
        .route("/end", get(end))
        .route("/rotate", get(rotate))
        .layer(application.layer())
        .layer(sessions.layer());
    Site { router, sessions, application }
}

fn hosts(
    cluster: &Cluster,
    name: &str,
    of_sso: impl Fn(SsoBuilder) -> SsoBuilder,
    of_sessions: impl Fn(&str, SessionsBuilder) -> SessionsBuilder,
) -> Vec<Host> {
    let host = |engine: &Arc<_>| {
        let member = Member::over(Arc::clone(engine));
        let sso = of_sso(Sso::builder(name).cluster(&member)).start().unwrap();
        let site = |app: &str| {
            let set = |sessions| of_sessions(app, sessions);
            site(&member, &sso, &format!("{name}-{app}"), &set)
        };
        let sites = [site("shop"), site("bank")];
        Host { sso, sites }
    };
    cluster.engines.iter().map(host).collect()
}

fn plain(cluster: &Cluster, name: &str) -> Vec<Host> {
    hosts(cluster, name, |sso| sso, |_, sessions| sessions)
}

// === impl Browser ===

impl Browser {
    /// Asks an application on one member.
    async fn get(&mut self, host: &Host, app: usize, path: &str) -> String {
        let cookies = self.own[app].iter().chain(&self.shared);
        let cookies: Vec<String> = cookies.map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get(path).header("cookie", cookies.join("; "));
        let request = request.body(Body::empty()).unwrap();
        let answer = host.sites[app].router.clone().call(request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        for set in answer.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            let kept = match name {
                "JSESSIONIDSSO" => &mut self.shared,
                _ => &mut self.own[app],
            };
            match set.contains("Max-Age=0") {
                true => kept.remove(name),
                false => kept.insert(name.to_owned(), value.to_owned()),
            };
        }
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn session(&self, app: usize) -> String {
        self.own[app]["JSESSIONID"].clone()
    }
}

/// How many sessions of an application there are in the whole cluster.
fn active(hosts: &[Host], app: usize) -> u64 {
    hosts.iter().map(|host| host.sites[app].sessions.active()).sum()
}

fn identities(hosts: &[Host]) -> u64 {
    hosts.iter().map(|host| host.sso.active()).sum()
}

pub(crate) async fn who_logs_in_once_is_known_everywhere_until_a_logout(cluster: &Cluster) {
    let hosts = plain(cluster, "once");
    let (first, last) = (&hosts[0], &hosts[hosts.len() - 1]);
    let (mut ann, mut other) = (Browser::default(), Browser::default());
    assert_eq!(ann.get(first, SHOP, "/who").await, "nobody");
    assert_eq!(active(&hosts, SHOP), 0, "nobody has no session");
    ann.get(first, SHOP, "/login/ann").await;
    assert_eq!(ann.get(last, BANK, "/who").await, "ann 1");
    assert_eq!(ann.get(last, SHOP, "/who").await, "ann 1");
    assert_eq!(ann.get(first, BANK, "/who").await, "ann 2");
    assert_eq!(other.get(first, SHOP, "/who").await, "nobody");
    assert_eq!((identities(&hosts), active(&hosts, SHOP), active(&hosts, BANK)), (1, 1, 1));
    let shown = ann.shared.clone();
    assert_eq!(ann.get(last, BANK, "/logout").await, "true");
    assert!(ann.shared.is_empty(), "the cookie is forgotten");
    let sum = |of: fn(&SsoStats) -> u64| hosts.iter().map(|host| of(&host.sso.stats())).sum();
    // The login needs no look; each visit and the logout had one.
    let counted: [u64; 4] =
        [sum(|of| of.created), sum(|of| of.ended), sum(|of| of.uses), sum(|of| of.copies)];
    assert_eq!(counted, [1, 1, 4, 0]);
    let told = first.sso.cluster().metrics();
    assert!(told.contains("muster_identity_created_total{sso=\"once\"} 1"), "{told}");
    assert!(told.contains("muster_session_created_total{application=\"once-shop\"}"), "{told}");
    assert_eq!((identities(&hosts), active(&hosts, SHOP), active(&hosts, BANK)), (0, 0, 0));
    // Who has kept the cookie is nobody all the same.
    ann.shared = shown;
    assert_eq!(ann.get(first, SHOP, "/who").await, "nobody");
    assert_eq!(ann.get(first, SHOP, "/logout").await, "false");
}

pub(crate) async fn a_session_that_is_ended_is_a_logout_and_a_new_id_is_not(cluster: &Cluster) {
    let hosts = plain(cluster, "ended");
    let (first, last) = (&hosts[0], &hosts[hosts.len() - 1]);
    let mut ann = Browser::default();
    ann.get(first, SHOP, "/login/ann").await;
    assert_eq!(ann.get(last, BANK, "/who").await, "ann 1");
    let before = ann.session(SHOP);
    ann.get(last, SHOP, "/rotate").await;
    assert_ne!(ann.session(SHOP), before);
    assert_eq!(ann.get(first, BANK, "/who").await, "ann 2");
    ann.get(first, BANK, "/end").await;
    assert_eq!((identities(&hosts), active(&hosts, SHOP), active(&hosts, BANK)), (0, 0, 0));
    // So it is where no request of the identity ends it.
    ann.get(first, SHOP, "/login/ann").await;
    ann.get(last, BANK, "/who").await;
    assert_eq!(last.sites[SHOP].sessions.invalidate(&ann.session(SHOP)).await, Ok(true));
    let is_gone = || async { identities(&hosts) + active(&hosts, BANK) == 0 };
    eventually("the others are ended", is_gone).await;
}

pub(crate) async fn a_session_whose_time_is_over_leaves_and_the_last_one_ends_it(
    cluster: &Cluster,
) {
    let brief = Some(Duration::from_millis(500));
    let hosts = hosts(
        cluster,
        "brief",
        |sso| sso,
        |app, sessions| sessions.max_inactive(if app == "shop" { brief } else { None }),
    );
    let (first, last) = (&hosts[0], &hosts[hosts.len() - 1]);
    let (mut ann, mut bob) = (Browser::default(), Browser::default());
    ann.get(first, BANK, "/login/ann").await;
    assert_eq!(ann.get(last, SHOP, "/who").await, "ann 1");
    bob.get(last, SHOP, "/login/bob").await;
    let is_over = || async { active(&hosts, SHOP) == 0 && identities(&hosts) == 1 };
    eventually("the shop's sessions are over, and with bob's only one he is nobody", is_over).await;
    assert_eq!(ann.get(last, BANK, "/who").await, "ann 1");
    assert_eq!(ann.get(first, SHOP, "/who").await, "ann 1", "in a new session");
    assert_eq!(bob.get(first, BANK, "/who").await, "nobody");
}

pub(crate) async fn an_identity_that_nobody_asks_for_ends(cluster: &Cluster) {
    let idle = Some(Duration::from_millis(300));
    let hosts = hosts(cluster, "idle-sso", |sso| sso.max_idle(idle), |_, sessions| sessions);
    let mut ann = Browser::default();
    ann.get(&hosts[0], SHOP, "/login/ann").await;
    eventually("it is idle", || async { identities(&hosts) == 0 }).await;
    assert_eq!(ann.get(&hosts[0], BANK, "/who").await, "nobody");
}

pub(crate) async fn a_session_of_somebody_else_is_not_handed_on(cluster: &Cluster) {
    let hosts = plain(cluster, "other");
    let (first, last) = (&hosts[0], &hosts[hosts.len() - 1]);
    let mut shared = Browser::default();
    shared.get(first, SHOP, "/login/ann").await;
    for count in 1..4 {
        assert_eq!(shared.get(last, SHOP, "/who").await, format!("ann {count}"));
    }
    assert_eq!(shared.get(last, BANK, "/who").await, "ann 1");
    // The same again keeps what the session has; somebody else begins anew.
    shared.get(last, SHOP, "/login/ann").await;
    assert_eq!(shared.get(first, SHOP, "/who").await, "ann 4");
    assert_eq!(active(&hosts, BANK), 0, "the earlier identity has ended");
    shared.get(last, SHOP, "/login/bob").await;
    assert_eq!(shared.get(first, SHOP, "/who").await, "bob 1");
    assert_eq!(shared.get(first, BANK, "/who").await, "bob 1");
    assert_eq!(identities(&hosts), 1);
}

pub(crate) async fn an_application_that_nobody_serves_leaves_identities(cluster: &Cluster) {
    let hosts = plain(cluster, "undeployed");
    let (mut ann, mut bob) = (Browser::default(), Browser::default());
    ann.get(&hosts[0], SHOP, "/login/ann").await;
    ann.get(&hosts[0], BANK, "/who").await;
    bob.get(&hosts[0], SHOP, "/login/bob").await;
    let (last, others) = hosts.split_last().unwrap();
    for host in others {
        host.sites[SHOP].application.clone().undeploy().await.unwrap();
    }
    assert_eq!(identities(&hosts), 2, "another member serves it");
    let service = "sso/undeployed/undeployed-shop";
    let registry = last.sso.cluster().services();
    eventually("it alone does", || async { registry.providers(service).len() == 1 }).await;
    let left = last.sites[SHOP].application.clone().undeploy().await;
    assert_eq!(left, Ok(2));
    assert_eq!(identities(&hosts), 1, "bob had no other application");
    assert!(ann.get(last, BANK, "/who").await.starts_with("ann"));
}

pub(crate) async fn an_identity_stands_when_the_member_that_took_the_login_leaves(
    cluster: &Cluster,
) {
    let hosts = plain(cluster, "left-sso");
    let (first, others) = hosts.split_first().unwrap();
    let mut ann = Browser::default();
    ann.get(first, SHOP, "/login/ann").await;
    ann.get(first, BANK, "/who").await;
    cluster.first().shutdown().await;
    let Some(other) = others.last() else { return };
    assert_eq!(ann.get(other, BANK, "/who").await, "ann 2");
    assert_eq!(ann.get(other, SHOP, "/logout").await, "true");
    assert_eq!((identities(others), active(others, SHOP), active(others, BANK)), (0, 0, 0));
}
