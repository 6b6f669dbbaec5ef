//! Sessions of three clustered counters behind the real balancer: nothing that happens to a node
//! costs a session, a count that somebody has seen, or more than the requests that were under way.

#[cfg(feature = "system")]
mod cuts;
mod freezes;
mod kills;
mod passivation;
mod restarts;
mod soak;
mod two_nodes;
mod upgrades;

use std::time::Duration;

use muster_loadtests::sessions::judge::Hurt;
use muster_loadtests::sessions::{Crowd, Judge, Nodes, Plan, Round};
use muster_loadtests::testkit::eventually;

use super::support::rounds;

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rounds in a plain run.
const FEW: u32 = 3;
/// The crowd is at work so long before a fault.
const BEFORE: Duration = Duration::from_secs(1);

/// A crowd before nodes, and what is known of its sessions.
struct World {
    nodes: Nodes,
    crowd: Crowd,
    judge: Judge,
    sum: Round,
}

/// Which requests may fail.
#[derive(Debug, Clone, Copy)]
enum MayFail {
    /// None: who died says so, and the request goes elsewhere.
    Nothing,
    /// One of each browser that the victim served: it had it when it fell silent.
    OnceAtVictim,
}

impl World {
    /// Lets a crowd come, and waits until everybody has a session.
    async fn of(nodes: Nodes, browsers: usize) -> World {
        let crowd = Crowd::start(&Plan::new(nodes.balancer.http, browsers));
        let (judge, sum) = (Judge::default(), Round::default());
        let mut world = World { nodes, crowd, judge, sum };
        let asked = async || match world.crowd.count() {
            count if count >= 2 * browsers => Ok(()),
            count => Err(format!("{count} answers")),
        };
        eventually("everybody has a session", PATIENCE, asked).await.unwrap();
        let first = world.judge.round(&world.crowd.take(), None);
        world.check("the beginning", &first, 0);
        world
    }

    /// What was seen since; `fault` says whom it hurt.
    fn judge(&mut self, what: &str, fault: Hurt<'_>, may_fail: MayFail) {
        let round = self.judge.round(&self.crowd.take(), Some(fault));
        let most = match may_fail {
            MayFail::Nothing => 0,
            MayFail::OnceAtVictim => round.at_victim,
        };
        self.check(what, &round, most);
    }

    fn check(&mut self, what: &str, round: &Round, may_fail: u64) {
        eprintln!("round {what}: {round}");
        self.sum.add(round);
        assert_eq!((round.lost, round.went_back), (0, 0), "{what}: {round}");
        assert!(round.failures() <= may_fail, "{what}: {round}");
        assert!(round.doubled <= round.in_flight.max(may_fail), "{what}: {round}");
    }

    /// Lets the crowd go, and tells what it saw in all rounds. Of the requests that are under way
    /// then, so many may fail.
    async fn end(mut self, what: &str, may_fail: u64) {
        let last = self.judge.round(&self.crowd.stop().await, None);
        self.sum.add(&last);
        eprintln!("round all of {what}: {}", self.sum);
        assert_eq!((last.lost, last.went_back), (0, 0), "{last}");
        assert!(last.failures() <= may_fail, "{last}");
    }
}
