//! TLS to the backend.

use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;
use tonic::transport::Identity;

use crate::support::backend::Backend;
use crate::support::sender::retry_after;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp};

/// A certificate for `name` that signs itself, and a backend that has it.
async fn backend_called(name: &str) -> (Backend, String) {
    let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = signed.cert.pem();
    let identity = Identity::from_pem(&certificate, signed.signing_key.serialize_pem());
    (Backend::with_tls(identity).await, certificate)
}

/// A certificate that is trusted is enough, by the host of the endpoint or by another name.
#[tokio::test]
async fn a_trusted_backend_gets_requests() {
    for (name, server_name) in [("127.0.0.1", None), ("backend.test", Some("backend.test"))] {
        let (backend, certificate) = backend_called(name).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate).unwrap();
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["tls"] =
            json!({ "ca_file": "ca.pem", "server_name_override": server_name });
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let request = otlp::plain_span(1);
        sender.send(Signal::Traces, &request).await.unwrap();
        assert_eq!(backend.only(), request);
    }
}

/// A backend that nobody vouches for, or with the certificate of another, gets nothing; nor does
/// one without TLS, unless the configuration says that it has none.
#[tokio::test]
async fn a_backend_that_is_not_trusted_gets_nothing() {
    let (stranger, _) = backend_called("127.0.0.1").await;
    let (other, other_certificate) = backend_called("backend.test").await;
    let plain = Backend::start().await;
    for (backend, ca_file, says) in [
        (&stranger, None, "certificate"),
        (&other, Some("ca.pem"), "certificate"),
        (&plain, None, "https://"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &other_certificate).unwrap();
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["tls"] = json!({ "ca_file": ca_file });
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let refused = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        assert!(retry_after(&status).is_some(), "{status}");
        assert!(status.message().contains(says), "{status}");
        assert!(backend.received().is_empty());
    }
}

/// A mistake in the file is told at the start, not at the first request.
#[tokio::test]
async fn a_ca_file_that_is_missing_or_none_ends_the_start() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage.pem");
    std::fs::write(&garbage, "no certificate").unwrap();
    for (ca_file, says) in [
        (folder.path().join("missing.pem"), "missing.pem"),
        (garbage, "exporters.otlp_grpc.tls.ca_file"),
    ] {
        let mut config = config::standard(backend.address);
        config["exporters"]["otlp_grpc"]["tls"] = json!({ "ca_file": ca_file });
        let file = folder.path().join("collector.yaml");
        std::fs::write(&file, config.to_string()).unwrap();
        let ended = run(folder.path(), &["--config", "collector.yaml"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
}
