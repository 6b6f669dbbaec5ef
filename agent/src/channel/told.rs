//! What was logged already: a peer that is refused tries again and again, and is one line.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Reasons that are remembered. When there are more, the first ones are told again.
const MOST: usize = 256;

/// Who was told of, and why.
#[derive(Debug, Default)]
pub(crate) struct Told {
    told: Mutex<BTreeSet<(String, String)>>,
}

impl Told {
    /// Whether this is to be logged now.
    pub(crate) fn is_new(&self, about: &str, why: &str) -> bool {
        let mut told = self.told.lock();
        if told.len() >= MOST {
            told.clear();
        }
        told.insert((about.to_owned(), why.to_owned()))
    }

    /// What was told of.
    #[cfg(test)]
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.told.lock().iter().map(|(_, why)| why.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reason_for_one_address_is_told_once() {
        let told = Told::default();
        assert!(told.is_new("a", "wrong secret"));
        assert!(!told.is_new("a", "wrong secret"));
        assert!(told.is_new("a", "other cluster") && told.is_new("b", "wrong secret"));
    }
}
