//! The same counter over tower-sessions and its Redis store.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use tower_sessions_014::{Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike as _, Config, Pool};

use super::serve::{Asked, answer};

/// Connections to Redis.
const CONNECTIONS: usize = 8;

/// The application.
///
/// # Errors
/// When Redis does not answer.
pub(super) async fn router(redis: Option<SocketAddr>) -> anyhow::Result<Router> {
    let url = format!("redis://{}", redis.context("Redis wants its address")?);
    let pool = Pool::new(Config::from_url(&url)?, None, None, None, CONNECTIONS)?;
    pool.connect();
    pool.wait_for_connect().await?;
    let layer = SessionManagerLayer::new(RedisStore::new(pool)).with_secure(false);
    Ok(Router::new().route("/counter", get(count)).layer(layer))
}

async fn count(session: Session, Query(asked): Query<Asked>) -> Result<Response, StatusCode> {
    let failed = |_| StatusCode::SERVICE_UNAVAILABLE;
    let count = session.get::<u64>("count").await.map_err(failed)?.unwrap_or(0) + 1;
    session.insert("count", count).await.map_err(failed)?;
    for (name, value) in asked.writes(count == 1) {
        // Text, as its values are JSON: bytes would become a list of numbers.
        let text: String = value.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        session.insert(&name, text).await.map_err(failed)?;
    }
    Ok(answer(count))
}
