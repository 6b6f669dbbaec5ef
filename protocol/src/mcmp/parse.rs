//! From the bytes of a message to a [`Command`]: everything is checked here, once.
//!
//! A message that is malformed is SYNTAX, and SYNTAX makes real clients give this balancer up for
//! good, so nothing else is. What a real balancer ignores (unknown keys in CONFIG and the app
//! commands, a bad `smax`, the lists of a node-wide command) is ignored here too.
//! (reference: MCMP, the request; the answers; CONFIG table)

mod config;
mod fields;

use super::command::{App, Command, Load, Ping, Scheme, Scope, Status, Verb, VirtualHost};
use crate::names::{Alias, ContextPath, NodeHost, Route};
use fields::Fields;

/// Most bytes of a body where nothing else is configured: room for some hundred long aliases.
pub const MAX_BODY: usize = 64 * 1024;

/// The methods of all commands.
pub const METHODS: [&str; 10] = [
    "CONFIG",
    "ENABLE-APP",
    "DISABLE-APP",
    "STOP-APP",
    "REMOVE-APP",
    "STATUS",
    "PING",
    "INFO",
    "DUMP",
    "VERSION",
];

/// The method as [`METHODS`] spells it, in whichever case it came; `None` where it is none of
/// MCMP's.
pub fn method(word: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|method| method.eq_ignore_ascii_case(word))
}

/// Why a message is no command. Nothing has changed when it is answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The message is malformed: 500 with `Type: SYNTAX`.
    #[error("SYNTAX: {0}")]
    Syntax(String),
    /// The method is none of MCMP's: 501.
    #[error("{0:?} is no MCMP command")]
    UnknownMethod(String),
    /// The uri is a bare `*`: 400.
    #[error("the uri of a command is / or /*, not *")]
    BadUri,
    /// The body is over the limit: 413.
    #[error("the body has {length} bytes, the limit is {limit}")]
    TooBig {
        /// Bytes that the body has.
        length: usize,
        /// Most bytes that are taken.
        limit: usize,
    },
}

pub(super) fn syntax<T>(message: impl Into<String>) -> Result<T, ParseError> {
    Err(ParseError::Syntax(message.into()))
}

/// Reads a message whose body may have [`MAX_BODY`] bytes.
///
/// Methods and keys know no case; a uri that ends in `/*` makes an app command node-wide.
///
/// ```
/// use muster_protocol::mcmp::{Command, parse};
/// let command = parse("STATUS", "/", b"JVMRoute=a&Load=60")?;
/// assert!(matches!(command, Command::Status(_)));
/// # Ok::<(), muster_protocol::mcmp::ParseError>(())
/// ```
pub fn parse(method: &str, uri: &str, body: &[u8]) -> Result<Command, ParseError> {
    parse_within(method, uri, body, MAX_BODY)
}

/// Reads a message whose body may have `limit` bytes.
pub fn parse_within(
    method: &str,
    uri: &str,
    body: &[u8],
    limit: usize,
) -> Result<Command, ParseError> {
    let method = Method::from_word(method)?;
    if uri == "*" {
        return Err(ParseError::BadUri);
    }
    if body.len() > limit {
        return Err(ParseError::TooBig { length: body.len(), limit });
    }
    match method {
        Method::Config => config::config(&Fields::read(body)?).map(Box::new).map(Command::Config),
        Method::App(verb) => app(verb, uri.ends_with("/*"), &Fields::read(body)?).map(Command::App),
        Method::Status => status(&Fields::read(body)?).map(Command::Status),
        Method::Ping => ping(&Fields::read(body)?).map(Command::Ping),
        Method::Info => Ok(Command::Info),
        Method::Dump => Ok(Command::Dump),
        Method::Version => Ok(Command::Version),
    }
}

enum Method {
    Config,
    App(Verb),
    Status,
    Ping,
    Info,
    Dump,
    Version,
}

// === impl Method ===

impl Method {
    fn from_word(word: &str) -> Result<Method, ParseError> {
        match word.to_ascii_uppercase().as_str() {
            "CONFIG" => Ok(Method::Config),
            "ENABLE-APP" => Ok(Method::App(Verb::Enable)),
            "DISABLE-APP" => Ok(Method::App(Verb::Disable)),
            "STOP-APP" => Ok(Method::App(Verb::Stop)),
            "REMOVE-APP" => Ok(Method::App(Verb::Remove)),
            "STATUS" => Ok(Method::Status),
            "PING" => Ok(Method::Ping),
            "INFO" => Ok(Method::Info),
            "DUMP" => Ok(Method::Dump),
            "VERSION" => Ok(Method::Version),
            _ => Err(ParseError::UnknownMethod(word.to_owned())),
        }
    }
}

// === the messages but CONFIG ===

fn app(verb: Verb, node_wide: bool, fields: &Fields) -> Result<App, ParseError> {
    let route = mandatory_route(fields)?;
    if node_wide {
        return Ok(App { verb, route, scope: Scope::Node });
    }
    match virtual_host(fields)? {
        Some(host) => Ok(App { verb, route, scope: Scope::Contexts(host) }),
        None => syntax("No Context and Alias in APP command"),
    }
}

fn status(fields: &Fields) -> Result<Status, ParseError> {
    if fields.is_empty() {
        return syntax("Invalid field \"\" in message");
    }
    fields.allow_only(&["JVMRoute", "Load"])?;
    let route = fields.name("JVMRoute")?;
    let load = match fields.one("Load")? {
        None => Load::ProbeOnly,
        Some(text) => match text.parse().ok().and_then(Load::from_number) {
            Some(load) => load,
            None => return syntax(format!("Load field has bad value {text:?}")),
        },
    };
    Ok(Status { route, load })
}

fn ping(fields: &Fields) -> Result<Ping, ParseError> {
    fields.allow_only(&["JVMRoute", "Scheme", "Host", "Port"])?;
    if let Some(route) = fields.name("JVMRoute")? {
        return Ok(Ping::Node(route));
    }
    let scheme = fields.one("Scheme")?.map(Scheme::from_word);
    match (scheme, fields.name::<NodeHost>("Host")?, fields.port()?) {
        (None, None, None) => Ok(Ping::Balancer),
        (Some(scheme), Some(host), Some(port)) => Ok(Ping::Address { scheme, host, port }),
        _ => syntax("Mandatory field(s) missing in message"),
    }
}

// === what several messages share ===

fn mandatory_route(fields: &Fields) -> Result<Route, ParseError> {
    match fields.name("JVMRoute")? {
        Some(route) => Ok(route),
        None => syntax("JVMRoute can't be empty"),
    }
}

/// The two lists: both or neither.
fn virtual_host(fields: &Fields) -> Result<Option<VirtualHost>, ParseError> {
    let aliases: Vec<Alias> = fields.list("Alias")?;
    let contexts: Vec<ContextPath> = fields.list("Context")?;
    match (aliases.is_empty(), contexts.is_empty()) {
        (false, false) => Ok(Some(VirtualHost { aliases, contexts })),
        (true, true) => Ok(None),
        (true, false) => syntax("Context without Alias"),
        (false, true) => syntax("Alias without Context"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mcmp::command::{FlushPackets, NodeConfig};

    fn config(body: &str) -> NodeConfig {
        match parse("CONFIG", "/", body.as_bytes()) {
            Ok(Command::Config(config)) => *config,
            other => panic!("{body} is no CONFIG: {other:?}"),
        }
    }

    fn refusal(method: &str, body: &str) -> String {
        parse(method, "/", body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn methods_keys_and_words_know_no_case() {
        let quiet = config("jvmroute=a&HOST=h&port=80&TYPE=WSS&stickysessionforce=off");
        let loud = config("JVMRoute=a&Host=h&Port=80&Type=https&StickySessionForce=No");
        assert_eq!(quiet, loud);
        assert_eq!(config("JVMRoute=a&FlushPackets=AUTO").flush_packets, FlushPackets::Auto);
        assert_eq!(parse("info", "/", b""), Ok(Command::Info));
    }

    #[test]
    fn a_negative_number_or_a_bad_smax_reads_as_if_absent() {
        let absent = config("JVMRoute=a");
        let negative = "JVMRoute=a&ping=-1&ttl=-1&flushwait=-1&Timeout=-1&smax=-1&WaitWorker=-1";
        assert_eq!(config(negative), absent);
        assert_eq!(config("JVMRoute=a&smax=many&Timeout=0"), absent);
        assert_eq!(absent.ttl, Duration::from_secs(60));
        assert!(refusal("CONFIG", "JVMRoute=a&ttl=9999999999").starts_with("SYNTAX: TTL field"));
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let message = refusal("CONFIG", "JVMRoute=a&jvmroute=b");
        assert_eq!(message, "SYNTAX: JVMRoute stands twice in message");
    }

    #[test]
    fn a_list_is_checked_value_by_value_and_holds_each_once() {
        let host = config("JVMRoute=a&Alias=LOCALHOST,localhost&Context=/x,/x/,/y").virtual_host;
        let host = host.unwrap();
        assert_eq!((host.aliases.len(), host.contexts.len()), (1, 2));
        let alias = "a".repeat(200);
        let two = format!("JVMRoute=a&Context=/x&Alias={alias},b{alias}");
        assert!(parse("ENABLE-APP", "/", two.as_bytes()).is_ok());
        assert!(refusal("ENABLE-APP", "JVMRoute=a&Context=/x,&Alias=h").contains("Context can't"));
    }

    #[test]
    fn a_node_wide_command_ignores_its_lists() {
        let node_wide = parse("REMOVE-APP", "/*", b"JVMRoute=a&Context=/x&Alias=");
        assert!(matches!(node_wide, Err(ParseError::Syntax(_))), "the form is still checked");
        let node_wide = parse("REMOVE-APP", "/any/*", b"JVMRoute=a&Context=/x");
        assert!(matches!(node_wide, Ok(Command::App(App { scope: Scope::Node, .. }))));
    }

    #[test]
    fn a_bad_value_is_named_with_its_key() {
        let message = refusal("CONFIG", "JVMRoute=a&Port=x");
        assert_eq!(message, "SYNTAX: Port field has bad value \"x\"");
        assert!(refusal("CONFIG", "JVMRoute=a&Port=0").contains("\"0\""));
        assert!(refusal("CONFIG", "JVMRoute=a&Port=65536").contains("bad value"));
        assert!(refusal("CONFIG", "JVMRoute=a&StickySession=maybe").contains("\"maybe\""));
        assert!(refusal("CONFIG", "JVMRoute=a&Type=ftp").contains("\"ftp\""));
        assert!(refusal("STATUS", "JVMRoute=a&Load=101").contains("\"101\""));
    }

    #[test]
    fn what_is_not_malformed_is_not_syntax() {
        let over = vec![b'x'; MAX_BODY + 1];
        let too_big = parse("CONFIG", "/", &over).unwrap_err();
        assert_eq!(too_big, ParseError::TooBig { length: MAX_BODY + 1, limit: MAX_BODY });
        assert_eq!(too_big.answer().status, 413);
        assert_eq!(parse("PING", "*", b"").unwrap_err().answer().status, 400);
        assert_eq!(parse("GET", "/", b"").unwrap_err().answer().status, 501);
    }

    #[test]
    fn a_ping_asks_for_the_balancer_a_node_or_an_address() {
        let ping = |body: &str| match parse("PING", "/", body.as_bytes()) {
            Ok(Command::Ping(ping)) => ping,
            other => panic!("{body} is no PING: {other:?}"),
        };
        assert_eq!(ping(""), Ping::Balancer);
        assert_eq!(ping("JVMRoute=a"), Ping::Node("a".parse().unwrap()));
        let host = "127.0.0.1".parse().unwrap();
        let address = Ping::Address { scheme: None, host, port: 1 };
        assert_eq!(ping("Scheme=ftp&Host=127.0.0.1&Port=1"), address);
    }
}
