//! Looks at the machine, the files and the running balancer. Changes nothing, and is refused
//! nothing for ever: every wait has a bound.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::ask::ask;
use super::facts::{Bound, Certificate, Facts, Listener, Running, nodes};
use crate::config::log::AuditLog;
use crate::config::state::StateFile;
use crate::config::{AccessLog, Config};
use crate::{advertise, tls};

/// Most bytes of a certificate's file that are read.
const MAX_PEM: u64 = 4 * 1024 * 1024;

/// Looks at everything that a configuration stands for.
pub(crate) fn gather(file: Option<&Path>) -> Facts {
    let (config, mut config_faults) = match file.map_or_else(|| Ok(Config::default()), Config::read)
    {
        Ok(config) => (config, Vec::new()),
        Err(faults) => (Config::default(), faults.iter().map(ToString::to_string).collect()),
    };
    let unusable = tls::faults(&config).into_iter().map(anyhow::Error::from);
    config_faults.extend(unusable.map(|error| format!("{error:#}")));
    config_faults.extend(advertise::key(&config).err().map(|error| format!("{error:#}")));
    Facts {
        now: SystemTime::now(),
        clock_is_synchronized: is_synchronized(Path::new("/run/systemd/timesync")),
        listeners: listeners(&config),
        certificates: certificates(&config),
        open_files: rlimit::Resource::NOFILE.get_hard().ok(),
        multicast: multicast(&config),
        written: written(&config),
        running: running(&config),
        config,
        config_faults,
    }
}

/// systemd's own clock keeper leaves a mark; of others nothing is known.
fn is_synchronized(folder: &Path) -> Option<bool> {
    folder.is_dir().then(|| folder.join("synchronized").exists())
}

fn listeners(config: &Config) -> Vec<Listener> {
    let lists = [
        ("http.listen", &config.http.listen),
        ("tls.listen", &config.tls.listen),
        ("mcmp.listen", &config.mcmp.listen),
        ("manager.listen", &config.manager.listen),
    ];
    let all = lists.into_iter().flat_map(|(key, list)| list.iter().map(move |a| (key, *a)));
    all.map(|(key, address)| Listener { key, address, bound: bound(address) }).collect()
}

fn bound(address: SocketAddr) -> Bound {
    match TcpListener::bind(address) {
        Ok(_) => Bound::Free,
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => Bound::Taken,
            ErrorKind::PermissionDenied => Bound::Denied,
            ErrorKind::AddrNotAvailable => Bound::NoSuchAddress,
            _ => Bound::Other(error.to_string()),
        },
    }
}

fn certificates(config: &Config) -> Vec<Certificate> {
    let listener = config.tls.certificates.iter().enumerate();
    let listener = listener
        .map(|(at, files)| (format!("tls.certificates[{at}].chain"), files.chain.clone()))
        .filter(|_| !config.tls.listen.is_empty());
    let own = [
        ("mcmp.tls.certificate", &config.mcmp.tls.certificate),
        ("upstream.tls.certificate", &config.upstream.tls.certificate),
    ];
    let own = own.into_iter().filter_map(|(key, file)| Some((key.to_owned(), file.clone()?)));
    // What cannot be read is a fault of the configuration, and told there.
    listener.chain(own).filter_map(|(key, file)| certificate(key, file)).collect()
}

fn certificate(key: String, file: PathBuf) -> Option<Certificate> {
    let mut pem = Vec::new();
    fs::File::open(&file).ok()?.take(MAX_PEM).read_to_end(&mut pem).ok()?;
    let der = CertificateDer::from_pem_slice(&pem).ok()?;
    let (_, read) = X509Certificate::from_der(&der).ok()?;
    let names = read.subject_alternative_name().ok().flatten();
    let is_name = |name: &&GeneralName<'_>| {
        matches!(name, GeneralName::DNSName(_) | GeneralName::IPAddress(_))
    };
    let names = names.map_or(0, |names| names.value.general_names.iter().filter(is_name).count());
    let at =
        |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let validity = read.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some(Certificate { key, file, names, from: at(from), until: at(until) })
}

fn multicast(config: &Config) -> Vec<(String, Result<(), String>)> {
    let (places, _) = advertise::places(&config.advertise, &config.mcmp.listen);
    let way = |place: &advertise::Place| {
        let found = match place.interface {
            Some(interface) => UdpSocket::bind((interface, 0)).map(|_| ()),
            None => advertise::route_to(config.advertise.group).map(|_| ()),
        };
        (place.to_string(), found.map_err(|error| error.to_string()))
    };
    places.iter().map(way).collect()
}

fn written(config: &Config) -> Vec<(&'static str, PathBuf, Result<(), String>)> {
    let mut files = Vec::new();
    if let AccessLog::File(file) = &config.log.access {
        files.push(("log.access", file.clone()));
    }
    if let AuditLog::File(file) = &config.log.audit {
        files.push(("log.audit", file.clone()));
    }
    if let StateFile::At(file) = &config.state.file {
        files.push(("state.file", file.clone()));
    }
    let tried = |(key, file): (&'static str, PathBuf)| {
        let result = is_writable(&file).map_err(|error| error.to_string());
        (key, file, result)
    };
    files.into_iter().map(tried).collect()
}

/// Whether a file could be written, without making it where it is not there.
fn is_writable(file: &Path) -> std::io::Result<()> {
    match OpenOptions::new().append(true).open(file) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
            Ok(rustix::fs::access(folder, access)?)
        }
        Err(error) => Err(error),
    }
}

fn running(config: &Config) -> Running {
    let asked = config.manager.listen.iter().find(|address| address.port() != 0);
    let Some(mut manager) = asked.copied() else { return Running::Unasked };
    if manager.ip().is_unspecified() {
        manager.set_ip(match manager {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    if let Err(error) = ask(manager, "/livez") {
        return Running::Silent { manager, reason: error.to_string() };
    }
    let ready = match ask(manager, "/readyz") {
        Ok(asked) => (asked.status, asked.body.trim().to_owned()),
        Err(error) => (0, error.to_string()),
    };
    let state = ask(manager, "/api/state").map_err(|error| error.to_string());
    let state = state.and_then(|asked| match asked.status {
        200 => serde_json::from_str(&asked.body).map_err(|error| error.to_string()),
        status => Err(format!("the manager answered {status}")),
    });
    let nodes = state.map(|state: serde_json::Value| nodes(&state));
    Running::Answers { manager, ready, nodes }
}
