//! Who asks: by a session's cookie, a password, a token or a certificate; and what he may do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use muster_web_ui::csrf::Csrf;
use sha2::{Digest as _, Sha256};

use super::Memory;
use super::password::{Busy, Checker, MAX_PASSWORD};
use super::sessions::Bounds;
use super::throttle::Throttle;
use crate::audit::{Audit, Entry, Kind};
use crate::config;
use crate::operate::{Actor, Role};

/// Passwords of tools that were checked lately, so that a script does not wait for argon2 each time.
const MOST_KNOWN: usize = 256;

/// How long such a password is known.
const KNOWN_FOR: Duration = Duration::from_secs(60);

/// Everybody who may come in, and who is in.
pub(crate) struct Keys {
    users: Vec<config::manager::User>,
    tokens: Vec<config::manager::Token>,
    client_role: Option<Role>,
    is_open: bool,
    /// Whether cookies are for TLS only.
    is_secure: bool,
    /// Who is in, and the token of an open page, which has no sessions.
    memory: Arc<Memory>,
    checker: Checker,
    throttle: Mutex<Throttle>,
    known: Mutex<HashMap<[u8; 32], (Actor, Instant)>>,
    audit: Arc<Audit>,
}

/// Somebody who may look at least.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    /// Who, and what he may do.
    pub(crate) actor: Actor,
    /// The token that his forms must bring; without one he came by other means than a browser's
    /// memory, which no foreign page can make use of.
    pub(super) csrf: Option<Csrf>,
    /// His session, where he has one.
    pub(super) session: Option<String>,
}

/// Whom a verified certificate is for, as the listener's door found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject(pub(crate) Option<String>);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stranger {
    /// He did not say who he is.
    #[error("log in first")]
    Nobody,
    /// Name and password, or the token, are not good.
    #[error("this name and password, or this token, are not known")]
    Wrong,
    /// He has to wait.
    #[error("too many failed logins: try again in {0} s")]
    Wait(u64),
    /// Too many log in at once.
    #[error("too many logins at once: try again in some seconds")]
    Busy,
}

// === impl Keys ===

impl Keys {
    pub(super) fn new(settings: &config::Manager, memory: Arc<Memory>, audit: Arc<Audit>) -> Keys {
        let bounds = Bounds {
            idle: settings.session_idle,
            lifetime: settings.session_lifetime,
            most: settings.max_sessions,
        };
        memory.sessions.configure(bounds, |actor| {
            let is_his = |user: &config::manager::User| {
                *user.name == *actor.name && role(user.role) == actor.role
            };
            settings.users.iter().any(is_his)
        });
        Keys {
            users: settings.users.clone(),
            tokens: settings.tokens.clone(),
            client_role: settings.tls.client_role.role().map(role),
            is_open: settings.is_open(),
            is_secure: !settings.tls.is_off(),
            memory,
            checker: Checker::default(),
            throttle: Mutex::default(),
            known: Mutex::default(),
            audit,
        }
    }

    /// Whether nobody has to say who he is.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// How tools say who they are, for the commands that the page shows.
    pub(super) fn login(&self) -> muster_web_ui::curl::Login {
        match (self.is_open, self.tokens.is_empty(), self.users.is_empty()) {
            (true, ..) | (false, true, true) => muster_web_ui::curl::Login::None,
            (false, false, _) => muster_web_ui::curl::Login::Token,
            (false, true, false) => muster_web_ui::curl::Login::Password,
        }
    }

    /// Who sends this request.
    pub(super) async fn visitor(
        &self,
        headers: &HeaderMap,
        subject: Option<&str>,
        from: IpAddr,
    ) -> Result<Visitor, Stranger> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let value = value.to_str().map_err(|_| Stranger::Wrong)?;
            let actor = self.authorized(value, from).await?;
            // A browser may remember a password and send it for a foreign page's form.
            let csrf = if is_tool(headers) { None } else { Some(self.memory.csrf.clone()) };
            return Ok(Visitor { actor, csrf, session: None });
        }
        if let Some(id) = cookie(headers, self.cookie_name())
            && let Some((actor, csrf)) = self.memory.sessions.of(id, Instant::now())
        {
            return Ok(Visitor { actor, csrf: Some(csrf), session: Some(id.to_owned()) });
        }
        let csrf = if is_tool(headers) { None } else { Some(self.memory.csrf.clone()) };
        if let Some(actor) = subject.and_then(|subject| self.certified(subject, from)) {
            return Ok(Visitor { actor, csrf, session: None });
        }
        match self.is_open {
            true => Ok(Visitor { actor: Actor::local(Some(from)), csrf, session: None }),
            false => Err(Stranger::Nobody),
        }
    }

    /// Whether somebody who was let in may still be told what is new.
    pub(super) fn still(&self, visitor: &Visitor) -> bool {
        let lasts = |id: &String| self.memory.sessions.lasts(id, Instant::now());
        visitor.session.as_ref().is_none_or(lasts)
    }

    /// A login by the form: the new session's id.
    pub(super) async fn log_in(
        &self,
        name: &str,
        password: &str,
        from: IpAddr,
    ) -> Result<String, Stranger> {
        let found = self.checked(name, password, from).await;
        let told = match name.get(..64) {
            Some(cut) => cut,
            None => name,
        };
        let entry = Entry::new(Kind::Operator, told, "log_in", "manager").from(Some(text(from)));
        match found {
            Ok(actor) => {
                self.audit.record(entry);
                tracing::info!(user = told, %from, "a login");
                let csrf = Csrf::new(rand::random());
                Ok(self.memory.sessions.begin(actor, rand::random(), csrf, Instant::now()))
            }
            Err(why) => {
                self.audit.record(entry.refused(why));
                tracing::warn!(user = told, %from, %why, "a login is refused");
                Err(why)
            }
        }
    }

    /// The end of a session.
    pub(super) fn log_out(&self, visitor: &Visitor) {
        let Some(id) = &visitor.session else { return };
        self.memory.sessions.end(id);
        let actor = visitor.actor.clone();
        let entry = Entry::new(Kind::Operator, actor.name, "log_out", "manager");
        self.audit.record(entry.from(actor.from));
    }

    /// The session's cookie. `__Host-` binds it to this host and to TLS.
    pub(super) fn cookie_name(&self) -> &'static str {
        if self.is_secure { "__Host-muster" } else { "muster-session" }
    }

    async fn authorized(&self, value: &str, from: IpAddr) -> Result<Actor, Stranger> {
        let (scheme, rest) = value.split_once(' ').ok_or(Stranger::Wrong)?;
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => self.of_token(rest.trim(), from).ok_or(Stranger::Wrong),
            "basic" => {
                let pair = STANDARD.decode(rest.trim()).map_err(|_| Stranger::Wrong)?;
                let pair = String::from_utf8(pair).map_err(|_| Stranger::Wrong)?;
                let (name, password) = pair.split_once(':').ok_or(Stranger::Wrong)?;
                self.of_tool(name, password, from).await
            }
            _ => Err(Stranger::Wrong),
        }
    }

    /// All tokens are compared, so that the time says nothing. A token has 256 bits of chance: it
    /// needs no slow hash, and nobody finds one by trying.
    fn of_token(&self, token: &str, from: IpAddr) -> Option<Actor> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for known in &self.tokens {
            if known.hash.is(&hash) {
                found = Some(self.actor(&known.name, known.role, from));
            }
        }
        found
    }

    async fn of_tool(&self, name: &str, password: &str, from: IpAddr) -> Result<Actor, Stranger> {
        let key = self.digest(name, password);
        let now = Instant::now();
        if let Some((actor, until)) = lock(&self.known).get(&key)
            && now < *until
        {
            return Ok(Actor { from: Some(text(from)), ..actor.clone() });
        }
        let actor = self.checked(name, password, from).await?;
        let mut known = lock(&self.known);
        known.retain(|_, (_, until)| now < *until);
        if known.len() < MOST_KNOWN {
            known.insert(key, (actor.clone(), now + KNOWN_FOR));
        }
        Ok(actor)
    }

    async fn checked(&self, name: &str, password: &str, from: IpAddr) -> Result<Actor, Stranger> {
        let now = Instant::now();
        {
            let mut throttle = lock(&self.throttle);
            if let Some(wait) = throttle.wait(from, name, now) {
                return Err(Stranger::Wait(wait.as_secs() + 1));
            }
            throttle.attempt(from, name, now);
        }
        let user = self.users.iter().find(|user| user.name == name);
        let hash = user.and_then(|user| user.password.as_ref()).map(|hash| hash.as_str());
        let is_short = password.len() <= MAX_PASSWORD;
        let checked = self.checker.is(if is_short { password } else { "" }, hash).await;
        match (checked.map_err(|Busy| Stranger::Busy)? && is_short, user) {
            (true, Some(user)) => {
                lock(&self.throttle).succeeded(from, name);
                Ok(self.actor(&user.name, user.role, from))
            }
            (true | false, _) => Err(Stranger::Wrong),
        }
    }

    fn certified(&self, subject: &str, from: IpAddr) -> Option<Actor> {
        let is_his = |user: &&config::manager::User| user.certificate.as_deref() == Some(subject);
        match self.users.iter().find(is_his) {
            Some(user) => Some(self.actor(&user.name, user.role, from)),
            None => self.client_role.map(|role| Actor {
                name: subject.chars().take(128).collect::<String>().into(),
                role,
                from: Some(text(from)),
            }),
        }
    }

    fn actor(&self, name: &str, role: config::manager::Role, from: IpAddr) -> Actor {
        Actor { name: name.into(), role: self::role(role), from: Some(text(from)) }
    }

    /// What a checked password is remembered as: of no use to whoever reads it, for the key of
    /// this process is in it.
    fn digest(&self, name: &str, password: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [self.memory.csrf.token(), name, password] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        digest.finalize().into()
    }
}

/// Whether no browser has sent this for a page: pages can set neither of these headers for
/// another host without asking it first, and browsers say where a form was.
fn is_tool(headers: &HeaderMap) -> bool {
    let of_page = headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site");
    let says_so = headers.contains_key("x-muster-client");
    !of_page && (says_so || headers.contains_key(header::AUTHORIZATION))
}

/// The value of a cookie; where it stands twice, none: one of them is not ours.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(own, _)| *own == name).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(value), None) => Some(value),
        _ => None,
    }
}

fn role(role: config::manager::Role) -> Role {
    match role {
        config::manager::Role::Viewer => Role::Viewer,
        config::manager::Role::Operator => Role::Operator,
    }
}

fn text(from: IpAddr) -> Arc<str> {
    from.to_string().into()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new token for a tool, and its hash for the configuration.
pub(crate) fn token() -> (String, String) {
    let random: [u8; 32] = rand::random();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let token = hex(&random);
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    (token, hex(&hash))
}
