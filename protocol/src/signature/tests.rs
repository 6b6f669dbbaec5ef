use proptest::prelude::*;

use super::*;

fn secrets(texts: &[&str]) -> Secrets {
    let list = texts.iter().map(|text| text.parse().unwrap()).collect();
    Secrets::from_list(list).unwrap()
}

const FIRST: &str = "correct horse battery staple";
const SECOND: &str = "another secret of some length";
const STAMP: Stamp = Stamp { date: 1_796_000_000, nonce: Nonce([0xab; 16]) };

/// A message whose headers are kept, so that they can be tampered with.
#[derive(Debug, Clone)]
struct Kept {
    method: String,
    uri: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Kept {
    fn status() -> Kept {
        Kept {
            method: "STATUS".to_owned(),
            uri: "/".to_owned(),
            fields: vec![
                ("Host".to_owned(), b"10.0.0.1:6666".to_vec()),
                ("X-Muster-Sessions".to_owned(), b"17".to_vec()),
            ],
            body: b"JVMRoute=a&Load=60".to_vec(),
        }
    }

    fn with<T>(&self, then: impl FnOnce(&Message<'_>) -> T) -> T {
        let fields: Vec<Field<'_>> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let Kept { method, uri, body, .. } = self;
        then(&Message { method, uri, fields: &fields, body })
    }

    fn signed(mut self, secrets: &Secrets) -> Kept {
        let headers = self.with(|message| sign(secrets, Purpose::Mcmp, message, STAMP));
        self.fields.extend(headers.map(|(name, value)| (name.to_owned(), value.into_bytes())));
        self
    }

    fn verify(&self, secrets: &Secrets) -> Result<Signed, Reason> {
        self.with(|message| verify(secrets, Purpose::Mcmp, message))
    }

    fn set(mut self, name: &str, value: &str) -> Kept {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.fields.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    fn without(mut self, name: &str) -> Kept {
        self.fields.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }
}

#[test]
fn the_bytes_are_those_of_the_documentation() {
    let text = Kept::status().with(|message| canonical::message(Purpose::Mcmp, message, STAMP));
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "16:muster-1 message,4:mcmp,6:STATUS,1:/,10:1796000000,\
         32:abababababababababababababababab,1:1,17:x-muster-sessions,2:17,18:JVMRoute=a&Load=60,"
    );
    let signed = Kept::status().signed(&secrets(&[FIRST]));
    let (_, sum) = signed.fields.iter().find(|(name, _)| name == SIGNATURE).unwrap();
    assert_eq!(String::from_utf8_lossy(sum), MESSAGE_SUM);

    let fields: [Field<'_>; 2] = [("Content-Type", b"text/plain"), ("Type", b"MEM")];
    let answer = Answer { status: 500, fields: &fields, body: b"" };
    assert_eq!(
        String::from_utf8(canonical::answer(Purpose::Mcmp, STAMP.nonce, &answer)).unwrap(),
        "15:muster-1 answer,4:mcmp,32:abababababababababababababababab,3:500,1:1,4:type,3:MEM,0:,"
    );
    let secret = FIRST.parse().unwrap();
    let (_, sum) = sign_answer(&secret, Purpose::Mcmp, STAMP.nonce, &answer);
    assert_eq!(sum, ANSWER_SUM);
}

/// `printf '16:muster-1 ...' | openssl dgst -sha256 -hmac 'correct horse battery staple'`
const MESSAGE_SUM: &str = "v1=805369288a3f80f285a4a46a16f68b202fb88986e85d6429b0a4a755ebae7b09";
const ANSWER_SUM: &str = "v1=67a0ec5cc7f79326393e434377a540c98bb9329fa86babae58cf718527ec6502";

#[test]
fn who_knows_a_secret_is_believed() {
    let signed = Kept::status().signed(&secrets(&[FIRST]));
    assert_eq!(signed.verify(&secrets(&[FIRST])), Ok(Signed { stamp: STAMP, secret: 0 }));
    let changing = secrets(&[SECOND, FIRST]);
    assert_eq!(signed.verify(&changing), Ok(Signed { stamp: STAMP, secret: 1 }));
    assert_eq!(signed.verify(&secrets(&[SECOND])), Err(Reason::Wrong));
    assert_eq!(Kept::status().verify(&changing), Err(Reason::Missing));
}

#[test]
fn whatever_has_meaning_is_covered() {
    let (known, good) = (secrets(&[FIRST]), Kept::status().signed(&secrets(&[FIRST])));
    let wrong = |kept: Kept| assert_eq!(kept.verify(&known), Err(Reason::Wrong), "{kept:?}");
    wrong(Kept { method: "CONFIG".to_owned(), ..good.clone() });
    wrong(Kept { uri: "/*".to_owned(), ..good.clone() });
    wrong(Kept { body: b"JVMRoute=b&Load=60".to_vec(), ..good.clone() });
    wrong(good.clone().set("X-Muster-Sessions", "18"));
    wrong(good.clone().set("X-Muster-More", "1"));
    wrong(good.clone().without("X-Muster-Sessions"));
    wrong(good.clone().set(DATE, "1796000001"));
    wrong(good.clone().set(NONCE, &"ac".repeat(16)));
    // What old balancers and proxies add or change does not matter.
    assert!(good.clone().set("Host", "other").set("Via", "1.1 x").verify(&known).is_ok());
    let peers = good.with(|message| verify(&known, Purpose::Peers, message));
    assert_eq!(peers, Err(Reason::Wrong));
}

#[test]
fn headers_that_are_none_are_malformed() {
    let (known, good) = (secrets(&[FIRST]), Kept::status().signed(&secrets(&[FIRST])));
    let malformed = |kept: Kept| {
        assert_eq!(kept.verify(&known), Err(Reason::Malformed), "{kept:?}");
    };
    for name in [DATE, NONCE, SIGNATURE] {
        malformed(good.clone().without(name));
        malformed(good.clone().set(name, ""));
        malformed(good.clone().set(name, "x"));
        let mut twice = good.clone();
        twice.fields.push((name.to_uppercase(), b"1".to_vec()));
        malformed(twice);
    }
    malformed(good.clone().set(DATE, "+1796000000"));
    malformed(good.clone().set(DATE, "01796000000"));
    malformed(good.clone().set(DATE, "99999999999999999999999"));
    malformed(good.clone().set(NONCE, &"AB".repeat(16)));
    malformed(good.clone().set(SIGNATURE, &MESSAGE_SUM.replace("v1", "v2")));
    let mut twice = good.clone();
    twice.fields.push(("x-muster-sessions".to_owned(), b"17".to_vec()));
    malformed(twice);
    let many = (0..=MAX_FIELDS).fold(good, |kept, at| kept.set(&format!("X-Muster-{at}"), ""));
    malformed(many);
}

#[test]
fn an_answer_is_bound_to_its_message_and_to_what_it_says() {
    let known = secrets(&[FIRST]);
    let kind: [Field<'_>; 1] = [("Type", b"MEM")];
    let answer = Answer { status: 500, fields: &kind, body: b"x" };
    let secret = FIRST.parse().unwrap();
    let (name, sum) = sign_answer(&secret, Purpose::Mcmp, STAMP.nonce, &answer);
    let said = |nonce, status, kind: &[u8], body: &[u8]| {
        let fields: [Field<'_>; 2] = [(name, sum.as_bytes()), ("type", kind)];
        verify_answer(&known, Purpose::Mcmp, nonce, &Answer { status, fields: &fields, body })
    };
    assert_eq!(said(STAMP.nonce, 500, b"MEM", b"x"), Ok(()));
    assert_eq!(said(Nonce([1; 16]), 500, b"MEM", b"x"), Err(Reason::Wrong));
    assert_eq!(said(STAMP.nonce, 200, b"MEM", b"x"), Err(Reason::Wrong));
    assert_eq!(said(STAMP.nonce, 500, b"SYNTAX", b"x"), Err(Reason::Wrong));
    assert_eq!(said(STAMP.nonce, 500, b"MEM", b"y"), Err(Reason::Wrong));
    assert_eq!(verify_answer(&known, Purpose::Mcmp, STAMP.nonce, &answer), Err(Reason::Missing));
}

#[test]
fn a_secret_is_long_enough_and_never_shown() {
    assert_eq!("too short".parse::<Secret>(), Err(BadSecret(9)));
    assert_eq!(BadSecret(9).to_string(), "a secret has 16 to 255 bytes, not 9");
    assert!("x".repeat(256).parse::<Secret>().is_err());
    assert_eq!(format!("{:?}", secrets(&[FIRST]).first()), "********");
    assert!(!format!("{:?}", secrets(&[FIRST, SECOND])).contains("secret of"));
}

proptest! {
    #[test]
    fn a_signed_message_is_good_and_no_other_passes_for_it(
        uri in "/[a-z]{0,4}",
        values in proptest::collection::btree_map("[a-z]{1,4}", "[ -~]{0,6}", 0..4),
        body in proptest::collection::vec(any::<u8>(), 0..20),
        at in any::<prop::sample::Index>(),
    ) {
        let known = secrets(&[FIRST]);
        let fields = values.into_iter();
        let fields = fields.map(|(name, value)| (format!("X-Muster-Z{name}"), value.into_bytes()));
        let kept = Kept { method: "STATUS".to_owned(), uri, fields: fields.collect(), body };
        let good = kept.signed(&known);
        prop_assert!(good.verify(&known).is_ok());
        let mut other = good.clone();
        other.body.insert(at.index(good.body.len() + 1), b'0');
        prop_assert_eq!(other.verify(&known), Err(Reason::Wrong));
    }

    #[test]
    fn no_headers_make_it_panic(
        fields in proptest::collection::vec(
            ("(?i)x-muster-(date|nonce|signature|x)|type|.{0,4}", any::<Vec<u8>>()), 0..6),
    ) {
        let kept = Kept { fields, ..Kept::status() };
        prop_assert!(kept.verify(&secrets(&[FIRST])).is_err());
    }
}
