//! One request to another balancer's manager, bounded in everything.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Papers;

/// Most bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A manager, ready to be called.
#[derive(Clone)]
pub(crate) struct Caller {
    host: String,
    port: u16,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Duration,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0:?} is no url of a manager (https://10.0.0.2:6667)")]
    Url(String),
    #[error("cannot use the authorities: {0}")]
    Authorities(String),
    #[error("cannot use the own certificate: {0}")]
    Certificate(String),
    #[error("cannot connect to {authority}: {why}")]
    Connect { authority: String, why: String },
    #[error("{authority} did not answer well: {why}")]
    Answer { authority: String, why: String },
    #[error("{authority} did not answer within {within:?}")]
    Late { authority: String, within: Duration },
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Caller {
    /// A manager at a url; the papers are those of https.
    pub(crate) fn new(
        url: &str,
        papers: Papers<'_>,
        timeout: Duration,
    ) -> Result<Caller, CallError> {
        let bad = || CallError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (None, 80),
            Some("https") => {
                let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
                (Some((papers.connector()?, name)), 443)
            }
            _ => return Err(bad()),
        };
        let port = authority.port_u16().unwrap_or(default_port);
        Ok(Caller { host, port, authority: authority.to_string(), tls, timeout })
    }

    /// The same with another bound.
    pub(crate) fn within(&self, timeout: Duration) -> Caller {
        Caller { timeout, ..self.clone() }
    }

    /// Sends a request on a connection of its own.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Answer, CallError> {
        let exchange = self.exchange(method, path, headers, body.into());
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => {
                let authority = self.authority.clone();
                Err(CallError::Late { authority, within: self.timeout })
            }
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, CallError> {
        let failed = |why: String| CallError::Answer { authority: self.authority.clone(), why };
        let stream = self.connect().await.map_err(|why| CallError::Connect {
            authority: self.authority.clone(),
            why: why.to_string(),
        })?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| failed(error.to_string()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::CONNECTION, "close")
            .body(Full::new(body))
            .map_err(|error| failed(error.to_string()))?;
        request.headers_mut().extend(headers);
        let asked = async {
            let answer = sender.send_request(request).await.map_err(|e| failed(e.to_string()))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
                failed(match error.is::<LengthLimitError>() {
                    true => format!("the answer is longer than {MAX_ANSWER} bytes"),
                    false => error.to_string(),
                })
            })?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        let mut asked = std::pin::pin!(asked);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            answer = &mut asked => return answer,
            _ = &mut connection => {}
        }
        asked.await
    }

    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let _ = stream.set_nodelay(true);
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
        })
    }
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Caller").field(&self.authority).finish()
    }
}
