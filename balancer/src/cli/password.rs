//! `muster password` reads a new password: the first line of its input. On a terminal it asks twice,
//! and shows nothing of what is typed.

use std::io::{self, BufRead, IsTerminal as _, Read as _, StdinLock};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::manager::password::MAX_PASSWORD;

/// The terminal of our input, which shows nothing of what is typed until this is dropped.
struct Unseen(Termios);

/// The password as it stands in the input, or as an operator types it.
pub(super) fn read() -> anyhow::Result<String> {
    let mut from = io::stdin().lock();
    match from.is_terminal() {
        true => typed(&mut from),
        false => Ok(first_line(&mut from)?),
    }
}

fn typed(from: &mut StdinLock<'_>) -> anyhow::Result<String> {
    let _unseen = Unseen::new()?;
    let mut ask = |what: &str| {
        eprint!("{what}");
        first_line(from)
    };
    let password = ask("Password: ")?;
    // Ctrl-C is one: it ends nothing while the terminal shows nothing.
    anyhow::ensure!(!password.contains(char::is_control), "a password has no control characters");
    anyhow::ensure!(ask("Again: ")? == password, "the two passwords differ");
    Ok(password)
}

/// As much of it as a password may have and a little more, so that a longer one is told.
fn first_line(from: &mut dyn BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(MAX_PASSWORD as u64 + 2).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

// === impl Unseen ===

impl Unseen {
    fn new() -> io::Result<Unseen> {
        let before = tcgetattr(io::stdin())?;
        let mut unseen = before.clone();
        // Whoever ends the program by a key would be left with a terminal that shows nothing.
        unseen.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        unseen.local_modes.insert(LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &unseen)?;
        Ok(Unseen(before))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        let read = |text: &str| first_line(&mut text.as_bytes()).unwrap();
        assert_eq!(read("correct horse \r\nmore"), "correct horse ");
        assert_eq!(read(&"x".repeat(9_999)).len(), 1_026);
        assert_eq!(read(""), "");
    }
}
