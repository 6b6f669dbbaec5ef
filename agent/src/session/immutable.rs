//! Which values a shared reference cannot change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

use serde::de::DeserializeOwned;

/// A type of which a shared reference changes nothing: it has no interior mutability. An attribute
/// of such a type counts as changed only when it is set; of any other type only a copy is given
/// ([`get`](super::Session::get)) or a `&mut`, which counts as a change
/// ([`get_mut`](super::Session::get_mut)). Source: the seed's `@Immutable` and its known kinds.
///
/// Known are the unit, `bool`, `char`, integers (also those that are never zero), floats, strings,
/// paths, IP and socket addresses, durations and system times; and of these options, boxes,
/// lists, sets, maps, tuples and arrays. A collection need not be empty as in Java: in Rust a shared
/// reference changes nothing in it. Each with the feature of its crate's name:
///
/// | feature | kinds |
/// |---|---|
/// | `chrono`, `jiff`, `time` | dates, times, both with zone or offset, instants, spans, months, days of the week |
/// | `icu_locale_core` | locales and languages |
/// | `num-bigint` | integers of any size |
/// | `rust_decimal` | decimals of 28 digits; its `serde-str` is set, for what is kept names no types |
/// | `url` | URLs |
/// | `uuid` | UUIDs |
///
/// What else the seed names has no crate here: a year is an integer, a day of a month a pair, a
/// period is `jiff::Span`, a zone is kept by its name (`jiff::tz::TimeZone` is not serde's), a
/// currency by its code (`iso_currency` stands on what nobody keeps), a decimal of any size by its
/// digits (`bigdecimal` reads only what names its types).
///
/// Your own types are marked by the derive, which wants every field to be marked, enums without
/// fields among them. A type of any other crate goes into a type of your own with an `impl`: a
/// promise that the compiler cannot check.
///
/// ```
/// use muster_agent::session::Immutable;
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Immutable)]
/// enum Size { Small, Large }
/// #[derive(Serialize, Deserialize, Immutable)]
/// struct Cart<T> { owner: String, items: Vec<(T, u32)>, size: Option<Size> }
/// #[derive(Serialize, Deserialize)]
/// struct Money(Vec<u8>); // of another crate within
/// impl Immutable for Money {}
/// fn is_immutable<T: Immutable>() {}
/// is_immutable::<Cart<Money>>();
/// ```
///
/// A field that may change is an error at that field:
///
/// ```compile_fail,E0277
/// use muster_agent::session::Immutable;
/// use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize, Immutable)]
/// struct Cart { owner: String, visits: std::sync::Mutex<u32> }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not known to be immutable",
    note = "derive `Immutable` for it, or ask for a copy (`get`) or a `&mut` (`get_mut`)"
)]
pub trait Immutable: DeserializeOwned + Send + Sync + 'static {}

macro_rules! known {
    ($($kind:ty),* $(,)?) => { $(impl Immutable for $kind {})* };
}

known! {
    (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
    std::num::NonZeroU8, std::num::NonZeroU16, std::num::NonZeroU32, std::num::NonZeroU64,
    std::num::NonZeroU128, std::num::NonZeroUsize, std::num::NonZeroI8, std::num::NonZeroI16,
    std::num::NonZeroI32, std::num::NonZeroI64, std::num::NonZeroI128, std::num::NonZeroIsize,
    String, Box<str>, std::path::PathBuf, std::net::IpAddr, std::net::Ipv4Addr,
    std::net::Ipv6Addr, std::net::SocketAddr, std::net::SocketAddrV4, std::net::SocketAddrV6,
    std::time::Duration, std::time::SystemTime,
}

#[cfg(feature = "chrono")]
known! {
    chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::FixedOffset>, chrono::NaiveDate,
    chrono::NaiveTime, chrono::NaiveDateTime, chrono::TimeDelta, chrono::Month, chrono::Weekday,
}

#[cfg(feature = "icu_locale_core")]
known! { icu_locale_core::Locale, icu_locale_core::LanguageIdentifier }

#[cfg(feature = "jiff")]
known! {
    jiff::Timestamp, jiff::Zoned, jiff::Span, jiff::SignedDuration, jiff::civil::Date,
    jiff::civil::Time, jiff::civil::DateTime,
}

#[cfg(feature = "num-bigint")]
known! { num_bigint::BigInt, num_bigint::BigUint }

#[cfg(feature = "rust_decimal")]
known! { rust_decimal::Decimal }

#[cfg(feature = "time")]
known! {
    time::OffsetDateTime, time::UtcDateTime, time::PrimitiveDateTime, time::Date, time::Time,
    time::UtcOffset, time::Duration, time::Month, time::Weekday,
}

#[cfg(feature = "url")]
known! { url::Url }

#[cfg(feature = "uuid")]
known! { uuid::Uuid }

impl<T: Immutable> Immutable for Option<T> {}
impl<T: Immutable, E: Immutable> Immutable for Result<T, E> {}
impl<T: Immutable> Immutable for Box<T> {}
impl<T: Immutable> Immutable for Vec<T> {}
impl<T: Immutable> Immutable for VecDeque<T> {}
impl<T: Immutable + Ord> Immutable for BTreeSet<T> {}
impl<K: Immutable + Ord, V: Immutable> Immutable for BTreeMap<K, V> {}
impl<T, S> Immutable for HashSet<T, S>
where
    T: Immutable + Eq + Hash,
    S: BuildHasher + Default + Send + Sync + 'static,
{
}
impl<K, V, S> Immutable for HashMap<K, V, S>
where
    K: Immutable + Eq + Hash,
    V: Immutable,
    S: BuildHasher + Default + Send + Sync + 'static,
{
}
impl<T: Immutable, const N: usize> Immutable for [T; N] where Self: DeserializeOwned {}

macro_rules! tuples {
    ($(($($part:ident),+))*) => { $(impl<$($part: Immutable),+> Immutable for ($($part,)+) {})* };
}

tuples! { (A) (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{create, request, sessions};

    #[tokio::test]
    async fn a_shared_reference_to_a_known_kind_changes_nothing() {
        type Cart = BTreeMap<String, (u32, Option<[u8; 2]>)>;
        let sessions = sessions(|builder| builder);
        let id = create(&sessions).await;
        let cart: Cart = [("tea".to_owned(), (2, Some([1, 2])))].into();
        request(&sessions, Some(&id), |session| session.set("cart", &cart)).await;
        let before = sessions.inner.map.stats().puts;
        let get = |session: &crate::session::Session| session.get_ref::<Cart>("cart");
        let (_, read) = request(&sessions, Some(&id), get).await;
        assert_eq!(read.as_deref(), Some(&cart));
        assert_eq!(sessions.inner.map.stats().puts - before, 1, "the metadata alone");
    }

    /// What is kept names no types, so that a crate may write what it cannot read: each is tried.
    #[test]
    fn kinds_of_other_crates_are_read_as_they_were_written() {
        fn is_kept<T: Immutable + serde::Serialize + PartialEq + std::fmt::Debug>(value: T) {
            let bytes = crate::cluster::codec::encode(&value).unwrap();
            assert_eq!(crate::cluster::codec::decode::<T>(&bytes), Ok(value));
        }
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 7).unwrap();
        is_kept((at, at.fixed_offset(), at.naive_utc(), at.date_naive(), at.time()));
        is_kept((chrono::TimeDelta::seconds(-7), chrono::Month::May, chrono::Weekday::Mon));
        is_kept("de-CH-u-co-phonebk".parse::<icu_locale_core::Locale>().unwrap());
        is_kept("de-CH".parse::<icu_locale_core::LanguageIdentifier>().unwrap());
        let zoned: jiff::Zoned = "2026-11-30T08:00:00+01:00[+01:00]".parse().unwrap();
        is_kept((zoned.timestamp(), zoned.datetime(), zoned.date(), zoned.time(), zoned));
        is_kept(jiff::SignedDuration::from_secs(-7));
        let span: jiff::Span = "P1Y2M3DT4H".parse().unwrap();
        let bytes = crate::cluster::codec::encode(&span).unwrap();
        let read: jiff::Span = crate::cluster::codec::decode(&bytes).unwrap();
        assert_eq!(read.fieldwise(), span.fieldwise());
        is_kept("-170141183460469231731687303715884105729".parse::<num_bigint::BigInt>().unwrap());
        is_kept("170141183460469231731687303715884105729".parse::<num_bigint::BigUint>().unwrap());
        is_kept("0.10".parse::<rust_decimal::Decimal>().unwrap());
        let at = time::OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        is_kept((at, at.to_utc(), at.date(), at.time(), at.offset()));
        is_kept((time::PrimitiveDateTime::new(at.date(), at.time()), at.month(), at.weekday()));
        is_kept(time::Duration::seconds(-7));
        is_kept("https://example.com/a?b#c".parse::<url::Url>().unwrap());
        is_kept(uuid::Uuid::from_u128(7));
    }
}
