//! Asks a running balancer, and says what it answered.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Map, Value, json};

use super::command::{Ask, Drain, Override, Target, Whom};
use super::show::{self, Column};
use super::{Caller, Papers};
use crate::config::Config;

/// Where a manager is when nobody says otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:6667";

/// How long a look at events may take: the balancer answers within 8 s.
const EVENTS_WAIT: Duration = Duration::from_secs(20);

/// Between two looks at a drain that is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// Most bytes of a file with a password or a token.
const MAX_SECRET: usize = 4_096;

/// An end that is no success, with its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(crate) struct Ended {
    /// 3: waiting took too long. 4: the drain ended with something left, or was taken back.
    pub(crate) code: u8,
    pub(super) said: String,
}

/// A manager, and how to show what it answers.
struct Manager {
    caller: Caller,
    headers: HeaderMap,
    json: bool,
}

/// Does what the command line asks for.
pub(crate) fn run(ask: Ask, out: &mut dyn Write) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(answer(ask, out))
}

async fn answer(ask: Ask, out: &mut dyn Write) -> anyhow::Result<()> {
    match ask {
        Ask::Nodes(whom) => whom.manager()?.list("/nodes", &show::NODES, out).await,
        Ask::Contexts(whom) => whom.manager()?.list("/contexts", &show::CONTEXTS, out).await,
        Ask::Balancers(whom) => whom.manager()?.list("/balancers", &show::BALANCERS, out).await,
        Ask::Peers(whom) => whom.manager()?.list("/peers", &show::PEERS, out).await,
        Ask::Audit { whom, limit } => {
            let path = format!("/audit?limit={limit}");
            whom.manager()?.list(&path, &show::EVENTS, out).await
        }
        Ask::Drains(whom) => drains(&whom.manager()?, out).await,
        Ask::Events { whom, once: true } => {
            whom.manager()?.list("/events", &show::EVENTS, out).await
        }
        Ask::Events { whom, once: false } => follow(&whom.manager()?, out).await,
        Ask::Enable { target, whom } => whom.manager()?.verb("enable", &target, out).await,
        Ask::Disable { target, whom } => whom.manager()?.verb("disable", &target, out).await,
        Ask::Stop { target, whom } => whom.manager()?.verb("stop", &target, out).await,
        Ask::Drain(drain) => drain.run(out).await,
        Ask::Remove { node, whom } => {
            let body = json!({ "verb": "remove", "target": { "node": node } });
            whom.manager()?.change(Method::POST, "/verbs", Some(body), out).await
        }
        Ask::Override(over) => over.run(out).await,
        Ask::Cluster(cluster) => super::cluster::run(cluster, out).await,
        Ask::Reload(whom) => {
            whom.manager()?.change(Method::POST, "/reload", Some(json!({})), out).await
        }
    }
}

async fn drains(manager: &Manager, out: &mut dyn Write) -> anyhow::Result<()> {
    let drains = manager.call(Method::GET, "/drains", None).await?;
    if manager.json {
        return Ok(writeln!(out, "{drains}")?);
    }
    let rows = |name: &str| drains[name].as_array().cloned().unwrap_or_default();
    // Those that are over stand in the history too.
    let is_on = |drain: &Value| drain["phase"] != "ended";
    let mut all: Vec<Value> = rows("standing").into_iter().filter(is_on).collect();
    all.extend(rows("history"));
    Ok(write!(out, "{}", show::table(&show::DRAINS, &all))?)
}

async fn follow(manager: &Manager, out: &mut dyn Write) -> anyhow::Result<()> {
    let manager = Manager {
        caller: manager.caller.within(EVENTS_WAIT),
        headers: manager.headers.clone(),
        json: manager.json,
    };
    let mut after = 0;
    loop {
        let path = format!("/events?after={after}&wait_seconds=8");
        let events = manager.call(Method::GET, &path, None).await?;
        for event in events.as_array().into_iter().flatten() {
            after = event["seq"].as_u64().unwrap_or(after);
            match manager.json {
                true => writeln!(out, "{event}")?,
                false => {
                    let cells: Vec<String> =
                        show::EVENTS.iter().map(|(_, cell)| cell(event)).collect();
                    writeln!(out, "{}", cells.join("  "))?;
                }
            }
        }
        out.flush()?;
    }
}

// === impl Whom ===

impl Whom {
    fn manager(&self) -> anyhow::Result<Manager> {
        let url = match (&self.url, &self.config) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => url_of(&Config::read(file)?)?,
            (None, None) => DEFAULT_URL.to_owned(),
        };
        let caller = Caller::new(&url, Papers::believing(self.ca.as_ref()), self.timeout)?;
        let mut headers = HeaderMap::new();
        if let Some(login) = self.login()? {
            let mut value = HeaderValue::from_str(&login).context("a login of other letters")?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Manager { caller, headers, json: self.json })
    }

    fn login(&self) -> anyhow::Result<Option<String>> {
        match (&self.token_file, &self.user, &self.password_file) {
            (Some(file), ..) => Ok(Some(format!("Bearer {}", first_line(file)?))),
            (None, Some(user), Some(file)) => {
                let password = first_line(file)?;
                Ok(Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))))
            }
            _ => Ok(None),
        }
    }
}

/// Where the manager of a configuration listens, as seen from the same machine.
fn url_of(config: &Config) -> anyhow::Result<String> {
    let mut address = *config.manager.listen.first().context("manager.listen is empty")?;
    if address.ip().is_unspecified() {
        address.set_ip(match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if config.manager.tls.is_off() { "http" } else { "https" };
    Ok(format!("{scheme}://{address}"))
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(
        !line.is_empty() && line.len() <= MAX_SECRET,
        "{}: the first line has 1 to {MAX_SECRET} bytes, not {}",
        file.display(),
        line.len()
    );
    Ok(line.to_owned())
}

// === impl Manager ===

impl Manager {
    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut headers = self.headers.clone();
        let bytes = match body {
            Some(body) => {
                let kind = HeaderValue::from_static("application/json");
                headers.insert(header::CONTENT_TYPE, kind);
                body.to_string().into_bytes()
            }
            None => Vec::new(),
        };
        let path = format!("{}{path}", crate::api::PREFIX);
        let answer = self.caller.call(method, &path, headers, bytes).await?;
        let value: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if answer.status.is_success() {
            return value.context("the answer is no JSON");
        }
        let detail = value.as_ref().map(|value| show::text(&value["detail"]));
        let detail = detail.unwrap_or_else(|| {
            show::text(&Value::from(String::from_utf8_lossy(&answer.body).trim()))
        });
        anyhow::bail!("{} ({})", detail, answer.status.as_u16())
    }

    async fn list(
        &self,
        path: &str,
        columns: &[Column],
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let rows = self.call(Method::GET, path, None).await?;
        match self.json {
            true => writeln!(out, "{rows}")?,
            false => {
                let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
                write!(out, "{}", show::table(columns, rows))?;
            }
        }
        Ok(())
    }

    async fn verb(&self, verb: &str, target: &Target, out: &mut dyn Write) -> anyhow::Result<()> {
        let body = json!({ "verb": verb, "target": target.json() });
        self.change(Method::POST, "/verbs", Some(body), out).await
    }

    async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let done = self.call(method, path, body).await?;
        match self.json {
            true => writeln!(out, "{done}")?,
            false => {
                let rows = done["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
                write!(out, "{}", show::table(&show::CHANGES, rows))?;
            }
        }
        Ok(())
    }
}

// === impl Target ===

impl Target {
    fn json(&self) -> Value {
        let mut target = Map::new();
        let mut put = |name: &str, value: &Option<String>| {
            if let Some(value) = value {
                target.insert(name.to_owned(), json!(value));
            }
        };
        put("node", &self.node);
        put("context", &self.context);
        put("group", &self.group);
        if let Some(alias) = &self.alias {
            target.insert("aliases".to_owned(), json!([alias]));
        }
        Value::Object(target)
    }

    /// Whether a drain is of this.
    fn is_of(&self, drain: &Value) -> bool {
        let is = |own: &Option<String>, value: &Value| {
            own.as_ref().is_none_or(|own| value.as_str() == Some(own.as_str()))
        };
        is(&self.node, &drain["node"]) && is(&self.context, &drain["context"])
    }
}

// === impl Drain ===

impl Drain {
    async fn run(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let manager = self.whom.manager()?;
        if self.cancel {
            return manager.verb("cancel_drain", &self.target, out).await;
        }
        if self.now {
            return manager.verb("stop_now", &self.target, out).await;
        }
        let mut body = json!({ "verb": "drain", "target": self.target.json() });
        if let Some(deadline) = self.deadline {
            body["deadline_seconds"] = json!(deadline.as_secs().max(1));
        }
        let done = manager.call(Method::POST, "/verbs", Some(body)).await?;
        if !self.wait {
            let rows = done["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
            match manager.json {
                true => writeln!(out, "{done}")?,
                false => write!(out, "{}", show::table(&show::CHANGES, rows))?,
            }
            return Ok(());
        }
        let count = done["changes"].as_array().map_or(0, Vec::len);
        self.wait(&manager, count, out).await
    }

    /// Waits until as many drains of the target as were begun are over.
    async fn wait(
        &self,
        manager: &Manager,
        count: usize,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let until = Instant::now() + self.wait_timeout;
        loop {
            let drains = manager.call(Method::GET, "/drains", None).await?;
            let rows = |name: &str| drains[name].as_array().cloned().unwrap_or_default();
            let is_on = |drain: &&Value| drain["phase"] != "ended" && self.target.is_of(drain);
            let standing = rows("standing");
            if standing.iter().filter(is_on).count() == 0 {
                let history = rows("history");
                let of_target: Vec<Value> =
                    history.into_iter().filter(|drain| self.target.is_of(drain)).collect();
                let last = &of_target[of_target.len().saturating_sub(count)..];
                match manager.json {
                    true => writeln!(out, "{}", Value::from(last.to_vec()))?,
                    false => write!(out, "{}", show::table(&show::DRAINS, last))?,
                }
                let is_clean = |drain: &Value| {
                    matches!(drain["end"].as_str(), Some("empty" | "gone")) && drain["lost"] == 0
                };
                return match last.iter().all(is_clean) {
                    true => Ok(()),
                    false => Err(Ended { code: 4, said: "something was left".to_owned() }.into()),
                };
            }
            if Instant::now() >= until {
                let said = "the drain is not over yet".to_owned();
                return Err(Ended { code: 3, said }.into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

// === impl Override ===

impl Override {
    async fn run(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let manager = self.whom.manager()?;
        let encoded = |name: &str| {
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let path = match (&self.node, &self.balancer) {
            (Some(node), _) => format!("/nodes/{}/overrides", encoded(node)),
            (None, Some(name)) => format!("/balancers/{}/overrides", encoded(name)),
            (None, None) => anyhow::bail!("say a node or --balancer"),
        };
        if self.reset {
            return manager.change(Method::DELETE, &path, None, out).await;
        }
        let mut body = Map::new();
        for pair in &self.set {
            let (name, value) =
                pair.split_once('=').with_context(|| format!("{pair:?} is no NAME=VALUE"))?;
            let value = serde_json::from_str(value)
                .with_context(|| format!("{name}: {value:?} is neither a number nor a boolean"))?;
            body.insert(name.to_owned(), value);
        }
        manager.change(Method::PUT, &path, Some(Value::Object(body)), out).await
    }
}
