//! Shared secrets: never shown, and more than one while they are changed.

use std::fmt;
use std::str::FromStr;

/// What balancer and nodes both know: 16 to 255 bytes. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that is no good secret; it does not carry the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {least} to {most} bytes, not {0}", least = Secret::LEAST, most = Secret::MOST)]
pub struct BadSecret(pub usize);

/// Secrets that are accepted, at least one; the first one signs. While a secret is changed there
/// are two: first every side accepts both, then each signs with the new one, then the old one goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    first: Secret,
    others: Vec<Secret>,
}

// === impl Secret ===

impl Secret {
    /// Least bytes. A shorter one can be guessed by whoever heard one signed message.
    pub const LEAST: usize = 16;
    /// Most bytes.
    pub const MOST: usize = 255;

    /// For keys that are made of it: never to be shown or sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Secret, BadSecret> {
        match text.len() {
            Secret::LEAST..=Secret::MOST => Ok(Secret(text.to_owned())),
            length => Err(BadSecret(length)),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

// === impl Secrets ===

impl Secrets {
    /// These; the first one signs.
    pub fn new<const N: usize>(secrets: [Secret; N]) -> Secrets {
        const { assert!(N > 0, "there is at least one secret") };
        Secrets::from_list(secrets.into()).expect("there is at least one")
    }

    /// These; the first one signs. `None` where there is none.
    pub fn from_list(secrets: Vec<Secret>) -> Option<Secrets> {
        let mut secrets = secrets.into_iter();
        Some(Secrets { first: secrets.next()?, others: secrets.collect() })
    }

    /// The one that signs.
    pub fn first(&self) -> &Secret {
        &self.first
    }

    /// The one at this place, as [`Signed::secret`](super::Signed::secret) has it.
    pub fn get(&self, at: usize) -> Option<&Secret> {
        self.iter().nth(at)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Each is tried, so that it cannot be measured which one it was.
    pub(super) fn position(&self, is_it: impl Fn(&Secret) -> bool) -> Option<usize> {
        let tried = self.iter().enumerate().map(|(at, secret)| (at, is_it(secret)));
        tried.fold(None, |found, (at, is_it)| found.or(is_it.then_some(at)))
    }
}
