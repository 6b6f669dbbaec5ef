//! Visits counted by tower-sessions 0.15, kept by a cluster: end the node that served them, and another
//! goes on. But for three lines the application is what it would be with any store.
//!
//! ```text
//! tower_sessions --clustered --node-name one
//! tower_sessions --clustered --node-name two --offset 100
//! ```

use std::net::SocketAddr;

use axum::{Router, routing::get};
use clap::Parser;
use muster_agent::Sessions;
use muster_examples::{clustered::Node, ending::Ending};
use muster_tower_sessions::{RouteLayer, Store};
use tokio::net::TcpListener;
use tower_sessions_015::session::Error;
use tower_sessions_015::{Session, SessionManagerLayer};

/// A web application on tower-sessions, whose sessions survive its node
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
    /// The port, to which the offset is added; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Counts a session's visits.
async fn visit(session: Session) -> Result<String, String> {
    let count = count(&session).await.map_err(|error| error.to_string())?;
    Ok(format!("visit {count}\n"))
}

async fn count(session: &Session) -> Result<u32, Error> {
    let count = session.get("count").await?.unwrap_or(0) + 1;
    session.insert("count", count).await?;
    Ok(count)
}

/// Says how many there were, and changes nothing.
async fn look(session: Session) -> Result<String, String> {
    let count: Result<Option<u32>, Error> = session.get("count").await;
    Ok(format!("visited {}\n", count.map_err(|error| error.to_string())?.unwrap_or(0)))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { node, port } = Options::parse();
    let mut ending = Ending::new(false)?;
    let cluster = node.join().await?;
    let me = cluster.me();
    println!("member {} at {}", me.name, me.address);

    let distributable = node.clustered;
    let sessions = Sessions::builder("visits").cluster(&cluster).distributable(distributable);
    // Without TLS a browser would not send a cookie that is marked as secure.
    let manager = SessionManagerLayer::new(Store::new(&sessions.start()?)).with_secure(false);
    let attributes = "HttpOnly; SameSite=Strict; Path=/";
    let route = RouteLayer::with_attributes("id", Some(me.name.parse()?), attributes);
    let app = Router::new().route("/visit", get(visit)).route("/look", get(look));
    let app = app.layer(manager).layer(route);

    let listener = TcpListener::bind(SocketAddr::new(node.bind, node.port(port)?)).await?;
    println!("listening http={}", listener.local_addr()?);
    let asked = async move {
        ending.asked().await;
    };
    axum::serve(listener, app).with_graceful_shutdown(asked).await?;
    cluster.leave().await;
    Ok(())
}
