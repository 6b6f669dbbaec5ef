//! Balancers side by side: what operators say at one holds at all of them.
//!
//! Each balancer tells the others an operator's word at once, and all of its words now and then;
//! of two words for one thing the later holds ([`muster_routing::word`]), so that nothing needs to
//! be agreed on, and words may come twice, late, or in any order. A balancer that was down asks
//! when it comes back; after a partition, of what was said on both sides the later holds at both.
//! Words go from where they were said to every peer, and are told on only with all others.
//!
//! Nodes register at each balancer by themselves. What they look like there is compared here:
//! where two balancers show a context in other states, page and API say so.
//!
//! | module | idea |
//! |---|---|
//! | `message` | what is said, and its signature |
//! | `tell` | to one peer, at once and now and then |
//! | `hear` | from others |
//! | `differ` | what two balancers show otherwise |

mod differ;
mod hear;
mod message;
mod tell;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use muster_protocol::signature::{Reason, Replays, Secret, Secrets, Stamp, Window};
use utoipa::ToSchema;

use crate::config;
use crate::operate::{Operators, wall_ms};
use crate::side::{Ground, Tasks};
use message::Seen;

/// Where balancers speak to each other, on the manager listener.
pub(crate) const PATH: &str = "/peer";

/// Most bytes of a message.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Most messages that are remembered, so that none is taken twice.
const MOST_NONCES: usize = 100_000;

/// How far the clocks of balancers may differ, in seconds.
const SKEW: u64 = 30;

/// What is known of the peers. Shared by those who tell, those who hear, and the API.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    known: Mutex<BTreeMap<String, Known>>,
    /// What all sign with; without it nobody is heard.
    secrets: Mutex<Option<Secrets>>,
    replays: Mutex<Option<Replays>>,
}

/// What is known of one peer.
#[derive(Debug, Clone, Default)]
struct Known {
    /// The name that it says.
    name: Option<String>,
    /// When the last exchange was good.
    last_ms: Option<u64>,
    /// Why the last one was not.
    error: Option<String>,
    /// What it shows of its nodes.
    seen: Option<(u64, Seen)>,
}

/// A peer, as the API shows it.
#[derive(Debug, serde::Serialize, ToSchema)]
pub(crate) struct Peer {
    /// Its manager.
    pub(crate) url: String,
    /// The name that it says.
    pub(crate) name: Option<String>,
    /// Whether the last exchange was good.
    pub(crate) is_reachable: bool,
    /// When the last exchange was good, in milliseconds since 1970.
    pub(crate) last_ms: Option<u64>,
    /// Why the last exchange was not.
    pub(crate) error: Option<String>,
    /// What it shows otherwise than this balancer, 1,000 at most.
    pub(crate) disagreements: Vec<Disagreement>,
}

/// Something that two balancers show otherwise.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, ToSchema)]
pub(crate) struct Disagreement {
    /// The node.
    pub(crate) node: String,
    /// Where only a context differs: its virtual host and path.
    pub(crate) context: Option<String>,
    /// How it is here.
    pub(crate) here: String,
    /// How it is there.
    pub(crate) there: String,
}

impl Peers {
    /// All peers with what they show otherwise.
    pub(crate) fn shown(&self, operators: &Operators) -> Vec<Peer> {
        let known = self.lock().clone();
        if known.is_empty() {
            return Vec::new();
        }
        let here = Seen::of(&operators.published().rows());
        let peer = |(url, known): (String, Known)| Peer {
            url,
            is_reachable: known.error.is_none() && known.last_ms.is_some(),
            last_ms: known.last_ms,
            error: known.error,
            disagreements: match &known.seen {
                Some((_, there)) => differ::differences(&here, there),
                None => Vec::new(),
            },
            name: known.name,
        };
        known.into_iter().map(peer).collect()
    }

    fn secrets(&self) -> Option<Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Believes who signs with these, or nobody.
    pub(crate) fn believe(&self, secrets: Option<Secrets>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    /// Notes a message as taken; each is taken once.
    fn take(&self, stamp: Stamp) -> Result<(), Reason> {
        let now = wall_ms() / 1000;
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        let replays = replays.get_or_insert_with(|| Replays::new(MOST_NONCES, now - SKEW));
        replays.note(stamp, Window { now, skew: SKEW })
    }

    fn note(&self, url: &str, change: impl FnOnce(&mut Known)) {
        change(self.lock().entry(url.to_owned()).or_default());
    }

    fn seen(&self, url: &str) -> Option<u64> {
        self.lock().get(url).and_then(|known| known.seen.as_ref()).map(|(digest, _)| *digest)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The secrets of the configuration; `None` where it has none.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn secrets(settings: &config::Peers) -> Result<Option<Secrets>, String> {
    let secret: Option<Secret> = match (&settings.secret, &settings.secret_file) {
        (Some(secret), _) => Some(secret.clone()),
        (None, Some(file)) => {
            let told = |why: String| format!("peers.secret_file: {}: {why}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
            let first = text.lines().next().unwrap_or_default().trim();
            Some(
                first.parse().map_err(|error: muster_protocol::signature::BadSecret| {
                    told(error.to_string())
                })?,
            )
        }
        (None, None) => None,
    };
    Ok(secret.and_then(|secret| Secrets::from_list(vec![secret])))
}

/// What can't be used of the configuration.
pub(crate) fn check(config: &config::Config) -> Result<(), String> {
    secrets(&config.peers)?;
    for url in &config.peers.urls {
        let papers = crate::client::Papers::believing(config.peers.ca.as_ref());
        crate::client::Caller::new(url, papers, config.peers.timeout)
            .map_err(|error| format!("peers.urls: {error}"))?;
    }
    Ok(())
}

/// Starts to tell the peers.
pub(crate) fn start(ground: &Ground, tasks: &mut Tasks) {
    let settings = &ground.config.peers;
    let peers = ground.operators.peers().clone();
    peers.lock().retain(|url, _| settings.urls.contains(url));
    let secrets = secrets(settings).unwrap_or_else(|error| {
        tracing::error!(error, "peers are told nothing");
        None
    });
    peers.believe(secrets.clone());
    let Some(secrets) = secrets else { return };
    for url in &settings.urls {
        let teller = tell::Teller::new(url, settings, secrets.clone(), ground.operators.clone());
        match teller {
            Ok(teller) => {
                tasks.spawn(|stop| async move {
                    tokio::select! {
                        _ = stop.cancelled() => {}
                        () = teller.run() => {}
                    }
                });
            }
            Err(error) => tracing::error!(%error, "a peer is told nothing"),
        }
    }
}

/// The route where others speak; it has a signature in the place of a login.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(operators: Arc<Operators>) -> Router<S> {
    hear::router(operators)
}
