//! Jobs over HTTP.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use muster_protocol::cluster::jobs::{JobReport, JobsReport};
use muster_protocol::cluster::report::{Done, NotDone};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::routes::{Refusals, Shared, done, refused, shown};
use super::{Ground, act};
use crate::job::JobError;

pub(super) fn routes() -> OpenApiRouter<std::sync::Arc<Ground>> {
    OpenApiRouter::new()
        .routes(routes!(jobs))
        .routes(routes!(job))
        .routes(routes!(run))
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// All jobs, with what became of their firings.
#[utoipa::path(
    get,
    path = "/v1/cluster/jobs",
    responses(
        (status = 200, body = JobsReport),
        (status = 403, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn jobs(State(ground): Shared) -> Response {
    let Ok(cluster) = ground.in_cluster() else { return out() };
    match cluster.jobs().await {
        Ok(report) => shown(&report),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// One job.
#[utoipa::path(
    get,
    path = "/v1/cluster/jobs/{name}",
    params(("name" = String, Path, description = "The job's name")),
    responses(
        (status = 200, body = JobReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn job(State(ground): Shared, Path(name): Path<String>) -> Response {
    let Ok(cluster) = ground.in_cluster() else { return out() };
    match cluster.job_report(&name).await {
        Ok(report) => shown(&report),
        Err(error @ JobError::Unknown(_)) => refused(StatusCode::NOT_FOUND, error.to_string()),
        Err(error) => refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// Runs it once more, now.
#[utoipa::path(
    post,
    path = "/v1/cluster/jobs/{name}/run",
    params(("name" = String, Path, description = "The job's name")),
    responses((status = 200, body = Done), Refusals)
)]
async fn run(State(ground): Shared, Path(name): Path<String>) -> Response {
    let ran = async {
        ground.in_cluster()?.run_job(&name).await?;
        Ok(format!("{name} runs once more"))
    };
    done(&ground, "run", ran.await)
}

/// No firing counts until it is resumed.
#[utoipa::path(
    post,
    path = "/v1/cluster/jobs/{name}/pause",
    params(("name" = String, Path, description = "The job's name")),
    responses((status = 200, body = Done), Refusals)
)]
async fn pause(State(ground): Shared, Path(name): Path<String>) -> Response {
    let paused = async {
        ground.in_cluster()?.pause_job(&name).await?;
        Ok(format!("{name} is paused"))
    };
    done(&ground, "pause", paused.await)
}

/// Firings count again.
#[utoipa::path(
    post,
    path = "/v1/cluster/jobs/{name}/resume",
    params(("name" = String, Path, description = "The job's name")),
    responses((status = 200, body = Done), Refusals)
)]
async fn resume(State(ground): Shared, Path(name): Path<String>) -> Response {
    let resumed = async {
        ground.in_cluster()?.resume_job(&name).await?;
        Ok(format!("{name} goes on"))
    };
    done(&ground, "resume", resumed.await)
}

fn out() -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, super::settings::OUT.to_owned())
}

impl From<JobError> for act::NotDone {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Unknown(_) => Self::Unknown(error.to_string()),
            JobError::Bad(_)
            | JobError::Taken(_)
            | JobError::Full(_)
            | JobError::Map(_)
            | JobError::Unreadable(_)
            | JobError::Engine(_) => Self::Refused(error.to_string()),
        }
    }
}
