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
/// reference changes nothing in it. With the feature `jiff` that crate's times, dates, zones' times and spans
/// are known too.
///
/// Your own types are marked by the derive, which wants every field to be marked, enums without
/// fields among them. A type of another crate, such as a big decimal, a UUID, a URL, a locale or a
/// currency, goes into a type of your own with an `impl`: a promise that the compiler cannot check.
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

#[cfg(feature = "jiff")]
known! {
    jiff::Timestamp, jiff::Zoned, jiff::Span, jiff::SignedDuration, jiff::civil::Date,
    jiff::civil::Time, jiff::civil::DateTime,
}

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
}
