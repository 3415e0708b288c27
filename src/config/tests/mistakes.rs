//! One mistake at a time, and what the person who made it reads.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::config::Config;

const GOOD: &str = "\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
        max_recv_msg_size_mib: 64
processors:
  memory_limiter:
    limit_mib: 512
  artifact:
    store: artifact_store
    threshold: 8KiB
    on_store_failure: forward
exporters:
  otlp_grpc:
    endpoint: 127.0.0.1:14317
    timeout: 5s
    headers: {a: b}
    tls: {insecure: true}
  debug:
    verbosity: normal
extensions:
  artifact_store:
    url: ./data
    refresh: 24h
service:
  extensions: [artifact_store]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, artifact]
      exporters: [otlp_grpc, debug]
";

fn errors(text: &str) -> String {
    match Config::parse(text, "c.yaml", |_| None) {
        Ok(_) => "no error".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// The part of the good configuration that is replaced, by what, and the error.
const MISTAKES: &[(&str, &str, &str)] = &[
    // Syntax.
    (
        "  otlp:\n",
        "  otlp:\n  otlp:\n",
        "c.yaml:3: receivers.otlp: this key already stands in line 2",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: !!str x",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: YAML tags are not supported: write the value without the tag, and in quotes if it is a string",
    ),
    (
        "service:\n",
        "---\nservice:\n",
        "c.yaml:26: a second document: the configuration is one YAML document",
    ),
    // Unknown names.
    (
        "receivers:\n  otlp:",
        "recievers:\n  otlp:",
        "c.yaml:1: has invalid keys: recievers; did you mean \"receivers\"? known are receivers, processors, exporters, connectors, extensions, service",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpont: 127.0.0.1:4317",
        "c.yaml:5: receivers.otlp.protocols.grpc: has invalid keys: endpont; did you mean \"endpoint\"? known are endpoint, transport, max_recv_msg_size_mib, max_items, max_concurrent_streams, max_connections, max_connections_per_address, max_strangers_per_address, keepalive, read_buffer_size, write_buffer_size, tls, auth, include_metadata, middlewares",
    ),
    (
        "      grpc:",
        "      htpp:",
        "c.yaml:4: receivers.otlp.protocols: has invalid keys: htpp; known are grpc, http",
    ),
    (
        "    protocols:",
        "    protocol:",
        "c.yaml:3: receivers.otlp: has invalid keys: protocol; did you mean \"protocols\"? known are protocols",
    ),
    (
        "threshold: 8KiB",
        "treshold: 8KiB",
        "c.yaml:12: processors.artifact: has invalid keys: treshold; did you mean \"threshold\"? known are store, preset, threshold, text_threshold, text_preview, reference, bytes_values, media_types, exclude_media_types, deny_keys, dry_run, delivery, on_store_failure, rules, tenant",
    ),
    (
        "threshold: 8KiB",
        "tenant: {}",
        "c.yaml:12: processors.artifact.tenant: names no tenant: give it a from_context, such as metadata.x-scope-orgid, or a from_attribute, such as tenant.id",
    ),
    (
        "threshold: 8KiB",
        "tenant: {from_context: x-scope-orgid}",
        "c.yaml:12: processors.artifact.tenant.from_context: \"x-scope-orgid\" is no part of a request's context: use metadata. and the name of a header, such as metadata.x-scope-orgid, or auth. and what the authenticator says, such as auth.username",
    ),
    (
        "threshold: 8KiB",
        "tenant: {from_context: metadata.a b}",
        "c.yaml:12: processors.artifact.tenant.from_context: \"a b\" is not a header name",
    ),
    (
        "threshold: 8KiB",
        "tenant: {from_attribute: \"\"}",
        "c.yaml:12: processors.artifact.tenant.from_attribute: must not be empty: name an attribute of the resource, such as tenant.id",
    ),
    (
        "threshold: 8KiB",
        "tenant: {from_attribute: tenant.id, default: Acme}",
        "c.yaml:12: processors.artifact.tenant.default: a tenant has 1 to 64 of the characters a-z, 0-9, _ and -",
    ),
    (
        "  artifact:\n    store",
        "  batch:\n  artifact:\n    store",
        "no error",
    ),
    (
        "processors: [memory_limiter, artifact]",
        "processors: [memory_limiter, batch, artifact]",
        "c.yaml:31: service::pipelines::traces: references processor \"batch\" which is not configured; configured are artifact, memory_limiter",
    ),
    (
        "limit_mib",
        "limit_mb",
        "c.yaml:9: processors.memory_limiter: has invalid keys: limit_mb; did you mean \"limit_mib\"? known are check_interval, limit_mib, spike_limit_mib, limit_percentage, spike_limit_percentage, min_gc_interval_when_soft_limited, min_gc_interval_when_hard_limited, max_gc_interval_when_soft_limited, max_gc_interval_when_hard_limited",
    ),
    (
        "verbosity: normal",
        "verbose: true",
        "c.yaml:21: exporters.debug: has invalid keys: verbose; did you mean \"verbosity\"? known are verbosity, sampling_initial, sampling_thereafter, use_internal_logger, output_paths, reference, bytes_values",
    ),
    (
        "verbosity: normal",
        "output_paths: [stdout, \"syslog://x\"]",
        "c.yaml:21: exporters.debug.output_paths: \"syslog://x\" is neither stderr, stdout nor the path of a file",
    ),
    (
        "verbosity: normal",
        "output_paths: []",
        "c.yaml:21: exporters.debug.output_paths: names no place to print to: stdout, stderr, or the path of a file",
    ),
    (
        "verbosity: normal",
        "sampling_thereafter: -1",
        "c.yaml:21: exporters.debug.sampling_thereafter: must be from 0 to 1000000, found -1",
    ),
    (
        "{insecure: true}",
        "{insecure_skip_verfy: true}",
        "c.yaml:19: exporters.otlp_grpc.tls: has invalid keys: insecure_skip_verfy; did you mean \"insecure_skip_verify\"? known are insecure, insecure_skip_verify, server_name_override, ca_file, ca_pem, cert_file, cert_pem, key_file, key_pem, include_system_ca_certs_pool, min_version, max_version, cipher_suites, curve_preferences, include_insecure_cipher_suites, reload_interval",
    ),
    (
        "refresh: 24h",
        "bucket: x",
        "c.yaml:25: extensions.artifact_store: has invalid keys: bucket; known are url, public_url, timeout, max_concurrent_puts, refresh, known_digests, known_values, spool, catalog, options",
    ),
    (
        "  pipelines:",
        "  telemetries: {}\n  pipelines:",
        "c.yaml:28: service: has invalid keys: telemetries; did you mean \"telemetry\"? known are extensions, pipelines, telemetry",
    ),
    (
        "      receivers: [otlp]",
        "      recievers: [otlp]",
        "c.yaml:30: service.pipelines.traces: has invalid keys: recievers; did you mean \"receivers\"? known are receivers, processors, exporters",
    ),
    (
        "  otlp:\n",
        "  jaeger:\n",
        "c.yaml:2: receivers.jaeger: the receiver type \"jaeger\" is not supported: OTLP is all that comes in here; place slimspan behind a Collector that has this receiver, and remove it",
    ),
    (
        "  otlp:\n",
        "  thrift:\n",
        "c.yaml:2: receivers.thrift: unknown receiver type \"thrift\"; known are otlp",
    ),
    (
        "  memory_limiter:",
        "  filter/2:",
        "c.yaml:8: processors.filter/2: the processor type \"filter\" is not supported: files are all that is changed here; place slimspan before or behind a Collector that does it (see docs/placing.md), and remove it",
    ),
    (
        "  memory_limiter:",
        "  tail_sampling:",
        "c.yaml:8: processors.tail_sampling: the processor type \"tail_sampling\" is not supported: files are all that is changed here; place slimspan before or behind a Collector that does it (see docs/placing.md), and remove it",
    ),
    (
        "  memory_limiter:",
        "  queuebatch:",
        "c.yaml:8: processors.queuebatch: the processor type \"queuebatch\" is not supported: use the processor batch, which lets each sender wait for what becomes of its batch, and the sending_queue of an exporter",
    ),
    (
        "  memory_limiter:",
        "  sieve:",
        "c.yaml:8: processors.sieve: unknown processor type \"sieve\"; known are memory_limiter, artifact, batch",
    ),
    (
        "  debug:",
        "  kafka:",
        "c.yaml:20: exporters.kafka: the exporter type \"kafka\" is not supported: OTLP is all that goes out here; place slimspan before a Collector that has this exporter, and send there with otlp_grpc",
    ),
    (
        "  debug:",
        "  logging:",
        "c.yaml:20: exporters.logging: the exporter type \"logging\" is not supported: use debug, which has taken its place",
    ),
    (
        "  debug:",
        "  pigeon:",
        "c.yaml:20: exporters.pigeon: unknown exporter type \"pigeon\"; known are otlp_grpc (alias otlp), otlp_http (alias otlphttp), debug, file",
    ),
    (
        "  artifact_store:\n",
        "  oidc:\n",
        "c.yaml:23: extensions.oidc: the extension type \"oidc\" is not supported: use bearertokenauth or basicauth, or a proxy before slimspan that knows who sends",
    ),
    (
        "  artifact_store:\n",
        "  oauth2client:\n",
        "c.yaml:23: extensions.oauth2client: the extension type \"oauth2client\" is not supported: use bearertokenauth with filename: a token that another program writes there is used from then on",
    ),
    (
        "  artifact_store:\n",
        "  sigv4auth:\n",
        "c.yaml:23: extensions.sigv4auth: the extension type \"sigv4auth\" is not supported: requests are not signed here; send to a Collector that signs them",
    ),
    (
        "  artifact_store:\n",
        "  lock:\n",
        "c.yaml:23: extensions.lock: unknown extension type \"lock\"; known are artifact_store, artifact_server, file_storage, bearertokenauth, basicauth, headers_setter, health_check, healthcheckv2, zpages, memory_limiter, pprof",
    ),
    (
        "service:\n",
        "connectors:\n  spanmetrics:\nservice:\n",
        "c.yaml:27: connectors.spanmetrics: the connector type \"spanmetrics\" is not supported: requests go from one pipeline to another as they are here; place slimspan before or behind a Collector that has the connector (see docs/placing.md), and remove it",
    ),
    (
        "service:\n",
        "connectors: [forward]\nservice:\n",
        "c.yaml:26: connectors: expected a mapping of connector ids to their configuration",
    ),
    ("service:\n", "connectors: {}\nservice:\n", "no error"),
    ("service:\n", "connectors:\nservice:\n", "no error"),
    (
        "service:\n",
        "connectors:\n  forward:\nservice:\n",
        "no error",
    ),
    (
        "service:\n",
        "connectors:\n  forward: {to: logs}\nservice:\n",
        "c.yaml:27: connectors.forward: has invalid keys: to",
    ),
    (
        "    traces:",
        "    events:",
        "c.yaml:29: service.pipelines.events: unknown signal \"events\"; known are traces, metrics, logs, profiles",
    ),
    (
        "verbosity: normal",
        "verbosity: loud",
        "c.yaml:21: exporters.debug.verbosity: unknown value \"loud\"; known are basic, normal, detailed",
    ),
    (
        "on_store_failure: forward",
        "delivery: later",
        "c.yaml:13: processors.artifact.delivery: unknown value \"later\"; known are sync, background",
    ),
    (
        "refresh: 24h",
        "spool: {on_full: wait}",
        "c.yaml:25: extensions.artifact_store.spool.on_full: unknown value \"wait\"; known are forward, refuse, drop",
    ),
    (
        "refresh: 24h",
        "spool: {max_size: 1GiB}",
        "c.yaml:25: extensions.artifact_store.spool: has invalid keys: max_size; known are directory, max_bytes, max_bytes_per_tenant, max_damaged_bytes, on_full",
    ),
    (
        "refresh: 24h",
        "spool: {directory: ''}",
        "c.yaml:25: extensions.artifact_store.spool.directory: must not be empty: use a path such as ./data/spool",
    ),
    (
        "refresh: 24h",
        "catalog: {retention: {days: 30}}",
        "c.yaml:25: extensions.artifact_store.catalog.retention: has invalid keys: days; known are max_age, by_tenant, grace",
    ),
    (
        "refresh: 24h",
        "catalog: {retention: {max_age: 90d}}",
        "c.yaml:25: extensions.artifact_store.catalog.retention.max_age: \"90d\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "refresh: 24h",
        "catalog: {retention: {by_tenant: {ACME: 1h}}}",
        "c.yaml:25: extensions.artifact_store.catalog.retention.by_tenant.ACME: a tenant has 1 to 64 of the characters a-z, 0-9, _ and -",
    ),
    (
        "on_store_failure: forward",
        "on_store_failure: ignore",
        "c.yaml:13: processors.artifact.on_store_failure: unknown value \"ignore\"; known are forward, refuse, drop",
    ),
    (
        "timeout: 5s",
        "compression: brotli",
        "c.yaml:17: exporters.otlp_grpc.compression: unknown value \"brotli\"; known are gzip, zstd, snappy, none",
    ),
    // TLS.
    (
        "{insecure: true}",
        "{ca_file: a, ca_pem: b}",
        "c.yaml:19: exporters.otlp_grpc.tls.ca_pem: cannot stand beside ca_file: give one of them",
    ),
    (
        "{insecure: true}",
        "{cert_file: a, cert_pem: b, key_file: c}",
        "c.yaml:19: exporters.otlp_grpc.tls.cert_pem: cannot stand beside cert_file: give one of them",
    ),
    (
        "{insecure: true}",
        "{key_file: a, key_pem: b, cert_file: c}",
        "c.yaml:19: exporters.otlp_grpc.tls.key_pem: cannot stand beside key_file: give one of them",
    ),
    (
        "{insecure: true}",
        "{cert_file: a}",
        "c.yaml:19: exporters.otlp_grpc.tls.cert_file: needs its key: add key_file or key_pem",
    ),
    (
        "{insecure: true}",
        "{key_pem: a}",
        "c.yaml:19: exporters.otlp_grpc.tls.key_file: needs its certificate: add cert_file or cert_pem",
    ),
    (
        "{insecure: true}",
        "{min_version: \"1.1\"}",
        "c.yaml:19: exporters.otlp_grpc.tls.min_version: TLS 1.1 is broken and not spoken here: use \"1.2\" or \"1.3\"",
    ),
    (
        "{insecure: true}",
        "{max_version: tls13}",
        "c.yaml:19: exporters.otlp_grpc.tls.max_version: \"tls13\" is not a version: use \"1.2\" or \"1.3\"",
    ),
    (
        "{insecure: true}",
        "{min_version: 1.3, max_version: 1.2}",
        "c.yaml:19: exporters.otlp_grpc.tls.max_version: is older than min_version, so no version is left",
    ),
    (
        "{insecure: true}",
        "{cipher_suites: [RC4]}",
        "c.yaml:19: exporters.otlp_grpc.tls.cipher_suites[0]: \"RC4\" is not a cipher suite that is spoken here; known are TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    (
        "{insecure: true}",
        "{curve_preferences: [X25519, P521]}",
        "c.yaml:19: exporters.otlp_grpc.tls.curve_preferences[1]: \"P521\" is not supported: what does the cryptography here has no such curve; use X25519, P256, P384 or X25519MLKEM768",
    ),
    (
        "{insecure: true}",
        "{curve_preferences: [x25519]}",
        "c.yaml:19: exporters.otlp_grpc.tls.curve_preferences[0]: unknown value \"x25519\"; did you mean \"X25519\"? known are X25519, P256, P384, X25519MLKEM768",
    ),
    (
        "{insecure: true}",
        "{curve_preferences: [X25519MLKEM768], max_version: \"1.2\"}",
        "c.yaml:19: exporters.otlp_grpc.tls.curve_preferences: X25519MLKEM768 is of TLS 1.3, and max_version is 1.2: add X25519, P256 or P384",
    ),
    (
        "{insecure: true}",
        "{reload_interval: often}",
        "c.yaml:19: exporters.otlp_grpc.tls.reload_interval: \"often\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "{insecure: true}",
        "{tpm: {enabled: true}}",
        "c.yaml:19: exporters.otlp_grpc.tls.tpm: is not supported: keys in a TPM cannot be used; give the key as key_file or key_pem",
    ),
    (
        "{insecure: true}",
        "{include_insecure_cipher_suites: true}",
        "c.yaml:19: exporters.otlp_grpc.tls.include_insecure_cipher_suites: no insecure cipher suite is spoken here: remove it, or say false",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "tls: {key_file: a}",
        "c.yaml:6: receivers.otlp.protocols.grpc.tls.cert_file: is required: the certificate to show to senders, or cert_pem",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "tls: {cert_pem: a}",
        "c.yaml:6: receivers.otlp.protocols.grpc.tls.key_file: is required: the key of the certificate, or key_pem",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "tls: {cert_file: a, key_file: b, client_ca_file: c, client_ca_pem: d}",
        "c.yaml:6: receivers.otlp.protocols.grpc.tls.client_ca_pem: cannot stand beside client_ca_file: give one of them",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "tls: {cert_file: a, key_file: b, client_ca_file_reload: true}",
        "c.yaml:6: receivers.otlp.protocols.grpc.tls.client_ca_file_reload: there is no client_ca_file that could change",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "tls: {cert_file: a, key_file: b, ca_files: c}",
        "c.yaml:6: receivers.otlp.protocols.grpc.tls: has invalid keys: ca_files; did you mean \"ca_file\"? known are cert_file, cert_pem, key_file, key_pem, client_ca_file, client_ca_pem, client_ca_file_reload, min_version, max_version, cipher_suites, curve_preferences, include_insecure_cipher_suites, reload_interval, ca_file, ca_pem, include_system_ca_certs_pool",
    ),
    // Ids.
    (
        "  debug:",
        "  1debug:",
        "c.yaml:20: exporters.1debug: \"1debug\" is not a component type: use at most 63 letters, digits and _, and a letter first",
    ),
    (
        "  debug:",
        "  debug/:",
        "c.yaml:20: exporters.debug/: the name after the slash must have 1 to 1024 characters, none of them white space or control characters",
    ),
    (
        "receivers: [otlp]",
        "receivers: [\"ot lp\"]",
        "c.yaml:30: service.pipelines.traces.receivers[0]: \"ot lp\" is not a component type: use at most 63 letters, digits and _, and a letter first",
    ),
    (
        "    traces:",
        "    traces/a b:",
        "c.yaml:29: service.pipelines.traces/a b: the name after the slash must have 1 to 1024 characters, none of them white space or control characters",
    ),
    // Wrong types.
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: \"64\"",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found string \"64\"",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: 6.4",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found a number with a fraction or too large",
    ),
    (
        "{insecure: true}",
        "{insecure: yes}",
        "c.yaml:19: exporters.otlp_grpc.tls.insecure: expected a boolean, found string \"yes\"",
    ),
    (
        "{insecure: true}",
        "true",
        "c.yaml:19: exporters.otlp_grpc.tls: expected a mapping, found boolean `true`",
    ),
    (
        "{a: b}",
        "[a, b]",
        "c.yaml:18: exporters.otlp_grpc.headers[0]: expected a mapping, found a string",
    ),
    (
        "{a: b}",
        "[{name: a, value: b}, {name: A, value: c}]",
        "c.yaml:18: exporters.otlp_grpc.headers: \"a\" is given twice, in different spellings",
    ),
    (
        "{a: b}",
        "[{name: a}]",
        "c.yaml:18: exporters.otlp_grpc.headers[0]: the field \"value\" is required",
    ),
    (
        "{a: b}",
        "{a: [b]}",
        "c.yaml:18: exporters.otlp_grpc.headers.a: expected a string, found a list",
    ),
    (
        "receivers: [otlp]",
        "receivers: otlp",
        "c.yaml:30: service.pipelines.traces.receivers: expected a list, found a string",
    ),
    (
        "extensions: [artifact_store]",
        "extensions: {artifact_store: }",
        "c.yaml:27: service.extensions: expected a list, found a mapping",
    ),
    (
        "url: ./data",
        "url: [./data]",
        "c.yaml:24: extensions.artifact_store.url: expected a string, found a list",
    ),
    (
        "  debug:\n    verbosity: normal",
        "  debug: normal",
        "c.yaml:20: exporters.debug: expected a mapping, found a string",
    ),
    // Values out of range.
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: -7",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: must be from 1 to 1024, found -7",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: 1025",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: must be from 1 to 1024, found 1025",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: 18446744073709551617",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: must be from 1 to 1024, found 18446744073709551617",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_concurrent_streams: 1000001",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_concurrent_streams: must be from 1 to 1000000, found 1000001",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_connections: 0",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_connections: must be from 1 to 1000000, found 0",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_connections_per_address: 0",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_connections_per_address: must be from 1 to 1000000, found 0",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_strangers_per_address: 0",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_strangers_per_address: must be from 1 to 1000000, found 0",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "transport: unix",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"127.0.0.1:4317\" is an address, and with transport: unix this is the path of a socket: use one such as /run/otel.sock, or transport: tcp",
    ),
    (
        "endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64",
        "{endpoint: /run/otel.sock, transport: unix}",
        "no error",
    ),
    (
        "endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64",
        "{endpoint: otel.sock, transport: unix}",
        "no error",
    ),
    (
        "endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64",
        "{endpoint: \"unix:///run/otel.sock\", transport: unix}",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"unix:///run/otel.sock\" is not the path of a socket: write the path alone, such as /run/otel.sock",
    ),
    (
        "endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64",
        "{endpoint: \"@otel\", transport: unix}",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"@otel\" is a name without a file, whose permissions would say who may send: use a path such as /run/otel.sock",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: /run/otel.sock",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"/run/otel.sock\" is not an address: to listen on a Unix socket write transport: unix, and its path alone, such as /run/otel.sock",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: unix:///run/otel.sock",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"unix:///run/otel.sock\" is not an address: to listen on a Unix socket write transport: unix, and its path alone, such as /run/otel.sock",
    ),
    ("max_recv_msg_size_mib: 64", "transport: tcp4", "no error"),
    (
        "max_recv_msg_size_mib: 64",
        "transport: tcp6",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: 127.0.0.1:4317 is not of the IP version of transport: tcp6: use an address such as [::]:4317, or transport: tcp",
    ),
    (
        "endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64",
        "{endpoint: \"[::]:4317\", transport: tcp4}",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: [::]:4317 is not of the IP version of transport: tcp4: use an address such as 0.0.0.0:4317, or transport: tcp",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "transport: udp",
        "c.yaml:6: receivers.otlp.protocols.grpc.transport: unknown value \"udp\"; known are tcp, tcp4, tcp6, unix",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "middlewares: [{id: memory_limiter}]",
        "c.yaml:6: receivers.otlp.protocols.grpc.middlewares[0].id: references extension \"memory_limiter\" which is not configured; configured are artifact_store",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "middlewares: [{id: artifact_store}]",
        "c.yaml:6: receivers.otlp.protocols.grpc.middlewares[0].id: references extension \"artifact_store\" which is not a memory_limiter, and nothing else stands before receivers here",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "keepalive: {max_connection_age: 1h}",
        "c.yaml:6: receivers.otlp.protocols.grpc.keepalive: has invalid keys: max_connection_age; known are server_parameters, enforcement_policy",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "keepalive: {server_parameters: {max_connection_age_grace: -5s}}",
        "c.yaml:6: receivers.otlp.protocols.grpc.keepalive.server_parameters.max_connection_age_grace: \"-5s\" is negative: a duration is 0 or more",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "keepalive: {server_parameters: {time: -5s}}",
        "c.yaml:6: receivers.otlp.protocols.grpc.keepalive.server_parameters.time: \"-5s\" is negative: a duration is 0 or more",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "keepalive: {server_parameters: {max_age: 1h}}",
        "c.yaml:6: receivers.otlp.protocols.grpc.keepalive.server_parameters: has invalid keys: max_age; known are max_connection_idle, max_connection_age, max_connection_age_grace, time, timeout",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "keepalive: {enforcement_policy: {min_time: 5}}",
        "c.yaml:6: receivers.otlp.protocols.grpc.keepalive.enforcement_policy.min_time: \"5\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "limit_mib: 512",
        "limit_mib: 15",
        "c.yaml:9: processors.memory_limiter.limit_mib: must be from 16 to 16777216, found 15",
    ),
    (
        "limit_mib: 512",
        "limit_mib: -1",
        "c.yaml:9: processors.memory_limiter.limit_mib: must be from 16 to 16777216, found -1",
    ),
    (
        "threshold: 8KiB",
        "threshold: 8 potatoes",
        "c.yaml:12: processors.artifact.threshold: \"8 potatoes\" is not a size: use a number with a unit such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "threshold: 0",
        "c.yaml:12: processors.artifact.threshold: must be 1 byte or more, such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "threshold: -8KiB",
        "c.yaml:12: processors.artifact.threshold: \"-8KiB\" is negative: a size is 1 byte or more",
    ),
    (
        "timeout: 5s",
        "timeout: 5",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"5\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "timeout: 5s",
        "timeout: -5s",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"-5s\" is negative: a duration is 0 or more",
    ),
    (
        "timeout: 5s",
        "sending_queue: { storage: file_storage }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.storage: references extension \"file_storage\" which is not configured; configured are artifact_store",
    ),
    (
        "timeout: 5s",
        "sending_queue: { storage: artifact_store }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.storage: references extension \"artifact_store\" which is not a file_storage",
    ),
    (
        "timeout: 5s",
        "sending_queue: { queue_size: 0 }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.queue_size: must be from 1 to 1000000000000, found 0",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { enabled: never } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.enabled: expected a boolean, found string \"never\"",
    ),
    (
        "verbosity: normal",
        "sending_queue: { queue_size: 5 }",
        "c.yaml:21: exporters.debug.sending_queue: is not supported: what arrives is printed at once, and nothing waits for that; remove it",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "dialer: { keep_alive: 5s }",
        "c.yaml:6: receivers.otlp.protocols.grpc.dialer: is not supported: a listener connects to nobody; remove it",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { min_sizes: 100 } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch: has invalid keys: min_sizes; did you mean \"min_size\"? known are flush_timeout, min_size, max_size, sizer, partition",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { sizer: requests } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.sizer: unknown value \"requests\"; known are items, bytes",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { flush_timeout: 0s } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.flush_timeout: must be longer than 0, such as 5s",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { max_size: 100 } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.max_size: must be 0 or at least min_size, which is 8192",
    ),
    (
        "timeout: 5s",
        "sending_queue: { sizer: items, batch: {} }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.min_size: must be at most queue_size, which is 1000: the queue holds no more",
    ),
    (
        "timeout: 5s",
        "sending_queue: { sizer: bytes, queue_size: 9, batch: { min_size: 10 } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.min_size: must be at most queue_size, which is 9: the queue holds no more",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { partition: { metadata_keys: [x-team] } } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.partition.metadata_keys: wants the header x-team of senders, and no receiver shows it: set include_metadata: true in a receiver of its pipelines",
    ),
    (
        "timeout: 5s",
        "sending_queue: { batch: { partition: { metadata_keys: [a, A] } } }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.batch.partition.metadata_keys: \"a\" is given twice",
    ),
    (
        "timeout: 5s",
        "balancer_name: xds",
        "c.yaml:17: exporters.otlp_grpc.balancer_name: unknown value \"xds\"; known are round_robin, pick_first",
    ),
    (
        "timeout: 5s",
        "wait_for_ready: soon",
        "c.yaml:17: exporters.otlp_grpc.wait_for_ready: expected a boolean, found string \"soon\"",
    ),
    (
        "timeout: 5s",
        "authority: backend/x",
        "c.yaml:17: exporters.otlp_grpc.authority: \"backend/x\" is not the name of a backend: use host or host:port, such as backend.example.com",
    ),
    (
        "timeout: 5s",
        "authority: \":4317\"",
        "c.yaml:17: exporters.otlp_grpc.authority: \":4317\" is not the name of a backend: use host or host:port, such as backend.example.com",
    ),
    (
        "timeout: 5s",
        "authority: me:hunter2@backend",
        "c.yaml:17: exporters.otlp_grpc.authority: a user or password does not belong here: send credentials as headers",
    ),
    (
        "timeout: 5s",
        "user_agent: \"a\\nb\"",
        "c.yaml:17: exporters.otlp_grpc.user_agent: has a character that a header cannot carry, such as a line break",
    ),
    (
        "timeout: 5s",
        "middlewares: [{id: a}]",
        "c.yaml:17: exporters.otlp_grpc.middlewares: is not supported: nothing stands between an exporter and its backend; remove it",
    ),
    (
        "timeout: 5s",
        "keepalive: {time: -5s}",
        "c.yaml:17: exporters.otlp_grpc.keepalive.time: \"-5s\" is negative: a duration is 0 or more",
    ),
    (
        "timeout: 5s",
        "keepalive: {time: 10s, min_time: 1s}",
        "c.yaml:17: exporters.otlp_grpc.keepalive: has invalid keys: min_time; known are time, timeout, permit_without_stream",
    ),
    (
        "timeout: 5s",
        "read_buffer_size: 512KiB",
        "c.yaml:17: exporters.otlp_grpc.read_buffer_size: expected a whole number, found string \"512KiB\"",
    ),
    (
        "limit_mib: 512",
        "min_gc_interval_when_soft_limited: 10",
        "c.yaml:9: processors.memory_limiter.min_gc_interval_when_soft_limited: \"10\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "limit_mib: 512",
        "max_gc_interval_when_hard_limited: -1s",
        "c.yaml:9: processors.memory_limiter.max_gc_interval_when_hard_limited: \"-1s\" is negative: a duration is 0 or more",
    ),
    (
        "timeout: 5s",
        "sending_queue: { storage: artifact_store, wait_for_result: true, enabled: false }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.storage: references extension \"artifact_store\" which is not a file_storage",
    ),
    (
        "timeout: 5s",
        "dead_letters: { directory: '' }",
        "c.yaml:17: exporters.otlp_grpc.dead_letters.directory: must not be empty: use a path such as ./data/dead_letters, or null to keep nothing",
    ),
    (
        "timeout: 5s",
        "retry_on_failure: { randomization_factor: 1.5 }",
        "c.yaml:17: exporters.otlp_grpc.retry_on_failure.randomization_factor: 1.5 is not from 0 to 1, such as 0.5",
    ),
    (
        "timeout: 5s",
        "retry_on_failure: { multiplier: 0.5 }",
        "c.yaml:17: exporters.otlp_grpc.retry_on_failure.multiplier: 0.5 is less than 1: intervals must not shrink, such as 1.5",
    ),
    (
        "timeout: 5s",
        "retry_on_failure: { max_elapsed_time: 10s }",
        "c.yaml:17: exporters.otlp_grpc.retry_on_failure.max_elapsed_time: 10s is less than the 30s of max_interval; 0 retries for ever",
    ),
    (
        "timeout: 5s",
        "retry_on_failure: { initial_interval: 0 }",
        "c.yaml:17: exporters.otlp_grpc.retry_on_failure.initial_interval: must be longer than 0, such as 5s",
    ),
    (
        "refresh: 24h",
        "refresh: -24h",
        "c.yaml:25: extensions.artifact_store.refresh: \"-24h\" is negative: a duration is 0 or more",
    ),
    (
        "refresh: 24h",
        "max_concurrent_puts: 0",
        "c.yaml:25: extensions.artifact_store.max_concurrent_puts: must be from 1 to 1024, found 0",
    ),
    (
        "refresh: 24h",
        "known_values: -1",
        "c.yaml:25: extensions.artifact_store.known_values: must be from 0 to 1000000000, found -1",
    ),
    (
        "refresh: 24h",
        "known_digests: -1",
        "c.yaml:25: extensions.artifact_store.known_digests: must be from 0 to 1000000000, found -1",
    ),
    (
        "url: ./data",
        "url: ''",
        "c.yaml:24: extensions.artifact_store.url: must not be empty: use a path such as ./data/artifacts or a URL such as s3://bucket",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: 4317",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"4317\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: unix:///run/otel.sock",
        "no error",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: unix://run/otel.sock",
        "c.yaml:16: exporters.otlp_grpc.endpoint: \"unix://run/otel.sock\" has a host before the path of its socket: use unix:///path with three slashes, or unix:path where it is not a whole path",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: \"unix-abstract:\"",
        "c.yaml:16: exporters.otlp_grpc.endpoint: is no name of a socket: use unix-abstract:name with at most 107 bytes on Linux, and elsewhere unix:///path",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: xds:///x",
        "c.yaml:16: exporters.otlp_grpc.endpoint: unknown scheme \"xds\": use host:port, http://host:port or https://host:port",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: dns://10.0.0.1/host:1",
        "c.yaml:16: exporters.otlp_grpc.endpoint: names are looked up as this machine does it, and not at a server of its own: use dns:///host:port, or host:port",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: dns:///host:1",
        "no error",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint: http://me:hunter2@host:1",
        "c.yaml:16: exporters.otlp_grpc.endpoint: a user or password does not belong here: send credentials as headers",
    ),
    (
        "{a: b}",
        "{\"a b\": c}",
        "c.yaml:18: exporters.otlp_grpc.headers: \"a b\" is not a header name",
    ),
    (
        "{a: b}",
        "{a: \"hunter2\\n\"}",
        "c.yaml:18: exporters.otlp_grpc.headers: the value of \"a\" has a character that a header cannot carry, such as a line break",
    ),
    (
        "{a: b}",
        "{a: b, A: b}",
        "c.yaml:18: exporters.otlp_grpc.headers: \"a\" is given twice, in different spellings",
    ),
    (
        "{a: b}",
        "\"authorization=hunter2\"",
        "c.yaml:18: exporters.otlp_grpc.headers: expected a mapping of names to values, found a string",
    ),
    // What is moved, and how it is referred to.
    (
        "threshold: 8KiB",
        "text_threshold: 0",
        "c.yaml:12: processors.artifact.text_threshold: must be 1 byte or more, such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "text_threshold: much",
        "c.yaml:12: processors.artifact.text_threshold: \"much\" is not a size: use a number with a unit such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "text_preview: 2KiB",
        "c.yaml:12: processors.artifact.text_preview: must be at most 1024 bytes, found 2048",
    ),
    (
        "threshold: 8KiB",
        "text_preview: -1",
        "c.yaml:12: processors.artifact.text_preview: \"-1\" is negative: a size is 0 or more",
    ),
    (
        "threshold: 8KiB",
        "reference: link",
        "c.yaml:12: processors.artifact.reference: unknown value \"link\"; known are native, object, uri, semconv, logfire",
    ),
    (
        "threshold: 8KiB",
        "media_types: image/*",
        "c.yaml:12: processors.artifact.media_types: expected a list, found a string",
    ),
    (
        "threshold: 8KiB",
        "media_types: [image/*, audio]",
        "c.yaml:12: processors.artifact.media_types[1]: \"audio\" fits no media type: write type/subtype, such as image/png or image/*",
    ),
    (
        "threshold: 8KiB",
        "exclude_media_types: ['']",
        "c.yaml:12: processors.artifact.exclude_media_types[0]: must not be empty: * stands for any text, ? for one character",
    ),
    (
        "threshold: 8KiB",
        "deny_keys: [a, ' ']",
        "c.yaml:12: processors.artifact.deny_keys[1]: must not be empty: * stands for any text, ? for one character",
    ),
    (
        "threshold: 8KiB",
        "deny_keys: [a, [b]]",
        "c.yaml:12: processors.artifact.deny_keys[1]: expected a string, found a list",
    ),
    (
        "threshold: 8KiB",
        "dry_run: yes",
        "c.yaml:12: processors.artifact.dry_run: expected a boolean, found string \"yes\"",
    ),
    (
        "threshold: 8KiB",
        "rules: {attributes: [a]}",
        "c.yaml:12: processors.artifact.rules: expected a list, found a mapping",
    ),
    (
        "threshold: 8KiB",
        "rules: [{action: keep}]",
        "c.yaml:12: processors.artifact.rules[0]: the field \"attributes\" is required",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [], action: keep}]",
        "c.yaml:12: processors.artifact.rules[0].attributes: must name at least one key, such as \"http.request.body*\"",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a, ''], action: keep}]",
        "c.yaml:12: processors.artifact.rules[0].attributes[1]: must not be empty: * stands for any text, ? for one character",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], action: skip}]",
        "c.yaml:12: processors.artifact.rules[0].action: unknown value \"skip\"; known are move, keep, drop",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], thresold: 1}]",
        "c.yaml:12: processors.artifact.rules[0]: has invalid keys: thresold; did you mean \"threshold\"? known are attributes, action, threshold, text_threshold",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], threshold: 0}]",
        "c.yaml:12: processors.artifact.rules[0].threshold: must be 1 byte or more, such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], text_threshold: x}]",
        "c.yaml:12: processors.artifact.rules[0].text_threshold: \"x\" is not a size: use a number with a unit such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "rules:\n    - {attributes: [b], action: drop}\n    - attributes: [a]",
        "c.yaml:14: processors.artifact.rules[1]: changes nothing: give it an action (keep or drop), a threshold or a text_threshold",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], action: move}]",
        "c.yaml:12: processors.artifact.rules[0].action: changes nothing: files are moved anyway, and no rule follows from which these attributes would be an exception",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], action: keep, threshold: 1KiB}]",
        "c.yaml:12: processors.artifact.rules[0].threshold: has no effect beside action: keep, which leaves files of every size: remove one",
    ),
    (
        "threshold: 8KiB",
        "rules: [{attributes: [a], action: keep, text_threshold: 1KiB}]",
        "c.yaml:12: processors.artifact.rules[0].text_threshold: has no effect beside action: keep, which leaves files of every size: remove one",
    ),
    // Where references lead.
    (
        "refresh: 24h",
        "public_url: artifacts.example.com",
        "c.yaml:25: extensions.artifact_store.public_url: is not a URL: use one such as https://artifacts.example.com",
    ),
    (
        "refresh: 24h",
        "public_url: s3://bucket",
        "c.yaml:25: extensions.artifact_store.public_url: unknown scheme \"s3\": use http:// or https://",
    ),
    (
        "refresh: 24h",
        "public_url: https://example.com/a?b=c",
        "c.yaml:25: extensions.artifact_store.public_url: must end with its path: references add to it",
    ),
    (
        "refresh: 24h",
        "public_url: https://example.com/#a",
        "c.yaml:25: extensions.artifact_store.public_url: must end with its path: references add to it",
    ),
    (
        "refresh: 24h",
        "public_url: https://me:hunter2@example.com",
        "c.yaml:25: extensions.artifact_store.public_url: must not have a user or password: it stands in every reference",
    ),
    (
        "refresh: 24h",
        "public_url: [https://example.com]",
        "c.yaml:25: extensions.artifact_store.public_url: expected a string, found a list",
    ),
    // Missing values.
    (
        "    endpoint: 127.0.0.1:14317\n",
        "",
        "c.yaml:15: exporters.otlp_grpc: the field \"endpoint\" is required",
    ),
    (
        "    store: artifact_store\n",
        "",
        "c.yaml:10: processors.artifact: the field \"store\" is required",
    ),
    (
        "    url: ./data\n",
        "",
        "c.yaml:23: extensions.artifact_store: the field \"url\" is required",
    ),
    (
        "endpoint: 127.0.0.1:14317",
        "endpoint:",
        "c.yaml:16: exporters.otlp_grpc.endpoint: expected a string, found null",
    ),
    (
        "{a: b}",
        "{a: \"${env:TOKEN}\"}",
        "c.yaml:18: exporters.otlp_grpc.headers.a: expected a string, found null, because the environment variable TOKEN is not set",
    ),
    (
        "url: ./data",
        "url: ${file:x}",
        "c.yaml:24: extensions.artifact_store.url: `${file:x}` cannot be read: No such file or directory (os error 2)",
    ),
    (
        "url: ./data",
        "url: a${env:X",
        "c.yaml:24: extensions.artifact_store.url: `${` has no closing `}`; a literal `${` is written `$${`",
    ),
    // What must hold between the parts.
    (
        "receivers: [otlp]",
        "receivers: [otlp, otlp/x]",
        "c.yaml:30: service::pipelines::traces: references receiver \"otlp/x\" which is not configured; did you mean \"otlp\"? configured are otlp",
    ),
    (
        "[memory_limiter, artifact]",
        "[memory_limiter,\n        batch, artifact]",
        "c.yaml:32: service::pipelines::traces: references processor \"batch\" which is not configured; configured are artifact, memory_limiter",
    ),
    (
        "[otlp_grpc, debug]",
        "[otlp]",
        "c.yaml:32: service::pipelines::traces: references exporter \"otlp\" which is not configured; did you mean \"otlp_grpc\"? configured are debug, otlp_grpc",
    ),
    (
        "extensions: [artifact_store]",
        "extensions: [artifact_store, zpages]",
        "c.yaml:27: service::extensions: references extension \"zpages\" which is not configured; configured are artifact_store",
    ),
    (
        "store: artifact_store\n",
        "store: artifact_store/x\n",
        "c.yaml:11: processors.artifact.store: references extension \"artifact_store/x\" which is not configured; did you mean \"artifact_store\"? configured are artifact_store",
    ),
    (
        "extensions: [artifact_store]",
        "extensions: []",
        "c.yaml:23: extensions.artifact_store: would not be started: add \"artifact_store\" to service.extensions",
    ),
    (
        "receivers: [otlp]",
        "receivers: []",
        "c.yaml:29: service.pipelines.traces: must have at least one receiver",
    ),
    (
        "[otlp_grpc, debug]",
        "",
        "c.yaml:29: service.pipelines.traces: must have at least one exporter",
    ),
    (
        "[memory_limiter, artifact]",
        "[memory_limiter, artifact, artifact]",
        "c.yaml:31: service.pipelines.traces.processors: \"artifact\" is listed twice",
    ),
    (
        "[otlp_grpc, debug]",
        "[debug, debug]",
        "c.yaml:32: service.pipelines.traces.exporters: \"debug\" is listed twice",
    ),
    (
        "limit_mib: 512",
        "limit_mib: 255",
        "c.yaml:9: processors.memory_limiter.limit_mib: 255 is too little for requests of 64 MiB: set it to at least 256, four times receivers.otlp.protocols.grpc.max_recv_msg_size_mib, or lower that",
    ),
    (
        "processors:\n  memory",
        "  otlp/b:\nprocessors:\n  memory",
        "c.yaml:7: receivers.otlp/b.protocols.grpc.endpoint: 127.0.0.1:4317 is already the endpoint of receivers.otlp.protocols.grpc",
    ),
    // What slimspan says of itself.
    (
        "  pipelines:",
        "  telemetry: {traces: {propagators: [b3]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.propagators[0]: \"b3\" is not supported: only the traceparent of W3C is read; remove it",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {propagators: [tracecontext, baggage]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.propagators[1]: \"baggage\" is not supported: nothing here looks at the baggage of senders; remove it",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {sampler: {}}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.sampler: takes exactly one of always_on, always_off, trace_id_ratio_based and parent_based, such as trace_id_ratio_based: {ratio: 0.1}",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {sampler: {parent_based: {root: {always_on: , always_off: }}}}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.sampler.parent_based.root: takes exactly one of always_on, always_off, trace_id_ratio_based and parent_based, such as trace_id_ratio_based: {ratio: 0.1}",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {processors: [{simple: {}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.processors[0].simple: is not supported: spans are sent many at a time, so that no request waits for one; use batch",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {processors: [{batch: {exporter: {otlp: {protocol: grpc, endpoint: nowhere}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.processors[0].batch.exporter.otlp.endpoint: \"nowhere\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {processors: [{batch: {max_queue_size: 5, exporter: {otlp: {protocol: http/protobuf, endpoint: \"http://x:1\"}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.processors[0].batch.max_export_batch_size: 512 is more than the 5 of max_queue_size, so that no batch is ever full",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {processors: [{batch: {exporter: {otlp: {protocol: grpc, endpoint: \"http://x:1\", headers_list: \"a=1,hunter2\"}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.processors[0].batch.exporter.otlp.headers_list: its entry 2 is not name=value",
    ),
    (
        "  pipelines:",
        "  telemetry: {traces: {processors: [{batch: {exporter: {otlp: {protocol: grpc, endpoint: \"http://x:1\", certificate: ca.pem}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.traces.processors[0].batch.exporter.otlp.certificate: has no effect without TLS: use https://, or remove it",
    ),
    (
        "  pipelines:",
        "  telemetry: {resource: {\"\": x}}\n  pipelines:",
        "c.yaml:28: service.telemetry.resource: a key is empty, and Prometheus reads no label without a name",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {level: loud}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.level: unknown value \"loud\"; known are none, basic, normal, detailed",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic: the field \"exporter\" is required",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {interval: 0, exporter: {otlp: {protocol: grpc, endpoint: \"a:1\"}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.interval: must be from 1 to 86400000, found 0",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: nowhere}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.exporter.otlp.endpoint: \"nowhere\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: http/protobuf, endpoint: \"http://x:1\", certificate: ca.pem}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.exporter.otlp.certificate: has no effect without TLS: use https://, or remove it",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: \"https://x:1\", client_key: k.pem}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.exporter.otlp.client_key: needs its certificate: add client_certificate",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {exporter: {otlp: {protocol: grpc, endpoint: \"a:1\", temporality_preference: delta}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.exporter.otlp.temporality_preference: is not supported: what is sent counts from the start of the process, which is cumulative; remove it",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{periodic: {exporter: {console: {}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].periodic.exporter.console: is not supported: what slimspan says of itself is not printed; use otlp, or level: debug of logs",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0]: takes exactly one of pull and periodic",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{push: {}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0]: has invalid keys: push; known are pull, periodic",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {views: [{selector: {instrument_name: a}, stream: {aggregation: {drop: }}}]}}\n  pipelines:",
        "no error",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {views: [{selector: {instrument_name: a}, stream: {attribute_keys: {excluded: [b]}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.views[0].stream.attribute_keys: is not supported: a metric is told with all of its labels or not at all; remove it, and drop labels where metrics are read, such as by metric_relabel_configs of Prometheus",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {views: [{selector: {instrument_name: a}, stream: {aggregation: {explicit_bucket_histogram: {}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.views[0].stream.aggregation.explicit_bucket_histogram: is not supported: histograms have the buckets that they have; use drop, or remove the view",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {views: [{selector: {meter_name: a}, stream: {aggregation: {drop: {}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.views[0].selector.meter_name: is not supported: metrics have no scopes here; name them by instrument_name",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {with_resource_constant_labels: {included: [a]}}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].pull.exporter.prometheus.with_resource_constant_labels: is not supported: what is in resource are labels of target_info; remove it, and join that in queries",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {without_unit: true}}}}]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.readers[0].pull.exporter.prometheus: has invalid keys: without_unit; did you mean \"without_units\"? known are host, port, without_type_suffix, without_units, without_scope_info",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {address: \"127.0.0.1:4317\"}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.address: 127.0.0.1:4317 is already the endpoint of receivers.otlp.protocols.grpc",
    ),
    (
        "  pipelines:",
        "  telemetry: {metrics: {address: \"[::1]:1\", readers: []}}\n  pipelines:",
        "c.yaml:28: service.telemetry.metrics.address: readers says it, too: remove address, which is the older way",
    ),
    (
        "  pipelines:",
        "  telemetry: {logs: {output_paths: [\"syslog://x\"]}}\n  pipelines:",
        "c.yaml:28: service.telemetry.logs.output_paths: \"syslog://x\" is neither stderr, stdout nor the path of a file",
    ),
    (
        "  pipelines:",
        "  telemetry: {logs: {initial_fields: {msg: x}}}\n  pipelines:",
        "c.yaml:28: service.telemetry.logs.initial_fields: \"msg\" is what each line has by itself; take another name",
    ),
    (
        "extensions:\n",
        "extensions:\n  health_check: {path: /ready}\n",
        "c.yaml:23: extensions.health_check.path: \"/ready\" has an answer of its own; take another path",
    ),
    (
        "extensions:\n",
        "extensions:\n  health_check: {transport: unix}\n",
        "c.yaml:23: extensions.health_check.transport: \"unix\" is not supported: who asks comes over TCP; use tcp, and an endpoint on 127.0.0.1 for those of this machine",
    ),
    (
        "extensions:\n",
        "extensions:\n  health_check: {auth: {authenticator: basicauth}}\n",
        "c.yaml:23: extensions.health_check.auth: is not supported: whoever can connect is answered; remove it, and listen where only those can who may ask, or have tls with a client_ca_file",
    ),
    (
        "extensions:\n",
        "extensions:\n  zpages: {read_timeout: 10s}\n",
        "c.yaml:23: extensions.zpages.read_timeout: is not supported: who asks gets a short answer in a short time, whatever is configured; remove it",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, http: {cors: {allowed_origins: [\"*\"]}}}\n",
        "c.yaml:23: extensions.healthcheckv2.http.cors: is not supported: no page of another origin reads what is told here; remove it",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, grpc: {keepalive: {}}}\n",
        "c.yaml:23: extensions.healthcheckv2.grpc.keepalive: is not supported: who asks gets a short answer in a short time, whatever is configured; remove it",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {http: }\n",
        "c.yaml:23: extensions.healthcheckv2.http: holds with use_v2: true alone: add that, or write its endpoint beside it",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {path: /ready}\n",
        "c.yaml:23: extensions.healthcheckv2.path: \"/ready\" has an answer of its own; take another path",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true}\n",
        "c.yaml:23: extensions.healthcheckv2.use_v2: needs to know what to serve: add http or grpc with nothing behind it, or more",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, http: , path: /x}\n",
        "c.yaml:23: extensions.healthcheckv2.path: holds without use_v2 alone: http has endpoint, transport, tls and status.path",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, http: {config: {enabled: true}}}\n",
        "c.yaml:23: extensions.healthcheckv2.http.config.enabled: would show the configuration to whoever asks, and no listener here does; remove it, and use slimspan print-config",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, http: {status: {path: status}}}\n",
        "c.yaml:23: extensions.healthcheckv2.http.status.path: \"status\" is not a path: it begins with / and has letters, digits, -, _, . and ~",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, http: {tls: {}}}\n",
        "c.yaml:23: extensions.healthcheckv2.http.tls.cert_file: is required: the certificate to show to senders, or cert_pem",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {grpc: }\n",
        "c.yaml:23: extensions.healthcheckv2.grpc: holds with use_v2: true alone: add that",
    ),
    (
        "extensions:\n",
        "extensions:\n  healthcheckv2: {use_v2: true, grpc: {transport: unix}}\n",
        "c.yaml:23: extensions.healthcheckv2.grpc.transport: \"unix\" is not supported: who asks comes over TCP; use tcp, and an endpoint on 127.0.0.1 for those of this machine",
    ),
    (
        "    refresh: 24h\nservice:\n  extensions: [artifact_store]\n",
        "  healthcheckv2: {use_v2: true, http: , grpc: {endpoint: \"127.0.0.1:13133\"}}\nservice:\n  extensions: [artifact_store, healthcheckv2]\n",
        "c.yaml:25: extensions.healthcheckv2.grpc.endpoint: 127.0.0.1:13133 is already the endpoint of extensions.healthcheckv2.http",
    ),
    // More of YAML itself.
    (
        "    protocols:",
        "\tprotocols:",
        "c.yaml:3: receivers.otlp: not valid YAML: tabs disallowed within this context (block indentation)",
    ),
    (
        "receivers: [otlp]",
        "receivers: [otlp",
        "c.yaml:31: service.pipelines.traces.receivers[0]: not valid YAML: illegal placement of ':' indicator",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: \"127.0.0.1:4317",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: not valid YAML: invalid indentation in quoted scalar",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: *address",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: not valid YAML: while parsing node, found unknown anchor",
    ),
    (
        "url: ./data",
        "url: &url [*url]",
        "c.yaml:24: extensions.artifact_store.url[0]: an alias must not stand inside the value that it stands for",
    ),
    (
        "{a: b}",
        "{<<: *nothing}",
        "c.yaml:18: exporters.otlp_grpc.headers.<<: not valid YAML: while parsing node, found unknown anchor",
    ),
    (
        "{a: b}",
        "{[a]: b}",
        "c.yaml:18: exporters.otlp_grpc.headers: a key must be a single word, not a list or mapping",
    ),
    (
        "{a: b}",
        "{a: b, a: c}",
        "c.yaml:18: exporters.otlp_grpc.headers.a: this key already stands in line 18",
    ),
    (
        "url: ./data",
        "url: !include other.yaml",
        "c.yaml:24: extensions.artifact_store.url: YAML tags are not supported: write the value without the tag, and in quotes if it is a string",
    ),
    (
        "limit_mib: 512",
        "limit_mib: 512\n    limit_mib: 513",
        "c.yaml:10: processors.memory_limiter.limit_mib: this key already stands in line 9",
    ),
    (
        "    limit_mib: 512",
        "      limit_mib: 512\n    check_interval: 1s",
        "c.yaml:10: processors: not valid YAML: while parsing a block mapping, did not find expected key",
    ),
    (
        "timeout: 5s",
        "timeout:5s",
        "c.yaml:18: exporters.otlp_grpc: not valid YAML: simple key expect ':'",
    ),
    // More names that are not known.
    (
        "exporters:\n  otlp_grpc:",
        "exporter:\n  otlp_grpc:",
        "c.yaml:14: has invalid keys: exporter; did you mean \"exporters\"? known are receivers, processors, exporters, connectors, extensions, service",
    ),
    (
        "processors:\n  memory_limiter:",
        "connectors:\n  forwards:\nprocessors:\n  memory_limiter:",
        "c.yaml:8: connectors.forwards: unknown connector type \"forwards\"; did you mean \"forward\"? known are forward",
    ),
    (
        "  otlp_grpc:\n",
        "  otlp_grcp:\n",
        "c.yaml:15: exporters.otlp_grcp: unknown exporter type \"otlp_grcp\"; did you mean \"otlp_grpc\"? known are otlp_grpc (alias otlp), otlp_http (alias otlphttp), debug, file",
    ),
    (
        "  memory_limiter:",
        "  memory-limiter:",
        "c.yaml:8: processors.memory-limiter: \"memory-limiter\" is not a component type: use at most 63 letters, digits and _, and a letter first",
    ),
    (
        "  artifact_store:\n",
        "  artefact_store:\n",
        "c.yaml:23: extensions.artefact_store: unknown extension type \"artefact_store\"; did you mean \"artifact_store\"? known are artifact_store, artifact_server, file_storage, bearertokenauth, basicauth, headers_setter, health_check, healthcheckv2, zpages, memory_limiter, pprof",
    ),
    (
        "    traces:",
        "    trace:",
        "c.yaml:29: service.pipelines.trace: unknown signal \"trace\"; did you mean \"traces\"? known are traces, metrics, logs, profiles",
    ),
    (
        "[otlp_grpc, debug]",
        "[otlp_grpc, Debug]",
        "c.yaml:32: service::pipelines::traces: references exporter \"Debug\" which is not configured; did you mean \"debug\"? configured are debug, otlp_grpc",
    ),
    (
        "verbosity: normal",
        "verbosity: Normal",
        "c.yaml:21: exporters.debug.verbosity: unknown value \"Normal\"; did you mean \"normal\"? known are basic, normal, detailed",
    ),
    (
        "timeout: 5s",
        "compression: gzp",
        "c.yaml:17: exporters.otlp_grpc.compression: unknown value \"gzp\"; did you mean \"gzip\"? known are gzip, zstd, snappy, none",
    ),
    (
        "timeout: 5s",
        "sending_queue: { sizer: request }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.sizer: unknown value \"request\"; did you mean \"requests\"? known are requests, items, bytes",
    ),
    (
        "timeout: 5s",
        "sending_queue: { queue_length: 10 }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue: has invalid keys: queue_length; known are enabled, num_consumers, queue_size, sizer, block_on_overflow, wait_for_result, storage, batch",
    ),
    (
        "timeout: 5s",
        "retry_on_failure: { max_retries: 10 }",
        "c.yaml:17: exporters.otlp_grpc.retry_on_failure: has invalid keys: max_retries; known are enabled, initial_interval, randomization_factor, multiplier, max_interval, max_elapsed_time",
    ),
    (
        "timeout: 5s",
        "dead_letters: { folder: ./x }",
        "c.yaml:17: exporters.otlp_grpc.dead_letters: has invalid keys: folder; known are directory, max_bytes",
    ),
    (
        "on_store_failure: forward",
        "reference: url",
        "c.yaml:13: processors.artifact.reference: unknown value \"url\"; known are native, object, uri, semconv, logfire",
    ),
    // More units and ranges.
    (
        "timeout: 5s",
        "timeout: 5 s",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"5 s\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "timeout: 5s",
        "timeout: 5sec",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"5sec\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "timeout: 5s",
        "timeout: 1d",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"1d\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "timeout: 5s",
        "timeout: 9999999999h",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"9999999999h\" is too long: a duration is at most 292 years",
    ),
    (
        "timeout: 5s",
        "timeout: true",
        "c.yaml:17: exporters.otlp_grpc.timeout: \"true\" is not a duration: use a number with a unit such as 5s, 200ms or 1h30m",
    ),
    (
        "threshold: 8KiB",
        "threshold: 8Kb/s",
        "c.yaml:12: processors.artifact.threshold: \"8Kb/s\" is not a size: use a number with a unit such as 8KiB",
    ),
    (
        "threshold: 8KiB",
        "threshold: 99999999999EiB",
        "c.yaml:12: processors.artifact.threshold: \"99999999999EiB\" is too large",
    ),
    (
        "threshold: 8KiB",
        "threshold: 5s",
        "c.yaml:12: processors.artifact.threshold: \"5s\" is not a size: use a number with a unit such as 8KiB",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: 64MiB",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found string \"64MiB\"",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: 1e3",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found a number with a fraction or too large",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_items: 100000001",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_items: must be from 1 to 100000000, found 100000001",
    ),
    (
        "timeout: 5s",
        "sending_queue: { num_consumers: 1001 }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.num_consumers: must be from 1 to 1000, found 1001",
    ),
    (
        "timeout: 5s",
        "sending_queue: { storage: file/storage x }",
        "c.yaml:17: exporters.otlp_grpc.sending_queue.storage: the name after the slash must have 1 to 1024 characters, none of them white space or control characters",
    ),
    (
        "limit_mib: 512",
        "limit_percentage: 101",
        "c.yaml:9: processors.memory_limiter.limit_percentage: must be from 1 to 100, found 101",
    ),
    (
        "limit_mib: 512",
        "spike_limit_mib: 600",
        "c.yaml:8: processors.memory_limiter: spike_limit_mib is a part of limit_mib and must be less: 600 is not less than 512",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: 127.0.0.1:70000",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"127.0.0.1:70000\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    (
        "endpoint: 127.0.0.1:4317",
        "endpoint: 127.0.0.1",
        "c.yaml:5: receivers.otlp.protocols.grpc.endpoint: \"127.0.0.1\" is not an address: use host:port, such as 127.0.0.1:4317",
    ),
    // More substitutions.
    (
        "url: ./data",
        "url: ${env:}",
        "c.yaml:24: extensions.artifact_store.url: `${env:}`: \"\" is not the name of an environment variable: use letters, digits and _, and no digit first",
    ),
    (
        "url: ./data",
        "url: ${URL:-./data}",
        "c.yaml:24: extensions.artifact_store.url: `${URL:-./data}`: unknown scheme \"URL\"; a default needs the scheme, as in ${env:URL:-./data}",
    ),
    (
        "url: ./data",
        "url: ${https://example.org/url}",
        "c.yaml:24: extensions.artifact_store.url: `${https:…}`: https: is not supported: slimspan fetches no configuration over a network, where it could change or be missing at the next start; fetch it before, such as with curl -o collector.yaml URL, and give the file",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: ${env:MIB:-many}",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found string \"many\"",
    ),
    (
        "max_recv_msg_size_mib: 64",
        "max_recv_msg_size_mib: '${yaml:[64]}'",
        "c.yaml:6: receivers.otlp.protocols.grpc.max_recv_msg_size_mib: expected a whole number, found a list",
    ),
    (
        "    verbosity: normal",
        "    ${yaml:verbosity}: normal",
        "c.yaml:21: exporters.debug: has invalid keys: ${yaml:verbosity}; known are verbosity, sampling_initial, sampling_thereafter, use_internal_logger, output_paths, reference, bytes_values",
    ),
];

#[test]
fn each_mistake_is_told_with_its_line_and_path() {
    assert_eq!(errors(GOOD), "no error");
    let mut differences = Vec::new();
    for (right, wrong, expected) in MISTAKES {
        assert_eq!(GOOD.matches(right).count(), 1, "{right} is not unique");
        let told = errors(&GOOD.replace(right, wrong));
        if told != *expected {
            differences.push(format!(
                "{wrong}:\n  expected {expected}\n  told     {told}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Every mistake is one of its own, with words of its own.
#[test]
fn at_least_sixty_mistakes_are_explained() {
    let mistakes = MISTAKES.iter().filter(|(.., told)| *told != "no error");
    let (mut texts, mut words) = (BTreeSet::new(), BTreeSet::new());
    for (right, wrong, told) in mistakes {
        assert!(texts.insert((right, wrong)), "{wrong} stands here twice");
        assert!(told.starts_with("c.yaml:"), "{told}: no line");
        // Where it is does not tell one kind of mistake from another.
        words.insert(told.split_once(' ').map(|(_, told)| told));
    }
    assert!(texts.len() >= 60, "{} mistakes", texts.len());
    assert!(words.len() >= 60, "{} kinds of mistakes", words.len());
}

/// Words of the mistakes that no schema can see: those of YAML itself, of substitutions, of the order of
/// numbers and the meaning of texts, and those between the parts.
const UNSEEN: &[&str] = &[
    "already stands in line",
    "YAML tags are not supported",
    "a second document",
    "is not set",
    "`${",
    "references ",
    "is listed twice",
    "would not be started",
    "has an answer of its own",
    "holds with use_v2: true alone",
    "holds without use_v2 alone",
    "needs to know what to serve",
    "would show the configuration to whoever asks",
    "is not a path: it begins with /",
    "must have at least one",
    "is too little for",
    "is already the endpoint of",
    "is an address, and with transport: unix",
    "is not the path of a socket",
    "is a name without a file",
    "is not of the IP version",
    "is not a header name",
    "has a character that a header cannot carry",
    "is given twice, in different spellings",
    "is a part of",
    "is less than the 30s",
    "max_recv_msg_size_mib",
    "changes nothing",
    "has no effect beside",
    "must not be empty: *",
    "names no tenant",
    "a key is empty",
    "readers says it, too",
    "is neither stderr, stdout nor",
    "names no place to print to",
    "is what each line has by itself",
    "needs its ",
    "is older than min_version",
    "X25519MLKEM768 is of TLS 1.3",
    "is not name=value",
    "is required: ",
    "there is no client_ca_file",
    "must be at most 1024 bytes",
    "127.0.0.1:70000",
    "not valid YAML",
    "must not stand inside the value",
    "a key must be a single word",
    "cannot stand beside",
    "`${yaml",
    "is too long",
    "is too large",
    "so that no batch is ever full",
    "must be 0 or at least min_size",
    "must be at most queue_size",
    "and no receiver shows it",
    "\"a\" is given twice",
    "has no effect without TLS",
    "\"nowhere\" is not an address",
];

#[test]
fn the_schema_sees_the_mistakes_that_a_schema_can_see() {
    assert_eq!(super::schema::complaint(GOOD), None);
    let (mut seen, mut missed) = (0, Vec::new());
    for (right, wrong, expected) in MISTAKES {
        // Some are almost mistakes.
        let unseen = *expected == "no error" || UNSEEN.iter().any(|words| expected.contains(words));
        let is_seen = super::schema::complaint(&GOOD.replace(right, wrong)).is_some();
        if !is_seen && !unseen {
            missed.push(format!("{wrong}: {expected}"));
        }
        seen += usize::from(is_seen);
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(seen > 60, "{seen}");
}

/// What is wrong with an HTTP listener in the place of the gRPC one.
#[test]
fn mistakes_of_an_http_listener() {
    let grpc = "      grpc:\n        endpoint: 127.0.0.1:4317\n        max_recv_msg_size_mib: 64\n";
    let at = "c.yaml:5: receivers.otlp.protocols.http";
    for (http, expected) in [
        ("http:", "no error".to_owned()),
        (
            "grpc: {endpoint: \"[::1]:4318\"}\n      http: {endpoint: \"[::1]:4318\"}",
            "c.yaml:5: receivers.otlp.protocols.http.endpoint: [::1]:4318 is already the endpoint of receivers.otlp.protocols.grpc".to_owned(),
        ),
        (
            "http: {max_request_body_size: 1025MiB}",
            "c.yaml:4: receivers.otlp.protocols.http.max_request_body_size: must be from 1 B to 1.0 GiB, found 1.0 GiB".to_owned(),
        ),
        (
            "http: {max_request_body_size: -1}",
            "c.yaml:4: receivers.otlp.protocols.http.max_request_body_size: \"-1\" is negative: a size is 1 byte or more".to_owned(),
        ),
        (
            "http:\n        max_request_body_size: 129MiB",
            "c.yaml:8: processors.memory_limiter.limit_mib: 512 is too little for requests of 129 MiB: set it to at least 516, four times receivers.otlp.protocols.http.max_request_body_size, or lower that".to_owned(),
        ),
        (
            "http:\n        traces_url_path: v1/traces",
            format!("{at}.traces_url_path: \"v1/traces\" is not the path of a URL: use one such as /v1/traces"),
        ),
        (
            "http:\n        logs_url_path: /v1/logs?x",
            format!("{at}.logs_url_path: \"/v1/logs?x\" is not the path of a URL: use one such as /v1/traces"),
        ),
        (
            "http:\n        logs_url_path: /v1/traces",
            format!("{at}.logs_url_path: /v1/traces is also traces_url_path: a path is of one signal"),
        ),
        (
            "http:\n        compression_algorithms: [br]",
            format!("{at}.compression_algorithms[0]: unknown value \"br\"; known are \"\", gzip, zstd, zlib, deflate, snappy, x-snappy-framed, lz4"),
        ),
        (
            "http:\n        compression_algorithms: []",
            format!("{at}.compression_algorithms: leaves no body that is taken: \"\" stands for those that are not compressed"),
        ),
        (
            "http:\n        cors: {allowed_headers: [a b]}",
            format!("{at}.cors.allowed_headers: \"a b\" is not a header name"),
        ),
        (
            "http:\n        cors: {allowed_origins: [\"\"]}",
            format!("{at}.cors.allowed_origins[0]: must not be empty: * stands for any text, ? for one character"),
        ),
        (
            "http:\n        response_headers: {a b: c}",
            format!("{at}.response_headers: \"a b\" is not a header name"),
        ),
        (
            "http:\n        read_header_timeout: -5s",
            format!("{at}.read_header_timeout: \"-5s\" is negative: a duration is 0 or more"),
        ),
        // What is off is away, and what comes behind it stays where it is.
        (
            "grpc: {enabled: false}\n      http: {max_items: 0}",
            "c.yaml:5: receivers.otlp.protocols.http.max_items: must be from 1 to 100000000, found 0".to_owned(),
        ),
        (
            "http:\n        tls:\n          enabled: false\n          cert_file: a\n        max_items: 0",
            "c.yaml:8: receivers.otlp.protocols.http.max_items: must be from 1 to 100000000, found 0".to_owned(),
        ),
        (
            "http:\n        cors:\n          max_age: 5\n          enabled: maybe",
            "c.yaml:7: receivers.otlp.protocols.http.cors.enabled: expected a boolean, found string \"maybe\"".to_owned(),
        ),
        (
            "http:\n        middlewares: [{id: x}]",
            format!("{at}.middlewares[0].id: references extension \"x\" which is not configured; configured are artifact_store"),
        ),
        (
            "http:\n        read_timeouts: 0",
            "c.yaml:5: receivers.otlp.protocols.http: has invalid keys: read_timeouts; did you mean \"read_timeout\"? known are endpoint, transport, max_request_body_size, max_items, max_connections, max_connections_per_address, max_strangers_per_address, traces_url_path, metrics_url_path, logs_url_path, compression_algorithms, cors, response_headers, read_timeout, write_timeout, read_header_timeout, idle_timeout, keep_alives_enabled, tls, auth, include_metadata, middlewares, artifact_server".to_owned(),
        ),
    ] {
        let text = GOOD.replace(grpc, &format!("      {http}\n"));
        assert_eq!(errors(&text), expected, "{http}");
    }
    for nothing in [
        "",
        " {}",
        " {grpc: {enabled: false, max_items: many}, http: {enabled: false}}",
    ] {
        let text = GOOD.replace(
            &format!("    protocols:\n{grpc}"),
            &format!("    protocols:{nothing}\n"),
        );
        assert_eq!(
            errors(&text),
            "c.yaml:3: receivers.otlp.protocols: names no protocol: add grpc, http or both, or leave protocols out for both"
        );
    }
}

#[test]
fn two_limits_of_memory() {
    const OTHER: &str = "c.yaml:24: extensions.memory_limiter/x: has another limit than \
                         processors.memory_limiter, and all requests share one: give both the same, or \
                         remove one of them";
    const LITTLE: &str = "c.yaml:24: extensions.memory_limiter/x.limit_mib: 200 is too little for requests of \
                          64 MiB: set it to at least 256, four times \
                          receivers.otlp.protocols.grpc.max_recv_msg_size_mib, or lower that";
    let size = "max_recv_msg_size_mib: 64";
    for (limit_mib, processors, expected) in [
        (600, "[memory_limiter, artifact]", OTHER),
        (512, "[memory_limiter, artifact]", "no error"),
        (600, "[artifact]", "no error"),
        (200, "[artifact]", LITTLE),
    ] {
        let text = GOOD
            .replace(
                size,
                &format!("{size}\n        middlewares: [{{id: memory_limiter/x}}]"),
            )
            .replace(
                "\nextensions:\n",
                &format!("\nextensions:\n  memory_limiter/x: {{limit_mib: {limit_mib}}}\n"),
            )
            .replace(
                "extensions: [artifact_store]",
                "extensions: [artifact_store, memory_limiter/x]",
            )
            .replace("[memory_limiter, artifact]", processors);
        assert_eq!(errors(&text), expected, "{limit_mib} {processors}");
    }
}

#[test]
fn two_artifact_processors_in_one_pipeline() {
    let text = GOOD
        .replace(
            "exporters:\n  otlp_grpc:",
            "  artifact/2: {store: artifact_store}\nexporters:\n  otlp_grpc:",
        )
        .replace(
            "[memory_limiter, artifact]",
            "[memory_limiter, artifact, artifact/2]",
        );
    assert_eq!(
        errors(&text),
        "c.yaml:32: service.pipelines.traces.processors: \"artifact\" and \"artifact/2\" are both \
         artifact processors, and a pipeline has at most one"
    );
}

/// What waits in a spool is for one store, and every artifact has to fit.
#[test]
fn a_spool_is_of_one_store_and_large_enough() {
    let with = |delivery: &str, spool: &str| {
        let text = GOOD
            .replace(
                "on_store_failure: forward",
                &format!("delivery: {delivery}"),
            )
            .replace(
                "    refresh: 24h\n",
                &format!("    spool: {spool}\n  artifact_store/b:\n    url: ./other\n"),
            )
            .replace("[artifact_store]", "[artifact_store, artifact_store/b]");
        errors(&text)
    };
    let shared = "c.yaml:25: extensions.artifact_store.spool.directory: ./data/spool is also the spool of extensions.artifact_store/b: give each store a folder of its own";
    let small = "c.yaml:25: extensions.artifact_store.spool.max_bytes: 127.0 MiB is too little for requests of 64 MiB: set it to at least 128MiB, or lower max_recv_msg_size_mib";
    for (delivery, spool, expected) in [
        ("background", "{}", shared),
        ("background", "{directory: ./a, max_bytes: 127MiB}", small),
        (
            "background",
            "{directory: ./a, max_bytes: 128MiB}",
            "no error",
        ),
        // Nothing goes into it.
        ("sync", "{max_bytes: 1}", "no error"),
    ] {
        assert_eq!(with(delivery, spool), expected);
    }
}

/// What a replica counts as stored is not removed meanwhile.
#[test]
fn a_grace_is_longer_than_files_count_as_stored() {
    let with = |refresh: &str, retention: &str| {
        let text = format!("refresh: {refresh}\n    catalog: {{retention: {{{retention}}}}}");
        errors(&GOOD.replace("refresh: 24h", &text))
    };
    let short = "c.yaml:26: extensions.artifact_store.catalog.retention.grace: 24h is too short: a replica counts a file as stored for 24h without asking for it (refresh), so it has to be at least 25h";
    for (refresh, retention, expected) in [
        ("24h", "max_age: 90h, grace: 24h", short),
        ("24h", "by_tenant: {acme: 90h}, grace: 24h", short),
        ("24h", "max_age: 90h, grace: 25h", "no error"),
        ("23h", "max_age: 90h, grace: 24h", "no error"),
        // Nothing is ever removed.
        ("24h", "by_tenant: {acme: 0}, grace: 24h", "no error"),
    ] {
        assert_eq!(with(refresh, retention), expected, "{refresh} {retention}");
    }
}

#[test]
fn an_empty_configuration_lacks_everything() {
    for text in ["", "receivers:\nexporters: {}\nservice: ~\n"] {
        let text = errors(text);
        let messages: Vec<_> = text
            .lines()
            .map(|line| line.split_once(": ").unwrap().1)
            .collect();
        assert_eq!(
            messages,
            [
                "receivers: at least one receiver must be configured",
                "exporters: at least one exporter must be configured",
                "service.pipelines: at least one pipeline must be configured",
            ]
        );
    }
}

#[test]
fn sections_must_be_mappings() {
    let table = [
        ("- a", "c.yaml:1: expected a mapping"),
        (
            "receivers: [otlp]",
            "c.yaml:1: receivers: expected a mapping of receiver ids to their configuration",
        ),
        (
            "service: x",
            "c.yaml:1: service: expected a mapping, found a string",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(errors(text), expected);
    }
}

#[test]
fn all_mistakes_are_told_in_the_order_of_the_file() {
    let values = GOOD
        .replace("timeout: 5s", "timeout: 5")
        .replace("threshold: 8KiB", "threshold: x")
        .replace("24h", "x");
    assert_eq!(lines(&values), ["c.yaml:12", "c.yaml:17", "c.yaml:25"]);
    let references = GOOD
        .replace("limit_mib: 512", "limit_mib: 127")
        .replace("extensions: [artifact_store]", "extensions: []")
        .replace("[otlp_grpc, debug]", "[kafka]");
    assert_eq!(lines(&references), ["c.yaml:9", "c.yaml:23", "c.yaml:32"]);
}

fn lines(text: &str) -> Vec<String> {
    errors(text)
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(place, _)| place.to_owned())
        .collect()
}

#[test]
fn the_artifact_processor_may_stand_in_a_metrics_pipeline() {
    assert_eq!(
        errors(&GOOD.replace("    traces:", "    metrics:")),
        "no error"
    );
}

#[test]
fn listeners_on_port_0_do_not_collide() {
    let text = GOOD.replace("127.0.0.1:4317", "127.0.0.1:0").replace(
        "processors:\n  memory",
        "  otlp/b: {protocols: {grpc: {endpoint: \"127.0.0.1:0\"}}}\nprocessors:\n  memory",
    );
    assert_eq!(errors(&text), "no error");
}

#[test]
fn an_unused_receiver_may_take_requests_of_any_size() {
    let unused = "  otlp/b: {protocols: {grpc: {endpoint: \"127.0.0.1:0\", max_recv_msg_size_mib: 1024}}}\nprocessors:\n  memory";
    let text = GOOD
        .replace("on_store_failure: forward", "delivery: background")
        .replace(
            "    refresh: 24h\n",
            "    spool: {directory: ./a, max_bytes: 128MiB}\n",
        )
        .replace("processors:\n  memory", unused);
    assert_eq!(errors(&text), "no error");
    let used = text.replace("receivers: [otlp]", "receivers: [otlp, otlp/b]");
    assert_eq!(lines(&used), ["c.yaml:10", "c.yaml:26"]);
}

#[test]
fn an_unused_memory_limiter_may_be_small() {
    let text = GOOD
        .replace("limit_mib: 512", "limit_mib: 16")
        .replace("[memory_limiter, artifact]", "[artifact]");
    assert_eq!(errors(&text), "no error");
}

#[test]
fn mistakes_of_the_file_exporter() {
    let told = |file: &str| {
        errors(
            &GOOD
                .replace(
                    "  debug:\n    verbosity: normal",
                    &format!("  file: {file}"),
                )
                .replace(
                    "exporters: [otlp_grpc, debug]",
                    "exporters: [otlp_grpc, file]",
                ),
        )
    };
    assert_eq!(
        told("{path: a, rotation: , format: proto, compression: zstd}"),
        "no error"
    );
    assert_eq!(
        told("{path: a, compression: \"\"}"),
        "no error",
        "the Collector's default"
    );
    for (file, mistake) in [
        ("", "the field \"path\" is required"),
        ("{path: \"\"}", "path: must not be empty"),
        ("{path: a, format: text}", "format: unknown value"),
        ("{path: a, compression: gzip}", "compression: unknown value"),
        (
            "{path: a, flush_interval: 0}",
            "flush_interval: must be longer than 0",
        ),
        (
            "{path: a, rotation: {max_megabytes: 0}}",
            "rotation.max_megabytes: must be from 1",
        ),
        (
            "{path: a, rotation: {max_backups: -1}}",
            "rotation.max_backups: must be from 0",
        ),
        (
            "{path: a, rotation: {max_size: 1}}",
            "rotation: has invalid keys: max_size",
        ),
        (
            "{path: a, rotation: {}, append: false}",
            "append: cannot be false with a rotation",
        ),
        (
            "{path: a, directory_permissions: \"0700\"}",
            "directory_permissions: needs create_directory",
        ),
        (
            "{path: a, create_directory: true, directory_permissions: \"0788\"}",
            "directory_permissions: \"0788\" is not what",
        ),
        (
            "{path: a, create_directory: true, directory_permissions: \"1777\"}",
            "directory_permissions: \"1777\" is not what",
        ),
    ] {
        let told = told(file);
        assert!(
            told.contains("exporters.file") && told.contains(mistake),
            "{file}: {told}"
        );
    }
}

proptest! {
    /// Whatever is done to the text, the answer is a configuration or errors with a line.
    #[test]
    fn no_text_makes_it_panic(
        at in 0..GOOD.len(),
        removed in 0..40_usize,
        inserted in r#"[-\[\]{}:,&*!|>'"%@`#?$\t\n a0~.<\\]{0,8}"#,
    ) {
        let (before, after) = GOOD.split_at(at);
        let after = after.get(removed..).unwrap_or_default();
        if let Err(errors) = Config::parse(&format!("{before}{inserted}{after}"), "c.yaml", |_| None) {
            prop_assert!(!errors.0.is_empty());
            for error in errors.0 {
                prop_assert!(error.line.is_some_and(|line| line > 0), "{}", error);
            }
        }
    }
}

/// The keys of an `otlp_http` exporter, and the error.
const OVER_HTTP: &[(&str, &str)] = &[
    ("{endpoint: http://host:4318}", "no error"),
    ("{traces_endpoint: http://host/otlp?a=b}", "no error"),
    (
        "",
        "c.yaml:3: exporters.otlp_http: has neither an endpoint nor a traces_endpoint",
    ),
    (
        "{logs_endpoint: http://host}",
        "c.yaml:3: exporters.otlp_http: has neither an endpoint nor a traces_endpoint",
    ),
    (
        "{endpoint: host:4318}",
        "c.yaml:3: exporters.otlp_http.endpoint: has no scheme: use http://host:port or https://host:port",
    ),
    (
        "{endpoint: https://me:hunter2@host}",
        "c.yaml:3: exporters.otlp_http.endpoint: a user or password does not belong here: send credentials as headers",
    ),
    (
        "{endpoint: https://host?key=hunter2}",
        "c.yaml:3: exporters.otlp_http.endpoint: a query does not belong here, because the paths of the signals follow: give whole URLs as traces_endpoint, metrics_endpoint, logs_endpoint and profiles_endpoint",
    ),
    (
        "{endpoint: http://host, proxy_url: ftp://me:hunter2@proxy}",
        "c.yaml:3: exporters.otlp_http.proxy_url: unknown scheme \"ftp\": use http://host:port, https://host:port or socks5://host:port",
    ),
    (
        "{endpoint: http://host, encoding: xml}",
        "c.yaml:3: exporters.otlp_http.encoding: unknown value \"xml\"; known are proto, json",
    ),
    (
        "{endpoint: http://host, compression_params: {level: 10}}",
        "c.yaml:3: exporters.otlp_http.compression_params.level: must be from 1 to 9, found 10",
    ),
    (
        "{endpoint: http://host, compression_params: {level: -2}}",
        "c.yaml:3: exporters.otlp_http.compression_params.level: must be from 1 to 22, found -2",
    ),
    (
        "{endpoint: http://host, compression: zstd, compression_params: {level: 23}}",
        "c.yaml:3: exporters.otlp_http.compression_params.level: must be from 1 to 22, found 23",
    ),
    (
        "{endpoint: http://host, headers: {Content-Type: text/plain}}",
        "c.yaml:3: exporters.otlp_http.headers: \"content-type\" is for the exporter to set: remove it",
    ),
    (
        "{endpoint: http://host, encoding: json, headers: {content-type: application/x-protobuf}}",
        "c.yaml:3: exporters.otlp_http.headers: \"content-type\" is for the exporter to set: remove it",
    ),
    (
        "{endpoint: http://host, headers: {content-encoding: gzip}}",
        "c.yaml:3: exporters.otlp_http.headers: \"content-encoding\" is for the exporter to set: remove it",
    ),
    (
        "{endpoint: http://host, max_idle_conns_per_host: -1}",
        "c.yaml:3: exporters.otlp_http.max_idle_conns_per_host: ",
    ),
    (
        "{endpoint: https://host, proxy_url: http://proxy, tls: {server_name_override: a}}",
        "c.yaml:3: exporters.otlp_http.tls.server_name_override: cannot be used with a proxy_url, which would be asked for that host",
    ),
    (
        "{endpoint: https://host, tls: {server_name_override: 10.0.0.7}}",
        "c.yaml:3: exporters.otlp_http.tls.server_name_override: \"10.0.0.7\" is an address: give the name that the certificate has",
    ),
    (
        "{endpoint: http://host, middlewares: [{id: a}]}",
        "c.yaml:3: exporters.otlp_http.middlewares: is not supported: nothing stands between an exporter and its backend; remove it",
    ),
    (
        "{endpoint: http://host, max_elapsed_time: 5s}",
        "c.yaml:3: exporters.otlp_http: has invalid keys: max_elapsed_time; known are",
    ),
    (
        "{endpoint: http://host, sending_queue: {storage: file_storage}}",
        "c.yaml:3: exporters.otlp_http.sending_queue.storage: references extension \"file_storage\" which is not configured",
    ),
];

#[test]
fn every_mistake_in_an_exporter_over_http_is_explained() {
    for (keys, error) in OVER_HTTP {
        let found = errors(&format!(
            "receivers: {{otlp: }}\nexporters:\n  otlp_http: {keys}\nservice:\n  pipelines:\n    \
             traces: {{receivers: [otlp], exporters: [otlp_http]}}\n"
        ));
        assert!(found.trim_end().starts_with(error), "{keys}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}

/// The exporters of a pipeline for profiles, what its processors are, and the error.
const OF_PROFILES: &[(&str, &str, &str)] = &[
    (
        "otlp_http: {endpoint: http://host:4318}",
        "memory_limiter",
        "no error",
    ),
    (
        "otlp_http: {profiles_endpoint: http://host/in}",
        "",
        "no error",
    ),
    ("file: {path: a, format: proto}", "", "no error"),
    ("debug:", "", "no error"),
    (
        "otlp_http: {endpoint: http://host:4318}",
        "batch",
        "c.yaml:7: service.pipelines.profiles.processors: \"batch\" does not support profiles, which pass as they are: remove this processor",
    ),
    (
        "otlp_http: {endpoint: http://host:4318}",
        "artifact",
        "c.yaml:7: service.pipelines.profiles.processors: \"artifact\" does not support profiles, which pass as they are: remove this processor",
    ),
    (
        "otlp_http: {traces_endpoint: http://host:4318}",
        "",
        "c.yaml:5: exporters.otlp_http: has neither an endpoint nor a profiles_endpoint",
    ),
    (
        "otlp_http: {endpoint: http://host:4318, encoding: json}",
        "",
        "c.yaml:5: exporters.otlp_http.encoding: cannot be json in the pipeline \"profiles\", because profiles are not written as JSON: use encoding: proto, or another exporter for them",
    ),
    (
        "file: {path: a}",
        "",
        "c.yaml:5: exporters.file.format: cannot be json in the pipeline \"profiles\", because profiles are not written as JSON: use format: proto, or another exporter for them",
    ),
];

#[test]
fn every_mistake_in_a_pipeline_for_profiles_is_explained() {
    for (exporter, processors, error) in OF_PROFILES {
        let id = exporter.split(':').next().unwrap();
        let found = errors(&format!(
            "receivers: {{otlp: }}\nprocessors: {{memory_limiter: , batch: , artifact: {{store: \
             artifact_store}}}}\nextensions: {{artifact_store: {{url: ./data}}}}\nexporters:\n  \
             {exporter}\nservice: {{extensions: [artifact_store], pipelines:\n    {{profiles: \
             {{receivers: [otlp], processors: [{processors}], exporters: [{id}]}}}}}}\n"
        ));
        assert!(found.trim_end().starts_with(error), "{exporter}: {found}");
    }
    let found = errors(&GOOD.replace(
        "      grpc:\n",
        "      http: {logs_url_path: /v1development/profiles}\n      grpc:\n",
    ));
    let error = "c.yaml:4: receivers.otlp.protocols.http.logs_url_path: /v1development/profiles is \
                 where profiles are sent to: a path is of one signal";
    assert!(found.starts_with(error), "{found}");
}
