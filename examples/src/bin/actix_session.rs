//! Visits counted by actix-session, kept by a cluster: end the node that served them, and another
//! goes on. But for three lines the application is what it would be with any store.
//!
//! ```text
//! actix_session --clustered --node-name one
//! actix_session --clustered --node-name two --offset 100
//! ```

use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::rt::System;
use actix_web::{App, Error, HttpServer, web};
use clap::Parser;
use muster_actix_session::{RouteCookie, Store};
use muster_agent::Sessions;
use muster_agent::names::Route;
use muster_examples::{clustered::Node, ending::Ending};

/// Every node must have the same one. In real life it is a secret, and not in the program.
const KEY: [u8; 64] = [7; 64];

/// A web application on actix-session, whose sessions survive its node
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    node: Node,
    /// The port, to which the offset is added; 0 for any free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// Counts a session's visits.
async fn visit(session: Session) -> Result<String, Error> {
    let count = session.get("count")?.unwrap_or(0_u32) + 1;
    session.insert("count", count)?;
    Ok(format!("visit {count}\n"))
}

/// Says how many there were, and changes nothing.
async fn look(session: Session) -> Result<String, Error> {
    Ok(format!("visited {}\n", session.get::<u32>("count")?.unwrap_or(0)))
}

async fn run(Options { node, port }: Options) -> anyhow::Result<()> {
    let mut ending = Ending::new(false)?;
    let cluster = node.join().await?;
    let me = cluster.me();
    println!("member {} at {}", me.name, me.address);

    let distributable = node.clustered;
    let sessions = Sessions::builder("visits").cluster(&cluster).distributable(distributable);
    let (store, route) = (Store::new(&sessions.start()?), me.name.parse::<Route>()?);
    let server = HttpServer::new(move || {
        // Without TLS a browser would not send a cookie that is marked as secure.
        let manager = SessionMiddleware::builder(store.clone(), Key::from(&KEY));
        let attributes = "HttpOnly; SameSite=Lax; Path=/";
        App::new()
            .route("/visit", web::get().to(visit))
            .route("/look", web::get().to(look))
            .wrap(manager.cookie_secure(false).build())
            .wrap(RouteCookie::with_attributes("id", Some(route.clone()), attributes))
    });
    let server = server.workers(2).disable_signals().bind((node.bind, node.port(port)?))?;
    let addresses = server.addrs();
    println!("listening http={}", addresses[0]);
    let server = server.run();
    let handle = server.handle();
    let server = actix_web::rt::spawn(server);
    ending.asked().await;
    handle.stop(true).await;
    server.await??;
    cluster.leave().await;
    Ok(())
}

fn main() -> anyhow::Result<()> {
    System::new().block_on(run(Options::parse()))
}
