//! Network namespaces joined by one bridge, and what can happen to the cables between them.
//!
//! The work is done by `netns.sh` of the folder that `SHARED` names (`./check` sets it), in a copy.
//! It wants root. Each network has names and addresses of its own, so that tests run side by side.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::Spec;

const SCRIPTS: [&str; 2] = ["netns.sh", "nsdelay.py"];

/// Why there is no such network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The scripts are not there.
    #[error("{variable} does not name a folder with tools/{script}: {source}")]
    NoTools {
        /// The environment variable.
        variable: &'static str,
        /// What is missing.
        script: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The script failed.
    #[error("netns.sh {arguments:?}: {told}")]
    Failed {
        /// With what.
        arguments: Vec<String>,
        /// What it said.
        told: String,
    },
}

/// Namespaces 1 to `count`. Dropping it ends everything that runs in them and takes them away.
#[derive(Debug)]
pub struct Net {
    prefix: String,
    number: u8,
    script: PathBuf,
}

impl Net {
    /// Lays out a network with so many namespaces. The script's copy lies in `folder`.
    ///
    /// # Errors
    /// Without the tools, or without root.
    pub fn up(count: usize, folder: &Path) -> Result<Net, NetError> {
        let script = copy_tools(folder)?;
        let letter = || char::from(b'a' + rand::random::<u8>() % 26);
        let prefix = format!("m{}{}{}", letter(), letter(), letter());
        let net = Net { prefix, number: free_number(), script };
        net.run(&["up", &count.to_string()])?;
        Ok(net)
    }

    /// The address of a namespace, from 1 on.
    pub fn address(&self, of: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 99, self.number, of as u8)
    }

    /// The same program in a namespace. Its process id is the program's own.
    pub fn inside(&self, of: usize, spec: Spec) -> Spec {
        let name = format!("{}{of}", self.prefix);
        let mut arguments: Vec<String> = ["netns", "exec", &name].map(str::to_owned).into();
        arguments.push(spec.program.display().to_string());
        arguments.extend(spec.arguments);
        Spec { program: "ip".into(), arguments, ..spec }
    }

    /// Drops everything between these and those, both ways, in silence.
    ///
    /// # Errors
    /// What the script said; also below.
    pub fn cut(&self, these: &[usize], those: &[usize]) -> Result<(), NetError> {
        self.run(&["cut", &list(these), &list(those)])
    }

    /// Drops only what these send to those.
    pub fn one_way(&self, these: &[usize], those: &[usize]) -> Result<(), NetError> {
        self.run(&["oneway", &list(these), &list(those)])
    }

    /// Drops everything that one sends or receives.
    pub fn isolate(&self, one: usize) -> Result<(), NetError> {
        self.run(&["isolate", &one.to_string()])
    }

    /// Takes every cut away.
    pub fn heal(&self) -> Result<(), NetError> {
        self.run(&["heal"])
    }

    /// Each crossing takes so much longer; zero takes that away.
    pub fn delay(&self, by: Duration) -> Result<(), NetError> {
        self.run(&["delay", &by.as_millis().to_string()])
    }

    fn run(&self, arguments: &[&str]) -> Result<(), NetError> {
        // Files, not pipes: what the script leaves running would hold a pipe open.
        let told = self.script.with_extension("err");
        let failed = |told: String| NetError::Failed {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            told,
        };
        let ran = fs::File::create(&told).and_then(|errors| {
            Command::new("bash")
                .arg(&self.script)
                .args(arguments)
                .env("P", &self.prefix)
                .env("NET", self.number.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(errors)
                .status()
        });
        match ran {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(failed(fs::read_to_string(&told).unwrap_or_default())),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if let Err(error) = self.run(&["down"]) {
            eprintln!("a network of namespaces may be left over: {error}");
        }
    }
}

fn list(of: &[usize]) -> String {
    of.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn copy_tools(folder: &Path) -> Result<PathBuf, NetError> {
    let tools = PathBuf::from(std::env::var_os("SHARED").unwrap_or_default()).join("tools");
    for script in SCRIPTS {
        let copied = fs::copy(tools.join(script), folder.join(script));
        copied.map_err(|source| NetError::NoTools { variable: "SHARED", script, source })?;
    }
    Ok(folder.join(SCRIPTS[0]))
}

/// One of 10.99.x.0/24 of which this machine has no address.
fn free_number() -> u8 {
    let shown = Command::new("ip").args(["-o", "-4", "address"]).output();
    let taken = shown.map(|shown| String::from_utf8_lossy(&shown.stdout).into_owned());
    let taken = taken.unwrap_or_default();
    let candidates = std::iter::repeat_with(|| 1 + rand::random::<u8>() % 250);
    let is_free = |number: &u8| !taken.contains(&format!(" 10.99.{number}.254/"));
    candidates.take(1000).find(is_free).unwrap_or(1)
}

#[cfg(all(test, feature = "system"))]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_network_comes_and_goes_and_its_programs_have_its_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let net = Net::up(2, folder.path()).unwrap();
        let address = net.address(2);
        let spec = Spec {
            name: "shown".into(),
            program: "ip".into(),
            arguments: ["-o", "-4", "address"].map(str::to_owned).into(),
            folder: folder.path().to_owned(),
        };
        let inside = net.inside(2, spec);
        let shown = || Command::new(&inside.program).args(&inside.arguments).output().unwrap();
        assert!(String::from_utf8_lossy(&shown().stdout).contains(&address.to_string()));
        // Only inside.
        assert!(UdpSocket::bind((address, 0)).is_err());
        net.cut(&[1], &[2]).unwrap();
        net.heal().unwrap();
        drop(net);
        assert!(!shown().status.success());
    }
}
