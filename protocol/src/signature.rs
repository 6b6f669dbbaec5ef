//! Signed messages: who knows the shared secret may speak, and is believed.
//!
//! A message and its answer are text of MCMP (or of balancers among each other); each is signed
//! with HMAC-SHA256 over a canonical text. All of ours travels in `X-Muster-*`
//! headers, which old balancers and old nodes ignore:
//!
//! | header | of | what |
//! |---|---|---|
//! | `X-Muster-Date` | message | seconds since 1970, by the sender's clock |
//! | `X-Muster-Nonce` | message | 32 hexadecimal digits that never came before |
//! | `X-Muster-Signature` | both | `v1=` and 64 hexadecimal digits |
//!
//! Every other `X-Muster-*` header is covered by the signature too, and of an answer also `Type`,
//! `Mess` and `Version`. An answer is bound to the nonce of its message. docs/security.md has the
//! exact bytes with an example.
//!
//! Nothing here reads a clock or rolls dice: the time and the nonce come in as values.

mod canonical;
mod replays;
mod secret;

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

pub use replays::Replays;
pub use secret::{BadSecret, Secret, Secrets};

/// The header with the sender's time.
pub const DATE: &str = "X-Muster-Date";
/// The header that makes each message another one.
pub const NONCE: &str = "X-Muster-Nonce";
/// The header with the signature.
pub const SIGNATURE: &str = "X-Muster-Signature";

/// What stands before the digits: the form of the canonical text.
const FORM: &str = "v1=";

/// Most headers of ours in one message.
pub const MAX_FIELDS: usize = 32;

/// What signed text is for. A signature for one purpose says nothing to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A node speaks to its balancer.
    Mcmp,
    /// A balancer speaks to another one.
    Peers,
    /// Somebody speaks to the management of a cluster's member.
    Manage,
}

/// A header: its name in any case, and its value.
pub type Field<'m> = (&'m str, &'m [u8]);

/// A message, as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Message<'m> {
    /// The method, as sent.
    pub method: &'m str,
    /// Path and query, as sent.
    pub uri: &'m str,
    /// All of its headers; those that no signature covers do not count.
    pub fields: &'m [Field<'m>],
    /// The whole body.
    pub body: &'m [u8],
}

/// An answer, as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'m> {
    /// The status.
    pub status: u16,
    /// All of its headers; those that no signature covers do not count.
    pub fields: &'m [Field<'m>],
    /// The whole body.
    pub body: &'m [u8],
}

/// Sixteen bytes that never came before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// When a message was made, and what makes it another one than all before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Seconds since 1970.
    pub date: u64,
    /// See [`Nonce`].
    pub nonce: Nonce,
}

/// Who signed: what is needed to sign the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// What the message was stamped with.
    pub stamp: Stamp,
    /// Which of the secrets it was signed with.
    pub secret: usize,
}

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// There is none.
    #[error("the message is not signed")]
    Missing,
    /// One of its headers cannot be read, stands twice, or is missing beside the others.
    #[error("the signature's headers are malformed")]
    Malformed,
    /// The date is before the window, or before the start of whoever asks.
    #[error("the message's date is too old: the clocks differ, or it was kept back")]
    Old,
    /// The date is after the window.
    #[error("the message's date is in the future: the clocks differ")]
    Future,
    /// The same message came before.
    #[error("the message came before")]
    Replayed,
    /// No known secret makes this signature of this message.
    #[error("the signature is wrong: another secret, or another message")]
    Wrong,
    /// More messages came within the window than are remembered: a replay could not be told.
    #[error("too many signed messages at once")]
    Full,
}

/// How far a message's date may be from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Now, in seconds since 1970.
    pub now: u64,
    /// Seconds before and after.
    pub skew: u64,
}

// === impl Purpose ===

impl Purpose {
    fn word(self) -> &'static str {
        match self {
            Purpose::Mcmp => "mcmp",
            Purpose::Peers => "peers",
            Purpose::Manage => "manage",
        }
    }
}

// === impl Reason ===

impl Reason {
    /// One word, for metrics.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Missing => "unsigned",
            Reason::Malformed => "malformed_signature",
            Reason::Old => "old",
            Reason::Future => "future",
            Reason::Replayed => "replayed",
            Reason::Wrong => "wrong_signature",
            Reason::Full => "too_many",
        }
    }
}

// === impl Window ===

impl Window {
    /// Whether the date is within.
    ///
    /// # Errors
    /// [`Reason::Old`] or [`Reason::Future`].
    pub fn check(self, date: u64) -> Result<(), Reason> {
        if date < self.now.saturating_sub(self.skew) {
            return Err(Reason::Old);
        }
        match date > self.now.saturating_add(self.skew) {
            true => Err(Reason::Future),
            false => Ok(()),
        }
    }
}

// === messages ===

/// The three headers that sign a message. Its own headers of ours are covered: set them before.
///
/// ```
/// use muster_protocol::signature::{self, Message, Nonce, Purpose, Secrets, Stamp};
/// let secrets = Secrets::new(["a secret of some length".parse()?]);
/// let message = Message { method: "INFO", uri: "/", fields: &[], body: b"" };
/// let stamp = Stamp { date: 1_796_000_000, nonce: Nonce([7; 16]) };
/// let headers = signature::sign(&secrets, Purpose::Mcmp, &message, stamp);
/// let fields = headers.each_ref().map(|(name, value)| (*name, value.as_bytes()));
/// let signed = signature::verify(&secrets, Purpose::Mcmp, &Message { fields: &fields, ..message });
/// assert_eq!(signed.map(|signed| signed.stamp), Ok(stamp));
/// # Ok::<(), muster_protocol::signature::BadSecret>(())
/// ```
pub fn sign(
    secrets: &Secrets,
    purpose: Purpose,
    message: &Message<'_>,
    stamp: Stamp,
) -> [(&'static str, String); 3] {
    let text = canonical::message(purpose, message, stamp);
    let sum = mac(secrets.first(), &text);
    [
        (DATE, stamp.date.to_string()),
        (NONCE, stamp.nonce.to_string()),
        (SIGNATURE, format!("{FORM}{}", hex(&sum))),
    ]
}

/// Whether a message is signed with one of the secrets, and how. When it was made is not looked
/// at: see [`Window::check`], and [`Replays::note`] for whether it came before.
///
/// # Errors
/// [`Reason::Missing`], [`Reason::Malformed`] or [`Reason::Wrong`].
pub fn verify(
    secrets: &Secrets,
    purpose: Purpose,
    message: &Message<'_>,
) -> Result<Signed, Reason> {
    let [date, nonce, sum] = [DATE, NONCE, SIGNATURE].map(|name| one(message.fields, name));
    let (date, nonce, sum) = (date?, nonce?, sum?);
    if date.is_none() && nonce.is_none() && sum.is_none() {
        return Err(Reason::Missing);
    }
    let stamp = Stamp {
        date: date.and_then(read_date).ok_or(Reason::Malformed)?,
        nonce: nonce.and_then(Nonce::read).ok_or(Reason::Malformed)?,
    };
    let sum = sum.and_then(read_sum).ok_or(Reason::Malformed)?;
    if !canonical::are_good(message.fields) {
        return Err(Reason::Malformed);
    }
    let text = canonical::message(purpose, message, stamp);
    let secret = secrets.position(|secret| is_same(&mac(secret, &text), &sum));
    Ok(Signed { stamp, secret: secret.ok_or(Reason::Wrong)? })
}

// === answers ===

/// The header that signs the answer to a message of this nonce, with the secret of the message.
pub fn sign_answer(
    secret: &Secret,
    purpose: Purpose,
    nonce: Nonce,
    answer: &Answer<'_>,
) -> (&'static str, String) {
    let sum = mac(secret, &canonical::answer(purpose, nonce, answer));
    (SIGNATURE, format!("{FORM}{}", hex(&sum)))
}

/// Whether an answer is of somebody who knows one of the secrets, and to the message of this
/// nonce.
///
/// # Errors
/// [`Reason::Missing`], [`Reason::Malformed`] or [`Reason::Wrong`].
pub fn verify_answer(
    secrets: &Secrets,
    purpose: Purpose,
    nonce: Nonce,
    answer: &Answer<'_>,
) -> Result<(), Reason> {
    let sum = one(answer.fields, SIGNATURE)?.ok_or(Reason::Missing)?;
    let sum = read_sum(sum).ok_or(Reason::Malformed)?;
    if !canonical::are_good(answer.fields) {
        return Err(Reason::Malformed);
    }
    let text = canonical::answer(purpose, nonce, answer);
    match secrets.position(|secret| is_same(&mac(secret, &text), &sum)) {
        Some(_) => Ok(()),
        None => Err(Reason::Wrong),
    }
}

// === reading and writing ===

/// The value of a header that stands at most once.
fn one<'m>(fields: &[Field<'m>], wanted: &str) -> Result<Option<&'m [u8]>, Reason> {
    let mut found = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let first = found.next().map(|(_, value)| *value);
    match found.next() {
        Some(_) => Err(Reason::Malformed),
        None => Ok(first),
    }
}

/// One date has one spelling.
fn read_date(value: &[u8]) -> Option<u64> {
    let date = std::str::from_utf8(value).ok()?.parse::<u64>().ok()?;
    (date.to_string().as_bytes() == value).then_some(date)
}

fn read_sum(value: &[u8]) -> Option<[u8; 32]> {
    unhex(value.strip_prefix(FORM.as_bytes())?)
}

fn mac(secret: &Secret, text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("any length is a key");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Takes as long for any two sums.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Small digits only: one value has one spelling.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

// === impl Nonce ===

impl Nonce {
    fn read(text: &[u8]) -> Option<Nonce> {
        unhex(text).map(Nonce)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
