//! What this node wants every balancer to know: one value, changed by the agent and read by each
//! registrar, which brings its balancer there step by step. Nothing is queued, so a slow or dead
//! balancer holds up nobody.

use std::collections::BTreeMap;
use std::time::Instant;

use muster_protocol::names::ContextPath;

/// The contexts, and whether the node is on its way out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Every context that some balancer should know or forget.
    pub(crate) contexts: BTreeMap<ContextPath, Want>,
    /// The node leaves; drains are given up at this time.
    pub(crate) leaving_by: Option<Instant>,
    /// How often an operator asked to register again.
    pub(crate) refreshes: u64,
}

// === impl Wanted ===

impl Wanted {
    /// In this context, or in all of them.
    pub(crate) fn take_no_new_sessions(&mut self, context: Option<&ContextPath>) {
        for (path, want) in &mut self.contexts {
            if *want == Want::Enabled && context.is_none_or(|context| context == path) {
                *want = Want::Disabled;
            }
        }
    }
}

/// What a context should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// All requests.
    Enabled,
    /// Old sessions only.
    Disabled,
    /// Known and without requests: another node serves it.
    Standby,
    /// Drained and removed; the drain is given up at this time.
    Gone { by: Instant },
}
