//! Who does something, and what he may do.

use std::fmt;
use std::sync::Arc;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Look, and change.
    Operator,
}

/// Who does something: whoever asks has been recognised before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The name that he logged in with, or what he is.
    pub name: Arc<str>,
    /// What he may do.
    pub role: Role,
    /// Where he asked from, as far as that is known.
    pub from: Option<Arc<str>>,
}

impl Actor {
    /// Whoever reaches a manager without users, on loopback.
    pub fn local(from: Option<std::net::IpAddr>) -> Actor {
        let from = from.map(|ip| ip.to_string().into());
        Actor { name: "local".into(), role: Role::Operator, from }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
        })
    }
}
