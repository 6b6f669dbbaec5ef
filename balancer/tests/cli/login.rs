//! Passwords of operators: how they are typed, and how they travel.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{Muster, file};

#[test]
fn a_password_that_is_typed_on_a_terminal_is_not_shown() {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let near = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_muster"))
        .arg("password")
        .stdin(near)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut keyboard, mut asked) = (File::from(terminal), process.stderr.take().unwrap());
    for prompt in ["Password: ", "Again: "] {
        let mut told = vec![0; prompt.len()];
        asked.read_exact(&mut told).unwrap();
        assert_eq!(String::from_utf8_lossy(&told), prompt);
        keyboard.write_all(b"open sesame\n").unwrap();
    }
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.starts_with(b"$argon2id$"), "{output:?}");
    // It ends with an error, for nobody has the terminal's other end any more.
    let mut shown = Vec::new();
    let _ = keyboard.read_to_end(&mut shown);
    assert_eq!(String::from_utf8_lossy(&shown), "\r\n\r\n");
}

#[test]
fn passwords_that_cross_the_network_as_they_are_get_a_warning() {
    // The hash of some password, as `muster password` prints one.
    let hash = super::said_with("password", "some password").out;
    let user = format!("[[manager.user]]\nname = \"anna\"\npassword = \"{}\"\n", hash.trim());
    let (_folder, path) = file(&user);
    for (manager, warns) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let others = ["--http", "127.0.0.1:0", "--mcmp", "127.0.0.1:0", "--manager", manager];
        let muster = Muster::run(&[&["-c", &path], &others[..]].concat());
        muster.out.next();
        muster.terminate();
        let ended = muster.ended();
        assert_eq!(ended.err.contains("operators log in over plain HTTP"), warns, "{ended:?}");
    }
}
