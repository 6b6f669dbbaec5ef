//! What works beside the traffic: one part for each section of the configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use muster_protocol::advertise::Protocol;

use crate::advertise::Herald;
use crate::config::Config;
use crate::mcmp::Mcmp;
use crate::side::{Ground, Part, Rest, Tasks};
use crate::tls::TlsMcmp;
use crate::{advertise, cluster, manager, mcmp, operate, peers, systemd, warm};

/// What works beside the traffic. A part that is added here is started, started anew when its
/// section of the configuration changes, and waited for at the end.
pub(crate) static PARTS: [Part; 8] = [
    Part {
        name: "mcmp",
        is_concerned: |old, new| {
            let listen = |config: &Config| {
                let Config { http, tls, manager, .. } = config;
                [&http.listen, &tls.listen, &manager.listen].map(Clone::clone)
            };
            // No node may register an address of ours, and files may have changed.
            old.mcmp != new.mcmp || listen(old) != listen(new) || new.mcmp.has_files()
        },
        check: |config| match mcmp::secrets::load(&config.mcmp) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        },
        rest: Rest::Ends,
        start: serve_mcmp,
    },
    Part {
        name: "state",
        is_concerned: |old, new| old.state != new.state,
        check: |_| Ok(()),
        rest: Rest::Ends,
        start: warm::keep,
    },
    Part {
        name: "watchdog",
        is_concerned: |_, _| false,
        check: |_| Ok(()),
        rest: Rest::Not,
        start: systemd::watch,
    },
    Part {
        name: "operators",
        // It shows the whole configuration.
        is_concerned: |old, new| old != new,
        check: |_| Ok(()),
        rest: Rest::Ends,
        start: |ground, tasks| {
            ground.operators.configure(&ground.config);
            tasks.spawn(|stop| operate::run(ground.operators.clone(), stop));
        },
    },
    Part {
        name: "peers",
        is_concerned: |old, new| old.peers != new.peers,
        check: peers::check,
        rest: Rest::Ends,
        start: peers::start,
    },
    Part {
        name: "cluster",
        is_concerned: |old, new| old.cluster != new.cluster || new.cluster.secret_file.is_some(),
        check: cluster::check,
        rest: Rest::Not,
        start: cluster::start,
    },
    Part {
        name: "advertise",
        is_concerned: |old, new| {
            let key = |config: &Config| (config.mcmp.secret.clone(), config.mcmp.tls.is_off());
            old.advertise != new.advertise
                || old.mcmp.listen != new.mcmp.listen
                || key(old) != key(new)
                || new.mcmp.secret_file.is_some()
                || new.advertise.security_key_file.is_some()
        },
        check: |config| match advertise::key(config) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
        },
        // Without a last word: for the nodes it is the same balancer that goes on.
        rest: Rest::Cut,
        start: advertise,
    },
    Part {
        name: "manager",
        is_concerned: |old, new| {
            old.manager != new.manager
                || old.http.idle_timeout != new.http.idle_timeout
                || old.mcmp.use_alias != new.mcmp.use_alias
                // The files may have changed.
                || !new.manager.tls.is_off()
        },
        check: |_| Ok(()),
        rest: Rest::Ends,
        start: manager::serve,
    },
];

fn serve_mcmp(ground: &Ground, tasks: &mut Tasks) {
    let settings = &ground.config.mcmp;
    let locked = mcmp::secrets::load(settings).map_err(anyhow::Error::from);
    let locked = locked.and_then(|secrets| Ok((secrets, TlsMcmp::load(&settings.tls)?)));
    let (secrets, tls) = match locked {
        Ok((secrets, tls)) => (secrets, tls.map(Arc::new)),
        // They were looked at before, and have gone since.
        Err(error) => return tracing::error!("nodes are not heard: {error:#}"),
    };
    let nodes = Mcmp::new(ground, secrets);
    for listener in ground.mcmp.iter().cloned() {
        let (nodes, settings, tls) = (nodes.clone(), settings.clone(), tls.clone());
        tasks.spawn(|stop| mcmp::run(nodes, listener, settings, tls, stop));
    }
}

/// Tells nodes of the listeners, each by a herald of its own.
fn advertise(ground: &Ground, tasks: &mut Tasks) {
    let Ground { config, metrics, .. } = ground;
    let key = match advertise::key(config) {
        Ok(key) => key,
        // It was looked at before, and has gone since.
        Err(error) => return tracing::error!("not advertised: {error:#}"),
    };
    let listeners: Vec<SocketAddr> =
        ground.mcmp.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let (places, left_out) = advertise::places(&config.advertise, &listeners);
    for address in left_out {
        tracing::warn!(%address, "not advertised: an IPv6 address needs advertise.interface");
    }
    let protocol = if config.mcmp.tls.is_off() { Protocol::Http } else { Protocol::Https };
    for place in places {
        let (key, metrics) = (key.clone(), metrics.clone());
        let herald = Herald::new(place, &config.advertise, key, protocol, metrics);
        let phase = ground.phase.clone();
        tasks.spawn(|stop| herald.run(phase, stop));
    }
}
