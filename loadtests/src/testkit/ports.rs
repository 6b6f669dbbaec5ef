//! Ports for what must come back on the same port after a restart.
//!
//! A port that the kernel hands out for port 0 may, while its owner is dead, become the local
//! port of any outgoing connection, and the owner cannot come back. So these are taken from
//! below the kernel's range for outgoing connections, each given out once in this process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
/// Below Linux's default `ip_local_port_range`, 32768 to 60999.
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback address at which nobody listens now, never given out before in this process.
///
/// # Errors
/// `AddrInUse` when no port is left.
pub fn free_address() -> io::Result<SocketAddr> {
    let span = LAST - FIRST;
    for _ in 0..span {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        // Test binaries that run at the same time begin in different places.
        let start = std::process::id() as u16 % 199 * 100;
        let port = FIRST + start.wrapping_add(step) % span;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port is left for tests"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_is_given_out_twice() {
        let given: Vec<_> = (0..50).map(|_| free_address().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = given.iter().collect();
        assert_eq!(distinct.len(), given.len());
    }
}
