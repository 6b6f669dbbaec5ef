//! Fuzz targets: what load balancers in front say of their clients. The kept corpus lies in
//! `__fuzz__`, one folder for each target, and is tried first. `BOLERO_RANDOM_TEST_TIME_MS` makes
//! a run longer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a finding ends the run")]

use std::time::Duration;

use muster_balancer::proxy::headers::{Said, Seen, told, told_lines};
use muster_balancer::proxy_protocol::{Header, MAX_V2, read};
use muster_balancer::trusted::Networks;

const SHORT: Duration = Duration::from_millis(500);

/// Noise alone never gets past the first bytes, so each input is tried as it is and as the rest of
/// something that begins well.
#[test]
fn proxy_protocol_headers() {
    const STARTS: [&[u8]; 5] = [
        b"",
        b"PROXY ",
        b"PROXY TCP4 192.0.2.7 ",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x20",
    ];
    bolero::check!().with_test_time(SHORT).for_each(|input: &[u8]| {
        for start in STARTS {
            header(&[start, input].concat());
        }
    });
}

/// The verdict does not depend on the pieces in which the bytes came, nor on what follows.
fn header(bytes: &[u8]) {
    let whole = read(bytes);
    let first = (0..=bytes.len()).map(|end| read(&bytes[..end])).find(|read| *read != Ok(None));
    assert!(first.is_some() || whole == Ok(None));
    assert!(whole != Ok(None) || bytes.len() < MAX_V2);
    let Some(Ok(Some(header))) = first else {
        assert!(!matches!(whole, Ok(Some(_))));
        return;
    };
    assert_eq!(whole, Ok(Some(header)));
    let Header { consumed, source, destination, .. } = header;
    assert!(consumed <= bytes.len() && consumed <= MAX_V2);
    assert_eq!(source.is_some(), destination.is_some());
    assert_eq!(read(&bytes[..consumed]), Ok(Some(header)));
}

/// Each line of the input is a header of a trusted proxy; the first letter says which one.
#[test]
fn what_proxies_say() {
    let trusted = Networks::parse(&["10.0.0.0/8"]).unwrap();
    bolero::check!().with_test_time(SHORT).for_each(|input: &[u8]| {
        let mut said = Said::default();
        for line in input.split(|&byte| byte == b'\n') {
            let Some((which, value)) = line.split_first() else { continue };
            said.note(NAMES[usize::from(*which) % NAMES.len()], value);
        }
        let seen = Seen { peer: Some([10, 0, 0, 1].into()), is_tls: false, host: Some(b"h") };
        let told = told(seen, &said, &trusted);
        assert!(told.client.is_some());
        let mut lines = Vec::new();
        told_lines(&told, &mut lines);
        // Nothing that was said ends a line or begins one, and a chain has its bound.
        assert!(lines.len() < 6 * 1024 + 3 * input.len().min(64 * 1024));
        let lines = lines.strip_suffix(b"\r\n").unwrap();
        for line in lines.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            assert!(NAMES.iter().any(|name| starts(line, name)), "{line:?}");
            assert!(line.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t'));
        }
    });
}

const NAMES: [&str; 5] =
    ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"];

fn starts(line: &[u8], name: &str) -> bool {
    line.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b": "))
}
