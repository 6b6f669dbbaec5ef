//! The names of maps as numbers: the grid knows a map by a hash of 32 bits, the same on every
//! member.

use std::collections::HashMap;

use muster_grid::segment::hash;

use crate::engine::EngineError;

/// The cluster's own.
const OWN: u32 = 0;

/// Which names this process has. Two names of one hash on two members that have one of them each
/// are not noticed: of 1,000 maps the chance is one in 8,600.
#[derive(Debug, Default)]
pub(super) struct Spaces {
    names: HashMap<u32, String>,
}

// === impl Spaces ===

impl Spaces {
    /// The number of a name.
    ///
    /// # Errors
    /// When it is the cluster's own or another name's.
    pub(super) fn take(&mut self, name: &str) -> Result<u32, EngineError> {
        let number = number(name);
        if number == OWN {
            let why = "its hash is the cluster's own: choose another";
            return Err(EngineError::bad("the map's name", name, why));
        }
        let present = self.names.entry(number).or_insert_with(|| name.to_owned());
        if *present != name {
            let (name, present) = (name.to_owned(), present.clone());
            return Err(EngineError::Collision { name, present });
        }
        Ok(number)
    }
}

/// The number of a queue's name: not that of a map of this name.
pub(super) fn queue_name(queue: &str) -> String {
    format!("queue:{queue}")
}

pub(super) fn number(name: &str) -> u32 {
    (hash(&[name.as_bytes()]) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_hash_are_an_error_that_names_both() {
        let mut spaces = Spaces::default();
        let counters = spaces.take("counters").unwrap();
        assert_eq!(spaces.take("counters"), Ok(counters));
        assert_ne!(spaces.take("carts"), Ok(counters));
        // A collision cannot be waited for, so make one.
        spaces.names.insert(number("orders"), "prices".to_owned());
        let error = spaces.take("orders").unwrap_err().to_string();
        assert!(error.contains("\"orders\"") && error.contains("\"prices\""), "{error}");
    }

    #[test]
    fn the_number_of_a_name_is_the_same_on_every_machine_and_in_every_version() {
        assert_eq!(number("counters"), 488_111_869);
    }
}
