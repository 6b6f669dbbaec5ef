//! Signed messages: what goes out is signed, what comes back is believed when it is signed too.

use std::sync::Arc;

use crate::wall;
use http::HeaderMap;
use muster_protocol::mcmp::Message;
use muster_protocol::signature::{self, Answer, Field, Nonce, Purpose, Reason, Secrets, Stamp};

/// Which process this is: the balancer knows by it whose a route is.
const INSTANCE: &str = "X-Muster-Instance";

/// How this agent signs. Clones sign alike.
#[derive(Debug, Clone)]
pub(crate) struct Signing {
    secrets: Secrets,
    instance: Arc<str>,
}

/// Headers to send.
pub(crate) type Headers = Vec<(&'static str, String)>;

// === impl Signing ===

impl Signing {
    /// Signs with the first of these secrets, as a process that has never been before.
    pub(crate) fn new(secrets: Secrets) -> Signing {
        let instance = format!("{:032x}", rand::random::<u128>()).into();
        Signing { secrets, instance }
    }

    /// Adds what signs the message to its own headers, and gives the nonce that the answer must be
    /// bound to. No two messages are signed alike, so one that is sent again is signed again.
    pub(crate) fn sign(&self, message: &Message, headers: &mut Headers) -> Nonce {
        headers.push((INSTANCE, self.instance.to_string()));
        let fields: Vec<Field<'_>> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let signed = signature::Message {
            method: message.method,
            uri: message.uri,
            fields: &fields,
            body: message.body.as_bytes(),
        };
        let date = wall::ms() / 1000;
        let stamp = Stamp { date, nonce: Nonce(rand::random()) };
        let signature = signature::sign(&self.secrets, Purpose::Mcmp, &signed, stamp);
        headers.extend(signature);
        stamp.nonce
    }

    /// Whether somebody answered who knows the secret, and this message.
    pub(crate) fn check(
        &self,
        nonce: Nonce,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), Reason> {
        let fields: Vec<Field<'_>> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let answer = Answer { status, fields: &fields, body };
        signature::verify_answer(&self.secrets, Purpose::Mcmp, nonce, &answer)
    }
}
