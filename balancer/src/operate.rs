//! Operators: whatever page, API and command line ask for is done here, and written down.
//!
//! One function, [`Operators::perform`], takes a typed [`Verb`] and the [`Actor`] who asks: role,
//! look-up of the target, the words for the registry, audit, and those who tell other balancers.
//! A node's own *-APP creates what it names; an operator's must not, for he means what he saw. So
//! each target is looked up first, under the registry's lock.

mod actor;
mod error;
mod ticking;
mod verb;
mod words;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use muster_protocol::mcmp::{App, Command, Scope};
use muster_protocol::names::Route;
use muster_routing::drain::Drain;
use muster_routing::registry::Heard;
use muster_routing::word::{MOST_AHEAD_MS, UnixMs, Word};
use tokio::sync::broadcast;

pub use actor::{Actor, Role};
pub use error::OperateError;
pub(crate) use ticking::run;
pub(crate) use verb::parsed;
pub use verb::{Target, Verb};

use crate::audit::{Audit, Entry, Kind};
use crate::cluster::Clusters;
use crate::config::Config;
use crate::peers::Peers;
use crate::published::Published;

/// Words that wait for those who tell other balancers. Who lags behind tells everything again.
const MOST_UNTOLD: usize = 1_024;

/// Most bytes of the name of whoever said a word at another balancer.
const MOST_NAME: usize = 128;

/// What holds for drains where an operator does not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a drain waits.
    pub deadline: Duration,
    /// For how long no request may have come before sessions are taken to be gone.
    pub quiet: Duration,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// For each thing that the verb was for.
    pub changes: Vec<Changed>,
}

/// What a verb did to one thing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Changed {
    /// What it is.
    pub target: String,
    /// How it stood.
    pub before: String,
    /// How it stands.
    pub after: String,
    /// Requests that are still there.
    pub requests_in_flight: u64,
}

/// How the configuration is read again: what has changed, or what is wrong with it.
pub type Reload = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What the configuration says, until it is read again.
#[derive(Debug)]
struct Settings {
    terms: Terms,
    /// The configuration in effect, as a file with its secrets masked.
    shown: String,
}

/// Who does what operators ask for.
pub struct Operators {
    published: Arc<Published>,
    audit: Arc<Audit>,
    /// The name of this balancer among its peers.
    heard_by: Arc<str>,
    settings: ArcSwap<Settings>,
    told: broadcast::Sender<Arc<Word>>,
    reload: OnceLock<Reload>,
    peers: Arc<Peers>,
    clusters: Arc<Clusters>,
}

impl Operators {
    /// `heard_by` is this balancer's name among its peers.
    pub fn new(
        published: Arc<Published>,
        audit: Arc<Audit>,
        heard_by: Arc<str>,
        terms: Terms,
    ) -> Operators {
        let told = broadcast::Sender::new(MOST_UNTOLD);
        Operators {
            published,
            audit,
            heard_by,
            settings: ArcSwap::from_pointee(Settings { terms, shown: String::new() }),
            told,
            reload: OnceLock::new(),
            peers: Arc::default(),
            clusters: Arc::default(),
        }
    }

    /// As the configuration says.
    pub(crate) fn of(config: &Config, published: Arc<Published>, audit: Arc<Audit>) -> Operators {
        let made_up = || format!("balancer-{:08x}", rand::random::<u32>());
        let name = config.peers.name.clone().unwrap_or_else(made_up);
        let operators = Operators::new(published, audit, name.into(), Terms::of(config));
        operators.configure(config);
        operators
    }

    /// The registry that it speaks to.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }

    /// Where everything is written down.
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// This balancer's name among its peers.
    pub fn name(&self) -> &Arc<str> {
        &self.heard_by
    }

    /// What is known of the other balancers.
    pub(crate) fn peers(&self) -> &Arc<Peers> {
        &self.peers
    }

    /// What is known of clusters of back ends.
    pub(crate) fn clusters(&self) -> &Arc<Clusters> {
        &self.clusters
    }

    /// Says how the configuration is read again. The first to say so counts.
    pub fn reload_by(&self, reload: Reload) {
        let _ = self.reload.set(reload);
    }

    /// Takes up what the configuration says now.
    pub fn configure(&self, config: &Config) {
        let settings = Settings { terms: Terms::of(config), shown: config.to_toml() };
        self.settings.store(Arc::new(settings));
    }

    /// The configuration in effect, as a file with its secrets masked.
    pub fn configuration(&self) -> String {
        self.settings.load().shown.clone()
    }

    /// The names of the first virtual host of a node that has a context; none where there is none.
    pub fn aliases_of(&self, route: &str, path: &str) -> Vec<String> {
        let (Ok(route), Ok(path)) = (route.parse(), path.parse()) else { return Vec::new() };
        let found = self.published.change(|registry, _| registry.context(&route, &[], &path));
        let context = found.and_then(|subject| subject.context);
        context.map(|(alias, _)| alias.to_string()).into_iter().collect()
    }

    /// Words as operators say them here, for those who tell other balancers.
    pub fn told(&self) -> broadcast::Receiver<Arc<Word>> {
        self.told.subscribe()
    }

    /// Does what is asked for, and writes it down, refused or not.
    ///
    /// # Errors
    /// An [`OperateError`]; nothing has changed then.
    pub fn perform(&self, actor: &Actor, verb: &Verb) -> Result<Done, OperateError> {
        let done = self.try_perform(actor, verb);
        let entry = |target: &str| {
            Entry::new(Kind::Operator, actor.name.clone(), verb.word(), target)
                .from(actor.from.clone())
        };
        match &done {
            Ok(done) => {
                for Changed { target, before, after, .. } in &done.changes {
                    self.audit.record(entry(target).change(before, after));
                }
                tracing::info!(
                    actor = %actor.name, verb = verb.word(), target = verb.target(),
                    "an operator's verb"
                );
            }
            Err(error) => {
                self.audit.record(entry(&verb.target()).refused(error));
                tracing::warn!(
                    actor = %actor.name, verb = verb.word(), target = verb.target(), %error,
                    "an operator's verb is refused"
                );
            }
        }
        done
    }

    /// Hears what operators said at another balancer: all of it, again and again, in any order.
    /// Gives how many words were news.
    pub fn hear(&self, peer: &str, words: &[Word]) -> usize {
        let (wall, quiet) = (wall_ms(), self.quiet_ms());
        let mut news = 0;
        for word in words {
            if let Err(why) = check_foreign(word, wall) {
                tracing::warn!(peer, why, "a word of another balancer is not taken");
                continue;
            }
            let heard = self.published.change(|registry, now| {
                let before = words::describe(registry, &word.about);
                let heard = registry.hear(word, quiet, wall, now);
                heard.map(|is_news| {
                    is_news.then(|| (before, words::describe(registry, &word.about)))
                })
            });
            match heard {
                Ok(Some((before, after))) => {
                    news += 1;
                    let (verb, target) = words::named(&word.about);
                    let entry = Entry::new(Kind::Peer, word.by.clone(), verb, &target);
                    self.audit.record(entry.from(Some(peer.into())).change(before, after));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(peer, %error, "a word of another balancer is not taken");
                }
            }
        }
        news
    }

    /// All words that stand here.
    pub fn words(&self) -> Vec<Word> {
        self.published.change(|registry, _| registry.words().iter().cloned().collect())
    }

    /// Drains under way, those that are over whose word still stands, and the last that are over.
    pub fn drains(&self) -> (Vec<Drain>, Vec<Drain>) {
        self.published.change(|registry, _| {
            (registry.drains().cloned().collect(), registry.drain_history().cloned().collect())
        })
    }

    fn try_perform(&self, actor: &Actor, verb: &Verb) -> Result<Done, OperateError> {
        match actor.role {
            Role::Operator => {}
            Role::Viewer => return Err(OperateError::NotAllowed(actor.role)),
        }
        match verb {
            Verb::Reload => {
                let reload = self.reload.get().ok_or(OperateError::Unavailable("reload"))?;
                let changed = reload().map_err(OperateError::Reload)?;
                Ok(Done { changes: vec![Changed::of("configuration", String::new(), changed)] })
            }
            Verb::Remove(route) => self.remove(route),
            Verb::Enable(_)
            | Verb::Disable(_)
            | Verb::Stop(_)
            | Verb::Drain { .. }
            | Verb::CancelDrain(_)
            | Verb::StopNow(_)
            | Verb::OverrideNode { .. }
            | Verb::ResetNode(_)
            | Verb::OverrideBalancer { .. }
            | Verb::ResetBalancer(_) => self.say(actor, verb),
        }
    }

    fn say(&self, actor: &Actor, verb: &Verb) -> Result<Done, OperateError> {
        let (wall, quiet) = (wall_ms(), self.quiet_ms());
        let deadline = self.settings.load().terms.deadline;
        let (done, words) = self.published.change(|registry, now| {
            let meant = words::of(verb, registry, deadline, wall)?;
            let (mut done, mut words) = (Done::default(), Vec::new());
            for about in meant {
                let before = words::describe(registry, &about);
                let stamp = registry.words().stamp(wall, &self.heard_by);
                let word = Word { stamp, by: actor.name.clone(), about };
                registry.hear(&word, quiet, wall, now)?;
                let (_, target) = words::named(&word.about);
                let after = words::describe(registry, &word.about);
                let requests_in_flight = words::in_flight(registry, &word.about);
                done.changes.push(Changed { target, before, after, requests_in_flight });
                words.push(Arc::new(word));
            }
            Ok::<_, OperateError>((done, words))
        })?;
        for word in words {
            // Nobody listens where there are no peers.
            let _ = self.told.send(word);
        }
        Ok(done)
    }

    fn remove(&self, route: &Route) -> Result<Done, OperateError> {
        let remove = App {
            verb: muster_protocol::mcmp::Verb::Remove,
            route: route.clone(),
            scope: Scope::Node,
        };
        let remove = Command::App(remove);
        self.published.change(|registry, now| {
            if !registry.has_node(route) {
                return Err(OperateError::NoNode(route.clone()));
            }
            let shown = |standing: Option<muster_routing::registry::Standing>| {
                standing.map(|standing| standing.to_string()).unwrap_or_default()
            };
            let before = shown(registry.standing(&remove));
            registry.apply(&remove, &Heard::default(), now)?;
            let after = shown(registry.standing(&remove));
            Ok(Done { changes: vec![Changed::of(&format!("node {route}"), before, after)] })
        })
    }

    pub(crate) fn quiet_ms(&self) -> u64 {
        millis(self.settings.load().terms.quiet)
    }
}

impl Terms {
    fn of(config: &Config) -> Terms {
        Terms { deadline: config.drain.deadline, quiet: config.drain.quiet }
    }
}

impl std::fmt::Debug for Operators {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operators").field("heard_by", &self.heard_by).finish_non_exhaustive()
    }
}

impl Changed {
    fn of(target: &str, before: String, after: String) -> Changed {
        Changed { target: target.to_owned(), before, after, requests_in_flight: 0 }
    }
}

/// A peer is trusted to speak for its operators, not to be free of defects.
fn check_foreign(word: &Word, wall: UnixMs) -> Result<(), String> {
    use muster_routing::word::About;
    if word.stamp.at_ms > wall.saturating_add(MOST_AHEAD_MS) {
        return Err("its clock is more than a day ahead".to_owned());
    }
    if word.by.len() > MOST_NAME || word.stamp.heard_by.len() > MOST_NAME {
        return Err(format!("a name is longer than {MOST_NAME} bytes"));
    }
    match &word.about {
        About::State { .. } => Ok(()),
        About::Node { overrides, .. } => overrides.check().map_err(|bad| bad.to_string()),
        About::Balancer { overrides, .. } => overrides.check().map_err(|bad| bad.to_string()),
    }
}

/// The wall clock: drains outlive processes, and words are told to other machines.
pub(crate) fn wall_ms() -> UnixMs {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
