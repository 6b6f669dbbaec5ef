//! What a client says of who it is: nobody trusts it.

use crate::hostile::vector::{Vector, Wanted, get};

/// Lines of which no value may reach the node.
const LIES: &[(&str, &str)] = &[
    ("Forwarded", "Forwarded: for=6.6.6.6;proto=https;host=evil.example\r\n"),
    ("X-Forwarded-For", "X-Forwarded-For: 6.6.6.6\r\n"),
    ("X-Forwarded-For in odd case", "x-FORWARDED-fOR: 6.6.6.6\r\n"),
    ("X-Forwarded-For twice", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6, 1.1.1.1\r\n"),
    ("X-Forwarded-Host", "X-Forwarded-Host: evil.example\r\n"),
    ("X-Forwarded-Proto", "X-Forwarded-Proto: evil.example\r\n"),
    ("X-Forwarded-Port", "X-Forwarded-Port: 6.6.6.6\r\n"),
    ("X-Forwarded- and nothing behind", "X-Forwarded-: 6.6.6.6\r\n"),
    ("X-Forwarded-Prefix", "X-Forwarded-Prefix: /evil.example\r\n"),
];

pub(super) fn vectors() -> Vec<Vector> {
    let lie = |(what, lines): &(&str, &str)| {
        let wanted = Wanted::get().hides(&["6.6.6.6", "1.1.1.1", "evil.example"]);
        Vector::served(format!("a client's own {what}"), get(lines), wanted)
    };
    LIES.iter().map(lie).collect()
}
