//! Bytes from a socket: what comes back as it went, and that nothing in them makes a member panic.

use fastrand::Rng;
use muster_cluster::{Config, Durable, MemberId, Moment, NodeId};
use muster_grid::wire::{self, BadWire};
use muster_grid::{Action, Batch, Core, Event, Expect, Group, LeaseWish, Limits, Op, Put, Request};
use muster_grid::{Rules, Space, Wire};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::time::Duration;

/// Members that hear each other through bytes, some of which are damaged on the way.
struct Town {
    cores: Vec<Core>,
    rng: Rng,
    /// Of 1,000 frames so many are damaged.
    damage: u32,
    now: Moment,
    frames: VecDeque<(MemberId, NodeId, Vec<u8>)>,
    disks: Vec<Durable>,
    damaged_ones_taken: usize,
    replies: usize,
}

fn life(at: usize) -> MemberId {
    MemberId { node: NodeId(at as u128 + 1), incarnation: 1 }
}

impl Town {
    fn new(seed: u64, damage: u32, members: usize) -> Self {
        let now = Moment::ZERO;
        let core = |at: usize| {
            let config = Config {
                segments: 4,
                detection: Duration::from_millis(500),
                quorum: seed.is_multiple_of(2).then_some(2),
                ..Config::new(life(at), &format!("m{at}"))
            };
            let limits = Limits { chunk: 64, ..Limits::default() };
            let core = Core::new(config, Durable::default(), limits, Rules::default(), now);
            core.expect("the settings are in bounds")
        };
        let cores = (0..members).map(core).collect();
        let disks = vec![Durable::default(); members];
        Self {
            cores,
            rng: Rng::with_seed(seed),
            damage,
            now,
            frames: VecDeque::new(),
            disks,
            damaged_ones_taken: 0,
            replies: 0,
        }
    }

    fn give(&mut self, at: usize, event: Event) {
        self.cores[at].handle(event, self.now);
        self.perform(at);
    }

    fn perform(&mut self, at: usize) {
        let from = self.cores[at].membership().me();
        while let Some(action) = self.cores[at].poll_action() {
            match action {
                Action::Send { to, wire } => {
                    let mut frame = Vec::new();
                    wire::encode(&wire, &mut frame).expect("memory is enough");
                    if self.damage == 0 {
                        assert_eq!(wire::decode(&frame), Ok(wire));
                    }
                    self.frames.push_back((from, to, frame));
                }
                Action::Persist(durable) => self.disks[at] = *durable,
                Action::Reply { .. } => self.replies += 1,
                _ => {}
            }
        }
    }

    fn damage(&mut self, frame: &mut Vec<u8>) {
        for _ in 0..self.rng.usize(1..4) {
            let at = self.rng.usize(0..frame.len());
            match self.rng.u8(0..5) {
                0 => frame[at] = self.rng.u8(..),
                1 => frame[at] ^= 1 << self.rng.u8(0..8),
                2 => frame[at] = *self.rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).unwrap_or(&0),
                3 => frame.insert(at, self.rng.u8(..)),
                _ if frame.len() > 1 => drop(frame.remove(at)),
                _ => {}
            }
        }
    }

    fn deliver(&mut self) {
        for _ in 0..self.frames.len().min(400) {
            let Some((from, to, frame)) = self.frames.pop_front() else { return };
            let at = self.cores.iter().position(|core| core.membership().me().node == to);
            let Some(at) = at else { continue };
            if self.rng.u32(0..1_000) < self.damage {
                let mut damaged = frame.clone();
                self.damage(&mut damaged);
                if let Ok(wire) = wire::decode(&damaged) {
                    self.damaged_ones_taken += 1;
                    self.give(at, Event::Wire { from, wire });
                }
            }
            // Now and then the good one comes as well, so that things go on.
            if self.rng.u8(0..20) > 0
                && let Ok(wire) = wire::decode(&frame)
            {
                self.give(at, Event::Wire { from, wire });
            }
        }
        // What a damaged member says without an end is not heard.
        self.frames.truncate(2_000);
    }

    fn ask(&mut self, at: usize) {
        let group = Group::new(Space { table: self.rng.u8(0..2), cache: 3 }, &[self.rng.u8(0..9)]);
        let value = vec![7; self.rng.usize(0..60)];
        let put = Put { ttl: Some(Duration::from_millis(700)), ..Put::new(&value) };
        let op = Op { key: b"k".into(), expect: Expect::Any, put: Some(put) };
        let request = match self.rng.u8(0..8) {
            0 => Request::Get(group),
            1 => {
                let (hold, wait) = (Duration::from_millis(200), Duration::from_millis(300));
                Request::Checkout { group, hold, confirm: true, wait }
            }
            2 => Request::Lease { name: b"l".into(), wish: LeaseWish::Campaign },
            3 => Request::Merge { group, entries: [(op.key, Put::new(b"m"))].into(), token: 3 },
            4 => {
                let (space, after) = (group.space, Some(group.name));
                Request::Scan { space, row: self.rng.u16(0..9), after, most: 2 }
            }
            _ => Request::Write(Batch::new(group, vec![op])),
        };
        let deadline = self.now + Duration::from_millis(900);
        self.give(at, Event::Request { id: 1, request, deadline });
    }

    fn run(&mut self, ms: u64) {
        let members = self.cores.len();
        for round in 0..ms / 10 {
            self.now += Duration::from_millis(10);
            for at in 0..members {
                if round % 5 == 0 {
                    self.give(at, Event::Cluster(muster_cluster::Event::Tick));
                }
                if self.rng.u8(0..4) == 0 {
                    self.ask(at);
                }
            }
            if round == 1 {
                for at in 0..members {
                    for other in 0..members {
                        let hint = muster_cluster::Event::Hint(NodeId(other as u128 + 1));
                        self.give(at, Event::Cluster(hint));
                    }
                }
            }
            if self.damage > 0 && self.rng.u8(0..100) == 0 {
                let (at, other) = (self.rng.usize(0..members), self.rng.usize(0..members));
                let id = self.cores[other].membership().me();
                self.give(at, Event::Cluster(muster_cluster::Event::Suspect(id)));
            }
            self.deliver();
        }
    }
}

#[test]
fn members_that_speak_in_bytes_form_a_cluster_and_answer() {
    let mut town = Town::new(1, 0, 3);
    // One frame in twenty is lost: most towns are settled after 2 s, and some after 4.
    town.run(10_000);
    for core in &town.cores {
        let view = core.membership().view().expect("it has a view");
        assert!(view.members.len() == 3 && view.is_settled());
    }
    assert!(town.replies > 200, "{} replies", town.replies);
    for disk in &town.disks {
        let mut bytes = wire::encode_durable(disk).expect("memory is enough");
        assert_eq!(wire::decode_durable(&bytes), Ok(disk.clone()));
        let at = bytes.len() / 2;
        bytes[at] ^= 4;
        assert_eq!(wire::decode_durable(&bytes), Err(BadWire::Checksum));
        assert_eq!(wire::decode_durable(&bytes[..at]), Err(BadWire::Checksum));
    }
}

#[test]
fn nothing_in_damaged_frames_makes_a_member_panic() {
    let mut taken = 0;
    for seed in 0..1_500 {
        let damage = if seed % 3 == 0 { 300 } else { 20 };
        let mut town = Town::new(seed, damage, 2 + usize::from(seed % 4 == 0));
        town.run(3_000);
        taken += town.damaged_ones_taken;
    }
    assert!(taken > 10_000, "only {taken} damaged messages could be read");
}

#[test]
fn a_frame_of_another_version_is_refused_in_a_sentence() {
    let mut frame = Vec::new();
    let wire = Wire::Cluster(Box::new(muster_cluster::Message::Fetch));
    wire::encode(&wire, &mut frame).expect("memory is enough");
    frame[0] = 2;
    let error = wire::decode(&frame).expect_err("the version is not known");
    assert_eq!(error.to_string(), "version is 2: this release reads up to 1");
    frame[0] = 1;
    frame.push(0);
    assert_eq!(wire::decode(&frame), Err(BadWire::LeftOver(1)));
    assert_eq!(wire::decode(&[]), Err(BadWire::Empty));
}

proptest! {
    #[test]
    fn random_bytes_are_refused_or_read_and_never_panic(mut bytes: Vec<u8>, kind in 0u8..20) {
        let _ = wire::decode(&bytes);
        let _ = wire::decode_durable(&bytes);
        // Most of what is random fails at its first byte: begin as a message does.
        bytes.splice(0..0, [wire::VERSION, kind / 10, kind % 10]);
        if let Ok(wire) = wire::decode(&bytes) {
            let mut town = Town::new(1, 0, 1);
            town.run(800);
            town.give(0, Event::Wire { from: life(1), wire });
        }
    }
}

#[test]
fn every_version_of_this_release_is_written_and_no_other() {
    let epoch = muster_cluster::Epoch { counter: 1, join: 1, by: life(0) };
    let wire = Wire::Cluster(Box::new(muster_cluster::Message::Prepare { epoch }));
    let (least, latest) = wire::VERSIONS;
    for version in 0..=latest + 1 {
        let mut frame = Vec::new();
        let written = wire::encode_as(version, &wire, &mut frame);
        match (least..=latest).contains(&version) {
            true => assert_eq!((written, frame[0]), (Ok(()), version)),
            false => {
                assert_eq!(written, Err(wire::BadWire::Version(version, latest)));
                assert!(frame.is_empty());
            }
        }
    }
}
