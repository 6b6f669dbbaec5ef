//! What the doctor says, to people and to programs.

use super::{Finding, Severity};

/// One finding on a line, its advice below, and a last line that sums up.
pub(crate) fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.severity {
            Severity::Good => "good   ",
            Severity::Warning => "warning",
            Severity::Fault => "FAULT  ",
        };
        text += &format!("{word}  {}: {}\n", finding.check, finding.what);
        if !finding.advice.is_empty() {
            text += &format!("         -> {}\n", finding.advice);
        }
    }
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    text + &format!("{faults} faults, {warnings} warnings, {} good\n", count(Severity::Good))
}

/// The same as JSON.
pub(super) fn json(findings: &[Finding]) -> String {
    serde_json::to_string_pretty(findings).expect("words and texts always become JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_is_a_line_with_its_advice_below() {
        let finding = |severity, advice: &str| Finding {
            check: "clock",
            severity,
            what: "it is late".to_owned(),
            advice: advice.to_owned(),
        };
        let findings = [finding(Severity::Fault, "wind it up"), finding(Severity::Good, "")];
        assert_eq!(
            text(&findings),
            "FAULT    clock: it is late\n         -> wind it up\ngood     clock: it is late\n\
             1 faults, 0 warnings, 1 good\n"
        );
        let json: serde_json::Value = serde_json::from_str(&json(&findings)).unwrap();
        assert_eq!(json[0]["severity"], "fault");
    }
}
