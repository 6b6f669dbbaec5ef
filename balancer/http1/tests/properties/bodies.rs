//! Reading bodies: one verdict and the same bytes however they come.

use muster_http1::{BodyReader, Keep, LAST_CHUNK, write_chunk_head};
use proptest::prelude::*;

use super::agree::{is_read_alike, read};
use super::{make, naive};

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![prop::collection::vec(1_usize..9, 0..200), Just(vec![1; 500]),]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_good_body_decodes_to_its_data((body, data) in make::chunked(), sizes in sizes()) {
        let followed = [&body[..], b"GET"].concat();
        let decoded = read(BodyReader::chunked(Keep::Data), &followed, &sizes);
        prop_assert_eq!(decoded.verdict, Ok(()));
        prop_assert_eq!((decoded.consumed, decoded.data), (body.len(), data.len() as u64));
        prop_assert_eq!(&decoded.kept, &data);

        let framed = read(BodyReader::chunked(Keep::Framing), &followed, &sizes);
        let again = read(BodyReader::chunked(Keep::Data), &framed.kept, &[]);
        prop_assert_eq!((again.verdict, again.consumed), (Ok(()), framed.kept.len()));
        prop_assert_eq!(again.kept, data);
        // There is nothing more to leave out.
        let once_more = read(BodyReader::chunked(Keep::Framing), &framed.kept, &[]);
        prop_assert_eq!(once_more.kept, framed.kept);
    }

    #[test]
    fn a_body_is_read_alike_however_it_is_split(
        (body, _) in make::chunked(), sizes in sizes(), length in 0_u64..100,
    ) {
        for keep in [Keep::Framing, Keep::Data] {
            is_read_alike(&BodyReader::chunked(keep), &body, &sizes);
        }
        is_read_alike(&BodyReader::length(length), &body, &sizes);
        is_read_alike(&BodyReader::until_close(), &body, &sizes);
    }

    #[test]
    fn a_broken_body_is_judged_alike_however_it_is_split(
        body in make::broken(), sizes in sizes(),
    ) {
        for keep in [Keep::Framing, Keep::Data] {
            is_read_alike(&BodyReader::chunked(keep), &body, &sizes);
        }
        let verdict = |keep| read(BodyReader::chunked(keep), &body, &sizes).verdict;
        prop_assert_eq!(verdict(Keep::Framing), verdict(Keep::Data));
    }

    #[test]
    fn a_naive_reading_accepts_the_same_bodies(body in make::broken()) {
        let ours = read(BodyReader::chunked(Keep::Data), &body, &[]);
        let ours = ours.verdict.is_ok().then_some((ours.kept, ours.consumed));
        prop_assert_eq!(ours, naive::decode(&body));
    }

    #[test]
    fn what_is_written_in_chunks_reads_back(data in prop::collection::vec(any::<u8>(), 1..300)) {
        let mut body = Vec::new();
        for part in data.chunks(70) {
            write_chunk_head(part.len(), &mut body);
            body.extend_from_slice(part);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(LAST_CHUNK);
        let decoded = read(BodyReader::chunked(Keep::Data), &body, &[]);
        prop_assert_eq!((decoded.verdict, decoded.kept), (Ok(()), data));
    }
}
