//! A real Tomcat with mod_cluster that registers itself: what the field runs, unchanged.
//!
//! The folder that `TOMCAT_WORKER` names holds the prepared worker (`./check` prepares it). Each
//! Tomcat runs in the farm's scratch folder and ends with its value.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::client::Client;
use super::farm::{Farm, FarmError};
use super::faults::{Fault, inflict};
use super::ports::free_address;
use super::wait::{Late, eventually};

/// The HTTP port that the worker uses at offset 0.
const BASE_PORT: u16 = 8080;

/// How long a Tomcat may take until it answers.
pub const START: Duration = Duration::from_secs(60);

/// A running Tomcat with the counter application at `/counter`.
#[derive(Debug)]
pub struct Tomcat {
    /// Its node name.
    pub name: String,
    /// Where it answers itself.
    pub http: SocketAddr,
    worker: PathBuf,
    runs: PathBuf,
    balancer: SocketAddr,
    pid: u32,
}

impl Tomcat {
    /// Starts a Tomcat with an HTTP connector and waits until its application answers.
    pub async fn start(farm: &Farm, name: &str, balancer: SocketAddr) -> Result<Tomcat, FarmError> {
        let missing = "TOMCAT_WORKER names no prepared worker; `./check` prepares it";
        let worker = std::env::var_os("TOMCAT_WORKER").map(PathBuf::from);
        let worker = worker.filter(|folder| folder.join("tomcat7").is_dir());
        let worker = worker.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))?;
        let mut tomcat = Tomcat {
            name: name.to_owned(),
            http: free_address()?,
            worker,
            runs: farm.folder().join("tomcat"),
            balancer,
            pid: 0,
        };
        tomcat.launch().await?;
        Ok(tomcat)
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

    /// Waits until nobody listens at its address.
    pub async fn await_silent(&self, within: Duration) -> Result<(), Late> {
        let http = self.http;
        eventually(&format!("{} is gone", self.name), within, || async move {
            let refused = tokio::net::TcpStream::connect(http).await.is_err();
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

    async fn launch(&mut self) -> Result<(), FarmError> {
        let offset = self.http.port() - BASE_PORT;
        let started = tokio::process::Command::new(self.worker.join("worker.sh"))
            .args([&self.name, &offset.to_string(), &self.balancer.to_string(), "http"])
            .env("RUN_DIR", &self.runs)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status()
            .await?;
        let pid = fs::read_to_string(self.runs.join(&self.name).join("pid")).unwrap_or_default();
        let no_pid = || io::Error::other(format!("worker.sh ended with {started}, pid {pid:?}"));
        self.pid = pid.trim().parse().map_err(|_| no_pid())?;
        let http = self.http;
        let what = format!("{} answers", self.name);
        let answers = eventually(&what, START, || async move {
            let path = "/counter/?nosession=1";
            let answer = Client::new(http).get(path).await.map_err(|e| e.to_string())?;
            answer.status.is_success().then_some(()).ok_or(answer.status.to_string())
        });
        Ok(answers.await?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tomcat_serves_dies_and_comes_back_on_its_port() {
        let farm = Farm::new().unwrap();
        // It serves whether or not there is a balancer.
        let nobody = free_address().unwrap();
        let mut tomcat = Tomcat::start(&farm, "tc", nobody).await.unwrap();
        let answer = Client::new(tomcat.http).get("/counter/").await.unwrap();
        assert_eq!(answer.node().as_deref(), Some("tc"));
        tomcat.inflict(Fault::Terminate).unwrap();
        tomcat.await_silent(Duration::from_secs(30)).await.unwrap();
        tomcat.restart().await.unwrap();
    }
}
