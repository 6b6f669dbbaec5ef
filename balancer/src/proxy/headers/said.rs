//! What a request says in Forwarded and X-Forwarded-*, and what of it is believed when it comes
//! from a trusted proxy.

use std::borrow::Cow;
use std::net::IpAddr;

use super::forwarded::{Element, address, elements, trim};
use super::{MAX_CHAIN, Told, is_told};
use crate::trusted::Networks;

/// The values of a request's headers of that kind, in their order. Empty, it costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Said<'r> {
    chain: Vec<&'r [u8]>,
    forwarded: Vec<&'r [u8]>,
    proto: Option<&'r [u8]>,
    host: Option<&'r [u8]>,
    port: Option<&'r [u8]>,
}

// === impl Said ===

impl<'r> Said<'r> {
    /// Notes a header of the request. True when it is of the kind that is taken out of the
    /// request; the other ones need not be shown here.
    pub fn note(&mut self, name: &str, value: &'r [u8]) -> bool {
        if !is_told(name) {
            return false;
        }
        // What is written into a head must not end a line of it.
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return true;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("forwarded") => self.forwarded.push(value),
            () if is("x-forwarded-for") => self.chain.push(value),
            () if is("x-forwarded-proto") => self.proto = last(value),
            () if is("x-forwarded-host") => self.host = last(value),
            () if is("x-forwarded-port") => self.port = last(value),
            () => {}
        }
        true
    }

    /// What is told when all this comes from that proxy, which is trusted.
    pub(super) fn believed(&self, own: Told<'r>, proxy: IpAddr, trusted: &Networks) -> Told<'r> {
        let elements: Vec<Element<'r>> =
            self.forwarded.iter().flat_map(|value| elements(value)).collect();
        let last_said = elements.last().copied().unwrap_or_default();
        let client = match self.chain.is_empty() {
            true => client(elements.iter().rev().map(|element| element.client), proxy, trusted),
            false => client(self.addresses(), proxy, trusted),
        };
        let before = match self.chain.is_empty() {
            true if client == proxy.to_canonical() => Cow::Borrowed(&b""[..]),
            true => Cow::Owned(client.to_string().into_bytes()),
            false => self.chain(),
        };
        Told {
            client: Some(client),
            proto: self.proto.or(last_said.proto).and_then(proto).unwrap_or(own.proto),
            host: self.host.or(last_said.host).filter(|host| !host.is_empty()).or(own.host),
            port: self.port.and_then(|port| std::str::from_utf8(port).ok()?.parse().ok()),
            before,
            forwarded: (!self.forwarded.is_empty()).then(|| joined(&elements)),
            ..own
        }
    }

    /// The addresses of X-Forwarded-For from its end; `None` for what is no address.
    fn addresses(&self) -> impl Iterator<Item = Option<IpAddr>> {
        let from_its_end = |value: &&'r [u8]| value.rsplit(|&byte| byte == b',');
        self.chain.iter().rev().flat_map(from_its_end).map(address)
    }

    /// X-Forwarded-For as it came, or its end where it is too long.
    fn chain(&self) -> Cow<'r, [u8]> {
        let whole = match self.chain.as_slice() {
            [one] => Cow::Borrowed(trim(one)),
            several => Cow::Owned(several.join(&b", "[..])),
        };
        if whole.len() <= MAX_CHAIN {
            return whole;
        }
        let end = &whole[whole.len() - MAX_CHAIN..];
        // What is cut in its middle is left out.
        let comma = end.iter().position(|&byte| byte == b',');
        Cow::Owned(comma.map(|at| trim(&end[at + 1..])).unwrap_or_default().to_vec())
    }
}

/// The right-most address that is no trusted proxy, beginning with the proxy itself; the last
/// known one where it cannot be followed further.
fn client(
    from_the_end: impl Iterator<Item = Option<IpAddr>>,
    proxy: IpAddr,
    trusted: &Networks,
) -> IpAddr {
    let mut client = proxy.to_canonical();
    for said in from_the_end {
        let Some(said) = said else { break };
        client = said;
        if !trusted.contains(said) {
            break;
        }
    }
    client
}

/// Forwarded as it came, or its end where it is too long.
fn joined(elements: &[Element<'_>]) -> Vec<u8> {
    let mut length = 0;
    let fits = |element: &&Element<'_>| {
        length += element.whole.len() + 2;
        length <= MAX_CHAIN
    };
    let count = elements.iter().rev().take_while(fits).count();
    let kept: Vec<&[u8]> =
        elements[elements.len() - count..].iter().map(|element| element.whole).collect();
    kept.join(&b", "[..])
}

fn last(value: &[u8]) -> Option<&[u8]> {
    value.rsplit(|&byte| byte == b',').next().map(trim)
}

fn proto(said: &[u8]) -> Option<&'static str> {
    const KNOWN: [&str; 4] = ["https", "http", "wss", "ws"];
    KNOWN.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(said))
}
