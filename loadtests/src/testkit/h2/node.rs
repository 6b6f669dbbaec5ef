//! A node of HTTP/2, plain or with TLS, that does what the path says:
//!
//! | path ends with | answer |
//! |---|---|
//! | `/unary` | the whole body, then trailers |
//! | `/echo` | each part as it comes, then trailers |
//! | `/stream` | five parts, a moment apart, then trailers |
//! | `/collect` | how many bytes came, once all have, then trailers |
//! | `/fail` | a head alone that ends the stream, as gRPC tells a failure |
//! | `/hang` | none; that the request was taken back is counted |
//! | anything else | `ok` |

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{SendResponse, handshake};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::client::{next, send};
use crate::testkit::mcmp;
use crate::testkit::tls::Files;

/// Between two parts of a stream.
const MOMENT: Duration = Duration::from_millis(20);

/// Most requests that are remembered.
const REMEMBERED: usize = 10_000;

/// How a node registers.
#[derive(Debug, Clone, Default)]
pub struct H2NodeOptions {
    /// Speaks TLS, with this certificate.
    pub tls: Option<Files>,
    /// Of whom clients must show a certificate: a file of authorities.
    pub client_ca: Option<PathBuf>,
    /// More of the CONFIG form, beginning with `&`.
    pub config: &'static str,
    /// How long `/hang` and `/stream` let wait; a moment when not said.
    pub pause: Option<Duration>,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Scheme, host and path.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
}

/// A node. Dropping it closes its sockets and sends nothing.
#[derive(Debug)]
pub struct H2Node {
    /// Where it answers.
    pub address: SocketAddr,
    inner: Arc<Inner>,
    server: AbortHandle,
}

#[derive(Debug)]
struct Inner {
    route: String,
    pause: Duration,
    arrived: Mutex<Vec<Arrived>>,
    connections: AtomicU64,
    cancelled: AtomicU64,
}

// === impl H2Node ===

impl H2Node {
    /// A node that has registered with the context `/`.
    pub async fn register(
        route: &str,
        balancer: SocketAddr,
        options: &H2NodeOptions,
    ) -> anyhow::Result<H2Node> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            route: route.to_owned(),
            pause: options.pause.unwrap_or(MOMENT),
            arrived: Mutex::default(),
            connections: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
        });
        let acceptor = options
            .tls
            .as_ref()
            .map(|own| acceptor(own, options.client_ca.as_deref()))
            .transpose()?;
        let scheme = if acceptor.is_some() { "h2" } else { "h2c" };
        let server = tokio::spawn(serve(listener, acceptor, inner.clone())).abort_handle();
        let node = H2Node { address, inner, server };
        let (port, config) = (address.port(), options.config);
        let form = format!("JVMRoute={route}&Host=127.0.0.1&Port={port}&Type={scheme}{config}");
        mcmp::accepted(balancer, "CONFIG", "/", &form).await?;
        let form = format!("JVMRoute={route}&Alias=localhost&Context=%2F");
        mcmp::accepted(balancer, "ENABLE-APP", "/", &form).await?;
        node.say_status(balancer).await?;
        Ok(node)
    }

    /// Says STATUS.
    pub async fn say_status(&self, balancer: SocketAddr) -> Result<(), mcmp::Refused> {
        let form = format!("JVMRoute={}&Load=100", self.inner.route);
        mcmp::accepted(balancer, "STATUS", "/", &form).await.map(drop)
    }

    /// What arrived, in order.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.inner.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections with a request on them.
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::Relaxed)
    }

    /// Requests that were taken back before they were answered.
    pub fn cancelled(&self) -> u64 {
        self.inner.cancelled.load(Ordering::Relaxed)
    }
}

impl Drop for H2Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Inner {
    fn remember(&self, request: Arrived) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        if arrived.len() < REMEMBERED {
            arrived.push(request);
        }
    }
}

fn acceptor(own: &Files, client_ca: Option<&Path>) -> anyhow::Result<TlsAcceptor> {
    let chain = certificates(&own.chain)?;
    let key = PrivateKeyDer::from_pem_file(&own.key)?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(file)? {
                roots.add(root)?;
            }
            let roots = Arc::new(roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    Ok(CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?)
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, inner: Arc<Inner>) {
    // When the server is aborted, its connections go with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let (acceptor, inner) = (acceptor.clone(), inner.clone());
        connections.spawn(async move {
            // A connection that fails, fails: probes of other kinds come too.
            match acceptor {
                None => converse(stream, inner).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => converse(stream, inner).await,
                    Err(_) => Ok(()),
                },
            }
        });
    }
}

async fn converse<S>(stream: S, inner: Arc<Inner>) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = handshake(stream).await?;
    let mut requests = JoinSet::new();
    let mut is_counted = false;
    while let Some(request) = connection.accept().await {
        let (request, answer) = request?;
        if !std::mem::replace(&mut is_counted, true) {
            inner.connections.fetch_add(1, Ordering::Relaxed);
        }
        while requests.try_join_next().is_some() {}
        let inner = inner.clone();
        requests.spawn(async move { respond(request, answer, &inner).await });
    }
    Ok(())
}

async fn respond(
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    inner: &Inner,
) -> anyhow::Result<()> {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    if parts.method != http::Method::OPTIONS {
        inner.remember(Arrived { uri: parts.uri, headers: parts.headers });
    }
    let head = || Response::builder().header("content-type", "application/grpc").body(());
    match path.rsplit('/').next().unwrap_or_default() {
        "unary" | "collect" => {
            let mut all = Vec::new();
            while let Some(data) = next(&mut body).await? {
                all.extend_from_slice(&data);
            }
            if path.ends_with("collect") {
                all = all.len().to_string().into_bytes();
            }
            let mut sender = answer.send_response(head()?, false)?;
            send(&mut sender, all.into(), false).await?;
            end(sender)
        }
        "echo" => {
            let mut sender = answer.send_response(head()?, false)?;
            while let Some(data) = next(&mut body).await? {
                send(&mut sender, data, false).await?;
            }
            end(sender)
        }
        "stream" => {
            let mut sender = answer.send_response(head()?, false)?;
            for number in 0..5u8 {
                tokio::time::sleep(inner.pause).await;
                send(&mut sender, vec![b'0' + number].into(), false).await?;
            }
            end(sender)
        }
        "fail" => {
            let head = Response::builder().header("grpc-status", "5").body(())?;
            answer.send_response(head, true)?;
            Ok(())
        }
        "hang" => {
            let _ = std::future::poll_fn(|cx| answer.poll_reset(cx)).await;
            inner.cancelled.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        _ => {
            let mut sender = answer.send_response(Response::new(()), false)?;
            Ok(sender.send_data("ok".into(), true)?)
        }
    }
}

fn end(mut sender: SendStream<Bytes>) -> anyhow::Result<()> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(sender.send_trailers(trailers)?)
}
