//! Plain requests between the cases: each must get its own answer.

use std::net::SocketAddr;
use std::time::Duration;

use super::backend::Backend;
use super::case::{self, CaseId, PLACE};
use super::client::{Client, Front};
use super::judge;
use super::vector::HOST;
use super::wire::Heard;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// The next request on the same connection gets its own answer, or the connection is closed.
pub(super) async fn next(
    client: &mut Client,
    backend: &Backend,
    id: CaseId,
    within: Duration,
) -> Result<(), String> {
    let heard = client.ask(&ask(id, "next"), false, within).await;
    match own(backend, id, "next", &heard) {
        Some(true) => Ok(()),
        None if heard == Heard::Ended => Ok(()),
        Some(false) => Err("the next request on the connection got another's answer".to_owned()),
        None => Err(format!("the next request on the connection got {heard:?}")),
    }
}

/// Another client is served, if need be after some attempts, and never with another's answer.
pub(super) async fn fresh(
    front: Front,
    proxy: SocketAddr,
    backend: &Backend,
    id: CaseId,
    word: &str,
    within: Duration,
) -> Result<(), String> {
    let attempts = async {
        loop {
            if let Ok(mut client) = Client::connect(front, proxy).await {
                let heard = client.ask(&ask(id, word), false, within).await;
                match own(backend, id, word, &heard) {
                    Some(true) => return Ok(()),
                    Some(false) => return Err("another client got a foreign answer".to_owned()),
                    None => {}
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let late = || Err("others are not served any more".to_owned());
    tokio::time::timeout(within, attempts).await.unwrap_or_else(|_| late())
}

fn ask(id: CaseId, word: &str) -> Vec<u8> {
    let text = format!("GET /{PLACE}/{word} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    case::fill(text.as_bytes(), id)
}

/// Whether the answer is the one to that request; `None` where the proxy itself refused.
fn own(backend: &Backend, id: CaseId, word: &str, heard: &Heard) -> Option<bool> {
    let answer = match heard {
        Heard::Answer(answer) => answer,
        Heard::Broken(_) => return Some(false),
        Heard::Ended | Heard::Late => return None,
    };
    if answer.status >= 500 && judge::serial(answer).is_none() {
        return None;
    }
    let serial = judge::serial(answer);
    let end = format!("/{word}");
    let records = backend.records(id);
    let is_own = |serial| records.iter().any(|r| r.serial == serial && r.is_for(&end));
    Some(answer.is_whole && serial.is_some_and(is_own))
}
