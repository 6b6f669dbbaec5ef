//! The policy of every request, one piece of code for any engine: choose, wait, retry, count.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use muster_protocol::names::ContextPath;
use muster_routing::context::ContextState;
use muster_routing::retry::{Budget, Failure, Verdict, judge};
use muster_routing::{NodeId, Refusal, Request, decide};

use super::exchange::{Detail, Target, word};
use super::queue::Queue;
use super::{Ending, Exchange, Policy, Refused};
use crate::access_log::{AccessLog, Line};
use crate::caps::rate::{RateLimits, TooFast};
use crate::config::Config;
use crate::metrics::Metrics;
use crate::published::Published;
use crate::tls::NodeTls;
use crate::trace::{Closing, Opening, Tracer};

/// Most looks at the table for one choice: it may change meanwhile, or a node have no address.
const MAX_LOOKS: usize = 16;

/// What all requests share, by one reading of the configuration. A reload makes another one of it,
/// which goes on with the same nodes, counters and queue.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) published: Arc<Published>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) policy: Policy,
    pub(crate) node_tls: Arc<NodeTls>,
    rates: Arc<RateLimits>,
    access: Option<Arc<AccessLog>>,
    tracer: Option<Arc<Tracer>>,
    /// Whether anybody is told more of a request than the short line of the log.
    is_detailed: bool,
    budget: Arc<Budget>,
    queue: Arc<Queue>,
}

/// What a choice needs of a request's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'r> {
    /// Who asks: for limits of rates.
    pub(crate) client: Option<IpAddr>,
    pub(crate) host: &'r str,
    pub(crate) path: &'r str,
    pub(crate) cookies: &'r [&'r str],
}

impl Edge {
    pub(crate) fn new(
        config: &Config,
        published: Arc<Published>,
        metrics: Arc<Metrics>,
        access: Option<Arc<AccessLog>>,
        tracer: Option<Arc<Tracer>>,
        node_tls: Arc<NodeTls>,
    ) -> Edge {
        access.iter().for_each(|access| access.count_lost(&metrics.lost_lines));
        Edge {
            is_detailed: is_detailed(&tracer, &access),
            published,
            metrics,
            policy: Policy::of(config),
            node_tls,
            rates: Arc::new(RateLimits::new(&config.rate_limits)),
            access,
            tracer,
            budget: Arc::new(budget(config)),
            queue: Arc::default(),
        }
    }

    /// What it becomes by a reload. Limits of rates and the budget that stay the same remember
    /// what they have counted.
    pub(crate) fn after_reload(
        &self,
        old: &Config,
        new: &Config,
        access: Option<Arc<AccessLog>>,
    ) -> Edge {
        access.iter().for_each(|access| {
            access.set_format(new.log.access_format);
            access.count_lost(&self.metrics.lost_lines);
        });
        Edge {
            is_detailed: is_detailed(&self.tracer, &access),
            published: self.published.clone(),
            metrics: self.metrics.clone(),
            policy: Policy::of(new),
            node_tls: self.node_tls.clone(),
            rates: match old.rate_limits == new.rate_limits {
                true => self.rates.clone(),
                false => Arc::new(RateLimits::new(&new.rate_limits)),
            },
            access,
            tracer: self.tracer.clone(),
            budget: match old.retry == new.retry {
                true => self.budget.clone(),
                false => Arc::new(budget(new)),
            },
            queue: self.queue.clone(),
        }
    }

    /// A request came in.
    pub(crate) fn begin(&self) -> Exchange {
        self.budget.deposit();
        Exchange { detail: self.is_detailed.then(Box::default), ..Exchange::new() }
    }

    /// The request's head is there: where traces are on it gets its own.
    pub(crate) fn trace<'r>(&self, exchange: &mut Exchange, opening: impl FnOnce() -> Opening<'r>) {
        if let Some(tracer) = &self.tracer {
            exchange.trace = Some(Box::new(tracer.begin(opening())));
        }
    }

    /// Finds the node for the next attempt and counts the request there. Waits, within bounds,
    /// where every node is busy or WaitWorker says so.
    pub(crate) async fn choose(
        &self,
        exchange: &mut Exchange,
        asked: Asked<'_>,
    ) -> Result<(), Refused> {
        self.check_rate(exchange, asked)?;
        match self.choose_now(exchange, asked) {
            Ok(()) => Ok(()),
            Err(refusal) => match self.patience(refusal) {
                Some(wait) => self.wait_and_choose(exchange, asked, wait).await,
                None => Err(refusal.into()),
            },
        }
    }

    /// The node could not be connected to: it is left out, and probed at once. Not to be said of a
    /// fault of our own, such as too many open files.
    pub(crate) fn leave_out(&self, exchange: &Exchange) {
        let Some(Target { node, .. }) = &exchange.target else { return };
        if self.published.change(|registry, now| registry.connect_failed(node.id, now)) {
            let route = &node.config.route;
            tracing::warn!(%route, "cannot connect: the node is left out until a probe passes");
        }
    }

    /// Judges a failed attempt. True when the request may be tried again, now elsewhere or on a
    /// fresh connection; otherwise the exchange knows what to tell the client.
    pub(crate) fn failed(
        &self,
        exchange: &mut Exchange,
        failure: Failure,
        method: &str,
        replayable: bool,
    ) -> bool {
        self.leave(exchange);
        if failure == Failure::Connect {
            self.metrics.unconnected.inc();
        }
        if let Some(trace) = &mut exchange.trace {
            trace.failed(cause(failure));
        }
        let Some(attempt) = exchange.attempt(method, replayable) else { return false };
        let Some(Target { node, .. }) = &exchange.target else { return false };
        let (id, live) = (node.id, node.live.clone());
        match judge(&attempt, failure) {
            Verdict::Afresh => {
                exchange.raced = true;
                self.metrics.retried("race");
                true
            }
            Verdict::Elsewhere => {
                let is_withdrawn = failure == Failure::Withdrawn;
                let cause = if is_withdrawn { "withdrawn" } else { "connect" };
                self.go_elsewhere(exchange, id, cause);
                true
            }
            Verdict::IfBudget if self.budget.withdraw(self.published.now()) => {
                let is_left_out = failure == Failure::LeftOut;
                let cause = if is_left_out { "left-out" } else { "unanswered" };
                self.go_elsewhere(exchange, id, cause);
                true
            }
            Verdict::IfBudget | Verdict::GiveUp => {
                live.lose();
                exchange.refused = Some(match failure {
                    Failure::TimedOut | Failure::LeftOut => Refused::NodeSilent,
                    Failure::Connect
                    | Failure::Unanswered { .. }
                    | Failure::Withdrawn
                    | Failure::Answered => Refused::NodeFailed,
                });
                false
            }
        }
    }

    /// Whether an answer of that status only says that the node has stopped or removed the
    /// request's context since it was chosen, or that it cannot serve while its cluster goes on
    /// without it, and the request may go elsewhere. A worker that
    /// undeploys unmaps its context first and tells us some milliseconds later: who came between
    /// the two gets the worker's own 404 or 503. From a node that only takes no new sessions an
    /// answer is an answer: its sessions are still its own.
    pub(crate) fn is_withdrawn(
        &self,
        exchange: &Exchange,
        status: u16,
        host: &str,
        path: &str,
        method: &str,
    ) -> bool {
        let attempt = exchange.target.as_ref().zip(exchange.attempt(method, true));
        let Some((target, attempt)) = attempt.filter(|_| matches!(status, 404 | 503)) else {
            return false;
        };
        if judge(&attempt, Failure::Withdrawn) != Verdict::Elsewhere {
            return false;
        }
        if status == 503 && target.node.live.is_left_out() {
            return true;
        }
        let table = self.published.table();
        let (entry, node) =
            (table.entry(host, path), table.node(target.node.config.route.as_str()));
        let state = entry.zip(node).and_then(|(entry, node)| node.context(&entry.key));
        state.is_none_or(|(state, _)| state == ContextState::Stopped)
    }

    /// Whether a request that waits for its node's answer may be sent to another, and there is one.
    pub(crate) fn may_go_elsewhere(
        &self,
        exchange: &Exchange,
        asked: Asked<'_>,
        method: &str,
    ) -> bool {
        let (Some(target), Some(attempt)) = (&exchange.target, exchange.attempt(method, true))
        else {
            return false;
        };
        if judge(&attempt, Failure::LeftOut) != Verdict::IfBudget {
            return false;
        }
        let mut tried = exchange.tried.clone();
        tried.push(target.node.id);
        let Asked { host, path, cookies, .. } = asked;
        let max_in_flight = self.policy.max_in_flight;
        let request = Request { host, path, cookies, tried: &tried, max_in_flight };
        decide(&self.published.table(), &request).is_ok()
    }

    /// The request is over: log, counters, and whoever waits for its place.
    pub(crate) fn end(&self, exchange: &mut Exchange, ending: Ending<'_>) {
        let took = exchange.started.elapsed();
        if let Some(in_flight) = exchange.in_flight.take() {
            in_flight.finish(ending.received, ending.sent, ending.status);
            self.queue.wake();
        }
        self.metrics.answered(took, ending.status);
        if let Some(refused) = exchange.refused {
            self.metrics.refused(refused.word());
        }
        if let Some(access) = &self.access {
            let node = exchange.target.as_ref().map(|target| target.node.config.route.as_str());
            let (how, attempts) = (exchange.how(), exchange.attempts);
            let trace = exchange.trace.as_ref().map(|trace| trace.id());
            let detail = exchange.detail.as_deref();
            access.write(&Line { ending, took, node, how, attempts, trace, detail });
        }
        if let (Some(tracer), Some(trace)) = (&self.tracer, exchange.trace.take()) {
            let context = exchange.detail.as_ref().and_then(|detail| detail.context.as_ref());
            let (started, context) = (exchange.started, context.map(ContextPath::as_str));
            let refused = exchange.refused.map(Refused::word);
            tracer.end(*trace, Closing { ending, started, context, refused });
        }
    }

    /// What is left of the time that a whole exchange may take.
    pub(crate) fn time_left(&self, exchange: &Exchange) -> Duration {
        self.policy.total_timeout.saturating_sub(exchange.started.elapsed())
    }

    /// Counts the request against the limits of its context, once.
    fn check_rate(&self, exchange: &mut Exchange, asked: Asked<'_>) -> Result<(), Refused> {
        if self.rates.is_empty() || std::mem::replace(&mut exchange.is_counted, true) {
            return Ok(());
        }
        let table = self.published.table();
        match (table.entry(asked.host, asked.path), asked.client) {
            (Some(entry), Some(client)) => self
                .rates
                .check(&entry.key.path, client)
                .map_err(|TooFast { retry_after }| Refused::TooFast { retry_after }),
            _ => Ok(()),
        }
    }

    fn choose_now(&self, exchange: &mut Exchange, asked: Asked<'_>) -> Result<(), Refusal> {
        let Asked { host, path, cookies, .. } = asked;
        for _ in 0..MAX_LOOKS {
            let table = self.published.table();
            let tried = &exchange.tried;
            let max_in_flight = self.policy.max_in_flight;
            let decision = decide(&table, &Request { host, path, cookies, tried, max_in_flight })?;
            let node = decision.node;
            let looked_up = || self.published.prober().socket(&node.config.address);
            let Some(socket) = node.socket.or_else(looked_up) else {
                exchange.tried.push(node.id);
                continue;
            };
            let in_flight = decision.count();
            if !self.published.is_current(&table) {
                // A node that was stopped meanwhile may have heard that nothing is left for it.
                continue;
            }
            exchange.in_flight = Some(in_flight);
            exchange.attempts += 1;
            if let Some(detail) = &mut exchange.detail {
                note(detail, &decision.entry.key.path, exchange.started);
            }
            if let Some(trace) = &mut exchange.trace {
                trace.attempt(node, socket, word(decision.how));
            }
            exchange.target = Some(Target {
                node: node.clone(),
                socket,
                how: decision.how,
                strip_session: decision.strip_session,
                connect_only: self.policy.connect_only.contains(&decision.entry.key.path),
            });
            return Ok(());
        }
        Err(Refusal::NoNode { wait: Duration::ZERO })
    }

    /// How long a refusal may be waited out.
    fn patience(&self, refusal: Refusal) -> Option<Duration> {
        let wait = match refusal {
            Refusal::NoContext => return None,
            Refusal::NoNode { wait } => wait,
            Refusal::Busy => self.policy.queue_wait,
        };
        (!wait.is_zero()).then_some(wait)
    }

    async fn wait_and_choose(
        &self,
        exchange: &mut Exchange,
        asked: Asked<'_>,
        wait: Duration,
    ) -> Result<(), Refused> {
        let place = self.queue.take_place(self.policy.queue_length, &self.metrics.waiting);
        let Some(_place) = place else { return Err(Refused::Busy) };
        let deadline = tokio::time::Instant::from_std(Instant::now() + wait);
        let mut changes = self.published.changes();
        loop {
            // Listening before looking, so that nothing that happens between the two is missed.
            let mut freed = std::pin::pin!(self.queue.freed());
            freed.as_mut().enable();
            changes.mark_unchanged();
            let refusal = match self.choose_now(exchange, asked) {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            tokio::select! {
                _ = tokio::time::sleep_until(deadline) => return Err(refusal.into()),
                // Another world: who failed this request may be back.
                _ = changes.changed() => exchange.tried.clear(),
                _ = freed => {}
            }
        }
    }

    fn leave(&self, exchange: &mut Exchange) {
        if let Some(in_flight) = exchange.in_flight.take() {
            in_flight.fail();
            self.queue.wake();
        }
    }

    fn go_elsewhere(&self, exchange: &mut Exchange, id: NodeId, cause: &'static str) {
        exchange.tried.push(id);
        exchange.retries += 1;
        self.metrics.retried(cause);
    }
}

fn budget(config: &Config) -> Budget {
    let floor = u32::try_from(config.retry.budget_floor).unwrap_or(u32::MAX);
    Budget::new(config.retry.budget_ratio, floor)
}

fn is_detailed(tracer: &Option<Arc<Tracer>>, access: &Option<Arc<AccessLog>>) -> bool {
    tracer.is_some() || access.as_ref().is_some_and(|access| access.is_long())
}

fn note(detail: &mut Detail, context: &ContextPath, started: Instant) {
    detail.context = Some(context.clone());
    detail.chosen_after = Some(started.elapsed());
}

/// One word for a failed attempt.
fn cause(failure: Failure) -> &'static str {
    match failure {
        Failure::Connect => "connect",
        Failure::Unanswered { .. } => "unanswered",
        Failure::TimedOut => "timeout",
        Failure::LeftOut => "left-out",
        Failure::Withdrawn => "withdrawn",
        Failure::Answered => "broken-answer",
    }
}
