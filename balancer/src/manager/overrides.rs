//! The form that sets properties of a node or of a balancer name in the place of what is reported.

use std::collections::BTreeMap;
use std::str::FromStr;

use http::StatusCode;
use muster_routing::overrides::{BalancerOverride, NodeOverride};
use muster_web_ui::csrf::Csrf;
use muster_web_ui::view::View;

use super::act::Refusal;
use crate::operate::{OperateError, Verb, parsed};

/// Most fields of the form.
const MAX_FIELDS: usize = 16;

/// What the form asks for.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) verb: Verb,
    /// The page that the form stands on.
    pub(super) back: String,
}

/// The form's fields by name, without those that are empty: they are left as they are.
struct Fields(BTreeMap<String, String>);

impl Set {
    /// Reads the form: `token`, `route` or `balancer`, and either `reset=yes` or the properties.
    pub(super) fn parse(form: &[u8], csrf: Option<&Csrf>) -> Result<Set, Refusal> {
        let mut fields = Fields::read(form)?;
        let token = fields.take("token").unwrap_or_default();
        if csrf.is_some_and(|csrf| !csrf.accepts(&token)) {
            let why = muster_web_ui::action::ActionError::Forged.to_string();
            return Err((StatusCode::FORBIDDEN, why));
        }
        let reset = fields.take("reset").is_some_and(|word| word == "yes");
        let set = match (fields.take("route"), fields.take("balancer")) {
            (Some(route), None) => Set::of_node(route, reset, &mut fields),
            (None, Some(name)) => Set::of_balancer(&name, reset, &mut fields),
            (None, None) => Err(bad("route or balancer: it is missing".to_owned())),
            (Some(_), Some(_)) => Err(bad("balancer: it is one too many beside route".to_owned())),
        }?;
        match fields.0.keys().next() {
            // A reset is sent with what stands in the fields; it means none of it.
            Some(other) if !reset => Err(bad(format!("{other:?} is no field of this form"))),
            Some(_) | None => Ok(set),
        }
    }

    fn of_node(name: String, reset: bool, fields: &mut Fields) -> Result<Set, Refusal> {
        let route = parsed("route", &name).map_err(refusal)?;
        let verb = match reset {
            true => Verb::ResetNode(route),
            false => {
                let overrides = NodeOverride {
                    load: fields.value("load")?,
                    ping_ms: fields.value("ping_ms")?,
                    timeout_ms: fields.value("timeout_ms")?,
                    flush_wait_ms: fields.value("flush_wait_ms")?,
                    smax: fields.value("smax")?,
                    ttl_ms: fields.value("ttl_ms")?,
                };
                Verb::OverrideNode { route, overrides }
            }
        };
        Ok(Set { verb, back: View::Node(name).path() })
    }

    fn of_balancer(name: &str, reset: bool, fields: &mut Fields) -> Result<Set, Refusal> {
        let name = parsed("balancer", name).map_err(refusal)?;
        let verb = match reset {
            true => Verb::ResetBalancer(name),
            false => {
                let overrides = BalancerOverride {
                    sticky_session: fields.value("sticky_session")?,
                    sticky_session_force: fields.value("sticky_session_force")?,
                    sticky_session_remove: fields.value("sticky_session_remove")?,
                    max_attempts: fields.value("max_attempts")?,
                    wait_worker_ms: fields.value("wait_worker_ms")?,
                };
                Verb::OverrideBalancer { name, overrides }
            }
        };
        Ok(Set { verb, back: View::Topology.path() })
    }
}

impl Fields {
    fn read(form: &[u8]) -> Result<Fields, Refusal> {
        let mut fields = BTreeMap::new();
        for (at, (name, value)) in form_urlencoded::parse(form).enumerate() {
            if at >= MAX_FIELDS {
                return Err(bad(format!("the form has more than {MAX_FIELDS} fields")));
            }
            if !value.is_empty() {
                fields.insert(name.into_owned(), value.into_owned());
            }
        }
        Ok(Fields(fields))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    fn value<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let told = |_| bad(format!("{name} has the bad value {text:?}"));
        text.trim().parse().map(Some).map_err(told)
    }
}

fn bad(why: String) -> Refusal {
    (StatusCode::BAD_REQUEST, why)
}

fn refusal(error: OperateError) -> Refusal {
    (error.status(), error.to_string())
}
