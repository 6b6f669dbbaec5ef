//! axum-login on two members of a cluster: who has logged in at one is known by the other, also
//! when the first has gone. But for its store the application is axum-login's own.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request};
use axum::{Router, http::StatusCode, routing::get};
use axum_login::{AuthManagerLayerBuilder, AuthUser, AuthnBackend, UserId};
use muster_agent::{Cluster, Sessions};
use muster_examples::cluster::members;
use muster_tower_sessions::{RouteLayer, Store};
use tower_service::Service;
use tower_sessions_014::SessionManagerLayer;

#[derive(Clone, Debug)]
struct User {
    name: String,
    password: String,
}

impl AuthUser for User {
    type Id = String;

    fn id(&self) -> String {
        self.name.clone()
    }

    /// A user whose password was changed is logged out everywhere.
    fn session_auth_hash(&self) -> &[u8] {
        self.password.as_bytes()
    }
}

/// Those who may log in. In real life a data base, with hashed passwords.
#[derive(Clone)]
struct Users(HashMap<String, User>);

impl AuthnBackend for Users {
    type User = User;
    type Credentials = (String, String);
    type Error = Infallible;

    async fn authenticate(&self, shown: Self::Credentials) -> Result<Option<User>, Infallible> {
        let user = self.0.get(&shown.0).filter(|user| user.password == shown.1);
        Ok(user.cloned())
    }

    async fn get_user(&self, name: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(self.0.get(name).cloned())
    }
}

type AuthSession = axum_login::AuthSession<Users>;
type Told = Result<String, StatusCode>;

async fn login(mut auth: AuthSession, Path(shown): Path<(String, String)>) -> Told {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let user = auth.authenticate(shown).await.map_err(failed)?;
    let Some(user) = user else { return Err(StatusCode::UNAUTHORIZED) };
    auth.login(&user).await.map_err(failed)?;
    Ok(format!("welcome, {}", user.name))
}

async fn who(auth: AuthSession) -> String {
    auth.user.map_or("nobody".to_owned(), |user| user.name)
}

async fn logout(mut auth: AuthSession) -> Told {
    auth.logout().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok("goodbye".to_owned())
}

/// The application as a member serves it.
fn application(member: &Cluster) -> anyhow::Result<Router> {
    let sessions = Sessions::builder("login").cluster(member).distributable(true).start()?;
    let manager = SessionManagerLayer::new(Store::new(&sessions));
    let ann = User { name: "ann".to_owned(), password: "secret".to_owned() };
    let users = Users(HashMap::from([(ann.name.clone(), ann)]));
    Ok(Router::new()
        .route("/login/{name}/{password}", get(login))
        .route("/who", get(who))
        .route("/logout", get(logout))
        .layer(AuthManagerLayerBuilder::new(users, manager).build())
        .layer(RouteLayer::new("id", Some(member.me().name.parse()?))))
}

/// Asks, and keeps the cookie.
async fn ask(router: &mut Router, path: &str, cookie: &mut String) -> anyhow::Result<String> {
    let request = Request::get(path).header("cookie", &**cookie).body(Body::empty())?;
    let answer = router.call(request).await?;
    if let Some(set) = answer.headers().get("set-cookie") {
        *cookie = set.to_str()?.split(';').next().unwrap_or_default().to_owned();
    }
    let (head, body) = answer.into_parts();
    let body = String::from_utf8(to_bytes(body, 1 << 16).await?.to_vec())?;
    Ok(if head.status.is_success() { body } else { head.status.to_string() })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut members = members(2).await?;
    let (mut first, mut second) = (application(&members[0])?, application(&members[1])?);
    let mut cookie = String::new();
    println!("node1: {}", ask(&mut first, "/login/ann/guess", &mut cookie).await?);
    println!("node1: {}", ask(&mut first, "/login/ann/secret", &mut cookie).await?);
    // As if its process were killed.
    drop((first, members.remove(0)));
    println!("node1 is gone");
    println!("node2: {}", ask(&mut second, "/who", &mut cookie).await?);
    println!("node2: {}", ask(&mut second, "/logout", &mut cookie).await?);
    println!("node2: {}", ask(&mut second, "/who", &mut cookie).await?);
    members[0].leave().await;
    Ok(())
}
