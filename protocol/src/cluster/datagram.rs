//! The datagram by which a member says to the group where its channel listens.
//!
//! ```text
//! magic      4  "MSTR"
//! form       1  1
//! kind       1  1: I have just come, who is there?   2: I am here
//! cluster    1 + n   length, name
//! node       16      whose
//! life       8       which of its lives
//! stamp      8       microseconds since 1970; rises with each datagram of a node
//! address    1 + n   length, host:port
//! later      2 + n   length, what later versions add: not read, yet signed
//! signature  1 [+ 32]   0 for none, or 1 and HMAC-SHA256 over every byte before this field
//! ```
//!
//! Numbers are big-endian. Nothing follows the signature.

use super::{ClusterName, Key, PeerAddress};

/// Most bytes of a datagram that are read: several times what is written, and less than one
/// Ethernet frame holds.
pub const MAX_DATAGRAM: usize = 1024;

const MAGIC: &[u8; 4] = b"MSTR";
const FORM: u8 = 1;

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Whether it wants an answer.
    pub kind: Kind,
    /// The cluster that it belongs to.
    pub cluster: ClusterName,
    /// Which node it is.
    pub node: u128,
    /// Which life of the node.
    pub incarnation: u64,
    /// Microseconds since 1970 by its clock; it rises with each datagram.
    pub stamp: u64,
    /// Where its channel listens.
    pub address: PeerAddress,
}

/// Why it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It has just come: whoever is there should say so at once.
    Seeking,
    /// It is here.
    Here,
}

/// Why a datagram cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDatagram {
    /// It has more bytes than any member sends.
    #[error("it has {0} bytes, the limit is {MAX_DATAGRAM}")]
    TooLong(usize),
    /// It is of another program.
    #[error("it is none of Muster's")]
    Foreign,
    /// It is of a version that this one cannot read.
    #[error("its form is {0}, and this version reads {FORM} only")]
    Form(u8),
    /// It ends too early.
    #[error("it breaks off in its {0}")]
    BreaksOff(&'static str),
    /// A field's value is none.
    #[error("its {0} has a bad value")]
    Value(&'static str),
    /// Something follows the end.
    #[error("{0} bytes follow its end")]
    TooMany(usize),
}

/// A datagram that can be read, and what a signature of it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Read<'d> {
    pub(super) said: Datagram,
    pub(super) signed: &'d [u8],
    pub(super) signature: Option<[u8; 32]>,
}

/// Writes a datagram, signed where there is a key.
#[must_use]
pub fn write(said: &Datagram, key: Option<&Key>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[FORM, said.kind.byte()]);
    text(&mut bytes, said.cluster.as_str());
    bytes.extend_from_slice(&said.node.to_be_bytes());
    bytes.extend_from_slice(&said.incarnation.to_be_bytes());
    bytes.extend_from_slice(&said.stamp.to_be_bytes());
    text(&mut bytes, &said.address.to_string());
    bytes.extend_from_slice(&[0, 0]);
    match key.map(|key| key.sign(&bytes)) {
        Some(sum) => {
            bytes.push(1);
            bytes.extend_from_slice(&sum);
        }
        None => bytes.push(0),
    }
    bytes
}

/// Reads what a datagram says. Whether that is true is another question: see
/// [`Verifier`](super::Verifier).
///
/// # Errors
/// A [`BadDatagram`].
pub fn parse(bytes: &[u8]) -> Result<Datagram, BadDatagram> {
    read(bytes).map(|read| read.said)
}

pub(super) fn read(bytes: &[u8]) -> Result<Read<'_>, BadDatagram> {
    if bytes.len() > MAX_DATAGRAM {
        return Err(BadDatagram::TooLong(bytes.len()));
    }
    let mut rest = bytes.strip_prefix(MAGIC).ok_or(BadDatagram::Foreign)?;
    let [form] = take(&mut rest, "form")?;
    if form != FORM {
        return Err(BadDatagram::Form(form));
    }
    let [kind] = take(&mut rest, "kind")?;
    let kind = Kind::from_byte(kind).ok_or(BadDatagram::Value("kind"))?;
    let cluster = name(&mut rest, "cluster")?;
    let node = u128::from_be_bytes(take(&mut rest, "node")?);
    let incarnation = u64::from_be_bytes(take(&mut rest, "life")?);
    let stamp = u64::from_be_bytes(take(&mut rest, "stamp")?);
    let address = name(&mut rest, "address")?;
    let later = u16::from_be_bytes(take(&mut rest, "later")?);
    slice(&mut rest, usize::from(later), "later")?;
    let signed = &bytes[..bytes.len() - rest.len()];
    let signature = match take(&mut rest, "signature")? {
        [0] => None,
        [1] => Some(take(&mut rest, "signature")?),
        _ => return Err(BadDatagram::Value("signature")),
    };
    if !rest.is_empty() {
        return Err(BadDatagram::TooMany(rest.len()));
    }
    let said = Datagram { kind, cluster, node, incarnation, stamp, address };
    Ok(Read { said, signed, signature })
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u8::try_from(text.len()).expect("checked names are shorter");
    bytes.push(length);
    bytes.extend_from_slice(text.as_bytes());
}

fn name<T: std::str::FromStr>(rest: &mut &[u8], field: &'static str) -> Result<T, BadDatagram> {
    let [length] = take(rest, field)?;
    let bytes = slice(rest, usize::from(length), field)?;
    let text = std::str::from_utf8(bytes).map_err(|_| BadDatagram::Value(field))?;
    text.parse().map_err(|_| BadDatagram::Value(field))
}

fn take<const N: usize>(rest: &mut &[u8], field: &'static str) -> Result<[u8; N], BadDatagram> {
    let (first, others) = rest.split_first_chunk().ok_or(BadDatagram::BreaksOff(field))?;
    *rest = others;
    Ok(*first)
}

fn slice<'d>(
    rest: &mut &'d [u8],
    length: usize,
    field: &'static str,
) -> Result<&'d [u8], BadDatagram> {
    let (first, others) = rest.split_at_checked(length).ok_or(BadDatagram::BreaksOff(field))?;
    *rest = others;
    Ok(first)
}

// === impl Kind ===

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Seeking => 1,
            Kind::Here => 2,
        }
    }

    fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Seeking, Kind::Here].into_iter().find(|kind| kind.byte() == byte)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn good() -> Datagram {
        Datagram {
            kind: Kind::Here,
            cluster: "shop".parse().unwrap(),
            node: 7,
            incarnation: 2,
            stamp: 1_796_000_000_000_000,
            address: "127.0.0.1:7700".parse().unwrap(),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_documentation() {
        let bytes = write(&good(), None);
        let expected = [
            b"MSTR\x01\x02\x04shop".as_slice(),
            &[0; 15],
            &[7],
            &[0, 0, 0, 0, 0, 0, 0, 2],
            &1_796_000_000_000_000_u64.to_be_bytes(),
            b"\x0e127.0.0.1:7700\0\0\0",
        ];
        assert_eq!(bytes, expected.concat());
        assert_eq!(parse(&bytes), Ok(good()));
    }

    #[test]
    fn what_later_versions_add_is_not_read() {
        let mut bytes = write(&good(), None);
        bytes.truncate(bytes.len() - 3);
        bytes.extend_from_slice(b"\0\x03new\0");
        assert_eq!(parse(&bytes), Ok(good()));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        let bytes = write(&good(), None);
        let broken = |at: usize| parse(&bytes[..at]).unwrap_err();
        assert_eq!(broken(3), BadDatagram::Foreign);
        assert_eq!(broken(8), BadDatagram::BreaksOff("cluster"));
        assert_eq!(broken(bytes.len() - 1), BadDatagram::BreaksOff("signature"));
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            parse(&bytes).unwrap_err()
        };
        assert_eq!(with(4, 2), BadDatagram::Form(2));
        assert_eq!(with(5, 9), BadDatagram::Value("kind"));
        assert_eq!(with(7, b' '), BadDatagram::Value("cluster"));
        assert_eq!(with(bytes.len() - 1, 2), BadDatagram::Value("signature"));
        assert_eq!(parse(&[bytes.clone(), vec![0]].concat()), Err(BadDatagram::TooMany(1)));
        assert_eq!(parse(&[0; MAX_DATAGRAM + 1]), Err(BadDatagram::TooLong(1025)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            kind in 1_u8..=2,
            cluster in "[A-Za-z0-9._-]{1,63}",
            node in any::<u128>(),
            numbers in any::<(u64, u64)>(),
            address in "[a-z]{1,50}:[1-9][0-9]{0,3}",
            is_signed in any::<bool>(),
        ) {
            let said = Datagram {
                kind: Kind::from_byte(kind).unwrap(),
                cluster: cluster.parse().unwrap(),
                node,
                incarnation: numbers.0,
                stamp: numbers.1,
                address: address.parse().unwrap(),
            };
            let key = Key([3; 32]);
            let bytes = write(&said, is_signed.then_some(&key));
            prop_assert!(bytes.len() <= MAX_DATAGRAM);
            prop_assert_eq!(parse(&bytes), Ok(said));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>(), at in 0_usize..100) {
            let _ = parse(&bytes);
            let mut changed = write(&good(), Some(&Key([3; 32])));
            let at = at % changed.len();
            changed.splice(at..at, bytes);
            let _ = parse(&changed);
        }
    }
}
