//! The header lines of a head: what each is for, and the one pass over them.

use arrayvec::ArrayVec;
use httparse::Header;

use crate::connection::{self, Named, Options, trimmed};
use crate::fault::{self, Syntax};
use crate::framing::Framing;
use crate::marks::{Kind, Mark, Marks};
use crate::span::{Span, offset};

/// How many Cookie lines are looked at for routing.
pub const MAX_COOKIES: usize = 8;

/// One header line as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'b> {
    /// Its name, spelt as it came.
    pub name: &'b str,
    /// Its value without the blanks around.
    pub value: &'b [u8],
    /// What it is for.
    pub class: Class,
}

/// What a header line is for, as far as a proxy has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It concerns this connection only, and ends here.
    Hop,
    /// `Forwarded` or `X-Forwarded-*`: only a trusted client's counts.
    Forwarding,
    /// `Host`.
    Host,
    /// `Cookie`.
    Cookie,
    /// `traceparent`.
    TraceParent,
    /// `tracestate`.
    TraceState,
    /// Everything else, Content-Length and Transfer-Encoding among it.
    Other,
}

/// A header line by the work it makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Connection,
    Upgrade,
    Te,
    Hop,
    Forwarding,
    Host,
    Cookie,
    Expect,
    Length,
    Encoding,
    TraceParent,
    TraceState,
    Other,
}

/// The lines of a head, as both writers need them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Lines {
    /// From the first line's start to the last one's line end.
    all: Span,
    marks: Marks,
    named: Named,
}

/// What one pass over the lines tells.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) lines: Lines,
    pub(crate) connection: Options,
    pub(crate) framing: Framing,
    pub(crate) host: Option<Span>,
    pub(crate) has_several_hosts: bool,
    pub(crate) cookies: ArrayVec<Span, MAX_COOKIES>,
    pub(crate) upgrade: Option<Span>,
    pub(crate) has_several_upgrades: bool,
    pub(crate) expects_continue: bool,
    pub(crate) has_forwarding: bool,
    pub(crate) traceparent: Option<Span>,
    pub(crate) has_several_traceparents: bool,
    /// An element of TE or Upgrade is none.
    pub(crate) is_oddly_listed: bool,
}

// === impl Facts ===

impl Facts {
    /// Reads the lines of a whole head of `length` bytes.
    #[inline]
    pub(crate) fn read(
        &mut self,
        head: &[u8],
        length: usize,
        headers: &[Header<'_>],
    ) -> Result<(), Syntax> {
        if length < 4 || head[length - 4..length] != *b"\r\n\r\n" {
            return Err(Syntax::BareLf);
        }
        let end = length - 2;
        for (at, header) in headers.iter().enumerate() {
            let start = offset(head, header.name.as_bytes());
            // The parser takes a bare line feed for a line's end. We do not.
            if start < 2 || head[start - 2..start] != *b"\r\n" {
                return Err(Syntax::BareLf);
            }
            let Some(kind) = self.see(head, header)? else { continue };
            let next = headers.get(at + 1);
            let next = next.map_or(end, |next| offset(head, next.name.as_bytes()));
            self.lines.marks.push(Mark { line: Span::new(start, next), kind });
        }
        let first = headers.first().map_or(end, |first| offset(head, first.name.as_bytes()));
        self.lines.all = Span::new(first, end);
        if !self.connection.named.is_empty() {
            self.end_named(head);
        }
        Ok(())
    }

    /// Takes one line, and says why it may have to stay behind.
    #[inline]
    fn see(&mut self, head: &[u8], header: &Header<'_>) -> Result<Option<Kind>, Syntax> {
        let value = header.value;
        let field = Field::of(header.name.as_bytes());
        match field {
            Field::Other => return Ok(None),
            Field::Hop => {}
            Field::Te => self.is_oddly_listed |= !connection::is_te(value),
            Field::Connection => self.connection.see(head, value)?,
            Field::Upgrade => {
                self.has_several_upgrades |= self.upgrade.is_some();
                self.upgrade = Some(Span::within(head, value));
                self.is_oddly_listed |= !connection::is_upgrade(value);
            }
            Field::Forwarding => self.has_forwarding = true,
            Field::Host => {
                self.has_several_hosts |= self.host.is_some();
                self.host = Some(Span::within(head, value));
            }
            // One more than can be kept is left to the node: it counts for routing only.
            Field::Cookie => drop(self.cookies.try_push(Span::within(head, value))),
            Field::Expect => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            Field::TraceParent => {
                self.has_several_traceparents |= self.traceparent.is_some();
                self.traceparent = Some(Span::within(head, value));
            }
            Field::TraceState => {}
            Field::Length => self.framing.see_length(value)?,
            Field::Encoding => self.framing.see_encoding(value)?,
        }
        Ok(field.kind())
    }

    /// What the connection shall become: one protocol, asked for by both lines. `h2c` is none of
    /// ours: who wants HTTP/2 without TLS begins with its preface.
    #[inline]
    pub(crate) fn upgrade(&self, head: &[u8]) -> Option<Span> {
        let protocol = self.upgrade.filter(|_| self.connection.upgrade)?;
        let text = protocol.of(head);
        let is_one = text.iter().all(|byte| fault::is_token(*byte) || *byte == b'/');
        let is_ours = is_one && !text.is_empty() && !text.eq_ignore_ascii_case(b"h2c");
        (is_ours && !self.has_several_upgrades).then_some(protocol)
    }

    /// Connection names headers of its own: they end here too, so the marks are made again.
    #[cold]
    fn end_named(&mut self, head: &[u8]) {
        self.lines.named = self.connection.named.clone();
        let mut marks = Marks::default();
        self.lines.each_mark(head, |mark| marks.push(mark));
        self.lines.marks = marks;
        if connection::is_named(&self.lines.named, head, b"cookie") {
            self.cookies.clear();
        }
        if connection::is_named(&self.lines.named, head, b"expect") {
            self.expects_continue = false;
        }
        if connection::is_named(&self.lines.named, head, b"traceparent") {
            self.traceparent = None;
        }
    }
}

// === impl Lines ===

impl Lines {
    /// Where the first line begins.
    pub(crate) fn start(&self) -> usize {
        self.all.start()
    }

    /// Copies the head from `from` on, up to its empty line, without the lines that `leaves`
    /// says. What is kept between two such lines is copied in one go.
    #[inline]
    pub(crate) fn copy(
        &self,
        head: &[u8],
        from: usize,
        leaves: impl Fn(Kind) -> bool,
        out: &mut Vec<u8>,
    ) {
        let mut kept = from;
        let mut leave = |mark: Mark| {
            if leaves(mark.kind) {
                out.extend_from_slice(Span::new(kept, mark.line.start()).of(head));
                kept = mark.line.end();
            }
        };
        match self.marks.remembered() {
            Some(marks) => marks.iter().copied().for_each(leave),
            None => self.each_mark(head, &mut leave),
        }
        out.extend_from_slice(Span::new(kept, self.all.end()).of(head));
    }

    /// All lines, with their class.
    pub(crate) fn iter<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = Line<'b>> {
        self.walk(head).map(move |(_, name, value)| {
            let class = self.kind_of(head, name).map_or(Class::Other, Kind::class);
            Line { name: std::str::from_utf8(name).unwrap_or_default(), value, class }
        })
    }

    /// Finds the marked lines by reading all of them again.
    fn each_mark(&self, head: &[u8], mut tell: impl FnMut(Mark)) {
        for (line, name, _) in self.walk(head) {
            if let Some(kind) = self.kind_of(head, name) {
                tell(Mark { line, kind });
            }
        }
    }

    /// Why a line of that name may have to stay behind; what Connection names does.
    fn kind_of(&self, head: &[u8], name: &[u8]) -> Option<Kind> {
        match connection::is_named(&self.named, head, name) {
            true => Some(Kind::Hop),
            false => Field::of(name).kind(),
        }
    }

    /// Each line's place, name and value.
    fn walk<'b>(&self, head: &'b [u8]) -> impl Iterator<Item = (Span, &'b [u8], &'b [u8])> {
        let lines = self.all.of(head).split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(move |line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let value = line[colon + 1..].strip_suffix(b"\r\n")?;
            Some((Span::within(head, line), &line[..colon], trimmed(value)))
        })
    }
}

// === impl Field ===

impl Field {
    /// By length and first letter: most headers are told apart from ours by those alone.
    #[inline]
    fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::Other };
        let is = |own: &str| name.eq_ignore_ascii_case(own.as_bytes());
        match (name.len(), first | 0x20) {
            (2, b't') if is("te") => Self::Te,
            (4, b'h') if is("host") => Self::Host,
            (6, b'c') if is("cookie") => Self::Cookie,
            (6, b'e') if is("expect") => Self::Expect,
            (7, b'u') if is("upgrade") => Self::Upgrade,
            (7, b't') if is("trailer") => Self::Hop,
            (9, b'f') if is("forwarded") => Self::Forwarding,
            (10, b'c') if is("connection") => Self::Connection,
            (10, b'k') if is("keep-alive") => Self::Hop,
            (10, b't') if is("tracestate") => Self::TraceState,
            (11, b't') if is("traceparent") => Self::TraceParent,
            (14, b'c') if is("content-length") => Self::Length,
            (14, b'h') if is("http2-settings") => Self::Hop,
            (16, b'p') if is("proxy-connection") => Self::Hop,
            (17, b't') if is("transfer-encoding") => Self::Encoding,
            (12.., b'x') if is_forwarding(name) => Self::Forwarding,
            _ => Self::Other,
        }
    }

    #[inline]
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Connection | Self::Upgrade | Self::Te | Self::Hop => Some(Kind::Hop),
            Self::Forwarding => Some(Kind::Forwarding),
            Self::Host => Some(Kind::Host),
            Self::Cookie => Some(Kind::Cookie),
            Self::Expect => Some(Kind::Expect),
            Self::Length => Some(Kind::Length),
            Self::Encoding => Some(Kind::Encoding),
            Self::TraceParent => Some(Kind::TraceParent),
            Self::TraceState => Some(Kind::TraceState),
            Self::Other => None,
        }
    }
}

// === impl Kind ===

impl Kind {
    fn class(self) -> Class {
        match self {
            Self::Hop => Class::Hop,
            Self::Forwarding => Class::Forwarding,
            Self::Host => Class::Host,
            Self::Cookie => Class::Cookie,
            Self::TraceParent => Class::TraceParent,
            Self::TraceState => Class::TraceState,
            Self::Expect | Self::Length | Self::Encoding => Class::Other,
        }
    }
}

/// Of twelve bytes or more, `X-Forwarded-` first. With nothing behind it is one too: who adds such
/// a line for a node knows them by how they begin.
#[inline]
fn is_forwarding(name: &[u8]) -> bool {
    name[2] | 0x20 == b'f' && name[..12].eq_ignore_ascii_case(b"x-forwarded-")
}
