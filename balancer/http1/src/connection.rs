//! The Connection header: whether the connection stays, and which lines end here; and which lists
//! of the connection are none.

use arrayvec::ArrayVec;

use crate::fault::{self, Syntax};
use crate::span::Span;

/// How many headers Connection may name beside the well-known ones.
const MAX_NAMED: usize = 8;

/// Names of headers that end here because Connection says so.
pub(crate) type Named = ArrayVec<Span, MAX_NAMED>;

/// What the Connection lines say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    pub(crate) named: Named,
    /// An option is no token.
    pub(crate) is_odd: bool,
}

// === impl Options ===

impl Options {
    /// Takes a Connection line of `head`.
    #[inline]
    pub(crate) fn see(&mut self, head: &[u8], value: &[u8]) -> Result<(), Syntax> {
        value.split(|byte| *byte == b',').try_for_each(|option| self.option(head, option))
    }

    #[inline]
    fn option(&mut self, head: &[u8], option: &[u8]) -> Result<(), Syntax> {
        let option = trimmed(option);
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        match option.len() {
            5 if is("close") => self.close = true,
            10 if is("keep-alive") => self.keep_alive = true,
            7 if is("upgrade") => self.upgrade = true,
            4 if is("host") => return Err(Syntax::ConnectionNames),
            14 if is("content-length") => return Err(Syntax::ConnectionNames),
            17 if is("transfer-encoding") => return Err(Syntax::ConnectionNames),
            2 if is("te") => {}
            _ => return self.name(head, option),
        }
        Ok(())
    }

    /// A header that ends here. What is no token can be no header's name; an empty option counts
    /// for nothing.
    fn name(&mut self, head: &[u8], option: &[u8]) -> Result<(), Syntax> {
        if option.is_empty() {
            return Ok(());
        }
        if !is_token(option) {
            self.is_odd = true;
            return Ok(());
        }
        self.named.try_push(Span::within(head, option)).map_err(|_| Syntax::ConnectionNames)
    }
}

/// Whether TE lists codings. What follows a semicolon is not looked at: nobody acts on it.
pub(crate) fn is_te(value: &[u8]) -> bool {
    elements(value).all(|coding| {
        let end = coding.iter().position(|byte| *byte == b';').unwrap_or(coding.len());
        is_token(trimmed(&coding[..end]))
    })
}

/// Whether Upgrade lists protocols: names, with a version or without.
pub(crate) fn is_upgrade(value: &[u8]) -> bool {
    elements(value).all(|protocol| match protocol.iter().position(|byte| *byte == b'/') {
        Some(slash) => is_token(&protocol[..slash]) && is_token(&protocol[slash + 1..]),
        None => is_token(protocol),
    })
}

/// The elements of a list; empty ones count for nothing (RFC 9110, 5.6.1.2).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trimmed).filter(|element| !element.is_empty())
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(fault::is_token)
}

/// Whether Connection names this header.
#[inline]
pub(crate) fn is_named(named: &Named, head: &[u8], name: &[u8]) -> bool {
    named.iter().any(|span| span.of(head).eq_ignore_ascii_case(name))
}

/// Without the blanks around.
#[inline]
pub(crate) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
