//! The page for people.

use super::code::{Key, Kind, Section};

const HEAD: &str = "# Configuration
<!-- Written by `UPDATE_EXPECT=1 cargo test -p muster-balancer --test config reference` from the doc
     comments in balancer/src/config; a test holds it equal. -->
One TOML file, `muster run -c FILE`; every key has a default, so that an empty file, or none, is good
and listens on loopback only. `muster check FILE` names all faults of a file with line and key,
`muster config show -c FILE` prints what is in effect (secrets masked), and `muster config schema`
prints this page as a JSON schema, for editors. `balancer/muster.toml` has every key at its default.

- **duration**: text such as `\"10s\"`, `\"250ms\"`, `\"1m 30s\"`, `\"365days\"`.
- **size**: bytes as a number, or text with a unit: `\"64KiB\"`, `\"10MiB\"`.
- **ip:port**: `\"127.0.0.1:8000\"`, `\"[::1]:8000\"`; a listener's port 0 takes a free one.
- **network**: `\"10.0.0.0/8\"`, or one address.
- **secret**: text that is never shown, neither by `config show` nor in a log.
";

/// The whole page.
pub(crate) fn page(sections: &[Section], defaults: &toml::Table) -> String {
    let mut page = HEAD.to_owned();
    for section in sections.iter().filter(|section| has_something(section)) {
        page += "\n## ";
        page += &match section.head().as_str() {
            "" => "Outside of any section".to_owned(),
            head => format!("`{head}`"),
        };
        page += "\n";
        page += &about(section);
        if section.keys.is_empty() {
            continue;
        }
        page += match section.is_array {
            true => "\n| key | type | meaning |\n|---|---|---|\n",
            false => "\n| key | type | default | meaning |\n|---|---|---|---|\n",
        };
        for key in &section.keys {
            page += &row(section, key, defaults);
        }
    }
    page
}

/// What holds parts only has no part of its own on the page.
fn has_something(section: &Section) -> bool {
    !section.keys.is_empty()
}

/// What the section is, without its own name before it.
fn about(section: &Section) -> String {
    if section.path.is_empty() {
        return String::new();
    }
    let head = format!("`{}`", section.head());
    let text = section.meaning.strip_prefix(&head).unwrap_or(&section.meaning);
    let text = text.trim_start_matches([':', '.', ',']).trim();
    let mut letters = text.chars();
    let text: String = letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default();
    if text.is_empty() { text } else { format!("{text}\n") }
}

fn row(section: &Section, key: &Key, defaults: &toml::Table) -> String {
    let meaning = key.meaning.replace('|', "\\|").replace('\n', " ");
    let (name, kind) = (&key.name, kind(&key.kind));
    match section.is_array {
        true => format!("| `{name}` | {kind} | {meaning} |\n"),
        false => {
            let default = default(section, key, defaults);
            format!("| `{name}` | {kind} | {default} | {meaning} |\n")
        }
    }
}

pub(crate) fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Flag => "`true`, `false`".to_owned(),
        Kind::Whole | Kind::Number => "number".to_owned(),
        Kind::Duration => "duration".to_owned(),
        Kind::Size { may_be_none: false } => "size".to_owned(),
        Kind::Size { may_be_none: true } => "size, `\"none\"`".to_owned(),
        Kind::Text(word) => (*word).to_owned(),
        Kind::Words(words) => {
            words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
        }
        Kind::List(of) => format!("list of {}", self::kind(of)),
    }
}

/// What the code has where the file says nothing.
fn default(section: &Section, key: &Key, defaults: &toml::Table) -> String {
    let mut table = Some(defaults);
    for part in section.path.split('.').filter(|part| !part.is_empty()) {
        table = table.and_then(|table| table.get(part)).and_then(toml::Value::as_table);
    }
    match table.and_then(|table| table.get(&key.name)) {
        None => "none".to_owned(),
        Some(toml::Value::String(text)) if text.starts_with('\0') => text[1..].to_owned(),
        Some(value) => format!("`{value}`"),
    }
}
