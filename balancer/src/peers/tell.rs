//! Tells one peer: an operator's word at once, and everything now and then.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use muster_protocol::signature::{self, Answer, Message, Nonce, Purpose, Secrets, Stamp};
use muster_routing::word::Word;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::PATH;
use super::message::{Answers, Says, add, digest, fields};
use crate::client::{CallError, Caller, Papers};
use crate::config;
use crate::operate::{Operators, wall_ms};

/// How soon a word that could not be told is told again.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Most words that are told at once beside the exchange of all of them.
const MOST_AT_ONCE: usize = 256;

pub(super) struct Teller {
    url: String,
    caller: Caller,
    secrets: Secrets,
    interval: Duration,
    operators: Arc<Operators>,
}

/// Why an exchange was not good.
#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it refuses, with {0}: {1}")]
    Refused(StatusCode, String),
    #[error("its answer is not believed: {0}")]
    Answer(#[from] signature::Reason),
    #[error("its answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Teller {
    pub(super) fn new(
        url: &str,
        settings: &config::Peers,
        secrets: Secrets,
        operators: Arc<Operators>,
    ) -> Result<Teller, CallError> {
        let caller = Caller::new(url, Papers::believing(settings.ca.as_ref()), settings.timeout)?;
        let interval = settings.interval;
        Ok(Teller { url: url.to_owned(), caller, secrets, interval, operators })
    }

    /// Tells everything first: whoever comes back may have missed what was said meanwhile, here or
    /// there.
    pub(super) async fn run(self) {
        let mut told = self.operators.told();
        let mut words = self.operators.words();
        let mut retry = FIRST_RETRY;
        loop {
            let is_good = self.exchange(words).await;
            let wait = match is_good {
                true => self.interval,
                false => retry.min(self.interval),
            };
            retry = if is_good { FIRST_RETRY } else { retry * 2 };
            // Who did not hear it hears everything, the words that come meanwhile included.
            words = match tokio::time::timeout(wait, next(&mut told)).await {
                Ok(Some(word)) if is_good => gathered(word, &mut told),
                Ok(Some(_)) | Ok(None) | Err(_) => self.operators.words(),
            };
        }
    }

    /// Says words, hears what the other has to say, and says everything where that does not yet
    /// amount to the same.
    async fn exchange(&self, words: Vec<Word>) -> bool {
        let peers = self.operators.peers();
        let told = match self.say(words).await {
            Ok(answers) => {
                self.operators.hear(&answers.name, &answers.words);
                let all = self.operators.words();
                match digest(&all) == answers.digest {
                    true => Ok(answers),
                    false => self.say(all).await,
                }
            }
            Err(error) => Err(error),
        };
        match told {
            Ok(answers) => {
                self.operators.hear(&answers.name, &answers.words);
                let mut was_out = false;
                peers.note(&self.url, |known| {
                    was_out = known.error.take().is_some();
                    known.name = Some(answers.name);
                    known.last_ms = Some(wall_ms());
                    if let Some(seen) = answers.seen {
                        known.seen = Some((answers.seen_digest, seen));
                    }
                });
                if was_out {
                    tracing::info!(peer = self.url, "a peer is heard again");
                }
                true
            }
            Err(error) => {
                let mut is_new = false;
                peers.note(&self.url, |known| {
                    is_new = known.error.replace(error.to_string()).is_none();
                });
                if is_new {
                    tracing::warn!(peer = self.url, %error, "a peer cannot be told");
                }
                false
            }
        }
    }

    async fn say(&self, words: Vec<Word>) -> Result<Answers, TellError> {
        let says = Says {
            name: self.operators.name().to_string(),
            digest: digest(&self.operators.words()),
            seen: self.operators.peers().seen(&self.url),
            words,
        };
        let body = serde_json::to_vec(&says)?;
        let stamp = Stamp { date: wall_ms() / 1000, nonce: Nonce(rand::random()) };
        let message = Message { method: "POST", uri: PATH, fields: &[], body: &body };
        let mut headers = HeaderMap::new();
        add(&mut headers, header::CONTENT_TYPE.as_str(), "application/json");
        for (name, value) in signature::sign(&self.secrets, Purpose::Peers, &message, stamp) {
            add(&mut headers, name, &value);
        }
        let answer = self.caller.call(Method::POST, PATH, headers, body).await?;
        if answer.status != StatusCode::OK {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.trim().chars().take(200).collect();
            return Err(TellError::Refused(answer.status, text));
        }
        let listed = fields(&answer.headers);
        let told = Answer { status: answer.status.as_u16(), fields: &listed, body: &answer.body };
        signature::verify_answer(&self.secrets, Purpose::Peers, stamp.nonce, &told)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// The next word; `None` where some were missed.
async fn next(told: &mut Receiver<Arc<Word>>) -> Option<Word> {
    match told.recv().await {
        Ok(word) => Some((*word).clone()),
        Err(RecvError::Lagged(_)) => None,
        // The service of operators lives as long as its tasks.
        Err(RecvError::Closed) => std::future::pending().await,
    }
}

/// A word, and those that were said in the same breath.
fn gathered(first: Word, told: &mut Receiver<Arc<Word>>) -> Vec<Word> {
    let mut words = vec![first];
    while let Ok(word) = told.try_recv() {
        words.push((*word).clone());
        if words.len() >= MOST_AT_ONCE {
            break;
        }
    }
    words
}
