//! The same of exporters: keys that have nothing to do here at all, and keys that others switch off.

use super::buffers;
use crate::config::Config;
use crate::config::components::{Component as _, ExporterConfig};
use crate::config::path::KeyPath;
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::otlp_http::config::{Compression, OtlpHttpConfig};
use crate::tls::config::TlsClientConfig;

/// A key, and why it does nothing.
type Idle = (KeyPath, &'static str);

/// The keys of exporters that are set and do nothing.
pub(super) fn idle(config: &Config) -> Vec<Idle> {
    let mut idle = Vec::new();
    for (id, exporter) in &config.exporters {
        let path = KeyPath::of([ExporterConfig::SECTION]).key(id);
        match exporter {
            ExporterConfig::OtlpGrpc(grpc) => idle.extend(of_grpc(&path, grpc)),
            ExporterConfig::OtlpHttp(http) => idle.extend(of_http(&path, http)),
            ExporterConfig::Debug(debug) => {
                if debug.use_internal_logger.is_some() {
                    let why = "does nothing here: what arrives goes to output_paths, and the log is kept apart";
                    idle.push((path.key("use_internal_logger"), why));
                }
            }
            ExporterConfig::File(_) => {}
        }
    }
    idle
}

fn of_grpc(path: &KeyPath, grpc: &OtlpGrpcConfig) -> Vec<Idle> {
    let keys = [
        (
            "endpoint",
            grpc.endpoint.tls == Some(false) && !grpc.tls.insecure,
            "is plain text, as its http:// says, where a Collector speaks TLS: write tls: {insecure: true}, too, \
             or https://",
        ),
        (
            "balancer_name",
            grpc.balancer_name.is_some(),
            "does nothing here: one connection carries all requests of an exporter; for several backends put a load \
             balancer before them",
        ),
        (
            "wait_for_ready",
            grpc.wait_for_ready.is_some(),
            "does nothing here: a request waits for a connection as long as timeout says, and goes again as \
             retry_on_failure says",
        ),
    ];
    let mut idle = set(path, keys);
    idle.extend(buffers(path, grpc.read_buffer_size, grpc.write_buffer_size));
    idle.extend(of_tls(
        &path.key("tls"),
        &grpc.tls,
        grpc.uses_tls(),
        grpc.endpoint.tls.is_some(),
    ));
    idle
}

fn of_http(path: &KeyPath, http: &OtlpHttpConfig) -> Vec<Idle> {
    const ALONE: &str =
        "does nothing with disable_keep_alives: true, with which no connection is kept";
    let usual = OtlpHttpConfig::default();
    let is_asked = !http.http2_read_idle_timeout.is_zero();
    let is_given = http.http2_ping_timeout != usual.http2_ping_timeout;
    let without_http2 = if !http.force_attempt_http2 {
        Some("does nothing with force_attempt_http2: false, with which all goes over HTTP/1.1")
    } else if http.uses_tls() == Some(false) {
        Some("does nothing with http://, which is HTTP/1.1")
    } else if http.names_host() {
        Some("does nothing with a host among the headers, with which all goes over HTTP/1.1")
    } else {
        None
    };
    let only_host = "have a host, which is the only one that the backend is told: all goes over HTTP/1.1, because \
                     HTTP/2 has another place for the one of the endpoint";
    let unasked =
        "does nothing without http2_read_idle_timeout: no connection is asked whether it is there";
    let alone = http.disable_keep_alives;
    let may_be_http2 = http.force_attempt_http2 && http.uses_tls() != Some(false);
    let keys = [
        ("headers", may_be_http2 && http.names_host(), only_host),
        (
            "http2_read_idle_timeout",
            is_asked && without_http2.is_some(),
            without_http2.unwrap_or_default(),
        ),
        (
            "http2_ping_timeout",
            is_given && (without_http2.is_some() || !is_asked),
            without_http2.unwrap_or(unasked),
        ),
        (
            "max_idle_conns",
            alone && http.max_idle_conns != usual.max_idle_conns,
            ALONE,
        ),
        (
            "max_idle_conns_per_host",
            alone && http.max_idle_conns_per_host.is_some(),
            ALONE,
        ),
        (
            "idle_conn_timeout",
            alone && http.idle_conn_timeout != usual.idle_conn_timeout,
            ALONE,
        ),
    ];
    let mut idle = set(path, keys);
    idle.extend(buffers(path, http.read_buffer_size, http.write_buffer_size));
    let level = path.key("compression_params").key("level");
    idle.extend(of_level(http).map(|why| (level, why)));
    if let Some(uses_tls) = http.uses_tls() {
        idle.extend(of_tls(&path.key("tls"), &http.tls, uses_tls, true));
    }
    idle
}

/// Those of `keys` at `path` that are set in vain.
fn set<const N: usize>(path: &KeyPath, keys: [(&'static str, bool, &'static str); N]) -> Vec<Idle> {
    let keys = keys.into_iter().filter(|(_, is_idle, _)| *is_idle);
    keys.map(|(key, _, why)| (path.key(key), why)).collect()
}

/// What becomes of a level that is not as it is written.
fn of_level(http: &OtlpHttpConfig) -> Option<&'static str> {
    let level = http.compression_params.level?;
    match http.compression {
        Compression::None => Some("does nothing with compression: none"),
        Compression::Snappy | Compression::SnappyFramed => {
            Some("does nothing with snappy, which has no levels")
        }
        Compression::Lz4 => Some("does nothing with lz4, which has no levels"),
        _ if level > http.level() => Some(
            "means 19 here: what higher levels make takes more memory to read than every backend has for it",
        ),
        _ => None,
    }
}

/// What `tls` at `path` says in vain of connections that are all encrypted, or none of them. The last word may
/// have had the scheme of the endpoint.
fn of_tls(path: &KeyPath, tls: &TlsClientConfig, uses_tls: bool, has_scheme: bool) -> Vec<Idle> {
    if uses_tls {
        let why = if has_scheme {
            "does nothing with https://, which is TLS whatever stands here: use http:// for plain text"
        } else {
            "does nothing with ca_file or ca_pem, which are for TLS: remove these for plain text"
        };
        return set(path, [("insecure", tls.insecure, why)]);
    }
    let why = if has_scheme {
        "does nothing with http://, which is plain text: use https:// for TLS"
    } else {
        "does nothing with insecure: true, which is plain text: remove that for TLS"
    };
    let keys = tls.of_encryption();
    keys.map(|key| (path.key(key), why)).collect()
}
