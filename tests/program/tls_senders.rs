//! TLS of senders.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use crate::support::backend::Backend;
use crate::support::certificates::{Authority, Issued};
use crate::support::http2::Peer;
use crate::support::sender::Sender;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

fn config_with(backend: &Backend, tls: Value) -> Value {
    let mut config = config::standard(backend.address);
    config["receivers"]["otlp"]["protocols"]["grpc"]["tls"] = tls;
    config
}

/// A folder with `server.pem` and `server.key`.
fn folder_with(issued: &Issued) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    issued.write(folder.path(), "server");
    folder
}

fn from_files() -> Value {
    json!({ "cert_file": "server.pem", "key_file": "server.key" })
}

fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()))
}

/// Whether a sender gets a span through.
async fn gets_through(slimspan: &Slimspan, tls: ClientTlsConfig) -> bool {
    let address = slimspan.addresses[0];
    let Ok(sender) = Sender::try_connect_tls(address, tls).await else {
        return false;
    };
    let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    sent.is_ok()
}

/// A connection of which a test sees the certificate.
async fn connect(
    address: SocketAddr,
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    roots
        .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    soon(
        "the handshake ends",
        TlsConnector::from(Arc::new(tls)).connect(name, stream),
    )
    .await
}

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

#[tokio::test]
async fn a_certificate_from_files_or_in_place_protects_senders() {
    let backend = Backend::start().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let issued = authority.issue("127.0.0.1");
    let in_place = json!({ "cert_pem": issued.certificate, "key_pem": issued.key });
    for tls in [from_files(), in_place] {
        let config = config_with(&backend, tls);
        let slimspan = Slimspan::start_in(folder_with(&issued), &config).await;
        assert!(gets_through(&slimspan, trusting(&authority)).await);
        assert!(!gets_through(&slimspan, trusting(&stranger)).await);
    }
}

/// Who is known to senders vouches for somebody, who vouches for this server.
#[tokio::test]
async fn a_certificate_is_shown_with_those_above_it() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let between = authority.below();
    let issued = between.issue("127.0.0.1");
    let chain = format!("{}{}", issued.certificate, between.pem());
    for (certificate, expected) in [(&chain, true), (&issued.certificate, false)] {
        let tls = json!({ "cert_pem": certificate, "key_pem": issued.key });
        let slimspan = Slimspan::start(&config_with(&backend, tls)).await;
        let passes = gets_through(&slimspan, trusting(&authority)).await;
        assert_eq!(passes, expected);
    }
}

/// HTTP/1 and HTTP/2 over TLS, as client and server agree on.
#[tokio::test]
async fn http_is_protected_too() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let mut config = config::standard(backend.address);
    config::http_only(&mut config);
    config["receivers"]["otlp"]["protocols"]["http"]["tls"] = from_files();
    let folder = folder_with(&authority.issue("127.0.0.1"));
    let slimspan = Slimspan::start_in(folder, &config).await;
    let address = slimspan.http_addresses[0];
    let request = "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\
                   content-type: application/json\r\nconnection: close\r\n\r\n{}";
    for (offered, agreed) in [
        (&["http/1.1"][..], Some(&b"http/1.1"[..])),
        (&[], None),
        (&["http/1.1", "h2"], Some(b"h2")),
    ] {
        let mut stream = connect(address, &authority, BOTH, offered).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed);
        if agreed == Some(b"h2") {
            continue;
        }
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon("the connection ends", stream.read_to_end(&mut answer)).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{}",
            answer.escape_ascii()
        );
    }
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the connection ends", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{}", answer.escape_ascii());
}

#[tokio::test]
async fn senders_may_have_to_show_a_certificate() {
    let backend = Backend::start().await;
    let (authority, of_senders) = (Authority::new(), Authority::new());
    let folder = folder_with(&authority.issue("127.0.0.1"));
    std::fs::write(folder.path().join("senders.pem"), of_senders.pem()).unwrap();
    let mut tls = from_files();
    tls["client_ca_file"] = json!("senders.pem");
    let slimspan = Slimspan::start_in(folder, &config_with(&backend, tls)).await;
    let showing = |issued: Issued| {
        trusting(&authority).identity(Identity::from_pem(issued.certificate, issued.key))
    };
    assert!(gets_through(&slimspan, showing(of_senders.issue("sender.test"))).await);
    for tls in [
        trusting(&authority),
        showing(authority.issue("sender.test")),
        showing(of_senders.issue_expired("sender.test")),
    ] {
        assert!(!gets_through(&slimspan, tls).await);
    }
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn versions_are_limited() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let only_12: &[_] = &[&version::TLS12];
    let only_13: &[_] = &[&version::TLS13];
    for (min, max, good, bad) in [
        ("1.3", "", only_13, only_12),
        ("1.2", "1.2", only_12, only_13),
    ] {
        let mut tls = from_files();
        tls["min_version"] = json!(min);
        tls["max_version"] = json!(max);
        let folder = folder_with(&authority.issue("127.0.0.1"));
        let slimspan = Slimspan::start_in(folder, &config_with(&backend, tls)).await;
        let address = slimspan.addresses[0];
        connect(address, &authority, good, &["h2"]).await.unwrap();
        let refused = connect(address, &authority, bad, &["h2"]).await;
        refused.unwrap_err();
    }
}

/// Who speaks something else is told before anything is sent.
#[tokio::test]
async fn only_http2_is_agreed_on() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let folder = folder_with(&authority.issue("127.0.0.1"));
    let slimspan = Slimspan::start_in(folder, &config_with(&backend, from_files())).await;
    let address = slimspan.addresses[0];
    let stream = connect(address, &authority, BOTH, &["http/1.1", "h2"]).await;
    let stream = stream.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let refused = connect(address, &authority, BOTH, &["http/1.1"]).await;
    refused.unwrap_err();
}

/// A new certificate for new connections, while the old ones go on; a bad one changes nothing.
#[tokio::test]
async fn a_new_certificate_is_used_without_dropping_connections() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1");
    let folder = folder_with(&issued);
    let mut tls = from_files();
    tls["reload_interval"] = json!("20ms");
    let mut slimspan = Slimspan::start_in(folder, &config_with(&backend, tls)).await;
    let address = slimspan.addresses[0];
    let shown = async || {
        let stream = connect(address, &authority, BOTH, &["h2"]).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    let in_pem =
        |issued: &Issued| CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let old = Sender::try_connect_tls(address, trusting(&authority)).await;
    let old = old.unwrap();
    let span = otlp::plain_span(1);
    old.send(Signal::Traces, &span).await.unwrap();
    assert_eq!(shown().await, in_pem(&issued));

    let expired = authority.issue_expired("127.0.0.1");
    expired.write(slimspan.folder(), "server");
    slimspan
        .logs("receivers.otlp.protocols.grpc.tls.cert_file: server.pem holds a certificate that has expired")
        .await;
    assert_eq!(shown().await, in_pem(&issued));

    let new = authority.issue("127.0.0.1");
    new.write(slimspan.folder(), "server");
    let changes = async { while shown().await != in_pem(&new) {} };
    soon("the new one is shown", changes).await;
    old.send(Signal::Traces, &span).await.unwrap();
}

/// A change of who vouches for senders does not need the interval of the certificate.
#[tokio::test]
async fn a_new_client_ca_is_used() {
    let backend = Backend::start().await;
    let (authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let folder = folder_with(&authority.issue("127.0.0.1"));
    let file = folder.path().join("senders.pem");
    std::fs::write(&file, first.pem()).unwrap();
    let mut tls = from_files();
    tls["client_ca_file"] = json!("senders.pem");
    tls["client_ca_file_reload"] = json!(true);
    tls["reload_interval"] = json!("20ms");
    let slimspan = Slimspan::start_in(folder, &config_with(&backend, tls)).await;
    let sender = |of: &Authority| {
        let issued = of.issue("sender.test");
        trusting(&authority).identity(Identity::from_pem(issued.certificate, issued.key))
    };
    let (mine, theirs) = (sender(&first), sender(&second));
    assert!(gets_through(&slimspan, mine.clone()).await);
    assert!(!gets_through(&slimspan, theirs.clone()).await);
    std::fs::write(&file, second.pem()).unwrap();
    let changes = async { while !gets_through(&slimspan, theirs.clone()).await {} };
    soon("the new one is trusted", changes).await;
    assert!(!gets_through(&slimspan, mine).await);
}

/// Whose authority was taken away does not go on over a connection that was there, not even one that had gone on
/// while new ones were refused already.
#[tokio::test]
async fn a_reload_ends_connections_where_the_client_ca_has_changed() {
    let backend = Backend::start().await;
    let (authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let sender = |of: &Authority| {
        let issued = of.issue("sender.test");
        trusting(&authority).identity(Identity::from_pem(issued.certificate, issued.key))
    };
    let (mine, theirs) = (sender(&first), sender(&second));
    let span = otlp::plain_span(1);
    for is_looked_at in [false, true] {
        let folder = folder_with(&authority.issue("127.0.0.1"));
        let file = folder.path().join("senders.pem");
        std::fs::write(&file, first.pem()).unwrap();
        let mut tls = from_files();
        tls["client_ca_file"] = json!("senders.pem");
        tls["client_ca_file_reload"] = json!(is_looked_at);
        tls["reload_interval"] = json!("20ms");
        let mut slimspan = Slimspan::start_in(folder, &config_with(&backend, tls)).await;
        let address = slimspan.addresses[0];
        let old = Sender::try_connect_tls(address, mine.clone()).await;
        let old = old.unwrap();
        old.send(Signal::Traces, &span).await.unwrap();

        std::fs::write(&file, second.pem()).unwrap();
        if is_looked_at {
            let changes = async { while !gets_through(&slimspan, theirs.clone()).await {} };
            soon("the new one is trusted", changes).await;
            assert!(!gets_through(&slimspan, mine.clone()).await);
            old.send(Signal::Traces, &span).await.unwrap();
        }
        slimspan.signal("HUP");
        slimspan.logs("reloaded the configuration").await;
        old.send(Signal::Traces, &span).await.unwrap_err();
        assert!(gets_through(&slimspan, theirs.clone()).await);
        slimspan.stop_well().await;
    }
}

/// What is not TLS on a port for TLS, and TLS on a port for plain text.
#[tokio::test]
async fn the_wrong_protocol_is_cut() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let folder = folder_with(&authority.issue("127.0.0.1"));
    let slimspan = Slimspan::start_in(folder, &config_with(&backend, from_files())).await;
    assert!(Peer::connect(slimspan.addresses[0]).await.is_none());
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 600],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut stream = TcpStream::connect(slimspan.addresses[0]).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        // An alert, or nothing at all.
        let mut heard = Vec::new();
        let _ = soon("it is cut", stream.read_to_end(&mut heard)).await;
        assert!(heard.len() < 32, "{heard:?}");
    }
    assert!(gets_through(&slimspan, trusting(&authority)).await);

    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let refused = connect(slimspan.addresses[0], &authority, BOTH, &["h2"]).await;
    refused.unwrap_err();
}

/// What connections can pin is told, and TLS adds to it.
#[tokio::test]
async fn what_tls_takes_is_counted() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let mut pinned = Vec::new();
    for tls in [json!(null), from_files()] {
        for protocol in ["grpc", "http"] {
            let mut config = config::standard(backend.address);
            config["receivers"]["otlp"]["protocols"] = json!({ protocol: {
                "endpoint": "127.0.0.1:0",
                "tls": tls,
                "max_connections": 800,
            } });
            let folder = folder_with(&authority.issue("127.0.0.1"));
            let slimspan = Slimspan::start_in(folder, &config).await;
            let ended = slimspan.stop().await;
            let (_, told) = ended.stdout.split_once("unread can take up to ").unwrap();
            let (mib, _) = told.split_once(" MiB more").unwrap();
            pinned.push(mib.parse::<u64>().unwrap());
        }
    }
    let [grpc, http, grpc_tls, http_tls] = pinned[..] else {
        panic!("{pinned:?}");
    };
    // Of 800 connections with 128 KiB each.
    assert_eq!((grpc_tls - grpc, http_tls - http), (100, 100), "{pinned:?}");
}

/// Who listens to the world without TLS is told so, and who has TLS or stays at home is not.
#[tokio::test]
async fn plain_text_for_the_world_is_told() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    for (endpoint, tls, is_told) in [
        ("0.0.0.0:0", json!(null), true),
        ("0.0.0.0:0", from_files(), false),
        ("127.0.0.1:0", json!(null), false),
    ] {
        let mut config = config_with(&backend, tls);
        config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = json!(endpoint);
        let folder = folder_with(&authority.issue("127.0.0.1"));
        let slimspan = Slimspan::start_in(folder, &config).await;
        let ended = slimspan.stop().await;
        let told = "receivers.otlp.protocols.grpc: 0.0.0.0:";
        assert_eq!(ended.stderr.contains(told), is_told, "{ended:?}");
    }
}

/// A mistake in a file is told at the start.
#[tokio::test]
async fn files_that_are_no_good_end_the_start() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let folder = folder_with(&authority.issue("127.0.0.1"));
    authority.issue("127.0.0.1").write(folder.path(), "other");
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    std::fs::write(folder.path().join("encrypted.key"), encrypted).unwrap();
    let table = [
        (
            "cert_file",
            "missing.pem",
            "tls.cert_file: cannot read missing.pem: No such file",
        ),
        (
            "cert_file",
            "server.key",
            "tls.cert_file: server.key holds no certificate (PEM)",
        ),
        (
            "key_file",
            "other.key",
            "tls.key_file: other.key holds a key that is not of the certificate",
        ),
        (
            "key_file",
            "encrypted.key",
            "tls.key_file: encrypted.key holds a private key that is encrypted",
        ),
        (
            "client_ca_file",
            "missing.pem",
            "tls.client_ca_file: cannot read missing.pem: No such file",
        ),
    ];
    for (key, file, says) in table {
        let mut tls = from_files();
        tls[key] = json!(file);
        assert_ends(folder.path(), &config_with(&backend, tls), says).await;
    }
}

async fn assert_ends(folder: &Path, config: &Value, says: &str) {
    std::fs::write(folder.join("collector.yaml"), config.to_string()).unwrap();
    let ended = run(folder, &["--config", "collector.yaml"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let says = format!("receivers.otlp.protocols.grpc.{says}");
    assert!(ended.stderr.contains(&says), "{says}: {ended:?}");
}

/// Who asks whether all is well, or what passes, does so over TLS, where that is configured, and learns nothing
/// otherwise.
#[tokio::test]
async fn health_and_pages_are_told_over_tls() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1");
    let mut config = config::standard(backend.address);
    for extension in ["health_check", "zpages"] {
        config["extensions"][extension] = json!({ "endpoint": "127.0.0.1:0", "tls": from_files() });
        let extensions = config["service"]["extensions"].as_array_mut().unwrap();
        extensions.push(json!(extension));
    }
    let slimspan = Slimspan::start_in(folder_with(&issued), &config).await;
    for (extension, path, word) in [
        ("health_check", "/ready", "\"ready\""),
        ("zpages", "/debug/servicez", "<h1>Service</h1>"),
    ] {
        let address = slimspan.page(extension);
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");

        let mut protected = connect(address, &authority, BOTH, &[]).await.unwrap();
        protected.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = protected.read_to_string(&mut answer);
        soon("an answer", read).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(word), "{answer}");

        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = soon("the end", plain.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP"), "{answer}");
    }
}
