//! Any bytes for the search for session ids, which runs before anything is known of a client. The
//! kept ones (`__fuzz__`) are cookie lines and paths of browsers and of those who try.
//!
//! For a long run: `BOLERO_RANDOM_TEST_TIME_MS=600000 cargo test -p muster-routing --test fuzz`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Duration;

use muster_routing::session::{ids, path_parameter, routes, without_cookie, without_parameter};

const COOKIE: &str = "JSESSIONID";
const PARAMETER: &str = "jsessionid";

#[test]
fn session_ids() {
    bolero::check!().with_test_time(Duration::from_millis(500)).for_each(|input: &[u8]| {
        search(&String::from_utf8_lossy(input));
        search(&worded(input));
    });
}

/// The input as words that the search knows, for random bytes hold none.
fn worded(input: &[u8]) -> String {
    const WORDS: [&str; 16] = [
        COOKIE, PARAMETER, "=", ";", ".", "\"", " ", "\t", "/", "?", ",", "k7", "a", "é", "=k.a",
        "; ",
    ];
    input.iter().take(200).map(|&byte| WORDS[usize::from(byte) % WORDS.len()]).collect()
}

/// The text as cookies and as a path.
fn search(text: &str) {
    let cookies: Vec<&str> = text.lines().collect();
    let found: Vec<&str> = ids(&cookies, COOKIE).collect();
    assert_eq!(found, plainly(&cookies), "{text:?}");
    let expected: Vec<Option<String>> =
        found.iter().copied().chain(path_parameter(text, PARAMETER)).map(route).collect();
    let found: Vec<Option<String>> =
        routes(&cookies, COOKIE, text, PARAMETER).map(|route| route.map(str::to_owned)).collect();
    assert_eq!(found, expected, "{text:?}");
    take_out(text);
}

/// The same rules, said slowly.
fn plainly<'c>(cookies: &[&'c str]) -> Vec<&'c str> {
    const BLANK: [char; 2] = [' ', '\t'];
    let pairs = cookies.iter().flat_map(|line| line.split(';'));
    let named = pairs.filter_map(|pair| pair.split_once('='));
    let own = named.filter(|(name, _)| name.trim_start_matches(BLANK) == COOKIE);
    own.map(|(_, value)| value.trim_end_matches(BLANK)).collect()
}

fn route(id: &str) -> Option<String> {
    let is_quoted = id.len() > 1 && id.starts_with('"') && id.ends_with('"');
    let id = if is_quoted { &id[1..id.len() - 1] } else { id };
    let (_, route) = id.split_once('.')?;
    Some(route.to_owned()).filter(|route| !route.is_empty())
}

/// A node never sees an id that was taken out.
fn take_out(text: &str) {
    if let Some(left) = without_cookie(text, COOKIE) {
        assert_eq!(ids(&[&left], COOKIE).next(), None, "{text:?}");
    }
    let left = without_parameter(text, PARAMETER);
    match path_parameter(text, PARAMETER) {
        Some(id) => assert_eq!(left.len() + PARAMETER.len() + 2 + id.len(), text.len()),
        None => assert_eq!(left, text),
    }
}
