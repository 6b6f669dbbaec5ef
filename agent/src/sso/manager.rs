//! Identities, and the applications that share them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use muster_grid::Expect;
use muster_grid::batch::Entries;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::ending::{self, EndSessions};
use super::error::SsoError;
use super::record::{Principal, Record};
use super::settings::{CreateSsoError, Settings, SsoBuilder};
use super::stats::{SsoStats, Tally};
use crate::Cluster;
use crate::checkouts::Checkouts;
use crate::cluster::{CommandDispatcher, DispatcherError, Offer};
use crate::engine::Map;
use crate::engine::map::{Cursor, Read};
use crate::manage::Counted;
use crate::session::{ReadSession, Sessions, Turn};

/// The session's attribute that says to which identity it belongs.
pub(super) const JOINED: &str = "muster.sso";
/// Beginnings and ends of sessions that wait to be told to their identities, at most.
const MOST_TURNS: usize = 4096;
/// After so long an identity is another request's to write.
const HOLD: std::time::Duration = std::time::Duration::from_secs(30);

/// Identities that several applications share. Clones are the same ones.
#[derive(Clone)]
pub struct Sso {
    pub(super) inner: Arc<Inner>,
}

/// An application that shares identities with others, as this member serves it. Clones are the same
/// one.
#[derive(Clone, Debug)]
pub struct SsoApplication {
    pub(super) sso: Sso,
    pub(super) name: Arc<str>,
}

pub(super) struct Inner {
    pub(super) name: String,
    pub(super) cluster: Cluster,
    pub(super) map: Arc<dyn Map>,
    pub(super) settings: Settings,
    pub(super) applications: Arc<Applications>,
    pub(super) dispatcher: CommandDispatcher<EndSessions>,
    pub(super) tally: Arc<Tally>,
    turns: mpsc::Sender<Turned>,
}

/// The applications that this member serves.
pub(super) type Applications = Mutex<BTreeMap<String, Deployed>>;

pub(super) struct Deployed {
    pub(super) sessions: Sessions,
    _offer: Offer,
}

/// A session that belongs to an identity has begun or ended.
pub(super) struct Turned {
    pub(super) identity: String,
    pub(super) application: String,
    pub(super) session: String,
    pub(super) turn: Turn,
}

/// What becomes of an identity.
pub(super) enum Act {
    Leave,
    Write,
    Remove,
}

// === impl Sso ===

impl Sso {
    /// Settings of identities. Members that share them give one name.
    pub fn builder(name: &str) -> SsoBuilder {
        SsoBuilder::new(name)
    }

    pub(super) fn over(
        name: String,
        cluster: Cluster,
        map: Arc<dyn Map>,
        settings: Settings,
    ) -> Result<Self, DispatcherError> {
        let applications: Arc<Applications> = Arc::default();
        let dispatcher = cluster.dispatcher(&format!("sso/{name}"), applications.clone())?;
        let (turns, turned) = mpsc::channel(MOST_TURNS);
        let tally = Arc::new(Tally::new(&map));
        let counted = Arc::downgrade(&tally);
        let ask = move || Some(Counted::Identities(counted.upgrade()?.stats()));
        cluster.count(&format!("sso/{name}"), ask);
        let inner = Inner { name, cluster, map, settings, applications, dispatcher, tally, turns };
        let inner = Arc::new(inner);
        tokio::spawn(ending::follow(Arc::downgrade(&inner), turned));
        Ok(Self { inner })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The cluster whose members share them.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.inner.cluster
    }

    /// Identities whose primary this member is: summed over all members, all there are.
    #[must_use]
    pub fn active(&self) -> u64 {
        self.inner.map.stats().primary_entries
    }

    /// What this member has done with them, and how many there are.
    #[must_use]
    pub fn stats(&self) -> SsoStats {
        self.inner.tally.stats()
    }

    /// An application that shares these identities; its name is that of its sessions, and the same
    /// on every member that serves it.
    ///
    /// # Errors
    /// See [`CreateSsoError`].
    pub fn application(&self, sessions: &Sessions) -> Result<SsoApplication, CreateSsoError> {
        let name = sessions.application();
        let inner = &self.inner;
        let mut applications = inner.applications.lock();
        if applications.contains_key(name) {
            return Err(CreateSsoError::Taken(name.to_owned()));
        }
        let offer = inner.cluster.services().offer(&inner.service(name))?;
        let (turns, own) = (inner.turns.clone(), name.to_owned());
        let hook = move |session: &ReadSession, turn| tell(&turns, &own, session, turn);
        if !sessions.on_turn(Some(Arc::new(hook))) {
            return Err(CreateSsoError::Taken(name.to_owned()));
        }
        let deployed = Deployed { sessions: sessions.clone(), _offer: offer };
        applications.insert(name.to_owned(), deployed);
        Ok(SsoApplication { sso: self.clone(), name: name.into() })
    }
}

/// An application's session has begun or ended: that its identity is told happens apart from it.
fn tell(turns: &mpsc::Sender<Turned>, application: &str, session: &ReadSession, turn: Turn) {
    let Ok(Some((identity, _))) = session.get::<(String, String)>(JOINED) else { return };
    let application = application.to_owned();
    let turned = Turned { identity, application, session: session.id().to_owned(), turn };
    if turns.try_send(turned).is_err() {
        tracing::warn!("an identity does not learn of the turn of one of its sessions");
    }
}

// === impl SsoApplication ===

impl SsoApplication {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The application is served here no more. When no other member serves it, it leaves all
    /// identities, and one that has no other ends. How many it has left.
    ///
    /// # Errors
    /// See [`SsoError`]: some identities may have it still; that ends with them.
    pub async fn undeploy(self) -> Result<usize, SsoError> {
        let inner = &self.sso.inner;
        let Some(deployed) = inner.applications.lock().remove(&*self.name) else { return Ok(0) };
        deployed.sessions.on_turn(None);
        drop(deployed);
        let others = inner.cluster.services().providers(&inner.service(&self.name));
        if others.iter().any(|member| member.id != inner.cluster.me().id) {
            return Ok(0);
        }
        inner.forget(&self.name).await
    }
}

// === impl Inner ===

impl Inner {
    /// What a member offers that serves an application.
    pub(super) fn service(&self, application: &str) -> String {
        format!("sso/{}/{application}", self.name)
    }

    fn checkouts(&self) -> Checkouts<'_> {
        let (engine, map, wait) = (self.cluster.engine(), &self.map, self.settings.lock_wait);
        Checkouts { engine, map, wait, hold: HOLD }
    }

    /// A new identity with its first session. Its id.
    pub(super) async fn create(
        &self,
        principal: Principal,
        method: &str,
        application: &str,
        session: &str,
    ) -> Result<String, SsoError> {
        let mut record = Record { commit: rand::random(), ..Record::new(principal, method) };
        record.add(application, session);
        let op = record.write(Expect::Absent, self.settings.max_idle)?;
        let (id, has_stood) =
            (self.map.mint_local(), |entries: &Entries| Record::is_of(entries, record.commit));
        self.checkouts().create(&id, vec![op], has_stood).await?;
        self.tally.created();
        Ok(String::from_utf8_lossy(&id).into_owned())
    }

    /// An identity as it stands.
    pub(super) async fn read(&self, id: &str) -> Result<Option<Record>, SsoError> {
        Record::read(&self.map.get(id.as_bytes(), Read::Confirmed).await?)
    }

    /// Changes an identity in one commit; none where there is none. What it is afterwards.
    pub(super) async fn update(
        &self,
        id: &str,
        change: impl FnOnce(&mut Record) -> Act,
    ) -> Result<Option<Record>, SsoError> {
        let checkouts = self.checkouts();
        let held = checkouts.check_out(id.as_bytes()).await?;
        let Some(mut record) = Record::read(held.entries())? else { return Ok(None) };
        match change(&mut record) {
            Act::Leave => {}
            Act::Write => {
                record.commit = rand::random();
                let op = record.write(Expect::Any, self.settings.max_idle)?;
                let has_stood = |entries: &Entries| Record::is_of(entries, record.commit);
                checkouts.commit(held, vec![op], has_stood).await?;
            }
            Act::Remove => {
                let has_stood = |entries: &Entries| entries.entries.is_empty();
                checkouts.commit(held, vec![Record::remove()], has_stood).await?;
                if !record.is_ended {
                    self.tally.ended();
                }
            }
        }
        Ok(Some(record))
    }

    /// An application leaves all identities.
    async fn forget(&self, application: &str) -> Result<usize, SsoError> {
        let mut left = 0;
        let mut cursor = Some(Cursor::default());
        while let Some(place) = cursor {
            let page = self.map.scan(place).await?;
            for (id, entries) in page.groups {
                let record = Record::read(&entries).ok().flatten();
                if !record.is_some_and(|record| record.sessions.contains_key(application)) {
                    continue;
                }
                let id = String::from_utf8_lossy(&id).into_owned();
                let leave = |record: &mut Record| match record.sessions.remove(application) {
                    Some(_) if record.sessions.is_empty() => Act::Remove,
                    Some(_) => Act::Write,
                    None => Act::Leave,
                };
                left += usize::from(self.update(&id, leave).await?.is_some());
            }
            cursor = page.next;
        }
        Ok(left)
    }
}

impl fmt::Debug for Sso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sso").field("name", &self.inner.name).finish()
    }
}
