//! The tutorial as its reader sees it: two shells, a daemon on one of them, messages in both.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Messages of which each shell shall receive its part.
const SHARED: usize = 1000;

/// A line of a shell.
struct Said {
    at: Instant,
    shell: &'static str,
    line: String,
}

/// A process in a shell; it is killed when dropped.
struct Shell {
    process: Child,
}

/// Two shells, and what was said in them.
struct Desk {
    cluster: String,
    shells: BTreeMap<&'static str, Shell>,
    addresses: BTreeMap<&'static str, String>,
    tells: Sender<Said>,
    hears: Receiver<Said>,
    /// What was sent, in order, and by whom.
    sent: Vec<(&'static str, u64)>,
    /// What was received for the first time, and by whom.
    received: Vec<(&'static str, u64)>,
    /// What was received once more.
    again: Vec<u64>,
}

// === impl Shell ===

impl Shell {
    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is our child");
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).expect("it runs");
    }

    fn ends(&mut self) {
        eventually("the program ends", || {
            let status = self.process.try_wait().expect("it is our child");
            status.inspect(|status| assert!(status.success(), "{status}")).is_some()
        });
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

// === impl Desk ===

impl Desk {
    fn new(round: u64) -> Desk {
        let (tells, hears) = channel();
        Desk {
            cluster: format!("tutorial-{}-{round}", std::process::id()),
            shells: BTreeMap::new(),
            addresses: BTreeMap::new(),
            tells,
            hears,
            sent: Vec::new(),
            received: Vec::new(),
            again: Vec::new(),
        }
    }

    /// Starts a node that finds those that are there, in a shell of its own.
    fn start(&mut self, shell: &'static str, name: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cluster_example"));
        command.args(["--clustered", "--node-name", name, "--every", "1"]);
        command.args(["--cluster-name", &self.cluster, "--cluster-port", "0"]);
        for other in self.addresses.values() {
            command.args(["--cluster-member", other]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        self.shells.insert(shell, Shell { process });
        let tells = self.tells.clone();
        std::thread::spawn(move || {
            // What is cut off in the middle of a line was not said.
            for line in output.lines().map_while(Result::ok) {
                let _ = tells.send(Said { at: Instant::now(), shell, line });
            }
        });
    }

    /// The next line.
    fn hear(&mut self) -> Said {
        let said = self.hears.recv_timeout(PATIENCE).expect("somebody says something");
        let number = |text: &str| text.parse::<u64>().expect("a number");
        if let Some(member) = said.line.strip_prefix("member ") {
            let (_, address) = member.split_once(" at ").expect("where it is");
            self.addresses.insert(said.shell, address.to_owned());
        } else if let Some(text) = said.line.strip_prefix("sending: ") {
            self.sent.push((said.shell, number(text)));
        } else if let Some(text) = said.line.strip_prefix("received: ") {
            match text.strip_suffix(", once more") {
                Some(text) => self.again.push(number(text)),
                None => self.received.push((said.shell, number(text))),
            }
        } else {
            unreachable!("{} says {:?}", said.shell, said.line);
        }
        said
    }

    /// Hears until one says it; when that was.
    fn hear_until(&mut self, shell: &str, beginning: &str) -> Instant {
        let end = Instant::now() + PATIENCE;
        loop {
            let said = self.hear();
            if said.shell == shell && said.line.starts_with(beginning) {
                return said.at;
            }
            assert!(Instant::now() < end, "{shell} does not say {beginning:?}");
        }
    }

    /// How many of the next messages each shell receives.
    fn shares(&mut self) -> BTreeMap<&'static str, usize> {
        let from = self.received.len();
        while self.received.len() < from + SHARED {
            self.hear();
        }
        let mut shares = BTreeMap::new();
        for (shell, _) in &self.received[from..] {
            *shares.entry(*shell).or_default() += 1;
        }
        shares
    }

    /// What a shell has sent, in order.
    fn sent_by(&self, shell: &str) -> Vec<u64> {
        self.sent.iter().filter(|(by, _)| *by == shell).map(|(_, number)| *number).collect()
    }

    /// Nothing is left out: hears until all that was sent by now has been received.
    fn hear_all(&mut self) {
        let last = self.sent.iter().map(|(_, number)| *number).max().expect("something was sent");
        let end = Instant::now() + PATIENCE;
        loop {
            let heard = self.received.iter().map(|(_, number)| *number);
            let heard: BTreeSet<u64> = heard.chain(self.again.iter().copied()).collect();
            if (1..=last).all(|number| heard.contains(&number)) {
                return;
            }
            assert!(Instant::now() < end, "something of 1 to {last} was never received");
            self.hear();
        }
    }
}

/// The tutorial once: how long the daemon was nowhere after the kill.
fn walk_through(round: u64) -> Duration {
    let mut desk = Desk::new(round);
    desk.start("one", "one");
    desk.hear_until("one", "member ");
    desk.start("two", "two");
    desk.hear_until("two", "received: ");

    // The daemon runs on one of them only, and both receive messages.
    let shares = desk.shares();
    let is_fair = shares.len() == 2 && shares.values().all(|share| (450..=550).contains(share));
    assert!(is_fair, "{shares:?}");
    assert_eq!(desk.sent_by("two"), [0; 0], "it runs on one of them only");

    // The other one starts it.
    let killed = Instant::now();
    desk.shells.remove("one").expect("it was started").kill();
    desk.addresses.remove("one");
    let goes_on = desk.hear_until("two", "sending: ").saturating_duration_since(killed);

    // The one that was killed comes back and receives; the daemon stays where it is.
    desk.start("one again", "one");
    desk.hear_until("one again", "received: ");
    desk.hear_all();
    assert_eq!(desk.sent_by("one again"), [0; 0]);

    // It has counted on from where it was: what did not count yet is sent once more, or the next one.
    let sent = [desk.sent_by("one"), desk.sent_by("two")].concat();
    let leap = sent.windows(2).find(|two| two[1] != two[0] && two[1] != two[0] + 1);
    assert_eq!((sent[0], leap), (1, None), "it leaves nothing out");
    let mut first: Vec<u64> = desk.received.iter().map(|(_, number)| *number).collect();
    first.sort_unstable();
    let twice = first.windows(2).find(|two| two[0] == two[1]);
    assert_eq!(twice, None, "what comes once more says so");

    for shell in desk.shells.values_mut() {
        shell.terminate();
    }
    for shell in desk.shells.values_mut() {
        shell.ends();
    }
    println!("round {round}: elsewhere after {} ms, shares {shares:?}", goes_on.as_millis());
    goes_on
}

#[test]
fn the_tutorials_daemon_runs_once_is_elsewhere_after_a_kill_and_counts_on() {
    let rounds = std::env::var("MUSTER_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    let rounds: u64 = rounds.unwrap_or(2);
    let mut all: Vec<Duration> = (1..=rounds).map(walk_through).collect();
    all.sort_unstable();
    let (median, worst) = (all[all.len() / 2].as_millis(), all[all.len() - 1].as_millis());
    println!("{rounds} rounds: elsewhere after {median} ms (median), {worst} ms at most");
}

#[test]
fn the_tutorial_shows_the_program_as_it_is() {
    let tutorial = include_str!("../../../docs/tutorial.md");
    let program = include_str!("../../src/bin/cluster_example.rs");
    assert!(tutorial.contains(&format!("```rust\n{program}```\n")), "docs/tutorial.md has another");
}
