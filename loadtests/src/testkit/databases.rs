//! Real databases that a test starts itself: on loopback, on a free port, in a folder of their own.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use super::ports::free_address;

/// How long a server may take until it takes connections.
const START: Duration = Duration::from_secs(60);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// A server of Debian's package `postgresql`, or `redis-server`. Dropping it kills it.
#[derive(Debug)]
pub struct Database {
    kind: Kind,
    address: SocketAddr,
    server: Option<Child>,
    // Last: the server lives in it.
    folder: TempDir,
}

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// Redis, with an append-only file.
    Redis,
}

// === impl Database ===

impl Database {
    /// Starts one that is empty.
    ///
    /// # Errors
    /// When the program is not there, or does not take connections in time.
    pub fn start(kind: Kind) -> io::Result<Database> {
        let folder = tempfile::tempdir()?;
        if kind == Kind::Postgres {
            initdb(folder.path())?;
        }
        let mut database = Database { kind, address: free_address()?, server: None, folder };
        database.up()?;
        Ok(database)
    }

    /// What an application is told.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://muster@{}/postgres", self.address),
            Kind::Redis => format!("redis://{}", self.address),
        }
    }

    /// Kills it: what it acknowledged stays in its folder.
    ///
    /// # Errors
    /// When the system does not do it.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        if self.kind == Kind::Postgres {
            // At once, and its children with it: they would hold its shared memory.
            if let Some(pid) = rustix::process::Pid::from_raw(server.id().cast_signed()) {
                kill_process(pid, Signal::QUIT)?;
            }
        } else {
            server.kill()?;
        }
        server.wait().map(drop)
    }

    /// Starts it again, where it was.
    ///
    /// # Errors
    /// As for [`Database::start`].
    pub fn up(&mut self) -> io::Result<()> {
        let port = self.address.port().to_string();
        let folder = self.folder.path();
        let mut command = match self.kind {
            Kind::Postgres => {
                let mut command = as_postgres("postgres")?;
                command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
                command.args(["-h", "127.0.0.1", "-p", &port, "-c", "max_connections=50"]);
                command
            }
            Kind::Redis => {
                let mut command = Command::new("redis-server");
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "always"]);
                command
            }
        };
        command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
        let mut server = command.stderr(Stdio::null()).spawn()?;
        let began = Instant::now();
        while let Err(error) = self.answers() {
            if let Some(status) = server.try_wait()? {
                return Err(io::Error::other(format!("{:?} ended with {status}", self.kind)));
            }
            if began.elapsed() > START {
                let _ = server.kill();
                let _ = server.wait();
                return Err(error);
            }
            std::thread::sleep(PAUSE);
        }
        self.server = Some(server);
        Ok(())
    }

    fn answers(&self) -> io::Result<()> {
        TcpStream::connect(self.address).map(drop)?;
        let status = match self.kind {
            Kind::Redis => return Ok(()),
            Kind::Postgres => Command::new(found("pg_isready")?)
                .args(["-q", "-h", "127.0.0.1", "-p", &self.address.port().to_string()])
                .status()?,
        };
        status.success().then_some(()).ok_or_else(|| io::Error::other("it is not ready"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn initdb(folder: &Path) -> io::Result<()> {
    if rustix::process::getuid().is_root() {
        // PostgreSQL refuses to be root's.
        let (user, group) = (id("-u")?, id("-g")?);
        std::os::unix::fs::chown(folder, Some(user), Some(group))?;
    }
    let mut command = as_postgres("initdb")?;
    command.arg("-D").arg(folder.join("data")).args(["-A", "trust", "-U", "muster", "-N"]);
    command.args(["-E", "UTF8", "--locale", "C"]).current_dir(folder);
    let output = command.stdin(Stdio::null()).output()?;
    let text = || String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or_else(|| io::Error::other(text()))
}

fn id(of: &str) -> io::Result<u32> {
    let output = Command::new("id").args([of, "postgres"]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    text.parse().map_err(|_| io::Error::other("there is no user postgres"))
}

fn as_postgres(program: &str) -> io::Result<Command> {
    let program = found(program)?;
    if !rustix::process::getuid().is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    Ok(command)
}

/// Debian keeps most of PostgreSQL's programs out of the path.
fn found(program: &str) -> io::Result<PathBuf> {
    let debian = Path::new("/usr/lib/postgresql");
    let versions = std::fs::read_dir(debian).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(program)).collect();
    all.retain(|path| path.is_file());
    all.sort();
    let missing = || io::Error::other(format!("no {program}: Debian's package postgresql has it"));
    all.pop().ok_or_else(missing)
}
