//! The manager listener: the page with its verbs, the same rows as JSON, CSV, INFO and DUMP for
//! tools, and what a supervisor asks (`/livez`, `/readyz`, `/metrics`).
//!
//! Everything here is a thin shell around [`crate::operate`] and the registry's rows:
//!
//! | module | idea |
//! |---|---|
//! | `guard` | which requests are heard at all: names of our own, pages of our own |
//! | `login`, `who` | who asks, and the way in |
//! | `sessions`, `throttle`, `password` | who is in, who failed, and argon2 |
//! | `view` | the page's model of the rows |
//! | `cluster` | the same of clusters of back ends |
//! | `history`, `sample` | rings of counts, and who reads the counters for them |
//! | `act`, `verbs`, `overrides` | what a form asks for, and its consequences |
//! | `wishes`; `moves`, `jobs`, `queues`, `settings` | the same of clusters of back ends |
//! | `live` | parts of a page, as they change |
//! | `export` | the same for tools |

mod act;
mod cluster;
pub(crate) mod door;
mod export;
mod guard;
mod history;
mod jobs;
mod live;
mod login;
mod moves;
mod overrides;
pub(crate) mod password;
mod queues;
mod sample;
mod sessions;
mod settings;
mod throttle;
mod verbs;
mod view;
pub(crate) mod who;
mod wishes;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{HeaderMap, Request, StatusCode, header};
use muster_web_ui::assets;
use muster_web_ui::csrf::Csrf;
use muster_web_ui::page::{BalancerState, Event, Level, Page, Window};
use muster_web_ui::render::{self, Viewer};
use muster_web_ui::view::{Look, View};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::audit::{Entry, Kind, Outcome};
use crate::config;
use crate::metrics::Metrics;
use crate::operate::{Operators, Role, wall_ms};
use crate::peers;
use crate::published::Published;
use crate::server;
use crate::side::{Ground, Tasks};
use history::History;
use sessions::Sessions;
use who::{Keys, Visitor};

/// Most bytes of a form, where the configuration does not say otherwise.
pub(crate) const MAX_FORM_BYTES: usize = 16 * 1_024;

/// How long a request may take in all, where the configuration does not say otherwise.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Events that the page shows.
const EVENTS_SHOWN: usize = 300;

/// For how long live pages share one reading of the rows.
const SHARED_FOR: Duration = Duration::from_millis(400);

/// Pages with the moments when they were read, one for each window.
type Lately = Vec<(Instant, Arc<Page>)>;

/// What the manager shows, and whom it asks.
#[derive(Clone)]
pub(crate) struct ManagerState {
    /// The registry behind its one writer.
    pub(crate) published: Arc<Published>,
    /// Who does what is asked for.
    pub(crate) operators: Arc<Operators>,
    /// What the balancer counts.
    pub(crate) metrics: Arc<Metrics>,
    /// What `/metrics` shows.
    pub(crate) registry: Arc<prometheus_client::registry::Registry>,
    /// What the balancer as a whole is doing; `/readyz` says it too.
    pub(crate) phase: watch::Receiver<BalancerState>,
    /// Who may come in.
    pub(crate) keys: Arc<Keys>,
    /// The section of the configuration.
    pub(crate) settings: Arc<config::Manager>,
    /// Whether a request's host must be one of a context's aliases.
    pub(crate) by_alias: bool,
    /// Where the listener is bound: a `Host` that it answers to.
    pub(crate) own: SocketAddr,
    /// When the balancer started.
    pub(crate) started: Instant,
    /// The last five minutes and the last hour, and who is in.
    memory: Arc<Memory>,
    /// The last reading for live pages.
    lately: Arc<Mutex<Lately>>,
    /// Room for live pages.
    streams: Arc<Semaphore>,
    /// Ends live pages.
    stop: CancellationToken,
}

/// What the manager remembers for as long as the balancer runs, whatever configuration is read
/// again: who has logged in, and what was counted.
pub(crate) struct Memory {
    csrf: Csrf,
    sessions: Sessions,
    history: history::Shared,
}

/// Serves all manager listeners, and keeps their history.
pub(crate) fn serve(ground: &Ground, tasks: &mut Tasks) {
    if ground.manager.is_empty() {
        return;
    }
    let door = match door::OperatorDoor::new(&ground.config.manager.tls) {
        Ok(door) => door,
        // Its files were looked at before, and have gone since.
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            return tracing::error!(error, "operators are not heard");
        }
    };
    let state = ManagerState::new(ground);
    let (published, metrics) = (ground.published.clone(), ground.metrics.clone());
    let history = ground.memory.history.clone();
    tasks.spawn(|stop| sample::run(published, metrics, history, stop));
    let bounds = server::Bounds {
        max_connections: ground.config.manager.max_connections,
        idle_timeout: ground.config.http.idle_timeout,
    };
    for listener in &ground.manager {
        let Ok(own) = listener.local_addr() else { continue };
        if ground.config.manager.tells_secrets(own) {
            tracing::warn!(
                address = %own,
                "operators log in over plain HTTP: whoever is on the way reads their passwords; \
                 set [manager.tls], unless a proxy with TLS stands in front"
            );
        }
        let (state, listener, door) = (state.clone(), listener.clone(), door.clone());
        tasks.spawn(move |stop| {
            let routes = router(ManagerState { own, stop: stop.clone(), ..state });
            server::run_behind(door, listener, routes, bounds, stop)
        });
    }
}

/// The routes of the manager listener.
pub(crate) fn router(state: ManagerState) -> Router {
    let state = Arc::new(state);
    let mut router = Router::new()
        .route("/", get(view_of))
        .route("/nodes/{route}", get(view_of))
        .route("/contexts", get(view_of))
        .route("/topology", get(view_of))
        .route("/caches", get(view_of))
        .route("/caches/{cluster}/{cache}", get(view_of))
        .route("/sessions", get(view_of))
        .route("/sessions/{cluster}/{deployment}", get(view_of))
        .route("/singletons", get(view_of))
        .route("/singletons/{cluster}/{singleton}", get(view_of))
        .route("/singletons/move", post(moves::singleton))
        .route("/jobs", get(view_of))
        .route("/jobs/{cluster}/{job}", get(view_of))
        .route("/jobs/act", post(jobs::act))
        .route("/queues", get(view_of))
        .route("/queues/{cluster}/{queue}", get(view_of))
        .route("/queues/requeue", post(queues::requeue))
        .route("/settings", get(view_of))
        .route("/settings/change", post(settings::change))
        .route("/settings/confirm", get(settings::confirm))
        .route("/events", get(view_of))
        .route("/config", get(view_of))
        .route("/live", get(live::stream))
        .route("/action", post(act::action))
        .route("/confirm", get(act::confirm))
        .route("/curl", post(act::curl))
        .route("/override", post(act::set))
        .route("/login", get(login::form).post(login::log_in))
        .route("/logout", post(login::log_out))
        .route("/theme", post(login::colours))
        .route("/api/state", get(export::state))
        .route("/export/{name}", get(export::file))
        .route("/info", get(export::info))
        .route("/dump", get(export::dump))
        .route("/mod_cluster_manager", get(export::old_tools))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    for asset in assets::ALL {
        let answer = ([(header::CONTENT_TYPE, asset.content_type)], asset.body);
        router = router.route(asset.path, get(move || async move { answer }));
    }
    let api = Api {
        operators: state.operators.clone(),
        phase: state.phase.clone(),
        started: state.started,
    };
    router
        .nest_service(api::PREFIX, api::router(api))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "there is no such page") })
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(axum::middleware::from_fn_with_state(state.clone(), login::ask))
        // Other balancers show a signature: no login of operators stands before this.
        .merge(peers::router(state.operators.clone()))
        .layer(axum::middleware::from_fn_with_state(state.clone(), guard::admit))
        .layer(axum::middleware::map_response(guard::harden))
        .with_state(state)
}

type Shared = State<Arc<ManagerState>>;

// === impl Memory ===

impl Default for Memory {
    fn default() -> Self {
        Memory {
            csrf: Csrf::new(rand::random()),
            sessions: Sessions::default(),
            history: history::Shared::default(),
        }
    }
}

// === impl ManagerState ===

impl ManagerState {
    fn new(ground: &Ground) -> ManagerState {
        let Ground { config, published, operators, metrics, phase, memory, .. } = ground.clone();
        let settings = &config.manager;
        ManagerState {
            registry: Arc::new(metrics.registry(&published)),
            keys: Arc::new(Keys::new(settings, memory.clone(), operators.audit().clone())),
            by_alias: config.mcmp.use_alias,
            own: SocketAddr::from(([127, 0, 0, 1], 0)),
            started: ground.started,
            lately: Arc::default(),
            streams: Arc::new(Semaphore::new(settings.max_streams)),
            stop: CancellationToken::new(),
            settings: Arc::new(settings.clone()),
            published,
            operators,
            metrics,
            phase,
            memory,
        }
    }

    /// The page of this moment.
    fn page(&self, window: Window) -> Page {
        let (rows, drains) = (self.published.rows(), self.operators.drains());
        let peers = self.operators.peers().shown(&self.operators);
        let history = self.memory.history.lock().unwrap_or_else(PoisonError::into_inner);
        self.page_of(&rows, &drains, &peers, &history, window)
    }

    fn page_of(
        &self,
        rows: &muster_routing::rows::Rows,
        drains: &(Vec<muster_routing::drain::Drain>, Vec<muster_routing::drain::Drain>),
        peers: &[peers::Peer],
        history: &History,
        window: Window,
    ) -> Page {
        let beside = view::Beside {
            state: *self.phase.borrow(),
            uptime: self.started.elapsed(),
            by_alias: self.by_alias,
            connections: self.metrics.connections.get(),
            waiting: self.metrics.waiting.get(),
            drains,
            peers,
            clusters: &self.operators.clusters().all(),
            wall: wall_ms(),
            history,
            window,
        };
        view::page(rows, &beside)
    }

    /// The page as it was a moment ago, for those who look again and again.
    fn page_lately(&self, window: Window) -> Arc<Page> {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.retain(|(read, _)| read.elapsed() < SHARED_FOR);
        if let Some((_, page)) = lately.iter().find(|(_, page)| page.pace.window == window) {
            return page.clone();
        }
        let page = Arc::new(self.page(window));
        lately.push((Instant::now(), page.clone()));
        page
    }

    /// The view of an address of ours for somebody; `None` where there is none.
    fn rendered(&self, visitor: &Visitor, headers: &HeaderMap, of: &str) -> Option<String> {
        let (path, query) = of.split_once('?').unwrap_or((of, ""));
        let (of, look) = (View::from_path(path)?, Look::from_query(query));
        let page = self.page_lately(look.window);
        self.written(&page, visitor, headers, &of, &look)
    }

    fn written(
        &self,
        page: &Page,
        visitor: &Visitor,
        headers: &HeaderMap,
        of: &View,
        look: &Look,
    ) -> Option<String> {
        let viewer = self.viewer(visitor, headers);
        match of {
            View::Events => Some(render::events(page, &viewer, look, &self.events())),
            View::Config => Some(render::config(page, &viewer, &self.operators.configuration())),
            View::Nodes
            | View::Node(_)
            | View::Contexts
            | View::Topology
            | View::Caches
            | View::Sessions
            | View::Singletons
            | View::Singleton { .. }
            | View::Jobs
            | View::Job { .. }
            | View::Queues
            | View::Queue { .. }
            | View::Settings
            | View::Deployment { .. }
            | View::Cache { .. } => render::view(page, &viewer, of, look),
        }
    }

    fn viewer<'a>(&self, visitor: &'a Visitor, headers: &HeaderMap) -> Viewer<'a> {
        let can_act = visitor.actor.role == Role::Operator;
        Viewer {
            name: if self.keys.is_open() { "" } else { &visitor.actor.name },
            role: if can_act { "operator" } else { "viewer" },
            can_act,
            can_leave: visitor.session.is_some(),
            can_drain: true,
            token: visitor.csrf.as_ref().map_or("", Csrf::token),
            theme: login::theme(headers),
        }
    }

    /// What happened lately, the latest first.
    fn events(&self) -> Vec<Event> {
        let now = jiff::Timestamp::now();
        let tail = self.operators.audit().tail(EVENTS_SHOWN);
        tail.iter().rev().map(|entry| event(entry, now)).collect()
    }
}

fn event(entry: &Entry, now: jiff::Timestamp) -> Event {
    let mut what = entry.verb.replace('_', " ");
    if let (Some(before), Some(after)) = (&entry.before, &entry.after) {
        match before.is_empty() {
            true => what.push_str(&format!(": {after}")),
            false => what.push_str(&format!(": {before} to {after}")),
        }
    }
    if let Some(why) = &entry.why {
        what.push_str(&format!(", {why}"));
    }
    let (kind, who) = match entry.kind {
        Kind::Operator => ("operator", Some(entry.actor.to_string())),
        Kind::Peer => ("peer", Some(entry.actor.to_string())),
        Kind::Node => ("node", Some(format!("node {}", entry.actor))),
        Kind::Balancer => ("balancer", None),
    };
    let who = match (&entry.from, who) {
        (Some(from), Some(who)) => Some(format!("{who} from {from}")),
        (_, who) => who,
    };
    let at: Option<jiff::Timestamp> = entry.time.parse().ok();
    let ago = at.map_or(0, |at| now.as_second().saturating_sub(at.as_second()));
    let at_ms = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    Event {
        at: entry.time.clone(),
        at_ms: at_ms.unwrap_or(0),
        seconds_ago: u64::try_from(ago).unwrap_or(0),
        kind: kind.to_owned(),
        level: match (entry.outcome, entry.kind) {
            (Outcome::Refused, _) => Level::Warn,
            (Outcome::Done, _) => Level::Info,
        },
        who,
        subject: entry.target.clone(),
        what,
    }
}

// === the page ===

async fn view_of(
    State(state): Shared,
    Extension(visitor): Extension<Visitor>,
    request: Request<Body>,
) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let look = Look::from_query(uri.query().unwrap_or_default());
    let html = View::from_path(uri.path()).and_then(|of| {
        let page = state.page(look.window);
        state.written(&page, &visitor, headers, &of, &look)
    });
    match html {
        Some(html) => Html(html).into_response(),
        None => {
            let why = "there is no such page, or no node of this name any more";
            act::refused(headers, (StatusCode::NOT_FOUND, why.to_owned()))
        }
    }
}

fn wants_html(headers: &HeaderMap) -> bool {
    accept(headers).is_some_and(|accept| accept.contains("text/html"))
}

fn accept(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::ACCEPT).and_then(|value| value.to_str().ok())
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

// === what a supervisor asks ===

async fn readyz(State(state): Shared) -> Response {
    let phase = *state.phase.borrow();
    let status = match phase {
        BalancerState::Ready => StatusCode::OK,
        BalancerState::Starting | BalancerState::Draining => StatusCode::SERVICE_UNAVAILABLE,
    };
    refuse(status, phase.word())
}

async fn metrics(State(state): Shared) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &state.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[cfg(test)]
mod tests;
