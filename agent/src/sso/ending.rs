//! Ends the sessions of an identity, wherever they are.

use std::sync::{Arc, Weak};
use std::time::Duration;

use muster_cluster::MemberId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::SsoError;
use super::manager::{Act, Applications, Inner, Turned};
use super::record::Record;
use crate::cluster::Command;
use crate::engine::Targets;
use crate::session::{End, SessionError, Sessions, Turn};

/// How often sessions that could not be ended are tried again, and after how long.
const TRIES: u32 = 60;
const AGAIN: Duration = Duration::from_secs(1);

/// Tells a member to end sessions of an application that it serves.
#[derive(Serialize, Deserialize)]
pub(super) struct EndSessions {
    application: String,
    sessions: Vec<String>,
}

impl Command for EndSessions {
    type Context = Arc<Applications>;
    type Reply = ();

    async fn execute(self, here: &Arc<Applications>, _from: MemberId) -> Result<(), String> {
        let sessions = here.lock().get(&self.application).map(|here| here.sessions.clone());
        match sessions {
            Some(sessions) => end_here(&sessions, &self.sessions).await,
            None => Ok(()),
        }
        .map_err(|error| error.to_string())
    }
}

async fn end_here(sessions: &Sessions, ids: &[String]) -> Result<(), SessionError> {
    for id in ids {
        sessions.invalidate(id).await?;
    }
    Ok(())
}

/// Follows the sessions that begin and end on this member, for as long as there is somebody to log
/// in.
pub(super) async fn follow(sso: Weak<Inner>, mut turns: mpsc::Receiver<Turned>) {
    while let Some(turned) = turns.recv().await {
        let Some(inner) = sso.upgrade() else { return };
        if let Err(error) = inner.turned(&turned).await {
            let application = turned.application;
            tracing::warn!(%error, application, "an identity does not follow one of its sessions");
        }
    }
}

impl Inner {
    /// A session has begun, or has ended. By its time: it leaves its identity, which ends with its
    /// last one. By a caller: that is a logout.
    async fn turned(self: &Arc<Self>, turned: &Turned) -> Result<(), SsoError> {
        let Turned { identity, application, session, turn } = turned;
        match turn {
            Turn::Begun { old } => self.begun(identity, application, session, old.as_deref()).await,
            Turn::Ended(End::Expired) => {
                let leave = |record: &mut Record| {
                    if record.is_ended || !record.drop_session(application, session) {
                        return Act::Leave;
                    }
                    if record.sessions.is_empty() { Act::Remove } else { Act::Write }
                };
                self.update(identity, leave).await.map(drop)
            }
            Turn::Ended(End::Invalidated) => {
                let record = self.read(identity).await?;
                match record.is_some_and(|record| record.has(application, session)) {
                    true => self.log_out(identity, Some((application, session))).await,
                    false => Ok(()),
                }
            }
        }
    }

    /// A session stands. A logout that came before has not found it: then it ends now. What of the
    /// request could not be written before is written now; an id that it had before leaves.
    async fn begun(
        self: &Arc<Self>,
        identity: &str,
        application: &str,
        session: &str,
        old: Option<&str>,
    ) -> Result<(), SsoError> {
        let mut record = self.read(identity).await?;
        let is_old = |record: &Record| old.is_some_and(|old| record.has(application, old));
        let is_right = |record: &Record| {
            record.is_ended || record.has(application, session) && !is_old(record)
        };
        if record.as_ref().is_some_and(|record| !is_right(record)) {
            let follow = |record: &mut Record| {
                if is_right(record) {
                    return Act::Leave;
                }
                old.map(|old| record.drop_session(application, old));
                record.add(application, session);
                Act::Write
            };
            record = self.update(identity, follow).await?;
        }
        if record.is_none_or(|record| record.is_ended) {
            self.end_soon(application, session);
        }
        Ok(())
    }

    /// Ends an identity, then its sessions. Waits a while for those that requests have; then they are
    /// ended in the background, as is the one that the caller's own request ends: that may fail.
    pub(super) async fn log_out(
        self: &Arc<Self>,
        id: &str,
        own: Option<(&str, &str)>,
    ) -> Result<(), SsoError> {
        let mut was_ended = false;
        let end = |record: &mut Record| {
            was_ended = std::mem::replace(&mut record.is_ended, true);
            if let Some((application, session)) = own {
                record.drop_session(application, session);
            }
            if was_ended { Act::Leave } else { Act::Write }
        };
        match self.update(id, end).await? {
            Some(record) if !was_ended => {
                self.tally.ended();
                if let Some((application, session)) = own {
                    self.end_soon(application, session);
                }
                self.end_all(id, record).await;
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the sessions of an identity that has ended, and removes it.
    pub(super) async fn end_all(self: &Arc<Self>, id: &str, record: Record) {
        let (inner, id) = (self.clone(), id.to_owned());
        let task = tokio::spawn(async move {
            let mut ends = JoinSet::new();
            for (application, sessions) in record.sessions {
                let inner = inner.clone();
                ends.spawn(async move { inner.end(&application, &sessions).await });
            }
            ends.join_all().await;
            if let Err(error) = inner.update(&id, |_| Act::Remove).await {
                tracing::warn!(%error, "an identity that has ended stays until its time is over");
            }
        });
        let _ = tokio::time::timeout(self.settings.logout_wait, task).await;
    }

    /// Ends a session in the background, after the request that has it.
    pub(super) fn end_soon(self: &Arc<Self>, application: &str, session: &str) {
        let (inner, application) = (self.clone(), application.to_owned());
        let sessions = [session.to_owned()];
        tokio::spawn(async move { inner.end(&application, &sessions).await });
    }

    /// Ends sessions of one application, however long that takes.
    async fn end(&self, application: &str, sessions: &[String]) {
        let mut last = None;
        for _ in 0..TRIES {
            match self.try_end(application, sessions).await {
                Ok(()) => return,
                Err(error) => last = Some(error),
            }
            tokio::time::sleep(AGAIN).await;
        }
        let error = last.unwrap_or_default();
        tracing::error!(%error, application, "sessions outlive the logout of their identity");
    }

    async fn try_end(&self, application: &str, sessions: &[String]) -> Result<(), String> {
        let here = self.applications.lock().get(application).map(|here| here.sessions.clone());
        if let Some(here) = &here {
            end_here(here, sessions).await.map_err(|error| error.to_string())?;
            // Whoever shares them has ended them for all.
            if here.is_shared() {
                return Ok(());
            }
        }
        let me = self.cluster.me().id;
        let providers = self.cluster.services().providers(&self.service(application));
        let others = providers.iter().map(|member| member.id).filter(|id| *id != me).collect();
        let (application, sessions) = (application.to_owned(), sessions.to_vec());
        let command = EndSessions { application, sessions };
        let replies = self.dispatcher.execute_on(Targets::Some(others), &command).await;
        let replies = replies.map_err(|error| error.to_string())?;
        for (_, reply) in replies.all().await {
            reply.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
