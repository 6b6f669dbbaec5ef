//! How networks are read (`http.trusted_proxies`, `http.proxy_protocol_from`).

use super::reader::Section;
use crate::trusted::{BadNetwork, Networks};

/// Most networks of one list.
const MAX_NETWORKS: usize = 1_000;

/// A list of networks; none by default.
pub(super) fn networks(section: &mut Section<'_, '_>, name: &'static str) -> Networks {
    let network = |text: &str| text.parse().map_err(|error: BadNetwork| error.to_string());
    section.list(name, Vec::new(), 0..=MAX_NETWORKS, network).into()
}
