//! An identity as it is kept. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_grid::batch::Entries;
use muster_grid::{Expect, Op, Put};
use serde::{Deserialize, Serialize};

use super::error::SsoError;
use crate::cluster::codec;

/// The key of the one entry.
const KEY: &[u8] = b"i";
/// Sessions of one application that one identity has at most: with one more the oldest is ended.
const MOST_SESSIONS: usize = 16;
/// Bytes of a principal's name, and of each of its roles.
const LONGEST_NAME: usize = 255;
/// Roles of a principal at most.
const MOST_ROLES: usize = 1024;

/// Who somebody is: the result of an authentication, never what was shown for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Principal {
    name: String,
    roles: BTreeSet<String>,
}

/// An identity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Chance, different in each commit: by it a commit whose answer was lost is found again.
    pub(super) commit: u64,
    pub(super) principal: Principal,
    /// How it was proven: `FORM`, `BASIC`, the application's word.
    pub(super) method: String,
    /// The sessions that it has: of each application the oldest first.
    pub(super) sessions: BTreeMap<String, Vec<String>>,
    /// It was logged out: its sessions are being ended, and then it goes.
    pub(super) is_ended: bool,
}

// === impl Principal ===

impl Principal {
    /// Somebody of this name with these roles. Bad ones are an error at the login.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        roles: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self { name: name.into(), roles: roles.into_iter().map(Into::into).collect() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.contains(role)
    }

    /// All roles.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.iter().map(String::as_str)
    }

    pub(super) fn check(&self) -> Result<(), SsoError> {
        let bad = |field, value: &str, why| {
            let value = value.chars().take(LONGEST_NAME).collect();
            Err(SsoError::BadPrincipal { field, value, why })
        };
        if !(1..=LONGEST_NAME).contains(&self.name.len()) {
            return bad("name", &self.name, "it has 1 to 255 bytes");
        }
        if self.roles.len() > MOST_ROLES {
            return bad("number of roles", &self.roles.len().to_string(), "at most 1024");
        }
        match self.roles.iter().find(|role| !(1..=LONGEST_NAME).contains(&role.len())) {
            Some(role) => bad("role", role, "it has 1 to 255 bytes"),
            None => Ok(()),
        }
    }
}

// === impl Record ===

impl Record {
    pub(super) fn new(principal: Principal, method: &str) -> Self {
        let method = method.to_owned();
        Self { commit: 0, principal, method, sessions: BTreeMap::new(), is_ended: false }
    }

    /// Out of its group; none where that is empty.
    pub(super) fn read(entries: &Entries) -> Result<Option<Self>, SsoError> {
        let entry = entries.entries.get(KEY);
        Ok(entry.map(|(bytes, _)| codec::decode(bytes)).transpose()?)
    }

    /// The operation that writes it.
    pub(super) fn write(&self, expect: Expect, idle: Option<Duration>) -> Result<Op, SsoError> {
        // Written by each request that asks for it, so that its time is how long it is idle.
        let put = Put { ttl: idle, ..Put::of(codec::encode(self)?.into()) };
        Ok(Op { key: KEY.into(), expect, put: Some(put) })
    }

    /// The operation that removes one.
    pub(super) fn remove() -> Op {
        Op { key: KEY.into(), expect: Expect::Any, put: None }
    }

    /// Whether these are the entries that a commit wrote.
    pub(super) fn is_of(entries: &Entries, commit: u64) -> bool {
        Self::read(entries).is_ok_and(|record| record.is_some_and(|found| found.commit == commit))
    }

    pub(super) fn has(&self, application: &str, session: &str) -> bool {
        let sessions = self.sessions.get(application);
        sessions.is_some_and(|sessions| sessions.iter().any(|known| known == session))
    }

    /// A session joins. The one that there is no room for any more.
    pub(super) fn add(&mut self, application: &str, session: &str) -> Option<String> {
        if self.has(application, session) {
            return None;
        }
        let sessions = self.sessions.entry(application.to_owned()).or_default();
        sessions.push(session.to_owned());
        (sessions.len() > MOST_SESSIONS).then(|| sessions.remove(0))
    }

    /// A session leaves. Whether it was there.
    pub(super) fn drop_session(&mut self, application: &str, session: &str) -> bool {
        let Some(sessions) = self.sessions.get_mut(application) else { return false };
        let before = sessions.len();
        sessions.retain(|known| known != session);
        let has_left = sessions.len() < before;
        if sessions.is_empty() {
            self.sessions.remove(application);
        }
        has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_join_and_leave_and_the_oldest_of_too_many_goes() {
        let mut record = Record::new(Principal::new("ann", ["buyer"]), "FORM");
        for number in 0..MOST_SESSIONS {
            assert_eq!(record.add("shop", &number.to_string()), None);
            assert_eq!(record.add("shop", &number.to_string()), None);
        }
        assert_eq!(record.add("shop", "more"), Some("0".to_owned()));
        assert_eq!(record.add("bank", "0"), None);
        assert!(record.drop_session("bank", "0") && !record.drop_session("bank", "0"));
        assert!(!record.sessions.contains_key("bank") && record.has("shop", "more"));
    }

    #[test]
    fn an_identity_is_read_as_it_was_written_and_known_by_its_commit() {
        let record = Record { commit: 7, ..Record::new(Principal::new("ann", ["a"]), "FORM") };
        let op = record.write(Expect::Any, None).unwrap();
        let mut entries = Entries::default();
        entries.entries.insert(op.key, (op.put.unwrap().value, Default::default()));
        assert_eq!(Record::read(&entries), Ok(Some(record)));
        assert!(Record::is_of(&entries, 7) && !Record::is_of(&entries, 8));
        assert_eq!(Record::read(&Entries::default()), Ok(None));
    }

    #[test]
    fn a_principal_has_a_name_and_roles_within_their_bounds() {
        let told = |principal: Principal| principal.check().unwrap_err().to_string();
        assert!(told(Principal::new("", [""; 0])).contains("bad name \"\""));
        assert!(told(Principal::new("ann", [""])).contains("bad role \"\""));
        assert!(Principal::new("ann", ["buyer"]).check().is_ok());
    }
}
