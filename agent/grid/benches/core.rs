//! What the cluster's core costs without sockets: two members in one process, back to back, both
//! sides of each operation summed, in CPU time of the thread, which a busy machine does not falsify.
//! `cargo bench -p muster-grid --profile dist --bench core [WORD OF A NAME]`.

use muster_cluster::{Config, Durable, MemberId, Moment, NodeId};
use muster_grid::{
    Action, Batch, Bytes, Core, Event, Expect, Group, Limits, Op, Put, Reply, Request, Rules,
    Space, wire,
};
use std::hint::black_box;
use std::time::Duration;

const SPACE: Space = Space { table: 0, cache: 5 };
/// Groups that are written in turn.
const GROUPS: usize = 1000;

struct Pair {
    cores: Vec<Core>,
    now: Moment,
    /// Messages go as bytes.
    speaks: bool,
    frame: Vec<u8>,
    reply: Option<Reply>,
}

impl Pair {
    fn new() -> Self {
        let core = |at: u128| {
            let id = MemberId { node: NodeId(at << 90 | at), incarnation: 1 };
            let config = Config::new(id, &format!("m{at}"));
            let (durable, limits) = (Durable::default(), Limits::default());
            Core::new(config, durable, limits, Rules::default(), Moment::ZERO)
                .expect("the defaults are in bounds")
        };
        let cores = vec![core(1), core(2)];
        let mut pair =
            Self { cores, now: Moment::ZERO, speaks: false, frame: Vec::new(), reply: None };
        for at in 0..2 {
            let other = pair.cores[1 - at].membership().me().node;
            pair.give(at, Event::Cluster(muster_cluster::Event::Hint(other)));
        }
        for _ in 0..200 {
            pair.tick();
        }
        let view = pair.cores[0].membership().view().expect("it has a view");
        assert!(view.members.len() == 2 && view.is_settled());
        pair
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(50);
        for at in 0..2 {
            self.give(at, Event::Cluster(muster_cluster::Event::Tick));
        }
    }

    /// Gives an event, and carries messages until both are silent.
    fn give(&mut self, at: usize, event: Event) {
        self.cores[at].handle(event, self.now);
        self.carry(at);
    }

    fn carry(&mut self, at: usize) {
        while let Some(action) = self.cores[at].poll_action() {
            match action {
                Action::Send { wire, .. } => {
                    let from = self.cores[at].membership().me();
                    let wire = if self.speaks {
                        self.frame.clear();
                        wire::encode(&wire, &mut self.frame).expect("memory is enough");
                        wire::decode(&self.frame).expect("what was said can be read")
                    } else {
                        wire
                    };
                    self.give(1 - at, Event::Wire { from, wire });
                }
                Action::Reply { reply, .. } => self.reply = Some(reply),
                _ => {}
            }
        }
    }

    fn ask(&mut self, at: usize, request: Request) -> Reply {
        let deadline = self.now + Duration::from_secs(1);
        self.give(at, Event::Request { id: 1, request, deadline });
        self.reply.take().expect("it is answered at once")
    }

    fn groups(&self) -> Vec<Group> {
        let names = (0u64..).map(|number| number.to_be_bytes());
        let led = names.filter(|name| self.cores[0].grid().is_primary(SPACE, name));
        led.take(GROUPS).map(|name| Group::new(SPACE, &name)).collect()
    }
}

fn put(group: &Group, value: &[u8]) -> Request {
    let op = Op { key: b"v".into(), expect: Expect::Any, put: Some(Put::new(value)) };
    // The caller brings a name, not a group.
    Request::Write(Batch::new(Group::named(group.space, group.name.clone()), vec![op]))
}

/// Rounds of each measurement, and how long one lasts.
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(150);

/// The median, over some rounds, of what one operation costs, if its name is wanted.
fn measure(name: &str, mut operation: impl FnMut()) {
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    if wanted.is_some_and(|word| !name.contains(&word)) {
        return;
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (begin, mut done) = (cpu(), 0u32);
            while cpu() < begin + ROUND {
                (0..1000).for_each(|_| operation());
                done += 1000;
            }
            (cpu() - begin).as_nanos() as f64 / f64::from(done)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<44} {:>8.0} ns", rounds[ROUNDS / 2]);
}

/// The CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn main() {
    let mut pair = Pair::new();
    let groups = pair.groups();
    let value = vec![7u8; 1024];
    let mut turn = groups.iter().cycle();
    let mut next = || turn.next().expect("there are groups");
    for group in &groups {
        assert!(matches!(pair.ask(0, put(group, &value)), Reply::Written(_)));
    }
    for speaks in [false, true] {
        pair.speaks = speaks;
        let how = if speaks { "as bytes" } else { "as values" };
        measure(&format!("put 1 KiB, {how}"), || drop(pair.ask(0, put(next(), &value))));
        measure(&format!("put 1 KiB at the other member, {how}"), || {
            drop(pair.ask(1, put(next(), &value)));
        });
        measure(&format!("checkout and commit 1 KiB, {how}"), || {
            drop(session(&mut pair, next(), &value));
        });
        measure(&format!("confirmed get 1 KiB, {how}"), || {
            drop(pair.ask(0, Request::Get(next().clone())));
        });
    }
    let name = groups[0].name.clone();
    let (grid, now) = (pair.cores[1].grid(), pair.now);
    measure("near get", || {
        let seen = grid.peek(SPACE, black_box(&name), b"v", now);
        let value: Option<Bytes> = seen.flatten();
        black_box(value);
    });
    measure("idle tick of both members", || pair.tick());
}

/// A request of a session: lock and read, then write and unlock.
fn session(pair: &mut Pair, group: &Group, value: &[u8]) -> Reply {
    let (hold, wait) = (Duration::from_secs(10), Duration::from_secs(10));
    let checkout = Request::Checkout { group: group.clone(), hold, confirm: false, wait };
    let Reply::Checkout { entries, fence } = pair.ask(0, checkout) else {
        unreachable!("nobody else has it");
    };
    let Request::Write(batch) = put(group, value) else { unreachable!("a put is a write") };
    let commit = Batch { under: Some((fence, entries.rev)), release: true, ..batch };
    pair.ask(0, Request::Write(commit))
}
