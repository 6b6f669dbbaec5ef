//! Nodes and contexts as CSV and JSON, for spreadsheets and scripts.
//!
//! A spreadsheet takes a text that begins with `=`, `+`, `-` or `@` for a formula and would run
//! it, and such a text may be a name from a node. It gets an apostrophe in front, which
//! spreadsheets show as text. Numbers stay numbers.

use std::fmt::Write as _;

use serde::Serialize;

use crate::page::{Context, Node, Page};

/// A row of the contexts.
#[derive(Debug, Serialize)]
pub struct ContextRow<'p> {
    node: &'p str,
    aliases: &'p [String],
    #[serde(flatten)]
    context: &'p Context,
}

/// All nodes, as they stand in the page.
pub fn nodes(page: &Page) -> Vec<&Node> {
    page.nodes().collect()
}

/// All contexts, by node and virtual host.
pub fn contexts(page: &Page) -> Vec<ContextRow<'_>> {
    let mut rows = Vec::with_capacity(page.context_count());
    for node in page.nodes() {
        for host in &node.virtual_hosts {
            let row = |context| ContextRow { node: &node.route, aliases: &host.aliases, context };
            rows.extend(host.contexts.iter().map(row));
        }
    }
    rows
}

/// The nodes as CSV (RFC 4180), with a line of names.
pub fn nodes_csv(page: &Page) -> String {
    let mut csv = Csv::new(&[
        "node",
        "group",
        "balancer",
        "address",
        "state",
        "load",
        "requests_in_flight",
        "requests_per_second",
        "errors_per_second",
        "sessions",
        "elected",
        "failed",
        "bytes_read",
        "bytes_transferred",
        "seconds_since_status",
        "contexts",
    ]);
    for node in page.nodes() {
        csv.text(&node.route);
        csv.text(node.domain.as_deref().unwrap_or_default());
        csv.text(&node.balancer);
        csv.text(&node.address);
        csv.text(node.state.word());
        csv.value(node.load.number());
        csv.value(node.requests_in_flight);
        csv.value(format_args!("{:.3}", node.pace.requests_per_second));
        csv.value(format_args!("{:.3}", node.pace.errors_per_second));
        csv.maybe(node.sessions);
        csv.value(node.elected);
        csv.value(node.failed);
        csv.value(node.bytes_read);
        csv.value(node.bytes_transferred);
        csv.maybe(node.seconds_since_status);
        csv.value(node.context_count());
        csv.end();
    }
    csv.0
}

/// The contexts as CSV, with a line of names.
pub fn contexts_csv(page: &Page) -> String {
    let mut csv = Csv::new(&[
        "node",
        "aliases",
        "context",
        "state",
        "requests_in_flight",
        "requests",
        "errors",
    ]);
    for row in contexts(page) {
        csv.text(row.node);
        csv.text(&row.aliases.join(" "));
        csv.text(&row.context.path);
        csv.text(row.context.state.word());
        csv.value(row.context.requests_in_flight);
        csv.value(row.context.requests);
        csv.value(row.context.errors);
        csv.end();
    }
    csv.0
}

struct Csv(String);

impl Csv {
    fn new(names: &[&str]) -> Csv {
        Csv(names.join(",") + "\r\n")
    }

    fn separate(&mut self) {
        if !self.0.ends_with('\n') {
            self.0.push(',');
        }
    }

    fn text(&mut self, text: &str) {
        self.separate();
        let is_formula =
            text.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r', '\u{ff1d}']);
        let guard = if is_formula || text.starts_with(['\t', '\r', '\n']) { "'" } else { "" };
        // Writing to a String never fails.
        let _ = write!(self.0, "\"{guard}{}\"", text.replace('"', "\"\""));
    }

    fn value(&mut self, value: impl std::fmt::Display) {
        self.separate();
        let _ = write!(self.0, "{value}");
    }

    fn maybe(&mut self, value: Option<u64>) {
        match value {
            Some(value) => self.value(value),
            None => self.value("\"\""),
        }
    }

    fn end(&mut self) {
        self.0.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples::{node, page};

    #[test]
    fn a_name_that_is_a_formula_stays_a_name() {
        for name in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1"] {
            let csv = nodes_csv(&page(vec![node(name, None, 0)]));
            let row = csv.lines().nth(1).unwrap();
            assert!(row.starts_with(&format!("\"'{name}\",")), "{row}");
        }
        let csv = nodes_csv(&page(vec![node("a\"b", None, 0)]));
        assert!(
            csv.contains("\"a\"\"b\",\"\",\"mycluster\",\"http://127.0.0.1:8080\",\"up\",100,0,")
        );
    }

    #[test]
    fn every_row_has_as_many_columns_as_names() {
        let page = page(vec![node("a", Some("g"), 2), node("b", None, 1)]);
        for csv in [nodes_csv(&page), contexts_csv(&page)] {
            let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
            assert!(columns.iter().all(|count| *count == columns[0]), "{csv}");
        }
        assert_eq!(contexts_csv(&page).lines().count(), 4);
        let json = serde_json::to_value(contexts(&page)).unwrap();
        assert_eq!(json[2]["node"], "b");
        assert_eq!(json[2]["path"], "/app0");
    }
}
