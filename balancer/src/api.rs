//! The JSON API under `/api/v1` on the manager listener: every verb of operators, and everything
//! that the page shows.
//!
//! Each handler stands once, with its path and its answers beside it; the routes and the OpenAPI
//! document are both made of that, so that neither knows of something the other does not.

mod act;
mod convert;
mod exchange;
mod look;
mod model;
mod problem;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::response::IntoResponse as _;
use http::StatusCode;
use muster_web_ui::page::BalancerState;
use tokio::sync::watch;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::operate::Operators;
use problem::Problem;

/// Where the API stands.
pub(crate) const PREFIX: &str = "/api/v1";

/// What the API shows, and whom it asks.
pub(crate) struct Api {
    /// Who does what is asked for.
    pub(crate) operators: Arc<Operators>,
    /// What the balancer as a whole is doing.
    pub(crate) phase: watch::Receiver<BalancerState>,
    /// When it started.
    pub(crate) started: Instant,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster's manager API",
        description = "Every verb of operators, and everything that the manager page shows. \
                       Bodies and answers are JSON; what is wrong is told as \
                       application/problem+json (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/api/v1"))
)]
struct Document;

/// The routes, without their prefix.
pub(crate) fn router(api: Api) -> Router {
    let (routes, document) = parts();
    let text = Arc::new(document.to_json().unwrap_or_default());
    let document = move || {
        let text = text.as_str().to_owned();
        async move { ([(http::header::CONTENT_TYPE, "application/json")], text) }
    };
    routes
        .with_state(Arc::new(api))
        .route("/openapi.json", axum::routing::get(document))
        .fallback(|| async {
            Problem::new(StatusCode::NOT_FOUND, "no_route", "there is no such path")
        })
        .method_not_allowed_fallback(|| async {
            let detail = "this path has no such method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", detail).into_response()
        })
        .layer(axum::middleware::from_fn(exchange::negotiate))
}

fn parts() -> (Router<Arc<Api>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(look::balancer))
        .routes(routes!(look::nodes))
        .routes(routes!(look::node))
        .routes(routes!(look::contexts))
        .routes(routes!(look::balancers))
        .routes(routes!(look::drains))
        .routes(routes!(look::events))
        .routes(routes!(look::audit))
        .routes(routes!(look::config))
        .routes(routes!(look::peers))
        .routes(routes!(look::clusters))
        .routes(routes!(act::verb))
        .routes(routes!(act::override_node, act::reset_node))
        .routes(routes!(act::override_balancer, act::reset_balancer))
        .routes(routes!(act::reload))
        .split_for_parts()
}

#[cfg(test)]
mod tests;
