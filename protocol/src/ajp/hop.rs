//! Headers that are for one connection only, and so never cross the balancer either way.

const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a header of this name ends here, in requests and in answers.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
}

pub(super) fn is_connection(name: &str) -> bool {
    name.eq_ignore_ascii_case("connection")
}

/// Whether one of these headers is a `Connection` that names this one.
pub(super) fn is_nominated<'h>(
    mut headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    name: &str,
) -> bool {
    let names = |value: &[u8]| {
        value
            .split(|&b| b == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    headers.any(|(header, value)| is_connection(header) && names(value))
}
