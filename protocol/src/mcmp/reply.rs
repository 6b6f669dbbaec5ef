//! What a balancer answers, and the bytes of it.
//!
//! SYNTAX makes real clients give this balancer up for good; any other refusal makes them
//! register again at their next tick. (reference: MCMP, the answers)

use super::parse::ParseError;
use super::report::{XML_HEAD, element};
use super::{Dump, Info};
use crate::form::Form;
use crate::names::{Alias, ContextPath, Route};

/// The protocol's version that all answers claim.
pub const PROTOCOL: &str = "0.2.1";

/// Most bytes of the `Mess` header; a longer message is cut.
const MAX_MESS: usize = 400;

const TEXT: &str = "text/plain";
const XML: &str = "text/xml";
const JSON: &str = "application/json";

/// A good answer: always 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// CONFIG and the app commands but STOP-APP.
    Empty,
    /// STOP-APP for contexts. The client asks again until `requests` is 0, so it must be true.
    Stop {
        /// The node.
        route: Route,
        /// The virtual host, as asked.
        aliases: Vec<Alias>,
        /// The contexts, as asked.
        contexts: Vec<ContextPath>,
        /// Requests in flight to them.
        requests: u64,
    },
    /// STATUS.
    Status {
        /// The node, as asked.
        route: Option<Route>,
        /// Whether it answers its probe.
        ok: bool,
        /// Changes at each start of the balancer: clients notice a restart by it.
        id: u64,
    },
    /// PING.
    Ping {
        /// The node, where one was asked for.
        route: Option<Route>,
        /// Whether what was asked for answers.
        ok: bool,
        /// As in a status.
        id: u64,
    },
    /// VERSION.
    Version {
        /// Product and version: `muster/0.1.0`.
        product: String,
    },
    /// INFO.
    Info(Info),
    /// DUMP.
    Dump(Dump),
}

/// The form of VERSION, INFO and DUMP; everything else is always text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// The default.
    #[default]
    Text,
    /// `Accept: text/xml`.
    Xml,
    /// `Accept: application/json`.
    Json,
}

/// Why a command was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.word())]
pub struct Refused {
    /// What the client makes of it.
    pub kind: RefusedKind,
    /// In the user's words, without the kind.
    pub message: String,
}

/// What the client makes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedKind {
    /// The message is malformed: real clients never ask this balancer again.
    Syntax,
    /// It does not fit what the balancer knows: real clients register again.
    Mem,
}

/// The bytes of an answer, for whichever server sends them. Content-Length is the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The Content-Type.
    pub content_type: &'static str,
    /// Further headers; their values are one line of printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

// === impl Reply ===

impl Reply {
    /// The answer in the format that was asked for.
    pub fn answer(&self, format: Format) -> Answer {
        match self {
            Reply::Empty => Answer::good(TEXT, String::new()),
            Reply::Stop { route, aliases, contexts, requests } => {
                let mut form = Form::new();
                form.add("Type", "STOP-APP-RSP").add("JvmRoute", route);
                form.add_list("Alias", aliases).add_list("Context", contexts);
                form.add("Requests", requests);
                Answer::form(form)
            }
            Reply::Status { route, ok, id } => {
                let route = route.as_ref().map_or("", Route::as_str);
                let mut form = Form::new();
                form.add("Type", "STATUS-RSP").add("JVMRoute", route);
                form.add("State", state(*ok)).add("id", id);
                Answer::form(form)
            }
            Reply::Ping { route, ok, id } => {
                let mut form = Form::new();
                form.add("Type", "PING-RSP");
                if let Some(route) = route {
                    form.add("JVMRoute", route);
                }
                form.add("State", state(*ok)).add("id", id);
                Answer::form(form)
            }
            Reply::Version { product } => version(product, format),
            Reply::Info(info) => match format {
                Format::Text => Answer::good(TEXT, info.to_text()),
                Format::Xml => Answer::good(XML, info.to_xml()),
                Format::Json => Answer::good(JSON, info.to_json()),
            },
            Reply::Dump(dump) => match format {
                Format::Text => Answer::good(TEXT, dump.to_text()),
                Format::Xml => Answer::good(XML, dump.to_xml()),
                Format::Json => Answer::good(JSON, dump.to_json()),
            },
        }
    }
}

fn state(ok: bool) -> &'static str {
    match ok {
        true => "OK",
        false => "NOTOK",
    }
}

fn version(product: &str, format: Format) -> Answer {
    match format {
        Format::Text => Answer::good(TEXT, format!("release: {product}, protocol: {PROTOCOL}\n")),
        Format::Xml => {
            let mut xml = format!("{XML_HEAD}<version>");
            element(&mut xml, "release", product);
            element(&mut xml, "protocol", PROTOCOL);
            xml.push_str("</version>\n");
            Answer::good(XML, xml)
        }
        Format::Json => {
            let json = serde_json::json!({ "release": product, "protocol": PROTOCOL });
            Answer::good(JSON, json.to_string())
        }
    }
}

// === impl Format ===

impl Format {
    /// The format that an Accept header asks for: the first media type that is known counts.
    pub fn from_accept(accept: Option<&str>) -> Format {
        let types = accept.unwrap_or_default().split(',');
        let mut types = types.map(|range| range.split(';').next().unwrap_or_default().trim());
        let known = types.find_map(|media_type| match media_type.to_ascii_lowercase().as_str() {
            TEXT => Some(Format::Text),
            XML => Some(Format::Xml),
            JSON => Some(Format::Json),
            _ => None,
        });
        known.unwrap_or_default()
    }
}

// === impl Refused ===

impl Refused {
    /// A refusal because the message is malformed.
    pub fn syntax(message: impl Into<String>) -> Refused {
        Refused { kind: RefusedKind::Syntax, message: message.into() }
    }

    /// A refusal because the command does not fit what the balancer knows.
    pub fn mem(message: impl Into<String>) -> Refused {
        Refused { kind: RefusedKind::Mem, message: message.into() }
    }

    /// The answer: 500 with the headers `Version`, `Type` and `Mess`.
    pub fn answer(&self) -> Answer {
        let mess = one_line(&self.to_string());
        let headers = vec![
            ("Version", PROTOCOL.to_owned()),
            ("Type", self.kind.word().to_owned()),
            ("Mess", mess.clone()),
        ];
        Answer { status: 500, content_type: TEXT, headers, body: format!("{mess}\n") }
    }
}

// === impl RefusedKind ===

impl RefusedKind {
    /// The wire's word.
    pub fn word(self) -> &'static str {
        match self {
            RefusedKind::Syntax => "SYNTAX",
            RefusedKind::Mem => "MEM",
        }
    }

    /// What a client makes of a `Type` header: all but SYNTAX is MEM, for it registers again.
    pub fn from_word(word: &str) -> RefusedKind {
        match word {
            "SYNTAX" => RefusedKind::Syntax,
            _ => RefusedKind::Mem,
        }
    }
}

// === impl ParseError ===

impl ParseError {
    /// The answer: one table from the error to HTTP.
    pub fn answer(&self) -> Answer {
        match self {
            ParseError::Syntax(message) => Refused::syntax(message.as_str()).answer(),
            ParseError::UnknownMethod(_) => Answer::bad(501, self),
            ParseError::BadUri => Answer::bad(400, self),
            ParseError::TooBig { .. } => Answer::bad(413, self),
        }
    }
}

// === impl Answer ===

impl Answer {
    fn good(content_type: &'static str, body: String) -> Answer {
        Answer { status: 200, content_type, headers: Vec::new(), body }
    }

    fn form(form: Form) -> Answer {
        Answer::good(TEXT, form.into_text() + "\n")
    }

    fn bad(status: u16, error: &ParseError) -> Answer {
        let body = one_line(&error.to_string()) + "\n";
        Answer { status, content_type: TEXT, headers: Vec::new(), body }
    }
}

/// Text that a header can carry: one line of printable ASCII, not too long.
fn one_line(text: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    text.chars().take(MAX_MESS).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(reply: Reply) -> String {
        reply.answer(Format::Text).body
    }

    #[test]
    fn a_stop_names_the_whole_virtual_host_and_the_true_number() {
        let stop = Reply::Stop {
            route: "wf3".parse().unwrap(),
            aliases: vec!["default-host".parse().unwrap(), "localhost".parse().unwrap()],
            contexts: vec!["/wildfly-services".parse().unwrap()],
            requests: 3,
        };
        assert_eq!(
            body(stop),
            "Type=STOP-APP-RSP&JvmRoute=wf3&Alias=default-host%2Clocalhost\
             &Context=%2Fwildfly-services&Requests=3\n"
        );
    }

    #[test]
    fn a_status_is_answered_as_recorded() {
        let route = Some("node1".parse().unwrap());
        let status = Reply::Status { route, ok: true, id: 612633324 };
        assert_eq!(body(status), "Type=STATUS-RSP&JVMRoute=node1&State=OK&id=612633324\n");
        let status = Reply::Status { route: None, ok: false, id: 7 };
        assert_eq!(body(status), "Type=STATUS-RSP&JVMRoute=&State=NOTOK&id=7\n");
        let ping = Reply::Ping { route: None, ok: true, id: 7 };
        assert_eq!(body(ping), "Type=PING-RSP&State=OK&id=7\n");
    }

    #[test]
    fn a_version_is_answered_as_recorded() {
        let version = Reply::Version { product: "muster/0.1.0".to_owned() };
        let text = version.answer(Format::Text);
        assert_eq!(text.body, "release: muster/0.1.0, protocol: 0.2.1\n");
        let xml = version.answer(Format::Xml);
        assert_eq!(xml.content_type, "text/xml");
        assert_eq!(
            xml.body,
            "<?xml version=\"1.0\" standalone=\"yes\" ?>\n<version>\
             <release>muster/0.1.0</release><protocol>0.2.1</protocol></version>\n"
        );
    }

    #[test]
    fn a_refusal_fits_into_a_header() {
        let answer = Refused::mem("Can't read node with \"a\r\nX: y\u{e4}\" JVMRoute").answer();
        assert_eq!(answer.status, 500);
        assert_eq!(
            answer.headers,
            [
                ("Version", "0.2.1".to_owned()),
                ("Type", "MEM".to_owned()),
                ("Mess", "MEM: Can't read node with \"a??X: y?\" JVMRoute".to_owned()),
            ]
        );
        let long = Refused::syntax("x".repeat(10_000)).answer();
        assert_eq!(long.headers[2].1.len(), MAX_MESS);
    }

    #[test]
    fn the_first_known_media_type_counts() {
        assert_eq!(Format::from_accept(None), Format::Text);
        assert_eq!(Format::from_accept(Some("*/*")), Format::Text);
        assert_eq!(Format::from_accept(Some("text/xml")), Format::Xml);
        assert_eq!(Format::from_accept(Some("Application/JSON; q=0.5, text/xml")), Format::Json);
    }
}
