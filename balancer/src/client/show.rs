//! Answers as tables for people. Names come from nodes: what could turn or clear a terminal is
//! written in escapes.

use serde_json::Value;

/// A column: its head, and where its value stands.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// Rows under their heads, each column as wide as its widest cell.
pub(super) fn table(columns: &[Column], rows: &[Value]) -> String {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let cells = |row: &Value| columns.iter().map(|(_, cell)| cell(row)).collect();
    let lines: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(cells)).collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let row = cells.collect::<Vec<_>>().join("  ");
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A value in words; `-` where there is none.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.fract() != 0.0 => format!("{number:.1}"),
            Some(_) | None => number.to_string(),
        },
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(","),
        Value::Object(_) => plain(&value.to_string()),
    }
}

/// Text that does nothing to a terminal.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter == ' ' || letter.is_ascii_graphic() || letter.is_alphanumeric() {
            true => out.push(letter),
            false => out.extend(letter.escape_unicode()),
        }
    }
    out
}

/// The nodes.
pub(super) const NODES: [Column; 9] = [
    ("NODE", |row| text(&row["route"])),
    ("GROUP", |row| text(&row["group"])),
    ("ADDRESS", |row| text(&row["address"])),
    ("HEALTH", |row| text(&row["health"])),
    ("LOAD", |row| text(&row["load"])),
    ("IN FLIGHT", |row| text(&row["requests_in_flight"])),
    ("ELECTED", |row| text(&row["elected"])),
    ("FAILED", |row| text(&row["failed"])),
    ("CONTEXTS", |row| states(&row["contexts"])),
];

/// The contexts.
pub(super) const CONTEXTS: [Column; 6] = [
    ("NODE", |row| text(&row["node"])),
    ("HOST", |row| text(&row["aliases"])),
    ("CONTEXT", |row| text(&row["path"])),
    ("STATE", |row| text(&row["state"])),
    ("NODE SAYS", |row| text(&row["own_state"])),
    ("IN FLIGHT", |row| text(&row["requests_in_flight"])),
];

/// The balancer names.
pub(super) const BALANCERS: [Column; 4] = [
    ("BALANCER", |row| text(&row["name"])),
    ("STICKY", |row| text(&row["settings"]["sticky_session"])),
    ("FORCE", |row| text(&row["settings"]["sticky_session_force"])),
    ("OVERRIDDEN", |row| text(&row["overrides"])),
];

/// Drains.
pub(super) const DRAINS: [Column; 9] = [
    ("NODE", |row| text(&row["node"])),
    ("CONTEXT", |row| text(&row["context"])),
    ("PHASE", |row| text(&row["phase"])),
    ("END", |row| text(&row["end"])),
    ("REQUESTS LEFT", |row| text(&row["left_requests"])),
    ("SESSIONS LEFT", |row| text(&row["left_sessions"])),
    ("SERVED", |row| text(&row["served"])),
    ("LOST", |row| text(&row["lost"])),
    ("BY", |row| text(&row["by"])),
];

/// Peers.
pub(super) const PEERS: [Column; 5] = [
    ("PEER", |row| text(&row["url"])),
    ("NAME", |row| text(&row["name"])),
    ("REACHABLE", |row| text(&row["is_reachable"])),
    ("DIFFERS IN", |row| row["disagreements"].as_array().map_or(0, Vec::len).to_string()),
    ("ERROR", |row| text(&row["error"])),
];

/// Events.
pub(super) const EVENTS: [Column; 7] = [
    ("TIME", |row| text(&row["time"])),
    ("WHO", |row| text(&row["actor"])),
    ("WHAT", |row| text(&row["verb"])),
    ("OF", |row| text(&row["target"])),
    ("BEFORE", |row| text(&row["before"])),
    ("AFTER", |row| text(&row["after"])),
    ("OUTCOME", |row| match &row["why"] {
        Value::Null => text(&row["outcome"]),
        why => format!("{}: {}", text(&row["outcome"]), text(why)),
    }),
];

/// What a verb did.
pub(super) const CHANGES: [Column; 4] = [
    ("TARGET", |row| text(&row["target"])),
    ("BEFORE", |row| text(&row["before"])),
    ("AFTER", |row| text(&row["after"])),
    ("IN FLIGHT", |row| text(&row["requests_in_flight"])),
];

fn states(contexts: &Value) -> String {
    let all = contexts.as_array().map(Vec::as_slice).unwrap_or_default();
    let counted = ["enabled", "disabled", "stopped"].into_iter().filter_map(|state| {
        let count = all.iter().filter(|context| context["state"] == state).count();
        (count > 0).then(|| format!("{count} {state}"))
    });
    let text = counted.collect::<Vec<_>>().join(", ");
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_has_its_columns_under_each_other() {
        let rows = [
            json!({"url": "http://10.0.0.2:6667", "name": "b", "is_reachable": true,
                   "disagreements": [{}], "error": null}),
            json!({"url": "http://c", "name": null, "is_reachable": false,
                   "disagreements": [], "error": "no"}),
        ];
        assert_eq!(
            table(&PEERS, &rows),
            "PEER                  NAME  REACHABLE  DIFFERS IN  ERROR\n\
             http://10.0.0.2:6667  b     yes        1           -\n\
             http://c              -     no         0           no\n"
        );
    }

    #[test]
    fn a_hostile_name_does_nothing_to_a_terminal() {
        assert_eq!(text(&json!("a\u{1b}[2J\u{202e}\n")), "a\\u{1b}[2J\\u{202e}\\u{a}");
        assert_eq!(text(&json!("Grüße 1")), "Grüße 1");
    }
}
