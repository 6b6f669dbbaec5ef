//! The MCMP listener: bytes to a [`Command`], the command to the registry, the outcome back.
//!
//! It has a listener of its own; nothing that comes in on the public one ever gets here.

use std::net::SocketAddr;
use std::sync::Arc;

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
    let told = match read(body, mcmp.max_body_bytes).await {
        Ok(body) => mcmp.told(method, uri, &body).await,
        Err(failure) => Err(failure),
    };
    let answer = match told {
        Ok((command, outcome)) => {
            log(client, &command);
            mcmp.reply(&command, outcome).answer(format(&head.headers))
        }
        Err(failure) => {
            tracing::warn!(%client, method, uri, %failure, "MCMP message refused");
            failure.answer()
        }
    };
    mcmp.metrics.mcmp(method, answer.status);
    response(answer)
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    let body = Limited::new(body, limit).collect().await.map_err(|error| match error
        .downcast_ref::<LengthLimitError>(
    ) {
        Some(_) => Failure::TooLong(limit),
        None => Failure::BrokenOff,
    })?;
    Ok(body.to_bytes())
}

impl Mcmp {
    async fn told(
        &self,
        method: &str,
        uri: &str,
        body: &[u8],
    ) -> Result<(Command, Outcome), Failure> {
        let command = parse_within(method, uri, body, self.max_body_bytes)?;
        let outcome = self.published.tell(&command).await?;
        Ok((command, outcome))
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

fn log(client: SocketAddr, command: &Command) {
    match command {
        Command::Config(config) => {
            let (route, address) = (&config.route, &config.address);
            tracing::info!(%client, %route, %address, "CONFIG: a node registered");
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
