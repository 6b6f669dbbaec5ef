//! Passwords: argon2id, made by `muster password` and checked at a login.
//!
//! A check takes some 20 ms of a core and 19 MiB, on purpose. So few are made at once, on threads
//! that carry nothing else, and a name that does not exist costs as much as one that does.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// Most bytes of a password.
pub(crate) const MAX_PASSWORD: usize = 1_024;

/// Checks that go on at once.
const AT_ONCE: usize = 2;

/// Checks that go on or wait; further logins are told to come again.
const MOST_WAITING: usize = 16;

/// Most memory that a hash may ask for, in KiB: who writes the configuration may err.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;

/// The hash that is checked for a name that does not exist.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGF0IGFsbA$\
    u1fpyA8zH6Bw0TObVbTlJ4KrPD6nsf5cU6jYI8i8vVk";

/// Who checks passwords.
#[derive(Debug, Clone)]
pub(crate) struct Checker {
    at_once: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// There are too many logins at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

impl Default for Checker {
    fn default() -> Self {
        Checker {
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
        }
    }
}

impl Checker {
    /// Whether the password is that of the hash; without a hash, no, after the same time.
    pub(crate) async fn is(&self, password: &str, hash: Option<&str>) -> Result<bool, Busy> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Busy)?;
        let _turn = self.at_once.acquire().await.map_err(|_| Busy)?;
        let (password, known) = (password.to_owned(), hash.is_some());
        let hash = hash.unwrap_or(NOBODY).to_owned();
        let is = tokio::task::spawn_blocking(move || verify(&password, &hash)).await;
        Ok(is.unwrap_or(false) && known)
    }
}

fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
}

/// Whether a text is a hash that can be checked.
pub(crate) fn check(hash: &str) -> Result<(), String> {
    let parsed = PasswordHash::new(hash).map_err(|error| error.to_string())?;
    if !hash.starts_with("$argon2") || parsed.hash.is_none() {
        return Err("it is not argon2's".to_owned());
    }
    let params = argon2::Params::try_from(&parsed).map_err(|error| error.to_string())?;
    match params.m_cost() > MAX_MEMORY_KIB {
        true => Err("it asks for more than 1 GiB".to_owned()),
        false => Ok(()),
    }
}

/// The hash of a new password, with a random salt.
///
/// # Errors
/// A password that is empty or too long.
pub(crate) fn hash(password: &str) -> Result<String, String> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(format!("a password has 1 to {MAX_PASSWORD} bytes"));
    }
    let salt: [u8; 16] = rand::random();
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    Ok(hash.map_err(|error| error.to_string())?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_alone() {
        let (one, other) = (hash("correct horse").unwrap(), hash("correct horse").unwrap());
        assert_ne!(one, other, "each has a salt of its own");
        let checker = Checker::default();
        assert_eq!(checker.is("correct horse", Some(&one)).await, Ok(true));
        assert_eq!(checker.is("correct hors", Some(&one)).await, Ok(false));
        assert_eq!(checker.is("correct horse", None).await, Ok(false));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        assert_eq!(check(NOBODY), Ok(()));
        let greedy = NOBODY.replace("m=19456", "m=4000000");
        for bad in
            ["", "secret", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=8,t=1,p=1", &greedy]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(hash("").is_err());
        assert!(hash(&"x".repeat(MAX_PASSWORD + 1)).is_err());
    }

    #[tokio::test]
    async fn more_logins_than_can_wait_are_told_to_come_again() {
        let checker = Checker::default();
        let checks: Vec<_> = (0..MOST_WAITING + 4).map(|_| checker.is("x", None)).collect();
        let answers = futures_util::future::join_all(checks).await;
        assert_eq!(answers.iter().filter(|answer| **answer == Err(Busy)).count(), 4);
    }
}
