//! One line of the audit log.

use std::sync::Arc;
use std::time::SystemTime;

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody, by page, API or command line.
    Operator,
    /// A node, by MCMP.
    Node,
    /// This balancer, by itself.
    Balancer,
    /// Another balancer, which tells what it was told.
    Peer,
}

/// Whether it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Yes.
    Done,
    /// No, and nothing has changed.
    Refused,
}

/// What is written down. Names come from nodes and are hostile text: whoever shows them escapes
/// them.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Entry {
    /// Rises by one with each entry since the balancer's start.
    pub seq: u64,
    /// When, in UTC (RFC 3339).
    pub time: String,
    /// What kind of actor it was.
    pub kind: Kind,
    /// Who.
    pub actor: Arc<str>,
    /// From where, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Arc<str>>,
    /// What.
    pub verb: String,
    /// For whom.
    pub target: String,
    /// How it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether it was done.
    pub outcome: Outcome,
    /// Why not, or what there is to tell besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Most bytes of a text in an entry: names have bounds, but a hostile message's pieces may not.
const MOST_TEXT: usize = 1_024;

impl Entry {
    /// Something that was done; the log gives number and time.
    pub fn new(kind: Kind, actor: impl Into<Arc<str>>, verb: &str, target: &str) -> Entry {
        Entry {
            seq: 0,
            time: String::new(),
            kind,
            actor: actor.into(),
            from: None,
            verb: bounded(verb),
            target: bounded(target),
            before: None,
            after: None,
            outcome: Outcome::Done,
            why: None,
        }
    }

    /// From where.
    pub fn from(mut self, from: Option<Arc<str>>) -> Entry {
        self.from = from;
        self
    }

    /// How it stood and stands.
    pub fn change(mut self, before: impl ToString, after: impl ToString) -> Entry {
        self.before = Some(bounded(&before.to_string()));
        self.after = Some(bounded(&after.to_string()));
        self
    }

    /// It was refused.
    pub fn refused(mut self, why: impl ToString) -> Entry {
        self.outcome = Outcome::Refused;
        self.why(why)
    }

    /// What there is to tell besides.
    pub fn why(mut self, why: impl ToString) -> Entry {
        self.why = Some(bounded(&why.to_string()));
        self
    }

    /// The entry as a line of JSON, in ASCII: a name with marks that turn the direction of writing
    /// must not make a terminal show another line than stands there.
    pub fn to_line(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let mut line = String::with_capacity(json.len() + 1);
        for letter in json.chars() {
            match letter {
                ' '..='~' => line.push(letter),
                _ => {
                    let mut units = [0; 2];
                    for unit in letter.encode_utf16(&mut units) {
                        line.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        line.push('\n');
        line
    }

    pub(super) fn stamped(mut self, seq: u64, at: SystemTime) -> Entry {
        self.seq = seq;
        let at = jiff::Timestamp::try_from(at).unwrap_or_default();
        self.time = at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string();
        self
    }
}

fn bounded(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
