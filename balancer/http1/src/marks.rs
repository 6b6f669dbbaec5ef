//! The header lines that a writer may leave out: their places, found while the head is parsed.

use arrayvec::ArrayVec;

use crate::span::Span;

/// How many marked lines are remembered. A head with more is read a second time when written.
const REMEMBERED: usize = 10;

/// Why a line may have to stay behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It concerns one connection only.
    Hop,
    /// `Forwarded` or `X-Forwarded-*`.
    Forwarding,
    Host,
    Cookie,
    Expect,
    /// Content-Length.
    Length,
    /// Transfer-Encoding.
    Encoding,
    /// `traceparent`.
    TraceParent,
    /// `tracestate`.
    TraceState,
}

/// One such line, with its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: Span,
    pub(crate) kind: Kind,
}

/// All such lines of a head, in their order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    list: ArrayVec<Mark, REMEMBERED>,
    overflowed: bool,
}

// === impl Marks ===

impl Marks {
    #[inline]
    pub(crate) fn push(&mut self, mark: Mark) {
        self.overflowed |= self.list.try_push(mark).is_err();
    }

    /// The marks; `None` when there were too many to remember.
    #[inline]
    pub(crate) fn remembered(&self) -> Option<&[Mark]> {
        (!self.overflowed).then_some(&self.list)
    }
}
