//! How nodes that speak AJP are spoken to (`[upstream.ajp]`).

use std::collections::HashMap;
use std::fmt;

use muster_protocol::ajp::PacketSize;
use muster_protocol::names::Route;
use serde::Serializer;

use super::reader::{Section, bytes, parsed, text};

/// What is shown in the place of a secret.
const MASK: &str = "********";

/// Most nodes with a secret of their own.
const MAX_SECRETS: usize = 10_000;

/// `[upstream.ajp]`: nodes of the scheme ajp.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Ajp {
    /// Most bytes of a packet, as the nodes' own `packetSize` has it, 8 KiB to 64 KiB: a request's
    /// head must fit into one. Default 8 KiB.
    #[serde(serialize_with = "show_size")]
    pub max_packet_size: PacketSize,
    /// What nodes demand (`secret` of Tomcat's connector), 1 to 255 bytes. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// `[[upstream.ajp.node]]`: nodes whose secret is another, up to 10,000.
    ///
    /// | key | meaning | default |
    /// |---|---|---|
    /// | route | the node's name | mandatory |
    /// | secret | what it demands, 1 to 255 bytes | mandatory |
    #[serde(
        rename = "node",
        serialize_with = "show_secrets",
        skip_serializing_if = "HashMap::is_empty"
    )]
    pub secrets: HashMap<Route, Secret>,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Ajp ===

impl Ajp {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Ajp {
        let size = section.read("max_packet_size", PacketSize::default(), |value| {
            let size = bytes(8192..=65536)(value)?;
            PacketSize::new(size).map_err(|error| error.to_string())
        });
        let secret = section.maybe("secret", |value| Secret::read(text(value)?));
        let mut secrets = HashMap::new();
        section.tables("node", MAX_SECRETS, |node| {
            let route = node.mandatory("route", parsed::<Route>);
            let secret = node.mandatory("secret", |value| Secret::read(text(value)?));
            let (route, secret) = (route?, secret?);
            if secrets.insert(route.clone(), secret).is_some() {
                node.fault("route", format!("{route} has a secret already"));
            }
            Some(())
        });
        Ajp { max_packet_size: size, secret, secrets }
    }

    /// The secret that this node demands.
    pub fn secret_of(&self, route: &Route) -> Option<&str> {
        self.secrets.get(route).or(self.secret.as_ref()).map(|secret| secret.0.as_str())
    }
}

// === impl Secret ===

impl Secret {
    fn read(text: &str) -> Result<Secret, String> {
        match text.len() {
            1..=255 => Ok(Secret(text.to_owned())),
            length => Err(format!("a secret has 1 to 255 bytes, not {length}")),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(MASK)
    }
}

fn show_size<S: Serializer>(size: &PacketSize, serializer: S) -> Result<S::Ok, S::Error> {
    super::show_bytes(&size.bytes(), serializer)
}

fn show_secrets<S: Serializer>(
    secrets: &HashMap<Route, Secret>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(serde::Serialize)]
    struct Shown<'r> {
        route: &'r str,
        secret: &'static str,
    }
    let mut routes: Vec<&str> = secrets.keys().map(Route::as_str).collect();
    routes.sort_unstable();
    serializer.collect_seq(routes.into_iter().map(|route| Shown { route, secret: MASK }))
}
