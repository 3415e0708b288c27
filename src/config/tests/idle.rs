//! What a Collector takes and what does nothing here, because another key switches it off: it is taken, and told at
//! the start.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use crate::config::{Config, ExporterConfig};

/// A configuration, and what is told of it.
fn read(text: &str) -> (Config, Vec<String>) {
    super::schema::accepts(text);
    let read = Config::parse(text, "c.yaml", |_| None);
    let (config, told) = read.unwrap_or_else(|errors| panic!("{text}: {errors}"));
    (config, told.iter().map(ToString::to_string).collect())
}

/// The same of one with this exporter.
fn exporter(body: &str) -> (Config, Vec<String>) {
    let id = body.split(':').next().unwrap();
    read(&format!(
        "receivers: {{otlp: }}\nexporters:\n  {body}\nservice:\n  pipelines: {{traces: {{receivers: [otlp], \
         exporters: [{id}]}}}}\n"
    ))
}

const PLAIN: &str = "does nothing with http://, which is plain text: use https:// for TLS";
const INSECURE: &str = "does nothing with insecure: true, which is plain text: remove that for TLS";
const ENCRYPTED: &str =
    "does nothing with https://, which is TLS whatever stands here: use http:// for plain text";
const TRUSTING: &str =
    "does nothing with ca_file or ca_pem, which are for TLS: remove these for plain text";
const ALONE: &str = "does nothing with disable_keep_alives: true, with which no connection is kept";
const OVER_HTTP_1: &str =
    "does nothing with force_attempt_http2: false, with which all goes over HTTP/1.1";
const ONE_HOST: &str = "have a host, which is the only one that the backend is told: all goes over HTTP/1.1, because \
                        HTTP/2 has another place for the one of the endpoint";
const UNASKED: &str =
    "does nothing without http2_read_idle_timeout: no connection is asked whether it is there";
const NO_LEVELS: &str = "does nothing with snappy, which has no levels";

const LIKE_NO_COLLECTOR: &str = "is plain text, as its http:// says, where a Collector speaks TLS: write tls: {insecure: \
                                 true}, too, or https://";

/// Exporters, and which of their keys do nothing, and why.
const IDLE: &[(&str, &[(&str, &str)])] = &[
    (
        "otlp: {endpoint: http://host:4317}",
        &[("endpoint", LIKE_NO_COLLECTOR)],
    ),
    (
        "otlp: {endpoint: http://host:4317, tls: {insecure: true}}",
        &[],
    ),
    (
        "otlphttp: {endpoint: http://phoenix:6006, tls: {insecure: true, insecure_skip_verify: true}}",
        &[("tls.insecure_skip_verify", PLAIN)],
    ),
    (
        "otlp_http: {endpoint: http://host, tls: {ca_file: ca.pem, min_version: \"1.3\", reload_interval: 1h, \
         server_name_override: 10.0.0.7}}",
        &[
            ("tls.server_name_override", PLAIN),
            ("tls.ca_file", PLAIN),
            ("tls.min_version", PLAIN),
            ("tls.reload_interval", PLAIN),
        ],
    ),
    (
        "otlp_http: {endpoint: http://host, tls: {cert_pem: a, key_pem: b, max_version: \"1.3\", \
         include_system_ca_certs_pool: true, cipher_suites: [TLS_AES_128_GCM_SHA256], curve_preferences: [X25519]}}",
        &[
            ("tls.cert_pem", PLAIN),
            ("tls.key_pem", PLAIN),
            ("tls.include_system_ca_certs_pool", PLAIN),
            ("tls.max_version", PLAIN),
            ("tls.cipher_suites", PLAIN),
            ("tls.curve_preferences", PLAIN),
        ],
    ),
    (
        "otlp_http: {endpoint: http://host, tls: {insecure: true}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: http://host, logs_endpoint: https://host, tls: {insecure: true, ca_file: ca.pem}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: https://host, tls: {insecure: true, ca_file: ca.pem}}",
        &[("tls.insecure", ENCRYPTED)],
    ),
    (
        "otlp: {endpoint: \"https://host\", tls: {insecure: true, ca_file: ca.pem}}",
        &[("tls.insecure", ENCRYPTED)],
    ),
    (
        "otlp: {endpoint: \"http://host:4317\", tls: {insecure_skip_verify: true, cert_file: a, key_file: b}}",
        &[
            ("endpoint", LIKE_NO_COLLECTOR),
            ("tls.insecure_skip_verify", PLAIN),
            ("tls.cert_file", PLAIN),
            ("tls.key_file", PLAIN),
        ],
    ),
    (
        "otlp_grpc: {endpoint: \"host:4317\", tls: {insecure: true, ca_file: ca.pem}}",
        &[("tls.insecure", TRUSTING)],
    ),
    (
        "otlp_grpc: {endpoint: \"host:4317\", tls: {insecure: true, insecure_skip_verify: true}}",
        &[("tls.insecure_skip_verify", INSECURE)],
    ),
    (
        "otlp_grpc: {endpoint: \"host:4317\", tls: {ca_file: ca.pem}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: https://host, force_attempt_http2: false, http2_read_idle_timeout: 5s, \
         http2_ping_timeout: 5s}",
        &[
            ("http2_read_idle_timeout", OVER_HTTP_1),
            ("http2_ping_timeout", OVER_HTTP_1),
        ],
    ),
    (
        "otlp_http: {endpoint: http://host, http2_read_idle_timeout: 5s}",
        &[(
            "http2_read_idle_timeout",
            "does nothing with http://, which is HTTP/1.1",
        )],
    ),
    (
        "otlp_http: {endpoint: https://host, http2_ping_timeout: 5s}",
        &[("http2_ping_timeout", UNASKED)],
    ),
    (
        "otlp_http: {endpoint: https://host, http2_read_idle_timeout: 5s, http2_ping_timeout: 5s}",
        &[],
    ),
    (
        "otlp_http: {endpoint: https://host, headers: {Host: other}, http2_read_idle_timeout: 5s}",
        &[
            ("headers", ONE_HOST),
            (
                "http2_read_idle_timeout",
                "does nothing with a host among the headers, with which all goes over HTTP/1.1",
            ),
        ],
    ),
    (
        "otlp_http: {endpoint: https://host, headers: [{name: host, value: \"\"}], http2_read_idle_timeout: 5s}",
        &[],
    ),
    (
        "otlp_http: {endpoint: http://host, headers: {Host: other}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: https://host, force_attempt_http2: false, headers: {Host: other}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: https://host, disable_keep_alives: true, max_idle_conns: 5, \
         max_idle_conns_per_host: 5, idle_conn_timeout: 5s}",
        &[
            ("max_idle_conns", ALONE),
            ("max_idle_conns_per_host", ALONE),
            ("idle_conn_timeout", ALONE),
        ],
    ),
    (
        "otlp_http: {endpoint: http://host, compression: none, compression_params: {level: 12}}",
        &[(
            "compression_params.level",
            "does nothing with compression: none",
        )],
    ),
    (
        "otlp_http: {endpoint: http://host, compression: x-snappy-framed, compression_params: {level: 1}}",
        &[("compression_params.level", NO_LEVELS)],
    ),
    (
        "otlp_http: {endpoint: http://host, compression: lz4, compression_params: {level: 1}}",
        &[(
            "compression_params.level",
            "does nothing with lz4, which has no levels",
        )],
    ),
    (
        "otlp_http: {endpoint: http://host, compression: zstd, compression_params: {level: 22}}",
        &[(
            "compression_params.level",
            "means 19 here: what higher levels make takes more memory to read than every backend has for it",
        )],
    ),
    (
        "otlp_http: {endpoint: http://host, compression: zstd, compression_params: {level: 19}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: http://host, headers: {Content-Type: \"Application/X-Protobuf \"}}",
        &[],
    ),
    (
        "otlp_http: {endpoint: http://host, encoding: json, headers: {content-type: application/json}}",
        &[],
    ),
];

#[test]
fn what_another_key_switches_off_is_taken_and_told() {
    for (body, keys) in IDLE {
        let (_, told) = exporter(body);
        let id = body.split(':').next().unwrap();
        let expected = keys
            .iter()
            .map(|(key, why)| format!("c.yaml:3: exporters.{id}.{key}: {why}"));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{body}");
    }
}

/// The levels that zstd has and that go out as another are no others than those that are told.
#[test]
fn the_level_that_is_told_is_the_one_that_is_used() {
    for (level, used) in [
        ("9", 9),
        ("19", 19),
        ("20", 19),
        ("22", 19),
        ("-1", 1),
        ("0", 1),
    ] {
        let (config, told) = exporter(&format!(
            "otlp_http: {{endpoint: http://host, compression: zstd, compression_params: {{level: {level}}}}}"
        ));
        let Some(ExporterConfig::OtlpHttp(http)) = config.exporters.values().next() else {
            panic!("{config:?}");
        };
        assert_eq!(http.level(), used, "{level}");
        assert_eq!(told.is_empty(), level == used.to_string(), "{told:?}");
    }
}

/// There is one limit for all requests, wherever a limiter stands.
#[test]
fn a_memory_limiter_may_stand_anywhere() {
    const WHY: &str = "counts as if it stood first: there is one limit for all requests, and each is charged before \
                       it is read";
    let (_, told) = read(
        "receivers: {otlp: }\nprocessors: {batch: , memory_limiter: , memory_limiter/b: }\nexporters: {debug: }\n\
         service:\n  pipelines:\n    \
         traces: {receivers: [otlp], processors: [batch, memory_limiter], exporters: [debug]}\n    \
         logs: {receivers: [otlp], processors: [memory_limiter, batch], exporters: [debug]}\n    \
         metrics: {receivers: [otlp], processors: [memory_limiter, memory_limiter/b], exporters: [debug]}\n",
    );
    assert_eq!(
        told,
        [
            format!("c.yaml:6: service.pipelines.traces.processors[1]: {WHY}"),
            format!("c.yaml:8: service.pipelines.metrics.processors[1]: {WHY}"),
        ]
    );
}

/// As in the Collector, a limit in MiB comes before one in percent, and either has a part of its own kind.
#[test]
fn what_is_written_of_a_limit_that_does_not_hold_is_told() {
    const PERCENTAGE: (&str, &str) = (
        "limit_percentage",
        "does nothing beside limit_mib, which comes first",
    );
    const PART_IN_MIB: (&str, &str) = (
        "spike_limit_mib",
        "does nothing with a limit in percent: spike_limit_percentage is the part of that",
    );
    const PART_IN_PERCENT: (&str, &str) = (
        "spike_limit_percentage",
        "does nothing with a limit in MiB: spike_limit_mib is the part of that",
    );
    for (keys, idle) in [
        (
            "{limit_mib: 600, limit_percentage: 80, spike_limit_percentage: 25}",
            &[PERCENTAGE, PART_IN_PERCENT][..],
        ),
        (
            "{limit_percentage: 80, spike_limit_mib: 100}",
            &[PART_IN_MIB],
        ),
        ("{spike_limit_percentage: 25}", &[PART_IN_PERCENT]),
        ("{limit_mib: 600, spike_limit_percentage: 0}", &[]),
        ("{limit_mib: 600, spike_limit_mib: 100}", &[]),
        ("{limit_percentage: 80, spike_limit_percentage: 25}", &[]),
    ] {
        let (config, told) = read(&format!(
            "receivers: {{otlp: }}\nprocessors:\n  memory_limiter: {keys}\nexporters: {{debug: }}\nservice:\n  \
             pipelines: {{traces: {{receivers: [otlp], processors: [memory_limiter], exporters: [debug]}}}}\n"
        ));
        let expected = idle
            .iter()
            .map(|(key, why)| format!("c.yaml:3: processors.memory_limiter.{key}: {why}"));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{keys}");
        // What is printed says the same.
        let printed = Config::exposed(|| serde_saphyr::to_string(&config.printed()).unwrap());
        let (again, told) = read(&printed);
        assert_eq!(again.processors, config.processors, "{printed}");
        let told = told.iter().filter(|told| told.contains("_limit"));
        assert_eq!(told.count(), idle.len(), "{printed}");
    }
}

/// As in the Collector, which warns of the first of these.
#[test]
fn what_pages_may_do_is_told_where_none_may_send() {
    const WHY: &str = "does nothing without allowed_origins: no page of another origin may send";
    for (cors, keys) in [
        (
            "{allowed_headers: [x-tenant], exposed_headers: [retry-after], max_age: 60}",
            &["allowed_headers", "exposed_headers", "max_age"][..],
        ),
        (
            "{allowed_origins: [], allowed_headers: [\"*\"]}",
            &["allowed_headers"],
        ),
        (
            "{allowed_origins: [\"https://*.example.com\"], allowed_headers: [x-tenant], max_age: 60}",
            &[],
        ),
        ("{}", &[]),
    ] {
        let (_, told) = read(&format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        cors: {cors}\nexporters: {{debug: }}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
        ));
        let expected = keys
            .iter()
            .map(|key| format!("c.yaml:5: receivers.otlp.protocols.http.cors.{key}: {WHY}"));
        assert_eq!(told, expected.collect::<Vec<_>>(), "{cors}");
    }
}

/// As in the Collector, a file comes first.
#[test]
fn a_user_beside_a_file_is_told() {
    let (_, told) = read(
        "receivers: {otlp: }\nexporters: {debug: }\nextensions:\n  basicauth:\n    client_auth:\n      username: ada\n      \
         username_file: ./name\n      password: canary\n      password_file: ./password\n  basicauth/b: {client_auth: \
         {username: \"\", username_file: ./name, password: \"\", password_file: ./password}}\n  \
         basicauth/c: {client_auth: {username: ada, username_file: \"\", password: canary}}\n\
         service:\n  extensions: [basicauth, basicauth/b, basicauth/c]\n  \
         pipelines: {traces: {receivers: [otlp], exporters: [debug]}}\n",
    );
    assert_eq!(
        told,
        [
            "c.yaml:6: extensions.basicauth.client_auth.username: does nothing beside username_file, which comes first",
            "c.yaml:8: extensions.basicauth.client_auth.password: does nothing beside password_file, which comes first",
        ]
    );
}
