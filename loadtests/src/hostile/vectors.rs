//! The vectors: what a client may send, by what is odd in it.
//!
//! Sources: RFC 9110 and 9112, the field's known smuggling attacks, and what a bare Pingora was
//! measured to get wrong. Where the RFC leaves a choice, both are right.

mod chunked;
mod coding;
mod connection;
mod expect;
mod fields;
mod forwarded;
mod hop;
mod host;
mod length;
mod limits;
mod lines;
mod method;
mod target;
mod upgrade;

use super::vector::Vector;

/// The limit on bodies that the proxy under test is configured with, in bytes.
pub const BODY_LIMIT: usize = 1 << 20;

/// All of them; each name is there once.
pub fn all() -> Vec<Vector> {
    let groups: [fn() -> Vec<Vector>; 14] = [
        length::vectors,
        coding::vectors,
        chunked::vectors,
        lines::vectors,
        fields::vectors,
        host::vectors,
        target::vectors,
        method::vectors,
        hop::vectors,
        upgrade::vectors,
        expect::vectors,
        connection::vectors,
        limits::vectors,
        forwarded::vectors,
    ];
    groups.into_iter().flat_map(|vectors| vectors()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::case;
    use crate::hostile::vector::Step;

    #[test]
    fn there_are_enough_and_each_has_a_name_of_its_own() {
        let vectors = all();
        let names: std::collections::BTreeSet<_> = vectors.iter().map(|v| &v.name).collect();
        assert_eq!(names.len(), vectors.len());
        assert!(vectors.len() >= 125, "only {}", vectors.len());
    }

    #[test]
    fn what_every_vector_sends_can_be_told_from_the_others() {
        for vector in all() {
            let is_marked = |step: &Step| match step {
                Step::Write(bytes) => !case::ids(&case::fill(bytes, 7)).is_empty(),
                Step::Pause | Step::Interim | Step::HalfClose => false,
            };
            assert!(vector.steps.iter().any(is_marked), "{}", vector.name);
        }
    }
}
