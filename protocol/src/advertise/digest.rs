//! The two digests of a datagram, and the key that both are made with.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::signature::Secret;

/// What the derived key is made for, so that it is good for nothing else.
const PURPOSE: &[u8] = b"muster advertise";

/// What senders and receivers know and nobody else: 1 to 255 bytes. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    bytes: Vec<u8>,
    is_derived: bool,
}

/// Why a text is no [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a security key has 1 to 255 bytes, not {0}")]
pub struct KeyError(usize);

// === impl Key ===

impl Key {
    /// The key that was configured for advertise.
    pub fn new(text: &str) -> Result<Key, KeyError> {
        match text.len() {
            1..=255 => Ok(Key { bytes: text.as_bytes().to_vec(), is_derived: false }),
            length => Err(KeyError(length)),
        }
    }

    /// The key of those who share a secret for MCMP and have none for advertise. The old digest is
    /// then made without a key: MD5 must not be a way to guess the secret.
    pub fn derived(secret: &Secret) -> Key {
        Key {
            bytes: hmac(secret.bytes(), PURPOSE).finalize().into_bytes().to_vec(),
            is_derived: true,
        }
    }

    pub(super) fn has_old_digest(&self) -> bool {
        !self.is_derived
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        hmac(&self.bytes, bytes).finalize().into_bytes().into()
    }

    /// In constant time.
    pub(super) fn has_signed(&self, bytes: &[u8], digest: &[u8; 32]) -> bool {
        hmac(&self.bytes, bytes).verify_slice(digest).is_ok()
    }

    fn salt(&self) -> Option<[u8; 16]> {
        (!self.is_derived).then(|| Md5::digest(&self.bytes).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(********)")
    }
}

fn hmac(key: &[u8], bytes: &[u8]) -> Hmac<Sha256> {
    let mut hmac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    hmac.update(bytes);
    hmac
}

/// The old digest, over the texts as they stand in the datagram.
pub(super) fn old(key: Option<&Key>, date: &str, sequence: &str, server: &str) -> [u8; 16] {
    let salt = key.and_then(Key::salt).unwrap_or_default();
    let mut md5 = Md5::new();
    md5.update(salt);
    [date, sequence, server].into_iter().for_each(|text| md5.update(text));
    md5.finalize().into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_digest_is_what_real_clients_compute() {
        let fields = ("Sun, 29 Nov 2026 21:20:47 GMT", "7", "b1");
        let digest = |key: Option<&Key>| hex(&old(key, fields.0, fields.1, fields.2));
        // By Python's hashlib, as the real client's verifyDigest does it.
        assert_eq!(digest(None), "320adf240cfc64f20ddedc467af33bd5");
        assert_eq!(digest(Some(&Key::new("s3cret").unwrap())), "7292e66eda5a6bfc97263b6c7823af2b");
        let secret: Secret = "a secret of 16 or more".parse().unwrap();
        assert_eq!(digest(Some(&Key::derived(&secret))), digest(None));
    }

    #[test]
    fn a_key_is_never_shown_and_has_bounds() {
        assert_eq!(format!("{:?}", Key::new("s3cret").unwrap()), "Key(********)");
        assert_eq!(Key::new(""), Err(KeyError(0)));
        assert_eq!(Key::new(&"x".repeat(256)), Err(KeyError(256)));
    }

    #[test]
    fn hex_is_read_as_it_is_written() {
        assert_eq!(from_hex(&hex(&[0, 1, 255])), Some([0, 1, 255]));
        for bad in ["", "0001f", "0001fff", "0001fg", "+001ff"] {
            assert_eq!(from_hex::<3>(bad), None, "{bad}");
        }
    }
}
