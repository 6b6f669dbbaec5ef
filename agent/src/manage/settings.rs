//! The cluster's settings over HTTP.

use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use muster_protocol::cluster::report::{Done, NotDone};
use muster_protocol::cluster::settings::{
    SettingReport, SettingWish, SettingsHistory, SettingsReport, UnsetWish,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::routes::{Refusals, Shared, done, read, refused, shown};
use super::{Ground, act};
use crate::cluster::Cluster;
use crate::settings::{How, Refused, SettingsError};

pub(super) fn routes() -> OpenApiRouter<std::sync::Arc<Ground>> {
    OpenApiRouter::new()
        .routes(routes!(settings))
        .routes(routes!(history))
        .routes(routes!(setting, set))
        .routes(routes!(unset))
}

/// What is set for all members, and what can be.
#[utoipa::path(
    get,
    path = "/v1/cluster/settings",
    responses(
        (status = 200, body = SettingsReport),
        (status = 403, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn settings(State(ground): Shared) -> Response {
    here(&ground, |cluster| shown(&cluster.settings().report()))
}

/// Who changed what, and when.
#[utoipa::path(
    get,
    path = "/v1/cluster/settings/history",
    responses(
        (status = 200, body = SettingsHistory),
        (status = 403, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn history(State(ground): Shared) -> Response {
    here(&ground, |cluster| shown(&cluster.settings().history()))
}

/// One setting, or what it would be.
#[utoipa::path(
    get,
    path = "/v1/cluster/settings/{key}",
    params(("key" = String, Path, description = "The setting's name")),
    responses(
        (status = 200, body = SettingReport),
        (status = 403, body = NotDone),
        (status = 404, body = NotDone),
        (status = 503, body = NotDone)
    )
)]
async fn setting(State(ground): Shared, Path(key): Path<String>) -> Response {
    here(&ground, |cluster| match cluster.settings().report_of(&key) {
        Some(setting) => shown(&setting),
        None => refused(StatusCode::NOT_FOUND, Refused::Unknown(key).to_string()),
    })
}

/// Sets it, for all members at once.
#[utoipa::path(
    post,
    path = "/v1/cluster/settings/{key}",
    params(("key" = String, Path, description = "The setting's name")),
    request_body = SettingWish,
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn set(State(ground): Shared, Path(key): Path<String>, body: Bytes) -> Response {
    match read::<SettingWish>(&body) {
        Ok(wish) => done(&ground, "set", ground.set(&key, wish).await),
        Err(refusal) => refusal,
    }
}

/// Brings it back to its default, for all members at once.
#[utoipa::path(
    post,
    path = "/v1/cluster/settings/{key}/unset",
    params(("key" = String, Path, description = "The setting's name")),
    request_body = UnsetWish,
    responses((status = 200, body = Done), (status = 400, body = NotDone), Refusals)
)]
async fn unset(State(ground): Shared, Path(key): Path<String>, body: Bytes) -> Response {
    match read::<UnsetWish>(&body) {
        Ok(wish) => done(&ground, "unset", ground.unset(&key, wish).await),
        Err(refusal) => refusal,
    }
}

fn here(ground: &Ground, answer: impl FnOnce(&Cluster) -> Response) -> Response {
    match ground.cluster_here() {
        Some(cluster) => answer(&cluster),
        None => refused(StatusCode::SERVICE_UNAVAILABLE, OUT.to_owned()),
    }
}

pub(super) const OUT: &str = "this member is in no cluster";

// === impl Ground ===

impl Ground {
    async fn set(&self, key: &str, wish: SettingWish) -> Result<String, act::NotDone> {
        let SettingWish { value, by, if_version } = wish;
        let cluster = self.in_cluster()?;
        let version = cluster.settings().set(key, &value, &How { by, if_version }).await?;
        Ok(format!("{key} is {:?}; the settings have version {version}", value.trim()))
    }

    async fn unset(&self, key: &str, wish: UnsetWish) -> Result<String, act::NotDone> {
        let UnsetWish { by, if_version } = wish;
        let cluster = self.in_cluster()?;
        let version = cluster.settings().unset(key, &How { by, if_version }).await?;
        Ok(format!("{key} is at its default; the settings have version {version}"))
    }

    pub(super) fn in_cluster(&self) -> Result<Cluster, act::NotDone> {
        self.cluster_here().ok_or_else(|| act::NotDone::Refused(OUT.to_owned()))
    }
}

impl From<SettingsError> for act::NotDone {
    fn from(error: SettingsError) -> Self {
        let said = error.to_string();
        match error {
            SettingsError::Refused(Refused::BadKey { .. } | Refused::BadValue { .. }) => {
                Self::Bad(said)
            }
            SettingsError::Refused(Refused::Unknown(_) | Refused::NotSet(_)) => Self::Unknown(said),
            SettingsError::Refused(Refused::Version { .. } | Refused::Full(_))
            | SettingsError::NotQuorate
            | SettingsError::Unknown
            | SettingsError::Unreachable(_)
            | SettingsError::Unreadable(_)
            | SettingsError::Engine(_) => Self::Refused(said),
        }
    }
}
