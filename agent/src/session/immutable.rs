//! Which values a shared reference cannot change.

use serde::de::DeserializeOwned;

/// A type of which a shared reference changes nothing: it has no interior mutability. An attribute
/// of such a type counts as changed only when it is set; of any other type only a copy is given
/// ([`get`](super::Session::get)) or a `&mut`, which counts as a change
/// ([`get_mut`](super::Session::get_mut)).
///
/// The known kinds have it; mark your own types by an `impl` (source: cluster.md section 3, after
/// the seed's `@Immutable`).
pub trait Immutable: DeserializeOwned + Send + Sync + 'static {}

macro_rules! known {
    ($($kind:ty),* $(,)?) => { $(impl Immutable for $kind {})* };
}

known! {
    (), bool, char, u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64,
    String, std::path::PathBuf, std::net::IpAddr, std::net::Ipv4Addr, std::net::Ipv6Addr,
    std::net::SocketAddr, std::net::SocketAddrV4, std::net::SocketAddrV6, std::time::Duration,
    std::time::SystemTime,
}
