//! What must never leave this machine, taken out of any text.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::Value;

use crate::config::Config;

/// What stands in the place of what is taken out.
const MASK: &str = "********";

/// Words in the names of keys whose values are nobody's business.
const SECRET_NAMES: [&str; 5] = ["secret", "password", "passwd", "token", "key"];

/// Shorter ones are taken out of what we write by its form only: they might be any word.
const SHORTEST: usize = 4;

/// Most bytes of a file that is named by the configuration and holds secrets.
const MAX_FILE: u64 = 64 * 1024;

/// Secrets that are known, so that they can be found in any text.
#[derive(Debug, Default)]
pub(super) struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    /// The secrets of a configuration file, whether it is good or not, and of the files it names.
    pub(super) fn of(file: Option<&Path>, config: &Config) -> Mask {
        let mut mask = Mask::default();
        let text = file.and_then(|file| read(file, u64::MAX)).unwrap_or_default();
        match text.parse() {
            Ok(table) => mask.gather("", &Value::Table(table)),
            Err(_) => text.lines().for_each(|line| mask.line(line)),
        }
        let named: [&Option<PathBuf>; 2] =
            [&config.mcmp.secret_file, &config.advertise.security_key_file];
        for file in named.into_iter().flatten() {
            let text = read(file, MAX_FILE).unwrap_or_default();
            text.lines().for_each(|line| mask.add(line.trim()));
        }
        // The longest first: one may be a part of another.
        mask.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        mask
    }

    /// A text without them.
    pub(super) fn over(&self, text: &str) -> String {
        let masked = self.secrets.iter().fold(text.to_owned(), |text, secret| {
            match text.contains(secret.as_str()) {
                true => text.replace(secret.as_str(), MASK),
                false => text,
            }
        });
        without_users(&masked)
    }

    fn gather(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if is_secret(name, text) => self.add(text),
            Value::Array(all) => all.iter().for_each(|value| self.gather(name, value)),
            Value::Table(table) => table.iter().for_each(|(name, value)| self.gather(name, value)),
            _ => {}
        }
    }

    /// A line of a file that cannot be read as a whole.
    fn line(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once('=') {
            let value = value.trim().trim_matches(['"', '\'']);
            if is_secret(name.trim(), value) {
                self.add(value);
            }
        }
    }

    fn add(&mut self, secret: &str) {
        if secret.len() >= SHORTEST {
            self.secrets.push(secret.to_owned());
        }
    }
}

/// A file's path is none, though its key's name sounds like it.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_lowercase();
    let sounds = SECRET_NAMES.iter().any(|word| name.contains(word));
    sounds && !name.ends_with("_file") && !(name == "key" && value.contains(['/', '.']))
}

fn read(file: &Path, most: u64) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(file).ok()?.take(most).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `https://user:password@host` without its user.
fn without_users(text: &str) -> String {
    let mut parts = text.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        clean += "://";
        let end = part.find(|c: char| c.is_whitespace() || "/\"'<>|,".contains(c));
        let place = &part[..end.unwrap_or(part.len())];
        match place.rfind('@') {
            Some(at) => clean += &format!("{MASK}{}", &part[at..]),
            None => clean += part,
        }
    }
    clean
}

/// Access lines without what clients put behind a path: queries and session ids may be secrets of
/// theirs.
pub(super) fn without_queries(log: &str) -> String {
    log.lines().map(|line| format!("{}\n", without_query(line))).collect()
}

fn without_query(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut is_taken_out = false;
    for letter in line.chars() {
        match letter {
            ' ' | '"' => is_taken_out = false,
            '?' | ';' if !is_taken_out => {
                clean.push(letter);
                clean.push_str("...");
                is_taken_out = true;
                continue;
            }
            _ => {}
        }
        if !is_taken_out {
            clean.push(letter);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_file_are_found_in_any_text() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let kept = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(kept.path(), "planted-in-a-file-1\nplanted-in-a-file-2\n").unwrap();
        let text = format!(
            "[mcmp]\nsecret_file = \"{}\"\nold_secrets = [\"planted-old-secret\"]\n\
             [advertise]\nsecurity_key = \"planted-key\"\n\
             [tls]\ncertificates = [{{ chain = \"a.pem\", key = \"/etc/shop.key\" }}]\n",
            kept.path().display()
        );
        let config = Config::parse(&text.replace("a.pem", "a"), "x").unwrap();
        for text in [text.clone(), format!("broken = = \n{text}")] {
            std::fs::write(file.path(), &text).unwrap();
            let mask = Mask::of(Some(file.path()), &config);
            let leaky = "planted-in-a-file-2 planted-key /etc/shop.key";
            assert_eq!(mask.over(leaky), "******** ******** /etc/shop.key");
        }
        let mask = Mask::of(Some(file.path()), &Config::default());
        assert_eq!(mask.over("https://me:pw@host/a@b"), "https://********@host/a@b");
        assert_eq!(mask.over("see http://a/ and x@y"), "see http://a/ and x@y");
    }

    #[test]
    fn what_clients_put_behind_a_path_is_taken_out() {
        let line = "10.0.0.1 - - [x] \"GET /a;jsessionid=s3cr.et?token=1 HTTP/1.1\" 200 5 \"-\"\n";
        assert_eq!(without_queries(line), "10.0.0.1 - - [x] \"GET /a;... HTTP/1.1\" 200 5 \"-\"\n");
    }
}
