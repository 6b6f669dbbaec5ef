//! Sessions with a real database beside them, which dies and comes back; and members that all die.

use std::sync::Arc;
use std::time::Duration;

use muster_agent::session::{Finished, SessionStore, Storing};
use muster_agent::{SessionError, Sessions};
use muster_loadtests::sessions::Seen;
use muster_loadtests::testkit::databases::{Database, Kind};
use muster_loadtests::testkit::ports::free_address;
use muster_loadtests::testkit::process::{Process, Spec};
use muster_loadtests::testkit::{Client, binaries, eventually};
use muster_store_postgres::PostgresStore;
use muster_store_redis::RedisStore;
use tokio::process::Command;

use super::suite;

const PATIENCE: Duration = Duration::from_secs(60);
/// A disk may stand still for seconds.
const STORE_WAIT: Duration = Duration::from_secs(15);

const BOTH: [Kind; 2] = [Kind::Postgres, Kind::Redis];

fn open(kind: Kind, url: &str) -> Arc<dyn SessionStore> {
    match kind {
        Kind::Postgres => {
            Arc::new(PostgresStore::builder(url).statement_time(STORE_WAIT).open().unwrap())
        }
        Kind::Redis => Arc::new(RedisStore::builder(url).command_wait(STORE_WAIT).open().unwrap()),
    }
}

fn patient(storing: Storing) -> Storing {
    storing.deadline(STORE_WAIT).rest(Duration::from_millis(50))
}

fn through(kind: Kind, url: &str) -> Sessions {
    let storing = patient(Storing::write_through(open(kind, url)));
    Sessions::builder("shop").store(storing).start().unwrap()
}

async fn visit(sessions: &Sessions, id: Option<&str>) -> Result<(String, u64), SessionError> {
    let request = sessions.request(id);
    let session = request.session().await?;
    let count = session.get::<u64>("count")?.unwrap_or(0) + 1;
    session.set("count", &count)?;
    match request.finish().await? {
        Finished::New(id) | Finished::Same(id) => Ok((id, count)),
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_and_redis_keep_what_a_store_promises() {
    for kind in BOTH {
        let database = Database::start(kind).unwrap();
        suite::check(&open(kind, &database.url())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_members_create_the_table_at_once_in_a_schema_of_its_own() {
    let database = Database::start(Kind::Postgres).unwrap();
    let opened = || {
        let builder = PostgresStore::builder(&database.url()).table("Sessions_2");
        builder.connections(2).open().unwrap()
    };
    let stores: Vec<PostgresStore> = (0..4).map(|_| opened()).collect();
    let forgets = stores.iter().map(|store| store.forget("shop", 9));
    let forgot = futures_util::future::join_all(forgets).await;
    assert!(forgot.iter().all(|count| *count == Ok(0)), "{forgot:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_dies_and_comes_back_costs_no_session_and_no_request_of_a_known_one() {
    for kind in BOTH {
        let mut database = Database::start(kind).unwrap();
        let first = through(kind, &database.url());
        let (old, _) = visit(&first, None).await.unwrap();
        database.kill().unwrap();
        assert_eq!(visit(&first, Some(&old)).await.unwrap().1, 2, "{kind:?}");
        let (new, _) = visit(&first, None).await.unwrap();
        assert!(first.stats().store_unsaved >= 2 && first.stats().store_errors > 0, "{kind:?}");
        // Whoever knows nothing of it says so, and invents no session.
        let second = through(kind, &database.url());
        assert_eq!(visit(&second, Some(&old)).await, Err(SessionError::NoStore), "{kind:?}");
        database.up().unwrap();
        eventually("the store has been told", PATIENCE, || async {
            match first.stats().store_unsaved {
                0 => Ok(()),
                some => Err(format!("{some} are left")),
            }
        })
        .await
        .unwrap();
        for (id, expected) in [(&old, 3), (&new, 2)] {
            let found = async || visit(&second, Some(id)).await.map_err(|e| e.to_string());
            let (same, count) = eventually("it is found", PATIENCE, found).await.unwrap();
            assert_eq!((&same, count), (id, expected), "{kind:?}");
        }
        // The first one's copies are old by now, and it overwrites nothing.
        assert_eq!(visit(&first, Some(&old)).await, Err(SessionError::Lost), "{kind:?}");
        assert_eq!(visit(&first, Some(&old)).await.unwrap().1, 4, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_more_sessions_than_memory_is_for_every_one_is_readable() {
    const ACTIVE: usize = 1000;
    for kind in BOTH {
        let database = Database::start(kind).unwrap();
        let storing = patient(Storing::passivation(ACTIVE, open(kind, &database.url())));
        let sessions = Sessions::builder("shop").store(storing).start().unwrap();
        let mut ids = Vec::new();
        for _ in 0..ACTIVE + 200 {
            ids.push(visit(&sessions, None).await.unwrap().0);
        }
        eventually("they have gone", PATIENCE, || async {
            match sessions.active() {
                active if active <= ACTIVE as u64 => Ok(()),
                active => Err(format!("{active} are in memory")),
            }
        })
        .await
        .unwrap();
        assert!(sessions.stats().store_passivations >= 200, "{kind:?}: {:?}", sessions.stats());
        for id in &ids {
            assert_eq!(visit(&sessions, Some(id)).await.unwrap().1, 2, "{kind:?}");
        }
        for id in ids.iter().step_by(20) {
            assert!(sessions.invalidate(id).await.unwrap(), "{kind:?}");
            assert!(sessions.read(id).await.unwrap().is_none(), "{kind:?}");
        }
    }
}

/// Two members that save every commit there.
async fn members(url: &str, folder: &std::path::Path) -> Vec<Process> {
    let ports = [free_address().unwrap(), free_address().unwrap()];
    let start = |at: usize| {
        let name = format!("member-{at}");
        let (port, other) = (ports[at].port().to_string(), ports[1 - at].to_string());
        let arguments = ["--kept", "session", "--name", &name, "--port", &port];
        let more = ["--other", &other, "--shared", url];
        let arguments = arguments.iter().chain(&more).map(|word| (*word).to_owned()).collect();
        let program = binaries::find("muster-session-node").unwrap();
        Process::start(Spec { name, program, arguments, folder: folder.to_owned() })
    };
    let (one, two) = tokio::join!(start(0), start(1));
    vec![one.unwrap(), two.unwrap()]
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_members_are_killed_at_once_nothing_that_was_acknowledged_is_lost() {
    for kind in BOTH {
        let database = Database::start(kind).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut members = members(&database.url(), folder.path()).await;
        let mut jars = vec![Default::default(); 20];
        let mut counts = vec![0_u64; jars.len()];
        for round in 0..3 {
            for (browser, jar) in jars.iter_mut().enumerate() {
                for member in &members {
                    let mut client = Client::new(member.listening("http").unwrap());
                    client.jar = std::mem::take(jar);
                    let seen = Seen::of(client.get("/counter").await);
                    let Seen::Counted { count, is_new, .. } = seen else {
                        panic!("{kind:?}, round {round}: {seen:?}")
                    };
                    assert_eq!(is_new, counts[browser] == 0, "{kind:?}, round {round}");
                    assert_eq!(count, counts[browser] + 1, "{kind:?}, round {round}");
                    counts[browser] = count;
                    *jar = client.jar.clone();
                }
            }
            for member in &mut members {
                member.kill().unwrap();
            }
            let (one, two) = members.split_at_mut(1);
            let (one, two) = tokio::join!(one[0].restart(), two[0].restart());
            one.unwrap();
            two.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_session_store_ends_as_it_says() {
    for kind in BOTH {
        let database = Database::start(kind).unwrap();
        let program = binaries::find("session_store").unwrap();
        let output = Command::new(program).arg(database.url()).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kind:?}: {output:?}");
        assert!(text.ends_with("after all members have gone: visit 3\n"), "{kind:?}: {text}");
    }
}
