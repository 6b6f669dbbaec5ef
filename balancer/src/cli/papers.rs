//! What a package has beside the program: completions of shells and man pages, written by the
//! program itself, so that they cannot differ from it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;

/// What `muster completions` takes.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

/// What `muster man` takes.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write a page for each command into this folder, instead of the first one to the output
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
}

pub(super) fn completions(options: &Completions, out: &mut dyn Write) -> anyhow::Result<()> {
    // It panics where it cannot write, so it writes where it can.
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "muster", &mut text);
    Ok(out.write_all(&text)?)
}

pub(super) fn man(options: &Man, out: &mut dyn Write) -> anyhow::Result<()> {
    match &options.into {
        None => Ok(clap_mangen::Man::new(Cli::command()).render(out)?),
        Some(folder) => {
            pages(folder).with_context(|| format!("cannot write into {}", folder.display()))
        }
    }
}

fn pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_served() {
        for (shell, word) in [
            (Shell::Bash, "complete -F _muster"),
            (Shell::Zsh, "#compdef muster"),
            (Shell::Fish, "complete -c muster"),
        ] {
            let mut out = Vec::new();
            completions(&Completions { shell }, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains(word) && text.contains("doctor"), "{shell}");
        }
    }

    #[test]
    fn every_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let into = Some(folder.path().join("man"));
        man(&Man { into }, &mut Vec::new()).unwrap();
        for page in ["muster.1", "muster-run.1", "muster-doctor.1", "muster-config-show.1"] {
            let text = std::fs::read_to_string(folder.path().join("man").join(page)).unwrap();
            assert!(text.contains(".TH muster"), "{page}");
        }
        let mut out = Vec::new();
        man(&Man { into: None }, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("muster\\-run"));
    }
}
