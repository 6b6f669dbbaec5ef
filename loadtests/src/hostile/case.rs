//! Cases are told apart by a token that every request carries somewhere.
//!
//! Raw requests are written with [`PLACE`], which is as long as a token, so that a length that was
//! counted before still holds.

/// Stands for the token in the text of a case.
pub const PLACE: &str = "@TOKEN@";

/// The number of a case, at most 999,999.
pub type CaseId = u32;

/// The token of a case.
pub fn token(id: CaseId) -> String {
    format!("q{:06}", id % 1_000_000)
}

/// The bytes with the token in every place for it.
pub fn fill(bytes: &[u8], id: CaseId) -> Vec<u8> {
    let (place, token) = (PLACE.as_bytes(), token(id));
    let mut filled = bytes.to_vec();
    let mut at = 0;
    while at + place.len() <= filled.len() {
        if &filled[at..at + place.len()] == place {
            filled[at..at + place.len()].copy_from_slice(token.as_bytes());
        }
        at += 1;
    }
    filled
}

/// The cases whose token is in these bytes, each once.
pub fn ids(bytes: &[u8]) -> Vec<CaseId> {
    let mut ids = Vec::new();
    for window in bytes.windows(PLACE.len()) {
        let [b'q', digits @ ..] = window else { continue };
        if !digits.iter().all(u8::is_ascii_digit) {
            continue;
        }
        let id = digits.iter().fold(0, |id, digit| id * 10 + CaseId::from(digit - b'0'));
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_where_it_was_put() {
        let filled = fill(b"GET /@TOKEN@/x and @TOKEN@", 17);
        assert_eq!(filled, b"GET /q000017/x and q000017");
        assert_eq!(ids(&filled), [17]);
        assert!(ids(b"quite qnone q00001").is_empty());
        assert_eq!(ids(b"q000001q000002"), [1, 2]);
    }
}
