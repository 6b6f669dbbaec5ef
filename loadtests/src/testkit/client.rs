//! HTTP clients: one keep-alive connection, one cookie jar, and every failure in its class.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

/// Why there is no whole answer. An answer with a bad status is an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody took the connection; no byte was sent.
    #[error("no connection to {address}: {reason}")]
    Connect {
        /// Whom.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The connection ended before the head of the answer was there.
    #[error("the connection ended without an answer: {reason}")]
    Reset {
        /// What the system said.
        reason: String,
    },
    /// The bound for the whole exchange passed.
    #[error("no whole answer within {within:?}")]
    Timeout {
        /// The bound.
        within: Duration,
    },
    /// The head came, the body did not, or it was larger than the bound.
    #[error("the body is not whole: {reason}")]
    Body {
        /// What was wrong with it.
        reason: String,
    },
    /// The request itself cannot be sent.
    #[error("no such request: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// The bounds of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For the whole exchange, the connect included.
    pub timeout: Duration,
    /// For the body of an answer, in bytes.
    pub max_body: usize,
}

/// One keep-alive connection, opened when first needed and again when it has ended.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    limits: Limits,
    open: Option<Open>,
    opened: u64,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

/// Cookies by name. Domain and path are not looked at: a jar is for one application.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    cookies: BTreeMap<String, String>,
}

/// A person at a browser: a connection and a cookie jar.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    /// The cookies.
    pub jar: Jar,
}

// === impl Answer ===

impl Answer {
    /// The body as text, bytes that are none replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header's value, if it is there once or more and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first JSON value of the body; padding may follow it.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::Deserializer::from_slice(&self.body).into_iter().next()?.ok()
    }

    /// The node that answered: its `X-Node`, else the `node` of its JSON.
    pub fn node(&self) -> Option<String> {
        match self.header("x-node") {
            Some(node) => Some(node.to_owned()),
            None => Some(self.json()?.get("node")?.as_str()?.to_owned()),
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Limits { timeout: Duration::from_secs(30), max_body: 64 << 20 }
    }
}

// === impl Connection ===

impl Connection {
    /// A connection that is not open yet.
    pub fn new(address: SocketAddr, limits: Limits) -> Connection {
        Connection { address, limits, open: None, opened: 0 }
    }

    /// The other end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was opened.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Sends a request and gathers the whole answer.
    ///
    /// A request that certainly never left, because the kept connection had ended, goes out once
    /// more on a fresh one, as browsers do; one that may have left is never sent again.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let within = self.limits.timeout;
        match tokio::time::timeout(within, self.exchange(request)).await {
            Ok(result) => result,
            Err(_) => {
                self.close();
                Err(Failure::Timeout { within })
            }
        }
    }

    /// Ends the connection; the next request opens a new one.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.driver.abort();
        }
    }

    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        loop {
            let fresh = self.ensure_open().await?;
            let Some(open) = &mut self.open else { continue };
            match open.sender.try_send_request(request).await {
                Ok(response) => return self.gather(response).await,
                Err(mut refused) => {
                    self.close();
                    match refused.take_message() {
                        Some(unsent) if !fresh => request = unsent,
                        _ => return Err(Failure::Reset { reason: chain(refused.error()) }),
                    }
                }
            }
        }
    }

    /// Whether the connection is a fresh one.
    async fn ensure_open(&mut self) -> Result<bool, Failure> {
        if let Some(open) = &mut self.open
            && open.sender.ready().await.is_ok()
        {
            return Ok(false);
        }
        self.close();
        let address = self.address;
        let refused = |reason: String| Failure::Connect { address, reason };
        let stream = TcpStream::connect(address).await.map_err(|e| refused(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| refused(e.to_string()))?;
        let (sender, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|e| refused(chain(&e)))?;
        // How it ends shows at the next request.
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        self.open = Some(Open { sender, driver });
        self.opened += 1;
        Ok(true)
    }

    async fn gather(&mut self, response: Response<Incoming>) -> Result<Answer, Failure> {
        let (parts, body) = response.into_parts();
        match Limited::new(body, self.limits.max_body).collect().await {
            Ok(body) => {
                Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
            }
            Err(error) => {
                self.close();
                Err(Failure::Body { reason: chain(&*error) })
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

// === impl Jar ===

impl Jar {
    /// Most cookies that are kept; more are dropped.
    pub const MOST: usize = 50;

    /// A cookie's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Puts a cookie in, or another value for it.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.cookies.len() < Self::MOST || self.cookies.contains_key(name) {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The `Cookie` header, if there is any cookie.
    pub fn header(&self) -> Option<String> {
        let pairs: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes over what the answer set or removed.
    pub fn learn(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok()) {
            let Ok(cookie) = cookie::Cookie::parse(line) else { continue };
            match cookie.max_age().is_some_and(|age| age.is_zero()) {
                true => drop(self.cookies.remove(cookie.name())),
                false => self.set(cookie.name(), cookie.value()),
            }
        }
    }
}

// === impl Client ===

impl Client {
    /// A client with an empty jar.
    pub fn new(address: SocketAddr) -> Client {
        Client::with(address, Limits::default())
    }

    /// A client with other bounds.
    pub fn with(address: SocketAddr, limits: Limits) -> Client {
        Client { connection: Connection::new(address, limits), jar: Jar::default() }
    }

    /// GET.
    pub async fn get(&mut self, path: &str) -> Result<Answer, Failure> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Any request, with the jar's cookies; the answer's cookies go into the jar.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(header::HOST, self.connection.address().to_string());
        }
        if let Some(cookies) = self.jar.header() {
            request = request.header(header::COOKIE, cookies);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()));
        let request = request.map_err(|e| Failure::Request { reason: e.to_string() })?;
        let answer = self.connection.send(request).await?;
        self.jar.learn(&answer.headers);
        Ok(answer)
    }

    /// Ends the connection; cookies stay.
    pub fn close(&mut self) {
        self.connection.close();
    }

    /// How often the connection was opened.
    pub fn opened(&self) -> u64 {
        self.connection.opened()
    }
}

/// The owner route in a session id: what follows the first dot.
///
/// ```
/// use muster_loadtests::testkit::client::owner_route;
/// assert_eq!(owner_route("k7.a"), Some("a"));
/// assert_eq!(owner_route("k7"), None);
/// ```
pub fn owner_route(session: &str) -> Option<&str> {
    session.split_once('.').map(|(_, route)| route)
}

/// An error and its sources on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        told.push_str(": ");
        told.push_str(&error.to_string());
        source = error.source();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_learns_replaces_and_forgets() {
        let mut jar = Jar::default();
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, "JSESSIONID=k7.a; Path=/; HttpOnly".parse().unwrap());
        headers.append(header::SET_COOKIE, "theme=dark".parse().unwrap());
        jar.learn(&headers);
        assert_eq!(jar.header().unwrap(), "JSESSIONID=k7.a; theme=dark");
        headers.clear();
        headers.append(header::SET_COOKIE, "theme=; Max-Age=0".parse().unwrap());
        jar.learn(&headers);
        assert_eq!(jar.header().unwrap(), "JSESSIONID=k7.a");
    }

    #[test]
    fn the_node_stands_in_the_header_or_in_the_json_before_padding() {
        let mut answer = Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{\"node\":\"a\"}\nxxxx"),
        };
        assert_eq!(answer.node().as_deref(), Some("a"));
        answer.headers.insert("x-node", "b".parse().unwrap());
        assert_eq!(answer.node().as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_a_failed_connect() {
        let address = crate::testkit::ports::free_address().unwrap();
        let failure = Client::new(address).get("/").await.unwrap_err();
        assert!(matches!(failure, Failure::Connect { .. }), "{failure}");
    }
}
