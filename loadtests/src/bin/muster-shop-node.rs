//! `muster-shop-node`: a member that serves carts, which are stateful components, and two
//! applications with single sign-on, each at an address of its own.

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::Parser;
use muster_agent::component::Handle;
use muster_agent::{
    Cluster, ComponentError, Components, Identity, Principal, Session, SessionError, Sessions, Sso,
    SsoError,
};
use tokio::net::TcpListener;

/// Joins a cluster and serves a test.
#[derive(Debug, Parser)]
#[command(name = "muster-shop-node", version)]
struct Options {
    /// Its name
    #[arg(long)]
    name: String,
    /// Where another listens; without one it founds the cluster
    #[arg(long = "peer")]
    peers: Vec<String>,
}

/// What was put into a cart, each call's own number.
type Carts = Components<Vec<u64>>;

/// 409: nothing was done; 500: nobody knows.
fn told(error: &ComponentError) -> (StatusCode, String) {
    let status = match error {
        ComponentError::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::CONFLICT,
    };
    (status, error.to_string())
}

fn handle(text: &str) -> Result<Handle<Vec<u64>>, (StatusCode, String)> {
    text.parse().map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}")))
}

fn carts(carts: Carts, cluster: Cluster) -> Router {
    type Told = Result<String, (StatusCode, String)>;
    async fn create(State(carts): State<Carts>) -> Told {
        let cart = carts.create(Vec::new()).await;
        Ok(cart.map_err(|error| told(&error))?.to_string())
    }
    async fn add(State(carts): State<Carts>, Path((cart, number)): Path<(String, u64)>) -> Told {
        let cart = handle(&cart)?;
        let added = carts.call(&cart, |cart| {
            cart.push(number);
            cart.len()
        });
        Ok(added.await.map_err(|error| told(&error))?.to_string())
    }
    async fn all(State(carts): State<Carts>, Path(cart): Path<String>) -> Told {
        let all = carts.read(&handle(&cart)?).await.map_err(|error| told(&error))?;
        Ok(serde_json::json!(all).to_string())
    }
    /// Answers when so many are together, and their data has all its copies.
    async fn together(State(cluster): State<Cluster>, Path(count): Path<usize>) -> String {
        let mut views = cluster.engine().group().watch();
        let is_there = views.wait_for(|view| view.members.len() == count).await.is_ok();
        cluster.balanced().await;
        is_there.to_string()
    }
    Router::new()
        .route("/carts", post(create))
        .route("/carts/{cart}", get(all))
        .route("/carts/{cart}/{number}", post(add))
        .with_state(carts)
        .merge(Router::new().route("/together/{count}", get(together)).with_state(cluster))
}

fn application(cluster: &Cluster, sso: &Sso, name: &str) -> anyhow::Result<Router> {
    async fn login(identity: Identity, Path(name): Path<String>) -> Result<String, SsoError> {
        identity.login(Principal::new(name, ["buyer"]), "FORM").await?;
        Ok("welcome".to_owned())
    }
    async fn who(identity: Identity, session: Session) -> Result<String, SessionError> {
        let Some(principal) = identity.principal() else { return Ok("nobody".to_owned()) };
        let count = session.get::<u32>("count")?.unwrap_or(0) + 1;
        session.set("count", &count)?;
        Ok(format!("{} {count}", principal.name()))
    }
    async fn logout(identity: Identity) -> Result<String, SsoError> {
        Ok(identity.logout().await?.to_string())
    }
    let sessions = Sessions::builder(name).cluster(cluster).distributable(true).start()?;
    let application = sso.application(&sessions)?;
    Ok(Router::new()
        .route("/login/{name}", get(login))
        .route("/who", get(who))
        .route("/logout", get(logout))
        .layer(application.layer())
        .layer(sessions.layer()))
}

impl Options {
    async fn run(self) -> anyhow::Result<()> {
        let builder = Cluster::builder(&self.name).port(0).manage_port(0);
        let builder = match self.peers.is_empty() {
            true => builder.find_nobody(),
            false => builder.members(self.peers),
        };
        let cluster = builder.join().await?;
        let sso = Sso::builder("default").cluster(&cluster).domain("example.com").start()?;
        let mut line = format!("listening channel={}", cluster.me().address);
        let components = Components::builder("cart").cluster(&cluster).start()?;
        let served = [
            ("carts", carts(components, cluster.clone())),
            ("shop", application(&cluster, &sso, "shop")?),
            ("bank", application(&cluster, &sso, "bank")?),
        ];
        let mut servers = tokio::task::JoinSet::new();
        for (name, router) in served {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            line += &format!(" {name}={}", listener.local_addr()?);
            servers.spawn(async move { axum::serve(listener, router).await });
        }
        println!("{line}");
        servers.join_next().await.context("a server")???;
        Ok(())
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    options.run().await
}
