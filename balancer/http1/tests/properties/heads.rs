//! Reading heads: never a panic, and one verdict however the bytes come.

use muster_http1::{
    HeadLimits, Question, RequestChanges, ResponseChanges, parse_request, parse_response,
};
use proptest::prelude::*;

use super::make;

/// Small, so that the limits are met too.
const LIMITS: HeadLimits = HeadLimits { bytes: 400, headers: 5, target: 20 };

const QUESTIONS: [Question; 3] = [
    Question { is_head: false, asks_upgrade: false },
    Question { is_head: true, asks_upgrade: false },
    Question { is_head: false, asks_upgrade: true },
];

/// A head that comes in two parts is judged as if it came in one: either the first part says
/// nothing yet, or it says what the whole says.
fn is_judged_alike(bytes: &[u8], limits: &HeadLimits) {
    let whole = parse_request(bytes, limits);
    for end in 0..bytes.len() {
        let part = parse_request(&bytes[..end], limits);
        assert!(part == Ok(None) || part == whole, "{end}: {part:?}, {whole:?}");
    }
    for question in QUESTIONS {
        let whole = parse_response(bytes, limits, question);
        for end in 0..bytes.len() {
            let part = parse_response(&bytes[..end], limits, question);
            assert!(part == Ok(None) || part == whole, "{end}: {part:?}, {whole:?}");
        }
    }
}

/// Whatever is read can be written and listed.
fn can_be_written(bytes: &[u8]) {
    let mut out = Vec::new();
    if let Ok(Some(head)) = parse_request(bytes, &HeadLimits::default()) {
        head.write(bytes, &RequestChanges::default(), &mut out);
        assert!(head.length <= bytes.len() && head.headers(bytes).count() <= 100);
    }
    for question in QUESTIONS {
        if let Ok(Some(head)) = parse_response(bytes, &HeadLimits::default(), question) {
            head.write(bytes, &ResponseChanges::default(), &mut out);
            assert!(head.length <= bytes.len() && head.headers(bytes).count() <= 100);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        can_be_written(&bytes);
        is_judged_alike(&bytes, &HeadLimits::default());
    }

    #[test]
    fn a_wild_head_is_judged_alike_however_it_is_split(head in make::wild()) {
        can_be_written(&head);
        is_judged_alike(&head, &HeadLimits::default());
        is_judged_alike(&head, &LIMITS);
    }

    #[test]
    fn a_good_head_is_judged_alike_however_it_is_split(head in make::good()) {
        prop_assert!(parse_request(&head, &HeadLimits::default()).unwrap().is_some());
        is_judged_alike(&head, &HeadLimits::default());
        is_judged_alike(&head, &LIMITS);
    }

    #[test]
    fn an_answer_is_judged_alike_however_it_is_split(head in make::answer()) {
        can_be_written(&head);
        is_judged_alike(&head, &HeadLimits::default());
        is_judged_alike(&head, &LIMITS);
    }

    #[test]
    fn what_follows_a_head_does_not_change_it(head in make::wild(), tail in "[A-Z/ \r\n]{0,20}") {
        let alone = parse_request(&head, &HeadLimits::default());
        if alone != Ok(None) {
            let followed = [&head[..], tail.as_bytes()].concat();
            prop_assert_eq!(parse_request(&followed, &HeadLimits::default()), alone);
        }
    }
}
