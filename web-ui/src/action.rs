//! What a button of the page asks for: the form's bytes in, a checked [`Action`] out.
//!
//! One form, `application/x-www-form-urlencoded`. The verb is the name of a field and its value
//! says which contexts: `disable=/shop` for one context of `route=..&alias=..`, `disable=*` for
//! all contexts of a `route=..` or of a `group=..` (an empty group is that of the nodes without
//! one). `disable=@node1` is short for `route=node1&disable=*`: one form for many nodes. A node can be drained too: `drain=*`, with `deadline=` seconds if it shall not take longer,
//! and `cancel=*`. `token=..` proves where the form came from; `confirmed=yes` says that its sender
//! has read what it does; `back=/..` is the page to come back to. The same form serves `curl`.

mod fields;

use crate::csrf::Csrf;
use crate::text;
use fields::Fields;

/// Most fields that a form may have.
pub const MAX_FIELDS: usize = 16;

/// Most bytes that a decoded value may have; longer than any name that a balancer takes.
pub const MAX_VALUE: usize = 1_024;

/// Longest deadline of a drain, in seconds: a week.
pub const MAX_DEADLINE_SECONDS: u64 = 7 * 86_400;

/// What came in: an action, and how its sender wants to be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// What is wanted.
    pub action: Action,
    /// Whether its consequences have been read.
    pub confirmed: bool,
    /// The page to come back to, a path of ours.
    pub back: String,
}

/// What an operator wants to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What happens.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// For [`Verb::Drain`]: when what is left is stopped, in seconds from now.
    pub deadline_seconds: Option<u64>,
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
    /// Old sessions only, and a stop once they are gone or the deadline is over.
    Drain,
    /// The end of a drain before its time; all requests again.
    Cancel,
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

// === impl Form ===

impl Form {
    /// Reads a form and checks that it is ours. Without `csrf` the sender has shown by other means
    /// that it is no foreign page. Never panics, whatever the bytes are.
    ///
    /// ```
    /// use muster_web_ui::action::{Action, Form, Target, Verb};
    /// use muster_web_ui::csrf::Csrf;
    /// let csrf = Csrf::new([7; 16]);
    /// let form = format!("token={}&route=node1&disable=*", csrf.token());
    /// let form = Form::parse(form.as_bytes(), Some(&csrf))?;
    /// assert_eq!(form.action, Action::new(Verb::Disable, Target::Node("node1".into())));
    /// # Ok::<(), muster_web_ui::action::ActionError>(())
    /// ```
    pub fn parse(form: &[u8], csrf: Option<&Csrf>) -> Result<Form, ActionError> {
        let fields = Fields::read(form)?;
        let token = fields.token().unwrap_or_default();
        if csrf.is_some_and(|csrf| !csrf.accepts(token)) {
            return Err(ActionError::Forged);
        }
        fields.form()
    }
}

// === impl Action ===

impl Action {
    /// A verb without a deadline.
    pub fn new(verb: Verb, target: Target) -> Action {
        Action { verb, target, deadline_seconds: None }
    }

    /// The form's fields for it, without token, as [`Form::parse`] reads them.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        let contexts = match &self.target {
            Target::Context { route, aliases, path } => {
                fields.push(("route", route.clone()));
                fields.extend(aliases.iter().map(|alias| ("alias", alias.clone())));
                path.clone()
            }
            Target::Node(route) => {
                fields.push(("route", route.clone()));
                "*".to_owned()
            }
            Target::Group(domain) => {
                fields.push(("group", domain.clone().unwrap_or_default()));
                "*".to_owned()
            }
        };
        fields.push((self.verb.word(), contexts));
        let deadline = self.deadline_seconds.map(|seconds| ("deadline", seconds.to_string()));
        fields.extend(deadline);
        fields
    }

    /// The same as a query.
    pub fn query(&self) -> String {
        let pair = |(name, value): (&str, String)| format!("{name}={}", text::encoded(&value));
        self.fields().into_iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

// === impl Verb ===

impl Verb {
    /// Those for any target.
    pub const ALL: [Verb; 3] = [Verb::Enable, Verb::Disable, Verb::Stop];

    /// Those that a form may have.
    const KNOWN: [Verb; 5] = [Verb::Enable, Verb::Disable, Verb::Stop, Verb::Drain, Verb::Cancel];

    /// The word of the form and of the audit log.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Enable => "enable",
            Verb::Disable => "disable",
            Verb::Stop => "stop",
            Verb::Drain => "drain",
            Verb::Cancel => "cancel",
        }
    }

    /// The word on a button.
    pub fn label(self) -> &'static str {
        match self {
            Verb::Enable => "Enable",
            Verb::Disable => "Disable",
            Verb::Stop => "Stop",
            Verb::Drain => "Drain",
            Verb::Cancel => "Cancel drain",
        }
    }

    /// What it does to requests and sessions, in a line.
    pub fn effect(self) -> &'static str {
        match self {
            Verb::Enable => "Takes all requests",
            Verb::Disable => "No new sessions; ongoing sessions stay",
            Verb::Stop => "No requests; sessions fail over unless sticky-session-force",
            Verb::Drain => "No new sessions; stopped once the old ones are gone or time is up",
            Verb::Cancel => "The drain ends; takes all requests again",
        }
    }
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
        whole(form).map(|form| form.action)
    }

    fn whole(form: &str) -> Result<Form, ActionError> {
        Form::parse(format!("token={}&{form}", csrf().token()).as_bytes(), Some(&csrf()))
    }

    #[test]
    fn a_verb_is_for_a_context_a_node_or_a_group() {
        assert_eq!(
            parse("route=n1&alias=h&alias=www.h&stop=%2Fshop").unwrap(),
            Action::new(
                Verb::Stop,
                Target::Context {
                    route: "n1".into(),
                    aliases: vec!["h".into(), "www.h".into()],
                    path: "/shop".into(),
                }
            )
        );
        assert_eq!(
            parse("route=n1&enable=*").unwrap(),
            Action::new(Verb::Enable, Target::Node("n1".into()))
        );
        assert_eq!(
            parse("enable=%40n1").unwrap(),
            Action::new(Verb::Enable, Target::Node("n1".into()))
        );
        assert_eq!(
            parse("group=left+hand&disable=*").unwrap(),
            Action::new(Verb::Disable, Target::Group(Some("left hand".into())))
        );
        assert_eq!(
            parse("group=&disable=*").unwrap(),
            Action::new(Verb::Disable, Target::Group(None))
        );
    }

    #[test]
    fn a_form_without_our_token_is_forged() {
        for form in ["route=n&stop=*", "token=&route=n&stop=*", "token=00&route=n&stop=*"] {
            assert_eq!(
                Form::parse(form.as_bytes(), Some(&csrf())),
                Err(ActionError::Forged),
                "{form}"
            );
        }
    }

    #[test]
    fn a_bad_form_names_the_field() {
        for (form, error) in [
            ("", "the field enable, disable, stop, drain or cancel is missing"),
            ("stop=*", "the field route is missing"),
            ("stop=@", "the field route is missing"),
            ("alias=h&stop=@n", "the field route is missing"),
            ("route=n", "the field enable, disable, stop, drain or cancel is missing"),
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
    fn a_drain_is_for_a_node_and_may_have_a_deadline() {
        let drain = |deadline_seconds| Action {
            verb: Verb::Drain,
            target: Target::Node("n1".into()),
            deadline_seconds,
        };
        assert_eq!(parse("route=n1&drain=*"), Ok(drain(None)));
        assert_eq!(parse("route=n1&drain=*&deadline="), Ok(drain(None)));
        assert_eq!(parse("route=n1&drain=*&deadline=300"), Ok(drain(Some(300))));
        for (form, error) in [
            ("group=g&drain=*", "drain has the bad value \"\": it is for a node: route and *"),
            ("route=n1&stop=*&deadline=9", "the field deadline is one too many"),
            (
                "route=n1&drain=*&deadline=0",
                "deadline has the bad value \"0\": it is no number of seconds, 1 to 604800",
            ),
        ] {
            assert_eq!(parse(form).unwrap_err().to_string(), error, "{form}");
        }
    }

    #[test]
    fn the_way_back_stays_with_us() {
        assert_eq!(whole("route=n&stop=*").map(|form| form.back), Ok("/".to_owned()));
        let form = whole("route=n&stop=*&confirmed=yes&back=%2Fnodes%2Fn%3Fwindow%3D1h").unwrap();
        assert_eq!((form.confirmed, form.back.as_str()), (true, "/nodes/n?window=1h"));
        for bad in ["%2F%2Fevil", "https:%2F%2Fevil", "%2F%5Cevil", "%2Fa%0D%0Ab", "x"] {
            let error = whole(&format!("route=n&stop=*&back={bad}")).unwrap_err().to_string();
            assert!(error.ends_with("it is no path of this listener"), "{error}");
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
            let _ = Form::parse(&bytes, Some(&csrf()));
            let _ = Form::parse(&bytes, None);
        }

        #[test]
        fn names_come_back_as_they_were_written(
            route in "\\PC{1,64}", alias in "\\PC{1,64}", path in "/\\PC{0,64}",
        ) {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let form =
                format!("route={}&alias={}&stop={}", encode(&route), encode(&alias), encode(&path));
            let target = Target::Context { route, aliases: vec![alias], path };
            let action = Action::new(Verb::Stop, target);
            prop_assert_eq!(parse(&form).unwrap(), action.clone());
            prop_assert_eq!(parse(&action.query()).unwrap(), action);
        }
    }
}
