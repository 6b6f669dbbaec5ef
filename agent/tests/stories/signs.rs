//! Signed messages: what a node sends, and whom it does not believe.

#![allow(clippy::unwrap_used, reason = "a story that goes wrong ends")]

use muster_agent::{BalancerState, SessionGauge};
use muster_protocol::signature::{Field, Message, NONCE, Purpose, Secrets, verify};

use super::fake::Fake;
use super::{agent, eventually, registered};

const SECRET: &str = "the secret of the stories";

fn secrets(text: &str) -> Secrets {
    Secrets::new([text.parse().unwrap()])
}

/// Whether the bytes of a request are signed with this secret.
fn is_signed(bytes: &str, secret: &str) -> bool {
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap().split(' ');
    let (method, uri) = (words.next().unwrap(), words.next().unwrap());
    let fields: Vec<Field<'_>> =
        lines.map(|line| line.split_once(": ").unwrap()).map(|(n, v)| (n, v.as_bytes())).collect();
    let message = Message { method, uri, fields: &fields, body: body.as_bytes() };
    verify(&secrets(secret), Purpose::Mcmp, &message).is_ok()
}

#[tokio::test]
async fn every_message_is_signed_anew_and_an_unsigned_answer_is_not_believed() {
    let fake = Fake::start(7).await;
    let builder = agent("node1").balancer(fake.address().to_string());
    let agent = builder.secrets([SECRET, "an older secret of some length"]).start().await.unwrap();
    eventually("it has tried twice", || fake.state().bytes.len() >= 2).await;
    eventually("it says why it waits", || match &agent.status().balancers[0].state {
        BalancerState::Waiting { reason } => reason.contains("it is not signed"),
        _ => false,
    })
    .await;
    let bytes = fake.state().bytes.clone();
    assert!(bytes.iter().all(|bytes| bytes.starts_with("INFO ") && is_signed(bytes, SECRET)));
    let nonce = |bytes: &String| {
        bytes.lines().find(|line| line.starts_with(NONCE)).map(str::to_owned).unwrap()
    };
    assert_ne!(nonce(&bytes[0]), nonce(&bytes[1]));
    assert!(!bytes[0].contains(SECRET) && !format!("{agent:?}").contains(SECRET));
}

#[tokio::test]
async fn without_a_secret_nothing_of_ours_is_sent_but_the_number_of_sessions() {
    let fake = Fake::start(7).await;
    let sessions = SessionGauge::default();
    sessions.set(12);
    let builder = agent("node1").balancer(fake.address().to_string()).sessions(&sessions);
    let agent = builder.context("/a").start().await.unwrap();
    registered(&agent).await;
    for bytes in &fake.state().bytes {
        let ours = bytes.lines().filter(|line| line.starts_with("X-Muster-"));
        let expected =
            if bytes.starts_with("STATUS ") { vec!["X-Muster-Sessions: 12"] } else { vec![] };
        assert_eq!(ours.collect::<Vec<_>>(), expected, "{bytes}");
    }
}

#[tokio::test]
async fn bad_secrets_and_files_are_told_with_the_other_faults_and_not_shown() {
    let tls = muster_agent::BalancerTls::new("/no/ca.pem");
    let builder = agent("node1").balancer("a:1").secret("short").balancer_tls(tls);
    let error = builder.start().await.unwrap_err().to_string();
    assert!(error.contains("a secret has 16 to 255 bytes, not 5"), "{error}");
    assert!(error.contains("balancer_tls: /no/ca.pem cannot be used"), "{error}");
}
