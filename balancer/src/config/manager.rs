//! The listener of operators (`[manager]`), and who they are.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serializer;
use subtle::ConstantTimeEq as _;
use toml::de::DeValue;

use super::listen::{addresses, loopback};
use super::reader::{Section, count, duration, flag, text};
use super::tls::{file, show_path};
use super::{DAY, SECOND};

/// Most users, and most tokens.
const MAX_USERS: usize = 1_000;

/// Most names that the listener answers to.
const MAX_HOSTS: usize = 64;

/// Most bytes of a user's or a token's name.
const MAX_NAME: usize = 64;

/// Most bytes of a certificate's subject.
const MAX_SUBJECT: usize = 1_024;

/// `[manager]`: the listener of page, API, metrics and health checks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Manager {
    /// Addresses, `ip:port`; port 0 takes a free one. Up to 64 of them; none turns the manager off.
    /// An address that is not loopback needs users, or mutual TLS. Default `["127.0.0.1:6667"]`.
    pub listen: Vec<SocketAddr>,
    /// Most connections at once, 1 to 1,000,000. Default 256.
    pub max_connections: usize,
    /// Names by which browsers may ask for it, beside `localhost` and its own addresses; without
    /// port, up to 64 of them. Another name is refused, for it may be a foreign site's that leads
    /// here. Default none.
    pub hosts: Vec<String>,
    /// Whether `/metrics` is open to all who reach it, also where there are users. `/livez` and
    /// `/readyz` always are. Default false.
    pub metrics_open: bool,
    /// How long a login may rest, 1 min to 30 days. Default 30 min.
    #[serde(with = "humantime_serde")]
    pub session_idle: Duration,
    /// How long a login lasts at most, 1 min to 30 days. Default 12 h.
    #[serde(with = "humantime_serde")]
    pub session_lifetime: Duration,
    /// Most logins at once, 1 to 100,000; one more ends the one that has rested longest.
    /// Default 1,000.
    pub max_sessions: usize,
    /// Most pages that are kept live at once, 0 to 10,000; a further one asks now and then.
    /// Default 32.
    pub max_streams: usize,
    /// How often a live page is told what is new, 500 ms to 1 min. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub live_interval: Duration,
    /// TLS of this listener.
    #[serde(skip_serializing_if = "ManagerTls::is_off")]
    pub tls: ManagerTls,
    /// Who may log in, up to 1,000. Without users, tokens and mutual TLS the page is open to all
    /// who reach it, which is this machine alone.
    #[serde(rename = "user", skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<User>,
    /// What tools show instead of a password, up to 1,000.
    #[serde(rename = "token", skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Token>,
}

/// `[manager.tls]`: TLS of the listener of operators. It is on where there is a certificate.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ManagerTls {
    /// PEM file of the listener's certificate, followed by those of its issuers. Default none.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key, not encrypted; mandatory with `certificate`.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// PEM file of the authorities of operators: who shows a certificate of theirs needs no
    /// password. Default none: nobody is asked for one.
    #[serde(serialize_with = "show_path", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
    /// Whether who has no certificate of `client_ca` is refused; else he may log in. Default true.
    pub required: bool,
    /// What somebody may do whose certificate is good and is no `[[manager.user]]`'s: `"none"`,
    /// `"viewer"` or `"operator"`. Default `"none"`.
    pub client_role: ClientRole,
    /// How long a handshake may take, 1 ms to 1 day. Default 10 s.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
}

/// `[[manager.user]]`: somebody who may log in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct User {
    /// The name, 1 to 64 printable ASCII characters without `:` and blanks; each once. Mandatory.
    pub name: String,
    /// What `muster password` printed: an argon2 hash. Mandatory unless there is a `certificate`.
    #[serde(serialize_with = "masked", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretHash>,
    /// The subject of a certificate that stands for a login, such as `"CN=anna, O=Example"`; it
    /// needs `manager.tls.client_ca`. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// `"viewer"`, who sees all, or `"operator"`, who may change it. Default `"viewer"`.
    pub role: Role,
}

/// `[[manager.token]]`: what a tool shows, as `Authorization: Bearer TOKEN`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Token {
    /// The name for the audit log, as a user's; each once. Mandatory.
    pub name: String,
    /// What `muster token` printed: the SHA-256 of the token, 64 hexadecimal digits. Mandatory.
    #[serde(serialize_with = "masked_token")]
    pub hash: SecretDigest,
    /// `"viewer"` or `"operator"`. Default `"viewer"`.
    pub role: Role,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    #[default]
    Viewer,
    /// Look, and change.
    Operator,
}

/// What somebody with a certificate of an unknown name may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientRole {
    /// Nothing.
    #[default]
    None,
    /// Look.
    Viewer,
    /// Look, and change.
    Operator,
}

/// An argon2 hash in the form of the Password Hashing Competition. Its text stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash(String);

/// The SHA-256 of a token. It stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

// === impl Manager ===

impl Default for Manager {
    fn default() -> Self {
        Manager {
            listen: vec![loopback(6667)],
            max_connections: 256,
            hosts: Vec::new(),
            metrics_open: false,
            session_idle: Duration::from_secs(30 * 60),
            session_lifetime: Duration::from_secs(12 * 3600),
            max_sessions: 1_000,
            max_streams: 32,
            live_interval: Duration::from_secs(2),
            tls: ManagerTls::default(),
            users: Vec::new(),
            tokens: Vec::new(),
        }
    }
}

impl Manager {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Manager {
        let default = Manager::default();
        let lasts = || duration(60 * SECOND..=30 * DAY);
        let (mut users, mut tokens) = (Vec::new(), Vec::new());
        let manager = Manager {
            listen: addresses(section, 0, default.listen),
            max_connections: section.read(
                "max_connections",
                default.max_connections,
                count(1..=1_000_000),
            ),
            hosts: section.list("hosts", default.hosts, 0..=MAX_HOSTS, host),
            metrics_open: section.read("metrics_open", default.metrics_open, flag),
            session_idle: section.read("session_idle", default.session_idle, lasts()),
            session_lifetime: section.read("session_lifetime", default.session_lifetime, lasts()),
            max_sessions: section.read("max_sessions", default.max_sessions, count(1..=100_000)),
            max_streams: section.read("max_streams", default.max_streams, count(0..=10_000)),
            live_interval: section.read(
                "live_interval",
                default.live_interval,
                duration(SECOND / 2..=60 * SECOND),
            ),
            tls: section.section("tls", ManagerTls::read),
            users: section.tables("user", MAX_USERS, |user| User::read(user, &mut users)),
            tokens: section.tables("token", MAX_USERS, |token| Token::read(token, &mut tokens)),
        };
        let shown = manager.users.iter().any(|user| user.certificate.is_some());
        if shown && manager.tls.client_ca.is_none() {
            section.fault("tls.client_ca", "it is missing: a [[manager.user]] has a certificate");
        }
        manager
    }

    /// Whether everybody who reaches the listener may do everything.
    pub fn is_open(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty() && self.tls.client_ca.is_none()
    }

    /// Whether passwords and tokens cross the network as they are on the way to this address.
    pub(crate) fn tells_secrets(&self, own: SocketAddr) -> bool {
        let has_some = !self.users.is_empty() || !self.tokens.is_empty();
        has_some && self.tls.is_off() && !own.ip().to_canonical().is_loopback()
    }

    /// What is missing for an address that others than this machine reach, and the place of the
    /// first such address; `None` where nothing is.
    pub fn unlocked(&self) -> Option<(usize, String)> {
        let is_far = |address: &SocketAddr| !address.ip().to_canonical().is_loopback();
        let at = self.listen.iter().position(is_far)?;
        let mutual = self.tls.is_mutual() && self.tls.client_role != ClientRole::None;
        (self.users.is_empty() && !mutual).then(|| {
            let address = self.listen[at];
            let message = format!(
                "{address} is no loopback address, so operators must log in: missing \
                 [[manager.user]] (name, password of `muster password`, role), or mutual TLS \
                 (manager.tls with certificate, key, client_ca and client_role)"
            );
            (at, message)
        })
    }
}

// === impl ManagerTls ===

impl Default for ManagerTls {
    fn default() -> Self {
        ManagerTls {
            certificate: None,
            key: None,
            client_ca: None,
            required: true,
            client_role: ClientRole::None,
            handshake_timeout: Duration::from_secs(10),
        }
    }
}

impl ManagerTls {
    fn read(section: &mut Section<'_, '_>) -> ManagerTls {
        let default = ManagerTls::default();
        let tls = ManagerTls {
            certificate: section.maybe("certificate", file),
            key: section.maybe("key", file),
            client_ca: section.maybe("client_ca", file),
            required: section.read("required", default.required, flag),
            client_role: section.read("client_role", default.client_role, ClientRole::read),
            handshake_timeout: section.read(
                "handshake_timeout",
                default.handshake_timeout,
                duration(SECOND / 1000..=DAY),
            ),
        };
        let no_tls = "it is missing: manager.tls.client_ca asks for TLS";
        super::mcmp::check_certificates(section, no_tls);
        tls
    }

    /// Whether the listener speaks plain HTTP.
    pub fn is_off(&self) -> bool {
        self.certificate.is_none()
    }

    /// The same settings as the listener of nodes has them: one door for both.
    pub(crate) fn as_of_nodes(&self) -> super::McmpTls {
        super::McmpTls {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
            required: self.required,
            handshake_timeout: self.handshake_timeout,
        }
    }

    /// Whether each client must show a certificate.
    pub fn is_mutual(&self) -> bool {
        self.certificate.is_some() && self.client_ca.is_some() && self.required
    }
}

// === impl User ===

impl User {
    fn read(section: &mut Section<'_, '_>, seen: &mut Vec<String>) -> Option<User> {
        let name = named(section, seen);
        let password = section.maybe("password", |value| text(value)?.parse());
        let certificate = section.maybe("certificate", subject);
        if !section.has("password") && !section.has("certificate") {
            section.fault("password", "it is missing, and so is certificate: one is needed");
        }
        let role = section.read("role", Role::default(), Role::read);
        Some(User { name: name?, password, certificate, role })
    }
}

// === impl Token ===

impl Token {
    fn read(section: &mut Section<'_, '_>, seen: &mut Vec<String>) -> Option<Token> {
        let name = named(section, seen);
        let hash = section.mandatory("hash", |value| text(value)?.parse());
        let role = section.read("role", Role::default(), Role::read);
        Some(Token { name: name?, hash: hash?, role })
    }
}

/// A name that stands once.
fn named(section: &mut Section<'_, '_>, seen: &mut Vec<String>) -> Option<String> {
    let name = section.mandatory("name", |value| {
        let name = text(value)?;
        let is_good = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        match (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_good) {
            true => Ok(name.to_owned()),
            false => Err(format!(
                "{name:?} is none: 1 to {MAX_NAME} printable ASCII characters, no blank, no colon"
            )),
        }
    })?;
    if seen.contains(&name) {
        section.fault("name", format!("{name:?} stands there already"));
        return None;
    }
    seen.push(name.clone());
    Some(name)
}

// === impl Role ===

impl Role {
    fn read(value: &DeValue<'_>) -> Result<Role, String> {
        match text(value)? {
            "viewer" => Ok(Role::Viewer),
            "operator" => Ok(Role::Operator),
            other => Err(format!("{other:?} is none of viewer, operator")),
        }
    }
}

// === impl ClientRole ===

impl ClientRole {
    fn read(value: &DeValue<'_>) -> Result<ClientRole, String> {
        match text(value)? {
            "none" => Ok(ClientRole::None),
            "viewer" => Ok(ClientRole::Viewer),
            "operator" => Ok(ClientRole::Operator),
            other => Err(format!("{other:?} is none of none, viewer, operator")),
        }
    }

    /// The role, if there is one.
    pub fn role(self) -> Option<Role> {
        match self {
            ClientRole::None => None,
            ClientRole::Viewer => Some(Role::Viewer),
            ClientRole::Operator => Some(Role::Operator),
        }
    }
}

// === impl SecretHash ===

impl SecretHash {
    /// The text of the hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for SecretHash {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretHash, String> {
        match crate::manager::password::check(text) {
            Ok(()) => Ok(SecretHash(text.to_owned())),
            // The text is not told: it may be the password itself.
            Err(why) => Err(format!("it is no hash as `muster password` prints one: {why}")),
        }
    }
}

impl std::fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

// === impl SecretDigest ===

impl SecretDigest {
    /// Whether it is this one; takes the same time whatever differs.
    pub fn is(&self, other: &[u8; 32]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl std::str::FromStr for SecretDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<SecretDigest, String> {
        let bad =
            || "it is no SHA-256 as `muster token` prints one: 64 hexadecimal digits".to_owned();
        let mut hash = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| bad())?;
        }
        Ok(SecretDigest(hash))
    }
}

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

// === values ===

/// What is shown of a secret.
const MASK: &str = "********";

fn masked<S: Serializer>(_: &Option<SecretHash>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MASK)
}

fn masked_token<S: Serializer>(_: &SecretDigest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MASK)
}

fn host(name: &str) -> Result<String, String> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    match !name.is_empty() && name.len() <= 255 && name.bytes().all(is_good) {
        true => Ok(name.to_ascii_lowercase()),
        false => Err(format!("{name:?} is no host name (without scheme and port)")),
    }
}

fn subject(value: &DeValue<'_>) -> Result<String, String> {
    match text(value)? {
        "" => Err("it can't be empty".to_owned()),
        long if long.len() > MAX_SUBJECT => Err(format!("it is longer than {MAX_SUBJECT} bytes")),
        name => Ok(name.to_owned()),
    }
}
