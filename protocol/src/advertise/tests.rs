//! What is read, what is believed, and what is not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_796_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn key() -> Key {
    Key::new("s3cret").unwrap()
}

fn serving(sequence: u64) -> Announcement {
    let address = "10.0.0.7:6666".parse().unwrap();
    Announcement {
        phase: Phase::Serving,
        date: at(NOW),
        sequence,
        server: Server::from_bits(7),
        manager: Some(Manager { address, protocol: Protocol::Http }),
    }
}

fn text(announcement: &Announcement, key: Option<&Key>) -> String {
    String::from_utf8(write(announcement, key)).unwrap()
}

fn judge(verifier: &mut Verifier, bytes: &str) -> Result<(), Refusal> {
    verifier.verify(&parse(bytes.as_bytes()).unwrap(), at(NOW))
}

#[test]
fn a_datagram_is_written_as_httpd_writes_it() {
    let text = text(&serving(3), None);
    let digest = text.lines().find_map(|line| line.strip_prefix("Digest: ")).unwrap();
    assert_eq!(
        text,
        format!(
            "HTTP/1.0 200 OK\r\nDate: Mon, 30 Nov 2026 00:53:20 GMT\r\nSequence: 3\r\n\
             Digest: {digest}\r\nServer: 00000000-0000-4000-8000-000000000007\r\n\
             X-Manager-Address: 10.0.0.7:6666\r\nX-Manager-Url: /\r\n\
             X-Manager-Protocol: http\r\nX-Manager-Host: 10.0.0.7\r\n\r\n"
        )
    );
}

#[test]
fn the_longest_datagram_fits_into_what_real_clients_read() {
    let address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
    let longest = Announcement {
        sequence: u64::MAX,
        manager: Some(Manager { address, protocol: Protocol::Https }),
        ..serving(1)
    };
    let length = write(&longest, Some(&key())).len();
    assert!(length < 512, "{length}");
}

#[test]
fn names_know_no_case_and_the_blank_line_may_be_missing() {
    let text = text(&serving(3), Some(&key()));
    let other = text.trim_end().replace("Server:", "sErVeR:").replace("Date: ", "DATE:");
    assert_eq!(parse(other.as_bytes()).unwrap().announcement, serving(3));
    assert_eq!(parse(text.trim_end().as_bytes()), parse(text.as_bytes()));
    let undertow = text.replace("X-Manager-Host", "X-Unknown");
    assert!(parse(undertow.as_bytes()).is_ok());
}

#[test]
fn what_cannot_be_read_is_refused_with_its_reason() {
    let good = text(&serving(3), Some(&key()));
    let refused = |from: &str, to: &str| {
        let changed = good.replace(from, to);
        assert_ne!(changed, good, "{from}");
        parse(changed.as_bytes()).unwrap_err().to_string()
    };
    for (from, to, reason) in [
        ("200 OK", "500 No", "begins with \"HTTP/1.0 500 No\""),
        ("HTTP/1.0", "SIP/2.0", "begins with"),
        ("Sequence: 3", "Sequence: x", "Sequence has the bad value \"x\""),
        ("Sequence: 3", "Sequence: -3", "Sequence has the bad value"),
        ("Sequence", "Sequences", "the header Sequence is missing"),
        ("X-Manager-Url", "Server", "the header Server stands twice"),
        ("X-Manager-Address", "X-Elsewhere", "X-Manager-Address is missing"),
        ("10.0.0.7:6666", "example.com:6666", "bad value \"example.com:6666\""),
        ("10.0.0.7:6666", "10.0.0.7:0", "bad value \"10.0.0.7:0\""),
        ("Protocol: http", "Protocol: ajp", "X-Manager-Protocol has the bad value \"ajp\""),
        ("Mon, 30 Nov", "Tomorrow", "Date has the bad value"),
        ("Server: 0", "Server: a b0", "visible ASCII"),
        ("X-Manager-Url: /", "X-Manager-Url", "is no header"),
        ("X-Manager-Url: /", "X-Manager-Url: \u{1}", "is no header"),
        ("\r\n\r\n", "\r\nX-More: 1\r\n\r\n", "something follows X-Digest-SHA256"),
        ("\r\n\r\n", "\r\n\r\n\r\n", "something follows X-Digest-SHA256"),
        ("Digest: ", "Digest: 00", "has the bad value"),
    ] {
        let told = refused(from, to);
        assert!(told.contains(reason), "{from} -> {to}: {told}");
    }
    assert_eq!(parse(&[b'a'; MAX_DATAGRAM + 1]), Err(ParseError::TooLong(MAX_DATAGRAM + 1)));
    assert_eq!(parse(b"HTTP/1.0 200 \xff"), Err(ParseError::NoText));
}

#[test]
fn without_a_key_everybody_is_believed_but_those_who_have_one() {
    let mut open = Verifier::new(Rules::new(Vec::new()));
    let mut bare = text(&serving(3), None);
    assert_eq!(judge(&mut open, &bare), Ok(()));
    assert_eq!(judge(&mut open, &bare), Ok(()), "real balancers do not always count");
    assert_eq!(judge(&mut open, &text(&serving(3), Some(&key()))), Err(Refusal::WrongDigest));
    bare = bare.replace("Digest", "X-None");
    assert_eq!(judge(&mut open, &bare), Ok(()));
}

#[test]
fn with_a_key_only_its_signature_counts() {
    let mut closed = Verifier::new(Rules::new(vec![key()]));
    let other = Key::new("another").unwrap();
    assert_eq!(judge(&mut closed, &text(&serving(3), None)), Err(Refusal::Unsigned));
    assert_eq!(judge(&mut closed, &text(&serving(3), Some(&other))), Err(Refusal::WrongDigest));
    let good = text(&serving(3), Some(&key()));
    let moved = good.replace("10.0.0.7", "10.0.0.8");
    assert_eq!(judge(&mut closed, &moved), Err(Refusal::WrongDigest));
    let stripped = good.split("X-Digest").next().unwrap();
    assert_eq!(judge(&mut closed, stripped), Err(Refusal::Unsigned));
    assert_eq!(judge(&mut closed, &good), Ok(()));
    assert_eq!(judge(&mut closed, &good), Err(Refusal::Replayed));
    assert_eq!(judge(&mut closed, &text(&serving(2), Some(&key()))), Err(Refusal::Replayed));
    assert_eq!(judge(&mut closed, &text(&serving(4), Some(&key()))), Ok(()));
}

#[test]
fn what_others_signed_is_believed() {
    // Made with Python's hmac and hashlib.
    const SIGNED: &[u8] =
        include_bytes!("../../tests/__fuzz__/advertise_datagrams/corpus/006-key-hmac");
    const OLD: &[u8] =
        include_bytes!("../../tests/__fuzz__/advertise_datagrams/corpus/005-key-md5");
    let rules = Rules { accept_md5: true, ..Rules::new(vec![key()]) };
    for bytes in [SIGNED, OLD] {
        let datagram = parse(bytes).unwrap();
        let now = datagram.announcement.date;
        assert_eq!(Verifier::new(rules.clone()).verify(&datagram, now), Ok(()));
    }
}

#[test]
fn a_date_may_be_thirty_seconds_away_and_no_more() {
    let mut closed = Verifier::new(Rules::new(vec![key()]));
    let mut said = |sequence, date| {
        let announcement = Announcement { date: at(date), ..serving(sequence) };
        judge(&mut closed, &text(&announcement, Some(&key())))
    };
    assert_eq!(said(1, NOW - 31), Err(Refusal::Old));
    assert_eq!(said(1, NOW + 31), Err(Refusal::Future));
    assert_eq!(said(1, NOW - 30), Ok(()));
    assert_eq!(said(2, NOW + 30), Ok(()));
}

#[test]
fn the_old_digest_counts_where_it_is_asked_for() {
    let mut old = Verifier::new(Rules { accept_md5: true, ..Rules::new(vec![key()]) });
    let good = text(&serving(3), Some(&key()));
    let stripped = good.split("X-Digest").next().unwrap();
    assert_eq!(judge(&mut old, stripped), Ok(()));
    assert_eq!(judge(&mut old, stripped), Err(Refusal::Replayed));
    assert_eq!(judge(&mut old, &text(&serving(4), None)), Err(Refusal::WrongDigest));
    let moved = text(&serving(4), Some(&key())).replace("10.0.0.7", "10.0.0.8");
    assert_eq!(judge(&mut old, &moved), Err(Refusal::WrongDigest), "the new digest goes first");
}

#[test]
fn a_key_can_be_changed_while_both_are_known() {
    let new = Key::new("another").unwrap();
    let mut both = Verifier::new(Rules::new(vec![new.clone(), key()]));
    assert_eq!(judge(&mut both, &text(&serving(3), Some(&key()))), Ok(()));
    assert_eq!(judge(&mut both, &text(&serving(4), Some(&new))), Ok(()));
}

#[test]
fn who_shares_a_secret_for_mcmp_needs_no_key_of_its_own() {
    let derived = |secret: &str| Key::derived(&secret.parse().unwrap());
    let (own, other) = (derived("our own secret, long"), derived("of somebody else's"));
    let rules = Rules { accept_md5: true, ..Rules::new(vec![own.clone()]) };
    let mut verifier = Verifier::new(rules);
    let signed = text(&serving(3), Some(&own));
    assert_eq!(judge(&mut verifier, &signed), Ok(()));
    let another = text(&serving(4), Some(&other));
    assert_eq!(judge(&mut verifier, &another), Err(Refusal::WrongDigest));
    let bare = text(&serving(4), None);
    assert_eq!(judge(&mut verifier, &bare), Err(Refusal::WrongDigest), "it needs no key");
    // Who has no secret can still read it.
    assert_eq!(judge(&mut Verifier::new(Rules::new(Vec::new())), &signed), Ok(()));
}

#[test]
fn the_memory_of_sequences_is_bounded_and_forgets_what_no_replay_can_use() {
    let mut closed = Verifier::new(Rules::new(vec![key()]));
    let mut said = |bits, date, now| {
        let announcement =
            Announcement { server: Server::from_bits(bits), date: at(date), ..serving(1) };
        let bytes = write(&announcement, Some(&key()));
        closed.verify(&parse(&bytes).unwrap(), at(now))
    };
    for bits in 0..1024 {
        assert_eq!(said(bits, NOW, NOW), Ok(()));
    }
    assert_eq!(said(2000, NOW, NOW), Err(Refusal::TooMany));
    assert_eq!(said(2000, NOW + 31, NOW + 31), Ok(()));
    assert_eq!(said(0, NOW, NOW + 31), Err(Refusal::Old));
}

fn announcements() -> impl Strategy<Value = Announcement> {
    let phase = prop_oneof![Just(Phase::Serving), Just(Phase::Draining), Just(Phase::Gone)];
    let protocol = prop_oneof![Just(Protocol::Http), Just(Protocol::Https)];
    let address = (any::<std::net::IpAddr>(), 1..=u16::MAX).prop_map(SocketAddr::from);
    let manager = (address, protocol).prop_map(|(address, protocol)| Manager { address, protocol });
    let parts = (phase, 0..4_000_000_000u64, any::<u64>(), any::<u128>(), manager, any::<bool>());
    parts.prop_map(|(phase, date, sequence, bits, manager, has_manager)| Announcement {
        phase,
        date: at(date),
        sequence,
        server: Server::from_bits(bits),
        manager: (phase == Phase::Serving || has_manager).then_some(manager),
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_believed(said in announcements(), is_signed: bool) {
        let key = is_signed.then(key);
        let bytes = write(&said, key.as_ref());
        let datagram = parse(&bytes).unwrap();
        prop_assert_eq!(&datagram.announcement, &said);
        let mut verifier = Verifier::new(Rules::new(key.into_iter().collect()));
        prop_assert_eq!(verifier.verify(&datagram, said.date), Ok(()));
    }

    #[test]
    fn a_signed_datagram_with_another_byte_says_the_same_or_is_refused(
        said in announcements(),
        place: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = write(&said, Some(&key()));
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(datagram) = parse(&bytes) {
            let mut verifier = Verifier::new(Rules::new(vec![key()]));
            if verifier.verify(&datagram, said.date).is_ok() {
                prop_assert_eq!(datagram.announcement, said);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}
