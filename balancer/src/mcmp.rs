//! The MCMP listener: bytes to a [`Command`], the command to the registry, the outcome back.
//!
//! It has a listener of its own; nothing that comes in on the public one ever gets here.
//!
//! | module | idea |
//! |---|---|
//! | `door` | who may connect: allowed networks, TLS |
//! | `lock`, `secrets` | whom a message is from: signature, certificate, address |
//! | `guard` | which addresses a node may register |
//! | `seat` | which cluster a node is of, and where others of it are |
//! | `refusal` | why a message is refused, and what it is answered |
//! | `quiet` | a log that a flood cannot fill |

mod door;
mod guard;
mod lock;
mod quiet;
mod refusal;
mod seat;
pub mod secrets;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use axum::{Extension, Router};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use muster_protocol::mcmp::parse::parse_within;
use muster_protocol::mcmp::reply::{Answer, Format, Reply};
use muster_protocol::mcmp::{App, Command, Ping, Scope};
use muster_protocol::signature::{Secrets, Signed};
use muster_routing::Sender;
use muster_routing::registry::Outcome;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::PRODUCT;
use crate::audit::{Entry, Kind};
use crate::config;
use crate::metrics::Metrics;
use crate::published::Published;
use crate::server;
use crate::side::Ground;
use crate::tls::TlsMcmp;
use door::NodeDoor;
use guard::Guard;
use lock::{Known, Lock};
use quiet::Quiet;
use refusal::Refusal;

const SIGNATURE: HeaderName = HeaderName::from_static("x-muster-signature");

/// What the listener needs. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Mcmp {
    published: Arc<Published>,
    metrics: Arc<Metrics>,
    lock: Arc<Lock>,
    guard: Guard,
    quiet: Arc<Quiet>,
    /// Most bytes of a message's body.
    max_body_bytes: usize,
    /// How long a message may take to come once its head is there.
    read_timeout: Duration,
}

/// What became of a message.
struct Told {
    /// Set where the answer is to be signed.
    signed: Option<Signed>,
    result: Result<(Command, Outcome), Refusal>,
}

/// Serves nodes until `stop`.
pub(crate) async fn run(
    mcmp: Mcmp,
    listener: Arc<TcpListener>,
    settings: config::Mcmp,
    tls: Option<Arc<TlsMcmp>>,
    stop: CancellationToken,
) {
    let bounds = server::Bounds {
        max_connections: settings.max_connections,
        idle_timeout: settings.idle_timeout,
    };
    let (metrics, quiet) = (mcmp.metrics.clone(), mcmp.quiet.clone());
    let door = NodeDoor::new(settings.allow, tls, metrics, quiet);
    server::run_behind(door, listener, router(mcmp), bounds, stop).await;
}

/// The routes: every method and every uri.
fn router(mcmp: Mcmp) -> Router {
    Router::new().fallback(answer).with_state(mcmp)
}

async fn answer(
    State(mcmp): State<Mcmp>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    Extension(known): Extension<Known>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let before = mcmp.published.version();
    let told = mcmp.told(client.ip().to_canonical(), &known, &head, body).await;
    let answer = match told.result {
        Ok((command, outcome)) => {
            log(client, &command, mcmp.published.version() != before);
            let mut answer = mcmp.reply(&command, outcome).answer(format(&head.headers));
            answer.headers.extend(mcmp.peers(&head, &command));
            answer
        }
        Err(refusal) => {
            mcmp.note(client, &head, &refusal);
            refusal.answer()
        }
    };
    mcmp.metrics.mcmp(head.method.as_str(), answer.status);
    mcmp.response(answer, told.signed)
}

impl Mcmp {
    /// A listener's state.
    pub(crate) fn new(ground: &Ground, secrets: Option<Secrets>) -> Mcmp {
        let Ground { config, published, metrics, listeners, .. } = ground;
        let (published, metrics) = (published.clone(), metrics.clone());
        Mcmp::of(&config.mcmp, secrets, listeners.clone(), published, metrics)
    }

    /// `own` are all of our listeners, as they are bound: none of them is a node.
    fn of(
        settings: &config::Mcmp,
        secrets: Option<Secrets>,
        own: Vec<SocketAddr>,
        published: Arc<Published>,
        metrics: Arc<Metrics>,
    ) -> Mcmp {
        Mcmp {
            published,
            metrics,
            lock: Arc::new(Lock::new(settings, secrets)),
            guard: Guard::new(settings.allow_addresses.clone(), own),
            quiet: Arc::default(),
            max_body_bytes: settings.max_body_bytes,
            read_timeout: settings.idle_timeout,
        }
    }

    async fn told(&self, from: IpAddr, known: &Known, head: &Parts, body: Body) -> Told {
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(refusal) => return Told { signed: None, result: Err(refusal) },
        };
        let verdict = self.lock.look(head, &body, from, known);
        let result = match verdict.sender {
            Ok(sender) => self.obey(sender, head, &body).await,
            Err(reason) => Err(Refusal::Signature { reason, now: lock::now() }),
        };
        Told { signed: verdict.signed, result }
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let (limit, within) = (self.max_body_bytes, self.read_timeout);
        let body = tokio::time::timeout(within, Limited::new(body, limit).collect()).await;
        match body.map_err(|_| Refusal::TooLate(within))? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::TooLong(limit)),
            Err(_) => Err(Refusal::BrokenOff),
        }
    }

    /// Does what somebody asks for whose word counts.
    async fn obey(
        &self,
        mut sender: Sender,
        head: &Parts,
        body: &[u8],
    ) -> Result<(Command, Outcome), Refusal> {
        let (method, uri) = (head.method.as_str(), head.uri.path());
        let command = parse_within(method, uri, body, self.max_body_bytes)?;
        let checked = match &command {
            Command::Config(config) => self.guard.check(&config.address, sender.from).await?,
            _ => None,
        };
        sender.seated = self.seated(head, &command, sender.from).await;
        sender.members = self.members(head, &command, sender.from);
        let outcome = self.published.tell_from(&sender, &command, checked).await?;
        Ok((command, outcome))
    }

    fn note(&self, client: SocketAddr, head: &Parts, refusal: &Refusal) {
        let reason = refusal.word();
        self.metrics.mcmp_refused(reason);
        let Some(left_out) = self.quiet.line(Instant::now()) else { return };
        let (method, uri) = (head.method.as_str(), head.uri.path());
        tracing::warn!(%client, method, uri, reason, %refusal, left_out, "MCMP message refused");
        self.write_down(client, method, uri, refusal);
    }

    /// What the registry refuses it has written down itself.
    fn write_down(&self, client: SocketAddr, method: &str, uri: &str, refusal: &Refusal) {
        let Some(audit) = self.published.audit() else { return };
        if !matches!(refusal, Refusal::Apply(_)) {
            let from = client.to_string();
            let entry = Entry::new(Kind::Node, from.as_str(), method, uri);
            audit.record(entry.from(Some(from.into())).refused(refusal));
        }
    }

    fn response(&self, answer: Answer, signed: Option<Signed>) -> Response {
        let status = StatusCode::from_u16(answer.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        let mut set = |name: &str, value: &str| {
            let named = HeaderName::from_bytes(name.as_bytes()).ok();
            if let (Some(name), Ok(value)) = (named, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        };
        answer.headers.iter().for_each(|(name, value)| set(name, value));
        let body = answer.body.as_bytes();
        // Over the headers as they leave: one that cannot be sent is not signed.
        if let Some(value) = signed
            .and_then(|signed| self.lock.sign(signed, status.as_u16(), &headers, body))
            .and_then(|value| HeaderValue::from_str(&value).ok())
        {
            headers.insert(SIGNATURE, value);
        }
        let mut response = Response::new(Body::from(answer.body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
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

#[cfg(test)]
mod tests;
