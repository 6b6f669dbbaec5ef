//! The pairs of a body, and how a key is read as a checked value.

use std::collections::HashSet;
use std::hash::Hash;
use std::str::FromStr;

use super::{ParseError, syntax};
use crate::form;
use crate::names::NameError;

const CANT_PARSE: &str =
    "Can't parse MCMP message. It might have contained illegal symbols or unknown elements.";

/// The decoded pairs of one body.
pub(super) struct Fields {
    pairs: Vec<(String, String)>,
}

// === impl Fields ===

impl Fields {
    pub(super) fn read(body: &[u8]) -> Result<Fields, ParseError> {
        match form::decode(body) {
            Ok(pairs) => Ok(Fields { pairs }),
            Err(error) => syntax(format!("{CANT_PARSE} ({error})")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Fails unless there is a field: a real balancer answers an empty CONFIG so.
    pub(super) fn not_empty(&self) -> Result<(), ParseError> {
        match self.is_empty() {
            true => syntax(format!("{CANT_PARSE} (the body is empty)")),
            false => Ok(()),
        }
    }

    /// Fails at the first key that is none of these.
    pub(super) fn allow_only(&self, keys: &[&str]) -> Result<(), ParseError> {
        let known = |key: &str| keys.iter().any(|known| known.eq_ignore_ascii_case(key));
        match self.pairs.iter().find(|(key, _)| !known(key)) {
            Some((key, _)) => syntax(format!("Invalid field {key:?} in message")),
            None => Ok(()),
        }
    }

    /// The value of a key. A key that stands twice is refused: no one could say which counts.
    pub(super) fn one(&self, key: &str) -> Result<Option<&str>, ParseError> {
        let mut values = self.pairs.iter().filter(|(k, _)| k.eq_ignore_ascii_case(key));
        match (values.next(), values.next()) {
            (Some(_), Some(_)) => syntax(format!("{key} stands twice in message")),
            (first, _) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    /// A key as a checked name.
    pub(super) fn name<T: FromStr<Err = NameError>>(
        &self,
        key: &str,
    ) -> Result<Option<T>, ParseError> {
        self.one(key)?.map(|text| checked(key, text)).transpose()
    }

    /// A comma list; each value is checked by itself, and stands once. Empty without the key.
    pub(super) fn list<T>(&self, key: &str) -> Result<Vec<T>, ParseError>
    where
        T: FromStr<Err = NameError> + Clone + Eq + Hash,
    {
        let mut seen = HashSet::new();
        let mut list = Vec::new();
        for text in self.one(key)?.iter().flat_map(|value| value.split(',')) {
            let value: T = checked(key, text)?;
            if seen.insert(value.clone()) {
                list.push(value);
            }
        }
        Ok(list)
    }

    /// `Yes` or `On`, `No` or `Off`.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, ParseError> {
        let Some(text) = self.one(key)? else { return Ok(None) };
        match text.to_ascii_lowercase().as_str() {
            "yes" | "on" => Ok(Some(true)),
            "no" | "off" => Ok(Some(false)),
            _ => bad_value(key, text),
        }
    }

    /// A whole number up to 2^31 - 1. A negative one reads as if the key were absent, for that is
    /// how real balancers spell "not set".
    pub(super) fn number(&self, key: &str) -> Result<Option<u32>, ParseError> {
        let Some(text) = self.one(key)? else { return Ok(None) };
        match text.parse::<i32>() {
            Ok(number) => Ok(u32::try_from(number).ok()),
            Err(_) => bad_value(key, text),
        }
    }

    /// `Port`: 1 to 65535.
    pub(super) fn port(&self) -> Result<Option<u16>, ParseError> {
        let Some(text) = self.one("Port")? else { return Ok(None) };
        match text.parse() {
            Ok(0) => bad_value("Port", text),
            Ok(port) => Ok(Some(port)),
            Err(_) if text.len() >= 7 => too_big("Port", text.len(), 7),
            Err(_) => bad_value("Port", text),
        }
    }
}

/// A value as a checked name, with the key that it came from in the error.
fn checked<T: FromStr<Err = NameError>>(key: &str, text: &str) -> Result<T, ParseError> {
    text.parse().or_else(|error| match error {
        NameError::Empty { .. } => syntax(format!("{key} can't be empty")),
        NameError::TooBig { length, limit, .. } => too_big(key, length, limit),
        NameError::Bad { value, reason, .. } => {
            syntax(format!("{key} has the bad value {value:?}: {reason}"))
        }
    })
}

/// Real balancers say "LBGroup" for `Domain`, and do not name the two sticky fields.
pub(super) fn too_big<T>(key: &str, length: usize, limit: usize) -> Result<T, ParseError> {
    let most = limit - 1;
    match key {
        "Domain" => syntax(format!("LBGroup field too big: {length} bytes, the limit is {most}")),
        "StickySessionCookie" | "StickySessionPath" => {
            syntax(format!("A field is too big: {key}, {length} bytes, the limit is {most}"))
        }
        _ => syntax(format!("{key} field too big: {length} bytes, the limit is {most}")),
    }
}

/// Real balancers spell some keys otherwise in this message.
pub(super) fn bad_value<T>(key: &str, value: &str) -> Result<T, ParseError> {
    let shown = match key {
        "flushwait" => "Flushwait",
        "ping" => "Ping",
        "ttl" => "TTL",
        key => key,
    };
    syntax(format!("{shown} field has bad value {value:?}"))
}
