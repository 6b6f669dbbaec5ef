//! The page over TLS: what a browser keeps, and whom a certificate lets in.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;

use crate::webdriver::{Browser, Scripts, eventually};
use crate::{Asks, Muster, act, login, node_button};

const PATIENCE: Duration = Duration::from_secs(60);

/// An authority, with a folder for what the balancer reads.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
}

/// A certificate and its key, both as PEM.
struct Papers {
    chain: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let (key, mut params) = (KeyPair::generate().unwrap(), of(name, &[]));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        let root = certificate.der().clone();
        Authority { folder, issuer: Issuer::new(params, key), root }
    }

    fn issue(&self, name: &str, hosts: &[&str]) -> Papers {
        let key = KeyPair::generate().unwrap();
        let certificate = of(name, hosts).signed_by(&key, &self.issuer).unwrap();
        Papers { chain: certificate.pem(), key: key.serialize_pem() }
    }

    /// `[manager.tls]` with a certificate for this machine, and more keys.
    fn section(&self, more: &str) -> String {
        let (own, path) = (self.issue("muster", &["127.0.0.1"]), self.folder.path());
        std::fs::write(path.join("own.pem"), own.chain).unwrap();
        std::fs::write(path.join("own.key"), own.key).unwrap();
        let path = path.display();
        let own = format!("certificate = \"{path}/own.pem\"\nkey = \"{path}/own.key\"\n");
        format!("[manager.tls]\n{own}{more}")
    }

    fn client_ca(&self) -> String {
        format!("client_ca = \"{}/ca.pem\"\n", self.folder.path().display())
    }

    /// The answer to somebody who trusts this authority and shows these papers.
    fn ask(&self, muster: &Muster, own: Option<&Papers>, head: &str) -> std::io::Result<String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some(Papers { chain, key }) => {
                let chain = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![chain], key).unwrap()
            }
        };
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let stream = TcpStream::connect(&muster.manager)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, stream);
        let host = &muster.manager;
        let (line, rest) = head.split_once("\r\n").unwrap_or((head, "\r\n"));
        write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{rest}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn of(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// What a tool sends to stop a node.
const STOP: &str = "POST /action\r\nX-Muster-Client: test\r\n\
    Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 15\r\n\r\nroute=n1&stop=*";

#[test]
fn a_browser_logs_in_over_tls_and_keeps_a_cookie_for_this_host_and_tls_alone() {
    let authority = Authority::new("of the listener");
    let muster = login::guarded(&authority.section(""));
    muster.node("n1", "", 100, &["/shop"]);
    let browser = Browser::start(Scripts::Run);
    let page = format!("https://{}/", muster.manager);
    browser.open(&page);
    login::log_in(&browser, "anna", "anna is here");
    eventually("the page", || browser.text(&node_button("n1", "Stop")));
    let cookies = browser.cookies();
    let session = cookies.iter().find(|cookie| cookie["name"] == "__Host-muster");
    let session = session.unwrap_or_else(|| panic!("no session in {cookies:?}"));
    assert_eq!((&session["secure"], &session["httpOnly"]), (&true.into(), &true.into()));
    assert_eq!((&session["sameSite"], &session["path"]), (&"Strict".into(), &"/".into()));
    assert_eq!(session["domain"], "127.0.0.1");
    act(&browser, &node_button("n1", "Stop"), Asks::Yes);
    muster.expect("n1", "/shop", "STOPPED");
    // The stream of parts works over TLS too.
    muster.node("late", "", 100, &["/shop"]);
    eventually("a newcomer", || browser.text(&crate::card("late")));
    browser.click("//button[.='Log out']");
    eventually("the login again", || browser.text("//h1[.='Log in']"));
    assert!(!browser.cookies().iter().any(|cookie| cookie["name"] == "__Host-muster"));
}

#[test]
fn a_certificate_is_a_login_with_the_role_of_its_user_and_a_strangers_is_refused() {
    let (authority, others) = (Authority::new("of operators"), Authority::new("of others"));
    let users = "[[manager.user]]\nname = \"anna\"\nrole = \"operator\"\n\
        certificate = \"CN=anna.example\"\n\
        [[manager.user]]\nname = \"vera\"\ncertificate = \"CN=vera.example\"\n";
    let muster = Muster::with(&(authority.section(&authority.client_ca()) + users));
    muster.node("n1", "", 100, &["/shop"]);
    let papers = |name: &str| authority.issue(&format!("{name}.example"), &[]);
    let (anna, vera, carl) = (papers("anna"), papers("vera"), papers("carl"));
    let ask = |own: Option<&Papers>, head: &str| authority.ask(&muster, own, head);

    // Before a request is read at all.
    for own in [Some(others.issue("anna.example", &[])), None] {
        let refused = ask(own.as_ref(), "GET /livez\r\n\r\n");
        assert!(refused.is_err(), "{refused:?}");
    }
    let unknown = ask(Some(&carl), "GET /\r\n\r\n").unwrap();
    assert!(unknown.starts_with("HTTP/1.1 401 "), "{unknown}");
    assert!(ask(Some(&carl), STOP).unwrap().starts_with("HTTP/1.1 401 "));
    assert!(ask(Some(&vera), STOP).unwrap().starts_with("HTTP/1.1 403 "));
    muster.expect("n1", "/shop", "ENABLED");
    let seen = ask(Some(&vera), "GET /\r\n\r\n").unwrap();
    assert!(seen.contains("<bdi>vera</bdi> <small>viewer"), "{seen}");
    let done = ask(Some(&anna), STOP).unwrap();
    assert!(done.starts_with("HTTP/1.1 303 "), "{done}");
    muster.expect("n1", "/shop", "STOPPED");
    let events = ask(Some(&vera), "GET /events\r\n\r\n").unwrap();
    assert!(events.contains("anna from 127.0.0.1"), "{events}");
}

#[test]
fn a_certificate_that_may_be_missing_leaves_the_password_to_others() {
    let authority = Authority::new("of operators");
    let own = authority.client_ca() + "required = false\nclient_role = \"viewer\"\n";
    let muster = login::guarded(&authority.section(&own));
    let somebody = authority.issue("somebody", &[]);
    let seen = authority.ask(&muster, Some(&somebody), "GET /\r\n\r\n").unwrap();
    assert!(seen.contains("<bdi>CN=somebody</bdi> <small>viewer"), "{seen}");
    assert!(authority.ask(&muster, Some(&somebody), STOP).unwrap().starts_with("HTTP/1.1 403 "));
    let nobody = authority.ask(&muster, None, "GET /\r\nAccept: text/html\r\n\r\n").unwrap();
    assert!(nobody.starts_with("HTTP/1.1 303 "), "{nobody}");
    assert!(nobody.to_ascii_lowercase().contains("\r\nlocation: /login?back=%2f"), "{nobody}");
}
