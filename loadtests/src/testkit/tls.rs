//! TLS as stories need it: an authority of their own, its certificates, clients that look closely,
//! and a node of https.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::mcmp;
use super::raw::{PATIENCE, Raw};

/// Most bytes of a body that the node takes.
const MAX_BODY: usize = 64 << 20;

/// An authority, in a folder of its own.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The certificate, in PEM.
    pub chain: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// A client that trusts an authority.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

/// A node of https. Dropping it closes its sockets and sends nothing.
#[derive(Debug)]
pub struct TlsNode {
    /// Where it answers.
    pub address: SocketAddr,
    /// The name in its certificate or address, as it registers.
    route: String,
    handshakes: Arc<AtomicU64>,
    server: AbortHandle,
}

// === impl Authority ===

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> anyhow::Result<Authority> {
        let folder = tempfile::tempdir()?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // No two authorities have the same name.
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let certificate = params.self_signed(&key)?;
        std::fs::write(folder.path().join("ca.pem"), certificate.pem())?;
        let root = certificate.der().clone();
        Ok(Authority { folder, issuer: Issuer::new(params, key), root })
    }

    /// Its own certificate, in PEM.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A file of that name in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a certificate for these host names and addresses; one of the same file name is
    /// replaced.
    pub fn certificate(&self, name: &str, hosts: &[&str]) -> anyhow::Result<Files> {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = Files {
            chain: self.path(&format!("{name}.pem")),
            key: self.path(&format!("{name}.key")),
        };
        std::fs::write(&files.chain, certificate.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }

    /// A client that offers these protocols and shows no certificate.
    pub fn client(&self, alpn: &[&str]) -> anyhow::Result<TlsClient> {
        self.client_of(&[&TLS13, &TLS12], alpn, None)
    }

    /// A client that speaks TLS 1.2 only.
    pub fn old_client(&self, alpn: &[&str]) -> anyhow::Result<TlsClient> {
        self.client_of(&[&TLS12], alpn, None)
    }

    /// A client that shows a certificate.
    pub fn client_with(&self, alpn: &[&str], own: &Files) -> anyhow::Result<TlsClient> {
        self.client_of(&[&TLS13, &TLS12], alpn, Some(own))
    }

    fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        own: Option<&Files>,
    ) -> anyhow::Result<TlsClient> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(own.certificates()?, own.private_key()?)?,
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(TlsClient { config: Arc::new(config) })
    }
}

// === impl Files ===

impl Files {
    /// The certificate as it is shown.
    pub fn der(&self) -> anyhow::Result<CertificateDer<'static>> {
        self.certificates()?.into_iter().next().context("no certificate in the file")
    }

    /// As the configuration of a balancer names it.
    pub fn toml(&self) -> String {
        let [chain, key] = [&self.chain, &self.key].map(|file| toml_path(file));
        format!("{{ chain = {chain}, key = {key} }}")
    }

    fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        Ok(CertificateDer::pem_file_iter(&self.chain)?.collect::<Result<_, _>>()?)
    }

    fn private_key(&self) -> anyhow::Result<PrivateKeyDer<'static>> {
        Ok(PrivateKeyDer::from_pem_file(&self.key)?)
    }
}

/// A path as a text of TOML.
pub fn toml_path(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

// === impl TlsClient ===

impl TlsClient {
    /// Connects and asks for a name.
    pub async fn connect(
        &self,
        to: SocketAddr,
        name: &str,
    ) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        self.over(stream, name).await
    }

    /// Makes the handshake over a connection that is there.
    pub async fn over(
        &self,
        stream: TcpStream,
        name: &str,
    ) -> std::io::Result<Raw<TlsStream<TcpStream>>> {
        let bad = |error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(name.to_owned()).map_err(bad)?;
        let handshake = TlsConnector::from(self.config.clone()).connect(name, stream);
        match tokio::time::timeout(PATIENCE, handshake).await {
            Ok(connected) => Ok(Raw::new(connected?)),
            Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Raw<TlsStream<TcpStream>> {
    /// The certificate that was shown.
    pub fn shown(&self) -> Option<CertificateDer<'static>> {
        let shown = self.stream().get_ref().1.peer_certificates()?.first()?;
        Some(shown.clone().into_owned())
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> Option<String> {
        let protocol = self.stream().get_ref().1.alpn_protocol()?;
        Some(String::from_utf8_lossy(protocol).into_owned())
    }
}

// === impl TlsNode ===

impl TlsNode {
    /// A node that echoes bodies, shows this certificate, and has registered with the context `/`
    /// under this host.
    pub async fn register(
        route: &str,
        host: &str,
        balancer: SocketAddr,
        own: &Files,
    ) -> anyhow::Result<TlsNode> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(own.certificates()?, own.private_key()?)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let handshakes = Arc::new(AtomicU64::new(0));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let server = tokio::spawn(serve(listener, acceptor, handshakes.clone())).abort_handle();
        let node = TlsNode { address, route: route.to_owned(), handshakes, server };
        let port = address.port();
        let form = format!("JVMRoute={route}&Host={host}&Port={port}&Type=https");
        mcmp::accepted(balancer, "CONFIG", "/", &form).await?;
        let form = format!("JVMRoute={route}&Alias=localhost&Context=%2F");
        mcmp::accepted(balancer, "ENABLE-APP", "/", &form).await?;
        node.say_status(balancer).await?;
        Ok(node)
    }

    /// Says STATUS; whether the balancer calls the node good.
    pub async fn say_status(&self, balancer: SocketAddr) -> Result<bool, mcmp::Refused> {
        let form = format!("JVMRoute={}&Load=100", self.route);
        Ok(mcmp::accepted(balancer, "STATUS", "/", &form).await?.contains("State=OK"))
    }

    /// Handshakes that were whole.
    pub fn handshakes(&self) -> u64 {
        self.handshakes.load(Ordering::Relaxed)
    }
}

impl Drop for TlsNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, handshakes: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (acceptor, handshakes) = (acceptor.clone(), handshakes.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            handshakes.fetch_add(1, Ordering::Relaxed);
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
            // How a connection ends is the other side's affair.
            let _ = connection.await;
        });
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let told = request.headers().get("x-forwarded-proto").cloned();
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let mut response = Response::new(Full::new(body));
    if let Some(told) = told {
        response.headers_mut().insert("x-told-proto", told);
    }
    Ok(response)
}
