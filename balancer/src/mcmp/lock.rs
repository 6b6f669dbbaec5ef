//! Who speaks: by signature, by certificate, or, where that is enough, by address.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::request::Parts;
use muster_protocol::signature::{
    self, Answer, Field, Message, Purpose, Reason, Replays, Secrets, Signed, Window,
};
use muster_routing::{Owner, Sender};

use crate::config;
use crate::trusted::Networks;

/// Which process of an agent it is, so that a route has an owner.
pub(crate) const INSTANCE: &str = "x-muster-instance";

/// How many sessions the node holds.
const SESSIONS: &str = "x-muster-sessions";
/// How many of them a drain waits for.
const BOUND_SESSIONS: &str = "x-muster-bound-sessions";

/// Most characters of an instance's id.
const MAX_INSTANCE: usize = 64;

/// What a listener knows of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The subject of the node's certificate, verified.
    pub(crate) certificate: Option<Arc<str>>,
}

/// Whom a message is from, as far as that is proven.
pub(crate) struct Verdict {
    /// Set where the signature is good: the answer is signed then, a refusal too.
    pub(crate) signed: Option<Signed>,
    /// Who it is, or why it is not heard.
    pub(crate) sender: Result<Sender, Reason>,
}

/// The lock of the listener.
#[derive(Debug)]
pub(crate) struct Lock {
    secrets: Option<Secrets>,
    allow_unsigned: Networks,
    skew: u64,
    replays: Mutex<Replays>,
}

// === impl Lock ===

impl Lock {
    pub(crate) fn new(settings: &config::Mcmp, secrets: Option<Secrets>) -> Lock {
        Lock {
            secrets,
            allow_unsigned: settings.allow_unsigned.clone(),
            skew: settings.max_clock_skew.as_secs(),
            replays: Mutex::new(Replays::new(settings.nonce_cache, now())),
        }
    }

    /// Looks at a whole message. Nothing of it counts before.
    pub(crate) fn look(&self, head: &Parts, body: &[u8], from: IpAddr, known: &Known) -> Verdict {
        let (signed, sender) = match self.signed(head, body) {
            Ok(signed) => (signed, self.sender(head, from, known, signed.is_some())),
            Err((signed, reason)) => (signed, Err(reason)),
        };
        Verdict { signed, sender }
    }

    /// `Ok(None)` where there is no signature, or nobody asks for one.
    fn signed(
        &self,
        head: &Parts,
        body: &[u8],
    ) -> Result<Option<Signed>, (Option<Signed>, Reason)> {
        let Some(secrets) = &self.secrets else { return Ok(None) };
        let uri = head.uri.path_and_query().map_or("", |uri| uri.as_str());
        let fields = fields(&head.headers);
        let message = Message { method: head.method.as_str(), uri, fields: &fields, body };
        let signed = match signature::verify(secrets, Purpose::Mcmp, &message) {
            Ok(signed) => signed,
            Err(Reason::Missing) => return Ok(None),
            Err(reason) => return Err((None, reason)),
        };
        let window = Window { now: now(), skew: self.skew };
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        match replays.note(signed.stamp, window) {
            Ok(()) => Ok(Some(signed)),
            Err(reason) => Err((Some(signed), reason)),
        }
    }

    fn sender(
        &self,
        head: &Parts,
        from: IpAddr,
        known: &Known,
        is_signed: bool,
    ) -> Result<Sender, Reason> {
        let is_known = is_signed
            || known.certificate.is_some()
            || self.secrets.is_none()
            || self.allow_unsigned.contains(from);
        if !is_known {
            return Err(Reason::Missing);
        }
        let owner = match &known.certificate {
            Some(subject) => Owner::Certificate(subject.clone()),
            None if is_signed => Owner::Instance(instance(&head.headers, from)?),
            // This machine has more than one loopback address, and a client may change.
            None if from.is_loopback() => Owner::Address([127, 0, 0, 1].into()),
            None => Owner::Address(from),
        };
        let number = |name| head.headers.get(name)?.to_str().ok()?.parse().ok();
        let (sessions, bound_sessions) = (number(SESSIONS), number(BOUND_SESSIONS));
        Ok(Sender { owner, sessions, bound_sessions, ..Sender::at(from) })
    }

    /// What signs an answer.
    pub(crate) fn sign(
        &self,
        signed: Signed,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Option<String> {
        let secret = self.secrets.as_ref()?.get(signed.secret)?;
        let fields = fields(headers);
        let answer = Answer { status, fields: &fields, body };
        let (_, value) = signature::sign_answer(secret, Purpose::Mcmp, signed.stamp.nonce, &answer);
        Some(value)
    }
}

fn fields(headers: &HeaderMap) -> Vec<Field<'_>> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// An agent that names no instance is the only one at its address.
fn instance(headers: &HeaderMap, from: IpAddr) -> Result<Arc<str>, Reason> {
    let Some(value) = headers.get(INSTANCE) else { return Ok(format!("at {from}").into()) };
    let text = value.to_str().map_err(|_| Reason::Malformed)?;
    let is_good = (1..=MAX_INSTANCE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(text.into()) } else { Err(Reason::Malformed) }
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
