//! What clients meet: versions, certificates, client certificates, tickets, and their reload.
//!
//! A reload is all or nothing: either all files are good and the next handshake uses them, or an
//! error names the first that is not and everything stays. Connections that are there go on.
//! Tickets and sessions from before a reload are not taken up again, for the clients' authorities
//! may be others now; those clients make one whole handshake more.
//!
//! A connection that idles holds 7.4 KiB (measured over 2,000 of them in memory): rustls gives
//! its buffers back when they are empty, but for 4 KiB to read into. So nothing is tuned but the
//! number of tickets: one a connection instead of two saves a seal and 175 bytes in each handshake,
//! and a client that comes again gets its next one then.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    NoClientAuth, NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificate::Certificates;
use super::files::Named;
use super::{TlsError, provider, versions};
use crate::config::{Alpn, ClientAuth, Tls};

/// Tickets that a client of TLS 1.3 gets in a handshake.
const TICKETS: usize = 1;

/// Most bytes that wait, encrypted, for a client that takes nothing.
const MAX_UNSENT: usize = 64 * 1024;

/// TLS as clients meet it. Share it; it is replaced within by a reload.
#[derive(Debug)]
pub struct TlsFront {
    settings: Tls,
    current: ArcSwap<ServerConfig>,
}

// === impl TlsFront ===

impl TlsFront {
    /// Reads all files that the configuration names. An expired certificate is a warning in the
    /// log, no error.
    ///
    /// # Errors
    /// The first file that cannot be used, with its key.
    pub fn load(settings: &Tls) -> Result<TlsFront, TlsError> {
        let current = ArcSwap::from_pointee(server_config(settings)?);
        Ok(TlsFront { settings: settings.clone(), current })
    }

    /// Reads the files again, for the handshakes to come.
    ///
    /// # Errors
    /// As for [`TlsFront::load`]; nothing has changed then.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(server_config(&self.settings)?));
        Ok(())
    }

    /// What the next handshake uses; one counter to raise, so ask for each connection.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// How long a handshake may take.
    pub fn handshake_timeout(&self) -> Duration {
        self.settings.handshake_timeout
    }

    /// Makes the handshake, within its bound.
    ///
    /// # Errors
    /// What the handshake failed of; the client has been told. `TimedOut` where it took too long.
    pub async fn accept<S>(&self, stream: S) -> std::io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.config());
        let bound = |session: &mut rustls::ServerConnection| {
            session.set_buffer_limit(Some(MAX_UNSENT));
        };
        let handshake = acceptor.accept_with(stream, bound);
        match tokio::time::timeout(self.settings.handshake_timeout, handshake).await {
            Ok(accepted) => accepted,
            Err(_) => Err(Error::new(ErrorKind::TimedOut, "the TLS handshake took too long")),
        }
    }
}

fn server_config(settings: &Tls) -> Result<ServerConfig, TlsError> {
    let certificates = Certificates::load(&settings.certificates)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions(settings.min_version))
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(client_verifier(settings)?)
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = settings.alpn.iter().map(|&alpn| wire(alpn)).collect();
    // The strongest that both know, in our order: a client cannot be talked down to a weaker one.
    config.ignore_client_order = true;
    config.send_tls13_tickets = 0;
    if settings.session_tickets {
        config.ticketer = Ticketer::new().map_err(TlsError::Setup)?;
        config.send_tls13_tickets = TICKETS;
    }
    config.session_storage = match settings.session_cache {
        0 => Arc::new(NoServerSessionStorage {}),
        most => ServerSessionMemoryCache::new(most),
    };
    Ok(config)
}

pub(super) fn client_verifier(settings: &Tls) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let Some(file) = &settings.client_ca else { return Ok(Arc::new(NoClientAuth)) };
    let named = Named { key: "tls.client_ca", file };
    let roots = Arc::new(named.authorities()?);
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
    let built = match settings.client_auth {
        ClientAuth::None => return Ok(Arc::new(NoClientAuth)),
        ClientAuth::Optional => builder.allow_unauthenticated().build(),
        ClientAuth::Required => builder.build(),
    };
    built.map_err(|error| TlsError::Authorities {
        key: named.key.to_owned(),
        file: file.display().to_string(),
        reason: error.to_string(),
    })
}

/// A protocol's name as the handshake carries it.
pub(super) fn wire(alpn: Alpn) -> Vec<u8> {
    alpn.word().as_bytes().to_vec()
}
