//! TLS of the manager listener, and whom a certificate is for.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::who::Subject;
use crate::config::ManagerTls;
use crate::server::Door;
use crate::tls::{TlsError, TlsMcmp};

/// The door of the listener; clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct OperatorDoor(Option<Arc<TlsMcmp>>);

/// Reads all files that the configuration names; plain HTTP where it names no certificate.
pub(crate) fn load(settings: &ManagerTls) -> Result<Option<TlsMcmp>, TlsError> {
    TlsMcmp::load(&settings.as_of_nodes()).map_err(|error| error.of_section("mcmp", "manager"))
}

impl OperatorDoor {
    /// The door for these settings.
    ///
    /// # Errors
    /// The first file that cannot be used, with its key.
    pub(super) fn new(settings: &ManagerTls) -> Result<OperatorDoor, TlsError> {
        Ok(OperatorDoor(load(settings)?.map(Arc::new)))
    }
}

impl Door for OperatorDoor {
    type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;
    type Known = Subject;

    async fn enter(
        &self,
        stream: TcpStream,
        client: SocketAddr,
    ) -> Option<(Self::Stream, Subject)> {
        let Some(tls) = &self.0 else { return Some((Either::Left(stream), Subject(None))) };
        match tls.accept(stream).await {
            Ok((stream, subject)) => Some((Either::Right(Box::new(stream)), Subject(subject))),
            Err(error) => {
                tracing::debug!(%client, %error, "no TLS with a client of the manager");
                None
            }
        }
    }
}
