//! docs/configuration.md and muster.schema.json: written from the configuration's own code, and
//! held equal to it. To write them anew:
//! `UPDATE_EXPECT=1 cargo test -p muster-balancer --test config reference`

mod code;
mod page;
mod schema;

use std::collections::BTreeSet;

use expect_test::expect_file;
use muster_balancer::config::Config;

use super::{FULL, faults, good};
use code::{Key, Section, sections};

/// What holds of the machine that the tests run on, and of no other.
const OF_THE_MACHINE: [(&str, &str); 1] = [("threads", "as many as the machine has cores")];

#[test]
fn the_page_says_what_the_code_does() {
    expect_file!["../../../docs/configuration.md"].assert_eq(&page::page(&sections(), &defaults()));
}

#[test]
fn the_schema_says_what_the_code_does() {
    expect_file!["../../muster.schema.json"].assert_eq(&schema::schema(&sections()));
}

#[test]
fn every_key_has_its_meaning_and_its_default() {
    let silent = |section: &Section, key: &Key| {
        let meaning = key.meaning.to_lowercase();
        let is_told = ["default", "mandatory"].iter().any(|word| meaning.contains(word));
        (!is_told).then(|| section.path_of(&key.name))
    };
    let silent: Vec<String> = sections()
        .iter()
        .flat_map(|section| section.keys.iter().filter_map(|key| silent(section, key)))
        .collect();
    assert_eq!(silent, [""; 0], "their doc comments must say what they mean, with the default");
}

#[test]
fn every_key_that_is_read_is_documented_and_no_other() {
    let all = sections();
    for section in &all {
        let mut known: BTreeSet<String> = known_keys(section).into_iter().collect();
        for part in all.iter().filter(|part| part.parent() == Some(&section.path)) {
            known.remove(part.path.rsplit('.').next().unwrap());
        }
        let told: BTreeSet<String> = section.keys.iter().map(|key| key.name.clone()).collect();
        assert_eq!(told, known, "[{}]: documented, and read", section.path);
    }
}

#[test]
fn every_key_of_a_full_file_is_documented() {
    let document: toml::Table = FULL.parse().unwrap();
    let mut used = BTreeSet::new();
    gather("", &document, &mut used);
    let all = sections();
    let told: BTreeSet<String> = all
        .iter()
        .flat_map(|section| section.keys.iter().map(|key| section.path_of(&key.name)))
        .collect();
    let unknown: Vec<_> = used.difference(&told).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn no_secret_is_ever_shown() {
    const PLANTED: &str = "a-planted-secret-of-32-characters";
    let secrets = sections();
    let secrets = secrets.iter().flat_map(|section| &section.keys);
    let names: Vec<&str> =
        secrets.filter(|key| key.kind.is_secret()).map(|key| key.name.as_str()).collect();
    assert!(names.contains(&"security_key") && names.contains(&"secret"), "{names:?}");
    let config = good(&FULL.replace("********", PLANTED));
    for shown in [config.to_toml(), format!("{config:?}")] {
        assert!(!shown.contains(PLANTED), "{shown}");
    }
}

/// The keys that the reader of a section knows, as its complaint about another one tells.
fn known_keys(section: &Section) -> Vec<String> {
    let head = section.head();
    let text = format!("{}\nno_such_key = 1\n", if head.is_empty() { "" } else { &head });
    let all = faults(&text);
    let told = all.iter().find_map(|fault| fault.split_once("unknown key; known are "));
    let (_, known) = told.unwrap_or_else(|| panic!("{text}: {all:?}"));
    known.split(", ").map(str::to_owned).collect()
}

fn gather(path: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (name, value) in table {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            toml::Value::Table(table) => gather(&path, table, into),
            toml::Value::Array(all) if all.iter().any(toml::Value::is_table) => {
                all.iter().filter_map(toml::Value::as_table).for_each(|t| gather(&path, t, into));
            }
            _ => {
                into.insert(path);
            }
        }
    }
}

/// The defaults, as a file would say them.
fn defaults() -> toml::Table {
    let mut table: toml::Table = Config::default().to_toml().parse().unwrap();
    for (key, words) in OF_THE_MACHINE {
        table.insert(key.to_owned(), toml::Value::String(format!("\u{0}{words}")));
    }
    table
}
