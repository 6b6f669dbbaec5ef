//! What is written says what was read, once, to every reader.

use muster_http1::{HeadLimits, parse_request};
use proptest::prelude::*;

use super::agree::{answer_agrees, request_agrees};
use super::make;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_good_request_says_the_same_to_every_reader(head in make::good()) {
        prop_assert!(parse_request(&head, &HeadLimits::default()).unwrap().is_some());
        request_agrees(&head);
    }

    #[test]
    fn a_wild_request_is_refused_or_says_the_same_to_every_reader(head in make::wild()) {
        request_agrees(&head);
    }

    #[test]
    fn an_answer_says_the_same_to_every_reader(bytes in make::answer()) {
        answer_agrees(&bytes);
    }
}
