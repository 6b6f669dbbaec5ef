//! `muster doctor` and `muster support`, against a balancer that runs.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;

use flate2::read::GzDecoder;

use super::{FREE_PORTS, Muster, file, get, said};

/// A running balancer, and where its manager is.
fn running() -> (Muster, SocketAddr) {
    let muster = Muster::run(&FREE_PORTS);
    let line = muster.out.next();
    let manager = line.split(' ').find_map(|word| word.strip_prefix("manager=")).unwrap();
    let manager = manager.parse().unwrap();
    (muster, manager)
}

/// A file for the doctor that names the running balancer's manager, and no port that is taken.
fn config(manager: SocketAddr, more: &str) -> String {
    format!(
        "[http]\nlisten = [\"127.0.0.1:0\"]\n[manager]\nlisten = [\"{manager}\"]\n\
         [mcmp]\nlisten = [\"127.0.0.1:0\"]\n{more}"
    )
}

#[test]
fn the_doctor_asks_a_running_balancer_and_says_what_to_do() {
    let (_muster, manager) = running();
    let (_folder, path) = file(&config(manager, ""));
    let told = said(&["doctor", "-c", &path, "--json"]);
    let findings: Vec<serde_json::Value> = serde_json::from_str(&told.out).unwrap();
    let find = |check: &str| findings.iter().find(|finding| finding["check"] == check).unwrap();
    assert_eq!(find("balancer")["severity"], "good", "{told:?}");
    assert_eq!(find("listeners")["severity"], "good", "{told:?}");
    assert_eq!(find("nodes")["severity"], "warning", "nobody has registered: {told:?}");
    assert!(!find("nodes")["advice"].as_str().unwrap().is_empty());
    // Warnings only, unless this machine has faults of its own.
    let has_faults = findings.iter().any(|finding| finding["severity"] == "fault");
    assert_eq!(told.code, Some(if has_faults { 1 } else { 3 }), "{told:?}");
}

#[test]
fn the_doctor_names_what_is_wrong_with_a_file() {
    let (_folder, path) = file("threads = 0\n[http]\nlisten = [\"x\"]\n");
    let told = said(&["doctor", "-c", &path]);
    assert_eq!(told.code, Some(1), "{told:?}");
    for fault in [":1: threads: 0 is out of bounds", ":3: http.listen: \"x\" is no address"] {
        let line = told.out.lines().find(|line| line.contains(fault));
        assert!(line.is_some_and(|line| line.starts_with("FAULT")), "{told:?}");
    }
    assert!(told.out.contains("         -> "), "{told:?}");
}

#[test]
fn a_support_file_has_everything_but_the_secrets() {
    let (_muster, manager) = running();
    let (folder, path) = file("");
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(place("secret"), "planted-mcmp-secret-1\nplanted-mcmp-secret-2\n").unwrap();
    let line = "::1 - - [now] \"GET /a;jsessionid=planted.a?t=planted HTTP/1.1\" 200 1\n";
    std::fs::write(place("access.log"), line).unwrap();
    // Whatever wrote a secret down: here a log that should not have.
    std::fs::write(place("audit.log"), "{\"what\":\"planted-mcmp-secret-2\"}\n").unwrap();
    let more = format!(
        "secret_file = \"{}\"\n[advertise]\nsecurity_key = \"planted-advertise-key\"\n\
         [upstream.ajp]\nsecret = \"planted-ajp-secret\"\n\
         [log]\naccess = \"{}\"\naudit = \"{}\"\n",
        place("secret"),
        place("access.log"),
        place("audit.log"),
    );
    std::fs::write(&path, config(manager, &more)).unwrap();
    let output = place("out.tar.gz");
    let told = said(&["support", "-c", &path, "-o", &output]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(&output).unwrap()));
    let mut files = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert!(!text.contains("planted"), "{name}:\n{text}");
        files.push((name, text));
    }
    let text = |name: &str| {
        let named = format!("muster-support/{name}");
        &files.iter().find(|(name, _)| *name == named).unwrap_or_else(|| panic!("no {name}")).1
    };
    assert!(text("versions.txt").starts_with("muster/"));
    assert!(text("config.toml").contains("security_key = \"********\""));
    assert!(text("doctor.txt").contains("takes requests"));
    assert!(text("state.json").starts_with('{'));
    assert!(text("metrics.txt").contains("muster_connections"));
    assert_eq!(text("access.log"), "::1 - - [now] \"GET /a;... HTTP/1.1\" 200 1\n");
    assert_eq!(text("audit.log"), "{\"what\":\"********\"}\n");
    assert!(get(manager, "/livez").starts_with("HTTP/1.1 200 "), "it took no harm");
}

// === what is packaged ===

const PACKAGE: &str = include_str!("../../Cargo.toml");

#[test]
fn what_is_packaged_is_there_and_good() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["package.toml", "container.toml"] {
        let path = root.join("packaging").join(file);
        let told = said(&["check", path.to_str().unwrap()]);
        assert_eq!(told.code, Some(0), "{told:?}");
    }
    let package: toml::Table = PACKAGE.parse().unwrap();
    let assets = package["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    for asset in assets {
        let from = asset[0].as_str().unwrap();
        // What is built before the package is made has no place yet.
        if !from.contains("target/") && !from.contains('*') {
            assert!(root.join(from).is_file(), "{from}");
        }
    }
}

#[test]
fn the_service_runs_what_is_packaged() {
    let unit = include_str!("../../packaging/muster.service");
    let told = |key: &str| -> Vec<&str> {
        let lines = unit.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value).collect()
    };
    let packaged = |path: &str| {
        PACKAGE.contains(&format!("\"{}\"", path.trim_start_matches('/'))) || path == "/bin/kill"
    };
    for key in ["ExecStartPre", "ExecStart", "ExecReload"] {
        for line in told(key) {
            let paths = line.split(' ').filter(|word| word.starts_with('/'));
            paths.for_each(|path| assert!(packaged(path), "{key}: {path} is not packaged"));
        }
    }
    assert_eq!(told("Type"), ["notify"]);
    assert_eq!(told("User"), ["muster"]);
}
