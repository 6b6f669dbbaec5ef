//! Which settings there are, and which values each may have. Whoever uses a setting registers it;
//! what is not registered cannot be set, and a value out of its bounds neither.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;
use thiserror::Error;

/// Bytes of a key at most.
pub const MOST_KEY: usize = 128;
/// Bytes of a value at most.
pub const MOST_VALUE: usize = 512;

/// A setting that some part of a member uses.
///
/// ```
/// use muster_agent::settings::Setting;
/// let quorum = Setting::whole("singleton.policies.*.quorum", 1..=1000)
///     .default("1")
///     .about("candidates that must be there before an election");
/// assert_eq!(quorum.bound(), "a whole number from 1 to 1000");
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Setting {
    pattern: &'static str,
    form: Form,
    default: Option<&'static str>,
    about: &'static str,
}

/// Which values a setting may have.
#[derive(Clone)]
enum Form {
    Whole(RangeInclusive<i64>),
    Time(RangeInclusive<Duration>),
    Switch,
    Choice(&'static [&'static str]),
    Checked { bound: &'static str, check: fn(&str) -> bool },
}

/// A value that is in its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Whole(i64),
    /// A time.
    Time(Duration),
    /// On or off.
    Switch(bool),
    /// A word or text in a form of its own.
    Text(String),
}

/// Why a setting is not what somebody wants it to be. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// No part of this member uses such a setting.
    #[error("this member knows no setting {0:?}: see muster cluster list for those that there are")]
    Unknown(String),
    /// It is no name of a setting.
    #[error("{key:?} is no name of a setting: {why}")]
    BadKey {
        /// What was asked for.
        key: String,
        /// What would be right.
        why: &'static str,
    },
    /// The value is out of bounds.
    #[error("{key} has the bad value {value:?}: {bound} is possible")]
    BadValue {
        /// Of which setting.
        key: String,
        /// The value.
        value: String,
        /// What is possible.
        bound: String,
    },
    /// Somebody has changed the settings meanwhile.
    #[error("the settings have version {present} by now, not {asked}: look again")]
    Version {
        /// The version that they should have.
        asked: u64,
        /// The version that they have.
        present: u64,
    },
    /// It is at its default.
    #[error("{0} is not set")]
    NotSet(String),
    /// As many are set as may be.
    #[error("{0} settings are set, and no more are possible")]
    Full(usize),
}

/// Two parts register one setting, or one is no setting at all.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the setting {pattern:?} cannot be registered: {why}")]
pub struct BadSetting {
    pattern: &'static str,
    why: String,
}

/// The settings that this member knows.
#[derive(Debug, Clone, Default)]
pub(super) struct Schema {
    settings: BTreeMap<&'static str, Setting>,
}

// === impl Setting ===

impl Setting {
    fn new(pattern: &'static str, form: Form) -> Self {
        Self { pattern, form, default: None, about: "" }
    }

    /// A whole number. In the key `*` stands for one name.
    pub fn whole(pattern: &'static str, bounds: RangeInclusive<i64>) -> Self {
        Self::new(pattern, Form::Whole(bounds))
    }

    /// A time such as `10s`, `1m 30s` or `500ms`.
    pub fn time(pattern: &'static str, bounds: RangeInclusive<Duration>) -> Self {
        Self::new(pattern, Form::Time(bounds))
    }

    /// `true` or `false`.
    pub fn switch(pattern: &'static str) -> Self {
        Self::new(pattern, Form::Switch)
    }

    /// One of some words.
    pub fn choice(pattern: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(pattern, Form::Choice(words))
    }

    /// Text that `check` takes; `bound` says in words what that is.
    pub fn checked(pattern: &'static str, bound: &'static str, check: fn(&str) -> bool) -> Self {
        Self::new(pattern, Form::Checked { bound, check })
    }

    /// What counts where it is not set. Default: nothing.
    pub fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// What it is for, in some words.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// Its key, in which `*` stands for a name.
    #[must_use]
    pub fn pattern(&self) -> &'static str {
        self.pattern
    }

    /// Which values are possible, in words.
    #[must_use]
    pub fn bound(&self) -> String {
        match &self.form {
            Form::Whole(bounds) => {
                format!("a whole number from {} to {}", bounds.start(), bounds.end())
            }
            Form::Time(bounds) => {
                format!("a time from {:?} to {:?}, such as 10s", bounds.start(), bounds.end())
            }
            Form::Switch => "true or false".to_owned(),
            Form::Choice(words) => format!("one of {}", words.join(", ")),
            Form::Checked { bound, .. } => (*bound).to_owned(),
        }
    }

    pub(super) fn default_text(&self) -> Option<&'static str> {
        self.default
    }

    pub(super) fn about_text(&self) -> &'static str {
        self.about
    }

    /// The value of a key of this setting.
    pub(super) fn read(&self, key: &str, text: &str) -> Result<Value, Refused> {
        self.parse(text).ok_or_else(|| Refused::BadValue {
            key: key.to_owned(),
            value: text.chars().take(MOST_VALUE).collect(),
            bound: self.bound(),
        })
    }

    fn parse(&self, text: &str) -> Option<Value> {
        if text.len() > MOST_VALUE {
            return None;
        }
        match &self.form {
            Form::Whole(bounds) => {
                let value = text.parse().ok()?;
                bounds.contains(&value).then_some(Value::Whole(value))
            }
            Form::Time(bounds) => {
                let value = text.parse::<SignedDuration>().ok()?.try_into().ok()?;
                bounds.contains(&value).then_some(Value::Time(value))
            }
            Form::Switch => text.parse().ok().map(Value::Switch),
            Form::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Form::Checked { check, .. } => check(text).then(|| Value::Text(text.to_owned())),
        }
    }

    fn is_of(&self, key: &str) -> bool {
        let mut names = key.split('.');
        let fits = |part: &str| names.next().is_some_and(|name| part == "*" || part == name);
        self.pattern.split('.').all(fits) && names.next().is_none()
    }
}

// === impl Schema ===

impl Schema {
    /// One more setting. The same once more changes nothing.
    pub(super) fn register(&mut self, setting: Setting) -> Result<(), BadSetting> {
        let pattern = setting.pattern;
        let bad = |why| BadSetting { pattern, why };
        check_key(&pattern.replace('*', "x")).map_err(|why| bad(why.to_owned()))?;
        if let Some(default) = setting.default {
            setting.read(pattern, default).map_err(|error| bad(error.to_string()))?;
        }
        match self.settings.get(pattern) {
            Some(present) if present.bound() != setting.bound() => {
                Err(bad(format!("it is there already: {}", present.bound())))
            }
            Some(_) => Ok(()),
            None => {
                self.settings.insert(pattern, setting);
                Ok(())
            }
        }
    }

    /// The setting that a key is of: one without `*` before one with.
    pub(super) fn find(&self, key: &str) -> Option<&Setting> {
        let exact = self.settings.get(key);
        exact.or_else(|| self.settings.values().find(|setting| setting.is_of(key)))
    }

    /// The value of a key, if it may have it.
    pub(super) fn read(&self, key: &str, text: &str) -> Result<Value, Refused> {
        check_key(key).map_err(|why| Refused::BadKey { key: shortened(key), why })?;
        let setting = self.find(key).ok_or_else(|| Refused::Unknown(key.to_owned()))?;
        setting.read(key, text)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.settings.values()
    }
}

/// A key has two names or more of letters, digits, `-` and `_`, with dots between them.
fn check_key(key: &str) -> Result<(), &'static str> {
    let is_in_name = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
    let is_name = |name: &str| !name.is_empty() && name.chars().all(is_in_name);
    if key.len() > MOST_KEY {
        return Err("at most 128 bytes are possible");
    }
    match key.contains('.') && key.split('.').all(is_name) {
        true => Ok(()),
        false => Err("it is two names or more of letters, digits, - and _, with dots between"),
    }
}

fn shortened(key: &str) -> String {
    key.chars().take(MOST_KEY).collect()
}

// === impl Form, Value ===

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Form::Whole(bounds) => bounds.fmt(f),
            Form::Time(bounds) => bounds.fmt(f),
            Form::Switch => f.write_str("switch"),
            Form::Choice(words) => words.fmt(f),
            Form::Checked { bound, .. } => f.write_str(bound),
        }
    }
}

impl Value {
    /// The number, where it is one.
    #[must_use]
    pub fn whole(&self) -> Option<i64> {
        if let Value::Whole(value) = self { Some(*value) } else { None }
    }

    /// The time, where it is one.
    #[must_use]
    pub fn time(&self) -> Option<Duration> {
        if let Value::Time(value) = self { Some(*value) } else { None }
    }

    /// Whether it is on, where it is a switch.
    #[must_use]
    pub fn switch(&self) -> Option<bool> {
        if let Value::Switch(value) = self { Some(*value) } else { None }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(value) = self { Some(value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let mut schema = Schema::default();
        let second = Duration::from_secs(1)..=Duration::from_secs(60);
        for setting in [
            Setting::whole("policies.*.quorum", 1..=9).default("1"),
            Setting::time("policies.*.wait", second),
            Setting::switch("jobs.*.paused").default("false"),
            Setting::choice("policies.*.kind", &["simple", "random"]),
            Setting::checked("policies.default", "a name", |text| !text.is_empty()),
        ] {
            schema.register(setting).unwrap();
        }
        schema
    }

    #[test]
    fn a_value_in_its_bounds_is_read_as_what_it_is() {
        let schema = schema();
        assert_eq!(schema.read("policies.foo.quorum", "3"), Ok(Value::Whole(3)));
        let wait = Value::Time(Duration::from_millis(1500));
        assert_eq!(schema.read("policies.foo.wait", "1s 500ms"), Ok(wait));
        assert_eq!(schema.read("jobs.report.paused", "true"), Ok(Value::Switch(true)));
        let kind = Value::Text("random".to_owned());
        assert_eq!(schema.read("policies.foo.kind", "random"), Ok(kind));
        assert!(schema.read("policies.default", "foo").is_ok());
    }

    #[test]
    fn a_refusal_names_the_key_the_value_and_the_bound() {
        let schema = schema();
        let said = |key: &str, value: &str| schema.read(key, value).unwrap_err().to_string();
        assert_eq!(
            said("policies.foo.quorum", "12"),
            "policies.foo.quorum has the bad value \"12\": a whole number from 1 to 9 is possible"
        );
        assert_eq!(
            said("policies.foo.wait", "2 h"),
            "policies.foo.wait has the bad value \"2 h\": a time from 1s to 60s, such as 10s is \
             possible"
        );
        assert_eq!(
            said("policies.foo.kind", "best"),
            "policies.foo.kind has the bad value \"best\": one of simple, random is possible"
        );
        for bad in ["", "-1s", "many"] {
            assert!(schema.read("policies.foo.wait", bad).is_err(), "{bad}");
        }
        let long = "x".repeat(MOST_VALUE + 1);
        assert!(schema.read("policies.default", &long).is_err());
    }

    #[test]
    fn what_nobody_uses_is_no_setting_and_no_name_is_none() {
        let schema = schema();
        for unknown in ["policies.foo", "policies.foo.quorum.more", "other.quorum"] {
            let refused = schema.read(unknown, "1");
            assert_eq!(refused, Err(Refused::Unknown(unknown.to_owned())));
        }
        for bad in ["", "quorum", "policies..quorum", "policies.f o.quorum", "policies.ö.quorum"] {
            let refused = schema.read(bad, "1");
            assert!(matches!(refused, Err(Refused::BadKey { .. })), "{bad}: {refused:?}");
        }
    }

    #[test]
    fn one_setting_is_registered_in_one_way() {
        let mut schema = schema();
        let again = Setting::whole("policies.*.quorum", 1..=9);
        assert_eq!(schema.register(again), Ok(()));
        assert!(schema.register(Setting::whole("policies.*.quorum", 1..=10)).is_err());
        assert!(schema.register(Setting::whole("a.b", 1..=3).default("4")).is_err());
        assert!(schema.register(Setting::switch("short")).is_err());
    }
}
