//! A reload: the whole file is read again, and what it says holds from then on, for requests and
//! connections that are there as for those to come.
//!
//! First everything is prepared that can fail: the file, certificates, new addresses, the access
//! log, static nodes. A fault there refuses the reload as a whole, and nothing has changed. Then
//! everything is put in place, which cannot fail. What only a new process can take up is named.

mod changes;

use std::sync::{Arc, Weak};

use crate::access_log::{AccessLog, Output};
use crate::config::{AccessLog as Target, Config, Fault, Faults, Log};
use crate::life::{Life, State};
use crate::listeners::{self, Inherited, Own, Public, compare};
use crate::start::{PARTS, StartError, limits, timing};
use crate::tls::{self, NodeTls, TlsFront};
use crate::{systemd, telemetry};

/// Reads the configuration again, from where it came from.
pub type Again = Arc<dyn Fn() -> Result<Config, Faults> + Send + Sync>;

/// Reloads the balancer that it came from. Keep and clone it at will.
#[derive(Clone)]
pub struct Reloader(pub(crate) Weak<Life>);

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Reloaded {
    /// The keys whose new values hold now, such as `http.idle_timeout`. Certificates and the access
    /// log are opened again in any case.
    pub changed: Vec<String>,
    /// The keys whose new values wait for an upgrade or a restart.
    pub waits_for_restart: Vec<String>,
}

/// Everything that a reload needs and might not get.
struct Prepared {
    config: Config,
    front: Option<TlsFront>,
    node_tls: NodeTls,
    access: Option<Access>,
    public: Change<Public>,
    mcmp: Change<Own>,
    manager: Change<Own>,
}

/// The access log of the new configuration.
enum Access {
    /// The one that is there writes to something else from now on.
    Switch(Arc<AccessLog>, Option<Output>),
    /// There was none yet.
    Begin(Arc<AccessLog>),
}

/// Which sockets stay, by their place, and which come.
struct Change<T> {
    keeps: Vec<bool>,
    added: Vec<T>,
}

// === impl Reloader ===

impl Reloader {
    /// Reads the configuration again, from where it came from, and takes it up. Goes on to its end
    /// though nobody may wait for it any more. To be called within the balancer's runtime.
    ///
    /// # Errors
    /// All that is wrong with it; nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, Faults> {
        let Some(life) = self.0.upgrade() else { return Err(ended()) };
        systemd::reloading();
        let reloading = tokio::spawn(async move { life.reload().await });
        let reloaded = reloading.await.unwrap_or_else(|error| Err(fault(error)));
        systemd::ready();
        match &reloaded {
            Ok(Reloaded { changed, waits_for_restart }) => {
                tracing::info!(?changed, "the configuration was read again");
                if !waits_for_restart.is_empty() {
                    tracing::warn!(?waits_for_restart, "these wait for an upgrade or a restart");
                }
            }
            Err(faults) => faults.iter().for_each(|fault| {
                tracing::error!(%fault, "the old configuration stays");
            }),
        }
        reloaded
    }
}

impl Reloader {
    /// The same, for an operator who waits for it in words.
    pub(crate) fn told(&self) -> Result<String, String> {
        let runtime = tokio::runtime::Handle::current();
        let reloaded = tokio::task::block_in_place(|| runtime.block_on(self.reload()));
        let Reloaded { changed, waits_for_restart } =
            reloaded.map_err(|faults| faults.to_string())?;
        let changed = format!("changed: {}", words(&changed));
        match waits_for_restart.is_empty() {
            true => Ok(changed),
            false => Ok(format!(
                "{changed}; waits for an upgrade or a restart: {}",
                words(&waits_for_restart)
            )),
        }
    }
}

fn words(keys: &[String]) -> String {
    if keys.is_empty() { "nothing".to_owned() } else { keys.join(", ") }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reloader")
    }
}

// === impl Life ===

impl Life {
    async fn reload(self: &Arc<Self>) -> Result<Reloaded, Faults> {
        let mut state = self.state.lock().await;
        if state.side.is_none() || self.handed_over.is_cancelled() {
            return Err(ended());
        }
        let again = self.again.clone();
        let read = tokio::task::spawn_blocking(move || again()).await;
        let config = read.unwrap_or_else(|error| Err(fault(error)))?;
        let prepared = prepare(&state, config).await?;
        self.install(&mut state, prepared)
    }

    /// The static nodes first, for they may still be refused. Nothing after them fails.
    fn install(
        self: &Arc<Self>,
        state: &mut State,
        prepared: Prepared,
    ) -> Result<Reloaded, Faults> {
        let Prepared { config, front, node_tls, access, public, mcmp, manager } = prepared;
        let new = Arc::new(config);
        let nodes: Vec<_> = new.nodes.iter().map(|node| (node.config.clone(), node.load)).collect();
        self.published
            .change(|registry, now| registry.set_static(&nodes, now))
            .map_err(|(route, error)| fault(format!("node {route}: {error}")))?;
        let old = std::mem::replace(&mut state.config, new.clone());
        self.published.change(|registry, _| registry.retune(limits(&new), timing(&new)));
        self.published.prober().set_within(new.health.probe_timeout);
        self.node_tls.replace(node_tls);
        telemetry::set_level(new.log.level);
        self.resize(old.http.max_connections, new.http.max_connections);

        let access = access.map(|access| access.install(&mut state.access));
        let world = self.engines.worlds.kept().after_reload(&old, &new, front, access);
        self.engines.worlds.replace(world);
        for public in &public.added {
            if let Err(error) = public.open(&state.workers) {
                tracing::error!(address = %public.own, %error, "not all workers listen there");
            }
        }
        for public in public.install(&mut state.public) {
            tracing::info!(address = %public.own, "no longer listening");
            drop(public.close());
        }
        mcmp.install(&mut state.mcmp);
        manager.install(&mut state.manager);
        let ground = self.ground(state);
        let parts = state.side.as_mut().map(|side| side.change(&old, &ground));
        tracing::debug!(?parts, "began anew");
        let (changed, waits_for_restart) = changes::part(changes::changed(&old, &new));
        Ok(Reloaded { changed, waits_for_restart })
    }
}

// === everything that can fail ===

async fn prepare(state: &State, config: Config) -> Result<Prepared, Faults> {
    let bad_file = |error| Fault {
        file: "reload".to_owned(),
        line: None,
        key: String::new(),
        message: chain(error),
    };
    Faults::check(tls::faults(&config).into_iter().map(bad_file).collect())?;
    PARTS.iter().try_for_each(|part| (part.check)(&config)).map_err(fault)?;
    let front = match config.tls.listen.is_empty() {
        true => None,
        false => Some(TlsFront::load(&config.tls).map_err(|error| fault(chain(error)))?),
    };
    let node_tls = NodeTls::load(&config.upstream.tls).map_err(|error| fault(chain(error)))?;
    let (public, mcmp, manager) = bind(state, &config).map_err(|error| fault(chain(error)))?;
    let access = Access::prepare(state, &config.log)
        .map_err(|error| fault(format!("log.access: {error}")))?;
    Ok(Prepared { config, front, node_tls, access, public, mcmp, manager })
}

type Changes = (Change<Public>, Change<Own>, Change<Own>);

fn bind(state: &State, config: &Config) -> Result<Changes, StartError> {
    let there: Vec<_> = state.public.iter().map(|public| (public.kind, public.wanted)).collect();
    let (keeps, missing) = compare(&there, &listeners::public(config));
    let workers = state.workers.len();
    let bind = |(kind, wanted)| Public::bind(kind, wanted, workers, &mut Inherited::default());
    let added = missing.into_iter().map(bind).collect::<Result<_, _>>()?;
    let own = |key, there: &[Own], wanted: &[_]| {
        let there: Vec<_> = there.iter().map(|own| own.wanted).collect();
        let (keeps, missing) = compare(&there, wanted);
        let added =
            missing.into_iter().map(|wanted| Own::bind(key, wanted, &mut Inherited::default()));
        Ok(Change { keeps, added: added.collect::<Result<_, StartError>>()? })
    };
    Ok((
        Change { keeps, added },
        own("mcmp.listen", &state.mcmp, &config.mcmp.listen)?,
        own("manager.listen", &state.manager, &config.manager.listen)?,
    ))
}

// === impl Access ===

impl Access {
    /// A file is opened again, so that it can be moved away before.
    fn prepare(state: &State, log: &Log) -> std::io::Result<Option<Access>> {
        let target = &log.access;
        if *target == Target::Off {
            return Ok(None);
        }
        let is_same_pipe = *target == Target::Stdout && state.config.log.access == *target;
        Ok(Some(match &state.access {
            Some(log) if is_same_pipe => Access::Switch(log.clone(), None),
            Some(log) => Access::Switch(log.clone(), Output::open(target)?),
            None => match AccessLog::open(log)? {
                Some(log) => Access::Begin(Arc::new(log)),
                None => return Ok(None),
            },
        }))
    }

    fn install(self, kept: &mut Option<Arc<AccessLog>>) -> Arc<AccessLog> {
        match self {
            Access::Switch(log, output) => {
                output.into_iter().for_each(|output| log.switch(output));
                log
            }
            Access::Begin(log) => kept.insert(log).clone(),
        }
    }
}

// === impl Change ===

impl<T> Change<T> {
    /// Gives those that go.
    fn install(self, there: &mut Vec<T>) -> Vec<T> {
        let mut gone = Vec::new();
        for (one, is_kept) in std::mem::take(there).into_iter().zip(self.keeps) {
            if is_kept { there.push(one) } else { gone.push(one) }
        }
        there.extend(self.added);
        gone
    }
}

// === faults ===

fn ended() -> Faults {
    fault("the balancer is ending")
}

fn fault(message: impl std::fmt::Display) -> Faults {
    Faults::of_file("reload", format!("{message:#}"))
}

/// Who is told gets the whole chain of what is wrong.
fn chain(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
