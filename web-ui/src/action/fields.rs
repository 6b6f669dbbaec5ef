//! From a form's bytes to fields, and from fields to what they mean together.

use percent_encoding::percent_decode_str;

use super::{Action, ActionError, Form, MAX_DEADLINE_SECONDS, MAX_FIELDS, MAX_VALUE, Target, Verb};
use crate::text;

/// The form's fields before they make sense together.
#[derive(Default)]
pub(super) struct Fields {
    token: Option<String>,
    confirmed: Option<String>,
    back: Option<String>,
    deadline: Option<String>,
    route: Option<String>,
    group: Option<String>,
    aliases: Vec<String>,
    verb: Option<(Verb, String)>,
}

// === impl Fields ===

impl Fields {
    pub(super) fn read(form: &[u8]) -> Result<Fields, ActionError> {
        let form = std::str::from_utf8(form).map_err(|_| bad("form", "", "it is no UTF-8"))?;
        let mut fields = Fields::default();
        for (at, pair) in form.split('&').filter(|pair| !pair.is_empty()).enumerate() {
            if at >= MAX_FIELDS {
                return Err(ActionError::TooMany);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.take(name, value)?;
        }
        Ok(fields)
    }

    fn take(&mut self, name: &str, raw: &str) -> Result<(), ActionError> {
        match name {
            "token" => once(&mut self.token, "token", decode("token", raw)?),
            "confirmed" => once(&mut self.confirmed, "confirmed", filled("confirmed", raw)?),
            "back" => once(&mut self.back, "back", filled("back", raw)?),
            "deadline" => once(&mut self.deadline, "deadline", decode("deadline", raw)?),
            "route" => once(&mut self.route, "route", filled("route", raw)?),
            "group" => once(&mut self.group, "group", decode("group", raw)?),
            "alias" => {
                self.aliases.push(filled("alias", raw)?);
                Ok(())
            }
            _ => {
                let Some(verb) = Verb::KNOWN.into_iter().find(|verb| verb.word() == name) else {
                    return Err(ActionError::Unknown { field: shortened(name) });
                };
                once(&mut self.verb, verb.word(), (verb, filled(verb.word(), raw)?))
            }
        }
    }

    /// The proof of where the form came from.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// What the fields mean together.
    pub(super) fn form(mut self) -> Result<Form, ActionError> {
        let confirmed = match self.confirmed.take().as_deref() {
            None => false,
            Some("yes") => true,
            Some(other) => return Err(bad("confirmed", other, "it can only be yes")),
        };
        let back = self.back.take().unwrap_or_else(|| "/".to_owned());
        // A path of ours and nothing that a browser takes for another host.
        let is_path = back.starts_with('/') && !back.starts_with("//");
        if !is_path || back.contains(|c: char| c == '\\' || !c.is_ascii_graphic()) {
            return Err(bad("back", &back, "it is no path of this listener"));
        }
        let deadline = self.deadline.take().filter(|text| !text.is_empty());
        let deadline_seconds = deadline.map(|text| seconds(&text)).transpose()?;
        let action = Action { deadline_seconds, ..self.action()? };
        match (action.verb, deadline_seconds, &action.target) {
            (Verb::Drain, _, Target::Node(_)) | (Verb::Cancel, None, Target::Node(_)) => {}
            (Verb::Drain | Verb::Cancel, _, Target::Context { .. } | Target::Group(_)) => {
                return Err(bad(action.verb.word(), "", "it is for a node: route and *"));
            }
            (_, Some(_), _) => return Err(ActionError::Surplus { field: "deadline" }),
            (_, None, _) => {}
        }
        Ok(Form { action, confirmed, back })
    }

    fn action(self) -> Result<Action, ActionError> {
        let Some((verb, contexts)) = self.verb else {
            return Err(ActionError::Missing { field: "enable, disable, stop, drain or cancel" });
        };
        let target = match (self.route, self.group, contexts.as_str()) {
            (Some(_), Some(_), _) => return Err(ActionError::Surplus { field: "group" }),
            (None, None, node) => match node.strip_prefix('@').filter(|route| !route.is_empty()) {
                Some(route) if self.aliases.is_empty() => Target::Node(route.to_owned()),
                _ => return Err(ActionError::Missing { field: "route" }),
            },
            (_, _, "*") if !self.aliases.is_empty() => {
                return Err(ActionError::Surplus { field: "alias" });
            }
            (Some(route), None, "*") => Target::Node(route),
            (None, Some(group), "*") => Target::Group(Some(group).filter(|name| !name.is_empty())),
            (None, Some(_), _) => {
                return Err(bad(verb.word(), &contexts, "a verb for a group is for all: *"));
            }
            (Some(_), None, _) if self.aliases.is_empty() => {
                return Err(ActionError::Missing { field: "alias" });
            }
            (Some(route), None, _) => {
                Target::Context { route, aliases: self.aliases, path: contexts }
            }
        };
        Ok(Action::new(verb, target))
    }
}

fn once<T>(place: &mut Option<T>, field: &'static str, value: T) -> Result<(), ActionError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ActionError::Surplus { field }),
    }
}

fn filled(field: &'static str, raw: &str) -> Result<String, ActionError> {
    let value = decode(field, raw)?;
    match value.is_empty() {
        true => Err(bad(field, "", "it is empty")),
        false => Ok(value),
    }
}

fn seconds(text: &str) -> Result<u64, ActionError> {
    let bounded = text.parse().ok().filter(|seconds| (1..=MAX_DEADLINE_SECONDS).contains(seconds));
    bounded.ok_or_else(|| bad("deadline", text, "it is no number of seconds, 1 to 604800"))
}

/// A value as browsers encode it: `+` is a space, `%2B` a plus.
fn decode(field: &'static str, raw: &str) -> Result<String, ActionError> {
    let spaced = raw.replace('+', " ");
    let value = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|_| bad(field, raw, "it is no UTF-8"))?
        .into_owned();
    match value.len() > MAX_VALUE {
        true => Err(bad(field, &value, "it is too long")),
        false => Ok(value),
    }
}

fn bad(field: &'static str, value: &str, reason: &'static str) -> ActionError {
    ActionError::Bad { field, value: shortened(value), reason }
}

fn shortened(value: &str) -> String {
    text::cut(value).unwrap_or_else(|| value.to_owned())
}
