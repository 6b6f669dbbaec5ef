//! The binary as its users meet it: what it says where, and with which exit code.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "cli/care.rs"]
mod care;
#[path = "cli/login.rs"]
mod login;

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Far more than anything here takes, even on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// The three listeners on free ports.
const FREE_PORTS: [&str; 6] =
    ["--http", "127.0.0.1:0", "--mcmp", "127.0.0.1:0", "--manager", "127.0.0.1:0"];

/// A running `muster`. Dropping it kills it.
struct Muster {
    child: Child,
    out: Lines,
    err: Lines,
}

/// What a process writes, line by line.
struct Lines(Receiver<String>);

/// How a process ended, and what it had still to say.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

// === impl Muster ===

impl Muster {
    fn start(arguments: &[&str]) -> Muster {
        Muster::of(spawn(arguments))
    }

    fn of(mut child: Child) -> Muster {
        let out = Lines::of(child.stdout.take().unwrap());
        let err = Lines::of(child.stderr.take().unwrap());
        Muster { child, out, err }
    }

    fn run(arguments: &[&str]) -> Muster {
        Muster::start(&[&["run"], arguments].concat())
    }

    fn terminate(&self) {
        let pid = Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Waits until it has ended by itself.
    fn ended(mut self) -> Ended {
        let (out, err) = (self.out.rest(), self.err.rest());
        // Both of its outputs are closed, so it is gone or about to be.
        Ended { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Muster {
    fn drop(&mut self) {
        // It may have ended already, then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[&str]) -> Child {
    spawn_command(Command::new(env!("CARGO_BIN_EXE_muster")).args(arguments))
}

fn spawn_command(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

// === impl Lines ===

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Lines {
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let read = BufReader::new(output).lines().map_while(Result::ok);
            read.take_while(|line| sender.send(line.clone()).is_ok()).for_each(drop);
        });
        Lines(lines)
    }

    fn next(&self) -> String {
        self.0.recv_timeout(PATIENCE).expect("a line of output")
    }

    /// Everything up to the end of the output.
    fn rest(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut text = String::new();
        loop {
            match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => text += &(line + "\n"),
                Err(RecvTimeoutError::Disconnected) => return text,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on after {PATIENCE:?}:\n{text}"),
            }
        }
    }
}

// === what tests do ===

fn said(arguments: &[&str]) -> Ended {
    Muster::start(arguments).ended()
}

/// What is said to somebody who types this.
fn said_with(argument: &str, typed: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{typed}").unwrap();
    Muster::of(child).ended()
}

/// A configuration file that goes with its folder.
fn file(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("muster.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path.to_str().unwrap().to_owned())
}

/// The whole answer to a GET on a connection of its own.
fn get(to: SocketAddr, target: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const FAULTY: &str = "\
threads = 0
[retry]
color = \"red\"

[http]
listen = [\"127.0.0.1:0\", \"localhost\"]

[health]
forget_after = \"1s\"
";

/// What is said about [`FAULTY`].
fn faults_of(path: &str) -> String {
    format!(
        "{path}:1: threads: 0 is out of bounds: 1 to 1024\n\
         {path}:3: retry.color: unknown key; known are budget_ratio, budget_floor, connect_only\n\
         {path}:6: http.listen: \"localhost\" is no address (ip:port)\n\
         {path}:9: health.forget_after: 1s is not longer than health.silent_after, 30s\n"
    )
}

// === muster check ===

#[test]
fn check_calls_a_good_file_good() {
    let (_folder, path) = file("[http]\nlisten = [\"127.0.0.1:0\"]\n");
    let ended = said(&["check", &path]);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, format!("{path}: good\n"));
}

#[test]
fn check_names_every_fault_with_file_line_and_key() {
    let (_folder, path) = file(FAULTY);
    let ended = said(&["check", &path]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert_eq!(ended.err, faults_of(&path));
}

#[test]
fn check_of_a_missing_file_names_the_file() {
    let (folder, path) = file("");
    let missing = path.replace("muster.toml", "nowhere.toml");
    let ended = said(&["check", &missing]);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(ended.err.starts_with(&format!("{missing}: No such file")), "{ended:?}");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    drop(folder);
}

// === muster config show ===

#[test]
fn what_config_show_prints_is_a_good_file() {
    let (_folder, path) = file("[mcmp]\nuse_alias = true\nmax_nodes = 7\n");
    for arguments in [&["config", "show"][..], &["config", "show", "-c", &path]] {
        let shown = said(arguments);
        assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""), "{arguments:?}");
        let (_folder, printed) = file(&shown.out);
        let ended = said(&["check", &printed]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let again = said(&["config", "show", "-c", &printed]);
        assert_eq!(again.out, shown.out, "{arguments:?}");
    }
}

// === muster run ===

#[test]
fn run_says_where_it_listens_answers_and_ends_well_at_sigterm() {
    let muster = Muster::run(&FREE_PORTS);
    let line = muster.out.next();
    let (addresses, pid) = line.strip_prefix("listening ").unwrap().rsplit_once(" pid=").unwrap();
    assert_eq!(pid, muster.child.id().to_string(), "{line}");
    let named: Vec<(&str, SocketAddr)> = addresses
        .split(' ')
        .map(|word| word.split_once('=').unwrap())
        .map(|(key, address)| (key, address.parse().unwrap()))
        .collect();
    let keys: Vec<&str> = named.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["http", "mcmp", "manager"], "{line}");
    assert!(named.iter().all(|(_, address)| address.port() != 0), "{line}");

    let answer = get(named[0].1, "/nowhere");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    assert!(get(named[2].1, "/readyz").starts_with("HTTP/1.1 200 "));

    muster.terminate();
    let ended = muster.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // Nothing that was answered is missing from the access log, however soon the end came.
    assert!(ended.out.contains("\"GET /nowhere HTTP/1.1\" 404 "), "{ended:?}");
}

#[test]
fn run_ends_at_sigterm_though_nobody_reads_its_access_log() {
    let mut child = spawn(&[&["run"], &FREE_PORTS[..]].concat());
    let mut unread = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    unread.read_line(&mut line).unwrap();
    let http = line.split(' ').find_map(|word| word.strip_prefix("http=")).unwrap();
    let http: SocketAddr = http.parse().unwrap();
    let err = Lines::of(child.stderr.take().unwrap());
    let muster = Muster { child, out: Lines::of(std::io::empty()), err };

    // Far more lines than a pipe holds.
    let target = format!("/{}", "x".repeat(8000));
    (0..64).for_each(|_| drop(get(http, &target)));
    muster.terminate();
    let ended = muster.ended();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    drop(unread);
}

#[test]
fn run_warns_when_its_connections_need_more_files_than_it_may_open() {
    let limited = "ulimit -n 900 && exec \"$0\" run \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", limited, env!("CARGO_BIN_EXE_muster")]).args(FREE_PORTS);
    let muster = Muster::of(spawn_command(&mut shell));
    muster.out.next();
    muster.terminate();
    let ended = muster.ended();
    let warning = ended.err.lines().find(|line| line.contains("WARN") && line.contains("900"));
    let warning = warning.unwrap_or_else(|| panic!("{ended:?}"));
    for number in ["http.max_connections=20000", "upstream.idle_connections=8192"] {
        assert!(warning.contains(number), "{warning}");
    }
}

#[test]
fn run_takes_its_addresses_from_a_file() {
    let off = "[log]\naccess = \"off\"\n[mcmp]\nlisten = []\n[manager]\nlisten = []\n";
    let listen = "listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]";
    let (_folder, path) = file(&format!("[http]\n{listen}\n{off}"));
    let muster = Muster::run(&["-c", &path]);
    let line = muster.out.next();
    assert_eq!(line.matches(" http=127.0.0.1:").count(), 2, "{line}");
    assert!(!line.contains("mcmp") && !line.contains("manager"), "{line}");
    muster.terminate();
    let ended = muster.ended();
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), ""), "{ended:?}");
}

#[test]
fn run_on_a_taken_port_names_the_key_and_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (at, key) in [(1, "http.listen"), (3, "mcmp.listen"), (5, "manager.listen")] {
        let mut arguments = FREE_PORTS;
        arguments[at] = &address;
        let ended = Muster::run(&arguments).ended();
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        let said = format!("muster: {key}: cannot listen on {address}: Address already in use");
        assert!(ended.err.lines().any(|line| line.starts_with(&said)), "{ended:?}");
    }
}

#[test]
fn run_with_a_bad_file_names_its_faults_and_does_not_listen() {
    let (_folder, path) = file(FAULTY);
    let ended = Muster::run(&["-c", &path]).ended();
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert_eq!(ended.err, faults_of(&path));
}

#[test]
fn a_bad_command_line_is_another_exit_code() {
    let named = [(&["run", "--colour"][..], "--colour"), (&["run", "--http", "x"], "--http")];
    for (arguments, name) in named.into_iter().chain([(&["walk"][..], "walk")]) {
        let ended = said(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
        assert!(ended.err.contains(name), "{ended:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let version = said(&["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(version.out, concat!("muster ", env!("CARGO_PKG_VERSION"), "\n"));
    let help = said(&["run", "--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    assert!(help.out.contains("--manager <ADDR>"), "{help:?}");
}

#[test]
fn a_listener_of_nodes_that_others_reach_does_not_start_unlocked_and_says_what_is_missing() {
    let muster = Muster::run(&["--http", "127.0.0.1:0", "--mcmp", "0.0.0.0:6666"]);
    let ended = muster.ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for missing in
        ["command line: mcmp.listen: 0.0.0.0:6666", "mcmp.allow", "mcmp.secret", "mcmp.tls"]
    {
        assert!(ended.err.contains(missing), "{missing}: {ended:?}");
    }
    assert!(!ended.out.contains("listening"), "{ended:?}");
}
