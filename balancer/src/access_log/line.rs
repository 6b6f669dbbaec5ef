//! A line of the access log.
//!
//! ```text
//! 127.0.0.1 - - [22/Nov/2026:10:00:00 +0000] "GET /shop HTTP/1.1" 200 1024 0.001234 node1 owner
//! ```
//! After the size: seconds until the answer was sent, the node, why it was chosen, and, where traces
//! are on, the trace's id. In JSON:
//!
//! ```text
//! {"time":"2026-11-22T10:00:00.123456Z","client":"127.0.0.1","method":"GET","target":"/shop",
//!  "version":"HTTP/1.1","status":200,"received":0,"sent":1024,"duration":0.001234,
//!  "chosen_after":0.000020,"answered_after":0.001100,"node":"node1","context":"/shop",
//!  "how":"owner","attempts":1,"trace":"4bf92f3577b34da6a3ce929d0e0e4736"}
//! ```
//! on one line; what is not known is left out.

use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use crate::proxy::Ending;
use crate::proxy::exchange::Detail;
use crate::text::{push_ip, push_number, push_seconds};
use crate::trace::TraceId;

/// What a line says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'r> {
    pub(crate) ending: Ending<'r>,
    /// From the head to the end of the answer.
    pub(crate) took: Duration,
    /// The node that answered, or was asked last.
    pub(crate) node: Option<&'r str>,
    /// Why that node, or why none.
    pub(crate) how: &'static str,
    /// How often a node was chosen.
    pub(crate) attempts: u32,
    pub(crate) trace: Option<TraceId>,
    /// What only JSON has room for.
    pub(crate) detail: Option<&'r Detail>,
}

/// The time as text, made once a second.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The second that `face` shows.
    second: u64,
    face: String,
    format: &'static str,
}

// === impl Clock ===

impl Clock {
    /// As the common log format has it.
    pub(super) fn common(&mut self, now: Duration) -> &str {
        self.show(now, "%d/%b/%Y:%H:%M:%S +0000")
    }

    /// Up to the second, as RFC 3339 has it.
    fn rfc3339(&mut self, now: Duration) -> &str {
        self.show(now, "%Y-%m-%dT%H:%M:%S")
    }

    fn show(&mut self, now: Duration, format: &'static str) -> &str {
        if self.second != now.as_secs() || self.format != format {
            let time = Timestamp::from_second(now.as_secs() as i64).unwrap_or_default();
            (self.second, self.format) = (now.as_secs(), format);
            self.face = time.strftime(format).to_string();
        }
        &self.face
    }
}

// === impl Line ===

impl Line<'_> {
    pub(super) fn append_common(&self, clock: &str, to: &mut Vec<u8>) {
        let Ending { client, method, target, version, status, sent, .. } = self.ending;
        match client {
            Some(client) => push_ip(client, to),
            None => to.push(b'-'),
        }
        let add = |text: &str, to: &mut Vec<u8>| to.extend_from_slice(text.as_bytes());
        add(" - - [", to);
        add(clock, to);
        add("] \"", to);
        add(method, to);
        to.push(b' ');
        append_escaped(target, b'"', to);
        to.push(b' ');
        add(version, to);
        add("\" ", to);
        match status {
            Some(status) => push_number(status.into(), to),
            None => to.push(b'-'),
        }
        to.push(b' ');
        push_number(sent, to);
        to.push(b' ');
        push_seconds(self.took, to);
        to.push(b' ');
        append_escaped(self.node.unwrap_or("-").as_bytes(), b' ', to);
        to.push(b' ');
        add(self.how, to);
        if let Some(trace) = self.trace {
            to.push(b' ');
            to.extend_from_slice(&trace.text());
        }
        to.push(b'\n');
    }

    pub(super) fn append_json(&self, clock: &mut Clock, now: Duration, to: &mut Vec<u8>) {
        let Ending { client, method, target, version, status, received, sent } = self.ending;
        to.extend_from_slice(b"{\"time\":\"");
        to.extend_from_slice(clock.rfc3339(now).as_bytes());
        // Writing into a Vec cannot fail.
        let _ = write!(to, ".{:06}Z\"", now.subsec_micros());
        if let Some(client) = client {
            to.extend_from_slice(b",\"client\":\"");
            push_ip(client, to);
            to.push(b'"');
        }
        append_field("method", method.as_bytes(), to);
        append_field("target", target, to);
        append_field("version", version.as_bytes(), to);
        if let Some(status) = status {
            append_number("status", status.into(), to);
        }
        append_number("received", received, to);
        append_number("sent", sent, to);
        append_time("duration", Some(self.took), to);
        append_time("chosen_after", self.detail.and_then(|detail| detail.chosen_after), to);
        append_time("answered_after", self.detail.and_then(Detail::answered_after), to);
        if let Some(node) = self.node {
            append_field("node", node.as_bytes(), to);
        }
        if let Some(context) = self.detail.and_then(|detail| detail.context.as_ref()) {
            append_field("context", context.as_str().as_bytes(), to);
        }
        append_field("how", self.how.as_bytes(), to);
        append_number("attempts", self.attempts.into(), to);
        if let Some(trace) = self.trace {
            append_field("trace", &trace.text(), to);
        }
        to.extend_from_slice(b"}\n");
    }
}

/// Nothing that a client or a node sends may forge a line, or end its column before `end` does.
fn append_escaped(text: &[u8], end: u8, to: &mut Vec<u8>) {
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && *byte != b'\\' && *byte != end;
    if text.iter().all(is_plain) {
        return to.extend_from_slice(text);
    }
    for &byte in text {
        match byte {
            b'\\' | 0..=0x1f | 0x7f.. => {
                let _ = write!(to, "\\x{byte:02x}");
            }
            _ if byte == end => {
                let _ = write!(to, "\\x{byte:02x}");
            }
            _ => to.push(byte),
        }
    }
}

/// A name with its text. All that is not plain ASCII is escaped: it may be meant for a terminal.
fn append_field(name: &str, value: &[u8], to: &mut Vec<u8>) {
    append_name(name, to);
    to.push(b'"');
    let is_plain = |byte: &u8| (0x20..0x7f).contains(byte) && !matches!(*byte, b'\\' | b'"');
    if value.iter().all(is_plain) {
        to.extend_from_slice(value);
    } else {
        for unit in String::from_utf8_lossy(value).encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if is_plain(&byte) => to.push(byte),
                _ => drop(write!(to, "\\u{unit:04x}")),
            }
        }
    }
    to.push(b'"');
}

fn append_number(name: &str, value: u64, to: &mut Vec<u8>) {
    append_name(name, to);
    push_number(value, to);
}

fn append_time(name: &str, value: Option<Duration>, to: &mut Vec<u8>) {
    if let Some(value) = value {
        append_name(name, to);
        push_seconds(value, to);
    }
}

fn append_name(name: &str, to: &mut Vec<u8>) {
    to.extend_from_slice(b",\"");
    to.extend_from_slice(name.as_bytes());
    to.extend_from_slice(b"\":");
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::new(1_800_000_000, 123_456_789);

    pub(in crate::access_log) fn line(target: &[u8]) -> Line<'_> {
        let ending = Ending {
            client: Some(IpAddr::from([127, 0, 0, 1])),
            method: "GET",
            target,
            version: "HTTP/1.1",
            status: Some(200),
            received: 3,
            sent: 12,
        };
        Line {
            ending,
            took: Duration::from_micros(1234),
            node: Some("node1"),
            how: "owner",
            attempts: 1,
            trace: None,
            detail: None,
        }
    }

    fn common(line: &Line<'_>) -> String {
        let mut text = Vec::new();
        line.append_common(Clock::default().common(NOW), &mut text);
        String::from_utf8(text).unwrap()
    }

    fn json(line: &Line<'_>) -> String {
        let mut text = Vec::new();
        line.append_json(&mut Clock::default(), NOW, &mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_line_has_the_common_form_and_what_a_balancer_adds() {
        assert_eq!(
            common(&line(b"/shop?a=1")),
            "127.0.0.1 - - [15/Jan/2027:08:00:00 +0000] \"GET /shop?a=1 HTTP/1.1\" 200 12 \
             0.001234 node1 owner\n"
        );
        let traced = Line { trace: Some(TraceId([0xab; 16])), ..line(b"/") };
        assert!(common(&traced).ends_with(&format!(" node1 owner {}\n", "ab".repeat(16))));
    }

    #[test]
    fn a_line_of_json_says_more_and_leaves_out_what_is_not_known() {
        let detail = Detail {
            context: Some("/shop".parse().unwrap()),
            chosen_after: Some(Duration::from_micros(20)),
            ..Detail::default()
        };
        let trace = Some(TraceId([0xab; 16]));
        let whole = Line { detail: Some(&detail), trace, attempts: 2, ..line(b"/shop?a=1") };
        assert_eq!(
            json(&whole),
            format!(
                "{{\"time\":\"2027-01-15T08:00:00.123456Z\",\"client\":\"127.0.0.1\",\
                 \"method\":\"GET\",\"target\":\"/shop?a=1\",\"version\":\"HTTP/1.1\",\
                 \"status\":200,\"received\":3,\"sent\":12,\"duration\":0.001234,\
                 \"chosen_after\":0.000020,\"node\":\"node1\",\"context\":\"/shop\",\
                 \"how\":\"owner\",\"attempts\":2,\"trace\":\"{}\"}}\n",
                "ab".repeat(16)
            )
        );
        let ending = Ending { client: None, status: None, ..line(b"/").ending };
        let bare = json(&Line { ending, node: None, ..line(b"/") });
        for name in ["client", "status", "node\"", "context", "trace"] {
            assert!(!bare.contains(name), "{name}: {bare}");
        }
    }

    #[test]
    fn a_target_cannot_forge_a_line() {
        let mut text = Vec::new();
        append_escaped(b"/a\" 200\r\n\\x", b'"', &mut text);
        assert_eq!(text, b"/a\\x22 200\\x0d\\x0a\\x5cx");
    }

    #[test]
    fn the_name_of_a_node_cannot_forge_a_column() {
        let text = common(&Line { node: Some("a owner\n"), ..line(b"/") });
        assert!(text.ends_with(" 200 12 0.001234 a\\x20owner\\x0a owner\n"), "{text}");
    }

    proptest! {
        #[test]
        fn whatever_is_asked_is_one_line_of_json_that_says_it(target: Vec<u8>, node: String) {
            let text = json(&Line { node: Some(&node), ..line(&target) });
            let (object, rest) = text.split_once('\n').unwrap();
            prop_assert!(rest.is_empty() && object.is_ascii());
            let read: serde_json::Value = serde_json::from_str(object).unwrap();
            prop_assert_eq!(&read["target"], &*String::from_utf8_lossy(&target));
            prop_assert_eq!(&read["node"], &node);
        }
    }
}
