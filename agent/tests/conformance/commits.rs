//! What one request writes that uses all there is: its session, its identity, a component.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use http::StatusCode;
use muster_agent::component::Handle;
use muster_agent::engine::Engine;
use muster_agent::engine::map::MapStats;
use muster_agent::{Cluster as Member, Components, Identity, Principal, Session, Sessions, Sso};
use tower_service::Service;

use crate::fixture::Cluster;

const MAPS: [&str; 3] = ["web/all-of-it", "sso/all-of-it", "bean/all-of-it"];

type Counts = Components<u64>;

async fn login(identity: Identity, session: Session, State(counts): State<Counts>) -> StatusCode {
    identity.login(Principal::new("ann", ["buyer"]), "FORM").await.unwrap();
    session.set("count", &counts.create(0).await.unwrap()).unwrap();
    StatusCode::OK
}

/// Uses each of them, the session and the component more than once.
async fn visit(
    identity: Identity,
    session: Session,
    State(counts): State<Counts>,
) -> impl IntoResponse {
    assert_eq!(identity.principal().map(Principal::name), Some("ann"));
    let count = session.get_ref::<Handle<u64>>("count").unwrap().unwrap();
    let visits = counts.call(&count, |count| {
        *count += 1;
        *count
    });
    let visits = visits.await.unwrap();
    session.set("visits", &visits).unwrap();
    session.set("again", &visits).unwrap();
    visits.to_string()
}

fn site(engine: &Arc<dyn Engine>) -> Router {
    let member = Member::over(Arc::clone(engine));
    let name = "all-of-it";
    let sso = Sso::builder(name).cluster(&member).start().unwrap();
    let sessions = Sessions::builder(name).cluster(&member).distributable(true).start().unwrap();
    let counts = Counts::builder(name).cluster(&member).start().unwrap();
    Router::new()
        .route("/login", get(login))
        .route("/visit", get(visit))
        .with_state(counts)
        .layer(sso.application(&sessions).unwrap().layer())
        .layer(sessions.layer())
}

/// Asks, and says which cookies the answer sets.
async fn ask(site: &Router, path: &str, cookies: &str) -> Vec<String> {
    let request = Request::get(path).header("cookie", cookies).body(Body::empty()).unwrap();
    let answer = site.clone().call(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    let set = answer.headers().get_all("set-cookie").iter();
    let set = set.map(|set| set.to_str().unwrap().split(';').next().unwrap().to_owned());
    set.collect()
}

fn numbers(engine: &Arc<dyn Engine>) -> [MapStats; 3] {
    let of = |name| engine.maps().iter().find(|map| map.spec().name == name).unwrap().stats();
    MAPS.map(of)
}

pub(crate) async fn a_request_with_session_identity_and_component_makes_one_commit_each(
    cluster: &Cluster,
) {
    let sites: Vec<Router> = cluster.engines.iter().map(site).collect();
    let cookies = ask(&sites[0], "/login", "").await.join("; ");
    for (engine, site) in cluster.engines.iter().zip(&sites) {
        // The first is the primary of all three; whoever is not asks for the lock, and commits.
        let rpcs = if Arc::ptr_eq(engine, cluster.first()) { 0 } else { 2 };
        let before = numbers(engine);
        assert_eq!(ask(site, "/visit", &cookies).await, Vec::<String>::new());
        for ((before, after), map) in before.iter().zip(numbers(engine)).zip(MAPS) {
            let (prepares, commits) =
                (after.prepares - before.prepares, after.commits - before.commits);
            let rolled_back = after.rollbacks - before.rollbacks;
            assert_eq!((prepares, commits, rolled_back), (1, 1, 0), "{map}");
            assert_eq!(after.rpcs - before.rpcs, rpcs, "{map}");
        }
    }
}
