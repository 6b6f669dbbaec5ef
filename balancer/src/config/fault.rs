//! What is wrong with a configuration: every fault at once, each with file, line and key.

use std::fmt;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the user named it, or `command line`.
    pub file: String,
    /// The line, counted from 1; `None` where no single line is at fault.
    pub line: Option<usize>,
    /// The key with its section, such as `http.listen`; empty where the file itself is at fault.
    pub key: String,
    /// What is wrong, with the value.
    pub message: String,
}

/// All faults of one configuration, in the order of their lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

// === impl Faults ===

impl Faults {
    /// `Ok` where there is no fault.
    pub(crate) fn check(mut faults: Vec<Fault>) -> Result<(), Faults> {
        faults.sort_by_key(|fault| fault.line);
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Faults(faults)),
        }
    }

    /// The file itself is at fault.
    pub(crate) fn of_file(file: &str, message: impl fmt::Display) -> Faults {
        let (file, message) = (file.to_owned(), message.to_string());
        Faults(vec![Fault { file, line: None, key: String::new(), message }])
    }

    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let end = if at == 0 { "" } else { "\n" };
            write!(f, "{end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
