//! Where the built programs lie: named by the environment, else beside the test's own program.

use std::env;
use std::path::{Path, PathBuf};

/// A program that a test needs is not there.
#[derive(Debug, thiserror::Error)]
#[error(
    "no program {name} in {}: build it with `cargo build --workspace --bins`, or name it by {variable}",
    folder.display()
)]
pub struct Missing {
    /// The program.
    pub name: String,
    /// The environment variable that names it.
    pub variable: String,
    /// Where it was looked for.
    pub folder: PathBuf,
}

/// The built program `name`: what the variable of its name in capitals says (`MUSTER`,
/// `COUNTER`), else the file of that name in the folder of this program or the one above it.
///
/// It cannot tell an old build from a new one: `cargo test --workspace` builds all of them.
pub fn find(name: &str) -> Result<PathBuf, Missing> {
    let variable = name.to_ascii_uppercase().replace('-', "_");
    let own = env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(Path::new(".")).to_owned();
    if let Some(named) = env::var_os(&variable).map(PathBuf::from) {
        return match named.is_file() {
            true => Ok(named),
            false => Err(Missing { name: name.to_owned(), variable, folder: named }),
        };
    }
    // A test lies in target/PROFILE/deps, the programs in target/PROFILE.
    let above = folder.parent().unwrap_or(&folder);
    match [above, &folder].map(|f| f.join(name)).into_iter().find(|path| path.is_file()) {
        Some(path) => Ok(path),
        None => Err(Missing { name: name.to_owned(), variable, folder: above.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_how_to_build_it() {
        let missing = find("no-such-program").unwrap_err().to_string();
        assert!(missing.contains("cargo build"), "{missing}");
        assert!(missing.contains("NO_SUCH_PROGRAM"), "{missing}");
    }
}
