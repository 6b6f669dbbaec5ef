//! A vector: a raw request, and what is right.

use super::case::PLACE;

/// The host that vectors ask for where the host is not the matter.
pub const HOST: &str = "h.example";

/// A raw request and what is right.
#[derive(Debug, Clone)]
pub struct Vector {
    /// What it is, in words.
    pub name: String,
    /// What the client does.
    pub steps: Vec<Step>,
    /// What is right.
    pub right: Right,
    /// How the connection goes on after that.
    pub ends: Ends,
}

/// A step of the client.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes, in which [`PLACE`] stands for the token.
    Write(Vec<u8>),
    /// Waits a moment, so that what comes next arrives apart.
    Pause,
    /// Waits for `100 Continue`.
    Interim,
    /// Ends the sending side.
    HalfClose,
}

/// What is right.
#[derive(Debug, Clone)]
pub enum Right {
    /// It is refused.
    Refused(Refusal),
    /// It is served: the node sees these requests and nothing else.
    Served(Vec<Wanted>),
    /// Both are right.
    Either(Refusal, Vec<Wanted>),
}

/// How a request is to be refused. The connection is closed afterwards.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Any of these statuses.
    pub statuses: &'static [u16],
    /// Whether the fault is in the body: then a part of it may have reached the node, and the
    /// connection may be closed without an answer.
    pub in_body: bool,
    /// Headers that must reach the node if the request is served after all: without them it
    /// means something else.
    pub keeps: &'static [&'static str],
}

/// How the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It serves a further request.
    Open,
    /// It serves a further request or is closed.
    Any,
    /// It is closed.
    Closed,
    /// What followed is refused with 400, then it is closed.
    Refused,
    /// It is a tunnel.
    Tunnel,
}

/// A request as the node must see it.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The method.
    pub method: &'static str,
    /// The target.
    pub target: Vec<u8>,
    /// The value of Host; `None` where any will do.
    pub host: Option<&'static str>,
    /// The payload.
    pub body: Vec<u8>,
    /// Headers, each with all its values in order.
    pub has: Vec<(&'static str, Vec<&'static [u8]>)>,
    /// Headers that must not be there.
    pub lacks: Vec<&'static str>,
    /// Texts that must not be anywhere in what the node gets.
    pub hides: Vec<&'static str>,
    /// The status of the node's answer.
    pub status: u16,
}

// === impl Vector ===

impl Vector {
    /// Right is to refuse it: 400 and close.
    pub fn refused(name: impl Into<String>, raw: impl Into<Vec<u8>>) -> Vector {
        Vector::new(name, raw, Right::Refused(Refusal::default()))
    }

    /// Right is to serve it.
    pub fn served(name: impl Into<String>, raw: impl Into<Vec<u8>>, wanted: Wanted) -> Vector {
        Vector::new(name, raw, Right::Served(vec![wanted]))
    }

    /// Right is either: 400 and close, or serve it.
    pub fn either(name: impl Into<String>, raw: impl Into<Vec<u8>>, wanted: Wanted) -> Vector {
        Vector::new(name, raw, Right::Either(Refusal::default(), vec![wanted]))
    }

    /// Right is to serve several requests, one after the other.
    pub fn served_all(
        name: impl Into<String>,
        raw: impl Into<Vec<u8>>,
        wanted: Vec<Wanted>,
    ) -> Vector {
        Vector::new(name, raw, Right::Served(wanted))
    }

    fn new(name: impl Into<String>, raw: impl Into<Vec<u8>>, right: Right) -> Vector {
        let steps = vec![Step::Write(raw.into())];
        Vector { name: name.into(), steps, right, ends: Ends::Open }
    }

    /// Refused with any of these statuses.
    pub fn with(mut self, statuses: &'static [u16]) -> Vector {
        if let Right::Refused(refusal) | Right::Either(refusal, _) = &mut self.right {
            refusal.statuses = statuses;
        }
        self
    }

    /// The fault is in the body.
    pub fn in_body(mut self) -> Vector {
        if let Right::Refused(refusal) | Right::Either(refusal, _) = &mut self.right {
            refusal.in_body = true;
        }
        self
    }

    /// If it is served after all, these headers must be there.
    pub fn keeps(mut self, names: &'static [&'static str]) -> Vector {
        if let Right::Refused(refusal) | Right::Either(refusal, _) = &mut self.right {
            refusal.keeps = names;
        }
        self
    }

    /// How the connection goes on.
    pub fn ends(mut self, ends: Ends) -> Vector {
        self.ends = ends;
        self
    }

    /// After what was sent so far the client does this too.
    pub fn then(mut self, step: Step) -> Vector {
        self.steps.push(step);
        self
    }

    /// The requests that may reach the node.
    pub fn wanted(&self) -> &[Wanted] {
        match &self.right {
            Right::Refused(_) => &[],
            Right::Served(wanted) | Right::Either(_, wanted) => wanted,
        }
    }

    /// Whether the answer to the request at this place is one to HEAD.
    pub fn is_head(&self, place: usize) -> bool {
        self.wanted().get(place).is_some_and(|wanted| wanted.method == "HEAD")
    }
}

impl Default for Refusal {
    fn default() -> Refusal {
        Refusal { statuses: &[400], in_body: false, keeps: &[] }
    }
}

// === impl Wanted ===

impl Wanted {
    /// A request for [`target`] without a body.
    pub fn new(method: &'static str) -> Wanted {
        Wanted {
            method,
            target: target(),
            host: Some(HOST),
            body: Vec::new(),
            has: Vec::new(),
            lacks: Vec::new(),
            hides: Vec::new(),
            status: 200,
        }
    }

    /// GET.
    pub fn get() -> Wanted {
        Wanted::new("GET")
    }

    /// POST of a body.
    pub fn post(body: impl Into<Vec<u8>>) -> Wanted {
        Wanted { body: body.into(), ..Wanted::new("POST") }
    }

    /// Another target.
    pub fn at(mut self, target: impl Into<Vec<u8>>) -> Wanted {
        self.target = target.into();
        self
    }

    /// Another Host, or any.
    pub fn host(mut self, host: impl Into<Option<&'static str>>) -> Wanted {
        self.host = host.into();
        self
    }

    /// With this header, once.
    pub fn has(mut self, name: &'static str, value: &'static [u8]) -> Wanted {
        self.has.push((name, vec![value]));
        self
    }

    /// With this header in these values.
    pub fn has_all(mut self, name: &'static str, values: &[&'static [u8]]) -> Wanted {
        self.has.push((name, values.to_vec()));
        self
    }

    /// Without these headers.
    pub fn lacks(mut self, names: &[&'static str]) -> Wanted {
        self.lacks.extend(names);
        self
    }

    /// Without these texts.
    pub fn hides(mut self, texts: &[&'static str]) -> Wanted {
        self.hides.extend(texts);
        self
    }

    /// Another status.
    pub fn status(mut self, status: u16) -> Wanted {
        self.status = status;
        self
    }
}

// === Raw requests ===

/// `/TOKEN/`, the usual target.
pub fn target() -> Vec<u8> {
    path("")
}

/// A target below the usual one.
pub fn path(rest: &str) -> Vec<u8> {
    format!("/{PLACE}/{rest}").into_bytes()
}

/// A head with a first line of its own and whole header lines, and then a body.
pub fn raw(first: impl AsRef<[u8]>, lines: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    [first.as_ref(), b"\r\n", lines.as_ref(), b"\r\n", body.as_ref()].concat()
}

/// A request of this method with a good Host and further lines.
pub fn request(method: &str, lines: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    let host = format!("Host: {HOST}\r\n");
    let first = format!("{method} /{PLACE}/ HTTP/1.1");
    raw(first, [host.as_bytes(), lines.as_ref()].concat(), body)
}

/// A GET with further lines.
pub fn get(lines: impl AsRef<[u8]>) -> Vec<u8> {
    request("GET", lines, "")
}

/// A POST with further lines.
pub fn post(lines: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Vec<u8> {
    request("POST", lines, body)
}

/// A request that must never be taken for one.
pub fn smuggled() -> Vec<u8> {
    format!("GET /{PLACE}/smuggled HTTP/1.1\r\nHost: {HOST}\r\n\r\n").into_bytes()
}
