//! What INFO and DUMP share: the state of a context, and text that cannot forge a line.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::FromStr;

use quick_xml::escape::escape;

use crate::form::decode_text;

/// The state of a context as both reports show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContextStatus {
    /// It takes all requests.
    Enabled,
    /// It takes old sessions only.
    Disabled,
    /// It takes no requests.
    Stopped,
}

/// Why a text is no report: its first bad line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the report can't be read: {text:?}")]
pub struct ReportError {
    /// Counted from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

// === impl ContextStatus ===

impl ContextStatus {
    /// INFO's word.
    pub fn word(self) -> &'static str {
        match self {
            ContextStatus::Enabled => "ENABLED",
            ContextStatus::Disabled => "DISABLED",
            ContextStatus::Stopped => "STOPPED",
        }
    }

    /// DUMP's number.
    pub fn number(self) -> u8 {
        match self {
            ContextStatus::Enabled => 1,
            ContextStatus::Disabled => 2,
            ContextStatus::Stopped => 3,
        }
    }

    pub(super) fn from_word(word: &str) -> Option<ContextStatus> {
        ContextStatus::ALL.into_iter().find(|status| status.word() == word)
    }

    pub(super) fn from_number(number: u8) -> Option<ContextStatus> {
        ContextStatus::ALL.into_iter().find(|status| status.number() == number)
    }

    const ALL: [ContextStatus; 3] =
        [ContextStatus::Enabled, ContextStatus::Disabled, ContextStatus::Stopped];
}

// === text ===

/// A value for a comma-separated line: `%`, the comma and control characters are percent-encoded,
/// so that no name can end its field or its line. Ordinary names stay as they are.
pub(super) fn plain(value: &str) -> Cow<'_, str> {
    encode(value, &['%', ','])
}

/// A value for a field in brackets or between blanks.
pub(super) fn bracketed(value: &str) -> Cow<'_, str> {
    encode(value, &['%', ',', '[', ']', ' '])
}

fn encode<'v>(value: &'v str, special: &[char]) -> Cow<'v, str> {
    let is_special = |c: char| c.is_control() || special.contains(&c);
    if !value.contains(is_special) {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match is_special(c) {
            true => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| {
                write!(text, "%{byte:02X}").expect("a String takes any text");
            }),
            false => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// The value again. Other balancers encode nothing, so a stray `%` stands for itself.
pub(super) fn decoded(text: &str) -> String {
    decode_text(text.as_bytes()).unwrap_or_else(|| text.to_owned())
}

/// Reads a report line by line; lines of a kind that is not known are skipped.
pub(super) fn read_lines(
    text: &str,
    mut read: impl FnMut(&str) -> Option<()>,
) -> Result<(), ReportError> {
    for (at, line) in text.lines().enumerate() {
        read(line).ok_or_else(|| ReportError { line: at + 1, text: line.to_owned() })?;
    }
    Ok(())
}

/// Walks through one line, from marker to marker.
pub(super) struct Cursor<'t> {
    rest: &'t str,
}

// === impl Cursor ===

impl<'t> Cursor<'t> {
    pub(super) fn new(rest: &'t str) -> Cursor<'t> {
        Cursor { rest }
    }

    /// The text up to `end`, which is stepped over; without `end` in the rest, `None`.
    pub(super) fn until(&mut self, end: &str) -> Option<&'t str> {
        let (value, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(value)
    }

    /// The text up to `end` as a number.
    pub(super) fn number<T: FromStr>(&mut self, end: &str) -> Option<T> {
        self.until(end)?.trim().parse().ok()
    }

    /// What is left.
    pub(super) fn last(self) -> &'t str {
        self.rest
    }
}

// === XML ===

pub(super) const XML_HEAD: &str = "<?xml version=\"1.0\" standalone=\"yes\" ?>\n";

/// Adds `<name>value</name>`, escaped.
pub(super) fn element(xml: &mut String, name: &str, value: impl ToString) {
    let value = value.to_string();
    write!(xml, "<{name}>{}</{name}>", escape(value.as_str())).expect("a String takes any text");
}

/// A value for an attribute in double quotes.
pub(super) fn attribute(value: &str) -> Cow<'_, str> {
    escape(value)
}
