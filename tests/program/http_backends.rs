//! Backends over OTLP/HTTP: what they get, and by which way.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Version;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use slimspan_generators::wire::nested;
use slimspan_proto::Signal;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tonic::transport::{Identity, ServerTlsConfig};

use crate::support::backend::{Backend, Reply};
use crate::support::certificates::{Authority, Issued};
use crate::support::forward_proxy::ForwardProxy;
use crate::support::pages::Metrics;
use crate::support::proxy::{Conditions, Proxy};
use crate::support::slimspan::Slimspan;
use crate::support::socks::SocksProxy;
use crate::support::{config, otlp};

/// Some requests, with what JSON has its own way for.
fn requests() -> [(Signal, Bytes); 3] {
    [
        (
            Signal::Traces,
            otlp::span([
                ("small", otlp::bytes(b"\x00\xffbytes")),
                ("text", otlp::text("\"quoted\" \u{1f600} \n")),
            ]),
        ),
        (Signal::Logs, otlp::log(otlp::text("hello"), [])),
        (Signal::Metrics, otlp::metric(otlp::text("small"))),
    ]
}

/// What `change` makes of the exporter.
fn with(backend: &Backend, change: impl FnOnce(&mut Value)) -> Value {
    let mut config = config::over_http(backend.address);
    change(&mut config["exporters"]["otlp_http"]);
    config
}

/// Every signal arrives as it was, at its path, in every compression, with all headers.
#[tokio::test]
async fn every_signal_arrives_as_it_was() {
    for compression in [
        "gzip",
        "zstd",
        "deflate",
        "zlib",
        "snappy",
        "x-snappy-framed",
        "lz4",
        "none",
    ] {
        let backend = Backend::start().await;
        let config = with(&backend, |exporter| {
            exporter["compression"] = json!(compression);
            exporter["headers"] = json!([{ "name": "X-Scope-OrgID", "value": "shop" }]);
            if ["gzip", "zstd", "deflate", "zlib"].contains(&compression) {
                exporter["compression_params"] = json!({ "level": 9 });
            }
        });
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let large = (Signal::Traces, otlp::sized_span(300_000));
        for (signal, request) in requests().into_iter().chain([large]) {
            assert_eq!(sender.send(signal, &request).await.unwrap(), Bytes::new());
            let received = backend.received().pop().unwrap();
            assert_eq!(received.message, request, "{signal} {compression}");
            assert_eq!(received.path, format!("/v1/{signal}"));
            assert_eq!(received.version, Version::HTTP_11);
            let encoding = received.encoding.as_deref().unwrap_or("none");
            // By the name that HTTP has for it.
            let name = if compression == "zlib" {
                "deflate"
            } else {
                compression
            };
            assert_eq!(encoding, name);
            assert_eq!(received.headers["content-type"], "application/x-protobuf");
            assert_eq!(received.headers["x-scope-orgid"], "shop");
            let agent = received.headers["user-agent"].to_str().unwrap();
            assert!(agent.starts_with("slimspan/"), "{agent}");
            // Not in pieces of unknown number: some backends want to know the length.
            assert!(received.headers.contains_key("content-length"));
        }
    }
}

/// Files are moved before this exporter as before any other.
#[tokio::test]
async fn a_picture_leaves_as_a_reference() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::over_http(backend.address)).await;
    let request = otlp::span_with(&otlp::photo(1, otlp::PHOTO));
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let received = backend.only();
    assert!(received.len() < 1_000, "{}", received.len());
    let attributes = otlp::attributes(&received);
    assert!(
        format!("{attributes:?}").contains("artifacts"),
        "{attributes:?}"
    );
}

/// What goes as JSON is what went in, as others read it.
#[tokio::test]
async fn json_is_read_back_by_others() {
    let backend = Backend::start().await;
    let config = with(&backend, |exporter| exporter["encoding"] = json!("json"));
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let large = (Signal::Traces, otlp::sized_span(300_000));
    for (signal, request) in requests().into_iter().chain([large]) {
        sender.send(signal, &request).await.unwrap();
        let received = backend.received().pop().unwrap();
        assert_eq!(received.headers["content-type"], "application/json");
        assert_eq!(received.path, format!("/v1/{signal}"));
        let text = &received.message;
        let read = match signal {
            Signal::Traces => {
                let read: ExportTraceServiceRequest = serde_json::from_slice(text).unwrap();
                read.encode_to_vec()
            }
            Signal::Logs => {
                let read: ExportLogsServiceRequest = serde_json::from_slice(text).unwrap();
                read.encode_to_vec()
            }
            Signal::Metrics => {
                let read: ExportMetricsServiceRequest = serde_json::from_slice(text).unwrap();
                read.encode_to_vec()
            }
            Signal::Profiles => panic!("there is no JSON of profiles"),
        };
        assert_eq!(Bytes::from(read), request, "{signal}");
    }
}

/// The text is longer than the request, and is charged like it for as long as the backend takes.
#[tokio::test]
async fn json_takes_its_memory_of_what_requests_may_have() {
    const SIZE: usize = 1 << 20;
    let backend = Backend::hanging().await;
    for (encoding, most) in [("proto", 3 * SIZE), ("json", usize::MAX)] {
        let config = with(&backend, |exporter| {
            exporter["encoding"] = json!(encoding);
            exporter["compression"] = json!("none");
        });
        let mut config = config;
        config["service"]["telemetry"]["metrics"] = json!({
            "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
        });
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        // Each of them is six characters.
        let request = otlp::span([("text", otlp::text("\u{1}".repeat(SIZE)))]);
        let before = backend.received().len();
        let sent = tokio::spawn(async move { sender.send(Signal::Traces, &request).await });
        backend.arrived(before + 1).await;
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        let taken = metrics.count("slimspan_memory_in_flight_bytes", &[]) as usize;
        let least = if encoding == "json" {
            8 * SIZE
        } else {
            2 * SIZE
        };
        assert!((least..=most).contains(&taken), "{encoding}: {taken}");
        slimspan.kill().await;
        sent.await.unwrap().unwrap_err();
    }
}

/// JSON cannot hold what is no UTF-8: that is told, once.
#[tokio::test]
async fn what_json_cannot_hold_is_told() {
    let backend = Backend::start().await;
    let config = with(&backend, |exporter| exporter["encoding"] = json!("json"));
    let mut slimspan = Slimspan::start(&config).await;
    // A field 100 of the request, which OTLP does not have.
    let request = [&otlp::plain_span(1)[..], &[0xa2, 0x06, 1, 7]].concat();
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request.into()).await.unwrap();
    slimspan.logs("JSON cannot hold 1 unknown fields").await;
    assert_eq!(backend.received().len(), 1);
}

/// A signal may have a URL of its own, with a query; the others stay below the endpoint.
#[tokio::test]
async fn a_signal_may_go_elsewhere() {
    // A profile with a field that nobody knows.
    let profiles = (
        Signal::Profiles,
        Bytes::from(nested(&[1, 2, 2, 15], "later")),
    );
    let requests = requests().into_iter().chain([profiles]);
    let requests: Vec<(Signal, Bytes)> = requests.collect();
    for (elsewhere, _) in &requests {
        let (here, there) = (Backend::start().await, Backend::start().await);
        let mut config = with(&here, |exporter| {
            exporter["endpoint"] = json!(format!("http://{}/otlp/", here.address));
            let url = format!("http://{}/in/{elsewhere}?key=a", there.address);
            exporter[format!("{elsewhere}_endpoint")] = json!(url);
        });
        let pipelines = &mut config["service"]["pipelines"];
        pipelines["profiles"] = pipelines["metrics"].clone();
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for (signal, request) in &requests {
            sender.send(*signal, request).await.unwrap();
        }
        let arrived = |backend: &Backend| -> Vec<(String, Bytes)> {
            let received = backend.received().into_iter();
            received.map(|one| (one.path, one.message)).collect()
        };
        let mut below = requests.clone();
        below.retain(|(signal, _)| signal != elsewhere);
        let below = below.into_iter();
        let below =
            below.map(|(signal, request)| (format!("/otlp{}", signal.http_path()), request));
        assert_eq!(arrived(&here), below.collect::<Vec<_>>(), "{elsewhere}");
        let [(path, _)] = <[_; 1]>::try_from(arrived(&there)).unwrap();
        assert_eq!(path, format!("/in/{elsewhere}?key=a"));
        let ended = slimspan.stop().await;
        assert!(
            !format!("{ended:?}").contains("key=a"),
            "it may be a secret"
        );
    }
}

/// Over TLS it is HTTP/2, by the host of the endpoint or by another name.
#[tokio::test]
async fn tls_brings_http2() {
    for (name, server_name) in [("127.0.0.1", None), ("backend.test", Some("backend.test"))] {
        let (backend, certificate) = backend_called(name).await;
        let config = with(&backend, |exporter| {
            exporter["endpoint"] = json!(format!("https://{}", backend.address));
            exporter["tls"] = json!({ "ca_file": "ca.pem", "server_name_override": server_name });
            exporter["http2_read_idle_timeout"] = json!("10s");
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate).unwrap();
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let request = otlp::sized_span(300_000);
        sender.send(Signal::Traces, &request).await.unwrap();
        let [received] = <[_; 1]>::try_from(backend.received()).unwrap();
        assert_eq!(
            (received.version, received.message),
            (Version::HTTP_2, request)
        );
    }
}

/// Where HTTP/2 is not wanted it is not offered, to a backend that has both.
#[tokio::test]
async fn http2_is_not_offered_where_it_is_switched_off() {
    for (wanted, version) in [(true, Version::HTTP_2), (false, Version::HTTP_11)] {
        let authority = Authority::new();
        let issued = authority.issue("127.0.0.1");
        let backend = Backend::start().await;
        let front = speaking_both(&issued, backend.address).await;
        let config = with(&backend, |exporter| {
            exporter["endpoint"] = json!(format!("https://{front}"));
            exporter["tls"] = json!({ "ca_file": "ca.pem" });
            exporter["force_attempt_http2"] = json!(wanted);
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let request = otlp::sized_span(300_000);
        sender.send(Signal::Traces, &request).await.unwrap();
        let [received] = <[_; 1]>::try_from(backend.received()).unwrap();
        assert_eq!((received.version, received.message), (version, request));
    }
}

/// A host among the headers is the only one that a backend is told, also one that has HTTP/2, where it would stand
/// beside that of the endpoint.
#[tokio::test]
async fn a_backend_is_told_one_host() {
    let authority = Authority::new();
    let issued = authority.issue("127.0.0.1");
    let backend = Backend::start().await;
    let front = speaking_both(&issued, backend.address).await;
    for (host, version, expected) in [
        ("otlp.example.com", Version::HTTP_11, "otlp.example.com"),
        ("", Version::HTTP_2, &*front.to_string()),
    ] {
        let config = with(&backend, |exporter| {
            exporter["endpoint"] = json!(format!("https://{front}"));
            exporter["tls"] = json!({ "ca_file": "ca.pem" });
            exporter["headers"] = json!({ "Host": host });
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let request = otlp::plain_span(1);
        sender.send(Signal::Traces, &request).await.unwrap();
        let received = backend.received().pop().unwrap();
        let hosts = received.headers.get_all("host").into_iter();
        let hosts = hosts.map(|host| host.to_str().unwrap().to_owned());
        let told: Vec<String> = received.authority.into_iter().chain(hosts).collect();
        assert_eq!(
            (received.version, told),
            (version, vec![expected.to_owned()])
        );
    }
}

/// A backend that nobody vouches for gets nothing.
#[tokio::test]
async fn a_backend_that_is_not_trusted_gets_nothing() {
    let (backend, _) = backend_called("127.0.0.1").await;
    let (_, other_certificate) = backend_called("127.0.0.1").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), other_certificate).unwrap();
    let config = with(&backend, |exporter| {
        exporter["endpoint"] = json!(format!("https://{}", backend.address));
        exporter["tls"] = json!({ "ca_file": "ca.pem" });
    });
    let slimspan = Slimspan::start_in(folder, &config).await;
    let sender = slimspan.sender().await;
    let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    let status = refused.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    assert!(status.message().contains("certificate"), "{status}");
    assert!(backend.received().is_empty());
}

/// A proxy is asked for what is plain, and for a tunnel to what is not; its password is told nobody
/// else.
#[tokio::test]
async fn a_proxy_is_used_for_both_schemes() {
    let plain = Backend::start().await;
    let (protected, certificate) = backend_called("127.0.0.1").await;
    for (backend, scheme, first) in [
        (
            &plain,
            "http",
            format!("POST http://{}/v1/traces", plain.address),
        ),
        (
            &protected,
            "https",
            format!("CONNECT {}", protected.address),
        ),
    ] {
        let proxy = ForwardProxy::start().await;
        let config = with(backend, |exporter| {
            exporter["endpoint"] = json!(format!("{scheme}://{}", backend.address));
            exporter["proxy_url"] = json!(format!("http://me:hunter2@{}", proxy.address));
            if scheme == "https" {
                exporter["tls"] = json!({ "ca_file": "ca.pem" });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &certificate).unwrap();
        let slimspan = Slimspan::start_in(folder, &config).await;
        let request = otlp::plain_span(1);
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &request).await.unwrap();
        assert_eq!(backend.only(), request);
        let [head] = <[_; 1]>::try_from(proxy.heads()).unwrap();
        assert!(head.starts_with(&first), "{head}");
        let credentials = "proxy-authorization: Basic bWU6aHVudGVyMg==";
        assert!(
            head.to_lowercase().contains(&credentials.to_lowercase()),
            "{head}"
        );
        let ended = slimspan.stop().await;
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    }
}

/// So is a proxy that knows nothing of HTTP. With `socks5` hosts are looked up here, with `socks5h` by the proxy.
#[tokio::test]
async fn a_socks_proxy_is_used_for_both_schemes() {
    const ELSEWHERE: &str = "backend.test";
    let plain = Backend::start().await;
    let (protected, certificate) = backend_called("127.0.0.1").await;
    let (called, certificate_of_called) = backend_called(ELSEWHERE).await;
    let me = Some(("me".to_owned(), "hunter2".to_owned()));
    for (proxy_scheme, credential, backend, scheme, host) in [
        ("socks5", &None, &plain, "http", "127.0.0.1"),
        ("socks5", &me, &plain, "http", "localhost"),
        ("socks5", &me, &protected, "https", "127.0.0.1"),
        ("socks5h", &me, &plain, "http", ELSEWHERE),
        ("socks5h", &None, &called, "https", ELSEWHERE),
    ] {
        let proxy = SocksProxy::start(backend.address).await;
        let before = backend.received().len();
        let port = backend.address.port();
        let config = with(backend, |exporter| {
            let user = credential
                .as_ref()
                .map_or_else(String::new, |(user, password)| {
                    format!("{user}:{password}@")
                });
            exporter["endpoint"] = json!(format!("{scheme}://{host}:{port}"));
            exporter["proxy_url"] = json!(format!("{proxy_scheme}://{user}{}", proxy.address));
            if scheme == "https" {
                exporter["tls"] = json!({ "ca_file": "ca.pem" });
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let trusted = format!("{certificate}{certificate_of_called}");
        std::fs::write(folder.path().join("ca.pem"), trusted).unwrap();
        let slimspan = Slimspan::start_in(folder, &config).await;
        let request = otlp::plain_span(1);
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &request).await.unwrap();
        let received = backend.received();
        assert_eq!(received.len(), before + 1);
        assert_eq!(received[before].message, request);
        let [asked] = <[_; 1]>::try_from(proxy.asked()).unwrap();
        assert_eq!(asked.credential, *credential);
        if proxy_scheme == "socks5" {
            let found: SocketAddr = asked.target.parse().unwrap();
            assert!(found.ip().is_loopback() && found.port() == port, "{found}");
        } else {
            assert_eq!(asked.target, format!("{host}:{port}"));
        }
        let ended = slimspan.stop().await;
        assert!(!format!("{ended:?}").contains("hunter2"), "{ended:?}");
    }
}

/// The proxy of the environment is for backends elsewhere that `NO_PROXY` does not name, and never for one
/// on this machine.
#[tokio::test]
async fn a_proxy_of_the_environment_is_for_what_is_elsewhere() {
    // It is this machine, too, and does not say so.
    const ELSEWHERE: &str = "0.0.0.0";
    const OF_HTTP: &[&str] = &["HTTP_PROXY", "http_proxy"];
    const OF_ALL: &[&str] = &["ALL_PROXY", "all_proxy"];
    for (names, host, exempt, expected) in [
        (OF_HTTP, ELSEWHERE, None, 1),
        (OF_HTTP, ELSEWHERE, Some(ELSEWHERE), 0),
        (OF_HTTP, ELSEWHERE, Some("example.com"), 1),
        (OF_HTTP, "127.0.0.1", None, 0),
        (OF_HTTP, "localhost", None, 0),
        (OF_ALL, ELSEWHERE, None, 1),
        (OF_ALL, ELSEWHERE, Some(ELSEWHERE), 0),
        (OF_ALL, "127.0.0.1", None, 0),
    ] {
        let backend = Backend::start().await;
        let proxy = ForwardProxy::start().await;
        let config = with(&backend, |exporter| {
            exporter["endpoint"] = json!(format!("http://{host}:{}", backend.address.port()));
        });
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let address = format!("http://{}", proxy.address);
        // What the machine of a test has says nothing here.
        let nothing = [OF_HTTP, OF_ALL, &["NO_PROXY", "no_proxy"]].concat();
        let mut env: Vec<(&str, &str)> = nothing.into_iter().map(|name| (name, "")).collect();
        env.extend(names.iter().map(|name| (*name, &*address)));
        env.extend(exempt.map(|exempt| ("no_proxy", exempt)));
        env.extend(exempt.map(|exempt| ("NO_PROXY", exempt)));
        let mut slimspan = Slimspan::spawn_with(folder, &config.to_string(), &env);
        assert!(slimspan.ready().await, "{}", slimspan.stderr());
        let request = otlp::plain_span(1);
        let sender = slimspan.sender().await;
        sender.send(Signal::Traces, &request).await.unwrap();
        assert_eq!(backend.only(), request);
        let heads = proxy.heads();
        assert_eq!(
            heads.len(),
            expected,
            "{names:?}: {host} but for {exempt:?}: {heads:?}"
        );
    }
}

/// What an authenticator adds comes with requests.
#[tokio::test]
async fn an_authenticator_is_asked() {
    let backend = Backend::start().await;
    let mut config = with(&backend, |exporter| {
        exporter["auth"] = json!({ "authenticator": "bearertokenauth" });
    });
    config["extensions"]["bearertokenauth"] = json!({ "token": "hunter2" });
    config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    sent.unwrap();
    let received = backend.received().pop().unwrap();
    assert_eq!(received.headers["authorization"], "Bearer hunter2");
}

/// A balancer finds the same backend again by its cookie, if it is told to.
#[tokio::test]
async fn cookies_come_back_where_they_are_enabled() {
    for enabled in [true, false] {
        let backend = Backend::replying_with(|_| {
            let mut response = http::Response::new(tonic::body::Body::empty());
            let cookie = http::HeaderValue::from_static("route=a; Path=/");
            response.headers_mut().insert("set-cookie", cookie);
            Reply::Raw(response)
        })
        .await;
        let config = with(&backend, |exporter| {
            exporter["cookies"] = json!({ "enabled": enabled });
        });
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for _ in 0..2 {
            let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
            sent.unwrap();
        }
        let cookies: Vec<_> = backend
            .received()
            .iter()
            .map(|one| one.headers.get("cookie").cloned())
            .collect();
        let second = enabled.then(|| http::HeaderValue::from_static("route=a"));
        assert_eq!(cookies, [None, second]);
    }
}

/// Connections are kept, unless each request is to have its own.
#[tokio::test]
async fn connections_are_kept_or_not() {
    for kept in [true, false] {
        let backend = Backend::start().await;
        let network = Proxy::start(backend.address).await;
        let config = with(&backend, |exporter| {
            exporter["endpoint"] = json!(format!("http://{}", network.address));
            exporter["disable_keep_alives"] = json!(!kept);
        });
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        for _ in 0..10 {
            let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
            sent.unwrap();
        }
        // One is free a moment after its answer has been read, and another request may come before that.
        let connections = network.connections();
        let expected = if kept { 1..=4 } else { 10..=10 };
        assert!(expected.contains(&connections), "{connections}");
    }
}

/// No more connections than there may be, and all requests arrive.
#[tokio::test]
async fn connections_have_a_limit() {
    let backend = Backend::start().await;
    let network = Proxy::start(backend.address).await;
    // Slow, so that all are under way at once.
    network.set(Conditions {
        latency: std::time::Duration::from_millis(50),
        ..Default::default()
    });
    let config = with(&backend, |exporter| {
        exporter["endpoint"] = json!(format!("http://{}", network.address));
        exporter["max_conns_per_host"] = json!(2);
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let sends = (0..12).map(|number| {
        let sender = sender.clone();
        async move { sender.send(Signal::Traces, &otlp::plain_span(number)).await }
    });
    for sent in futures::future::join_all(sends).await {
        sent.unwrap();
    }
    assert_eq!(backend.received().len(), 12);
    // Twelve without a limit. One that was used is kept from a moment after its answer on, and another request may
    // take its place before that, with a connection of its own.
    let connections = network.connections();
    assert!((2..=6).contains(&connections), "{connections}");
}

/// Of connections that carry nothing, so many are kept as may be.
#[tokio::test]
async fn idle_connections_have_a_limit() {
    let gate = Arc::new(Semaphore::new(0));
    let backend = Backend::gated(&gate).await;
    let network = Proxy::start(backend.address).await;
    let config = with(&backend, |exporter| {
        exporter["endpoint"] = json!(format!("http://{}", network.address));
        exporter["max_idle_conns"] = json!(1);
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let send = |number| {
        let sender = sender.clone();
        async move { sender.send(Signal::Traces, &otlp::plain_span(number)).await }
    };
    let sends = futures::future::join_all((0..4).map(send));
    let (answers, ()) = futures::join!(sends, async {
        // Each has a connection of its own: none is answered yet.
        backend.arrived(4).await;
        gate.add_permits(5);
    });
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    network.left_open(1).await;
    send(5).await.unwrap();
    assert_eq!(network.connections(), 4);
}

/// And for so long.
#[tokio::test]
async fn idle_connections_end() {
    let backend = Backend::start().await;
    let network = Proxy::start(backend.address).await;
    let config = with(&backend, |exporter| {
        exporter["endpoint"] = json!(format!("http://{}", network.address));
        exporter["idle_conn_timeout"] = json!("300ms");
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for connections in 1..=2 {
        let sent = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        sent.unwrap();
        network.left_open(0).await;
        assert_eq!(network.connections(), connections);
    }
}

/// A connection on which nothing comes back is given up while its sender still waits, who hears nothing of it.
#[tokio::test]
async fn a_connection_that_answers_no_ping_is_given_up() {
    let (backend, certificate) = backend_called("127.0.0.1").await;
    let network = Proxy::start(backend.address).await;
    let config = with(&backend, |exporter| {
        exporter["endpoint"] = json!(format!("https://{}", network.address));
        exporter["tls"] = json!({ "ca_file": "ca.pem" });
        exporter["http2_read_idle_timeout"] = json!("200ms");
        exporter["http2_ping_timeout"] = json!("1s");
        exporter["timeout"] = json!("1h");
        exporter["retry_on_failure"] = json!({ "initial_interval": "1ms" });
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), certificate).unwrap();
    let slimspan = Slimspan::start_in(folder, &config).await;
    let sender = slimspan.sender().await;
    let request = otlp::plain_span(1);
    sender.send(Signal::Traces, &request).await.unwrap();
    let before = network.connections();
    network.set(Conditions {
        silent: true,
        ..Conditions::default()
    });
    let (sent, ()) = futures::join!(sender.send(Signal::Traces, &request), async {
        network.connected(before + 1).await;
        network.set(Conditions::default());
    });
    sent.unwrap();
}

/// Somebody who takes the protection off that has this certificate, in front of a backend: it speaks HTTP/2
/// and HTTP/1.1, as most servers do. Its address.
async fn speaking_both(issued: &Issued, backend: SocketAddr) -> SocketAddr {
    let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut here = acceptor.accept(stream).await.unwrap();
                let mut there = TcpStream::connect(backend).await.unwrap();
                let _ = copy_bidirectional(&mut here, &mut there).await;
            });
        }
    });
    address
}

/// A backend with a certificate for `name`, and whom to trust for it.
async fn backend_called(name: &str) -> (Backend, String) {
    let authority = Authority::new();
    let issued = authority.issue(name);
    let identity = Identity::from_pem(&issued.certificate, &issued.key);
    let tls = ServerTlsConfig::new().identity(identity);
    (Backend::with_tls(tls).await, authority.pem())
}
