//! What came out: a line for each case that is not right, and a sum.

use std::fmt;

use super::judge::Verdict;

/// The verdicts of a run.
#[derive(Debug, Clone)]
pub struct Report {
    what: &'static str,
    cases: Vec<(String, Verdict)>,
}

// === impl Report ===

impl Report {
    /// An empty one about cases of this name.
    pub fn new(what: &'static str) -> Report {
        Report { what, cases: Vec::new() }
    }

    /// Takes in one more case.
    pub fn add(&mut self, name: &str, verdict: Verdict) {
        self.cases.push((name.to_owned(), verdict));
    }

    /// How many cases.
    pub fn count(&self) -> usize {
        self.cases.len()
    }

    /// How many are hard.
    pub fn hard(&self) -> usize {
        self.of(|verdict| matches!(verdict, Verdict::Hard(_)))
    }

    /// How many are lenient.
    pub fn lenient(&self) -> usize {
        self.of(|verdict| matches!(verdict, Verdict::Lenient(_)))
    }

    /// How many are wrong in another way.
    pub fn wrong(&self) -> usize {
        self.of(|verdict| matches!(verdict, Verdict::Wrong(_)))
    }

    /// How many are not right.
    pub fn failed(&self) -> usize {
        self.of(|verdict| *verdict != Verdict::Right)
    }

    fn of(&self, is_it: impl Fn(&Verdict) -> bool) -> usize {
        self.cases.iter().filter(|(_, verdict)| is_it(verdict)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, verdict) in &self.cases {
            if *verdict != Verdict::Right {
                writeln!(f, "{verdict} -- {name}")?;
            }
        }
        let (hard, lenient, wrong) = (self.hard(), self.lenient(), self.wrong());
        match self.what {
            "hostile answers" => {
                write!(f, "{} {}: {} failed", self.count(), self.what, self.failed())
            }
            what => {
                let count = self.count();
                write!(f, "{count} {what}: {hard} hard, {lenient} lenient, {wrong} wrong")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_what_is_not_right_and_ends_with_its_sum() {
        let mut report = Report::new("vectors");
        report.add("a good one", Verdict::Right);
        report.add("a bad one", Verdict::Lenient("it was served".to_owned()));
        let told = report.to_string();
        assert_eq!(
            told,
            "LENIENT it was served -- a bad one\n2 vectors: 0 hard, 1 lenient, 0 wrong"
        );
    }
}
