//! The text that is signed: each part with its length before it, so that no two messages make the
//! same text.
//!
//! A part is `LENGTH:BYTES,` (a netstring; the length in decimal digits). A message is the parts
//! `muster-1 message`, purpose, method, uri, date, nonce, the number of covered headers, each of
//! them (name in small letters, value) in the order of the names, body. An answer is the parts
//! `muster-1 answer`, purpose, the message's nonce, status, the number of covered headers, each of
//! them, body.

use super::{Answer, DATE, Field, MAX_FIELDS, Message, NONCE, Nonce, Purpose, SIGNATURE, Stamp};

/// Headers of MCMP's answers that mean something to the node.
const OF_ANSWERS: [&str; 3] = ["mess", "type", "version"];

/// The signed text of a message.
pub(super) fn message(purpose: Purpose, message: &Message<'_>, stamp: Stamp) -> Vec<u8> {
    let mut text = Text::default();
    text.part(b"muster-1 message");
    text.part(purpose.word().as_bytes());
    text.part(message.method.as_bytes());
    text.part(message.uri.as_bytes());
    text.part(stamp.date.to_string().as_bytes());
    text.part(stamp.nonce.to_string().as_bytes());
    text.fields(message.fields);
    text.part(message.body);
    text.0
}

/// The signed text of an answer.
pub(super) fn answer(purpose: Purpose, nonce: Nonce, answer: &Answer<'_>) -> Vec<u8> {
    let mut text = Text::default();
    text.part(b"muster-1 answer");
    text.part(purpose.word().as_bytes());
    text.part(nonce.to_string().as_bytes());
    text.part(answer.status.to_string().as_bytes());
    text.fields(answer.fields);
    text.part(answer.body);
    text.0
}

/// Whether each covered header stands once, and there are not too many.
pub(super) fn are_good(fields: &[Field<'_>]) -> bool {
    let covered = covered(fields);
    covered.len() <= MAX_FIELDS && covered.windows(2).all(|pair| pair[0].0 != pair[1].0)
}

/// The covered headers, their names in small letters, in the order of these.
fn covered<'m>(fields: &[Field<'m>]) -> Vec<(String, &'m [u8])> {
    let small = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value));
    let mut covered: Vec<_> = small.filter(|(name, _)| is_covered(name)).collect();
    covered.sort();
    covered
}

/// Date and nonce are parts of their own.
fn is_covered(name: &str) -> bool {
    let is = |other: &&str| other.eq_ignore_ascii_case(name);
    let is_ours = name.starts_with("x-muster-") && ![DATE, NONCE, SIGNATURE].iter().any(is);
    is_ours || OF_ANSWERS.contains(&name)
}

#[derive(Default)]
struct Text(Vec<u8>);

impl Text {
    fn part(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes.len().to_string().as_bytes());
        self.0.push(b':');
        self.0.extend_from_slice(bytes);
        self.0.push(b',');
    }

    fn fields(&mut self, fields: &[Field<'_>]) {
        let covered = covered(fields);
        self.part(covered.len().to_string().as_bytes());
        for (name, value) in covered {
            self.part(name.as_bytes());
            self.part(value);
        }
    }
}
