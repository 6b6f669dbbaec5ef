//! `muster support`: one file with what a helper needs to see, and no secret.
//!
//! What is in it is written by us from what is known (the configuration in effect, the state, the
//! doctor's answer) or is the end of a log; [`mask`] goes over all of it once more.

mod mask;

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::PRODUCT;
use crate::config::AccessLog;
use crate::config::log::AuditLog;
use crate::doctor::{self, facts::Facts};
use mask::Mask;

/// How much of a log's end is taken.
const LOG_END: u64 = 256 * 1024;

/// The folder within the archive.
const FOLDER: &str = "muster-support";

/// What the manager is asked for, and the file that the answer becomes.
const ASKED: [(&str, &str); 5] = [
    ("/livez", "livez.txt"),
    ("/readyz", "readyz.txt"),
    ("/api/state", "state.json"),
    ("/info", "info.txt"),
    ("/metrics", "metrics.txt"),
];

/// What `muster support` takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The configuration file; without it, the defaults
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The archive that is written
    #[arg(short, long, value_name = "FILE", default_value = "muster-support.tar.gz")]
    output: PathBuf,
}

/// Gathers everything and writes the archive, which only its owner may read.
///
/// # Errors
/// When the archive cannot be written. What cannot be gathered is said in its place.
pub(crate) fn run(options: &Options, out: &mut dyn Write) -> anyhow::Result<()> {
    let facts = doctor::gather(options.config.as_deref());
    let mask = Mask::of(options.config.as_deref(), &facts.config);
    let files = files(&facts);
    let name = options.output.display();
    let archive = write(&options.output, &files, &mask);
    archive.with_context(|| format!("cannot write {name}"))?;
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    writeln!(
        out,
        "{name}: {}; secrets are masked, look it over before you pass it on",
        names.join(", ")
    )?;
    Ok(())
}

fn files(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut files = vec![
        ("versions.txt", versions()),
        ("config.toml", facts.config.to_toml()),
        ("config-faults.txt", facts.config_faults.join("\n")),
        ("doctor.txt", doctor::text(&doctor::examine(facts))),
    ];
    if let doctor::facts::Running::Answers { manager, .. } = &facts.running {
        files.extend(ASKED.map(|(path, name)| (name, asked(*manager, path))));
    }
    if let AccessLog::File(file) = &facts.config.log.access {
        files.push(("access.log", mask::without_queries(&end(file))));
    }
    if let AuditLog::File(file) = &facts.config.log.audit {
        files.push(("audit.log", end(file)));
    }
    files
}

fn versions() -> String {
    let file = |path| fs::read_to_string(path).unwrap_or_default();
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{PRODUCT}\nthreads: {threads}\n\n{}\n{}\n{}",
        file("/proc/version"),
        file("/etc/os-release"),
        file("/proc/meminfo").lines().take(3).collect::<Vec<_>>().join("\n")
    )
}

fn asked(manager: SocketAddr, path: &str) -> String {
    match doctor::ask(manager, path) {
        Ok(asked) if asked.status == 200 => asked.body,
        Ok(asked) => format!("{path} was answered {}\n{}", asked.status, asked.body),
        Err(error) => format!("{path} was not answered: {error}\n"),
    }
}

/// The last lines of a log.
fn end(file: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut log = File::open(file)?;
        let start = log.metadata()?.len().saturating_sub(LOG_END);
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.take(LOG_END).read_to_end(&mut bytes)?;
        if start > 0 {
            // The first line is half a line.
            let whole = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            bytes.drain(..whole);
        }
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("{} cannot be read: {error}\n", file.display()),
    }
}

fn write(output: &Path, files: &[(&str, String)], mask: &Mask) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(output)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for (name, text) in files {
        let text = mask.over(text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{FOLDER}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.sync_all()
}
