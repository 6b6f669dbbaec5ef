//! One question to the management of one member, signed where there is a secret; then the answer
//! must be signed too.

use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use muster_protocol::cluster::report::NotDone;
use muster_protocol::signature::{
    self, Answer, BadSecret, Field, Message, Nonce, Purpose, Reason, Secret, Secrets, Stamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::{CallError, Caller, Papers};
use crate::operate::wall_ms;

/// A member's management, ready to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    url: String,
    caller: Caller,
    secrets: Option<Secrets>,
}

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Nothing came back.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It says no.
    #[error("{error} ({status})")]
    Refused {
        /// Why.
        error: String,
        /// The status.
        status: u16,
    },
    /// Whoever answered did not prove that it is of the cluster.
    #[error("the answer of {url} is not believed: {}", unbelieved(*reason))]
    Unbelieved {
        /// Who.
        url: String,
        /// Why.
        reason: Reason,
    },
    /// It is none that can be read.
    #[error("{url} answers something that cannot be read: {why}")]
    Unreadable {
        /// Who.
        url: String,
        /// Why.
        why: String,
    },
}

fn unbelieved(reason: Reason) -> &'static str {
    match reason {
        Reason::Missing => "it is not signed, so whoever answers does not know the secret",
        _ => "its signature is wrong, so whoever answers has another secret",
    }
}

// === impl Member ===

impl Member {
    /// The management at a URL.
    ///
    /// # Errors
    /// What is wrong with the URL, or with the papers.
    pub(crate) fn new(
        url: &str,
        papers: Papers<'_>,
        timeout: Duration,
        secrets: Option<Secrets>,
    ) -> Result<Member, CallError> {
        Ok(Member { url: url.to_owned(), caller: Caller::new(url, papers, timeout)?, secrets })
    }

    /// Asks for a report.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AskError> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    /// Asks for a verb.
    ///
    /// # Errors
    /// See [`AskError`].
    pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, AskError> {
        let body = serde_json::to_vec(body).map_err(|error| self.unreadable(&error))?;
        self.ask(Method::POST, path, body).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<T, AskError> {
        let mut headers = HeaderMap::new();
        if method == Method::POST {
            let json = HeaderValue::from_static("application/json");
            headers.insert(header::CONTENT_TYPE, json);
        }
        let stamp = Stamp { date: wall_ms() / 1000, nonce: Nonce(rand::random()) };
        if let Some(secrets) = &self.secrets {
            let message = Message { method: method.as_str(), uri: path, fields: &[], body: &body };
            for (name, value) in signature::sign(secrets, Purpose::Manage, &message, stamp) {
                let named = HeaderName::from_bytes(name.as_bytes()).ok();
                if let (Some(name), Ok(value)) = (named, HeaderValue::from_str(&value)) {
                    headers.insert(name, value);
                }
            }
        }
        let answer = self.caller.call(method, path, headers, body).await?;
        let status = answer.status;
        if let Some(secrets) = &self.secrets {
            let fields: Vec<Field<'_>> =
                answer.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
            let told = Answer { status: status.as_u16(), fields: &fields, body: &answer.body };
            let checked = signature::verify_answer(secrets, Purpose::Manage, stamp.nonce, &told);
            // What refuses our signature cannot sign for us: its word is passed on as it is.
            let is_refusal = status == http::StatusCode::FORBIDDEN;
            if let (Err(reason), false) = (checked, is_refusal) {
                return Err(AskError::Unbelieved { url: self.url.clone(), reason });
            }
        }
        if status.is_success() {
            return serde_json::from_slice(&answer.body).map_err(|error| self.unreadable(&error));
        }
        let said = serde_json::from_slice::<NotDone>(&answer.body).map(|said| said.error);
        let said = said.unwrap_or_else(|_| String::from_utf8_lossy(&answer.body).into_owned());
        let error = said.trim().chars().take(500).collect();
        Err(AskError::Refused { error, status: status.as_u16() })
    }

    fn unreadable(&self, why: &dyn std::fmt::Display) -> AskError {
        AskError::Unreadable { url: self.url.clone(), why: why.to_string() }
    }
}

/// The secret in the first line of a file.
///
/// # Errors
/// Why there is none.
pub(crate) fn read_secret(file: &Path) -> Result<Secrets, String> {
    let told = |why: String| format!("secret_file: {}: {why}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let first = text.lines().next().unwrap_or_default().trim();
    let secret: Secret = first.parse().map_err(|error: BadSecret| told(error.to_string()))?;
    Ok(Secrets::new([secret]))
}
