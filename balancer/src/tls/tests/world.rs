//! An authority, the files that it makes, and clients that trust it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SignatureAlgorithm,
};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::DuplexStream;
use tokio_rustls::{TlsConnector, client, server};

use crate::config::Tls;
use crate::config::tls::CertificateFiles;
use crate::tls::{TlsFront, provider};

/// An authority with a folder of its own.
pub(super) struct World {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// Both ends of a connection after the handshake.
pub(super) struct Met {
    pub(super) server: server::TlsStream<DuplexStream>,
    pub(super) client: client::TlsStream<DuplexStream>,
}

/// A certificate to be made.
pub(super) struct Wanted {
    pub(super) params: CertificateParams,
    pub(super) kind: &'static SignatureAlgorithm,
}

impl World {
    pub(super) fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two authorities have the same name.
        let name = folder.path().display().to_string();
        params.distinguished_name.push(DnType::CommonName, name);

        let certificate = params.self_signed(&key).unwrap();

        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let root = certificate.der().clone();
        World { folder, authority: Issuer::new(params, key), root }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Makes `NAME.pem` and `NAME.key` for these host names and addresses.
    pub(super) fn certificate(&self, name: &str, hosts: &[&str]) -> CertificateFiles {
        self.make(name, wanted(hosts))
    }

    pub(super) fn make(&self, name: &str, wanted: Wanted) -> CertificateFiles {
        let key = KeyPair::generate_for(wanted.kind).unwrap();
        let certificate = wanted.params.signed_by(&key, &self.authority).unwrap();
        CertificateFiles {
            chain: self.write(&format!("{name}.pem"), &certificate.pem()),
            key: self.write(&format!("{name}.key"), &key.serialize_pem()),
        }
    }

    /// The listener with these certificates.
    pub(super) fn tls(&self, certificates: Vec<CertificateFiles>) -> Tls {
        Tls { certificates, ..Tls::default() }
    }

    /// A client that trusts the authority and shows no certificate.
    pub(super) fn client(&self) -> ClientConfig {
        self.client_of(&[&TLS13], None)
    }

    pub(super) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&CertificateFiles>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let Some(CertificateFiles { chain, key }) = own else {
            return builder.with_no_client_auth();
        };
        let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    }
}

pub(super) fn wanted(hosts: &[&str]) -> Wanted {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, "somebody");
    Wanted { params, kind: &rcgen::PKCS_ECDSA_P256_SHA256 }
}

/// A client asks for a name.
pub(super) async fn meet(
    front: &TlsFront,
    client: &Arc<ClientConfig>,
    name: &str,
) -> io::Result<Met> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(client.clone());
    let (server, client) = tokio::join!(front.accept(near), connector.connect(name, far));
    // A server that refuses says why; the client only hears that it did.
    Ok(Met { server: server?, client: client? })
}

impl Met {
    /// The DER of the certificate that the client saw.
    pub(super) fn shown(&self) -> Vec<u8> {
        self.client.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

pub(super) fn der(files: &CertificateFiles) -> Vec<u8> {
    CertificateDer::from_pem_file(&files.chain).unwrap().to_vec()
}
