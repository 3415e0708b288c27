//! Configurations as Collector users bring them along: each is taken as it is, or refused with the reason. Nothing of
//! the Collector is unknown here.
#![expect(clippy::panic, reason = "a panic is a failed test")]

use crate::config::Config;

/// What a document is, and what is told of it where it is refused.
struct Brought {
    what: &'static str,
    text: &'static str,
    refused: &'static [&'static str],
}

const BROUGHT: &[Brought] = &[
    Brought {
        what: "health_check, with all of its keys",
        text: "
receivers: {otlp: {protocols: {grpc: , http: }}}
exporters: {debug: }
extensions:
  health_check:
  health_check/1:
    endpoint: \"localhost:13\"
    tls:
      ca_file: \"/path/to/ca\"
      key_file: \"/path/to/key\"
      cert_file: \"/path/to/cert\"
    check_collector_pipeline:
      enabled: false
      interval: \"5m\"
      exporter_failure_threshold: 5
  health_check/response-body:
    endpoint: \"localhost:14\"
    path: \"/health/status\"
    response_body:
      healthy: I'm OK
      unhealthy: I'm not well
    check_collector_pipeline: {enabled: true, interval: 10m, exporter_failure_threshold: 1}
  healthcheckv2:
    endpoint: \"localhost:15\"
    check_collector_pipeline: {enabled: false, interval: 5m, exporter_failure_threshold: 5}
service:
  extensions: [health_check, health_check/1, health_check/response-body, healthcheckv2]
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &[],
    },
    Brought {
        what: "basicauth, of both sides",
        text: "
extensions:
  basicauth/server:
    htpasswd:
      inline: |
        username1:$$2y$$05$$abcdefghijklmnopqrstuuQnGBEV0UnUrr0LqLWTQ9YaMj2HAAYXW
  basicauth/client:
    client_auth:
      username: username
      password: password
receivers:
  otlp:
    protocols:
      http:
        auth:
          authenticator: basicauth/server
exporters:
  otlp:
    endpoint: backend:4317
    auth:
      authenticator: basicauth/client
service:
  extensions: [basicauth/server, basicauth/client]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [otlp]
",
        refused: &[],
    },
    Brought {
        what: "a client over HTTP, with all of its keys but middlewares",
        text: "
receivers: {otlp: }
exporters:
  otlphttp:
    endpoint: \"http://example.com:4318\"
    traces_endpoint: \"http://example.com:4318/v1/traces\"
    proxy_url: \"http://proxy.example.com:8080\"
    tls:
      insecure: false
      insecure_skip_verify: false
    read_buffer_size: 4096
    write_buffer_size: 4096
    timeout: 30s
    headers:
      \"User-Agent\": \"OpenTelemetry-Collector/1.0\"
      \"X-Custom-Header\": \"custom-value\"
    compression: \"gzip\"
    compression_params: {level: 1}
    disable_keep_alives: false
    http2_read_idle_timeout: 10s
    http2_ping_timeout: 15s
    max_idle_conns: 100
    max_conns_per_host: 50
    idle_conn_timeout: 90s
    cookies: {enabled: true}
    middlewares: []
    sending_queue: {enabled: true, num_consumers: 10, queue_size: 1000}
    retry_on_failure: {enabled: true, initial_interval: 5s, max_interval: 30s, max_elapsed_time: 300s}
service:
  pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}
",
        refused: &[],
    },
    Brought {
        what: "a server over HTTP, with all of its keys",
        text: "
receivers:
  otlp:
    protocols:
      http:
        endpoint: \"0.0.0.0:4318\"
        transport: tcp
        tls:
          cert_file: \"/path/to/server.crt\"
          key_file: \"/path/to/server.key\"
          ca_file: \"/path/to/ca.crt\"
          client_ca_file: \"/path/to/client-ca.crt\"
          reload_interval: 24h
        cors:
          allowed_origins: [\"https://example.com\", \"https://*.test.com\"]
          allowed_headers: [\"Content-Type\", \"Accept\"]
          exposed_headers: [\"X-Request-Id\"]
          max_age: 7200
        read_timeout: 30s
        read_header_timeout: 10s
        write_timeout: 30s
        idle_timeout: 120s
        keep_alives_enabled: true
        max_request_body_size: 33554432
        include_metadata: true
        response_headers: {\"Server\": \"OpenTelemetry-Collector\", \"X-Flavor\": \"apple\"}
        compression_algorithms: [\"\", \"gzip\", \"zstd\", \"zlib\", \"snappy\", \"deflate\"]
        middlewares: []
exporters: {debug: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}
",
        refused: &[],
    },
    Brought {
        what: "both sides over gRPC, with all of their keys",
        text: "
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:4317
        transport: tcp
        max_recv_msg_size_mib: 32
        max_concurrent_streams: 16
        read_buffer_size: 1024
        write_buffer_size: 1024
        include_metadata: true
        keepalive:
          server_parameters: {max_connection_idle: 11s, max_connection_age: 12s, max_connection_age_grace: 13s, time: 30s, timeout: 5s}
          enforcement_policy: {min_time: 10s, permit_without_stream: true}
exporters:
  otlp:
    endpoint: \"1.2.3.4:1234\"
    compression: gzip
    tls: {ca_file: /var/lib/mycert.pem, insecure: false, server_name_override: backend}
    timeout: 10s
    headers: {x-token: \"F0000000-0000-0000-0000-000000000000\"}
    keepalive: {time: 20s, timeout: 30s, permit_without_stream: true}
    balancer_name: round_robin
    wait_for_ready: true
    authority: backend
    read_buffer_size: 1024
    write_buffer_size: 1024
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp]}}}
",
        refused: &[],
    },
    Brought {
        what: "sections that are switched off, and on, by enabled",
        text: "
receivers:
  otlp:
    protocols:
      grpc:
        enabled: true
        dialer: {timeout: 10s}
        tls: {enabled: false, cert_file: /path/to/server.crt, key_file: /path/to/server.key}
        auth: {enabled: false}
        keepalive:
          enabled: true
          server_parameters: {enabled: true, max_connection_age: 1h}
          enforcement_policy: {enabled: false, min_time: 10s}
      http:
        enabled: false
        endpoint: \"0.0.0.0:4318\"
        cors: {enabled: true, allowed_origins: [\"*\"]}
exporters:
  otlp:
    endpoint: backend:4317
    auth: {enabled: false, authenticator: nobody}
    keepalive: {enabled: false, time: 20s}
    sending_queue: {enabled: true, batch: {enabled: false, sizer: bytes}}
  otlphttp:
    endpoint: \"http://example.com:4318\"
    cookies: {}
    sending_queue:
      batch:
  debug:
    sending_queue: {enabled: false}
  file: {path: ./file.json, group_by: {enabled: false}, encoding: }
extensions:
  zpages: {endpoint: \"localhost:55679\", expvar: {enabled: false}, tls: {enabled: false}}
  file_storage: {directory: /var/lib/otelcol, create_directory: true, directory_permissions: \"0750\"}
  bearertokenauth: {filename: /path/to/token, retry_on_failure: {enabled: false}, wait_for_token_file: false}
service:
  extensions: [zpages, file_storage, bearertokenauth]
  pipelines: {traces: {receivers: [otlp], exporters: [otlp, otlphttp, debug, file]}}
",
        refused: &[],
    },
    Brought {
        what: "keys with a reason of their own",
        text: "
receivers: {otlp: {protocols: {grpc: {dialer: {keep_alive: 10s}}}}}
exporters:
  debug: {sending_queue: {queue_size: 10}}
  file: {path: ./file.json, encoding: otlp_encoding}
  file/grouped: {path: ./files/*.json, group_by: {enabled: true}}
extensions:
  zpages: {expvar: {enabled: true}}
  bearertokenauth: {filename: /path/to/token, retry_on_failure: {enabled: true}}
  bearertokenauth/b: {filename: /path/to/token, wait_for_token_file: true}
service:
  extensions: [zpages, bearertokenauth, bearertokenauth/b]
  pipelines: {traces: {receivers: [otlp], exporters: [debug, file, file/grouped]}}
",
        refused: &[
            "receivers.otlp.protocols.grpc.dialer: is not supported: ",
            "exporters.debug.sending_queue: is not supported: ",
            "exporters.file.encoding: is not supported: ",
            "exporters.file/grouped.group_by: is not supported: ",
            "extensions.zpages.expvar: is not supported: ",
            "extensions.bearertokenauth.retry_on_failure: is not supported: ",
            "extensions.bearertokenauth/b.wait_for_token_file: is not supported: ",
        ],
    },
    Brought {
        what: "own telemetry, in version 0.2.0 of the declarative configuration",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry:
    metrics:
      readers:
        - periodic:
            exporter:
              otlp:
                protocol: http/protobuf
                endpoint: 127.0.0.1:4317
                headers: {\"key1\": \"value1\", \"key2\": \"value2\"}
        - pull: {exporter: {prometheus: {host: 127.0.0.1, port: 8902}}}
    traces:
      processors:
        - batch:
            exporter:
              otlp: {protocol: http/protobuf, endpoint: 127.0.0.1:4317, headers: {\"key1\": \"value1\"}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &[],
    },
    Brought {
        what: "own telemetry, in version 0.3.0",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry:
    metrics:
      level: Detailed
      readers:
        - periodic:
            exporter:
              otlp:
                protocol: http/protobuf
                endpoint: https://127.0.0.1:4317
                temporality_preference: cumulative
                default_histogram_aggregation: explicit_bucket_histogram
                headers:
                - name: \"key1\"
                  value: \"value1\"
        - pull:
            exporter:
              prometheus:
                host: 127.0.0.1
                port: 8902
                without_scope_info: true
                without_type_suffix: true
                without_units: true
                with_resource_constant_labels: {included: []}
    logs:
      level: \"info\"
      processors: []
      disable_zap_resource: true
    traces:
      level: \"None\"
      processors:
        - batch:
            exporter:
              otlp:
                protocol: http/protobuf
                endpoint: 127.0.0.1:4317
                headers:
                - name: \"key1\"
                  value: \"value1\"
      propagators: []
      sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0.01}}}}
    resource: {schema_url: \"https://opentelemetry.io/schemas/1.40.0\", detectors: {attributes: {included: []}}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &[],
    },
    Brought {
        what: "own telemetry, in version 1.1.0",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry:
    metrics:
      readers:
        - pull:
            exporter:
              prometheus/development:
                host: localhost
                port: 9464
                scope_info_enabled: true
                target_info_enabled/development: true
                resource_constant_labels: {included: [], excluded: []}
                translation_strategy: underscore_escaping_with_suffixes
        - periodic:
            interval: 60000
            timeout: 30000
            producers: []
            exporter:
              otlp_grpc:
                endpoint: http://localhost:4317
                tls: {insecure: false}
                headers: [{name: api-key, value: \"1234\"}]
                headers_list: \"api-key=1234\"
                compression: gzip
                timeout: 10000
        - periodic:
            exporter:
              otlp_http:
                endpoint: https://localhost:4318/v1/metrics
                tls: {ca_file: /app/cert.pem, key_file: /app/key.pem, cert_file: /app/cert.pem}
                encoding: protobuf
                temporality_preference: cumulative
                default_histogram_aggregation: explicit_bucket_histogram
    resource:
      attributes:
        - {name: service.name, value: edge, type: string}
        - {name: replicas, value: 3, type: int}
        - {name: zones, value: [a, b], type: string_array}
      detection/development: {detectors: []}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &[],
    },
    Brought {
        what: "the log sent by OTLP",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry:
    logs:
      processors:
        - batch: {exporter: {otlp: {protocol: http/protobuf, endpoint: \"http://localhost:4318\"}}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &["service.telemetry.logs.processors: is not supported: "],
    },
    Brought {
        what: "a simple processor that prints spans",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry: {traces: {processors: [{simple: {exporter: {console: {}}}}]}}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &["service.telemetry.traces.processors[0].simple: is not supported: "],
    },
    Brought {
        what: "a resource that is found out",
        text: "
receivers: {otlp: }
exporters: {debug: }
service:
  telemetry:
    resource:
      attributes:
        - name: foo
          value: bar
      detection/development:
        detectors:
          - host: {}
  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}
",
        refused: &["service.telemetry.resource.detection/development: is not supported: "],
    },
    Brought {
        what: "what the official chart renders",
        text: "
exporters:
  debug: {}
extensions:
  health_check:
    endpoint: ${env:MY_POD_IP}:13133
processors:
  batch: {}
  memory_limiter:
    check_interval: 5s
    limit_percentage: 80
    spike_limit_percentage: 25
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: ${env:MY_POD_IP}:4317
      http:
        endpoint: ${env:MY_POD_IP}:4318
service:
  extensions:
  - health_check
  pipelines:
    logs: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp]}
    metrics: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp]}
    traces: {exporters: [debug], processors: [memory_limiter, batch], receivers: [otlp]}
  telemetry:
    metrics:
      readers:
      - pull:
          exporter:
            prometheus:
              host: ${env:MY_POD_IP}
              port: 8888
    resource:
      attributes:
      - name: k8s.namespace.name
        value: ${env:OTEL_K8S_NAMESPACE}
      - name: k8s.node.name
        value: ${env:OTEL_K8S_NODE_NAME}
      - name: k8s.pod.ip
        value: ${env:MY_POD_IP}
",
        refused: &[],
    },
    Brought {
        what: "what the official chart renders, as it is",
        text: "
exporters: {debug: {}}
extensions: {health_check: {endpoint: \"${env:MY_POD_IP}:13133\"}}
processors:
  batch: {}
  k8sattributes: {extract: {metadata: [k8s.namespace.name]}, passthrough: false}
receivers:
  jaeger: {protocols: {grpc: {endpoint: \"${env:MY_POD_IP}:14250\"}}}
  otlp: {protocols: {grpc: {endpoint: \"${env:MY_POD_IP}:4317\"}}}
  prometheus: {config: {scrape_configs: []}}
  zipkin: {endpoint: \"${env:MY_POD_IP}:9411\"}
service:
  extensions: [health_check]
  pipelines: {traces: {exporters: [debug], processors: [batch], receivers: [otlp, jaeger, zipkin]}}
",
        refused: &[
            "receivers.jaeger: the receiver type \"jaeger\" is not supported: ",
            "receivers.prometheus: the receiver type \"prometheus\" is not supported: ",
            "receivers.zipkin: the receiver type \"zipkin\" is not supported: ",
            "processors.k8sattributes: the processor type \"k8sattributes\" is not supported: ",
        ],
    },
    Brought {
        what: "what people begin with",
        text: "
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:4317
      http:
        endpoint: localhost:4318
processors:
  memory_limiter: {limit_mib: 1536, spike_limit_mib: 512, check_interval: 5s}
exporters: {debug: {verbosity: detailed}}
extensions: {zpages: {endpoint: \"localhost:55679\"}, pprof: , health_check: }
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [debug]}
    metrics: {receivers: [otlp], processors: [memory_limiter], exporters: [debug]}
    logs: {receivers: [otlp], processors: [memory_limiter], exporters: [debug]}
  extensions: [zpages, pprof, health_check]
",
        refused: &[],
    },
    Brought {
        what: "several backends and pipelines that share what they have in common",
        text: "
receivers:
  otlp/a: &otlp
    protocols: {grpc: &listener {endpoint: \"localhost:4317\", max_recv_msg_size_mib: 16}}
  otlp/b:
    protocols:
      grpc:
        <<: *listener
        endpoint: localhost:4327
exporters:
  otlp/default: &backend
    endpoint: a.example.com:4317
    timeout: 10s
    headers: &headers {x-team: a}
    retry_on_failure: &retry {enabled: true, max_elapsed_time: 60s}
  otlp/b:
    <<: *backend
    endpoint: b.example.com:4317
  otlphttp:
    endpoint: https://c.example.com
    headers: {<<: *headers, x-more: b}
    retry_on_failure: {<<: [*retry], max_interval: 5s}
service:
  pipelines:
    traces: &pipeline {receivers: [otlp/a], exporters: [otlp/default, otlphttp]}
    traces/b:
      <<: *pipeline
      exporters: [otlp/b]
    logs: *pipeline
    metrics: {<<: [{receivers: [otlp/b]}, *pipeline]}
",
        refused: &[],
    },
];

fn env(name: &str) -> Option<String> {
    match name {
        "MY_POD_IP" => Some("10.0.0.7".to_owned()),
        name => name.starts_with("OTEL_K8S_").then(|| "name".to_owned()),
    }
}

#[test]
fn what_collector_users_have_is_taken_or_refused_with_the_reason() {
    let mut differences = Vec::new();
    for Brought {
        what,
        text,
        refused,
    } in BROUGHT
    {
        let told = match Config::parse(text, "c.yaml", env) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0,
        };
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        let is_bare =
            |told: &&String| told.contains("has invalid keys") || told.contains("unknown");
        if let Some(bare) = told.iter().find(is_bare) {
            differences.push(format!("{what}: nobody knows why: {bare}"));
        }
        let is_told = |wanted: &&str| told.iter().any(|told| told.contains(wanted));
        if told.len() != refused.len() || !refused.iter().all(is_told) {
            differences.push(format!("{what}: expected {refused:#?}, told {told:#?}"));
        }
        if refused.is_empty() {
            super::schema::accepts(text);
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What was taken means what was written.
#[test]
fn what_is_taken_in_another_form_means_the_same() {
    const AROUND: [&str; 2] = [
        "receivers: {otlp: }\nexporters: {debug: }\nservice: {telemetry: {",
        "}, pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n",
    ];
    let read = |telemetry: &str| {
        let text = AROUND.join(telemetry);
        super::schema::accepts(&text);
        let read = Config::parse(&text, "c.yaml", env);
        let (config, warnings) = read.unwrap_or_else(|errors| panic!("{telemetry}: {errors}"));
        assert_eq!(warnings, [], "{telemetry}");
        config
    };
    let metrics = |reader: &str| format!("metrics: {{readers: [{reader}]}}");
    let periodic = |exporter: &str| metrics(&format!("{{periodic: {{exporter: {{{exporter}}}}}}}"));
    let spans = |exporter: &str| {
        format!("traces: {{processors: [{{batch: {{exporter: {{{exporter}}}}}}}]}}")
    };
    let pull = |exporter: &str| metrics(&format!("{{pull: {{exporter: {{{exporter}}}}}}}"));
    let over_grpc = [
        "otlp: {protocol: grpc, endpoint: \"a:1\", insecure: true, timeout: 5, headers: {a: b}}",
        "otlp_grpc: {endpoint: \"a:1\", tls: {insecure: true}, timeout: 5, headers: [{name: a, value: b}]}",
    ];
    let over_http = [
        "otlp: {protocol: http/protobuf, endpoint: \"https://a\", certificate: c, client_certificate: d, client_key: e}",
        "otlp_http: {endpoint: \"https://a\", tls: {ca_file: c, cert_file: d, key_file: e}, encoding: protobuf}",
    ];
    for (written, same) in [
        (periodic(over_grpc[1]), periodic(over_grpc[0])),
        (spans(over_grpc[1]), spans(over_grpc[0])),
        (periodic(over_http[1]), periodic(over_http[0])),
        (spans(over_http[1]), spans(over_http[0])),
        (
            pull("prometheus/development: {host: 127.0.0.1, port: 1}"),
            pull("prometheus: {host: 127.0.0.1, port: 1}"),
        ),
        (
            pull(
                "prometheus/development: {port: 1, translation_strategy: underscore_escaping_without_suffixes/development}",
            ),
            pull("prometheus: {port: 1, without_units: true, without_type_suffix: true}"),
        ),
        (
            "metrics: {level: DETAILED}".to_owned(),
            "metrics: {level: detailed}".to_owned(),
        ),
        (
            "logs: {level: Warn}".to_owned(),
            "logs: {level: warn}".to_owned(),
        ),
        (
            "resource: {attributes: }".to_owned(),
            "resource: {}".to_owned(),
        ),
        (
            "resource: {attributes: [{name: a, value: 1, type: double}]}".to_owned(),
            "resource: {attributes: [{name: a, value: 1.0}]}".to_owned(),
        ),
        (
            "logs: {processors: []}, resource: {detectors: {}}".to_owned(),
            "logs: {}".to_owned(),
        ),
    ] {
        assert_eq!(read(&written), read(&same), "{written}");
    }
}

#[test]
fn each_mistake_in_the_newer_forms_is_told_where_it_is() {
    for (telemetry, told) in [
        (
            "metrics: {readers: [{pull: {exporter: {prometheus: {}, prometheus/development: {}}}}]}",
            "metrics.readers[0].pull.exporter: takes exactly one of prometheus and prometheus/development",
        ),
        (
            "metrics: {readers: [{periodic: {exporter: {}}}]}",
            "metrics.readers[0].periodic.exporter: takes exactly one of otlp, otlp_grpc and otlp_http",
        ),
        (
            "metrics: {readers: [{periodic: {exporter: {otlp_http: {endpoint: \"http://a\", encoding: json}}}}]}",
            "metrics.readers[0].periodic.exporter.otlp_http.encoding: is not supported: ",
        ),
        (
            "metrics: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: \"a:1\", temporality_preference: delta}}}}]}",
            "metrics.readers[0].periodic.exporter.otlp_grpc.temporality_preference: is not supported: ",
        ),
        (
            "metrics: {readers: [{periodic: {exporter: {otlp_grpc: {endpoint: \"a:1\", max_request_size: 1}}}}]}",
            "metrics.readers[0].periodic.exporter.otlp_grpc.max_request_size: is not supported: ",
        ),
        (
            "metrics: {readers: [{periodic: {exporter: {otlp: {endpoint: \"http://a\", protocol: http/json}}}}]}",
            "metrics.readers[0].periodic.exporter.otlp.protocol: \"http/json\" is not supported: ",
        ),
        (
            "metrics: {readers: [{pull: {producers: [{opencensus: }], exporter: {prometheus: }}}]}",
            "metrics.readers[0].pull.producers: is not supported: ",
        ),
        (
            "metrics: {readers: [{pull: {exporter: {prometheus/development: {translation_strategy: no_translation/development}}}}]}",
            "metrics.readers[0].pull.exporter.prometheus/development.translation_strategy: \"no_translation/development\" is not supported: ",
        ),
        (
            "metrics: {readers: [{pull: {exporter: {prometheus/development: {resource_constant_labels: {included: [a]}}}}}]}",
            "metrics.readers[0].pull.exporter.prometheus/development.resource_constant_labels: is not supported: ",
        ),
        (
            "metrics: {readers: [{pull: {exporter: {prometheus/development: {without_target_info: true}}}}]}",
            "metrics.readers[0].pull.exporter.prometheus/development.without_target_info: is not supported: ",
        ),
        (
            "resource: {attributes: [{name: a}]}",
            "resource.attributes[0]: the field \"value\" is required",
        ),
        (
            "resource: {attributes: [{name: a, value: {b: c}}]}",
            "resource.attributes[0].value: expected a string, a number, true or false, or a list of these, found a mapping",
        ),
        (
            "resource: {attributes: [{name: a, value: b}, {name: c, value: 1, type: string}]}",
            "resource.attributes[1]: its value is no string, as its type says: ",
        ),
        (
            "resource: {attributes: [{name: \"\", value: b}]}",
            "resource: a key is empty, ",
        ),
        (
            "resource: {attributes: [{name: a, value: b}], host.name: c}",
            "resource: has attributes, and \"host.name\" beside it, which is the older way: ",
        ),
        (
            "resource: {attributes: {a: b}}",
            "resource.attributes: expected a list, found a mapping",
        ),
        (
            "resource: {attributes_list: \"a=b\"}",
            "resource.attributes_list: is not supported: ",
        ),
    ] {
        let text = format!(
            "receivers: {{otlp: }}\nexporters: {{debug: }}\nservice:\n  pipelines: {{traces: {{receivers: [otlp], \
             exporters: [debug]}}}}\n  telemetry:\n    {telemetry}\n"
        );
        let Err(errors) = Config::parse(&text, "c.yaml", env) else {
            panic!("{telemetry}: no error");
        };
        let errors = errors.to_string();
        let expected = format!("c.yaml:6: service.telemetry.{told}");
        assert!(errors.starts_with(&expected), "{errors}\n{expected}");
    }
}

/// Whoever asks for what is not done is told.
#[test]
fn what_would_do_nothing_is_told() {
    for (extension, telemetry, told) in [
        (
            "{enabled: false, interval: 5m, exporter_failure_threshold: 5}",
            "",
            None,
        ),
        (
            "{enabled: true}",
            "",
            Some(
                "c.yaml:3: extensions.health_check.check_collector_pipeline.enabled: does nothing here",
            ),
        ),
        ("{}", "logs: {disable_zap_resource: true}", None),
        (
            "{}",
            "logs: {disable_zap_resource: false}",
            Some("c.yaml:4: service.telemetry.logs.disable_zap_resource: does nothing here"),
        ),
    ] {
        let text = format!(
            "receivers: {{otlp: }}\nexporters: {{debug: }}\nextensions: {{health_check: {{check_collector_pipeline: \
             {extension}}}}}\nservice: {{telemetry: {{{telemetry}}}, extensions: [health_check], pipelines: {{traces: \
             {{receivers: [otlp], exporters: [debug]}}}}}}\n"
        );
        super::schema::accepts(&text);
        let read = Config::parse(&text, "c.yaml", env);
        let (_, warnings) = read.unwrap_or_else(|errors| panic!("{text}: {errors}"));
        let shown: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(shown.len(), usize::from(told.is_some()), "{shown:#?}");
        for (shown, told) in shown.iter().zip(told) {
            assert!(shown.starts_with(told), "{shown}");
        }
    }
}

/// A setting of the command line is YAML, too.
#[test]
fn attributes_can_be_set_on_the_command_line() {
    use crate::config::Sources;

    const REST: &str = "yaml:{receivers: {otlp: }, exporters: {debug: }, service: {pipelines: {traces: {receivers: \
                        [otlp], exporters: [debug]}}}}";
    let sources = Sources {
        locations: vec![REST.to_owned()],
        settings: vec![
            "service.telemetry.resource.attributes=[{name: service.name, value: edge}]".to_owned(),
        ],
    };
    let read = Config::load(&sources, env);
    let (config, _) = read.unwrap_or_else(|errors| panic!("{errors}"));
    let labels = config.service.telemetry.resource.labels();
    let edge = ("service_name".to_owned(), "edge".to_owned());
    assert!(labels.contains(&edge), "{labels:?}");
}
