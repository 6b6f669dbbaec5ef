//! Any bytes for the readers of MCMP, of advertise and of finding. The kept ones (`__fuzz__`) are messages as
//! real clients send them, where the first line is method and uri and the rest the body, and
//! datagrams as balancers send them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::{Duration, UNIX_EPOCH};

use muster_protocol::advertise::{self, Key, Rules, Verifier};
use muster_protocol::cluster;
use muster_protocol::mcmp::{METHODS, parse, write};
use muster_protocol::signature::{
    self, Answer, Field, Message, Nonce, Purpose, Reason, SIGNATURE, Secrets,
};

#[test]
fn mcmp_messages() {
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        let (line, body) = split(input, b'\n');
        let (method, uri) = split(line, b' ');
        read(&String::from_utf8_lossy(method), &String::from_utf8_lossy(uri), body);
        for method in METHODS {
            read(method, "/", input);
            read(method, "/*", &form(input));
        }
    });
}

#[test]
fn advertise_datagrams() {
    let key = Key::new("s3cret").unwrap();
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        let Ok(datagram) = advertise::parse(input) else { return };
        let said = &datagram.announcement;
        // A date before 1970 is none that a balancer writes.
        if said.date >= UNIX_EPOCH {
            let written = advertise::write(said, Some(&key));
            assert_eq!(&advertise::parse(&written).unwrap().announcement, said);
        }
        // The kept ones with this key are the only ones that it signed.
        let mut verifier = Verifier::new(Rules::new(vec![key.clone()]));
        if verifier.verify(&datagram, said.date).is_ok() {
            assert!(input.windows(16).any(|window| window == b"X-Digest-SHA256:"));
        }
    });
}

#[test]
fn finding_datagrams() {
    let secret = "a secret that no input knows".parse().unwrap();
    let cluster: cluster::ClusterName = "shop".parse().unwrap();
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        let Ok(said) = cluster::parse(input) else { return };
        let key = cluster::Key::derived(&secret);
        let written = cluster::write(&said, Some(&key));
        assert_eq!(cluster::parse(&written).unwrap(), said);
        let (keys, max_age) = (vec![key], Duration::from_secs(30));
        let rules = cluster::Rules { cluster: cluster.clone(), node: 0, keys, max_age };
        assert!(cluster::Verifier::new(rules).judge(input, said.stamp).is_err());
    });
}

fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == at).unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// The input as a form whose keys are those that count.
fn form(input: &[u8]) -> Vec<u8> {
    const KEYS: [&str; 12] = [
        "Load", "Context", "Alias", "Port", "Host", "Type", "Balancer", "Domain", "smax", "ping",
        "ttl", "Timeout",
    ];
    let mut body = b"JVMRoute=a".to_vec();
    for part in input.chunks(7).take(20) {
        let key = KEYS[usize::from(part[0]) % KEYS.len()];
        body.extend([b"&", key.as_bytes(), b"=", &part[1..]].concat());
    }
    body
}

/// What is read can be written, and is read again as the same.
fn read(method: &str, uri: &str, body: &[u8]) {
    let Ok(command) = parse(method, uri, body) else { return };
    let message = write(&command);
    let again = parse(message.method, message.uri, message.body.as_bytes());
    assert_eq!(again.unwrap(), command, "{method} {uri} {}", String::from_utf8_lossy(body));
}

/// Each line of the input is a header; they are read as those of a message and of an answer. Whoever
/// does not know the secret makes nothing of them that counts.
#[test]
fn signed_messages() {
    let secrets = Secrets::new(["a secret that no input knows".parse().unwrap()]);
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        let lines = input.split(|&byte| byte == b'\n').map(|line| split(line, b':'));
        let lines: Vec<_> = lines
            .map(|(name, value)| (String::from_utf8_lossy(name), value.trim_ascii()))
            .collect();
        let fields: Vec<Field<'_>> = lines.iter().map(|(name, value)| (&**name, *value)).collect();
        let message = Message { method: "CONFIG", uri: "/", fields: &fields, body: input };
        let verdict = signature::verify(&secrets, Purpose::Mcmp, &message).unwrap_err();
        let answer = Answer { status: 200, fields: &fields, body: input };
        let of_answer =
            signature::verify_answer(&secrets, Purpose::Mcmp, Nonce([0; 16]), &answer).unwrap_err();
        let is_signed = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case(SIGNATURE));
        assert!(!is_signed || verdict != Reason::Missing);
        assert_eq!(is_signed, of_answer != Reason::Missing);
    });
}
