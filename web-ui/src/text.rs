//! Words for values, and names made harmless to look at.
//!
//! Escaping for HTML is the template's work. What it cannot see is text that is good HTML and
//! still lies: characters that turn the reading direction, or that show nothing at all.

use std::borrow::Cow;
use std::fmt::Write as _;

use askama::Template;
use askama::filters::HtmlSafe;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::page::{ContextState, Node};

/// Characters of a name that the page shows before it cuts; the whole name is in the title.
pub(crate) const SHOWN: usize = 64;

/// A value, or a reference to it: which of both a template hands on depends on where it had it.
pub(crate) trait Is<T> {
    /// The value.
    fn it(self) -> T;
}

impl<T: Copy> Is<T> for T {
    fn it(self) -> T {
        self
    }
}

impl<T: Copy> Is<T> for &T {
    fn it(self) -> T {
        *self
    }
}

impl<T: Copy> Is<T> for &&T {
    fn it(self) -> T {
        **self
    }
}

/// A name with every invisible or direction-turning character written as `\u{202e}`.
pub(crate) fn visible(name: &str) -> Cow<'_, str> {
    if !name.chars().any(is_deceptive) {
        return Cow::Borrowed(name);
    }
    let mut shown = String::with_capacity(name.len());
    for c in name.chars() {
        match is_deceptive(c) {
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The first [`SHOWN`] characters and an ellipsis, or `None` where the name is short enough.
pub(crate) fn cut(name: &str) -> Option<String> {
    let (end, _) = name.char_indices().nth(SHOWN)?;
    Some(format!("{}…", &name[..end]))
}

/// A name as the page shows it: apart from the direction of its neighbours, cut where it is
/// long, whole in its title then.
pub(crate) fn name(name: &str) -> Name<'_> {
    let whole = visible(name);
    Name { cut: cut(&whole), whole }
}

/// See [`name`].
#[derive(Template)]
#[template(
    source = r#"{% if let Some(cut) = cut %}<bdi title="{{ whole }}">{{ cut }}</bdi>{% else %}<bdi>{{ whole }}</bdi>{% endif %}"#,
    ext = "html"
)]
pub(crate) struct Name<'a> {
    whole: Cow<'a, str>,
    cut: Option<String>,
}

// Its own template has escaped it.
impl HtmlSafe for Name<'_> {}

/// A name within a sentence: visible, and cut.
pub(crate) fn plain(name: &str) -> String {
    let whole = visible(name);
    cut(&whole).unwrap_or_else(|| whole.into_owned())
}

/// Words of somebody else, at most 400 characters of them.
pub(crate) fn sentence(words: impl AsRef<str>) -> String {
    const MOST: usize = 400;
    let whole = visible(words.as_ref());
    match whole.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole.into_owned(),
    }
}

/// A value as a part of an address, every byte that could mean something else encoded.
pub(crate) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, &PART).to_string()
}

/// What stands for itself in an address: letters, digits and `-._~` (RFC 3986, 2.3).
const PART: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `1 node`, `3 nodes`.
pub(crate) fn many(number: impl Is<u64>, word: &str) -> String {
    let number = number.it();
    match number {
        1 => format!("1 {word}"),
        _ => format!("{} {word}s", count(number)),
    }
}

/// A rate with what an eye can use of it: `0`, `0.4`, `12`, `1 200`.
pub(crate) fn rate(per_second: impl Is<f64>) -> String {
    let per_second = per_second.it();
    match per_second {
        rate if rate.is_nan() || rate < 0.05 => "0".to_owned(),
        rate if rate < 9.95 => format!("{rate:.1}"),
        rate => count(rate.round() as u64),
    }
}

/// A short time: `0.4 ms`, `12 ms`, `1.3 s`.
pub(crate) fn short(seconds: impl Is<f64>) -> String {
    let seconds = seconds.it();
    match seconds * 1e3 {
        ms if ms < 9.95 => format!("{ms:.1} ms"),
        ms if ms < 999.5 => format!("{ms:.0} ms"),
        ms if ms < 99_500.0 => format!("{:.1} s", ms / 1e3),
        ms => span((ms / 1e3) as u64),
    }
}

/// A part of a hundred: `0 %`, `0.03 %`, `1.4 %`, `12 %`.
pub(crate) fn percent(percent: impl Is<f64>) -> String {
    let percent = percent.it();
    match percent {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.01 => "< 0.01 %".to_owned(),
        percent if percent < 0.995 => format!("{percent:.2} %"),
        percent if percent < 9.95 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

/// A setting that is on or off.
pub(crate) fn yes(on: &bool) -> &'static str {
    if *on { "yes" } else { "no" }
}

/// The contexts of a node in a line: `10 contexts: 8 enabled, 2 stopped`.
pub(crate) fn contexts(node: &Node) -> String {
    let states = [ContextState::Enabled, ContextState::Disabled, ContextState::Stopped];
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| (node.contexts_in(state), state.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match node.context_count() {
        0 => "no contexts".to_owned(),
        1 => format!("1 context: {}", parts.join(", ")),
        count => format!("{count} contexts: {}", parts.join(", ")),
    }
}

/// A span of time in its two largest units: `3 h 12 min`.
pub(crate) fn span(seconds: impl Is<u64>) -> String {
    let seconds = seconds.it();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// Bytes with three digits and a decimal unit: `1.25 MB`.
pub(crate) fn bytes(bytes: impl Is<u64>) -> String {
    let bytes = bytes.it();
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64 / 1e3;
    let mut unit = 0;
    // A value that would be rounded up to 1000 belongs to the next unit.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", units[unit])
}

/// A count with thin groups of three: `1 234 567`, with spaces that do not break.
pub(crate) fn count(number: impl Is<u64>) -> String {
    let number = number.it();
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        // Writing to a String never fails.
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_hide_or_turn_the_text_are_written_out() {
        assert_eq!(visible("shop"), "shop");
        assert_eq!(visible("a\u{202e}b"), r"a\u{202e}b");
        assert_eq!(visible("a\u{2069}b\u{200b}"), r"a\u{2069}b\u{200b}");
        assert_eq!(visible("a\nb\0"), r"a\u{a}b\u{0}");
        assert_eq!(visible("שלום"), "שלום");
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(SHOWN)), None);
        assert_eq!(cut(&"ü".repeat(SHOWN + 1)), Some("ü".repeat(SHOWN) + "…"));
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(61), "1 min 1 s");
        assert_eq!(span(11_520), "3 h 12 min");
        assert_eq!(span(90_000), "1 d 1 h");
        assert_eq!(span(u64::MAX), "213503982334601 d 7 h");
    }

    #[test]
    fn bytes_have_three_digits() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_000), "1.00 kB");
        assert_eq!(bytes(12_345), "12.3 kB");
        assert_eq!(bytes(123_456), "123 kB");
        assert_eq!(bytes(999_600), "1.00 MB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn rates_times_and_parts_have_what_an_eye_can_use() {
        let rates = [f64::NAN, 0.0, 0.04, 0.44, 9.96, 1_234.4].map(rate);
        assert_eq!(rates, ["0", "0", "0", "0.4", "10", "1\u{202f}234"]);
        assert_eq!(
            [0.0004, 0.0123, 1.34, 300.0].map(short),
            ["0.4 ms", "12 ms", "1.3 s", "5 min 0 s"]
        );
        let parts = [0.0, 0.001, 0.034, 1.44, 12.3].map(percent);
        assert_eq!(parts, ["0 %", "< 0.01 %", "0.03 %", "1.4 %", "12 %"]);
        assert_eq!(many(1, "node") + &many(0, "node"), "1 node0 nodes");
    }

    #[test]
    fn a_part_of_an_address_is_encoded() {
        assert_eq!(encoded("a-b._~c/d?e=f&g h\u{202e}"), "a-b._~c%2Fd%3Fe%3Df%26g%20h%E2%80%AE");
    }

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(count(123), "123");
    }
}
