#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use bytesize::ByteSize;

use slimspan_artifact::{Action, BytesValues, Form, Location, MediaTypes, Pattern, Policy, Rule};
use slimspan_proto::Signal;

use crate::config::*;
use crate::exporters::dead_letters::config::DeadLetterConfig;
use crate::exporters::debug::config::{DebugConfig, Verbosity};
use crate::exporters::file::config::{self as file, FileConfig, Format, RotationConfig};
use crate::exporters::otlp_grpc::config::{Compression, KeepaliveConfig, OtlpGrpcConfig};
use crate::exporters::otlp_http;
use crate::exporters::otlp_http::config::{
    CompressionParams, CookiesConfig, Encoding, OtlpHttpConfig,
};
use crate::exporters::queue::config::{
    BatchSizer, PartitionConfig, QueueBatchConfig, QueueConfig, Sizer,
};
use crate::exporters::retry::config::RetryConfig;
use crate::journal::config::FileStorageConfig;
use crate::receivers::otlp::config::{ContentCoding, OtlpReceiverConfig, ServerParameters};
use crate::storage::spool::config::SpoolConfig;
use crate::tls::config::TlsClientConfig;

fn id(text: &str) -> ComponentId {
    text.parse().unwrap()
}

fn parse(text: &str) -> (Config, Vec<Warning>) {
    super::schema::accepts(text);
    let env = |name: &str| (name == "TOKEN").then(|| "0123".to_owned());
    let read = Config::parse(text, "c.yaml", env).unwrap_or_else(|errors| panic!("{errors}"));
    // What is printed of it means the same.
    let printed = Config::exposed(|| serde_saphyr::to_string(&read.0.printed()).unwrap());
    super::schema::accepts(&printed);
    let again = Config::parse(&printed, "printed", |_| None);
    let (mut again, _) = again.unwrap_or_else(|errors| panic!("{errors}\n{printed}"));
    // What a preset has set is written down by then.
    again.presets.clone_from(&read.0.presets);
    assert_eq!(again, read.0, "{printed}");
    read
}

#[test]
fn the_smallest_configuration() {
    let (config, warnings) = parse(
        "receivers: {otlp: }\nexporters: {debug: }\n\
         service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n",
    );
    let otlp = ReceiverConfig::Otlp(OtlpReceiverConfig::default());
    assert_eq!(config.receivers, [(id("otlp"), otlp)].into());
    let debug = ExporterConfig::Debug(DebugConfig::default());
    assert_eq!(config.exporters, [(id("debug"), debug)].into());
    let pipeline = PipelineId {
        signal: Signal::Traces,
        name: None,
    };
    assert_eq!(
        config.service.pipelines.keys().collect::<Vec<_>>(),
        [&pipeline]
    );
    assert_eq!(warnings, []);
}

#[test]
fn every_way_to_ask_for_the_default_receiver() {
    for receiver in [
        "",
        "{}",
        "{protocols: {grpc: , http: }}",
        "{protocols: {grpc: {}, http: {}}}",
    ] {
        let (config, _) = parse(&format!(
            "receivers:\n  otlp: {receiver}\nexporters: {{debug: }}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
        ));
        let otlp = ReceiverConfig::Otlp(OtlpReceiverConfig::default());
        assert_eq!(config.receivers.get(&id("otlp")), Some(&otlp), "{receiver}");
    }
}

/// As in the Collector: what is named is on, and what is not is off.
#[test]
fn a_protocol_is_on_where_it_is_named() {
    for (protocols, grpc, http) in [
        ("{grpc: }", true, false),
        ("{http: }", false, true),
        ("{http: {max_items: 5}}", false, true),
        ("{http: , grpc: {max_items: 5}}", true, true),
    ] {
        let (config, _) = parse(&format!(
            "receivers:\n  otlp: {{protocols: {protocols}}}\nexporters: {{debug: }}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}}}\n"
        ));
        let Some(ReceiverConfig::Otlp(otlp)) = config.receivers.get(&id("otlp")) else {
            panic!("{config:?}");
        };
        let on = (otlp.protocols.grpc.is_some(), otlp.protocols.http.is_some());
        assert_eq!(on, (grpc, http), "{protocols}");
    }
}

#[test]
fn everything_that_can_be_set() {
    let (config, warnings) = parse(
        r#"
receivers:
  otlp/a: {protocols: {grpc: {endpoint: "[::1]:0", transport: tcp, include_metadata: true, max_recv_msg_size_mib: 8, max_concurrent_streams: 1,
    keepalive: {server_parameters: {max_connection_idle: 11s, max_connection_age: 0, max_connection_age_grace: 5m, time: 2h, timeout: 20s}}}}}
  otlp/b:
    protocols:
      http:
        endpoint: localhost:0
        max_request_body_size: 20971520
        max_items: 7
        max_connections: 5
        max_connections_per_address: 2
        max_strangers_per_address: 1
        traces_url_path: /t
        metrics_url_path: /api/m
        logs_url_path: /l/
        compression_algorithms: ["", zstd]
        cors: {allowed_origins: ["https://*.example.com"], allowed_headers: ["*"], exposed_headers: [x-a], max_age: 7200}
        response_headers: {X-Served-By: "${env:TOKEN}"}
        read_header_timeout: 30s
        idle_timeout: 0
        keep_alives_enabled: false
processors:
  memory_limiter/small: {limit_mib: 256, spike_limit_mib: 32, check_interval: 1s}
  artifact/x:
    store: artifact_store/y
    threshold: 1
    text_threshold: 64KiB
    text_preview: 0
    reference: semconv
    bytes_values: text
    media_types: [image/*, "*pdf"]
    exclude_media_types: [Image/SVG+XML]
    deny_keys: ["*.Sealed"]
    dry_run: true
    delivery: background
    on_store_failure: drop
    rules:
    - {attributes: [input.value], action: move}
    - {attributes: ["http.request.body*", b], threshold: 64KiB, text_threshold: 1MiB}
    - {attributes: ["*password*"], action: keep}
    - {attributes: [x], action: drop, threshold: 1}
    tenant: {from_context: metadata.X-Scope-OrgID, from_attribute: tenant.id, default: shared, max_in_flight: 64MiB}
exporters:
  otlp:
    endpoint: https://example.org
    compression: none
    headers: {Authorization: "Bearer ${env:TOKEN}", x-token: "${TOKEN}", x-empty: "${env:NONE:-}"}
    timeout: 1.5s
    retry_on_failure: {enabled: false, initial_interval: 1s, randomization_factor: 0, multiplier: 2, max_interval: 1m, max_elapsed_time: 0}
    sending_queue: {num_consumers: 2, queue_size: 5, sizer: items, block_on_overflow: true, storage: file_storage/q, batch: {flush_timeout: 1s, min_size: 2, max_size: 4000, sizer: bytes, partition: {metadata_keys: [X-Team]}}}
    max_request_bytes: 16MiB
    dead_letters: {directory: null, max_bytes: 1GiB}
    keepalive: {time: 10s, timeout: 1s, permit_without_stream: true}
    authority: backend:4317
    user_agent: mine/1 (a b)
    tls: {insecure: true, include_insecure_cipher_suites: false, ca_file: /ca.pem, server_name_override: backend}
    reference: logfire
    bytes_values: keep
  debug: {verbosity: detailed, bytes_values: text, sampling_initial: 5, sampling_thereafter: 0, output_paths: [stderr, "file:///tmp/shown"]}
extensions:
  file_storage/q: {directory: /var/lib/queue, create_directory: false, directory_permissions: "0750", timeout: 3s, fsync: false, max_bytes: 2GiB, max_damaged_bytes: 3MiB}
  artifact_store/y:
    url: s3://bucket/prefix
    public_url: https://example.com/files/
    timeout: 1m
    max_concurrent_puts: 1
    refresh: 0
    known_digests: 0
    spool: {directory: /var/spool/x, max_bytes: 16MiB, max_bytes_per_tenant: 1MiB, max_damaged_bytes: 4MiB, on_full: drop}
    known_values: 1000
    catalog: {retention: {max_age: 2160h, by_tenant: {acme: 720h, lab: 0}, grace: 1h}}
    options: {aws_region: eu, aws_allow_http: true, aws_secret_access_key: "${env:TOKEN}"}
service:
  extensions: [artifact_store/y, file_storage/q]
  pipelines:
    traces/1: {receivers: [otlp/a], processors: [memory_limiter/small, artifact/x], exporters: [otlp, debug]}
    metrics: {receivers: [otlp/a, otlp/b], processors: [artifact/x], exporters: [otlp]}
"#,
    );
    let told: Vec<&str> = warnings.iter().map(|told| told.path.as_str()).collect();
    let idle = [
        "exporters.otlp.tls.insecure",
        "extensions.file_storage/q.directory_permissions",
    ];
    assert_eq!(told, idle);

    let Some(ReceiverConfig::Otlp(receiver)) = config.receivers.get(&id("otlp/a")) else {
        panic!("{config:?}");
    };
    let grpc = receiver.protocols.grpc.as_ref().unwrap();
    assert_eq!(grpc.max_recv_msg_size(), 8 << 20);
    assert_eq!(grpc.endpoint, "[::1]:0");
    let parameters = ServerParameters {
        max_connection_idle: Duration::from_secs(11),
        max_connection_age: Duration::ZERO,
        max_connection_age_grace: Duration::from_mins(5),
        time: Duration::from_hours(2),
        timeout: Duration::from_secs(20),
    };
    assert_eq!(grpc.keepalive.server_parameters, parameters);
    let Some(ReceiverConfig::Otlp(receiver)) = config.receivers.get(&id("otlp/b")) else {
        panic!("{config:?}");
    };
    let http = receiver.protocols.http.as_ref().unwrap();
    assert_eq!(http.max_request_body_size(), 20 << 20);
    assert_eq!(http.url_path(Signal::Logs), "/l/");
    assert_eq!(
        http.compression_algorithms,
        [ContentCoding::Identity, ContentCoding::Zstd]
    );
    let cors = http.cors.as_ref().unwrap();
    assert!(
        cors.allowed_origins[0]
            .as_ref()
            .matches("https://a.example.com")
    );
    assert_eq!((cors.max_age, http.idle_timeout), (7200, Duration::ZERO));
    assert!(http.response_headers.contains_key("x-served-by"));
    assert_eq!(
        (
            http.max_connections_per_address,
            http.max_strangers_per_address
        ),
        (Some(2), Some(1))
    );

    let Some(ProcessorConfig::Artifact(artifact)) = config.processors.get(&id("artifact/x")) else {
        panic!("{config:?}");
    };
    assert_eq!(artifact.store, id("artifact_store/y"));
    assert_eq!(artifact.delivery, Delivery::Background);
    assert!(
        !artifact.is_in_background(),
        "nothing is stored in a dry run"
    );
    assert_eq!(artifact.on_store_failure, OnStoreFailure::Drop);
    assert!(artifact.dry_run);
    let location = Location::Store("memory://".to_owned());
    let rule = |keys: &[&str], action, threshold, text_threshold| Rule {
        attributes: keys.iter().map(|key| Pattern::new(key)).collect(),
        action,
        threshold,
        text_threshold,
    };
    let any_case = |globs: &[&str]| globs.iter().map(|glob| Pattern::any_case(glob)).collect();
    let policy = Policy {
        threshold: 1,
        text_threshold: Some(64 << 10),
        preview: 0,
        form: Form::Semconv,
        bytes_values: BytesValues::Text,
        rules: vec![
            rule(&["input.value"], Action::Move, None, None),
            rule(
                &["http.request.body*", "b"],
                Action::Move,
                Some(64 << 10),
                Some(1 << 20),
            ),
            rule(&["*password*"], Action::Keep, None, None),
            rule(&["x"], Action::Drop, Some(1), None),
        ],
        media_types: MediaTypes {
            include: any_case(&["image/*", "*pdf"]),
            exclude: any_case(&["Image/SVG+XML"]),
        },
        deny_keys: any_case(&["*.Sealed"]),
        dropped: BTreeSet::new(),
        location: location.clone(),
    };
    assert_eq!(artifact.policy(location), policy);
    assert_eq!(
        artifact.to_string(),
        "would move files of 1 B and more, texts of 64.0 KiB and more, only image/* *pdf, \
         not Image/SVG+XML, 4 rules, semconv references, other bytes as text, by tenant"
    );
    let tenant = TenantConfig {
        from_context: Some(ContextKey::Metadata("x-scope-orgid".to_owned())),
        from_attribute: Some("tenant.id".to_owned()),
        default: "shared".parse().ok(),
        max_in_flight: Some(ByteSize::mib(64)),
    };
    assert_eq!(artifact.tenant, Some(tenant));

    let secret = |text: &str| Secret::new(text.to_owned());
    let exporter = OtlpGrpcConfig {
        endpoint: "https://example.org:443".parse().unwrap(),
        compression: Compression::None,
        headers: [
            ("authorization".to_owned(), secret("Bearer 0123")),
            ("x-empty".to_owned(), secret("")),
            ("x-token".to_owned(), secret("0123")),
        ]
        .into(),
        timeout: Duration::from_millis(1500),
        retry_on_failure: RetryConfig {
            enabled: false,
            initial_interval: Duration::from_secs(1),
            randomization_factor: 0.0,
            multiplier: 2.0,
            max_interval: Duration::from_mins(1),
            max_elapsed_time: Duration::ZERO,
        },
        sending_queue: QueueConfig {
            enabled: true,
            num_consumers: 2,
            queue_size: 5,
            sizer: Sizer::Items,
            block_on_overflow: true,
            wait_for_result: false,
            storage: Some(id("file_storage/q")),
            batch: Some(QueueBatchConfig {
                flush_timeout: Duration::from_secs(1),
                min_size: 2,
                max_size: 4000,
                sizer: Some(BatchSizer::Bytes),
                partition: PartitionConfig {
                    metadata_keys: vec!["x-team".to_owned()],
                },
            }),
        },
        max_request_bytes: ByteSize::mib(16),
        dead_letters: DeadLetterConfig {
            directory: None,
            max_bytes: ByteSize::gib(1),
        },
        keepalive: KeepaliveConfig {
            time: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            permit_without_stream: true,
        },
        authority: Some("backend:4317".to_owned()),
        user_agent: Some("mine/1 (a b)".to_owned()),
        balancer_name: None,
        wait_for_ready: None,
        read_buffer_size: None,
        write_buffer_size: None,
        tls: TlsClientConfig {
            insecure: true,
            ca_file: Some("/ca.pem".into()),
            server_name_override: Some("backend".to_owned()),
            ..TlsClientConfig::default()
        },
        preset: None,
        auth: None,
        reference: Some(ReferenceForm::Logfire),
        bytes_values: Some(BytesForm::Keep),
    };
    assert!(exporter.uses_tls(), "https has the last word");
    assert_eq!(
        config.exporters.get(&id("otlp")),
        Some(&ExporterConfig::OtlpGrpc(Box::new(exporter)))
    );
    let debug = DebugConfig {
        verbosity: Verbosity::Detailed,
        sampling_initial: 5,
        sampling_thereafter: 0,
        use_internal_logger: None,
        output_paths: vec!["stderr".to_owned(), "file:///tmp/shown".to_owned()],
        reference: None,
        bytes_values: Some(BytesForm::Text),
    };
    assert_eq!(
        config.exporters.get(&id("debug")),
        Some(&ExporterConfig::Debug(debug))
    );

    let storage = FileStorageConfig {
        directory: "/var/lib/queue".into(),
        create_directory: false,
        directory_permissions: Some(0o750),
        timeout: Duration::from_secs(3),
        fsync: false,
        max_bytes: ByteSize::gib(2),
        max_damaged_bytes: ByteSize::mib(3),
        compaction: CompactionConfig::default(),
    };
    assert_eq!(
        config.extensions.get(&id("file_storage/q")),
        Some(&ExtensionConfig::FileStorage(storage))
    );
    let Some(ExtensionConfig::ArtifactStore(store)) =
        config.extensions.get(&id("artifact_store/y"))
    else {
        panic!("{config:?}");
    };
    let spool = SpoolConfig {
        directory: "/var/spool/x".into(),
        max_bytes: ByteSize::mib(16),
        max_bytes_per_tenant: Some(ByteSize::mib(1)),
        max_damaged_bytes: ByteSize::mib(4),
        on_full: OnStoreFailure::Drop,
    };
    assert_eq!(store.spool, spool);
    let retention = &store.catalog.retention;
    assert_eq!(retention.grace, Duration::from_hours(1));
    assert_eq!(retention.longest(), Duration::from_hours(2160));
    for (tenant, hours) in [("default", Some(2160)), ("acme", Some(720)), ("lab", None)] {
        let kept = retention.of(&tenant.parse().unwrap());
        assert_eq!(kept, hours.map(Duration::from_hours), "{tenant}");
    }
    assert_eq!(
        store.public_url.as_deref(),
        Some("https://example.com/files")
    );
    assert_eq!(store.refresh, Duration::ZERO);
    assert_eq!(store.options.get("aws_allow_http"), Some(&secret("true")));
    assert_eq!(
        store.options.get("aws_secret_access_key"),
        Some(&secret("0123"))
    );

    let shown = format!("{config:?}");
    assert!(!shown.contains("0123"), "a secret shows in {shown}");
}

/// The defaults of the processor are those of the extractor.
#[test]
fn what_is_not_said_is_as_the_extractor_has_it() {
    let artifact = ArtifactConfig::new(id("artifact_store"));
    let location = Location::Store("memory://".to_owned());
    assert_eq!(
        artifact.policy(location.clone()),
        Policy::new(8 << 10, location)
    );
    assert_eq!(
        artifact.to_string(),
        "moves files of 8.0 KiB and more, native references"
    );
}

#[test]
fn every_form_of_reference_has_the_name_that_is_shown() {
    for (name, form) in [
        ("native", Form::Native),
        ("object", Form::Object),
        ("uri", Form::Uri),
        ("semconv", Form::Semconv),
        ("logfire", Form::Logfire),
    ] {
        let (config, _) = parse(&format!(
            "receivers: {{otlp: }}\nprocessors: {{artifact: {{store: artifact_store, reference: {name}}}}}\n\
             exporters: {{debug: }}\nextensions: {{artifact_store: {{url: \"memory://\"}}}}\n\
             service:\n  extensions: [artifact_store]\n  \
             pipelines: {{traces: {{receivers: [otlp], processors: [artifact], exporters: [debug]}}}}\n"
        ));
        let Some(ProcessorConfig::Artifact(artifact)) = config.processors.get(&id("artifact"))
        else {
            panic!("{config:?}");
        };
        assert_eq!(Form::from(artifact.reference), form);
        assert_eq!(artifact.reference.to_string(), name);
    }
}

#[test]
fn tls_is_on_unless_something_says_otherwise() {
    let table = [
        ("host:1", false, None, true),
        ("host:1", true, None, false),
        ("host:1", true, Some("ca.pem"), true),
        ("http://host:1", false, None, false),
        ("http://host:1", true, Some("ca.pem"), false),
        ("https://host:1", true, None, true),
    ];
    for (endpoint, insecure, trusted, uses_tls) in table {
        let mut config = OtlpGrpcConfig::new(endpoint.parse().unwrap());
        config.tls.insecure = insecure;
        config.tls.ca_file = trusted.map(Into::into);
        assert_eq!(config.uses_tls(), uses_tls, "{endpoint} {insecure}");
    }
}

#[test]
fn an_unset_variable_is_a_warning_where_null_will_do() {
    let (_, warnings) = parse(
        "receivers: {otlp: }\nexporters:\n  debug: ${env:DEBUG}\n\
         service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n",
    );
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["c.yaml:3: exporters.debug: the environment variable DEBUG is not set"]
    );
}

#[test]
fn keys_of_the_collector_that_do_nothing_are_taken_and_told() {
    let (config, warnings) = parse(
        "receivers: {otlp: {protocols: {grpc: {keepalive: {enforcement_policy: {min_time: 5m, \
         permit_without_stream: true}}, read_buffer_size: 524288, write_buffer_size: 0}}}}\nexporters: {debug: {use_internal_logger: true}, otlp: {endpoint: \"a:1\", \
         balancer_name: round_robin, wait_for_ready: false, authority: \"\", user_agent: \"\", write_buffer_size: 524288}, \
         otlp/a: {endpoint: \"a:1\", balancer_name: pick_first, wait_for_ready: true}, otlp_http: {endpoint: \"http://a\", read_buffer_size: 1}}\n\
         processors:\n  memory_limiter:\n    min_gc_interval_when_soft_limited: 10s\n    \
         min_gc_interval_when_hard_limited: 0s\n    max_gc_interval_when_hard_limited: null\n    check_interval: 5s\n\
         extensions:\n  file_storage:\n    timeout: 1s\n    compaction:\n      on_start: false\n      \
         on_rebound: true\n      check_interval: 5s\n      rebound_needed_threshold_mib: 100\n\
         service:\n  extensions: [file_storage]\n  telemetry:\n    logs: {development: true, \
         disable_stacktrace: false}\n    metrics:\n      readers:\n      \
         - pull: {exporter: {prometheus: {port: 0, without_scope_info: true}}}\n      \
         - pull: {exporter: {prometheus: {port: 0, without_scope_info: false}}}\n  pipelines: \
         {traces: {receivers: [otlp], processors: [memory_limiter], exporters: [debug]}}\n",
    );
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let told = [
        "c.yaml:1: receivers.otlp.protocols.grpc.keepalive.enforcement_policy.min_time: does nothing here: ",
        "c.yaml:1: receivers.otlp.protocols.grpc.keepalive.enforcement_policy.permit_without_stream: does \
         nothing here: ",
        "c.yaml:1: receivers.otlp.protocols.grpc.read_buffer_size: does nothing here: ",
        "c.yaml:1: receivers.otlp.protocols.grpc.write_buffer_size: does nothing here: ",
        "c.yaml:8: processors.memory_limiter.check_interval: does nothing here: ",
        "c.yaml:5: processors.memory_limiter.min_gc_interval_when_soft_limited: does nothing here: ",
        "c.yaml:6: processors.memory_limiter.min_gc_interval_when_hard_limited: does nothing here: ",
        "c.yaml:2: exporters.debug.use_internal_logger: does nothing here: ",
        "c.yaml:2: exporters.otlp.balancer_name: does nothing here: ",
        "c.yaml:2: exporters.otlp.wait_for_ready: does nothing here: ",
        "c.yaml:2: exporters.otlp.write_buffer_size: does nothing here: ",
        "c.yaml:2: exporters.otlp/a.balancer_name: does nothing here: ",
        "c.yaml:2: exporters.otlp/a.wait_for_ready: does nothing here: ",
        "c.yaml:2: exporters.otlp_http.read_buffer_size: does nothing here: ",
        "c.yaml:14: extensions.file_storage.compaction.on_rebound: does nothing here: ",
        "c.yaml:16: extensions.file_storage.compaction.rebound_needed_threshold_mib: does nothing",
        "c.yaml:15: extensions.file_storage.compaction.check_interval: does nothing here: ",
        "c.yaml:20: service.telemetry.logs.development: does nothing here: ",
        "c.yaml:20: service.telemetry.logs.disable_stacktrace: does nothing here: ",
        "c.yaml:24: service.telemetry.metrics.readers[1].pull.exporter.prometheus.without_scope_info: does \
         nothing here: ",
    ];
    assert_eq!(shown.len(), told.len(), "{shown:#?}");
    for (shown, told) in shown.iter().zip(told) {
        assert!(shown.starts_with(told), "{shown}");
    }
    // It can be written down and read again.
    let written = Config::exposed(|| serde_saphyr::to_string(&config.printed())).unwrap();
    assert_eq!(parse(&written).0, config);
}

/// The Collector has the keys of clients in the `tls` of listeners, too.
#[test]
fn whom_a_client_trusts_does_nothing_for_a_listener() {
    const TLS: &str =
        "tls: {cert_file: a, key_file: b, ca_file: c, include_system_ca_certs_pool: true}";
    let (_, warnings) = parse(&format!(
        "receivers:\n  otlp: {{protocols: {{grpc: {{{TLS}}}, http: {{tls: {{cert_file: a, key_file: b, ca_pem: c, \
         include_system_ca_certs_pool: false}}}}}}}}\nexporters: {{debug: }}\n\
         extensions:\n  artifact_store: {{url: ./x}}\n  artifact_server: {{{TLS}}}\n  health_check: {{{TLS}}}\n  \
         healthcheckv2: {{use_v2: true, http: {{endpoint: \"localhost:1\", {TLS}}}}}\n  zpages: {{{TLS}}}\n\
         service:\n  extensions: [artifact_store, artifact_server, health_check, healthcheckv2, zpages]\n  \
         pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}\n",
    ));
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let both = ["ca_file", "include_system_ca_certs_pool"];
    let listeners = [
        (2, "receivers.otlp.protocols.grpc", &both[..]),
        (2, "receivers.otlp.protocols.http", &["ca_pem"]),
        (6, "extensions.artifact_server", &both),
        (7, "extensions.health_check", &both),
        (8, "extensions.healthcheckv2.http", &both),
        (9, "extensions.zpages", &both),
    ];
    let told = listeners.iter().flat_map(|(line, path, keys)| {
        let told = move |key| format!("c.yaml:{line}: {path}.tls.{key}: does nothing here: ");
        keys.iter().map(told)
    });
    let told: Vec<String> = told.collect();
    assert_eq!(shown.len(), told.len(), "{shown:#?}");
    for (shown, told) in shown.iter().zip(told) {
        assert!(shown.starts_with(&told), "{shown}: {told}");
    }
}

#[test]
fn extensions_of_the_collector_are_taken_as_they_are() {
    let (config, warnings) = parse(
        "receivers:\n  otlp: {protocols: {grpc: {middlewares: [{id: memory_limiter}]}}}\nexporters: {debug: }\n\
         extensions:\n  memory_limiter: {check_interval: 1s, limit_mib: 600, spike_limit_mib: 100, \
         min_gc_interval_when_soft_limited: 10s}\n  healthcheckv2: {use_v2: true, http: , component_health: \
         {include_permanent_errors: false, include_recoverable_errors: true, recovery_duration: 5m}}\n  \
         healthcheckv2/b: {use_v2: true, component_health: {include_permanent_errors: true, recovery_duration: 1m}, \
         http: {endpoint: \"localhost:1\", status: {path: /health/status}, \
         config: {enabled: false, path: /health/config}}}\n  \
         healthcheckv2/c: {endpoint: \"localhost:2\", path: /x, component_health: {include_recoverable_errors: true}}\n  \
         healthcheckv2/d: {use_v2: true, http: {endpoint: \"localhost:3\", status: {enabled: false}}}\n  \
         healthcheckv2/e: {use_v2: true, grpc: {endpoint: \"localhost:4\", transport: tcp}}\n  \
         healthcheckv2/f: {use_v2: true, grpc: }\n\
         service:\n  extensions: [memory_limiter, healthcheckv2, healthcheckv2/b, healthcheckv2/c, healthcheckv2/d, \
         healthcheckv2/e, healthcheckv2/f]\n  \
         pipelines: {traces: {receivers: [otlp], exporters: [debug]}}\n",
    );
    let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    let told = [
        "c.yaml:7: extensions.healthcheckv2/b.component_health.include_permanent_errors: does nothing here: ",
        "c.yaml:7: extensions.healthcheckv2/b.component_health.recovery_duration: does nothing without include_",
        "c.yaml:8: extensions.healthcheckv2/c.component_health.include_recoverable_errors: does nothing without use_v2",
        "c.yaml:5: extensions.memory_limiter.min_gc_interval_when_soft_limited: does nothing here: ",
    ];
    assert_eq!(shown.len(), told.len(), "{shown:#?}");
    for (shown, told) in shown.iter().zip(told) {
        assert!(shown.starts_with(told), "{shown}");
    }
    for (name, endpoint, path) in [
        ("healthcheckv2", "127.0.0.1:13133", Some("/status")),
        ("healthcheckv2/b", "localhost:1", Some("/health/status")),
        ("healthcheckv2/c", "localhost:2", Some("/x")),
        ("healthcheckv2/d", "localhost:3", None),
        ("healthcheckv2/e", "localhost:4", None),
        ("healthcheckv2/f", "127.0.0.1:13132", None),
    ] {
        let extension = config.extensions.get(&id(name)).unwrap();
        let health = extension.health().remove(0);
        assert_eq!(health.endpoint.to_string(), endpoint, "{name}");
        assert_eq!(health.path.as_deref(), path, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.yaml");
    let sources = Sources {
        locations: vec![path.display().to_string()],
        settings: Vec::new(),
    };
    let errors = Config::load(&sources, |_| None).unwrap_err().to_string();
    assert!(
        errors.starts_with(&format!("{}: cannot be read: ", path.display())),
        "{errors}"
    );
    fs::write(&path, "receivers: 7").unwrap();
    let errors = Config::load(&sources, |_| None).unwrap_err().to_string();
    assert!(
        errors.starts_with(&format!("{}:1: receivers: ", path.display())),
        "{errors}"
    );
}

#[test]
fn an_exporter_over_http() {
    let (config, warnings) = parse(
        r#"
receivers: {otlp: }
exporters:
  otlphttp/x:
    endpoint: https://example.org/otlp/
    logs_endpoint: http://logs.example.org/in?tenant=a
    profiles_endpoint: https://example.org/profiles
    encoding: json
    compression: zstd
    compression_params: {level: 19}
    headers: [{name: Authorization, value: "Bearer ${env:TOKEN}"}, {name: x-a, value: 1}]
    timeout: 7s
    proxy_url: http://me:${env:TOKEN}@proxy:3128
    max_idle_conns: 3
    max_idle_conns_per_host: 2
    max_conns_per_host: 4
    idle_conn_timeout: 0
    disable_keep_alives: false
    http2_read_idle_timeout: 10s
    http2_ping_timeout: 1s
    force_attempt_http2: true
    cookies: {enabled: true}
    retry_on_failure: {enabled: false}
    sending_queue: {queue_size: 5, batch: {}}
    max_request_bytes: 1MiB
    dead_letters: {directory: null}
    reference: uri
    bytes_values: text
    tls: {ca_file: /ca.pem}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp/x]}}}
"#,
    );
    assert_eq!(warnings, []);
    let secret = |text: &str| Secret::new(text.to_owned());
    let exporter = OtlpHttpConfig {
        endpoint: Some("https://example.org/otlp".parse().unwrap()),
        traces_endpoint: None,
        metrics_endpoint: None,
        logs_endpoint: Some("http://logs.example.org/in?tenant=a".parse().unwrap()),
        profiles_endpoint: Some("https://example.org/profiles".parse().unwrap()),
        encoding: Encoding::Json,
        compression: otlp_http::config::Compression::Zstd,
        compression_params: CompressionParams { level: Some(19) },
        headers: [
            ("authorization".to_owned(), secret("Bearer 0123")),
            ("x-a".to_owned(), secret("1")),
        ]
        .into(),
        timeout: Duration::from_secs(7),
        proxy_url: Some("http://me:0123@proxy:3128".parse().unwrap()),
        max_idle_conns: 3,
        max_idle_conns_per_host: Some(2),
        max_conns_per_host: 4,
        idle_conn_timeout: Duration::ZERO,
        disable_keep_alives: false,
        http2_read_idle_timeout: Duration::from_secs(10),
        http2_ping_timeout: Duration::from_secs(1),
        force_attempt_http2: true,
        cookies: CookiesConfig { enabled: true },
        read_buffer_size: None,
        write_buffer_size: None,
        retry_on_failure: RetryConfig {
            enabled: false,
            ..RetryConfig::default()
        },
        sending_queue: QueueConfig {
            queue_size: 5,
            batch: Some(QueueBatchConfig::default()),
            ..QueueConfig::default()
        },
        max_request_bytes: ByteSize::mib(1),
        dead_letters: DeadLetterConfig {
            directory: None,
            ..DeadLetterConfig::default()
        },
        reference: Some(ReferenceForm::Uri),
        bytes_values: Some(BytesForm::Text),
        preset: None,
        auth: None,
        tls: TlsClientConfig {
            ca_file: Some("/ca.pem".into()),
            ..TlsClientConfig::default()
        },
    };
    assert_eq!(exporter.kept(), 2, "the smaller of the two");
    let urls: Vec<_> = Signal::ALL.map(|signal| exporter.url_of(signal)).into();
    let urls: Vec<_> = urls
        .into_iter()
        .map(|url| url.unwrap().to_string())
        .collect();
    assert_eq!(
        urls,
        [
            "https://example.org/otlp/v1/traces",
            "https://example.org/otlp/v1/metrics",
            "http://logs.example.org/in",
            "https://example.org/profiles",
        ]
    );
    assert!(!format!("{exporter:?}").contains("0123"), "{exporter:?}");
    let Some(ExporterConfig::OtlpHttp(read)) = config.exporters.get(&id("otlphttp/x")) else {
        panic!("{config:?}");
    };
    // The slash at the end of the endpoint changes nothing but itself.
    let base = read.endpoint.clone();
    assert_eq!(
        **read,
        OtlpHttpConfig {
            endpoint: base,
            ..exporter
        }
    );
}

#[test]
fn a_file_exporter_as_a_collector_has_it() {
    let (config, warnings) = parse(
        "receivers: {otlp: }\nexporters:\n  file/all:\n    path: ./foo\n    append: true\n    rotation:\n      \
         max_megabytes: 10\n      max_days: 3\n      max_backups: 3\n      localtime: true\n    format: proto\n    \
         compression: zstd\n    flush_interval: 5s\n    fsync: true\n    create_directory: true\n    \
         directory_permissions: \"0750\"\n    max_damaged_bytes: 5MiB\n    reference: uri\n    bytes_values: text\n  file: {path: a, rotation: }\n\
         service: {pipelines: {traces: {receivers: [otlp], exporters: [file/all, file]}}}\n",
    );
    assert_eq!(warnings, []);
    let all = FileConfig {
        path: "./foo".into(),
        append: true,
        rotation: Some(RotationConfig {
            max_megabytes: 10,
            max_days: 3,
            max_backups: 3,
            localtime: true,
        }),
        format: Format::Proto,
        compression: file::Compression::Zstd,
        flush_interval: Duration::from_secs(5),
        fsync: true,
        create_directory: true,
        directory_permissions: Some(0o750),
        max_damaged_bytes: ByteSize::mib(5),
        reference: Some(ReferenceForm::Uri),
        bytes_values: Some(BytesForm::Text),
    };
    let rotating = FileConfig {
        rotation: Some(RotationConfig::default()),
        ..FileConfig::new("a")
    };
    let of = |name: &str| config.exporters.get(&id(name)).unwrap().clone();
    assert_eq!(of("file/all"), ExporterConfig::File(all));
    assert_eq!(of("file"), ExporterConfig::File(rotating));
}

/// As in the Collector: what is named is on, whatever stands behind it, but for null behind cookies.
#[test]
fn batches_and_cookies_are_on_where_they_are_named() {
    for (queue, cookies, is_batched, are_kept) in [
        ("{}", "{}", false, true),
        ("{batch: }", "", true, false),
        ("{batch: null}", "null", true, false),
        ("{batch: {}}", "{enabled: true}", true, true),
        ("{batch: {enabled: true}}", "{enabled: }", true, true),
        (
            "{batch: {enabled: false, min_size: 5}}",
            "{enabled: false}",
            false,
            false,
        ),
    ] {
        let (config, _) = parse(&format!(
            "receivers: {{otlp: }}\nexporters: {{otlp_http: {{endpoint: \"http://a\", sending_queue: {queue}, \
             cookies: {cookies}}}}}\n\
             service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp_http]}}}}}}\n"
        ));
        let Some(ExporterConfig::OtlpHttp(http)) = config.exporters.get(&id("otlp_http")) else {
            panic!("{config:?}");
        };
        let batch = is_batched.then(QueueBatchConfig::default);
        assert_eq!(http.sending_queue.batch, batch, "{queue}");
        assert_eq!(http.cookies.enabled, are_kept, "{cookies}");
    }
}

/// What is printed is read by the same rules as what was written.
#[test]
fn what_has_a_dollar_means_the_same_when_it_is_printed() {
    let (config, _) = parse(
        "receivers: {otlp: }\n\
         exporters: {otlp_grpc: {endpoint: \"x:1\", headers: {\"x-$a\": \"p$${env:TOKEN}$$$$q$\"}}}\n\
         service:\n  telemetry: {resource: {a: \"$${x}\", b: \"00$$1\"}}\n  \
         pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}\n",
    );
    let resource = &config.service.telemetry.resource.inline;
    assert_eq!(resource["a"].as_deref(), Some("${x}"));
    assert_eq!(resource["b"].as_deref(), Some("00$1"));
    let Some(ExporterConfig::OtlpGrpc(grpc)) = config.exporters.get(&id("otlp_grpc")) else {
        panic!("{config:?}");
    };
    assert_eq!(grpc.headers["x-$a"].expose(), "p${env:TOKEN}$$q$");
    let json = serde_json::to_value(config.printed()).unwrap();
    assert_eq!(json["service"]["telemetry"]["resource"]["a"], "$${x}");
}
