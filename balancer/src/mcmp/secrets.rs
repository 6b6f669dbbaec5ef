//! The secrets that the configuration names, from itself or from a file.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use muster_protocol::signature::{BadSecret, Secrets};

use crate::config;

/// Most bytes of the file.
const MAX_FILE: u64 = 64 * 1024;

/// Why the secrets cannot be used. It holds nothing of them.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The file cannot be read, or has more than 64 KiB.
    #[error("mcmp.secret_file: cannot read {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file has no line.
    #[error("mcmp.secret_file: {0} has no secret")]
    Empty(String),
    /// A line of the file is no secret.
    #[error("mcmp.secret_file: {file}:{line}")]
    Bad {
        /// The file.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        source: BadSecret,
    },
}

/// All secrets, the one that signs first; `None` where the configuration has none.
///
/// # Errors
/// A [`SecretsError`].
pub fn load(settings: &config::Mcmp) -> Result<Option<Secrets>, SecretsError> {
    let mut all = match &settings.secret_file {
        Some(file) => read(file)?,
        None => Vec::from_iter(settings.secret.clone()),
    };
    all.extend(settings.old_secrets.iter().cloned());
    Ok(Secrets::from_list(all))
}

fn read(path: &Path) -> Result<Vec<muster_protocol::signature::Secret>, SecretsError> {
    let file = path.display().to_string();
    let text = text(path).map_err(|source| SecretsError::Read { file: file.clone(), source })?;
    let mut secrets = Vec::new();
    for (at, line) in text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
        let secret = line.parse().map_err(|source| SecretsError::Bad {
            file: file.clone(),
            line: at + 1,
            source,
        })?;
        secrets.push(secret);
    }
    if secrets.is_empty() { Err(SecretsError::Empty(file)) } else { Ok(secrets) }
}

fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    match text.len() as u64 > MAX_FILE {
        true => Err(std::io::Error::other(format!("it has more than {MAX_FILE} bytes"))),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_secret_a_line_and_the_first_one_signs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let load = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let secret_file = Some(path.clone());
            load(&config::Mcmp { secret_file, ..config::Mcmp::default() })
        };
        let secrets = load("\n  the new secret of ours  \nthe old secret of ours\n").unwrap();
        let secrets = secrets.unwrap();
        assert_eq!(*secrets.first(), "the new secret of ours".parse().unwrap());
        assert_eq!(secrets.get(1), Some(&"the old secret of ours".parse().unwrap()));
        assert!(load("\n\n").unwrap_err().to_string().ends_with("has no secret"));
        let short = load("long enough, that is\nshort\n").unwrap_err();
        assert!(short.to_string().ends_with("secret:2"), "{short}");
        assert!(!format!("{short:?}").contains("\"short\""));
    }
}
