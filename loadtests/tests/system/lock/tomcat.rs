//! Real workers, unchanged: they know no secret, so an allow list or a certificate lets them in.

use std::path::PathBuf;
use std::process::Command;

use muster_loadtests::testkit::tomcat::Tomcat;
use muster_loadtests::testkit::{Authority, Farm, eventually};

use super::{PATIENCE, SECRET, counter, is_up, mutual, secret_file};

/// A start of Tomcat, its registration and the first STATUS that counts.
async fn serves(balancer: &muster_loadtests::testkit::Balancer, route: &str) {
    eventually(&format!("{route} answers"), 2 * PATIENCE, async || {
        let answer = balancer.client().get("/counter/?nosession=1").await;
        let node = answer.map_err(|error| error.to_string())?.node();
        if node.as_deref() == Some(route) { Ok(()) } else { Err(format!("{node:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_tomcat_registers_beside_a_secret_from_a_network_that_needs_none() {
    let farm = Farm::new().unwrap();
    let toml = format!("[mcmp]\nsecret = \"{SECRET}\"\nallow_unsigned = [\"127.0.0.0/8\"]\n");
    let balancer = farm.balancer(&toml).await.unwrap();
    let secret = secret_file(&farm, "secret", SECRET);
    let _counter = counter(&farm, &balancer, "ours", &["--secret-file", &secret]).await;
    let _tomcat = Tomcat::start(&farm, "tc", balancer.mcmp).await.unwrap();
    is_up(&balancer, "ours").await;
    serves(&balancer, "tc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_tomcat_registers_over_mutual_tls() {
    let server = Authority::new().unwrap();
    let farm = Farm::new().unwrap();
    let stores = Stores::make(&farm, &server);
    let balancer = farm.balancer(&mutual(&server, &stores.certificate)).await.unwrap();
    let [keys, trusted] = [&stores.keys, &stores.trusted].map(|file| file.display());
    let attributes = format!(
        "ssl=\"true\" sslKeyStore=\"{keys}\" sslKeyStorePassword=\"changeit\" \
         sslKeyStoreType=\"PKCS12\" sslKeyAlias=\"node\" sslTrustStore=\"{trusted}\" \
         sslTrustStorePassword=\"changeit\" sslTrustStoreType=\"PKCS12\""
    );
    let _tomcat = Tomcat::start_as(&farm, "tc", balancer.mcmp, &attributes).await.unwrap();
    is_up(&balancer, "tc").await;
    serves(&balancer, "tc").await;
}

/// What Java keeps keys and authorities in.
struct Stores {
    keys: PathBuf,
    trusted: PathBuf,
    /// The worker's certificate, which it signed itself, as PEM.
    certificate: PathBuf,
}

impl Stores {
    fn make(farm: &Farm, server: &Authority) -> Stores {
        let file = |name: &str| farm.folder().join(name);
        let stores = Stores {
            keys: file("keys.p12"),
            trusted: file("trusted.p12"),
            certificate: file("node.pem"),
        };
        let keys = stores.keys.display().to_string();
        let generate =
            "-genkeypair -alias node -keyalg EC -groupname secp256r1 -validity 30 -dname CN=tc";
        keytool(generate, &["-keystore", &keys]);
        let certificate = stores.certificate.display().to_string();
        keytool("-exportcert -rfc -alias node", &["-keystore", &keys, "-file", &certificate]);
        let (trusted, ca) = (stores.trusted.display().to_string(), server.file());
        let ca = ca.display().to_string();
        keytool("-importcert -noprompt -alias ca", &["-keystore", &trusted, "-file", &ca]);
        stores
    }
}

fn keytool(words: &str, more: &[&str]) {
    let mut keytool = Command::new("keytool");
    keytool.args(words.split(' ')).args(["-storetype", "PKCS12", "-storepass", "changeit"]);
    let output = keytool.args(more).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
