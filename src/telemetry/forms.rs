//! How versions of the Collector say where own telemetry goes: one `otlp` with a `protocol`, or one exporter for each
//! protocol; and how newer ones name what Prometheus reads. All mean the same here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::otlp::{Compression, OtlpBackend, Protocol, named, timeout};
use super::readers::{Prometheus, PullExporter};
use crate::config::Secret;
use crate::config::headers::{headers, headers_list};
use crate::config::units::Between;

/// Where own metrics or spans are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ToBackend")]
pub struct OtlpExporter {
    /// To a backend for OTLP.
    pub otlp: OtlpBackend,
}

/// The same in each of its forms: one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct ToBackend {
    /// To a backend for OTLP.
    #[serde(default, deserialize_with = "named")]
    otlp: Option<OtlpBackend>,
    /// The same over gRPC, as newer configurations have it.
    #[serde(default, deserialize_with = "named")]
    otlp_grpc: Option<Newer>,
    /// The same over HTTP, as newer configurations have it.
    #[serde(default, deserialize_with = "named")]
    otlp_http: Option<Newer>,
}

/// A backend for what slimspan says of itself, as newer configurations have it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewerOtlpBackend")]
struct Newer {
    /// Its URL. Over HTTP one without a path means `/v1/traces` or `/v1/metrics` there.
    endpoint: String,
    /// How connections are protected.
    #[serde(default)]
    tls: NewerTls,
    /// What comes with every request, by name.
    #[serde(default, deserialize_with = "headers")]
    #[schemars(schema_with = "crate::config::headers::schema")]
    headers: BTreeMap<String, Secret>,
    /// The same in one text, such as `a=1,b=2`, with `%20` for a space; what is in `headers` comes first.
    #[serde(default, deserialize_with = "headers_list")]
    headers_list: Option<Secret>,
    /// How requests are compressed.
    #[serde(default)]
    compression: Compression,
    /// What the backend has for one request, in milliseconds.
    #[serde(default = "timeout", with = "Between::<1, 3_600_000>")]
    timeout: u32,
}

/// How connections to a backend are protected.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "NewerTls")]
struct NewerTls {
    /// The certificates (PEM) to trust instead of those of the system.
    ca_file: Option<PathBuf>,
    /// A certificate (PEM) to show to the backend.
    cert_file: Option<PathBuf>,
    /// Its key (PEM).
    key_file: Option<PathBuf>,
    /// Where the endpoint has no scheme: whether there is no TLS.
    insecure: bool,
}

/// What a reader is given that asks, in each of its forms: one of these.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub(super) struct ToPrometheus {
    /// The text that Prometheus reads.
    #[serde(default, deserialize_with = "named")]
    prometheus: Option<Prometheus>,
    /// The same, as newer configurations have it.
    #[serde(default, rename = "prometheus/development", deserialize_with = "named")]
    newer: Option<NewerPrometheus>,
}

/// A listener for Prometheus, as newer configurations have it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct NewerPrometheus {
    /// The host to listen on.
    host: String,
    /// The port; 0 lets the system choose.
    port: u16,
    /// How names end: with suffixes counters have `_total`, and names their unit.
    #[schemars(schema_with = "strategies")]
    translation_strategy: Strategy,
}

/// How names of metrics end.
#[derive(Deserialize)]
enum Strategy {
    #[serde(
        rename = "underscore_escaping_with_suffixes",
        alias = "UnderscoreEscapingWithSuffixes"
    )]
    WithSuffixes,
    #[serde(
        rename = "underscore_escaping_without_suffixes/development",
        alias = "underscore_escaping_without_suffixes",
        alias = "UnderscoreEscapingWithoutSuffixes"
    )]
    WithoutSuffixes,
}

fn strategies(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "enum": [
            "underscore_escaping_with_suffixes",
            "UnderscoreEscapingWithSuffixes",
            "underscore_escaping_without_suffixes/development",
            "underscore_escaping_without_suffixes",
            "UnderscoreEscapingWithoutSuffixes",
        ],
    })
}

impl Default for NewerPrometheus {
    fn default() -> Self {
        let Prometheus { host, port, .. } = Prometheus::default();
        Self {
            host,
            port,
            translation_strategy: Strategy::WithSuffixes,
        }
    }
}

impl From<NewerPrometheus> for Prometheus {
    fn from(newer: NewerPrometheus) -> Self {
        let without_suffixes = matches!(newer.translation_strategy, Strategy::WithoutSuffixes);
        Self {
            host: newer.host,
            port: newer.port,
            without_type_suffix: without_suffixes,
            without_units: without_suffixes,
            without_scope_info: None,
        }
    }
}

impl TryFrom<ToPrometheus> for PullExporter {
    type Error = &'static str;

    fn try_from(of: ToPrometheus) -> Result<Self, &'static str> {
        let prometheus = match (of.prometheus, of.newer) {
            (Some(prometheus), None) => prometheus,
            (None, Some(newer)) => newer.into(),
            _ => return Err("takes exactly one of prometheus and prometheus/development"),
        };
        Ok(Self { prometheus })
    }
}

impl Newer {
    fn by(self, protocol: Protocol) -> OtlpBackend {
        let Self {
            endpoint,
            tls,
            headers,
            headers_list,
            compression,
            timeout,
        } = self;
        OtlpBackend {
            protocol,
            endpoint,
            insecure: tls.insecure,
            headers,
            headers_list,
            compression,
            timeout,
            certificate: tls.ca_file,
            client_certificate: tls.cert_file,
            client_key: tls.key_file,
        }
    }
}

impl TryFrom<ToBackend> for OtlpExporter {
    type Error = &'static str;

    fn try_from(to: ToBackend) -> Result<Self, &'static str> {
        let otlp = match (to.otlp, to.otlp_grpc, to.otlp_http) {
            (Some(otlp), None, None) => otlp,
            (None, Some(grpc), None) => grpc.by(Protocol::Grpc),
            (None, None, Some(http)) => http.by(Protocol::Http),
            _ => return Err("takes exactly one of otlp, otlp_grpc and otlp_http"),
        };
        Ok(Self { otlp })
    }
}
