//! Descriptors and policies as files, in TOML.

use std::path::{Path, PathBuf};

use muster_singleton::{Election, Policy as Rules, Preference};
use serde::Deserialize;
use thiserror::Error;

use super::policies::{Policies, Policy};

/// What an application's descriptor says: which policy places it, or none for the default one.
///
/// ```
/// use muster_agent::singleton::Descriptor;
/// let descriptor: Descriptor = "policy = \"my-new-policy\"\nquorum = 3".parse()?;
/// assert_eq!(descriptor.policy.as_deref(), Some("my-new-policy"));
/// assert_eq!("".parse::<Descriptor>()?, Descriptor::default());
/// # Ok::<(), muster_agent::singleton::BadFile>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Descriptor {
    /// The name of its policy.
    #[serde(default)]
    pub policy: Option<String>,
    /// The least number of candidates, in place of the policy's; 1 or more.
    #[serde(default)]
    pub quorum: Option<u16>,
}

/// Why a file says nothing that can be used.
#[derive(Debug, Error)]
pub enum BadFile {
    /// It cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// It is no such TOML.
    #[error("{0}")]
    Malformed(String),
    /// A value is out of its bounds.
    #[error("{field} has the bad value {value:?}: {why}")]
    BadValue {
        /// Which.
        field: String,
        /// Its value.
        value: String,
        /// What would be right.
        why: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicies {
    default: Option<String>,
    #[serde(default)]
    policies: std::collections::BTreeMap<String, RawPolicy>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawPolicy {
    #[serde(default)]
    election: RawElection,
    position: Option<i32>,
    #[serde(default)]
    name_preferences: Vec<String>,
    #[serde(default)]
    address_preferences: Vec<String>,
    quorum: Option<u16>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawElection {
    #[default]
    Simple,
    Random,
}

// === impl Descriptor ===

impl Descriptor {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`BadFile`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, BadFile> {
        read(path.as_ref())?.parse()
    }
}

impl std::str::FromStr for Descriptor {
    type Err = BadFile;

    fn from_str(text: &str) -> Result<Self, BadFile> {
        let descriptor: Self = toml::from_str(text).map_err(malformed)?;
        checked("quorum", descriptor.quorum)?;
        Ok(descriptor)
    }
}

// === impl Policies ===

impl Policies {
    /// Reads a file: `default = "NAME"`, and for each policy a table `[policies.NAME]` with
    /// `election = "simple"` (with `position`) or `"random"`, `name-preferences`,
    /// `address-preferences` and `quorum`.
    ///
    /// # Errors
    /// See [`BadFile`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, BadFile> {
        read(path.as_ref())?.parse()
    }
}

impl std::str::FromStr for Policies {
    type Err = BadFile;

    fn from_str(text: &str) -> Result<Self, BadFile> {
        let raw: RawPolicies = toml::from_str(text).map_err(malformed)?;
        let mut policies = Self::default();
        for (name, raw) in raw.policies {
            let policy = raw.policy(&name)?;
            policies.named.insert(name, policy);
        }
        if let Some(default) = raw.default {
            if policies.get(&default).is_none() {
                let (field, why) = ("default".to_owned(), "there is no policy of that name");
                return Err(BadFile::BadValue { field, value: default, why });
            }
            policies.default = default;
        }
        Ok(policies)
    }
}

// === impl RawPolicy ===

impl RawPolicy {
    fn policy(self, name: &str) -> Result<Policy, BadFile> {
        let quorum = checked(&format!("policies.{name}.quorum"), self.quorum)?.unwrap_or(1);
        let election = match (self.election, self.position) {
            (RawElection::Simple, position) => Election::Simple { position: position.unwrap_or(0) },
            (RawElection::Random, None) => Election::Random,
            (RawElection::Random, Some(position)) => {
                let (field, value) = (format!("policies.{name}.position"), position.to_string());
                let why = "a random election has no position";
                return Err(BadFile::BadValue { field, value, why });
            }
        };
        let names = self.name_preferences.into_iter().map(Preference::Name);
        let addresses = self.address_preferences.into_iter().map(Preference::Address);
        let preferences = names.chain(addresses).collect();
        Ok(Policy(Rules { election, preferences, quorum }))
    }
}

fn checked(field: &str, quorum: Option<u16>) -> Result<Option<u16>, BadFile> {
    match quorum {
        Some(0) => {
            let (field, value) = (field.to_owned(), "0".to_owned());
            Err(BadFile::BadValue { field, value, why: "it is 1 or more" })
        }
        other => Ok(other),
    }
}

fn read(path: &Path) -> Result<String, BadFile> {
    std::fs::read_to_string(path)
        .map_err(|error| BadFile::Unreadable { path: path.to_owned(), error })
}

fn malformed(error: toml::de::Error) -> BadFile {
    BadFile::Malformed(error.to_string().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_with_their_default() {
        let text = r#"
            default = "my-new-policy"
            [policies.my-new-policy]
            position = -1
            name-preferences = ["node1", "node2"]
            address-preferences = ["10.0.0.2:7700"]
            quorum = 4
            [policies.any]
            election = "random"
        "#;
        let policies: Policies = text.parse().expect("they are good");
        let words = |name: &str| policies.get(name).map(ToString::to_string);
        let mine = "simple(-1), prefers node1 node2 @10.0.0.2:7700, quorum 4";
        assert_eq!(words("my-new-policy").as_deref(), Some(mine));
        assert_eq!(words("any").as_deref(), Some("random"));
        assert_eq!(words("default").as_deref(), Some("simple(0)"));
        assert_eq!(policies.default, "my-new-policy");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let bad = |text: &str| text.parse::<Policies>().expect_err(text).to_string();
        let none = "default has the bad value \"x\": there is no policy of that name";
        assert_eq!(bad("default = \"x\""), none);
        let zero = "policies.a.quorum has the bad value \"0\": it is 1 or more";
        assert_eq!(bad("[policies.a]\nquorum = 0"), zero);
        assert!(bad("[policies.a]\nelection = \"random\"\nposition = 1").contains("no position"));
        assert!(bad("[policies.a]\nkworum = 1").contains("kworum"));
        assert!("quorum = 0".parse::<Descriptor>().is_err());
        assert!("policies = 1".parse::<Descriptor>().is_err());
        assert!(Descriptor::read("/no/such/file").is_err());
    }
}
