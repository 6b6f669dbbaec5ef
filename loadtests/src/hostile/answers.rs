//! The hostile answers, by what is wrong with them.

mod body;
mod early;
mod framing;
mod head;
mod interim;
mod silence;
mod surplus;

use super::answer::HostileAnswer;

/// All of them; each name is there once. The slow ones stand last.
pub fn all() -> Vec<HostileAnswer> {
    let groups: [fn() -> Vec<HostileAnswer>; 7] = [
        head::answers,
        framing::answers,
        body::answers,
        interim::answers,
        surplus::answers,
        early::answers,
        silence::answers,
    ];
    let mut all: Vec<HostileAnswer> = groups.into_iter().flat_map(|answers| answers()).collect();
    all.sort_by_key(|answer| answer.is_slow);
    all
}

/// An answer's head and body.
fn say(status: &str, lines: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\n{lines}\r\n{body}").into_bytes()
}

/// `200 OK` with further lines and a body of five bytes, whose length is announced.
fn hello(lines: &str) -> Vec<u8> {
    say("200 OK", &format!("Content-Length: 5\r\n{lines}"), "hello")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_and_each_has_a_name_of_its_own() {
        let answers = all();
        let names: std::collections::BTreeSet<_> = answers.iter().map(|a| &a.name).collect();
        assert_eq!(names.len(), answers.len());
        assert!(answers.len() >= 39, "only {}", answers.len());
    }
}
