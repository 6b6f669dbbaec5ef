//! What a finished handshake says: for AJP's attributes and for those who route or log by it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use rustls_pki_types::CertificateDer;

use crate::config::Alpn;

/// Characters of a line within PEM.
const PEM_LINE: usize = 64;

/// A client's connection, as TLS knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite by IANA's name, such as `TLS_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// Bits of the cipher's key, 128 or 256; 0 for a suite that is not known here.
    pub key_size: u16,
    /// The protocol that both agreed on; `None` where the client named none.
    pub alpn: Option<Alpn>,
    /// The name that the client asked for, lower-cased.
    pub sni: Option<String>,
    /// The client's certificate, verified; `None` where it was not asked or has none.
    pub client_certificate: Option<ClientCertificate>,
}

/// A client's certificate, without its issuers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate(CertificateDer<'static>);

// === impl TlsFacts ===

impl TlsFacts {
    /// What is known; `None` while the handshake is not over.
    pub fn of(session: &ServerConnection) -> Option<TlsFacts> {
        let (cipher, key_size) = suite(session.negotiated_cipher_suite()?.suite());
        let certificate = session.peer_certificates().and_then(|chain| chain.first());
        Some(TlsFacts {
            version: match session.protocol_version()? {
                ProtocolVersion::TLSv1_3 => "TLSv1.3",
                _ => "TLSv1.2",
            },
            cipher,
            key_size,
            alpn: session.alpn_protocol().and_then(alpn),
            sni: session.server_name().map(str::to_ascii_lowercase),
            client_certificate: certificate.map(|der| ClientCertificate(der.clone().into_owned())),
        })
    }
}

// === impl ClientCertificate ===

impl ClientCertificate {
    /// Its bytes.
    pub fn der(&self) -> &[u8] {
        &self.0
    }

    /// As PEM text, which is how AJP carries it.
    pub fn pem(&self) -> String {
        let text = STANDARD.encode(&self.0);
        let mut pem = String::with_capacity(text.len() + text.len() / PEM_LINE + 64);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, left) = rest.split_at(rest.len().min(PEM_LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = left;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}

fn alpn(name: &[u8]) -> Option<Alpn> {
    [Alpn::H2, Alpn::Http1].into_iter().find(|alpn| alpn.word().as_bytes() == name)
}

/// IANA's name and the bits of the key. rustls names the suites of TLS 1.3 in its own way.
fn suite(suite: CipherSuite) -> (&'static str, u16) {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
        other => {
            let name = other.as_str().unwrap_or("unknown");
            let is = |word| name.contains(word);
            let bits = match (is("AES_128"), is("AES_256") || is("CHACHA20")) {
                (true, _) => 128,
                (_, true) => 256,
                _ => 0,
            };
            (name, bits)
        }
    }
}
