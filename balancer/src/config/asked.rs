//! What is said alike of all who are asked again and again: what requests are signed with, how often,
//! and how long an answer may take.

use std::path::PathBuf;
use std::time::Duration;

use muster_protocol::signature::{BadSecret, Secret};

use super::SECOND;
use super::reader::{Section, duration, text};
use super::tls::file;

/// The keys of a section that asks others.
pub(super) struct Asked {
    pub(super) secret: Option<Secret>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) ca: Option<PathBuf>,
}

impl Asked {
    /// Reads them; a secret in two places is a fault.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        interval: Duration,
        timeout: Duration,
    ) -> Asked {
        let secret =
            |text: &str| text.parse::<Secret>().map_err(|error: BadSecret| error.to_string());
        let asked = Asked {
            secret: section.maybe("secret", |value| secret(text(value)?)),
            secret_file: section.maybe("secret_file", file),
            interval: section.read("interval", interval, duration(SECOND / 10..=3600 * SECOND)),
            timeout: section.read("timeout", timeout, duration(SECOND / 100..=60 * SECOND)),
            ca: section.maybe("ca", file),
        };
        if asked.secret.is_some() && asked.secret_file.is_some() {
            section.fault("secret_file", "there is a secret already");
        }
        asked
    }
}
