//! The form that sets properties of a node in the place of what it reports.

use http::StatusCode;
use muster_routing::overrides::NodeOverride;
use muster_web_ui::csrf::Csrf;

use super::act::Refusal;
use crate::operate::{OperateError, Target, Verb};

/// Most fields of the form.
const MAX_FIELDS: usize = 16;

/// What the form asks for.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) verb: Verb,
    /// The node's page.
    pub(super) back: String,
}

impl Set {
    /// Reads the form: `route`, `token`, and either `reset=yes` or the properties. An empty
    /// property is left as it is.
    pub(super) fn parse(form: &[u8], csrf: Option<&Csrf>) -> Result<Set, Refusal> {
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        let token = form_urlencoded::parse(form).find(|(name, _)| name == "token");
        let token = token.map(|(_, value)| value).unwrap_or_default();
        if csrf.is_some_and(|csrf| !csrf.accepts(&token)) {
            let why = muster_web_ui::action::ActionError::Forged.to_string();
            return Err((StatusCode::FORBIDDEN, why));
        }
        let (mut route, mut reset) = (String::new(), false);
        let mut set = NodeOverride::default();
        for (at, (name, value)) in form_urlencoded::parse(form).enumerate() {
            if at >= MAX_FIELDS {
                return Err(bad(format!("the form has more than {MAX_FIELDS} fields")));
            }
            match name.as_ref() {
                "route" => route = value.into_owned(),
                "token" => {}
                "reset" => reset = value == "yes",
                _ if value.is_empty() => {}
                "load" => set.load = Some(number(&name, &value)?),
                "ping_ms" => set.ping_ms = Some(number(&name, &value)?),
                "timeout_ms" => set.timeout_ms = Some(number(&name, &value)?),
                "flush_wait_ms" => set.flush_wait_ms = Some(number(&name, &value)?),
                "smax" => set.smax = Some(number(&name, &value)?),
                "ttl_ms" => set.ttl_ms = Some(number(&name, &value)?),
                other => return Err(bad(format!("{other:?} is no field of this form"))),
            }
        }
        let refusal = |error: OperateError| (error.status(), error.to_string());
        let Target::Node(node) = Target::node(&route).map_err(refusal)? else {
            return Err(bad("route: it is missing".to_owned()));
        };
        let back = muster_web_ui::view::View::Node(route).path();
        let verb = match reset {
            true => Verb::ResetNode(node),
            false => Verb::OverrideNode { route: node, overrides: set },
        };
        Ok(Set { verb, back })
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    let bad = |_| (StatusCode::BAD_REQUEST, format!("{name} has the bad value {value:?}"));
    value.trim().parse().map_err(bad)
}
