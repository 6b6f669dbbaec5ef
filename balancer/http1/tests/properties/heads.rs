//! Reading heads: never a panic, and one verdict however the bytes come.

use muster_http1::{HeadLimits, parse_request};
use proptest::prelude::*;

use super::agree::{can_be_written, is_judged_alike, request_agrees};
use super::make;

/// Small, so that the limits are met too.
const LIMITS: HeadLimits = HeadLimits { bytes: 400, headers: 5, target: 20 };

#[test]
fn a_url_within_a_path_is_a_path_to_every_reader() {
    request_agrees(b"POST /http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        can_be_written(&bytes);
        is_judged_alike(&bytes, 0..bytes.len(), &HeadLimits::default());
    }

    #[test]
    fn a_wild_head_is_judged_alike_however_it_is_split(head in make::wild()) {
        can_be_written(&head);
        is_judged_alike(&head, 0..head.len(), &HeadLimits::default());
        is_judged_alike(&head, 0..head.len(), &LIMITS);
    }

    #[test]
    fn a_good_head_is_judged_alike_however_it_is_split(head in make::good()) {
        prop_assert!(parse_request(&head, &HeadLimits::default()).unwrap().is_some());
        is_judged_alike(&head, 0..head.len(), &HeadLimits::default());
        is_judged_alike(&head, 0..head.len(), &LIMITS);
    }

    #[test]
    fn an_answer_is_judged_alike_however_it_is_split(head in make::answer()) {
        can_be_written(&head);
        is_judged_alike(&head, 0..head.len(), &HeadLimits::default());
        is_judged_alike(&head, 0..head.len(), &LIMITS);
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
