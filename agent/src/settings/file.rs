//! The last settings on disk, for a cluster that was wholly down.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::document::{Document, MOST_DOCUMENT};
use crate::node::disk::{self, DiskError};

/// A file in the data directory.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    home: PathBuf,
    path: PathBuf,
}

// === impl Kept ===

impl Kept {
    /// The file of a data directory.
    pub(super) fn within(directory: &Path) -> Self {
        Self { home: directory.to_owned(), path: directory.join("settings.json") }
    }

    /// What was written last; nothing where nothing was, or where it cannot be used, which is
    /// logged: the cluster has the settings as a rule.
    pub(super) fn read(&self) -> Document {
        let path = self.path.display();
        let bytes = match self.bytes() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Document::default(),
            Err(error) => {
                tracing::warn!(%path, %error, "the settings that were kept cannot be read");
                return Document::default();
            }
        };
        Document::parse(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%path, %error, "the settings that were kept are not used");
            Document::default()
        })
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(&self.path)?.take(MOST_DOCUMENT).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whole or not at all. It waits for the disk.
    pub(super) fn write(&self, document: &Document) -> Result<(), DiskError> {
        disk::replace(&self.home, &self.path, &document.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_or_not_there_is_no_settings_and_no_harm() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::within(directory.path());
        assert_eq!(kept.read(), Document::default());
        let document = Document { version: 7, ..Document::default() };
        kept.write(&document).unwrap();
        assert_eq!(kept.read(), document);
        std::fs::write(&kept.path, b"{\"version\":").unwrap();
        assert_eq!(kept.read(), Document::default());
    }
}
