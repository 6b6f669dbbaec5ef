//! From a [`Command`] to the bytes of a message, as real clients send them: JVMRoute first, then
//! the keys in ASCII order, and no key whose value is the wire's default.
//!
//! Host, Port and Type always stand, as they do in every recorded CONFIG.

use std::time::Duration;

use super::command::{
    App, BalancerSettings, Command, Load, NodeConfig, Ping, Scope, Status, VirtualHost,
};
use crate::form::Form;

/// What goes into a request line and a body. Without a body, no Content-Length is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The method, such as `CONFIG`.
    pub method: &'static str,
    /// `/`, or `/*` for a node-wide command and for DUMP.
    pub uri: &'static str,
    /// The form; empty for INFO, DUMP, VERSION and a plain PING.
    pub body: String,
}

/// The message that asks for a command.
///
/// Durations travel as whole seconds (flush_wait: milliseconds) and are rounded up, so that none
/// becomes the wire's "no bound".
///
/// ```
/// use muster_protocol::mcmp::{Command, Load, Status, write};
/// let status = Status { route: Some("a".parse()?), load: Load::Usable(60) };
/// let message = write(&Command::Status(status));
/// assert_eq!(message.method, "STATUS");
/// assert_eq!(message.body, "JVMRoute=a&Load=60");
/// # Ok::<(), muster_protocol::names::NameError>(())
/// ```
pub fn write(command: &Command) -> Message {
    let (method, uri, form) = match command {
        Command::Config(config) => ("CONFIG", "/", config_form(config)),
        Command::App(app) => (app.verb.method(), app_uri(app), app_form(app)),
        Command::Status(status) => ("STATUS", "/", status_form(status)),
        Command::Ping(ping) => ("PING", "/", ping_form(ping)),
        Command::Info => ("INFO", "/", Form::new()),
        Command::Dump => ("DUMP", "/*", Form::new()),
        Command::Version => ("VERSION", "/", Form::new()),
    };
    Message { method, uri, body: form.into_text() }
}

fn app_uri(app: &App) -> &'static str {
    match app.scope {
        Scope::Node => "/*",
        Scope::Contexts(_) => "/",
    }
}

fn app_form(app: &App) -> Form {
    let mut form = Form::new();
    form.add("JVMRoute", &app.route);
    if let Scope::Contexts(VirtualHost { aliases, contexts }) = &app.scope {
        form.add_list("Alias", aliases).add_list("Context", contexts);
    }
    form
}

/// A probe-only status goes without Load: one of the two wires takes -2 for a mistake.
fn status_form(status: &Status) -> Form {
    let mut form = Form::new();
    if let Some(route) = &status.route {
        form.add("JVMRoute", route);
    }
    if status.load != Load::ProbeOnly || status.route.is_none() {
        form.add("Load", status.load.number());
    }
    form
}

fn ping_form(ping: &Ping) -> Form {
    let mut form = Form::new();
    match ping {
        Ping::Balancer => {}
        Ping::Node(route) => {
            form.add("JVMRoute", route);
        }
        Ping::Address { scheme, host, port } => {
            let scheme = scheme.map_or("unknown", |scheme| scheme.word());
            form.add("Host", host).add("Port", port).add("Scheme", scheme);
        }
    }
    form
}

fn config_form(config: &NodeConfig) -> Form {
    let default = NodeConfig::new(config.route.clone(), config.address.clone());
    let (settings, usual) = (&config.settings, BalancerSettings::default());
    let lists = config.virtual_host.as_ref();
    let mut form = Form::new();
    form.add("JVMRoute", &config.route);
    form.add_list("Alias", lists.map_or(&[], |host| &host.aliases));
    add_unless(&mut form, "Balancer", &config.balancer, &default.balancer);
    form.add_list("Context", lists.map_or(&[], |host| &host.contexts));
    if let Some(domain) = &config.domain {
        form.add("Domain", domain);
    }
    form.add("Host", &config.address.host);
    add_unless(&mut form, "Maxattempts", settings.max_attempts, usual.max_attempts);
    form.add("Port", config.address.port);
    add_unless(&mut form, "Reversed", yes(config.reversed), yes(default.reversed));
    add_settings(&mut form, settings, &usual);
    add_unless(&mut form, "Timeout", seconds(config.timeout.unwrap_or_default()), 0);
    form.add("Type", config.address.scheme);
    add_unless(&mut form, "WaitWorker", seconds(settings.wait_worker), 0);
    add_unless(&mut form, "flushpackets", config.flush_packets.word(), "Off");
    let milliseconds = |wait: Duration| wait.as_nanos().div_ceil(1_000_000);
    let (wait, usual_wait) = (milliseconds(config.flush_wait), milliseconds(default.flush_wait));
    add_unless(&mut form, "flushwait", wait, usual_wait);
    add_unless(&mut form, "ping", seconds(config.ping), seconds(default.ping));
    if let Some(smax) = config.smax {
        form.add("smax", smax);
    }
    add_unless(&mut form, "ttl", seconds(config.ttl), seconds(default.ttl));
    form
}

fn add_settings(form: &mut Form, settings: &BalancerSettings, usual: &BalancerSettings) {
    add_unless(form, "StickySession", yes(settings.sticky), yes(usual.sticky));
    add_unless(form, "StickySessionCookie", &settings.cookie, &usual.cookie);
    add_unless(form, "StickySessionForce", yes(settings.sticky_force), yes(usual.sticky_force));
    add_unless(form, "StickySessionPath", &settings.path, &usual.path);
    add_unless(form, "StickySessionRemove", yes(settings.sticky_remove), yes(usual.sticky_remove));
}

fn add_unless<T: PartialEq + std::fmt::Display>(form: &mut Form, key: &str, value: T, usual: T) {
    if value != usual {
        form.add(key, value);
    }
}

fn yes(flag: bool) -> &'static str {
    match flag {
        true => "Yes",
        false => "No",
    }
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}
