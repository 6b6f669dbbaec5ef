//! `demo`: a balancer and two counters of one cluster as child processes of one program.
//!
//! The children are this very program under the hidden subcommands `balancer` and `counter`,
//! since `cargo run --bin demo` builds nothing else. Each watches its standard input, so that no
//! child outlives the demo, however that ends.

mod child;
mod registered;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;

use crate::ending::Ending;
use child::Child;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long the nodes may take until they are registered and probed.
const REGISTRATION: Duration = Duration::from_secs(30);

/// Starts a balancer and two back ends that register themselves and keep each other's sessions
#[derive(Debug, Parser)]
#[command(name = "demo", version, after_help = "A port 0 stands for any free one.")]
pub struct Options {
    /// Where browsers connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8000")]
    pub http: SocketAddr,
    /// Where nodes register
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6666")]
    pub mcmp: SocketAddr,
    /// Where the page is
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6667")]
    pub manager: SocketAddr,
    /// The ports of the two counters
    #[arg(long, value_name = "PORT", num_args = 2, default_values_t = [8080, 8180])]
    pub counter_ports: Vec<u16>,
}

/// The running children, in the order in which they started.
#[derive(Debug)]
struct Farm {
    balancer: Child,
    /// The name of the counters' cluster.
    cluster: String,
    counters: Vec<Child>,
}

/// Starts everything, says what to try, and ends everything when asked to.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let mut ending = Ending::new(false)?;
    options.check_ports()?;
    let mut farm = Farm::start(&options).await?;
    let ended = tokio::select! {
        reason = ending.asked() => {
            say(&format!("Ending: {reason}."));
            Ok(())
        }
        ended = farm.serve() => ended,
    };
    farm.end().await;
    ended
}

// === impl Options ===

impl Options {
    /// A port that something else listens on is told here, in one sentence.
    fn check_ports(&self) -> anyhow::Result<()> {
        let counter =
            |port: &u16| ("a counter", "--counter-ports", SocketAddr::new(LOOPBACK, *port));
        let balancer = [
            ("browsers", "--http", self.http),
            ("nodes", "--mcmp", self.mcmp),
            ("the page", "--manager", self.manager),
        ];
        for (whom, option, address) in
            balancer.into_iter().chain(self.counter_ports.iter().map(counter))
        {
            TcpListener::bind(address).with_context(|| {
                format!("cannot listen on {address} for {whom}: choose another with {option}")
            })?;
        }
        Ok(())
    }
}

// === impl Farm ===

impl Farm {
    async fn start(options: &Options) -> anyhow::Result<Farm> {
        let (http, mcmp) = (options.http.to_string(), options.mcmp.to_string());
        let manager = options.manager.to_string();
        let args = ["balancer", "--http", &http, "--mcmp", &mcmp, "--manager", &manager];
        let balancer = Child::start("balancer", &args).await?;
        let mcmp = balancer.said("mcmp")?.to_string();
        let cluster = format!("demo-{}", std::process::id());
        let mut farm = Farm { balancer, cluster: cluster.clone(), counters: Vec::new() };
        for (name, port) in ["one", "two"].into_iter().zip(&options.counter_ports) {
            let port = port.to_string();
            let args = ["counter", "--end-with-stdin", "--node-name", name, "--port", &port];
            let mut args = [&args[..], &["--balancer", &mcmp]].concat();
            args.extend(["--clustered", "--cluster-name", &cluster, "--cluster-port", "0"]);
            // The second knows the first by its address: a demo needs no multicast.
            let first = farm.counters.first().map(|first| first.said("cluster")).transpose()?;
            let first = first.map(|address| address.to_string());
            args.extend(first.iter().flat_map(|address| ["--cluster-member", address]));
            match Child::start(name, &args).await {
                Ok(counter) => farm.counters.push(counter),
                Err(error) => {
                    farm.end().await;
                    return Err(error);
                }
            }
        }
        Ok(farm)
    }

    /// Waits for the registrations, says what to try, and returns when the balancer has ended.
    async fn serve(&mut self) -> anyhow::Result<()> {
        let names: Vec<&str> = self.counters.iter().map(Child::name).collect();
        registered::wait(self.balancer.said("mcmp")?, &names, REGISTRATION).await?;
        say(&self.guide()?);
        let (cluster, mcmp) = (self.cluster.clone(), self.balancer.said("mcmp")?);
        let back_to = |other: &Child| -> anyhow::Result<String> {
            let other = other.said("cluster")?;
            Ok(format!(
                "--balancer {mcmp} \\\n    --clustered --cluster-name {cluster} --cluster-port 0 --cluster-member {other}"
            ))
        };
        loop {
            let (first, second) = match self.counters.as_mut_slice() {
                [first, second] => (first, second),
                _ => bail!("there are two counters"),
            };
            tokio::select! {
                ended = self.balancer.ended() => bail!("the balancer has ended: {ended}"),
                ended = first.ended() => say(&first.obituary(&ended, &back_to(second)?)),
                ended = second.ended() => say(&second.obituary(&ended, &back_to(first)?)),
            }
        }
    }

    /// Where everything is, and what to try.
    fn guide(&self) -> anyhow::Result<String> {
        let [http, mcmp, page] = ["http", "mcmp", "manager"].map(|key| self.balancer.said(key));
        let (http, mcmp, page) = (http?, mcmp?, page?);
        let mut nodes = String::new();
        for node in &self.counters {
            let (name, address, pid) = (node.name(), node.said("http")?, node.pid());
            nodes += &format!("  node {name}   http://{address}/counter (pid {pid})\n");
        }
        let pids: Vec<_> = self.counters.iter().map(|node| node.pid().to_string()).collect();
        let kill = pids.join(" or kill -9 ");
        Ok(format!(
            "Both nodes are registered.

  the site   http://{http}/counter
  the page   http://{page}/
  the nodes register at {mcmp}
{nodes}
Try, three times: one node keeps your session, and the count goes 1, 2, 3.
  curl -c jar -b jar http://{http}/counter
Without a cookie each request begins a session, and the nodes take turns:
  curl http://{http}/counter
What the balancer knows of its nodes:
  curl -X INFO http://{mcmp}/
Take the node of your session away (kill -9 {kill}) and go on: the other one answers, and
the count goes on, for both keep each session. Or stop, disable and enable a node on the page.
Ctrl-C ends it all.
"
        ))
    }

    /// The counters first, so that the balancer still hears their good-bye.
    async fn end(&mut self) {
        for counter in &mut self.counters {
            counter.close_stdin();
        }
        for counter in &mut self.counters {
            counter.end().await;
        }
        self.balancer.end().await;
    }
}

/// Shows a text. That nobody may be looking is no reason to end.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
