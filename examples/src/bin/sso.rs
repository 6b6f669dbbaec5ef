//! Two applications on two hosts of one domain, served by three members: log in once, log out
//! everywhere.

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::{Router, routing::get};
use muster_agent::{Cluster, Identity, Principal, Sessions, Sso, SsoError};
use muster_examples::cluster::members;
use tower_service::Service;

const HOSTS: [&str; 2] = ["shop.example.com", "bank.example.com"];

async fn login(identity: Identity) -> Result<&'static str, SsoError> {
    // In real life a password was checked before.
    identity.login(Principal::new("ann", ["buyer"]), "FORM").await?;
    Ok("welcome, ann")
}

async fn who(identity: Identity) -> String {
    identity.principal().map_or("nobody", Principal::name).to_owned()
}

async fn logout(identity: Identity) -> Result<&'static str, SsoError> {
    Ok(if identity.logout().await? { "goodbye" } else { "who are you?" })
}

/// The applications as a member serves them, by host.
fn applications(member: &Cluster) -> anyhow::Result<BTreeMap<&'static str, Router>> {
    let sso = Sso::builder("default").cluster(member).domain("example.com").start()?;
    let mut all = BTreeMap::new();
    for host in HOSTS {
        let sessions = Sessions::builder(host).cluster(member).distributable(true).start()?;
        let application = sso.application(&sessions)?;
        let router = Router::new()
            .route("/login", get(login))
            .route("/who", get(who))
            .route("/logout", get(logout))
            .layer(application.layer())
            .layer(sessions.layer());
        all.insert(host, router);
    }
    Ok(all)
}

/// A browser: cookies with a domain go to both hosts, others to the host that they came from.
#[derive(Default)]
struct Browser {
    cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    async fn get(
        &mut self,
        member: &BTreeMap<&'static str, Router>,
        host: &str,
        path: &str,
    ) -> anyhow::Result<String> {
        let goes = |of: &str| host == of || host.ends_with(&format!(".{of}"));
        let cookies = self.cookies.iter().filter(|((of, _), _)| goes(of));
        let cookies = cookies.map(|((_, name), value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let request = Request::get(path).header("host", host).header("cookie", cookies);
        let answer = member[host].clone().call(request.body(Body::empty())?).await?;
        for set in answer.headers().get_all("set-cookie") {
            let set = cookie::Cookie::parse(set.to_str()?.to_owned())?;
            let of = set.domain().unwrap_or(host).to_owned();
            self.cookies.insert((of, set.name().to_owned()), set.value().to_owned());
        }
        let body = to_bytes(answer.into_body(), 1 << 16).await?;
        Ok(String::from_utf8(body.to_vec())?)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut members = members(3).await?;
    let mut served = members.iter().map(applications).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut ann, [shop, bank]) = (Browser::default(), HOSTS);

    println!("node1, {shop}: {}", ann.get(&served[0], shop, "/who").await?);
    println!("node1, {shop}: {}", ann.get(&served[0], shop, "/login").await?);
    println!("node2, {bank}: {}", ann.get(&served[1], bank, "/who").await?);

    // As if its process were killed: nothing is handed over.
    drop((served.remove(0), members.remove(0)));
    println!("node1, which took the login, is gone");
    println!("node3, {shop}: {}", ann.get(&served[1], shop, "/who").await?);
    println!("node3, {bank}: {}", ann.get(&served[1], bank, "/logout").await?);
    println!("node2, {shop}: {}", ann.get(&served[0], shop, "/who").await?);
    for member in &members {
        member.leave().await;
    }
    Ok(())
}
