//! What a button asks for, as a verb of operators.

use std::time::Duration;

use muster_web_ui::action::{self, Action};

use crate::operate::{OperateError, Target, Verb};

/// The verb that an action means.
pub(super) fn verb(action: &Action) -> Result<Verb, OperateError> {
    let target = match &action.target {
        action::Target::Context { route, aliases, path } => Target::context(route, aliases, path),
        action::Target::Node(route) => Target::node(route),
        action::Target::Group(domain) => Target::group(domain.as_deref()),
    }?;
    Ok(match action.verb {
        action::Verb::Enable => Verb::Enable(target),
        action::Verb::Disable => Verb::Disable(target),
        action::Verb::Stop => Verb::Stop(target),
        action::Verb::Drain => {
            Verb::Drain { target, deadline: action.deadline_seconds.map(Duration::from_secs) }
        }
        action::Verb::Cancel => Verb::CancelDrain(target),
    })
}
