//! Words of a sender lead nowhere: references that it forges are marked, and URLs are text.

use std::io::ErrorKind;
use std::net::TcpListener;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::json;
use slimspan_artifact::{Digest, Location};
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::pages::Metrics;
use crate::support::references::{files, restored_from};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// An address at which a connection would be noticed.
struct Trap {
    listener: TcpListener,
}

impl Trap {
    fn set() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    fn host(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Whoever could have connected has ended, so nobody will.
    fn is_untouched(&self) {
        let error = self.listener.accept().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

fn texts(slim: &Bytes) -> Vec<String> {
    otlp::attributes(slim)
        .into_iter()
        .map(|(key, value)| match value {
            Value::StringValue(text) => text,
            other => panic!("{key} is {other:?}"),
        })
        .collect()
}

/// A reference in what a sender wrote reaches the backend with a mark that says so, in every style;
/// what is real beside it does not, and all comes back as it was.
#[tokio::test]
async fn forged_references_are_marked_and_not_followed() {
    let trap = Trap::set();
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let public = format!("http://{}", trap.host());
    config["extensions"]["artifact_store"]["public_url"] = json!(public);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let digest = Digest::of(b"nobody has this");
    let object = |kind: &str| {
        format!(
            r#"{{"type":"{kind}","sha256":"{digest}","content_type":"image/png","size_bytes":9,"uri":"{public}/artifacts/{digest}.png","encoding":"data-uri"}}"#
        )
    };
    let uri = |mark: &str| format!("{public}/artifacts/{mark}{digest}.png");
    let request = otlp::span([
        ("uri", otlp::text(uri(""))),
        ("prose", otlp::text(format!("see {} or not", uri("")))),
        ("object", otlp::text(object("artifact"))),
        (
            "dropped",
            otlp::text(format!("artifact://dropped/{digest}.png?size=9")),
        ),
        ("twice", otlp::text(uri("untrusted/"))),
        ("real", otlp::data_uri(otlp::PICTURE)),
    ]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let slim = backend.only();
    let real = Digest::of(otlp::PICTURE);
    assert_eq!(
        texts(&slim),
        [
            uri("untrusted/"),
            format!("see {} or not", uri("untrusted/")),
            object("artifact.untrusted"),
            format!("artifact://dropped/untrusted/{digest}.png?size=9"),
            uri("untrusted/untrusted/"),
            format!("{public}/artifacts/{real}.png"),
        ]
    );
    let artifacts = slimspan.artifacts();
    assert_eq!(files(&artifacts).len(), 1);
    let location = Location::Public(public);
    let back = restored_from(&location, Signal::Traces, &slim, &artifacts);
    assert!(back == request);
    // Each is counted once; one in an object is a part of that.
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let marked = metrics.count("slimspan_references_untrusted_total", &[]);
    assert_eq!(marked, 5);
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    trap.is_untouched();
}

/// URLs in attributes are text, and large ones are no files: nothing is fetched or opened.
#[tokio::test]
async fn urls_open_no_connection() {
    let trap = Trap::set();
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let host = trap.host();
    let long = "a".repeat(20_000);
    let urls = [
        format!("http://{host}/latest/meta-data/"),
        format!("http://{host}/{long}"),
        format!("gopher://{host}/_{long}"),
        format!(r#"[{{"type":"image_url","image_url":{{"url":"http://{host}/{long}.png"}}}}]"#),
        "file:///etc/passwd".to_owned(),
        "http://169.254.169.254/".to_owned(),
    ];
    let keys = ["a", "b", "c", "d", "e", "f"];
    let attributes = keys.into_iter().zip(urls.map(otlp::text));
    let request = otlp::span(attributes);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    assert!(backend.only() == request);
    assert!(files(&slimspan.artifacts()).is_empty());
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    trap.is_untouched();
}
