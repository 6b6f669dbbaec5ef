//! What a button of the page asks for: the form's bytes in, a checked [`Action`] out.
//!
//! One form, `application/x-www-form-urlencoded`. The verb is the name of a field and its value
//! says which contexts: `disable=/shop` for one context of `route=..&alias=..`, `disable=*` for
//! all contexts of a `route=..` or of a `group=..` (an empty group is that of the nodes without
//! one). `token=..` proves where the form came from. The same form serves `curl`.

use percent_encoding::percent_decode_str;

use crate::csrf::Csrf;

/// Most fields that a form may have.
pub const MAX_FIELDS: usize = 16;

/// Most bytes that a decoded value may have; longer than any name that a balancer takes.
pub const MAX_VALUE: usize = 1_024;

/// What an operator wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What happens.
    pub verb: Verb,
    /// To what.
    pub target: Target,
}

/// What happens to contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// All requests.
    Enable,
    /// Old sessions only.
    Disable,
    /// No requests; those in flight finish.
    Stop,
}

/// The contexts that a verb is for. The names are as the form had them: not empty (but for the
/// group), at most [`MAX_VALUE`] bytes, and not checked otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One context.
    Context {
        /// The node.
        route: String,
        /// At least one alias of the virtual host.
        aliases: Vec<String>,
        /// The context.
        path: String,
    },
    /// All contexts of a node.
    Node(String),
    /// All contexts of all nodes of a group; `None` is the group of the nodes without one.
    Group(Option<String>),
}

/// Why a form is no action. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The token is missing or is not ours.
    #[error("this form is not from this balancer's page, or from before its restart: reload it")]
    Forged,
    /// More fields than [`MAX_FIELDS`].
    #[error("the form has more than {MAX_FIELDS} fields")]
    TooMany,
    /// A field that no form of ours has.
    #[error("{field:?} is no field of this form")]
    Unknown {
        /// The name.
        field: String,
    },
    /// A field that is needed is not there.
    #[error("the field {field} is missing")]
    Missing {
        /// The name.
        field: &'static str,
    },
    /// A field that may stand once stands twice, or beside one that it excludes.
    #[error("the field {field} is one too many")]
    Surplus {
        /// The name.
        field: &'static str,
    },
    /// A value that cannot be.
    #[error("{field} has the bad value {value:?}: {reason}")]
    Bad {
        /// The name.
        field: &'static str,
        /// The value, cut where it is long.
        value: String,
        /// What is wrong.
        reason: &'static str,
    },
}

/// The form's fields before they make sense together.
#[derive(Default)]
struct Fields {
    token: Option<String>,
    route: Option<String>,
    group: Option<String>,
    aliases: Vec<String>,
    verb: Option<(Verb, String)>,
}

// === impl Action ===

impl Action {
    /// Reads a form and checks that it is ours. Never panics, whatever the bytes are.
    ///
    /// ```
    /// use muster_web_ui::action::{Action, Target, Verb};
    /// use muster_web_ui::csrf::Csrf;
    /// let csrf = Csrf::new([7; 16]);
    /// let form = format!("token={}&route=node1&disable=*", csrf.token());
    /// let action = Action::parse(form.as_bytes(), &csrf)?;
    /// assert_eq!(action, Action { verb: Verb::Disable, target: Target::Node("node1".into()) });
    /// # Ok::<(), muster_web_ui::action::ActionError>(())
    /// ```
    pub fn parse(form: &[u8], csrf: &Csrf) -> Result<Action, ActionError> {
        let fields = Fields::read(form)?;
        if !csrf.accepts(fields.token.as_deref().unwrap_or_default()) {
            return Err(ActionError::Forged);
        }
        fields.action()
    }
}

// === impl Verb ===

impl Verb {
    /// All of them.
    pub const ALL: [Verb; 3] = [Verb::Enable, Verb::Disable, Verb::Stop];

    /// The word of the form and of the audit log.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Enable => "enable",
            Verb::Disable => "disable",
            Verb::Stop => "stop",
        }
    }

    /// The word on a button.
    pub fn label(self) -> &'static str {
        match self {
            Verb::Enable => "Enable",
            Verb::Disable => "Disable",
            Verb::Stop => "Stop",
        }
    }

    /// What it does to requests and sessions, in a line.
    pub fn effect(self) -> &'static str {
        match self {
            Verb::Enable => "Takes all requests",
            Verb::Disable => "No new sessions; ongoing sessions stay",
            Verb::Stop => "No requests; sessions fail over unless sticky-session-force",
        }
    }
}

// === impl Fields ===

impl Fields {
    fn read(form: &[u8]) -> Result<Fields, ActionError> {
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
            "route" => once(&mut self.route, "route", filled("route", raw)?),
            "group" => once(&mut self.group, "group", decode("group", raw)?),
            "alias" => {
                self.aliases.push(filled("alias", raw)?);
                Ok(())
            }
            _ => {
                let Some(verb) = Verb::ALL.into_iter().find(|verb| verb.word() == name) else {
                    return Err(ActionError::Unknown { field: shortened(name) });
                };
                once(&mut self.verb, verb.word(), (verb, filled(verb.word(), raw)?))
            }
        }
    }

    fn action(self) -> Result<Action, ActionError> {
        let Some((verb, contexts)) = self.verb else {
            return Err(ActionError::Missing { field: "enable, disable or stop" });
        };
        let target = match (self.route, self.group, contexts.as_str()) {
            (Some(_), Some(_), _) => return Err(ActionError::Surplus { field: "group" }),
            (None, None, _) => return Err(ActionError::Missing { field: "route" }),
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
        Ok(Action { verb, target })
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

fn shortened(text: &str) -> String {
    crate::text::cut(text).unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn csrf() -> Csrf {
        Csrf::new([9; crate::csrf::KEY_BYTES])
    }

    fn parse(form: &str) -> Result<Action, ActionError> {
        Action::parse(format!("token={}&{form}", csrf().token()).as_bytes(), &csrf())
    }

    #[test]
    fn a_verb_is_for_a_context_a_node_or_a_group() {
        assert_eq!(
            parse("route=n1&alias=h&alias=www.h&stop=%2Fshop").unwrap(),
            Action {
                verb: Verb::Stop,
                target: Target::Context {
                    route: "n1".into(),
                    aliases: vec!["h".into(), "www.h".into()],
                    path: "/shop".into(),
                },
            }
        );
        assert_eq!(
            parse("route=n1&enable=*").unwrap(),
            Action { verb: Verb::Enable, target: Target::Node("n1".into()) }
        );
        assert_eq!(
            parse("group=left+hand&disable=*").unwrap(),
            Action { verb: Verb::Disable, target: Target::Group(Some("left hand".into())) }
        );
        assert_eq!(
            parse("group=&disable=*").unwrap(),
            Action { verb: Verb::Disable, target: Target::Group(None) }
        );
    }

    #[test]
    fn a_form_without_our_token_is_forged() {
        for form in ["route=n&stop=*", "token=&route=n&stop=*", "token=00&route=n&stop=*"] {
            assert_eq!(Action::parse(form.as_bytes(), &csrf()), Err(ActionError::Forged), "{form}");
        }
    }

    #[test]
    fn a_bad_form_names_the_field() {
        for (form, error) in [
            ("", "the field enable, disable or stop is missing"),
            ("stop=*", "the field route is missing"),
            ("route=n", "the field enable, disable or stop is missing"),
            ("route=n&stop=/x", "the field alias is missing"),
            ("route=&stop=*", "route has the bad value \"\": it is empty"),
            ("route=n&stop", "stop has the bad value \"\": it is empty"),
            ("route=a&route=b&stop=*", "the field route is one too many"),
            ("route=a&group=b&stop=*", "the field group is one too many"),
            ("route=a&alias=h&stop=*", "the field alias is one too many"),
            ("route=a&stop=*&enable=*", "the field enable is one too many"),
            ("group=a&stop=/x", "stop has the bad value \"/x\": a verb for a group is for all: *"),
            ("route=a&remove=*", "\"remove\" is no field of this form"),
            ("route=%ff&stop=*", "route has the bad value \"%ff\": it is no UTF-8"),
        ] {
            assert_eq!(parse(form).unwrap_err().to_string(), error, "{form}");
        }
    }

    #[test]
    fn fields_and_values_are_bounded() {
        assert_eq!(parse(&"alias=h&".repeat(MAX_FIELDS)), Err(ActionError::TooMany));
        let error = parse(&format!("route={}&stop=*", "x".repeat(MAX_VALUE + 1))).unwrap_err();
        assert!(error.to_string().ends_with("it is too long"), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Action::parse(&bytes, &csrf());
        }

        #[test]
        fn names_come_back_as_they_were_written(
            route in "\\PC{1,64}", alias in "\\PC{1,64}", path in "/\\PC{0,64}",
        ) {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let form =
                format!("route={}&alias={}&stop={}", encode(&route), encode(&alias), encode(&path));
            let target = Target::Context { route, aliases: vec![alias], path };
            prop_assert_eq!(parse(&form).unwrap(), Action { verb: Verb::Stop, target });
        }
    }
}
