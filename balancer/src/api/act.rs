//! What the API does: each verb goes to [`Operators::perform`](crate::operate::Operators).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use http::StatusCode;

use super::exchange::{Body, Json, Who};
use super::model::{self, TargetRequest, VerbRequest, VerbWord};
use super::problem::Problem;
use super::{Api, convert};
use crate::operate::{OperateError, Target, Verb, parsed};

type Shared = State<Arc<Api>>;
type Answer = Result<Json<model::Done>, Problem>;

/// The longest that a drain may wait.
const LONGEST_DRAIN_SECONDS: u64 = 7 * 24 * 3600;

/// Enable, disable, stop, drain, and take back.
#[utoipa::path(
    post,
    path = "/verbs",
    request_body = VerbRequest,
    responses(
        (status = 200, body = model::Done),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn verb(
    State(api): Shared,
    Who(actor): Who,
    Body(asked): Body<VerbRequest>,
) -> Answer {
    let verb = meant(&api, asked)?;
    Ok(Json(convert::done(api.operators.perform(&actor, &verb)?)))
}

/// Overrides properties of a node; those that are not given stay as they are.
#[utoipa::path(
    put,
    path = "/nodes/{route}/overrides",
    params(("route" = String, Path, description = "The node's name")),
    request_body = model::NodeOverrides,
    responses(
        (status = 200, body = model::Done),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn override_node(
    State(api): Shared,
    Path(route): Path<String>,
    Who(actor): Who,
    Body(asked): Body<model::NodeOverrides>,
) -> Answer {
    let verb = Verb::OverrideNode { route: parsed("route", &route)?, overrides: asked.into() };
    Ok(Json(convert::done(api.operators.perform(&actor, &verb)?)))
}

/// Lets a node's properties be what it reports.
#[utoipa::path(
    delete,
    path = "/nodes/{route}/overrides",
    params(("route" = String, Path, description = "The node's name")),
    responses(
        (status = 200, body = model::Done),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn reset_node(
    State(api): Shared,
    Path(route): Path<String>,
    Who(actor): Who,
) -> Answer {
    let verb = Verb::ResetNode(parsed("route", &route)?);
    Ok(Json(convert::done(api.operators.perform(&actor, &verb)?)))
}

/// Overrides settings of a balancer name; those that are not given stay as they are.
#[utoipa::path(
    put,
    path = "/balancers/{name}/overrides",
    params(("name" = String, Path, description = "The balancer name")),
    request_body = model::BalancerOverrides,
    responses(
        (status = 200, body = model::Done),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn override_balancer(
    State(api): Shared,
    Path(name): Path<String>,
    Who(actor): Who,
    Body(asked): Body<model::BalancerOverrides>,
) -> Answer {
    let verb = Verb::OverrideBalancer { name: parsed("name", &name)?, overrides: asked.into() };
    Ok(Json(convert::done(api.operators.perform(&actor, &verb)?)))
}

/// Lets the settings of a balancer name be what its nodes report.
#[utoipa::path(
    delete,
    path = "/balancers/{name}/overrides",
    params(("name" = String, Path, description = "The balancer name")),
    responses(
        (status = 200, body = model::Done),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn reset_balancer(
    State(api): Shared,
    Path(name): Path<String>,
    Who(actor): Who,
) -> Answer {
    let verb = Verb::ResetBalancer(parsed("name", &name)?);
    Ok(Json(convert::done(api.operators.perform(&actor, &verb)?)))
}

/// Reads the configuration again.
#[utoipa::path(
    post,
    path = "/reload",
    responses(
        (status = 200, body = model::Done),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
        (status = 501, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn reload(State(api): Shared, Who(actor): Who) -> Answer {
    // Files are read: not on a thread that others wait for.
    let operators = api.operators.clone();
    let done = tokio::task::spawn_blocking(move || operators.perform(&actor, &Verb::Reload)).await;
    let done =
        done.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error))?;
    Ok(Json(convert::done(done?)))
}

fn meant(api: &Api, asked: VerbRequest) -> Result<Verb, Problem> {
    let VerbRequest { verb, target, deadline_seconds } = asked;
    let bad = |field: &'static str, why: &str| {
        Problem::from(OperateError::Bad { field, why: why.to_owned() })
    };
    if let Some(seconds) = deadline_seconds {
        let is_drain = matches!(verb, VerbWord::Drain);
        if !is_drain {
            return Err(bad("deadline_seconds", "only a drain has a deadline"));
        }
        if !(1..=LONGEST_DRAIN_SECONDS).contains(&seconds) {
            let why = format!("{seconds} is out of bounds: 1 to {LONGEST_DRAIN_SECONDS}");
            return Err(bad("deadline_seconds", &why));
        }
    }
    if matches!(verb, VerbWord::Remove) {
        return match target {
            TargetRequest { node: Some(route), context: None, aliases: None, group: None } => {
                Ok(Verb::Remove(parsed("target.node", &route)?))
            }
            _ => Err(bad("target", "only a node can be removed")),
        };
    }
    let target = whom(api, target)?;
    Ok(match verb {
        VerbWord::Enable => Verb::Enable(target),
        VerbWord::Disable => Verb::Disable(target),
        VerbWord::Stop => Verb::Stop(target),
        VerbWord::Drain => {
            Verb::Drain { target, deadline: deadline_seconds.map(Duration::from_secs) }
        }
        VerbWord::CancelDrain => Verb::CancelDrain(target),
        VerbWord::StopNow => Verb::StopNow(target),
        VerbWord::Remove => return Err(bad("target", "only a node can be removed")),
    })
}

fn whom(api: &Api, target: TargetRequest) -> Result<Target, Problem> {
    let TargetRequest { node, context, aliases, group } = target;
    match (node, context, aliases, group) {
        (Some(route), Some(path), aliases, None) => {
            // Without aliases, the first host that has it is meant.
            let aliases = match aliases {
                Some(aliases) => aliases,
                None => api.operators.aliases_of(&route, &path),
            };
            Ok(Target::context(&route, &aliases, &path)?)
        }
        (Some(route), None, None, None) => Ok(Target::node(&route)?),
        (None, None, None, Some(group)) => {
            Ok(Target::group(Some(group.as_str()).filter(|group| !group.is_empty()))?)
        }
        _ => Err(OperateError::Bad {
            field: "target",
            why: "say node, node and context, or group".to_owned(),
        }
        .into()),
    }
}
