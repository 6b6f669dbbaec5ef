//! `muster-shop-node`: a member that serves carts, which are stateful components, and two
//! applications with single sign-on: each at an address of its own, or behind a balancer, with the
//! arguments of the examples, all at one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::Parser;
use muster_agent::component::Handle;
use muster_agent::{
    Agent, Cluster, ClusterBuilder, ComponentError, Components, Identity, Principal, Session,
    SessionError, Sessions, Sso, SsoError,
};
use tokio::net::TcpListener;

/// Joins a cluster and serves a test.
#[derive(Debug, Parser)]
#[command(name = "muster-shop-node", version)]
struct Options {
    /// Its name
    #[arg(long, alias = "node-name")]
    name: String,
    /// Where another listens; without one it founds the cluster
    #[arg(long = "peer", alias = "cluster-member")]
    peers: Vec<String>,
    /// Where a balancer takes registrations
    #[arg(long)]
    balancer: Option<String>,
    #[command(flatten)]
    behind: Behind,
}

/// Of a node behind a balancer.
#[derive(Debug, clap::Args)]
struct Behind {
    /// It is always
    #[arg(long)]
    clustered: bool,
    /// Added to the ports 8080, 7700 and 7790
    #[arg(long, default_value_t = 0)]
    offset: u16,
    /// Where it listens
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST.into())]
    bind: IpAddr,
    /// Where its identity is kept
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// How many members must agree
    #[arg(long)]
    cluster_quorum: Option<u16>,
    /// What members know
    #[arg(long)]
    cluster_secret_file: Option<PathBuf>,
    /// What the balancer knows
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// Between two reports of the load
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    status_interval: Duration,
}

/// What all of it needs.
struct Shop {
    carts: Router,
    shop: (Sessions, Router),
    bank: (Sessions, Router),
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

fn application(cluster: &Cluster, sso: &Sso, name: &str) -> anyhow::Result<(Sessions, Router)> {
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
    let router = Router::new()
        .route("/login/{name}", get(login))
        .route("/who", get(who))
        .route("/logout", get(logout))
        .layer(application.layer())
        .layer(sessions.layer());
    Ok((sessions, router))
}

// === impl Shop ===

impl Shop {
    fn open(cluster: &Cluster) -> anyhow::Result<Shop> {
        let sso = Sso::builder("default").cluster(cluster).domain("example.com").start()?;
        let components = Components::builder("cart").cluster(cluster).start()?;
        Ok(Shop {
            carts: carts(components, cluster.clone()),
            shop: application(cluster, &sso, "shop")?,
            bank: application(cluster, &sso, "bank")?,
        })
    }

    /// Each part at an address of its own.
    async fn serve_apart(self, cluster: &Cluster) -> anyhow::Result<()> {
        let mut line = format!("listening channel={}", cluster.me().address);
        let mut servers = tokio::task::JoinSet::new();
        for (name, router) in [("carts", self.carts), ("shop", self.shop.1), ("bank", self.bank.1)]
        {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            line += &format!(" {name}={}", listener.local_addr()?);
            servers.spawn(async move { axum::serve(listener, router).await });
        }
        println!("{line}");
        servers.join_next().await.context("a server")???;
        Ok(())
    }

    /// All parts at one address, of which a balancer knows.
    async fn serve_behind(self, name: &str, balancer: &str, behind: &Behind) -> anyhow::Result<()> {
        let address = SocketAddr::new(behind.bind, 8080 + behind.offset);
        let listener = TcpListener::bind(address).await?;
        let (shop, bank) = (self.shop, self.bank);
        let router = self.carts.nest_service("/shop", shop.1).nest_service("/bank", bank.1);
        let agent = Agent::builder().node_name(name).listen(address).balancer(balancer);
        let agent = agent.alias("shop.example.com").alias("bank.example.com").context("/carts");
        let agent = agent.context_with("/shop", &shop.0).context_with("/bank", &bank.0);
        let secret = match &behind.secret_file {
            Some(file) => Some(std::fs::read_to_string(file)?.trim().to_owned()),
            None => None,
        };
        let agent = agent.status_interval(behind.status_interval).secrets(secret);
        let agent = agent.start().await?;
        println!("listening http={address}");
        axum::serve(listener, router.layer(agent.layer())).await?;
        Ok(())
    }
}

impl Options {
    fn member(&self) -> ClusterBuilder {
        let member = Cluster::builder(&self.name);
        let member = match self.peers.is_empty() {
            true => member.find_nobody(),
            false => member.members(&self.peers),
        };
        if self.balancer.is_none() {
            return member.port(0).manage_port(0);
        }
        let Behind { offset, bind, data_dir, cluster_quorum, cluster_secret_file, .. } =
            &self.behind;
        let member = member.offset(*offset).bind(*bind).manage_bind(*bind);
        let member = data_dir.iter().fold(member, |member, folder| member.data_dir(folder));
        let member = cluster_quorum.iter().fold(member, |member, least| member.quorum(*least));
        cluster_secret_file.iter().fold(member, |member, file| member.secret_file(file))
    }

    async fn run(self) -> anyhow::Result<()> {
        let cluster = self.member().join().await?;
        let shop = Shop::open(&cluster)?;
        match &self.balancer {
            Some(balancer) => shop.serve_behind(&self.name, balancer, &self.behind).await,
            None => shop.serve_apart(&cluster).await,
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    options.run().await
}
