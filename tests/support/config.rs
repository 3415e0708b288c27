//! Configurations. They are JSON, which is YAML, so that a test changes what it is about:
//! `config["exporters"]["otlp_grpc"]["timeout"] = json!("500ms")`.

use std::net::SocketAddr;

use serde_json::{Value, json};

/// All signals to one backend, files of traces and logs into a folder beside the configuration.
pub(crate) fn standard(backend: SocketAddr) -> Value {
    json!({
        "receivers": { "otlp": { "protocols": { "grpc": { "endpoint": "127.0.0.1:0" } } } },
        "processors": {
            "memory_limiter": {},
            "artifact": { "store": "artifact_store" },
        },
        "exporters": { "otlp_grpc": exporter(backend) },
        "extensions": {
            // Tests look at what is in the store, and this is not what they are about.
            "artifact_store": { "url": "./artifacts", "catalog": { "enabled": false } },
        },
        "service": {
            // Its port is for one slimspan at a time.
            "telemetry": { "metrics": { "level": "none" } },
            "extensions": ["artifact_store"],
            "pipelines": {
                "traces": with_artifacts(),
                "logs": with_artifacts(),
                "metrics": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter"],
                    "exporters": ["otlp_grpc"],
                },
            },
        },
    })
}

/// The standard one with an HTTP listener beside the gRPC one.
pub(crate) fn with_http(backend: SocketAddr) -> Value {
    let mut config = standard(backend);
    config["receivers"]["otlp"]["protocols"]["http"] = json!({ "endpoint": "127.0.0.1:0" });
    config
}

/// That one over TLS, with `server.pem` and `server.key` beside the configuration, for those who have the
/// token.
pub(crate) fn with_tls_and_token(backend: SocketAddr, token: &str) -> Value {
    let mut config = with_http(backend);
    config["extensions"]["bearertokenauth"] = json!({ "token": token });
    config["service"]["extensions"] = json!(["artifact_store", "bearertokenauth"]);
    for listener in ["grpc", "http"] {
        let listener = &mut config["receivers"]["otlp"]["protocols"][listener];
        listener["tls"] = json!({ "cert_file": "server.pem", "key_file": "server.key" });
        listener["auth"] = json!({ "authenticator": "bearertokenauth" });
    }
    config
}

/// Has it tell what it counts, on a port that the system chooses.
pub(crate) fn tell_metrics(config: &mut Value) {
    let exporter = json!({ "prometheus": { "port": 0 } });
    config["service"]["telemetry"]["metrics"] =
        json!({ "readers": [{ "pull": { "exporter": exporter } }] });
}

/// Has requests come by HTTP alone.
pub(crate) fn http_only(config: &mut Value) {
    config["receivers"]["otlp"]["protocols"] = json!({ "http": { "endpoint": "127.0.0.1:0" } });
}

/// The standard one with an S3 store at `store`.
pub(crate) fn with_s3(backend: SocketAddr, store: SocketAddr) -> Value {
    let mut config = standard(backend);
    config["extensions"]["artifact_store"] = json!({
        "url": "s3://media/x",
        "timeout": "1s",
        "catalog": { "enabled": false },
        "options": {
            "aws_endpoint": format!("http://{store}"),
            "aws_allow_http": "true",
            "aws_access_key_id": "access",
            "aws_secret_access_key": "secret",
            "aws_region": "us-east-1",
        },
    });
    config
}

/// The standard one with an exporter over HTTP.
pub(crate) fn over_http(backend: SocketAddr) -> Value {
    let text = standard(backend)
        .to_string()
        .replace("otlp_grpc", "otlp_http");
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["exporters"]["otlp_http"] = json!({
        "endpoint": format!("http://{backend}"),
        "retry_on_failure": { "enabled": false },
    });
    config
}

/// An exporter without TLS, and without retries: most tests ask what comes of one attempt.
pub(crate) fn exporter(backend: SocketAddr) -> Value {
    json!({
        "endpoint": backend.to_string(),
        "tls": { "insecure": true },
        "retry_on_failure": { "enabled": false },
    })
}

fn with_artifacts() -> Value {
    json!({
        "receivers": ["otlp"],
        "processors": ["memory_limiter", "artifact"],
        "exporters": ["otlp_grpc"],
    })
}

/// So many senders connect before any of them sends.
pub(crate) fn expect_at_once(config: &mut Value, senders: usize) {
    let grpc = &mut config["receivers"]["otlp"]["protocols"]["grpc"];
    grpc["max_strangers_per_address"] = json!(senders);
}

/// Sets the largest request.
pub(crate) fn limit_requests(config: &mut Value, mib: u64) {
    let protocols = &mut config["receivers"]["otlp"]["protocols"];
    protocols["grpc"]["max_recv_msg_size_mib"] = json!(mib);
    if protocols.get("http").is_some() {
        protocols["http"]["max_request_body_size"] = json!(format!("{mib}MiB"));
    }
}
