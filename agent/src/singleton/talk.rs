//! What members tell and ask each other about singletons.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use muster_cluster::{MemberId, NodeId};
use muster_singleton::Elected;
use muster_singleton::singleton::NotMoved;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Provider, Table};
use crate::cluster::{ServiceRegistry, codec};
use crate::engine::group::is_called;
use crate::engine::{Dispatch, Group, Handler, Member, Targets, Token};

/// Under this name members talk about singletons.
pub(super) const SERVICE: &str = "muster.singletons";
/// How long a member may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// A move is tried so often: who elects may change meanwhile.
const TRIES: usize = 20;
/// And after so long.
const AGAIN: Duration = Duration::from_millis(50);

/// The service that candidates of a singleton offer; the name of its lease too.
pub(super) fn service_of(name: &str) -> String {
    format!("singleton/{name}")
}

/// Why a singleton was not moved.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MoveError {
    /// Nobody offers it.
    #[error("there is no singleton {0:?}")]
    Unknown(String),
    /// That node does not offer it.
    #[error("the node {node:?} does not offer {singleton:?}")]
    NoCandidate {
        /// The node.
        node: String,
        /// The singleton.
        singleton: String,
    },
    /// Members do not agree who elects: try again.
    #[error("the members do not agree yet who elects: try again")]
    Undecided,
}

/// Asks other members.
#[derive(Clone)]
pub(crate) struct Talk {
    dispatch: Arc<dyn Dispatch>,
    group: Arc<dyn Group>,
    services: ServiceRegistry,
}

#[derive(Serialize, Deserialize)]
enum Ask {
    Elected { name: String, word: Elected },
    Move { name: String, node: Option<NodeId> },
    Standing { name: String },
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Taken(bool),
    Moved(Moved),
    /// Whether it runs, its token, what it has published.
    Standing(bool, Option<u128>, Option<Vec<u8>>),
}

#[derive(Serialize, Deserialize)]
enum Moved {
    Done,
    NotElector,
    NoCandidate,
}

// === impl Talk ===

impl Talk {
    pub(super) fn new(
        dispatch: Arc<dyn Dispatch>,
        group: Arc<dyn Group>,
        services: ServiceRegistry,
    ) -> Self {
        Self { dispatch, group, services }
    }

    pub(super) fn services(&self) -> &ServiceRegistry {
        &self.services
    }

    pub(super) fn local(&self) -> Member {
        self.group.local()
    }

    async fn ask(&self, member: MemberId, ask: &Ask) -> Option<Answer> {
        let command = codec::encode(ask).ok()?.into();
        let answer = self.dispatch.call(member, SERVICE, command, DEADLINE).await.ok()?;
        codec::decode(&answer).ok()
    }

    /// Whether the member takes this one for the elector.
    pub(super) async fn tell(&self, to: MemberId, name: &str, word: Elected) -> bool {
        let ask = Ask::Elected { name: name.to_owned(), word };
        matches!(self.ask(to, &ask).await, Some(Answer::Taken(true)))
    }

    /// Who runs it, and what it has published: of those who say so the one with the latest token.
    async fn running(&self, name: &str) -> Option<(Provider, Option<Bytes>)> {
        let members = self.services.providers(&service_of(name));
        let ask = Ask::Standing { name: name.to_owned() };
        let targets = Targets::Some(members.iter().map(|member| member.id).collect());
        let command = codec::encode(&ask).ok()?.into();
        let mut answers = self.dispatch.cast(targets, SERVICE, command, DEADLINE).await;
        let mut latest: Option<(Provider, Option<Bytes>)> = None;
        while let Some((id, answer)) = answers.next().await {
            let Ok(Ok(answer)) = answer.map(|bytes| codec::decode(&bytes)) else { continue };
            let Answer::Standing(true, Some(token), value) = answer else { continue };
            let Some(member) = members.iter().find(|member| member.id == id) else { continue };
            let provider = Provider { member: member.clone(), token: Token(token) };
            if latest.as_ref().is_none_or(|(latest, _)| latest.token < provider.token) {
                latest = Some((provider, value.map(Bytes::from)));
            }
        }
        latest
    }

    pub(super) async fn provider(&self, name: &str) -> Option<Provider> {
        self.running(name).await.map(|(provider, _)| provider)
    }

    pub(super) async fn value(&self, name: &str) -> Option<Bytes> {
        self.running(name).await.and_then(|(_, value)| value)
    }

    /// Asks whoever elects.
    pub(crate) async fn move_to(&self, name: &str, node: Option<&str>) -> Result<(), MoveError> {
        for _ in 0..TRIES {
            let members = self.services.providers(&service_of(name));
            let elector = members.first().ok_or_else(|| MoveError::Unknown(name.to_owned()))?;
            let no_candidate = || MoveError::NoCandidate {
                node: node.unwrap_or_default().to_owned(),
                singleton: name.to_owned(),
            };
            let to = match node {
                None => None,
                Some(node) => {
                    let member =
                        members.iter().find(|member| is_called(member.id.node, &member.name, node));
                    Some(member.ok_or_else(no_candidate)?.id.node)
                }
            };
            let ask = Ask::Move { name: name.to_owned(), node: to };
            match self.ask(elector.id, &ask).await {
                Some(Answer::Moved(Moved::Done)) => return Ok(()),
                Some(Answer::Moved(Moved::NoCandidate)) => return Err(no_candidate()),
                _ => tokio::time::sleep(AGAIN).await,
            }
        }
        Err(MoveError::Undecided)
    }
}

/// Hears what the others tell and ask.
pub(super) struct Listener(pub(super) Weak<Table>);

#[async_trait]
impl Handler for Listener {
    async fn handle(&self, from: MemberId, command: Bytes) -> Result<Bytes, String> {
        let ask: Ask = codec::decode(&command).map_err(|error| error.to_string())?;
        let table = self.0.upgrade().ok_or("the cluster was left")?;
        let answer = match ask {
            Ask::Elected { name, word } => {
                Answer::Taken(table.get(&name).is_some_and(|driver| driver.told(from, word)))
            }
            Ask::Move { name, node } => {
                let moved = match table.get(&name).map(|driver| driver.move_to(node)) {
                    Some(Ok(())) => Moved::Done,
                    Some(Err(NotMoved::NoCandidate)) => Moved::NoCandidate,
                    Some(Err(NotMoved::NotElector(_))) | None => Moved::NotElector,
                };
                Answer::Moved(moved)
            }
            Ask::Standing { name } => match table.get(&name).map(|driver| driver.standing()) {
                Some((is_running, token, value)) => {
                    Answer::Standing(is_running, token, value.map(|bytes| bytes.to_vec()))
                }
                None => Answer::Standing(false, None, None),
            },
        };
        codec::encode(&answer).map(Bytes::from).map_err(|error| error.to_string())
    }
}
