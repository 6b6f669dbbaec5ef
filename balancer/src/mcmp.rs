//! The MCMP listener: bytes to a [`Command`], the command to the registry, the outcome back.
//!
//! It has a listener of its own; nothing that comes in on the public one ever gets here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use muster_protocol::mcmp::parse::{ParseError, parse_within};
use muster_protocol::mcmp::reply::{Answer, Format, Refused, Reply};
use muster_protocol::mcmp::{App, Command, Ping, Scope};
use muster_routing::registry::{ApplyError, Outcome};

use crate::PRODUCT;
use crate::audit::{Entry, Kind};
use crate::metrics::Metrics;
use crate::published::Published;

/// What the listener needs.
#[derive(Debug, Clone)]
pub(crate) struct Mcmp {
    /// The registry.
    pub(crate) published: Arc<Published>,
    /// Counters.
    pub(crate) metrics: Arc<Metrics>,
    /// Most bytes of a message's body.
    pub(crate) max_body_bytes: usize,
    /// How long a message may take to come once its head is there.
    pub(crate) read_timeout: Duration,
}

/// Why a message did not become an outcome.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    #[error("the body broke off")]
    BrokenOff,
    #[error("the body did not come within {0:?}")]
    TooLate(Duration),
}

/// The routes: every method and every uri.
pub(crate) fn router(mcmp: Mcmp) -> Router {
    Router::new().fallback(answer).with_state(mcmp)
}

async fn answer(
    State(mcmp): State<Mcmp>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let (method, uri) = (head.method.as_str(), head.uri.path());
    let before = mcmp.published.version();
    let told = match mcmp.read(body).await {
        Ok(body) => mcmp.told(client, method, uri, &body).await,
        Err(failure) => Err(failure),
    };
    let answer = match told {
        Ok((command, outcome)) => {
            log(client, &command, mcmp.published.version() != before);
            mcmp.reply(&command, outcome).answer(format(&head.headers))
        }
        Err(failure) => {
            tracing::warn!(%client, method, uri, %failure, "MCMP message refused");
            mcmp.write_down(client, method, uri, &failure);
            failure.answer()
        }
    };
    mcmp.metrics.mcmp(method, answer.status);
    response(answer)
}

impl Mcmp {
    async fn read(&self, body: Body) -> Result<Bytes, Failure> {
        let (limit, within) = (self.max_body_bytes, self.read_timeout);
        let body = tokio::time::timeout(within, Limited::new(body, limit).collect()).await;
        match body.map_err(|_| Failure::TooLate(within))? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLong(limit)),
            Err(_) => Err(Failure::BrokenOff),
        }
    }

    async fn told(
        &self,
        client: SocketAddr,
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Result<(Command, Outcome), Failure> {
        let command = parse_within(method, uri, body, self.max_body_bytes)?;
        let outcome = self.published.tell_from(&command, Some(client)).await?;
        Ok((command, outcome))
    }

    /// What the registry refuses it has written down itself.
    fn write_down(&self, client: SocketAddr, method: &str, uri: &str, failure: &Failure) {
        let Some(audit) = self.published.audit() else { return };
        match failure {
            Failure::Apply(_) => {}
            Failure::Parse(_) | Failure::TooLong(_) | Failure::BrokenOff | Failure::TooLate(_) => {
                let from = client.to_string();
                let entry = Entry::new(Kind::Node, from.as_str(), method, uri);
                audit.record(entry.from(Some(from.into())).refused(failure));
            }
        }
    }

    fn reply(&self, command: &Command, outcome: Outcome) -> Reply {
        let id = self.published.id();
        match (command, outcome) {
            (
                Command::App(App { route, scope: Scope::Contexts(host), .. }),
                Outcome::Stopped { requests },
            ) => Reply::Stop {
                route: route.clone(),
                aliases: host.aliases.clone(),
                contexts: host.contexts.clone(),
                requests,
            },
            (Command::Status(status), Outcome::Alive(ok)) => {
                Reply::Status { route: status.route.clone(), ok, id }
            }
            (Command::Ping(ping), Outcome::Alive(ok)) => {
                let route = match ping {
                    Ping::Node(route) => Some(route.clone()),
                    Ping::Balancer | Ping::Address { .. } => None,
                };
                Reply::Ping { route, ok, id }
            }
            (Command::Info, _) => Reply::Info(self.published.info()),
            (Command::Dump, _) => Reply::Dump(self.published.dump()),
            (Command::Version, _) => Reply::Version { product: PRODUCT.to_owned() },
            _ => Reply::Empty,
        }
    }
}

impl Failure {
    fn answer(&self) -> Answer {
        match self {
            Failure::Parse(error) => error.answer(),
            // Any kind but SYNTAX lets the node register again.
            Failure::Apply(error) => Refused::mem(error.to_string()).answer(),
            Failure::TooLong(_) => self.plain(StatusCode::PAYLOAD_TOO_LARGE),
            Failure::BrokenOff => self.plain(StatusCode::BAD_REQUEST),
            Failure::TooLate(_) => self.plain(StatusCode::REQUEST_TIMEOUT),
        }
    }

    fn plain(&self, status: StatusCode) -> Answer {
        Answer {
            status: status.as_u16(),
            content_type: "text/plain",
            headers: Vec::new(),
            body: format!("{self}\n"),
        }
    }
}

/// What changed nothing (most of it comes again and again) is told to those only who look closer.
fn log(client: SocketAddr, command: &Command, has_changed: bool) {
    match command {
        Command::Config(config) => {
            let (route, address) = (&config.route, &config.address);
            tracing::info!(%client, %route, %address, "CONFIG: a node registered");
        }
        Command::App(App { verb, route, scope }) if !has_changed => {
            tracing::debug!(%client, ?verb, %route, ?scope, "verb of a node that changes nothing");
        }
        Command::App(App { verb, route, scope }) => {
            tracing::info!(%client, ?verb, %route, ?scope, "verb of a node");
        }
        Command::Status(status) => tracing::debug!(%client, ?status, "STATUS"),
        Command::Ping(_) | Command::Info | Command::Dump | Command::Version => {}
    }
}

fn format(headers: &HeaderMap) -> Format {
    Format::from_accept(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()))
}

fn response(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        let named = HeaderName::from_bytes(name.as_bytes()).ok();
        if let (Some(name), Ok(value)) = (named, HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use muster_routing::health::Timing;
    use muster_routing::{Limits, Registry};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::probe::Prober;
    use crate::server;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Sends a message and gives the whole answer.
    async fn tell(to: SocketAddr, message: &str) -> String {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        answer
    }

    #[tokio::test]
    async fn messages_without_their_bodies_do_not_block_the_listener() {
        let limits = Limits { nodes: 1, contexts: 1, gone: 1 };
        let registry = Registry::new(limits, Timing::default(), false);
        let routes = router(Mcmp {
            published: Arc::new(Published::new(registry, Prober::default(), 1)),
            metrics: Arc::default(),
            max_body_bytes: 1024,
            read_timeout: Duration::from_millis(100),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Only the bound of a message can end one that has come in part.
        let bounds = server::Bounds { max_connections: 2, idle_timeout: PATIENCE * 60 };
        let stop = CancellationToken::new();
        let running = tokio::spawn(server::run(listener.into(), routes, bounds, stop.clone()));

        let broken = "CONFIG / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nJVMRoute=a";
        let whole = "INFO / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let told = [tell(address, broken), tell(address, broken), tell(address, whole)];
        let [first, second, third] = futures_util::future::join_all(told).await.try_into().unwrap();
        assert!(first.starts_with("HTTP/1.1 408 "), "{first}");
        assert!(second.starts_with("HTTP/1.1 408 "), "{second}");
        assert!(third.starts_with("HTTP/1.1 200 "), "{third}");

        stop.cancel();
        tokio::time::timeout(PATIENCE, running).await.unwrap().unwrap();
    }
}
