//! No URL of a configuration shows a credential, wherever one may stand and whether one may.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crate::config::{Config, Sources};

const CANARY: &str = "c4n4ry";

/// Keys, what stands before and behind a URL there, and URLs.
const URLS: &[(&str, &str, &str, &[&str])] = &[
    (
        "receivers::otlp::protocols::grpc::endpoint",
        "",
        "",
        &["c4n4ry@127.0.0.1:4317", "127.0.0.1:4317?key=c4n4ry"],
    ),
    (
        "exporters::otlp_grpc::endpoint",
        "",
        "",
        &[
            "https://me:c4n4ry@host:1",
            "c4n4ry@host:1",
            "http://host:4317/v1/traces?key=c4n4ry",
        ],
    ),
    (
        "exporters::otlp_http::endpoint",
        "",
        "",
        &["https://me:c4n4ry@host", "https://host?key=c4n4ry"],
    ),
    (
        "exporters::otlp_http::traces_endpoint",
        "",
        "",
        &["https://host/v1?key=c4n4ry", "https://c4n4ry@host"],
    ),
    (
        "exporters::otlp_http::metrics_endpoint",
        "",
        "",
        &["https://host/v1?key=c4n4ry"],
    ),
    (
        "exporters::otlp_http::logs_endpoint",
        "",
        "",
        &["https://host/v1?key=c4n4ry"],
    ),
    (
        "exporters::otlp_http::profiles_endpoint",
        "",
        "",
        &["https://host/v1?key=c4n4ry"],
    ),
    (
        "exporters::otlp_http::proxy_url",
        "",
        "",
        &["http://me:c4n4ry@proxy:3128", "http://c4n4ry@proxy:3128"],
    ),
    (
        "extensions::artifact_store::url",
        "",
        "",
        &[
            "s3://key:c4n4ry@bucket/a",
            "s3://c4n4ry@bucket",
            "az://container/a?sig=c4n4ry",
            "abfss://container:c4n4ry@account/a",
            "s3://key:c4n4ry@bucket:port?sig=c4n4ry",
        ],
    ),
    (
        "extensions::artifact_store",
        "{url: ./data, public_url: ",
        "}",
        &["https://me:c4n4ry@host", "https://host?key=c4n4ry"],
    ),
    (
        "extensions::artifact_server::public_url",
        "",
        "",
        &["https://c4n4ry@host", "https://host#c4n4ry"],
    ),
    (
        "extensions::artifact_server::pages::public_url",
        "",
        "",
        &["https://c4n4ry@host"],
    ),
    (
        "service::telemetry::metrics::address",
        "",
        "",
        &["c4n4ry@127.0.0.1:8888"],
    ),
    (
        "service::telemetry::traces::processors",
        "[{batch: {exporter: {otlp: {protocol: grpc, endpoint: ",
        "}}}}]",
        &[
            "https://me:c4n4ry@host:1",
            "c4n4ry@host:1",
            "host:1?key=c4n4ry",
            "http://host:4317/v1/traces?key=c4n4ry",
        ],
    ),
    (
        "service::telemetry::traces::processors",
        "[{batch: {exporter: {otlp: {protocol: http/protobuf, endpoint: ",
        "}}}}]",
        &[
            "https://host/v1/traces?key=c4n4ry",
            "https://me:c4n4ry@host",
            "me:c4n4ry@host",
        ],
    ),
];

/// Neither where it is printed nor where it is refused; who asks for secrets is shown them.
#[test]
fn no_url_shows_a_credential() {
    let mut printed = 0;
    for (key, before, behind, urls) in URLS {
        for url in *urls {
            let text = format!("yaml:{key}: {before}'{url}'{behind}");
            let sources = Sources {
                locations: vec![text.clone()],
                settings: Vec::new(),
            };
            if let Err(errors) = Config::load(&sources, |_| None) {
                let errors = errors.to_string();
                assert!(!errors.contains(CANARY), "{text}: {errors}");
            }
            let Ok((config, _)) = Config::load_unchecked(&sources, |_| None) else {
                continue;
            };
            printed += 1;
            let print = || serde_saphyr::to_string(&config.printed()).unwrap();
            let shown = print();
            assert!(!shown.contains(CANARY), "{text}: {shown}");
            assert!(shown.contains("[REDACTED]"), "{text}: {shown}");
            let exposed = Config::exposed(print);
            assert!(exposed.contains(CANARY), "{text}: {exposed}");
        }
    }
    assert!(printed >= 18, "{printed}");
}
