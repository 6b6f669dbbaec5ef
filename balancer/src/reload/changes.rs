//! Which keys of the configuration differ, and which of them only a new process can take up.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::config::Config;

/// Keys whose change waits for an upgrade or a restart, with everything below them.
///
/// * `threads`: a worker's sockets and connections are its own to the end.
/// * `mcmp.use_alias`: the whole table is built by it.
/// * `log.audit`, `log.audit_entries`: who writes down what happens knows them from the start.
/// * `trace`: one queue to one collector.
const WAITS: [&str; 5] = ["threads", "mcmp.use_alias", "log.audit", "log.audit_entries", "trace"];

/// The keys that differ, each with its section: `http.idle_timeout`. Lists count as one key.
pub(super) fn changed(old: &Config, new: &Config) -> Vec<String> {
    let table = |config: &Config| config.to_toml().parse::<Table>().unwrap_or_default();
    let mut keys = BTreeSet::new();
    compare("", &table(old), &table(new), &mut keys);
    keys.into_iter().collect()
}

/// Parts them into what is changed now, and what waits.
pub(super) fn part(keys: Vec<String>) -> (Vec<String>, Vec<String>) {
    keys.into_iter().partition(|key| !waits(key))
}

fn waits(key: &str) -> bool {
    WAITS.iter().any(|waits| {
        key.strip_prefix(waits).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn compare(section: &str, old: &Table, new: &Table, keys: &mut BTreeSet<String>) {
    for name in old.keys().chain(new.keys()) {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match (old.get(name), new.get(name)) {
            (Some(Value::Table(old)), Some(Value::Table(new))) => compare(&key, old, new, keys),
            (old, new) if old == new => {}
            _ => drop(keys.insert(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "test").unwrap()
    }

    #[test]
    fn the_keys_that_differ_are_named_and_no_others() {
        let old = config("threads = 2\n[http]\nidle_timeout = \"60s\"\n[mcmp]\nuse_alias = false");
        assert_eq!(changed(&old, &old), Vec::<String>::new());
        let new = config(
            "threads = 3\n[http]\nidle_timeout = \"5s\"\n[mcmp]\nuse_alias = true\n\
             [[node]]\nroute = \"a\"\nurl = \"http://127.0.0.1:1\"\n",
        );
        let keys = changed(&old, &new);
        assert_eq!(keys, ["http.idle_timeout", "mcmp.use_alias", "node", "threads"]);
        let (now, later) = part(keys);
        assert_eq!(now, ["http.idle_timeout", "node"]);
        assert_eq!(later, ["mcmp.use_alias", "threads"]);
    }
}
