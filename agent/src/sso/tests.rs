//! Whatever browsers do at the same time, and whatever becomes of what is written for them: a logout
//! ends the sessions of all applications, and nobody is somebody else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request};
use axum::routing::get;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::task::{JoinSet, yield_now};
use tower_service::Service;

use super::{Identity, Principal, Sso, SsoError};
use crate::engine::MapError;
use crate::faulty::{Fault, Frail};
use crate::{Cluster, Session, SessionError, Sessions};

const APPLICATIONS: [&str; 2] = ["shop", "bank"];
const BROWSERS: usize = 2;
/// Longer than whatever is still being ended takes, and shorter than a session lives.
const AFTERWARDS: Duration = Duration::from_secs(120);

/// What a browser asks for.
#[derive(Clone, Copy, Debug)]
enum Act {
    Login,
    Who,
    Rotate,
    End,
    Logout,
}

/// One request: whose, of which application, how often it gives way to others before it comes and
/// within its handler.
type Step = (usize, usize, Act, u8, u8);

/// The cookies of a browser.
#[derive(Clone, Default, Debug)]
struct Jar {
    identity: Option<String>,
    sessions: [Option<String>; APPLICATIONS.len()],
}

/// What is known of an identity from its browser's answers.
#[derive(Default, Debug)]
struct Known {
    name: String,
    /// Application and session.
    sessions: BTreeSet<(usize, String)>,
    /// Somebody has tried to end it.
    may_end: bool,
    /// Somebody was told that it has ended.
    has_ended: bool,
}

struct Site {
    router: Router,
    sessions: Sessions,
}

/// An answer: who it was by the cookie, which session, the identity if it is a new one.
struct Answer {
    step: Step,
    before: Jar,
    is_good: bool,
    text: String,
    set: BTreeMap<String, Option<String>>,
}

async fn give_way(times: u8) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Who it is, and in which session.
fn told(identity: &Identity, session: &Session) -> String {
    let name = identity.principal().map_or("nobody", Principal::name);
    format!("{name} {}", session.id().unwrap_or_default())
}

async fn login(
    identity: Identity,
    session: Session,
    Path((name, times)): Path<(String, u8)>,
) -> Result<String, SsoError> {
    identity.login(Principal::new(&name, ["buyer"]), "FORM").await?;
    give_way(times).await;
    Ok(format!("{name} {}", session.id().unwrap_or_default()))
}

async fn who(
    identity: Identity,
    session: Session,
    Path(times): Path<u8>,
) -> Result<String, SessionError> {
    if identity.principal().is_some() {
        let count = session.get::<u64>("count")?.unwrap_or(0);
        give_way(times).await;
        session.set("count", &(count + 1))?;
    }
    Ok(told(&identity, &session))
}

async fn rotate(
    identity: Identity,
    session: Session,
    Path(times): Path<u8>,
) -> Result<String, SessionError> {
    if identity.principal().is_some() {
        session.rotate_id()?;
        give_way(times).await;
    }
    Ok(told(&identity, &session))
}

async fn end(
    identity: Identity,
    session: Session,
    Path(times): Path<u8>,
) -> Result<String, SessionError> {
    let told = told(&identity, &session);
    give_way(times).await;
    session.invalidate()?;
    Ok(told)
}

async fn logout(identity: Identity, Path(times): Path<u8>) -> Result<String, SsoError> {
    give_way(times).await;
    Ok(identity.logout().await?.to_string())
}

fn site(cluster: &Cluster, sso: &Sso, name: &str) -> Site {
    let sessions = Sessions::builder(name).cluster(cluster).distributable(true).start().unwrap();
    let router = Router::new()
        .route("/login/{name}/{times}", get(login))
        .route("/who/{times}", get(who))
        .route("/rotate/{times}", get(rotate))
        .route("/end/{times}", get(end))
        .route("/logout/{times}", get(logout))
        .layer(sso.application(&sessions).unwrap().layer())
        .layer(sessions.layer());
    Site { router, sessions }
}

async fn ask(mut router: Router, step: Step, before: Jar) -> Answer {
    let (browser, application, act, later, times) = step;
    give_way(later).await;
    let path = match act {
        Act::Login => format!("/login/user{browser}/{times}"),
        Act::Who => format!("/who/{times}"),
        Act::Rotate => format!("/rotate/{times}"),
        Act::End => format!("/end/{times}"),
        Act::Logout => format!("/logout/{times}"),
    };
    let mut cookies = Vec::new();
    cookies.extend(before.identity.iter().map(|id| format!("JSESSIONIDSSO={id}")));
    cookies.extend(before.sessions[application].iter().map(|id| format!("JSESSIONID={id}")));
    let request = Request::get(path).header("cookie", cookies.join("; "));
    let answer = router.call(request.body(Body::empty()).unwrap()).await.unwrap();
    let set = answer.headers().get_all("set-cookie").iter().map(|set| {
        let set = set.to_str().unwrap();
        let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
        let value = (!set.contains("Max-Age=0")).then(|| value.to_owned());
        (name.to_owned(), value)
    });
    let (set, is_good) = (set.collect(), answer.status().is_success());
    let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    Answer { step, before, is_good, text, set }
}

/// What all browsers know, and what is known of their identities.
#[derive(Default)]
struct Model {
    jars: [Jar; BROWSERS],
    identities: BTreeMap<String, Known>,
}

// === impl Model ===

impl Model {
    /// A round has begun with these steps.
    fn begins(&mut self, (browser, _, act, ..): Step) {
        // A session may have belonged to an earlier identity of its browser, which ends with it.
        let name = format!("user{browser}");
        for known in self.identities.values_mut().filter(|known| known.name == name) {
            known.may_end |= matches!(act, Act::Login | Act::End | Act::Logout);
        }
    }

    /// What an answer tells; `had_ended` are those that had before its round.
    fn learns(
        &mut self,
        answer: &Answer,
        had_ended: &BTreeSet<String>,
    ) -> Result<(), TestCaseError> {
        let (browser, application, act, ..) = answer.step;
        let jar = &mut self.jars[browser];
        for (name, value) in &answer.set {
            match name.as_str() {
                "JSESSIONIDSSO" => jar.identity.clone_from(value),
                _ => jar.sessions[application].clone_from(value),
            }
        }
        if !answer.is_good {
            return Ok(());
        }
        let asked = answer.before.identity.as_ref();
        let (name, session) = answer.text.split_once(' ').unwrap_or((&answer.text, ""));
        match act {
            Act::Login => {
                let id = answer.set["JSESSIONIDSSO"].clone().expect("a login sets it");
                let known = self.identities.entry(id).or_default();
                name.clone_into(&mut known.name);
                known.sessions.insert((application, session.to_owned()));
            }
            Act::Who | Act::Rotate | Act::End if name != "nobody" => {
                let id = asked.expect("nobody is somebody without a cookie");
                prop_assert!(!had_ended.contains(id), "{} after its logout", name);
                let known = self.identities.get_mut(id).expect("it was told");
                prop_assert_eq!(&*known.name, name);
                known.sessions.insert((application, session.to_owned()));
                known.has_ended |= matches!(act, Act::End);
            }
            Act::Logout if name == "true" => {
                let id = asked.expect("nobody logs out without a cookie");
                self.identities.get_mut(id).expect("it was told").has_ended = true;
            }
            Act::Who | Act::Rotate | Act::End | Act::Logout => {}
        }
        Ok(())
    }

    /// How it must be when all is over.
    async fn judge(&self, sso: &Sso, sites: &[Site]) -> Result<(), TestCaseError> {
        for (id, known) in &self.identities {
            let record = sso.inner.read(id).await.unwrap();
            if !known.may_end {
                prop_assert!(record.is_some(), "nobody has ended it: {:?}", known);
            }
            if !known.has_ended {
                continue;
            }
            // One whose removal failed stays, and is nobody's.
            let is_nobody = record.is_none_or(|record| record.is_ended);
            prop_assert!(is_nobody, "it has ended: {:?}", known);
            for (application, session) in &known.sessions {
                let left = sites[*application].sessions.read(session).await.unwrap();
                prop_assert!(left.is_none(), "{:?} outlives its logout: {:?}", left, known);
            }
        }
        Ok(())
    }
}

async fn lives(faults: Vec<Fault>, rounds: Vec<Vec<Step>>) -> Result<(), TestCaseError> {
    let cluster = Cluster::over(Arc::new(Frail::new(faults)));
    let sso = Sso::builder("hosts").cluster(&cluster).start().unwrap();
    let sites = APPLICATIONS.map(|name| site(&cluster, &sso, name));
    let mut model = Model::default();
    for round in rounds {
        let ended = model.identities.iter().filter(|(_, known)| known.has_ended);
        let had_ended = ended.map(|(id, _)| id.clone()).collect();
        let mut requests = JoinSet::new();
        for step in round {
            model.begins(step);
            let (router, jar) = (sites[step.1].router.clone(), model.jars[step.0].clone());
            requests.spawn(ask(router, step, jar));
        }
        while let Some(answer) = requests.join_next().await {
            model.learns(&answer.unwrap(), &had_ended)?;
        }
    }
    tokio::time::sleep(AFTERWARDS).await;
    model.judge(&sso, &sites).await
}

fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        2 => Just(Act::Login),
        5 => Just(Act::Who),
        1 => Just(Act::Rotate),
        1 => Just(Act::End),
        2 => Just(Act::Logout),
    ];
    (0..BROWSERS, 0..APPLICATIONS.len(), act, 0..12_u8, 0..8_u8)
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::Well),
        1 => Just(Fault::Done(MapError::Unknown)),
        1 => Just(Fault::NotDone(MapError::Unknown)),
        1 => Just(Fault::NotDone(MapError::Unavailable)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_logout_ends_the_sessions_of_all_applications_whatever_goes_on_meanwhile(
        faults in vec(fault(), 0..60),
        rounds in vec(vec(step(), 1..6), 1..7),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        runtime.block_on(lives(faults, rounds))?;
    }
}
