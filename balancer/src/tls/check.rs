//! Every fault of the files at once, for who wants to know before a start or a reload.

use super::certificate::read_pair;
use super::files::{Named, pair};
use super::{TlsError, front, mcmp, node};
use crate::config::{Config, NodeTls, Tls};

/// What of the files that the configuration names cannot be used: all of it, where a start names
/// the first only. Files of a listener without an address are not looked at, as they are not
/// then.
pub fn faults(config: &Config) -> Vec<TlsError> {
    let mut faults = of_nodes(&config.upstream.tls);
    if !config.tls.listen.is_empty() {
        faults.extend(of_clients(&config.tls));
    }
    if !config.mcmp.listen.is_empty() {
        faults.extend(mcmp::faults(&config.mcmp.tls));
    }
    if !config.manager.listen.is_empty() {
        let found = mcmp::faults(&config.manager.tls.as_of_nodes());
        faults.extend(found.into_iter().map(|error| error.of_section("mcmp", "manager")));
    }
    faults
}

fn of_clients(settings: &Tls) -> Vec<TlsError> {
    let pairs =
        settings.certificates.iter().enumerate().map(|(at, files)| read_pair(at, files).err());
    let authorities = front::client_verifier(settings).err();
    pairs.chain([authorities]).flatten().collect()
}

fn of_nodes(settings: &NodeTls) -> Vec<TlsError> {
    let authorities = settings.verify.then(|| node::authorities(settings).err());
    let own = settings.certificate.as_ref().zip(settings.key.as_ref()).map(|(chain, key)| {
        let chain = Named { key: "upstream.tls.certificate", file: chain };
        pair(chain, Named { key: "upstream.tls.key", file: key }).err()
    });
    [authorities, own].into_iter().flatten().flatten().collect()
}
