//! TLS to the backend.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::backend::{Backend, Reply};
use crate::support::certificates::{Authority, Issued};
use crate::support::proxy::Proxy;
use crate::support::sender::retry_after;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

/// What a server shows of itself.
fn showing(issued: &Issued) -> ServerTlsConfig {
    let identity = Identity::from_pem(&issued.certificate, &issued.key);
    ServerTlsConfig::new().identity(identity)
}

fn config_with(backend: &Backend, tls: Value) -> Value {
    over_grpc(backend.address, tls)
}

fn over_grpc(backend: SocketAddr, tls: Value) -> Value {
    let mut config = config::standard(backend);
    config["exporters"]["otlp_grpc"]["tls"] = tls;
    config
}

fn over_http(backend: SocketAddr, tls: Value) -> Value {
    let mut config = config::over_http(backend);
    let exporter = &mut config["exporters"]["otlp_http"];
    exporter["endpoint"] = json!(format!("https://{backend}"));
    exporter["tls"] = tls;
    config
}

/// Over gRPC and over HTTP.
const EXPORTERS: [fn(SocketAddr, Value) -> Value; 2] = [over_grpc, over_http];

/// Sends one span, which arrives or is refused so that the sender comes back.
async fn assert_sends(slimspan: &Slimspan, backend: &Backend, says: Option<&str>) {
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    let before = backend.received().len();
    let outcome = sender.send(Signal::Traces, &request).await;
    let Some(says) = says else {
        outcome.unwrap();
        let received = backend.received();
        assert_eq!(received.last().unwrap().message, request);
        return;
    };
    let status = outcome.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(retry_after(&status).is_some(), "{status}");
    assert!(status.message().contains(says), "{status}");
    assert_eq!(backend.received().len(), before);
}

/// Who is trusted, by which name, and what comes of it.
#[tokio::test]
async fn only_a_backend_that_is_trusted_gets_requests() {
    let (authority, other) = (Authority::new(), Authority::new());
    let by_address = Backend::with_tls(showing(&authority.issue("127.0.0.1"))).await;
    let by_name = Backend::with_tls(showing(&authority.issue("backend.test"))).await;
    let expired = Backend::with_tls(showing(&authority.issue_expired("127.0.0.1"))).await;
    let plain = Backend::start().await;
    let (trusted, stranger) = (authority.pem(), other.pem());
    let table = [
        (&by_address, json!({ "ca_file": "ca.pem" }), None),
        (&by_address, json!({ "ca_pem": trusted }), None),
        // As in the Collector, who says whom to trust is spoken to by TLS.
        (
            &by_address,
            json!({ "ca_pem": trusted, "insecure": true }),
            None,
        ),
        (
            &by_address,
            json!({ "ca_pem": trusted, "include_system_ca_certs_pool": true }),
            None,
        ),
        (&by_address, json!({}), Some("certificate")),
        (
            &by_address,
            json!({ "ca_pem": stranger }),
            Some("certificate"),
        ),
        (&by_address, json!({ "insecure_skip_verify": true }), None),
        (
            &by_name,
            json!({ "ca_pem": trusted, "server_name_override": "backend.test" }),
            None,
        ),
        (
            &by_name,
            json!({ "ca_pem": trusted }),
            Some("not valid for name"),
        ),
        (
            &by_name,
            json!({ "ca_pem": trusted, "insecure_skip_verify": true }),
            None,
        ),
        (&expired, json!({ "ca_pem": trusted }), Some("expired")),
        (&plain, json!({ "ca_pem": trusted }), Some("https://")),
    ];
    for (backend, tls, says) in table {
        for exporter in EXPORTERS {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("ca.pem"), &trusted).unwrap();
            let config = exporter(backend.address, tls.clone());
            let slimspan = Slimspan::start_in(folder, &config).await;
            assert_sends(&slimspan, backend, says).await;
        }
    }
}

/// A backend that is called by another name than its endpoint has the certificate of that name, unless it
/// is said to have another; where only that is said, it is called so, too.
#[tokio::test]
async fn the_name_that_a_backend_is_called_by_is_that_of_its_certificate() {
    const STRANGE: Result<&str, &str> = Err("not valid for name");
    let authority = Authority::new();
    let by_name = Backend::with_tls(showing(&authority.issue("backend.test"))).await;
    let by_address = Backend::with_tls(showing(&authority.issue("127.0.0.1"))).await;
    for (backend, called, certificate, told) in [
        (&by_name, Some("backend.test"), None, Ok("backend.test")),
        (
            &by_name,
            Some("backend.test:4317"),
            None,
            Ok("backend.test:4317"),
        ),
        (
            &by_name,
            Some("shop.test"),
            Some("backend.test"),
            Ok("shop.test"),
        ),
        (&by_name, None, Some("backend.test"), Ok("backend.test")),
        (&by_name, Some("shop.test"), None, STRANGE),
        (&by_name, None, Some("shop.test"), STRANGE),
        (&by_address, Some("[::1]:4317"), None, STRANGE),
        (&by_address, Some("127.0.0.1:1"), None, Ok("127.0.0.1:1")),
        (&by_address, None, Some("127.0.0.1"), Ok("127.0.0.1")),
    ] {
        let mut tls = json!({ "ca_pem": authority.pem() });
        if let Some(certificate) = certificate {
            tls["server_name_override"] = json!(certificate);
        }
        let mut config = config_with(backend, tls);
        config["exporters"]["otlp_grpc"]["authority"] = json!(called);
        let slimspan = Slimspan::start(&config).await;
        assert_sends(&slimspan, backend, told.err()).await;
        if let Ok(told) = told {
            let received = backend.received().pop().unwrap();
            assert_eq!(received.authority.as_deref(), Some(told));
        }
    }
    // Without TLS there is no certificate, and so no name of one.
    let plain = Backend::start().await;
    let tls = json!({ "insecure": true, "server_name_override": "backend.test" });
    let slimspan = Slimspan::start(&config_with(&plain, tls)).await;
    assert_sends(&slimspan, &plain, None).await;
    let received = plain.received().pop().unwrap();
    assert_eq!(received.authority, Some(plain.address.to_string()));
}

/// A backend that wants to know who comes. It says why nobody else is let in only after the handshake, and
/// not always before the end of the connection.
#[tokio::test]
async fn a_backend_may_ask_for_a_certificate() {
    let authority = Authority::new();
    let tls = showing(&authority.issue("127.0.0.1"));
    let tls = tls.client_ca_root(Certificate::from_pem(authority.pem()));
    let own = authority.issue("slimspan.test");
    let strange = Authority::new().issue("slimspan.test");
    for (own, says) in [
        (Some(&own), None),
        (Some(&strange), Some("https://")),
        (None, Some("https://")),
    ] {
        let backend = Backend::with_tls(tls.clone()).await;
        let mut tls = json!({ "ca_pem": authority.pem() });
        if let Some(own) = own {
            tls["cert_pem"] = json!(own.certificate);
            tls["key_pem"] = json!(own.key);
        }
        for exporter in EXPORTERS {
            let slimspan = Slimspan::start(&exporter(backend.address, tls.clone())).await;
            assert_sends(&slimspan, &backend, says).await;
        }
    }
}

/// Who may shake hands with a server of this test, and what came of it.
async fn shaking_hands(
    versions: &[&'static SupportedProtocolVersion],
    certificate: &Issued,
    key: &Issued,
) -> (SocketAddr, watch::Receiver<Vec<bool>>) {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_slice(certificate.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.key.as_bytes()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    // Whether they belong together is not asked here.
    let shown = SingleCertAndKey::from(CertifiedKey::new(chain, key));
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (record, shaken) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let accepted = acceptor.accept(stream).await.is_ok();
            record.send_modify(|all| all.push(accepted));
        }
    });
    (address, shaken)
}

/// Sends one span to such a server, which does not answer it; returns whether they agreed.
async fn agrees(config: &Value, mut shaken: watch::Receiver<Vec<bool>>) -> bool {
    let slimspan = Slimspan::start(config).await;
    let sender = slimspan.sender().await;
    let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unavailable);
    let shaken = shaken.wait_for(|shaken| !shaken.is_empty());
    soon("a handshake", shaken).await.unwrap()[0]
}

/// Who trusts anybody still wants to see the key of the certificate that is shown.
#[tokio::test]
async fn a_certificate_without_its_key_convinces_nobody() {
    let authority = Authority::new();
    let (issued, other) = (authority.issue("127.0.0.1"), authority.issue("127.0.0.1"));
    for exporter in EXPORTERS {
        for version in [&version::TLS12, &version::TLS13] {
            for (key, expected) in [(&issued, true), (&other, false)] {
                for tls in [
                    json!({ "insecure_skip_verify": true }),
                    json!({ "ca_pem": authority.pem() }),
                ] {
                    let (address, shaken) = shaking_hands(&[version], &issued, key).await;
                    let config = exporter(address, tls.clone());
                    assert_eq!(agrees(&config, shaken).await, expected, "{version:?} {tls}");
                }
            }
        }
    }
}

/// A version that is too old, or too new, is not spoken.
#[tokio::test]
async fn only_versions_of_the_range_are_spoken() {
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1");
    for exporter in EXPORTERS {
        for (min, max, version, expected) in [
            ("1.2", "", &version::TLS12, true),
            ("1.3", "", &version::TLS12, false),
            ("1.3", "", &version::TLS13, true),
            ("1.2", "1.2", &version::TLS13, false),
        ] {
            let (address, shaken) = shaking_hands(&[version], &issued, &issued).await;
            let tls = json!({ "ca_pem": authority.pem(), "min_version": min, "max_version": max });
            let agrees = agrees(&exporter(address, tls), shaken).await;
            assert_eq!(agrees, expected, "{min} to {max}, and {version:?}");
        }
    }
}

/// What versions there may be is said on either side.
#[tokio::test]
async fn versions_are_limited() {
    let authority = Authority::new();
    let backend = Backend::with_tls(showing(&authority.issue("127.0.0.1"))).await;
    for (min, max) in [("1.2", "1.2"), ("1.3", ""), ("1.2", "1.3")] {
        let tls = json!({ "ca_pem": authority.pem(), "min_version": min, "max_version": max });
        let slimspan = Slimspan::start(&config_with(&backend, tls)).await;
        assert_sends(&slimspan, &backend, None).await;
    }
}

/// Another authority in the file is trusted without a restart, and one that is none is not.
#[tokio::test]
async fn a_new_ca_file_is_used_for_new_connections() {
    for (name, exporter) in [("otlp_grpc", EXPORTERS[0]), ("otlp_http", EXPORTERS[1])] {
        let (first, second) = (Authority::new(), Authority::new());
        let backend = Backend::with_tls(showing(&second.issue("127.0.0.1"))).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, first.pem()).unwrap();
        let tls = json!({ "ca_file": "ca.pem", "reload_interval": "20ms" });
        let config = exporter(backend.address, tls);
        let mut slimspan = Slimspan::start_in(folder, &config).await;
        assert_sends(&slimspan, &backend, Some("certificate")).await;
        std::fs::write(&file, "nothing").unwrap();
        let told = format!("exporters.{name}.tls.ca_file: ca.pem holds no certificate");
        slimspan.logs(&told).await;
        assert_sends(&slimspan, &backend, Some("certificate")).await;
        std::fs::write(&file, second.pem()).unwrap();
        let told = format!("exporters.{name}: its files have changed");
        slimspan.logs(&told).await;
        let sends = async {
            let sender = slimspan.sender().await;
            let request = otlp::plain_span(1);
            while sender.send(Signal::Traces, &request).await.is_err() {}
        };
        soon("the new one is trusted", sends).await;
    }
}

/// A backend that asks who comes, accepts when there is a permit for it and, over HTTP, wants to be told its
/// cookie.
async fn asking_backend(authority: &Authority, gate: &Arc<Semaphore>) -> Backend {
    let tls = showing(&authority.issue("127.0.0.1"));
    let tls = tls.client_ca_root(Certificate::from_pem(authority.pem()));
    let gate = Arc::clone(gate);
    Backend::replying_over_tls(tls, move |received| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            if received.headers["content-type"] == "application/grpc" {
                return Reply::Answer(Ok(Bytes::new()));
            }
            let mut response = http::Response::new(Body::empty());
            let cookie = http::HeaderValue::from_static("route=a; Path=/");
            response.headers_mut().insert("set-cookie", cookie);
            Reply::Raw(response)
        }
    })
    .await
}

/// Another certificate and key in the files are shown to the backend without a restart. A request that is
/// under way meanwhile has its answer, and over HTTP the cookie of the backend is not forgotten.
#[tokio::test]
async fn a_new_certificate_is_shown_and_nothing_is_lost() {
    let authority = Authority::new();
    let (first, second) = (
        authority.issue("slimspan.test"),
        authority.issue("slimspan.test"),
    );
    let der = |issued: &Issued| {
        let der = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
        Some(der.unwrap().to_vec())
    };
    for (name, exporter) in [("otlp_grpc", EXPORTERS[0]), ("otlp_http", EXPORTERS[1])] {
        let gate = Arc::new(Semaphore::new(1));
        let backend = asking_backend(&authority, &gate).await;
        let network = Proxy::start(backend.address).await;
        let folder = tempfile::tempdir().unwrap();
        first.write(folder.path(), "own");
        let mut config = exporter(
            network.address,
            json!({
                "ca_pem": authority.pem(),
                "cert_file": "own.pem",
                "key_file": "own.key",
                "reload_interval": "20ms",
            }),
        );
        config["exporters"][name]["timeout"] = json!("1h");
        let is_http = name == "otlp_http";
        if is_http {
            config["exporters"][name]["cookies"] = json!({ "enabled": true });
        }
        let mut slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let send = |number| {
            let sender = sender.clone();
            let request = otlp::plain_span(number);
            tokio::spawn(async move { sender.send(Signal::Traces, &request).await })
        };
        send(1).await.unwrap().unwrap();
        assert_eq!(backend.received()[0].shown, der(&first), "{name}");

        let under_way = send(2);
        backend.arrived(2).await;
        second.write(slimspan.folder(), "own");
        let told = format!("exporters.{name}: its files have changed");
        slimspan.logs(&told).await;
        if is_http {
            // The next one has a connection of its own, beside the one that is under way.
            let next = send(3);
            let third = backend.arrived(3).await.pop().unwrap();
            assert_eq!(third.shown, der(&second));
            assert_eq!(third.headers["cookie"], "route=a");
            gate.add_permits(2);
            next.await.unwrap().unwrap();
            under_way.await.unwrap().unwrap();
        } else {
            // What is open stays, and ends as connections do.
            gate.add_permits(1_000);
            under_way.await.unwrap().unwrap();
            network.reset();
            let again = async { while send(3).await.unwrap().is_err() {} };
            soon("another connection", again).await;
            let last = backend.received().pop().unwrap();
            assert_eq!(last.shown, der(&second));
        }
        slimspan.stop_well().await;
    }
}

/// A mistake in a file is told at the start, not at the first request.
#[tokio::test]
async fn files_that_are_no_good_end_the_start() {
    let backend = Backend::start().await;
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let own = authority.issue("slimspan.test");
    own.write(folder.path(), "own");
    authority
        .issue("slimspan.test")
        .write(folder.path(), "other");
    authority
        .issue_expired("slimspan.test")
        .write(folder.path(), "expired");
    std::fs::write(folder.path().join("garbage.pem"), "no certificate").unwrap();
    let damaged = own.certificate.replace("MII", "M!!");
    std::fs::write(folder.path().join("damaged.pem"), damaged).unwrap();
    let pair = |certificate: &str, key: &str| json!({ "cert_file": certificate, "key_file": key });
    let table = [
        (
            json!({ "ca_file": "missing.pem" }),
            "tls.ca_file: cannot read missing.pem: No such file",
        ),
        (
            json!({ "ca_file": "garbage.pem" }),
            "tls.ca_file: garbage.pem holds no certificate (PEM)",
        ),
        (
            json!({ "ca_file": "damaged.pem" }),
            "tls.ca_file: damaged.pem holds PEM that is damaged",
        ),
        (
            json!({ "ca_pem": own.key }),
            "tls.ca_pem: it holds no certificate (PEM)",
        ),
        (
            pair("own.pem", "own.pem"),
            "tls.key_file: own.pem holds no private key (PEM)",
        ),
        (
            pair("own.pem", "other.key"),
            "tls.key_file: other.key holds a key that is not of the certificate",
        ),
        (
            pair("expired.pem", "expired.key"),
            "tls.cert_file: expired.pem holds a certificate that has expired, on 2000-01-01T00:00:00Z",
        ),
        (
            json!({ "server_name_override": "a b" }),
            "tls.server_name_override: \"a b\" is not the name of a host",
        ),
    ];
    for (tls, says) in table {
        let over_grpc = config_with(&backend, tls.clone());
        let mut over_http = config::over_http(backend.address);
        let endpoint = format!("https://{}", backend.address);
        over_http["exporters"]["otlp_http"]["endpoint"] = json!(endpoint);
        over_http["exporters"]["otlp_http"]["tls"] = tls;
        for (exporter, config) in [("otlp_grpc", over_grpc), ("otlp_http", over_http)] {
            std::fs::write(folder.path().join("collector.yaml"), config.to_string()).unwrap();
            let ended = run(folder.path(), &["--config", "collector.yaml"]).await;
            assert_eq!(ended.code, Some(1), "{ended:?}");
            let says = format!("exporters.{exporter}.{says}");
            assert!(ended.stderr.contains(&says), "{says}: {ended:?}");
            assert_eq!(ended.stdout, "");
        }
    }
}
