//! A cache's mode, as data: where its entries are kept.

use muster_cluster::{Copies, View};

/// How a cache is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// Not at all.
    Local,
    /// Each entry with some members.
    #[default]
    Distributed,
    /// Each entry with every member.
    Replicated,
    /// Nothing is shared; a change makes the others drop their copies.
    Invalidated,
}

/// Where the entries of a cache are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// By this process alone.
    Here,
    /// By this process; the others are told which copies are stale.
    HereAndTold,
    /// In a table of the view.
    Table(u8),
}

impl Mode {
    /// Where the entries of a cache of this mode are kept. Without a cluster every mode behaves as
    /// local.
    #[must_use]
    pub fn kept(self, view: Option<&View>) -> Kept {
        let Some(view) = view else { return Kept::Here };
        let table = |wanted: fn(&Copies) -> bool| {
            let at = view.tables.iter().position(wanted).and_then(|at| u8::try_from(at).ok());
            at.map_or(Kept::Here, Kept::Table)
        };
        match self {
            Self::Local => Kept::Here,
            Self::Invalidated => Kept::HereAndTold,
            Self::Distributed => table(|copies| matches!(copies, Copies::Some(_))),
            Self::Replicated => table(|copies| *copies == Copies::Every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_cluster_every_mode_behaves_as_local() {
        for mode in [Mode::Local, Mode::Distributed, Mode::Replicated, Mode::Invalidated] {
            assert_eq!(mode.kept(None), Kept::Here);
        }
    }
}
