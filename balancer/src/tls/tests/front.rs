//! What clients meet.

use std::sync::Arc;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::world::{Met, World, der, meet, wanted};
use crate::config::tls::CertificateFiles;
use crate::config::{Alpn, ClientAuth, Tls, TlsVersion};
use crate::tls::certificate::Certificates;
use crate::tls::{TlsError, TlsFacts, TlsFront};

fn facts(met: &Met) -> TlsFacts {
    TlsFacts::of(met.server.get_ref().1).unwrap()
}

/// One byte each way, so that the client has its tickets.
async fn talk(met: &mut Met) {
    for byte in [b'a', b'b'] {
        met.server.write_all(&[byte]).await.unwrap();
        met.server.flush().await.unwrap();
        assert_eq!(met.client.read_u8().await.unwrap(), byte);
        met.client.write_all(&[byte]).await.unwrap();
        met.client.flush().await.unwrap();
        assert_eq!(met.server.read_u8().await.unwrap(), byte);
    }
}

#[tokio::test]
async fn each_name_gets_its_certificate_and_the_unknown_ones_the_first() {
    let world = World::new();
    let first = world.certificate("first", &["shop.example", "www.shop.example"]);
    let wild = world.certificate("wild", &["*.shop.example", "blog.example"]);
    let api = world.certificate("api", &["api.shop.example"]);
    let front = TlsFront::load(&world.tls(vec![first.clone(), wild.clone(), api.clone()])).unwrap();
    let client = Arc::new(world.client());
    for (name, files) in [
        ("shop.example", &first),
        ("WWW.Shop.example", &first),
        ("api.shop.example", &api),
        ("cdn.shop.example", &wild),
        ("blog.example", &wild),
    ] {
        let met = meet(&front, &client, name).await.unwrap();
        assert_eq!(met.shown(), der(files), "{name}");
        assert_eq!(facts(&met).sni, Some(name.to_ascii_lowercase()));
    }
    // The client refuses the first one, which is not for such names: a wildcard is for one label.
    for name in ["other.example", "a.b.shop.example"] {
        assert!(meet(&front, &client, name).await.is_err(), "{name}");
    }
    // Who connects by address names nobody.
    let by_address = world.certificate("address", &["127.0.0.1"]);
    let front = TlsFront::load(&world.tls(vec![by_address.clone(), first])).unwrap();
    let met = meet(&front, &client, "127.0.0.1").await.unwrap();
    assert_eq!((met.shown(), facts(&met).sni), (der(&by_address), None));
}

#[test]
fn of_two_certificates_for_a_name_a_client_gets_the_one_it_can_verify() {
    let world = World::new();
    let ecdsa = world.certificate("ecdsa", &["shop.example"]);
    let mut other = wanted(&["shop.example"]);
    other.kind = &rcgen::PKCS_ED25519;
    let ed25519 = world.make("ed25519", other);
    let certificates = Certificates::load(&[ecdsa.clone(), ed25519.clone()]).unwrap();
    let chosen = |schemes: &[SignatureScheme]| {
        certificates.choose(Some("shop.example"), schemes).cert[0].to_vec()
    };
    assert_eq!(chosen(&[SignatureScheme::ED25519]), der(&ed25519));
    let both = [SignatureScheme::ED25519, SignatureScheme::ECDSA_NISTP256_SHA256];
    assert_eq!(chosen(&both), der(&ecdsa));
    assert_eq!(chosen(&[SignatureScheme::RSA_PKCS1_SHA256]), der(&ecdsa));
}

#[tokio::test]
async fn a_reload_serves_the_new_certificate_and_old_connections_go_on() {
    let world = World::new();
    let files = world.certificate("shop", &["shop.example"]);
    let front = TlsFront::load(&world.tls(vec![files.clone()])).unwrap();
    let client = Arc::new(world.client());
    let mut old = meet(&front, &client, "shop.example").await.unwrap();
    let before = der(&files);
    world.certificate("shop", &["shop.example"]);
    front.reload().unwrap();
    let new = meet(&front, &client, "shop.example").await.unwrap();
    assert_ne!(new.shown(), before);
    assert_eq!(new.shown(), der(&files));
    assert_eq!(old.shown(), before);
    talk(&mut old).await;
}

#[tokio::test]
async fn a_reload_with_one_bad_file_changes_nothing() {
    let world = World::new();
    let (shop, blog) = (
        world.certificate("shop", &["shop.example"]),
        world.certificate("blog", &["blog.example"]),
    );
    let front = TlsFront::load(&world.tls(vec![shop.clone(), blog])).unwrap();
    let before = der(&shop);
    world.certificate("shop", &["shop.example"]);
    world.write("blog.key", "no key");
    let error = front.reload().unwrap_err().to_string();
    let file = world.path("blog.key").display().to_string();
    let lacks = "has no private key (an encrypted one cannot be read)";
    assert_eq!(error, format!("tls.certificates[1].key: {file} {lacks}"));
    let met = meet(&front, &Arc::new(world.client()), "shop.example").await.unwrap();
    assert_eq!(met.shown(), before);
}

#[test]
fn every_bad_file_is_named_with_its_key() {
    let world = World::new();
    let good = world.certificate("good", &["shop.example"]);
    let other = world.certificate("other", &["blog.example"]);
    let path = |name: &str| world.path(name);
    world.write("empty.pem", "");
    world.write("cut.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    world.write("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let fault = |chain: &str, key: &str| {
        let files = CertificateFiles { chain: path(chain), key: path(key) };
        let error = TlsFront::load(&world.tls(vec![good.clone(), files])).unwrap_err();
        let folder = format!("{}/", world.path("").display()).replace("//", "/");
        error.to_string().replace(&folder, "")
    };
    let (of_chain, of_key) = ("tls.certificates[1].chain: ", "tls.certificates[1].key: ");
    assert_eq!(fault("none.pem", "good.key"), format!("{of_chain}cannot read none.pem"));
    assert_eq!(fault("empty.pem", "good.key"), format!("{of_chain}empty.pem has no certificate"));
    assert!(fault("cut.pem", "good.key").starts_with(&format!("{of_chain}cut.pem is no good PEM")));
    assert_eq!(fault("junk.pem", "good.key"), format!("{of_chain}junk.pem cannot be used"));
    assert_eq!(fault("good.pem", "none.key"), format!("{of_key}cannot read none.key"));
    assert_eq!(
        fault("good.pem", "other.key"),
        format!("{of_key}other.key is not the key of the certificate in good.pem")
    );
    assert!(matches!(TlsFront::load(&world.tls(vec![])), Err(TlsError::NoCertificate)));
    let mut settings = world.tls(vec![other]);
    settings.client_auth = ClientAuth::Required;
    settings.client_ca = Some(path("empty.pem"));
    let error = TlsFront::load(&settings).unwrap_err().to_string();
    assert!(error.starts_with("tls.client_ca: ") && error.ends_with("has no certificate"));
}

#[test]
fn a_file_without_end_is_not_read_whole() {
    let world = World::new();
    let files = CertificateFiles { chain: "/dev/zero".into(), key: world.path("x.key") };
    assert!(matches!(TlsFront::load(&world.tls(vec![files])), Err(TlsError::Read { .. })));
}

#[tokio::test]
async fn an_expired_certificate_is_served_all_the_same() {
    let world = World::new();
    let mut old = wanted(&["shop.example"]);
    old.params.not_after = rcgen::date_time_ymd(2000, 1, 1);
    old.params.not_before = rcgen::date_time_ymd(1999, 1, 1);
    let front = TlsFront::load(&world.tls(vec![world.make("old", old)])).unwrap();
    // It is the client who refuses it.
    let error = meet(&front, &Arc::new(world.client()), "shop.example").await.err().unwrap();
    assert!(error.to_string().contains("CertificateExpired"), "{error}");
}

async fn asked(world: &World, auth: ClientAuth, own: Option<&CertificateFiles>) -> Option<Met> {
    let mut settings = world.tls(vec![world.certificate("shop", &["shop.example"])]);
    settings.client_auth = auth;
    settings.client_ca = (auth != ClientAuth::None).then(|| world.path("ca.pem"));
    let front = TlsFront::load(&settings).unwrap();
    let client = Arc::new(world.client_of(&[&TLS13], own));
    meet(&front, &client, "shop.example").await.ok()
}

#[tokio::test]
async fn clients_show_a_certificate_where_they_are_asked() {
    let world = World::new();
    let (own, stranger) = (world.certificate("alice", &["alice"]), World::new());
    let foreign = stranger.certificate("mallory", &["mallory"]);
    let shown = |met: Option<Met>| facts(&met.unwrap()).client_certificate;
    assert!(asked(&world, ClientAuth::Required, None).await.is_none());
    assert!(asked(&world, ClientAuth::Required, Some(&foreign)).await.is_none());
    assert!(asked(&world, ClientAuth::Optional, Some(&foreign)).await.is_none());
    assert_eq!(shown(asked(&world, ClientAuth::Optional, None).await), None);
    assert_eq!(shown(asked(&world, ClientAuth::None, Some(&own)).await), None);
    let alice = shown(asked(&world, ClientAuth::Required, Some(&own)).await).unwrap();
    assert_eq!(alice.der(), der(&own));
    let pem = std::fs::read_to_string(&own.chain).unwrap().replace("\r\n", "\n");
    assert_eq!(alice.pem(), pem);
}

#[tokio::test]
async fn what_was_agreed_on_is_told_by_its_usual_names() {
    let world = World::new();
    let front =
        TlsFront::load(&world.tls(vec![world.certificate("shop", &["shop.example"])])).unwrap();
    let mut client = world.client_of(&[&TLS12], None);
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let told = facts(&meet(&front, &Arc::new(client), "shop.example").await.unwrap());
    assert_eq!((told.version, told.alpn), ("TLSv1.2", Some(Alpn::Http1)));
    assert_eq!(told.cipher, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    assert_eq!(told.key_size, 256);
    let told = facts(&meet(&front, &Arc::new(world.client()), "shop.example").await.unwrap());
    assert_eq!((told.version, told.alpn), ("TLSv1.3", None));
    assert_eq!((told.cipher, told.key_size), ("TLS_AES_256_GCM_SHA384", 256));
}

#[tokio::test]
async fn the_balancers_first_protocol_wins_and_an_unknown_one_is_refused() {
    let world = World::new();
    let settings = world.tls(vec![world.certificate("shop", &["shop.example"])]);
    let front = TlsFront::load(&settings).unwrap();
    let offering = |names: &[&[u8]]| {
        let mut client = world.client();
        client.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
        Arc::new(client)
    };
    let met = meet(&front, &offering(&[b"http/1.1", b"h2"]), "shop.example").await.unwrap();
    assert_eq!(facts(&met).alpn, Some(Alpn::H2));
    assert!(meet(&front, &offering(&[b"imap"]), "shop.example").await.is_err());
    let only = TlsFront::load(&Tls { alpn: vec![Alpn::Http1], ..settings }).unwrap();
    let met = meet(&only, &offering(&[b"h2", b"http/1.1"]), "shop.example").await.unwrap();
    assert_eq!(facts(&met).alpn, Some(Alpn::Http1));
}

#[tokio::test]
async fn the_oldest_version_is_the_configured_one() {
    let world = World::new();
    let mut settings = world.tls(vec![world.certificate("shop", &["shop.example"])]);
    settings.min_version = TlsVersion::V1_3;
    let front = TlsFront::load(&settings).unwrap();
    let old = Arc::new(world.client_of(&[&TLS12], None));
    assert!(meet(&front, &old, "shop.example").await.is_err());
    assert!(meet(&front, &Arc::new(world.client()), "shop.example").await.is_ok());
}

#[tokio::test]
async fn a_client_that_comes_again_takes_its_session_up_until_a_reload() {
    let world = World::new();
    let settings = world.tls(vec![world.certificate("shop", &["shop.example"])]);
    for version in [&TLS12, &TLS13] {
        let front = TlsFront::load(&settings).unwrap();
        let client = Arc::new(world.client_of(&[version], None));
        let mut kinds = Vec::new();
        for round in 0..4 {
            let mut met = meet(&front, &client, "shop.example").await.unwrap();
            talk(&mut met).await;
            kinds.push(met.server.get_ref().1.handshake_kind().unwrap());
            if round == 1 {
                front.reload().unwrap();
            }
        }
        let (whole, again) = (HandshakeKind::Full, HandshakeKind::Resumed);
        assert_eq!(kinds, [whole, again, whole, again], "{version:?}");
    }
    let off = Tls { session_tickets: false, session_cache: 0, ..settings };
    let front = TlsFront::load(&off).unwrap();
    let client = Arc::new(world.client());
    for _ in 0..2 {
        let mut met = meet(&front, &client, "shop.example").await.unwrap();
        talk(&mut met).await;
        assert_eq!(met.server.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_finish_its_handshake_is_cut() {
    let world = World::new();
    let mut settings = world.tls(vec![world.certificate("shop", &["shop.example"])]);
    settings.handshake_timeout = Duration::from_secs(3);
    let front = TlsFront::load(&settings).unwrap();
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    let error = front.accept(near).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_at_once() {
    let world = World::new();
    let front =
        TlsFront::load(&world.tls(vec![world.certificate("shop", &["shop.example"])])).unwrap();
    let (near, mut far) = tokio::io::duplex(1024);
    far.write_all(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n").await.unwrap();
    let error = front.accept(near).await.err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
}
