//! The judge of histories: the program that `LINCHECK` names (`./check` builds it and sets it).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::history::History;

/// By which rules a history is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Linearizable reads, writes and compare-and-set.
    Register,
    /// What was acknowledged is there in the end.
    Durable,
    /// Increments, each of which gives a number that no other gives.
    Counter,
    /// At most one holder at a time, and tokens that only rise.
    Lock,
    /// What was acknowledged is given to somebody, and nothing that was never published.
    Queue,
}

/// What the judge said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the history is good, and long enough to say so.
    pub is_pass: bool,
    /// Its line.
    pub line: String,
    /// The first violations.
    pub violations: String,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum NoVerdict {
    /// Nobody says where the judge is.
    #[error("LINCHECK does not name the built tools/lincheck: ./check does that")]
    NoJudge,
    /// It cannot be run, or the history not be written.
    #[error("{what}: {source}")]
    System {
        /// The program or file.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The judge, and the folder in which it is given histories.
#[derive(Debug)]
pub struct Judge {
    program: PathBuf,
    folder: PathBuf,
}

// === impl Model ===

impl Model {
    /// Its name on the judge's command line.
    pub fn name(self) -> &'static str {
        match self {
            Model::Register => "register",
            Model::Durable => "durable",
            Model::Counter => "counter",
            Model::Lock => "lock",
            Model::Queue => "queue",
        }
    }
}

// === impl Judge ===

impl Judge {
    /// The judge that `LINCHECK` names.
    ///
    /// # Errors
    /// When nothing is named, or what is named is no file.
    pub fn new(folder: &Path) -> Result<Judge, NoVerdict> {
        let program = std::env::var_os("LINCHECK").map(PathBuf::from);
        let program = program.filter(|program| program.is_file()).ok_or(NoVerdict::NoJudge)?;
        Ok(Judge { program, folder: folder.to_owned() })
    }

    /// Judges a history that must have at least so many operations that happened.
    ///
    /// # Errors
    /// When it cannot be run; a bad history is a verdict.
    pub fn judge(
        &self,
        model: Model,
        history: &History,
        at_least: usize,
    ) -> Result<Verdict, NoVerdict> {
        let file = self.folder.join(format!("history-{}.jsonl", model.name()));
        let system =
            |what: &Path, source| NoVerdict::System { what: what.display().to_string(), source };
        history.save(&file).map_err(|source| system(&file, source))?;
        let ran = Command::new(&self.program)
            .args(["-model", model.name(), "-min-ok", &at_least.to_string(), "-timeout", "120s"])
            .arg(&file)
            .output()
            .map_err(|source| system(&self.program, source))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(Verdict {
            is_pass: ran.status.success(),
            line: text(&ran.stdout),
            violations: text(&ran.stderr),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)?;
        if self.is_pass { Ok(()) } else { write!(f, "\n{}", self.violations) }
    }
}

#[cfg(all(test, feature = "system"))]
mod tests {
    use serde_json::json;

    use super::super::history::{Entry, Outcome};
    use super::*;

    fn operation(op: &'static str, value: &str, start: u64) -> Entry {
        let (key, client) = ("k".into(), format!("{start}"));
        Entry { op, key, value: json!(value), start, end: start + 1, ok: Outcome::Ok, client }
    }

    #[test]
    fn the_judge_tells_a_good_history_from_a_lost_write_and_from_one_that_is_too_short() {
        let folder = tempfile::tempdir().unwrap();
        let judge = Judge::new(folder.path()).unwrap();
        let history = History::new();
        history.push(operation("write", "a", 1));
        history.push(operation("read", "a", 3));
        assert!(judge.judge(Model::Register, &history, 2).unwrap().is_pass);
        assert!(!judge.judge(Model::Register, &history, 3).unwrap().is_pass);
        history.push(operation("write", "b", 5));
        history.push(operation("read", "a", 7));
        for model in [Model::Register, Model::Durable] {
            let verdict = judge.judge(model, &history, 4).unwrap();
            assert!(!verdict.is_pass && verdict.line.starts_with("FAIL"), "{verdict}");
            assert!(!verdict.violations.is_empty());
        }
    }
}
