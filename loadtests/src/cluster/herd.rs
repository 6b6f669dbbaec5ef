//! Several members, on loopback or each in a namespace of its own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde_json::Value;
use tempfile::TempDir;

use super::job::JobWork;
use super::member::{Member, MemberOptions};
use super::queue::QueueWork;
use super::single::Single;
use super::words::{Ask, ViewTold};
use crate::testkit::farm::FarmError;
use crate::testkit::netns::{Net, NetError};
use crate::testkit::ports::free_address;
use crate::testkit::wait::{Late, eventually};

/// How long anything may take that is not measured: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How long one question may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Where members in namespaces listen.
const CHANNEL: u16 = 7700;
/// Keys whose owners show whether every part of the data has as many as it should.
const PROBES: u32 = 64;

/// How members find each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Meeting {
    /// By a list.
    #[default]
    List,
    /// By multicast.
    Multicast,
}

/// What a herd is like.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// How many members.
    pub count: usize,
    /// Whether each has a namespace of its own.
    pub is_apart: bool,
    /// How they find each other.
    pub meeting: Meeting,
    /// The cluster quorum.
    pub quorum: Option<u16>,
    /// The lease that all campaign for.
    pub lease: Option<String>,
    /// The singleton that all offer.
    pub single: Option<Single>,
    /// The job that all have.
    pub job: Option<JobWork>,
    /// What each does with a queue, in order; members without an entry do nothing.
    pub queue: Vec<QueueWork>,
    /// Worker threads of each.
    pub threads: Option<usize>,
}

/// Members `m1`, `m2` and so on.
#[derive(Debug)]
pub struct Herd {
    /// The members.
    pub members: Vec<Member>,
    /// What joins them, where each is in a namespace.
    pub net: Option<Net>,
    plan: Plan,
    options: Vec<MemberOptions>,
    // Last: the others live in its folder.
    folder: TempDir,
}

/// Why several processes that belong together are not there: members, or counters behind a balancer.
#[derive(Debug, thiserror::Error)]
pub enum HerdError {
    /// A member or a file.
    #[error(transparent)]
    Farm(#[from] FarmError),
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// They do not come together.
    #[error(transparent)]
    Late(#[from] Late),
    /// A file or a port.
    #[error("their files and ports: {0}")]
    System(#[from] std::io::Error),
}

// === impl Herd ===

impl Herd {
    /// Starts all members and waits until they are together.
    ///
    /// # Errors
    /// When one does not start, or they do not find each other.
    pub async fn gather(plan: Plan) -> Result<Herd, HerdError> {
        let mut herd = Herd::prepare(plan)?;
        // All at once: with a quorum the first is not in before others are there.
        let starts = (1..=herd.plan.count).map(|number| {
            let herd = &herd;
            async move { herd.start(&format!("m{number}"), herd.options(number), number).await }
        });
        let members = try_join_all(starts).await?;
        herd.members = members;
        herd.await_together().await?;
        Ok(herd)
    }

    /// Everything but the members.
    ///
    /// # Errors
    /// When there is no network, or no port.
    pub fn prepare(plan: Plan) -> Result<Herd, HerdError> {
        let mut folder = tempfile::Builder::new().prefix("muster-herd-").tempdir()?;
        folder.disable_cleanup(std::env::var_os("MUSTER_KEEP").is_some());
        let net = match plan.is_apart {
            true => Some(Net::up(plan.count, folder.path())?),
            false => None,
        };
        let mut channels = Vec::new();
        for number in 1..=plan.count {
            channels.push(match &net {
                Some(net) => SocketAddr::from((net.address(number), CHANNEL)),
                None => free_address()?,
            });
        }
        let secret = folder.path().join("secret");
        fs::write(&secret, "what the members of this herd know\n")?;
        let [a, b, c]: [u8; 3] = rand::random();
        let group = SocketAddrV4::new(Ipv4Addr::new(239, 79, a, b), 20_000 + u16::from(c));
        let option = |number: usize| MemberOptions {
            channel: Some(channels[number]),
            peers: match plan.meeting {
                Meeting::List => {
                    channels.iter().filter(|at| **at != channels[number]).copied().collect()
                }
                Meeting::Multicast => Vec::new(),
            },
            multicast: (plan.meeting == Meeting::Multicast).then_some(group),
            secret_file: plan.is_apart.then(|| secret.clone()),
            quorum: plan.quorum,
            lease: plan.lease.clone(),
            single: plan.single.clone(),
            job: plan.job.clone(),
            queue: plan.queue.get(number).cloned(),
            threads: plan.threads,
        };
        let options = (0..plan.count).map(option).collect();
        Ok(Herd { members: Vec::new(), net, plan, options, folder })
    }

    /// Starts the member of this number, from 1 on; they are started in order.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn join(&mut self, number: usize) -> Result<&mut Member, HerdError> {
        let options = self.options[number - 1].clone();
        let member = self.start(&format!("m{number}"), &options, number).await?;
        self.members.push(member);
        Ok(&mut self.members[number - 1])
    }

    /// Starts a member that the herd does not count as its own, in the place of one.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(
        &self,
        name: &str,
        options: &MemberOptions,
        place: usize,
    ) -> Result<Member, HerdError> {
        let place = self.net.as_ref().map(|net| (net, place));
        Ok(Member::start(self.folder.path(), name, options, place).await?)
    }

    /// The options of a member, from 1 on.
    pub fn options(&self, number: usize) -> &MemberOptions {
        &self.options[number - 1]
    }

    /// The scratch folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The names, the oldest start first.
    pub fn names(&self) -> Vec<&str> {
        self.members.iter().map(|member| member.name.as_str()).collect()
    }

    /// Names and sockets, for clients.
    pub fn sockets(&self) -> Vec<(String, PathBuf)> {
        let socket = |member: &Member| (member.name.clone(), member.socket.clone());
        self.members.iter().map(socket).collect()
    }

    /// The process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.process.id()).collect()
    }

    /// Waits until all members have one view of all of them, and all data as many owners as it
    /// should. The view, as the first one tells it.
    ///
    /// # Errors
    /// When they do not come together in time.
    pub async fn await_together(&self) -> Result<ViewTold, Late> {
        eventually("all are together", PATIENCE, || async {
            let names = self.names();
            let mut views = Vec::new();
            for member in &self.members {
                views.push(view(member).await?);
            }
            let is_one = views.iter().all(|view| view.epoch == views[0].epoch);
            if !is_one || !views[0].is_of(&names) || !views[0].is_quorate {
                return Err(format!("{views:?}"));
            }
            self.await_owners(names.len().min(2)).await?;
            Ok(views.swap_remove(0))
        })
        .await
    }

    /// Which member is the coordinator.
    ///
    /// # Errors
    /// When the first one does not say.
    pub async fn coordinator(&self) -> Result<usize, String> {
        let view = view(&self.members[0]).await?;
        self.position(view.members.first().map_or("", String::as_str))
    }

    /// Which members keep a key, the primary first.
    ///
    /// # Errors
    /// When the first one does not say.
    pub async fn owners(&self, key: &str) -> Result<Vec<usize>, String> {
        owners(&self.members[0], key).await?.iter().map(|name| self.position(name)).collect()
    }

    fn position(&self, name: &str) -> Result<usize, String> {
        let position = self.members.iter().position(|member| member.name == name);
        position.ok_or_else(|| format!("{name:?} is none of {:?}", self.names()))
    }

    async fn await_owners(&self, wanted: usize) -> Result<(), String> {
        for number in 0..PROBES {
            let key = format!("probe-{number}");
            let owners = owners(&self.members[0], &key).await?;
            if owners.len() < wanted {
                return Err(format!("{key} is kept by {owners:?}"));
            }
        }
        Ok(())
    }
}

async fn view(of: &Member) -> Result<ViewTold, String> {
    let value = of.value(&Ask::View, ANSWER).await?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

async fn owners(of: &Member, key: &str) -> Result<Vec<String>, String> {
    let value: Value = of.value(&Ask::Owners { key: key.to_owned() }, ANSWER).await?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}
