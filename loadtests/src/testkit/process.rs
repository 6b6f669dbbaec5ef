//! A real process: started, awaited, hurt, started again, and ended with the value.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::faults::{Fault, inflict};
use super::wait::{Late, eventually};

/// How long a program may take until it says `listening`.
pub const START: Duration = Duration::from_secs(30);

/// How much of a process's output a failed test shows, in bytes from the end.
const SHOWN: usize = 4 << 10;

/// Why a process is not there as wanted.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started or signalled.
    #[error("{name}: {source}")]
    System {
        /// The process.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// It ended when it should have been there.
    #[error("{name} ended with {status} before it was listening:\n{output}")]
    Ended {
        /// The process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
    /// It did not do in time what was waited for.
    #[error("{name}: {source}\n{output}")]
    Late {
        /// The process.
        name: String,
        /// What was waited for.
        source: Late,
        /// The end of what it said.
        output: String,
    },
}

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What tests call it; also names its output files.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where its output goes, one pair of files for each life.
    pub folder: PathBuf,
}

/// A process that has said `listening`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Child,
    life: u32,
    listening: String,
    /// Processes that took over from the one that was started, in their order.
    successors: Vec<u32>,
}

impl Process {
    /// Starts a program and waits for the line of its standard output that begins with
    /// `listening `.
    pub async fn start(spec: Spec) -> Result<Process, ProcessError> {
        let child = spawn(&spec, 1)?;
        let (listening, successors) = (String::new(), Vec::new());
        let mut process = Process { spec, child, life: 1, listening, successors };
        process.await_listening().await?;
        Ok(process)
    }

    /// Its id, or that of the last process that took over from it.
    pub fn id(&self) -> u32 {
        self.successors.last().copied().unwrap_or_else(|| self.child.id())
    }

    /// Asks it to let a new process take over (SIGUSR2), and waits until that one has said
    /// `listening` with its `pid`. The old one may still have connections to end; it is waited for
    /// by [`Process::await_old`].
    pub async fn succeed(&mut self, within: Duration) -> Result<u32, ProcessError> {
        let known = 1 + self.successors.len();
        self.inflict(Fault::Succeed)?;
        let out = self.spec.file(self.life, "out");
        let listening = eventually("a new process says `listening`", within, || {
            let text = read(&out);
            async move {
                let line = listening_lines(&text).nth(known).map(str::to_owned);
                line.ok_or("none has said so")
            }
        });
        self.listening = listening.await.map_err(|source| self.late(source))?;
        let pid = self.listening.split_whitespace().find_map(|word| word.strip_prefix("pid="));
        let pid = pid.and_then(|pid| pid.parse().ok()).unwrap_or_default();
        self.successors.push(pid);
        Ok(pid)
    }

    /// Waits until only the last process that took over is left.
    pub async fn await_old(&mut self, within: Duration) -> Result<(), ProcessError> {
        let Some((_, old)) = self.successors.split_last() else { return Ok(()) };
        let (old, child) = (old.to_vec(), &mut self.child);
        let gone = eventually("the old processes end", within, || {
            let child = child.try_wait();
            let left: Vec<u32> = old.iter().copied().filter(|pid| is_there(*pid)).collect();
            async move {
                match child {
                    Ok(Some(_)) if left.is_empty() => Ok(()),
                    Ok(ended) => Err(format!("the first: {ended:?}, left: {left:?}")),
                    Err(error) => Err(error.to_string()),
                }
            }
        });
        gone.await.map_err(|source| self.late(source))
    }

    /// An address of the `listening` line: `http` for `http=127.0.0.1:8000`.
    pub fn listening(&self, what: &str) -> Option<SocketAddr> {
        let value =
            |word: &str| word.split_once('=').filter(|(key, _)| *key == what)?.1.parse().ok();
        self.listening.split_whitespace().find_map(value)
    }

    /// Lets a fault happen to it.
    pub fn inflict(&self, fault: Fault) -> Result<(), ProcessError> {
        inflict(fault, self.id()).map_err(|source| self.system(source))
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<(), ProcessError> {
        self.kill_successors();
        self.child.kill().and_then(|()| self.child.wait()).map_err(|e| self.system(e))?;
        Ok(())
    }

    /// How it ended, once it has; `None` while it runs.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, ProcessError> {
        self.child.try_wait().map_err(|source| self.system(source))
    }

    /// Waits until it has ended by itself.
    pub async fn await_end(&mut self, within: Duration) -> Result<ExitStatus, ProcessError> {
        let child = &mut self.child;
        let ended = eventually("the process ends", within, || {
            let ended = child.try_wait();
            async move { ended.map_err(|e| e.to_string())?.ok_or("it runs".to_owned()) }
        });
        ended.await.map_err(|source| self.late(source))
    }

    /// Starts it again with the same arguments, after killing what may be left of it.
    pub async fn restart(&mut self) -> Result<(), ProcessError> {
        self.kill()?;
        self.life += 1;
        self.child = spawn(&self.spec, self.life)?;
        self.await_listening().await
    }

    /// From its next start on it is another program, with the same arguments. In a namespace the
    /// program that enters it stays.
    pub fn set_program(&mut self, program: PathBuf) {
        self.spec.program = program;
    }

    /// What it wrote to standard output in this life.
    pub fn output(&self) -> String {
        read(&self.spec.file(self.life, "out"))
    }

    /// What it wrote to standard error in this life.
    pub fn errors(&self) -> String {
        read(&self.spec.file(self.life, "err"))
    }

    /// They are nobody's children here: killed, and waited for only as long as that takes.
    fn kill_successors(&mut self) {
        for pid in self.successors.drain(..) {
            let _ = inflict(Fault::Kill, pid);
            let began = std::time::Instant::now();
            while is_there(pid) && began.elapsed() < START {
                std::thread::sleep(super::wait::PAUSE);
            }
        }
    }

    async fn await_listening(&mut self) -> Result<(), ProcessError> {
        let out = self.spec.file(self.life, "out");
        let child = &mut self.child;
        let line = eventually("the line `listening ...`", START, || {
            // The process is asked first: what it said before it ended is then all there.
            let ended = child.try_wait();
            let line = listening_line(&read(&out));
            async move {
                match (line, ended) {
                    (Some(line), _) => Ok(Ok(line)),
                    (None, Ok(Some(status))) => Ok(Err(status)),
                    (None, Ok(None)) => Err("it runs and is silent".to_owned()),
                    (None, Err(error)) => Err(error.to_string()),
                }
            }
        });
        match line.await {
            Ok(Ok(line)) => {
                self.listening = line;
                Ok(())
            }
            Ok(Err(status)) => {
                let name = self.spec.name.clone();
                Err(ProcessError::Ended { name, status, output: self.tail() })
            }
            Err(source) => Err(self.late(source)),
        }
    }

    fn system(&self, source: io::Error) -> ProcessError {
        ProcessError::System { name: self.spec.name.clone(), source }
    }

    fn late(&self, source: Late) -> ProcessError {
        ProcessError::Late { name: self.spec.name.clone(), source, output: self.tail() }
    }

    /// The end of what it wrote in every life.
    fn tail(&self) -> String {
        let mut told = String::new();
        for life in 1..=self.life {
            for kind in ["out", "err"] {
                let file = self.spec.file(life, kind);
                let text = read(&file);
                let from = text.floor_char_boundary(text.len().saturating_sub(SHOWN));
                told.push_str(&format!("--- {}\n{}\n", file.display(), &text[from..]));
            }
        }
        told
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_successors();
        // It may have ended already, then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}

// === impl Spec ===

impl Spec {
    fn file(&self, life: u32, kind: &str) -> PathBuf {
        self.folder.join(format!("{}-{life}.{kind}", self.name))
    }
}

fn spawn(spec: &Spec, life: u32) -> Result<Child, ProcessError> {
    let file = |kind| File::create(spec.file(life, kind));
    let start = || {
        Command::new(&spec.program)
            .args(&spec.arguments)
            .current_dir(&spec.folder)
            .stdin(Stdio::null())
            .stdout(file("out")?)
            .stderr(file("err")?)
            .spawn()
    };
    start().map_err(|source| ProcessError::System { name: spec.name.clone(), source })
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

fn listening_line(output: &str) -> Option<String> {
    listening_lines(output).next().map(str::to_owned)
}

fn listening_lines(output: &str) -> impl Iterator<Item = &str> {
    // Only a whole line counts: the rest may not be written yet.
    let lines = output.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    lines.map(str::trim_end).filter(|line| line.starts_with("listening "))
}

/// Whether there is such a process; one that has ended and that nobody has waited for is none.
fn is_there(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, folder: &Path) -> Spec {
        Spec {
            name: "shell".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            folder: folder.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_process_is_there_once_it_says_listening() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo one; echo 'listening http=127.0.0.1:1 node=a'; exec sleep 60";
        let mut process = Process::start(shell(script, folder.path())).await.unwrap();
        assert_eq!(process.listening("http"), Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(process.listening("mcmp"), None);
        process.inflict(Fault::Freeze).unwrap();
        process.restart().await.unwrap();
        process.inflict(Fault::Terminate).unwrap();
        assert!(!process.await_end(Duration::from_secs(10)).await.unwrap().success());
    }

    #[tokio::test]
    async fn a_process_that_ends_early_shows_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo 'no such file' >&2; exit 3";
        let told = Process::start(shell(script, folder.path())).await.unwrap_err().to_string();
        assert!(told.contains("no such file") && told.contains('3'), "{told}");
    }

    #[test]
    fn half_a_line_is_not_yet_said() {
        assert_eq!(listening_line("listening http=127.0.0.1:80"), None);
        assert!(listening_line("listening http=127.0.0.1:8000\n").is_some());
    }
}
