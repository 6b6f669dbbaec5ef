//! The rows of `docs/replay-deviations.md`, held against what was found.

use crate::facts::{ANSWER, Difference};

const TABLE: &str = include_str!("../../../docs/replay-deviations.md");

/// Most deviations that may stand.
const MOST: usize = 30;

/// One exchange that is answered otherwise, as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    number: String,
    recorded: String,
    ours: String,
}

// === impl Row ===

impl Row {
    /// The row that an exchange needs, if any.
    pub(crate) fn of(number: &str, differences: &[Difference]) -> Option<Row> {
        let cell = |value: fn(&Difference) -> &str| {
            let facts = differences.iter().map(|d| match d.fact == ANSWER {
                true => value(d).to_owned(),
                false => format!("{} {}", short(&d.fact), value(d)),
            });
            facts.collect::<Vec<_>>().join("; ")
        };
        (!differences.is_empty()).then(|| Row {
            number: number.to_owned(),
            recorded: cell(|difference| &difference.recorded),
            ours: cell(|difference| &difference.ours),
        })
    }

    fn shown(&self) -> String {
        format!("| {} | {} | {} | |", self.number, self.recorded, self.ours)
    }
}

/// A fact whose overlong names are cut, with their length in place of the rest.
fn short(fact: &str) -> String {
    let cut = |word: &str| match word.len() {
        ..=40 => word.to_owned(),
        length => format!("{}..({length})", word.chars().take(8).collect::<String>()),
    };
    fact.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// The rows of the table.
pub(crate) fn rows() -> Vec<Row> {
    read(TABLE)
}

fn read(table: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let rows = table.lines().filter(|line| line.starts_with('|')).map(cells);
    let rows = rows.filter(|cells| cells[0].parse::<u16>().is_ok());
    rows.map(|cells| {
        let [number, recorded, ours, rule] = &cells[..] else {
            panic!("a row has four cells: {cells:?}")
        };
        assert!(!rule.is_empty(), "the row of {number} names no rule");
        Row { number: number.clone(), recorded: recorded.clone(), ours: ours.clone() }
    })
    .collect()
}

/// Fails with a report where the table and what was found are not the same.
pub(crate) fn compare(table: &[Row], found: &[Row]) -> Result<(), String> {
    let missing = found.iter().filter(|row| !table.contains(row)).map(Row::shown);
    let stale = table.iter().filter(|row| !found.contains(row)).map(Row::shown);
    let (missing, stale): (Vec<_>, Vec<_>) = (missing.collect(), stale.collect());
    let mut report = String::new();
    if !missing.is_empty() {
        report += &format!("deviations without a row:\n{}\n", missing.join("\n"));
    }
    if !stale.is_empty() {
        report += &format!("rows that do not deviate so:\n{}\n", stale.join("\n"));
    }
    if found.len() > MOST {
        report += &format!("{} deviations, the limit is {MOST}\n", found.len());
    }
    if report.is_empty() { Ok(()) } else { Err(report) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: &str) -> Row {
        let status = |value: &str| Difference {
            fact: ANSWER.to_owned(),
            recorded: "200".to_owned(),
            ours: value.to_owned(),
        };
        Row::of(number, &[status("500")]).unwrap()
    }

    #[test]
    fn a_deviation_needs_a_row_and_a_row_a_deviation() {
        let (a, b) = (row("001"), row("002"));
        assert_eq!(compare(&[a.clone(), b.clone()], &[a.clone(), b.clone()]), Ok(()));
        assert!(compare(&[], std::slice::from_ref(&a)).unwrap_err().contains("without a row"));
        assert!(compare(&[a, b], &[]).unwrap_err().contains("do not deviate"));
        assert_eq!(Row::of("003", &[]), None);
    }

    #[test]
    fn too_many_deviations_fail_even_with_rows() {
        let many: Vec<Row> = (0..=MOST).map(|number| row(&format!("{number:03}"))).collect();
        assert!(compare(&many, &many).unwrap_err().contains("the limit is 30"));
    }

    #[test]
    fn a_row_is_read_as_it_is_shown() {
        let text = row("044").shown().replace("| |", "| a rule |");
        assert_eq!(read(&text), [row("044")]);
        assert_eq!(read("| exchange | recorded | ours | rule |\n|---|---|---|---|"), []);
    }

    #[test]
    fn the_table_of_the_documents_can_be_read() {
        assert!(rows().len() <= MOST);
    }
}
