//! A real Tomcat with mod_cluster that registers itself: what the field runs, unchanged.
//!
//! The folder that `TOMCAT_WORKER` names holds the prepared worker (`./check` prepares it). Each
//! Tomcat runs in the farm's scratch folder and ends with its value.

use std::fs;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::client::Client;
use super::farm::{Farm, FarmError};
use super::faults::{Fault, inflict};
use super::ports::free_address;
use super::wait::{Late, eventually};

/// AJP's "are you there?", and the answer.
const CPING: [u8; 5] = *b"\x12\x34\0\x01\x0a";
const CPONG: [u8; 5] = *b"AB\0\x01\x09";

/// How long a Tomcat may take until it answers.
pub const START: Duration = Duration::from_secs(60);

/// What a Tomcat speaks with its balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    /// HTTP/1.1.
    Http,
    /// AJP13.
    Ajp,
}

/// How a Tomcat knows its balancers.
#[derive(Debug, Clone)]
pub enum Balancers {
    /// By a list of one.
    At(SocketAddr),
    /// By their advertise on loopback.
    Advertised {
        /// The multicast group.
        group: SocketAddrV4,
        /// What the balancers know too.
        key: String,
    },
}

/// A running Tomcat with the counter application at `/counter`.
#[derive(Debug)]
pub struct Tomcat {
    /// Its node name.
    pub name: String,
    /// Where its connector listens.
    pub address: SocketAddr,
    connector: Connector,
    /// Attributes of its listener beside the usual ones, as XML.
    attributes: String,
    /// Applications beside the counter, as war files.
    more: Vec<PathBuf>,
    worker: PathBuf,
    runs: PathBuf,
    balancers: Balancers,
    pid: u32,
}

impl Tomcat {
    /// Starts a Tomcat with an HTTP connector and waits until its application answers.
    pub async fn start(farm: &Farm, name: &str, balancer: SocketAddr) -> Result<Tomcat, FarmError> {
        Tomcat::start_with(farm, name, balancer, Connector::Http, &[]).await
    }

    /// The same without a list: it follows balancers that advertise themselves.
    pub async fn follow(
        farm: &Farm,
        name: &str,
        group: SocketAddrV4,
        key: &str,
    ) -> Result<Tomcat, FarmError> {
        let balancers = Balancers::Advertised { group, key: key.to_owned() };
        Tomcat::start_knowing(farm, name, balancers, Connector::Http, &[]).await
    }

    /// The same, where the listener that registers it has further attributes, as XML has them.
    pub async fn start_as(
        farm: &Farm,
        name: &str,
        balancer: SocketAddr,
        attributes: &str,
    ) -> Result<Tomcat, FarmError> {
        let mut tomcat = Tomcat::prepare(farm, name, Balancers::At(balancer), Connector::Http)?;
        tomcat.attributes = attributes.to_owned();
        tomcat.launch().await?;
        Ok(tomcat)
    }

    /// Starts a Tomcat with this connector, and with an application for each of these servlets
    /// (Java sources) beside the counter: `Echo.java` is mounted at `/echo`. Over HTTP it waits
    /// until the counter answers, over AJP only until the connector does.
    pub async fn start_with(
        farm: &Farm,
        name: &str,
        balancer: SocketAddr,
        connector: Connector,
        servlets: &[&Path],
    ) -> Result<Tomcat, FarmError> {
        Tomcat::start_knowing(farm, name, Balancers::At(balancer), connector, servlets).await
    }

    async fn start_knowing(
        farm: &Farm,
        name: &str,
        balancers: Balancers,
        connector: Connector,
        servlets: &[&Path],
    ) -> Result<Tomcat, FarmError> {
        let mut tomcat = Tomcat::prepare(farm, name, balancers, connector)?;
        for servlet in servlets {
            let war = tomcat.build(servlet).await?;
            tomcat.more.push(war);
        }
        tomcat.launch().await?;
        Ok(tomcat)
    }

    fn prepare(
        farm: &Farm,
        name: &str,
        balancers: Balancers,
        connector: Connector,
    ) -> Result<Tomcat, FarmError> {
        let missing = "TOMCAT_WORKER names no prepared worker; `./check` prepares it";
        let worker = std::env::var_os("TOMCAT_WORKER").map(PathBuf::from);
        let worker = worker.filter(|folder| folder.join("tomcat7").is_dir());
        let worker = worker.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))?;
        Ok(Tomcat {
            name: name.to_owned(),
            address: free_address()?,
            connector,
            attributes: String::new(),
            more: Vec::new(),
            worker,
            runs: farm.folder().join("tomcat"),
            balancers,
            pid: 0,
        })
    }

    /// Lets a fault happen to it.
    pub fn inflict(&self, fault: Fault) -> io::Result<()> {
        inflict(fault, self.pid)
    }

    /// Starts it again on the same port, after killing what may be left of it.
    pub async fn restart(&mut self) -> Result<(), FarmError> {
        self.kill();
        self.await_silent(Duration::from_secs(10)).await?;
        self.launch().await
    }

    /// Takes the application away; Tomcat notices within some 10 s and tells the balancer.
    pub fn undeploy(&self) -> io::Result<()> {
        fs::remove_file(self.application())
    }

    /// Gives it the application again.
    pub fn deploy(&self) -> io::Result<()> {
        // Renamed into place, so that Tomcat never sees half a file.
        let whole = self.runs.join(format!("{}.war", self.name));
        fs::copy(self.worker.join("app/counter.war"), &whole)?;
        fs::rename(whole, self.application())
    }

    /// The ids of the POSTs that its `Echo` noted, over all its lives.
    pub fn request_ids(&self) -> Vec<String> {
        let log = fs::read_to_string(self.runs.join(format!("{}.posts", self.name)));
        log.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until nobody listens at its address.
    pub async fn await_silent(&self, within: Duration) -> Result<(), Late> {
        let address = self.address;
        eventually(&format!("{} is gone", self.name), within, || async move {
            let refused = TcpStream::connect(address).await.is_err();
            refused.then_some(()).ok_or("it listens")
        })
        .await
    }

    fn application(&self) -> PathBuf {
        self.runs.join(&self.name).join("webapps/counter.war")
    }

    fn console(&self) -> String {
        let log = self.runs.join(&self.name).join("logs/console.log");
        String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
    }

    /// Compiles a servlet against the worker's own API and packs it.
    async fn build(&self, servlet: &Path) -> io::Result<PathBuf> {
        let name = servlet.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let folder = self.runs.join(format!("{}-{name}", self.name));
        let classes = folder.join("WEB-INF/classes");
        fs::create_dir_all(&classes)?;
        let mut javac = Command::new("javac");
        javac.args(["--release", "17", "-nowarn", "-cp"]);
        javac.arg(self.worker.join("tomcat7/lib/servlet-api.jar"));
        run(javac.arg("-d").arg(classes).arg(servlet)).await?;
        let war = self.runs.join(format!("{}-{name}.war", self.name));
        let mut jar = Command::new("jar");
        run(jar.arg("cf").arg(&war).arg("-C").arg(folder).arg("WEB-INF")).await?;
        Ok(war)
    }

    async fn launch(&mut self) -> Result<(), FarmError> {
        let (base, word) = match self.connector {
            Connector::Http => (8080, "http"),
            Connector::Ajp => (8009, "ajp"),
        };
        // The worker takes how far its port is from the usual one.
        let offset = self.address.port() - base;
        let (script, balancers) = self.script()?;
        let started = Command::new(script)
            .args([&self.name, &offset.to_string(), &balancers, word])
            .arg(&self.attributes)
            .env("RUN_DIR", &self.runs)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .await?;
        let folder = self.runs.join(&self.name);
        let pid = fs::read_to_string(folder.join("pid")).unwrap_or_default();
        let no_pid = || io::Error::other(format!("worker.sh ended with {started}, pid {pid:?}"));
        self.pid = pid.trim().parse().map_err(|_| no_pid())?;
        // Long before Tomcat has started and looks for them.
        for war in &self.more {
            let name = war.file_name().unwrap_or_default().to_string_lossy();
            let name = name.trim_start_matches(&format!("{}-", self.name)).to_owned();
            let whole = folder.join("temp").join(&name);
            fs::copy(war, &whole)?;
            fs::rename(whole, folder.join("webapps").join(name))?;
        }
        let (address, connector) = (self.address, self.connector);
        let what = format!("{} answers", self.name);
        let answers = eventually(&what, START, || async move {
            match connector {
                Connector::Http => serves(address).await,
                Connector::Ajp => ping(address).await.map_err(|error| error.to_string()),
            }
        });
        Ok(answers.await?)
    }

    /// The worker's script, and what it takes for its balancers.
    fn script(&self) -> io::Result<(PathBuf, String)> {
        let script = self.worker.join("worker.sh");
        let (group, key) = match &self.balancers {
            Balancers::At(balancer) => return Ok((script, balancer.to_string())),
            Balancers::Advertised { group, key } => (group, key),
        };
        // The script knows lists only, so a copy is told to take the attributes as they come.
        let text = fs::read_to_string(&script)?;
        let mut own = text.clone();
        for (from, to) in [
            ("L=$(dirname \"$(readlink -f \"$0\")\")", format!("L={}", self.worker.display())),
            ("advertise=\"false\" proxyList=\"$BAL\"", "$BAL".to_owned()),
        ] {
            if !own.contains(from) {
                return Err(io::Error::other(format!("worker.sh has no {from}")));
            }
            own = own.replace(from, &to);
        }
        fs::create_dir_all(&self.runs)?;
        let copy = self.runs.join(format!("{}.sh", self.name));
        fs::write(&copy, own)?;
        fs::set_permissions(&copy, fs::metadata(&script)?.permissions())?;
        let (address, port) = (group.ip(), group.port());
        let attributes = format!(
            "advertise=\"true\" advertiseGroupAddress=\"{address}\" advertisePort=\"{port}\" \
             advertiseInterface=\"127.0.0.1\" advertiseSecurityKey=\"{key}\""
        );
        Ok((copy, attributes))
    }

    fn kill(&mut self) {
        if self.pid != 0 {
            // It may have ended already.
            let _ = inflict(Fault::Kill, self.pid);
            self.pid = 0;
        }
    }
}

impl Drop for Tomcat {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.console());
        }
    }
}

/// Whether the counter answers.
async fn serves(address: SocketAddr) -> Result<(), String> {
    let answer = Client::new(address).get("/counter/?nosession=1").await;
    let status = answer.map_err(|error| error.to_string())?.status;
    status.is_success().then_some(()).ok_or(status.to_string())
}

/// Whether an AJP connector answers.
async fn ping(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&CPING).await?;
    let mut answer = [0; CPONG.len()];
    stream.read_exact(&mut answer).await?;
    match answer == CPONG {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Runs a program that must succeed.
async fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output().await?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tomcat_serves_dies_and_comes_back_on_its_port() {
        let farm = Farm::new().unwrap();
        // It serves whether or not there is a balancer.
        let nobody = free_address().unwrap();
        let mut tomcat = Tomcat::start(&farm, "tc", nobody).await.unwrap();
        let answer = Client::new(tomcat.address).get("/counter/").await.unwrap();
        assert_eq!(answer.node().as_deref(), Some("tc"));
        tomcat.inflict(Fault::Terminate).unwrap();
        tomcat.await_silent(Duration::from_secs(30)).await.unwrap();
        tomcat.restart().await.unwrap();
    }
}
