//! A member as a test has it: a real process, its socket, its views.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::asker::Asker;
use super::clock::Nanos;
use super::history::Outcome;
use super::job::JobWork;
use super::queue::QueueWork;
use super::single::Single;
use super::words::{Answer, Ask, ViewTold};
use crate::testkit::binaries;
use crate::testkit::farm::FarmError;
use crate::testkit::netns::Net;
use crate::testkit::process::{Process, Spec};
use crate::testkit::wait::{Late, eventually};

/// How a member finds the others, and by which rules it lives.
#[derive(Debug, Clone, Default)]
pub struct MemberOptions {
    /// Where its channel listens.
    pub channel: Option<SocketAddr>,
    /// Where others listen.
    pub peers: Vec<SocketAddr>,
    /// The multicast group in which they find each other.
    pub multicast: Option<SocketAddrV4>,
    /// The file with the cluster's secret.
    pub secret_file: Option<PathBuf>,
    /// The cluster quorum.
    pub quorum: Option<u16>,
    /// The lease that it campaigns for.
    pub lease: Option<String>,
    /// The singleton that it offers.
    pub single: Option<Single>,
    /// The job that it has.
    pub job: Option<JobWork>,
    /// What it does with a queue.
    pub queue: Option<QueueWork>,
    /// Its worker threads.
    pub threads: Option<usize>,
}

/// A running member.
#[derive(Debug)]
pub struct Member {
    /// The process.
    pub process: Process,
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub socket: PathBuf,
    /// Where it writes when it held its lease.
    pub journal: PathBuf,
}

// === impl Member ===

impl Member {
    /// Starts one, in a namespace where one is named, and waits until it answers. What it keeps on
    /// disk is in a folder of its name.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        folder: &Path,
        name: &str,
        options: &MemberOptions,
        place: Option<(&Net, usize)>,
    ) -> Result<Member, FarmError> {
        let (socket, journal) =
            (folder.join(format!("{name}.s")), folder.join(format!("{name}.j")));
        let spec = Spec {
            name: name.to_owned(),
            program: binaries::find("muster-member")?,
            arguments: options.arguments(name, &socket, &journal, &folder.join(name)),
            folder: folder.to_owned(),
        };
        let spec = match place {
            Some((net, number)) => net.inside(number, spec),
            None => spec,
        };
        let process = Process::start(spec).await?;
        Ok(Member { process, name: name.to_owned(), socket, journal })
    }

    /// A client of it.
    pub fn asker(&self) -> Asker {
        Asker::new(&self.socket)
    }

    /// Asks it once.
    pub async fn ask(&self, ask: &Ask, within: Duration) -> Answer {
        self.asker().ask(ask, within).await
    }

    /// Asks it once for what must be answered: the value.
    ///
    /// # Errors
    /// When it is not answered, or not well.
    pub async fn value(&self, ask: &Ask, within: Duration) -> Result<Value, String> {
        let Answer { ok, value, why } = self.ask(ask, within).await;
        if ok == Outcome::Ok { Ok(value) } else { Err(format!("{}: {ask:?}: {why}", self.name)) }
    }

    /// The views that it told in this life, the first one first.
    pub fn views(&self) -> Vec<ViewTold> {
        let output = self.process.output();
        let told = output.lines().filter_map(|line| line.strip_prefix("view "));
        told.filter_map(|view| serde_json::from_str(view).ok()).collect()
    }

    /// Waits until the last view that it told is as wanted, and gives the first of those since when
    /// it has been so.
    ///
    /// # Errors
    /// When it is not so in time.
    pub async fn await_view(
        &self,
        what: &str,
        within: Duration,
        is_wanted: impl Fn(&ViewTold) -> bool,
    ) -> Result<ViewTold, Late> {
        eventually(&format!("{} has a view: {what}", self.name), within, || async {
            let views = self.views();
            let wanted = views.iter().rev().take_while(|view| is_wanted(view)).last();
            wanted.cloned().ok_or_else(|| format!("{:?}", views.last()))
        })
        .await
    }

    /// The first view after an instant that is as wanted, if there is one by now.
    pub fn first_view(
        &self,
        after: Nanos,
        is_wanted: impl Fn(&ViewTold) -> bool,
    ) -> Option<ViewTold> {
        self.views().into_iter().find(|view| view.at >= after && is_wanted(view))
    }
}

// === impl MemberOptions ===

impl MemberOptions {
    fn arguments(&self, name: &str, socket: &Path, journal: &Path, data: &Path) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut option = |key: &str, value: String| arguments.extend([key.to_owned(), value]);
        option("--name", name.to_owned());
        option("--socket", socket.display().to_string());
        option("--data", data.display().to_string());
        if let Some(channel) = self.channel {
            option("--channel", channel.to_string());
        }
        for peer in &self.peers {
            option("--peer", peer.to_string());
        }
        if let Some(group) = self.multicast {
            option("--multicast", group.to_string());
        }
        if let Some(file) = &self.secret_file {
            option("--secret-file", file.display().to_string());
        }
        if let Some(quorum) = self.quorum {
            option("--quorum", quorum.to_string());
        }
        if let Some(lease) = &self.lease {
            option("--lease", lease.clone());
            option("--journal", journal.display().to_string());
        }
        if let Some(single) = &self.single {
            option("--singleton", single.name.clone());
            option("--position", single.position.to_string());
            for node in &single.prefers {
                option("--prefer", node.clone());
            }
            if let Some(quorum) = single.quorum {
                option("--policy-quorum", quorum.to_string());
            }
            option("--runs", journal.display().to_string());
        }
        if let Some(job) = &self.job {
            option("--job", job.name.clone());
            option("--every-ms", job.every_ms.to_string());
            option("--firings", journal.display().to_string());
        }
        if let Some(work) = &self.queue {
            option("--queue", work.name.clone());
            option("--publishes", work.publishes.to_string());
            option("--rate", work.rate.to_string());
            option("--consumers", work.consumers.to_string());
            option("--size", work.size.to_string());
            if work.has_journal {
                option("--parcels", journal.display().to_string());
            }
            if work.is_kept {
                option("--kept", data.with_extension("queue").display().to_string());
            }
        }
        if let Some(threads) = self.threads {
            option("--threads", threads.to_string());
        }
        arguments
    }
}
