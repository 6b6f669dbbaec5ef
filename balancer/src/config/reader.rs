//! How a section is read: each key is taken once with its type, default and bounds, a bad value
//! leaves a fault and the default, and what was not taken is an unknown key.
//!
//! The document is walked with its spans rather than deserialized, since a deserializer stops at
//! the first fault and the user wants to see all of them.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Fault;

/// The text under reading, its faults so far, and where each key stands.
pub(super) struct Source<'t> {
    name: &'t str,
    /// Where each line but the first begins.
    breaks: Vec<usize>,
    pub(super) faults: Vec<Fault>,
    lines: HashMap<String, usize>,
}

/// One table of the document, or its absence.
pub(super) struct Section<'s, 't> {
    source: &'s mut Source<'t>,
    table: Option<&'s DeTable<'t>>,
    path: String,
    taken: Vec<&'static str>,
}

// === impl Source ===

impl<'t> Source<'t> {
    pub(super) fn new(name: &'t str, text: &str) -> Source<'t> {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1).collect();
        Source { name, breaks, faults: Vec::new(), lines: HashMap::new() }
    }

    pub(super) fn fault(&mut self, span: Range<usize>, key: &str, message: impl Display) {
        let line = Some(self.line(span));
        self.faults.push(self.fault_at(line, key, message));
    }

    /// A fault of a key that was read before.
    pub(super) fn fault_at(&self, line: Option<usize>, key: &str, message: impl Display) -> Fault {
        let (file, key) = (self.name.to_owned(), key.to_owned());
        Fault { file, line, key, message: message.to_string() }
    }

    /// Where a key stands, such as `http.listen`, or an element, such as `http.listen[1]`.
    pub(super) fn line_of(&self, key: &str) -> Option<usize> {
        self.lines.get(key).copied()
    }

    fn line(&self, span: Range<usize>) -> usize {
        self.breaks.partition_point(|&start| start <= span.start) + 1
    }

    fn remember(&mut self, key: String, span: Range<usize>) {
        let line = self.line(span);
        self.lines.insert(key, line);
    }
}

// === impl Section ===

impl<'s, 't> Section<'s, 't> {
    /// The document itself.
    pub(super) fn root(source: &'s mut Source<'t>, table: &'s DeTable<'t>) -> Section<'s, 't> {
        Section { source, table: Some(table), path: String::new(), taken: Vec::new() }
    }

    /// Reads the section of that name; without it, `read` meets defaults only.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let table = self.take(name).and_then(|value| self.table_of(name, value));
        let path = self.key(name);
        Self::inside(self.source, table, path, read)
    }

    /// Reads each table of an array of tables.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        most: usize,
        mut read: impl FnMut(&mut Section<'_, 't>) -> Option<T>,
    ) -> Vec<T> {
        let Some(value) = self.take(name) else { return Vec::new() };
        let key = self.key(name);
        let Some(array) = value.get_ref().as_array() else {
            self.source.fault(value.span(), &key, format!("it is to be written [[{key}]]"));
            return Vec::new();
        };
        if array.len() > most {
            let message = format!("there are {} of them, the limit is {most}", array.len());
            self.source.fault(value.span(), &key, message);
        }
        let mut all = Vec::new();
        for (at, value) in array.iter().take(most).enumerate() {
            let Some(table) = self.table_of(name, value) else { continue };
            let path = format!("{key}[{at}]");
            self.source.remember(path.clone(), value.span());
            all.extend(Self::inside(self.source, Some(table), path, &mut read));
        }
        all
    }

    fn inside<T>(
        source: &mut Source<'t>,
        table: Option<&DeTable<'t>>,
        path: String,
        read: impl FnOnce(&mut Section<'_, 't>) -> T,
    ) -> T {
        let mut section = Section { source, table, path, taken: Vec::new() };
        let value = read(&mut section);
        section.refuse_the_rest();
        value
    }

    fn table_of(&mut self, name: &str, value: &'s Spanned<DeValue<'t>>) -> Option<&'s DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let key = self.key(name);
            let message = format!("{} is no section", shown(value.get_ref()));
            self.source.fault(value.span(), &key, message);
        }
        table
    }

    /// Each key that was not taken is a fault. Sections call it by themselves.
    pub(super) fn refuse_the_rest(&mut self) {
        let Some(table) = self.table else { return };
        for (name, _) in table.iter().filter(|(name, _)| !self.taken.contains(&&**name.get_ref())) {
            let key = self.key(name.get_ref());
            let message = format!("unknown key; known are {}", self.taken.join(", "));
            self.source.fault(name.span(), &key, message);
        }
    }

    /// A value, or its default where it is absent or at fault.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        self.maybe(name, read).unwrap_or(default)
    }

    /// A value, or `None` where it is absent or at fault.
    pub(super) fn maybe<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let result = read(value.get_ref());
        let fault = |message| {
            let key = self.key(name);
            self.source.fault(value.span(), &key, message);
        };
        result.map_err(fault).ok()
    }

    /// A value that must be there.
    pub(super) fn mandatory<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> Option<T> {
        if self.has(name) {
            return self.maybe(name, read);
        }
        self.taken.push(name);
        self.fault(name, "it is missing");
        None
    }

    /// A fault of a key of this section, whether the key stands there or not.
    pub(super) fn fault(&mut self, name: &str, message: impl Display) {
        let key = self.key(name);
        let line = self.source.line_of(&key).or_else(|| self.source.line_of(&self.path));
        let fault = self.source.fault_at(line, &key, message);
        self.source.faults.push(fault);
    }

    /// A list of texts; each bad element is a fault of its own, on its own line.
    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        default: Vec<T>,
        bounds: RangeInclusive<usize>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.take(name) else { return default };
        let key = self.key(name);
        let Some(array) = value.get_ref().as_array() else {
            let message = format!("{} is no list", shown(value.get_ref()));
            self.source.fault(value.span(), &key, message);
            return default;
        };
        if !bounds.contains(&array.len()) {
            let (low, high) = (bounds.start(), bounds.end());
            let message = format!("{} values are out of bounds: {low} to {high}", array.len());
            self.source.fault(value.span(), &key, message);
            return default;
        }
        let mut all = Vec::new();
        for (at, element) in array.iter().enumerate() {
            self.source.remember(format!("{key}[{at}]"), element.span());
            match text(element.get_ref()).and_then(&read) {
                Ok(value) => all.push(value),
                Err(message) => self.source.fault(element.span(), &key, message),
            }
        }
        all
    }

    /// Whether the key stands there, good or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    fn take(&mut self, name: &'static str) -> Option<&'s Spanned<DeValue<'t>>> {
        self.taken.push(name);
        let value = self.table?.get(name)?;
        let key = self.key(name);
        self.source.remember(key, value.span());
        Some(value)
    }

    fn key(&self, name: &str) -> String {
        match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        }
    }
}

// === values ===

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Any text.
pub(super) fn text<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("{} is no text", shown(value)))
}

/// A text that some type reads.
pub(super) fn parsed<T: std::str::FromStr>(value: &DeValue<'_>) -> Result<T, String>
where
    T::Err: Display,
{
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// `true` or `false`.
pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{} is neither true nor false", shown(value)))
}

/// A duration as text, such as `"10s"` or `"1m 30s"`.
pub(super) fn duration(
    bounds: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Duration, String> {
    move |value| {
        let duration = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        let duration =
            duration.ok_or_else(|| format!("{} is no duration (\"10s\")", shown(value)))?;
        within(duration, &bounds, |duration| humantime::format_duration(*duration).to_string())
    }
}

/// A whole number.
pub(super) fn count(
    bounds: RangeInclusive<usize>,
) -> impl Fn(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let count = integer(value).ok_or_else(|| format!("{} is no count", shown(value)))?;
        within(count, &bounds, usize::to_string)
    }
}

/// Bytes: a whole number, or text with one of the units B, KiB, MiB, GiB.
pub(super) fn bytes(
    bounds: RangeInclusive<usize>,
) -> impl Fn(&DeValue<'_>) -> Result<usize, String> {
    move |value| {
        let size = integer(value).or_else(|| value.as_str().and_then(parse_bytes));
        let size = size.ok_or_else(|| format!("{} is no size (\"64KiB\")", shown(value)))?;
        within(size, &bounds, |size| format_bytes(*size))
    }
}

/// A number that may have a fraction.
pub(super) fn number(bounds: RangeInclusive<f64>) -> impl Fn(&DeValue<'_>) -> Result<f64, String> {
    move |value| {
        let written = match value {
            DeValue::Integer(number) => number.to_string().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let number: f64 = written.ok_or_else(|| format!("{} is no number", shown(value)))?;
        within(number, &bounds, f64::to_string)
    }
}

fn integer(value: &DeValue<'_>) -> Option<usize> {
    let number = value.as_integer()?;
    usize::from_str_radix(number.as_str(), number.radix()).ok()
}

fn within<T: PartialOrd>(
    value: T,
    bounds: &RangeInclusive<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (show(bounds.start()), show(bounds.end()));
    Err(format!("{} is out of bounds: {low} to {high}", show(&value)))
}

const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

fn parse_bytes(text: &str) -> Option<usize> {
    let unit = |(word, size)| Some((text.strip_suffix(word)?, size));
    let (number, size) = UNITS.into_iter().find_map(unit)?;
    number.trim().parse::<usize>().ok()?.checked_mul(size)
}

/// Bytes in the largest unit that has no fraction.
pub(super) fn format_bytes(size: usize) -> String {
    let (word, unit) = UNITS
        .into_iter()
        .find(|(_, unit)| size >= *unit && size.is_multiple_of(*unit))
        .unwrap_or(("B", 1));
    format!("{}{word}", size / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_they_are_shown() {
        for (size, text) in
            [(0, "0B"), (1, "1B"), (1024, "1KiB"), (1536, "1536B"), (3 << 20, "3MiB")]
        {
            assert_eq!(format_bytes(size), text);
            assert_eq!(parse_bytes(text), Some(size));
        }
        for bad in ["", "KiB", "-1B", "1kb", "1.5MiB", "99999999999GiB"] {
            assert_eq!(parse_bytes(bad), None, "{bad}");
        }
    }
}
