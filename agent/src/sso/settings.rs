//! What an identity manager may choose.

use std::sync::Arc;
use std::time::Duration;

use muster_protocol::names::{NodeHost, StickyName};
use thiserror::Error;

use super::manager::Sso;
use crate::Cluster;
use crate::cluster::{DispatcherError, OfferError};
use crate::engine::map::Watch;
use crate::engine::{EngineError, Local, MapSpec, Mode};
use crate::session::layer::cookie::Attributes;
use crate::session::{SameSite, Secure};

/// Settings of identities; [`Sso::builder`] begins.
#[derive(Clone, Debug)]
#[must_use]
pub struct SsoBuilder {
    name: String,
    cluster: Option<Cluster>,
    cookie: String,
    domain: Option<String>,
    settings: Settings,
}

/// What holds for every identity.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) cookie: StickyName,
    pub(super) attributes: Attributes,
    pub(super) max_idle: Option<Duration>,
    pub(super) lock_wait: Duration,
    pub(super) logout_wait: Duration,
}

/// Why there is no single sign-on, or none for an application.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CreateSsoError {
    /// A setting is out of its bounds.
    #[error("{field} has the bad value {value}: {why}")]
    BadValue {
        /// Which setting.
        field: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        why: String,
    },
    /// The application shares identities already.
    #[error("application {0:?} shares identities already")]
    Taken(String),
    /// This process has a single sign-on of that name.
    #[error(transparent)]
    Dispatcher(#[from] DispatcherError),
    /// It cannot be offered to the other members.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The engine does not give the map.
    #[error("single sign-on {name:?} gets no map")]
    Engine {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        error: EngineError,
    },
}

// === impl SsoBuilder ===

impl SsoBuilder {
    pub(super) fn new(name: &str) -> Self {
        let cookie = "JSESSIONIDSSO";
        Self {
            name: name.to_owned(),
            cluster: None,
            cookie: cookie.to_owned(),
            domain: None,
            settings: Settings {
                cookie: cookie.parse().expect("letters"),
                attributes: Attributes::default(),
                max_idle: Some(Duration::from_secs(30 * 60)),
                lock_wait: Duration::from_secs(10),
                logout_wait: Duration::from_secs(5),
            },
        }
    }

    /// The cluster that this process is a member of. Without one identities are this process's own.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }

    /// The cookie's name. Default: `JSESSIONIDSSO`.
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = name.into();
        self
    }

    /// The cookie's domain: that of all hosts whose applications share identities. Default: none,
    /// so it goes to the host alone that it came from.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Whether the cookie is sent over TLS only.
    pub fn secure(mut self, secure: Secure) -> Self {
        self.settings.attributes.secure = secure;
        self
    }

    /// Whether the cookie comes with requests from other sites. Default: [`SameSite::Lax`].
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.settings.attributes.same_site = same_site;
        self
    }

    /// An identity ends when nobody asked for it for so long. Default: 30 minutes; `None`: it ends
    /// with the last of its sessions only.
    pub fn max_idle(mut self, max_idle: Option<Duration>) -> Self {
        self.settings.max_idle = max_idle;
        self
    }

    /// How long a request waits for others that write the same identity. Default: 10 s.
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.settings.lock_wait = wait;
        self
    }

    /// How long a logout waits for sessions that requests have; they are ended in the background
    /// then. Default: 5 s.
    pub fn logout_wait(mut self, wait: Duration) -> Self {
        self.settings.logout_wait = wait;
        self
    }

    /// It must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`CreateSsoError`].
    pub fn start(self) -> Result<Sso, CreateSsoError> {
        let Self { name, cluster, cookie, domain, mut settings } = self;
        let bad =
            |field, value: String, why: String| CreateSsoError::BadValue { field, value, why };
        if !(1..=90).contains(&name.len()) {
            return Err(bad("name", format!("{name:?}"), "it has 1 to 90 bytes".to_owned()));
        }
        if settings.max_idle.is_some_and(|idle| idle.is_zero()) {
            return Err(bad("max_idle", "0".to_owned(), "it is longer than nothing".to_owned()));
        }
        let parsed = cookie.parse::<StickyName>();
        settings.cookie = parsed.map_err(|error| bad("cookie", cookie, error.to_string()))?;
        if let Some(domain) = domain {
            let parsed = domain.parse::<NodeHost>();
            let parsed = parsed.map_err(|error| bad("domain", domain, error.to_string()))?;
            settings.attributes.domain = Some(parsed);
        }
        let alone = || Cluster::over(Arc::new(Local::new(&name)));
        let cluster = cluster.unwrap_or_else(alone);
        let map = cluster.engine().map(MapSpec::new(&format!("sso/{name}"), Mode::Distributed));
        let map = map.map_err(|error| CreateSsoError::Engine { name: name.clone(), error })?;
        // A map counts what is over for those who watch, and goes on when they do not any more.
        drop(map.watch(Watch::Ends));
        Ok(Sso::over(name, cluster, map, settings)?)
    }
}
