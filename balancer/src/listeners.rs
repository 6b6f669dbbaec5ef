//! The listening sockets: what the configuration wants of them, and what there is.
//!
//! A public address has one socket for each worker, among which the kernel deals out connections.
//! Copies stay here, so that a reload can close an address and an upgrade hand it over.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept;
use crate::config::Config;
use crate::door::Kind;
use crate::start::StartError;
use crate::worker::{self, Order, Worker};

/// A public address.
pub(crate) struct Public {
    pub(crate) kind: Kind,
    /// As the configuration names it.
    pub(crate) wanted: SocketAddr,
    /// With the port that it got.
    pub(crate) own: SocketAddr,
    sockets: Vec<std::net::TcpListener>,
    stop: CancellationToken,
    accepting: TaskTracker,
}

/// An address where we answer ourselves: of nodes, or of operators.
#[derive(Clone)]
pub(crate) struct Own {
    /// As the configuration names it.
    pub(crate) wanted: SocketAddr,
    /// With the port that it got.
    pub(crate) own: SocketAddr,
    pub(crate) socket: Arc<TcpListener>,
}

/// Sockets that another process has bound before, by the address that its configuration names.
#[derive(Debug, Default)]
pub(crate) struct Inherited(pub(crate) Vec<(SocketAddr, Vec<std::net::TcpListener>)>);

/// The public addresses that a configuration wants.
pub(crate) fn public(config: &Config) -> Vec<(Kind, SocketAddr)> {
    let of = |kind, list: &[SocketAddr]| -> Vec<_> {
        list.iter().map(|address| (kind, *address)).collect()
    };
    let mut all = of(Kind::Plain, &config.http.listen);
    all.extend(of(Kind::Secure, &config.tls.listen));
    all
}

/// Which of what is wanted is there, by its place, and what has to be bound. Each that is there
/// serves once.
pub(crate) fn compare<T: PartialEq + Copy>(there: &[T], wanted: &[T]) -> (Vec<bool>, Vec<T>) {
    let mut keeps = vec![false; there.len()];
    let mut missing = Vec::new();
    for one in wanted {
        let free = (0..there.len()).find(|&at| !keeps[at] && there[at] == *one);
        match free {
            Some(at) => keeps[at] = true,
            None => missing.push(*one),
        }
    }
    (keeps, missing)
}

// === impl Inherited ===

impl Inherited {
    fn take(&mut self, wanted: SocketAddr) -> Option<Vec<std::net::TcpListener>> {
        let at = self.0.iter().position(|(address, _)| *address == wanted)?;
        Some(self.0.remove(at).1)
    }
}

// === impl Public ===

impl Public {
    /// Binds it, for so many workers.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) fn bind(
        kind: Kind,
        wanted: SocketAddr,
        workers: usize,
        inherited: &mut Inherited,
    ) -> Result<Public, StartError> {
        let sockets = match inherited.take(wanted) {
            Some(sockets) => accept::share_more(sockets, workers),
            None => accept::bind_shared(wanted, workers),
        };
        let bound = sockets.and_then(|sockets| Public::of(kind, wanted, sockets));
        bound.map_err(|source| StartError::Bind { key: kind.key(), address: wanted, source })
    }

    fn of(
        kind: Kind,
        wanted: SocketAddr,
        sockets: Vec<std::net::TcpListener>,
    ) -> std::io::Result<Public> {
        let own = sockets.first().map_or(Ok(wanted), std::net::TcpListener::local_addr)?;
        let (stop, accepting) = (CancellationToken::new(), TaskTracker::new());
        Ok(Public { kind, wanted, own, sockets, stop, accepting })
    }

    /// Lets the workers accept, each from at least one socket where there are so many.
    ///
    /// # Errors
    /// When this process may have no more files.
    pub(crate) fn open(&self, workers: &[Worker]) -> std::io::Result<()> {
        for (socket, worker) in self.sockets.iter().zip(workers.iter().cycle()) {
            let listener = worker::Listener {
                socket: socket.try_clone()?,
                kind: self.kind,
                stop: self.stop.clone(),
                accepting: self.accepting.token(),
            };
            // A worker that has ended is missed by the watchdog.
            let _ = worker.orders.send(Order::Listen(listener));
        }
        Ok(())
    }

    /// Closes it: what waits in the backlog is served first. Gives what there is to be waited for.
    pub(crate) fn close(self) -> TaskTracker {
        // The last copy closes the socket, and that shall be the one that empties the backlog.
        drop(self.sockets);
        self.stop.cancel();
        self.accepting.close();
        self.accepting
    }

    /// Its sockets, to be handed over.
    pub(crate) fn sockets(&self) -> &[std::net::TcpListener] {
        &self.sockets
    }
}

// === impl Own ===

impl Own {
    /// Binds it.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(crate) fn bind(
        key: &'static str,
        wanted: SocketAddr,
        inherited: &mut Inherited,
    ) -> Result<Own, StartError> {
        let socket = match inherited.take(wanted).and_then(|mut sockets| sockets.pop()) {
            Some(socket) => TcpListener::from_std(socket),
            None => accept::bind(wanted),
        };
        let bound = socket.and_then(|socket| Own::of(wanted, socket));
        bound.map_err(|source| StartError::Bind { key, address: wanted, source })
    }

    fn of(wanted: SocketAddr, socket: TcpListener) -> std::io::Result<Own> {
        Ok(Own { wanted, own: socket.local_addr()?, socket: Arc::new(socket) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_serves_each_wish_once() {
        let (keeps, missing) = compare(&[1, 2, 1, 3], &[1, 4, 1, 1]);
        assert_eq!((keeps, missing), (vec![true, false, true, false], vec![4, 1]));
        let (keeps, missing) = compare(&[], &[7]);
        assert_eq!((keeps, missing), (vec![], vec![7]));
    }
}
