//! The token that proves that a form came from our own page.
//!
//! The page has no users and no cookies of its own yet, so one token for the life of the process
//! is enough: another site cannot read our page (the Host check keeps rebound names away), thus
//! it cannot know the token. The shell draws the random bytes.

use subtle::ConstantTimeEq as _;

/// Random bytes that a token is made of.
pub const KEY_BYTES: usize = 16;

/// The token of this process.
#[derive(Clone)]
pub struct Csrf {
    token: String,
}

impl Csrf {
    /// The token for a key; the key must come from a random source that nobody can guess.
    ///
    /// ```
    /// use muster_web_ui::csrf::Csrf;
    /// let csrf = Csrf::new([7; 16]);
    /// assert!(csrf.accepts(csrf.token()));
    /// assert!(!csrf.accepts(""));
    /// ```
    pub fn new(key: [u8; KEY_BYTES]) -> Csrf {
        Csrf { token: key.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// What the page writes into its forms: hexadecimal digits only.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether a form brought our token. Takes the same time for each wrong token of its length.
    pub fn accepts(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl std::fmt::Debug for Csrf {
    /// Without the token, which has no business in a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Csrf(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_process_is_refused() {
        let (ours, other) = (Csrf::new([1; KEY_BYTES]), Csrf::new([2; KEY_BYTES]));
        assert!(ours.accepts(ours.token()));
        assert!(!ours.accepts(other.token()));
        assert!(!ours.accepts(""));
        assert!(!ours.accepts(&ours.token()[1..]));
        assert!(!ours.accepts(&format!("{}0", ours.token())));
    }

    #[test]
    fn the_token_stays_out_of_logs() {
        let csrf = Csrf::new([0xab; KEY_BYTES]);
        assert!(!format!("{csrf:?}").contains("ab"));
    }
}
