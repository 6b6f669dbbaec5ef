//! Whom a node sees in its cluster, as it tells a balancer with STATUS: its own node's id, and the
//! others' of the view in force. It travels in a header, which old balancers ignore.
//!
//! ```text
//! X-Muster-Members: 0000000000000000000000000000002a 0000000000000000000000000000002b
//! ```

use std::fmt;
use std::str::FromStr;

/// The header with the ids.
pub const MEMBERS_HEADER: &str = "X-Muster-Members";

/// Most others that are told; of a larger cluster nothing is said.
pub const MAX_MEMBERS: usize = 64;

/// The nodes of one view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The node that says so.
    pub own: u128,
    /// The others, at most [`MAX_MEMBERS`].
    pub others: Box<[u128]>,
}

/// A text that is no [`Members`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a row of 1 to {} node ids of 32 hexadecimal digits", MAX_MEMBERS + 1)]
pub struct BadMembers;

// === impl Members ===

impl Members {
    /// None where there are too many others to be told.
    #[must_use]
    pub fn new(own: u128, others: impl IntoIterator<Item = u128>) -> Option<Members> {
        let others: Box<[u128]> = others.into_iter().take(MAX_MEMBERS + 1).collect();
        (others.len() <= MAX_MEMBERS).then_some(Members { own, others })
    }
}

impl FromStr for Members {
    type Err = BadMembers;

    fn from_str(text: &str) -> Result<Members, BadMembers> {
        let id = |text: &str| {
            let is_id = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
            u128::from_str_radix(text, 16).ok().filter(|_| is_id)
        };
        let mut ids = text.split(' ').take(MAX_MEMBERS + 2).map(|text| id(text).ok_or(BadMembers));
        let own = ids.next().ok_or(BadMembers)??;
        let others: Vec<u128> = ids.collect::<Result<_, _>>()?;
        Members::new(own, others).ok_or(BadMembers)
    }
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.own)?;
        self.others.iter().try_for_each(|other| write!(f, " {other:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_are_read_as_they_are_written_and_nothing_else_is() {
        let text = "0000000000000000000000000000002a 0000000000000000000000000000002b";
        let members: Members = text.parse().unwrap();
        assert_eq!((members.own, &*members.others), (42, &[43_u128][..]));
        assert_eq!(members.to_string(), text);
        let long = vec!["0000000000000000000000000000002a"; MAX_MEMBERS + 2].join(" ");
        for bad in ["", "2a", " ", "+000000000000000000000000000002a", &text[1..], &long] {
            assert_eq!(bad.parse::<Members>(), Err(BadMembers), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_view_comes_back(own: u128, others: Vec<u128>) {
            let Some(members) = Members::new(own, others.iter().copied()) else {
                prop_assert!(others.len() > MAX_MEMBERS);
                return Ok(());
            };
            prop_assert_eq!(members.to_string().parse(), Ok(members));
        }
    }
}
