//! The configuration of `healthcheckv2`, which says the same with the keys of the Collector's newer extension.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::config::{HealthCheckConfig, PipelineCheck, ResponseBody, wrong_path};
use super::{Served, Telling};
use crate::config::units::AnyDurationOrNone;
use crate::config::{HostPort, TransportOfPages};
use crate::tls::config::TlsServerConfig;

/// Says whether slimspan is well, with other keys than `health_check`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckV2Config {
    /// Whether http says what there is; else it is what health_check is, and the keys are its keys.
    pub use_v2: bool,
    /// What there is with use_v2.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHealthConfig>,
    /// Who is told over gRPC, with use_v2.
    #[serde(deserialize_with = "named", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<GrpcHealthConfig>,
    /// What counts as not well.
    pub component_health: ComponentHealthConfig,
    /// Without use_v2: where it listens; 127.0.0.1:13133 unless it is given.
    pub endpoint: Option<HostPort>,
    /// Without use_v2: what connections are made of.
    pub transport: Option<TransportOfPages>,
    /// Without use_v2: the path of the answer that the Collector gives, too; / unless it is given.
    pub path: Option<String>,
    /// Without use_v2: what that answer says, instead of JSON.
    pub response_body: Option<ResponseBody>,
    /// Without use_v2: how connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// The Collector's look at its exporters, which does not work there; `/ready` knows of backends that fail.
    pub check_collector_pipeline: Option<PipelineCheck>,
}

/// Health over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpHealthConfig {
    /// Where it listens.
    pub endpoint: HostPort,
    /// What connections are made of.
    pub transport: TransportOfPages,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// The answer that says how slimspan is.
    pub status: StatusConfig,
    /// The Collector's answer that shows its configuration; there is none here.
    pub config: ShownConfig,
}

/// Health over gRPC: `grpc.health.v1.Health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcHealthConfig {
    /// Where it listens.
    pub endpoint: HostPort,
    /// What connections are made of.
    pub transport: TransportOfPages,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
}

/// An answer that is given unless it is said that it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// Whether it is given.
    pub enabled: bool,
    /// Where.
    pub path: String,
}

/// An answer that is never given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShownConfig {
    /// Whether it is wanted, which is a mistake.
    pub enabled: bool,
    /// Where it would be.
    pub path: String,
}

/// What counts as not well at `status.path`. At `/ready` all does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ComponentHealthConfig {
    /// As in the Collector; nothing here is wrong for good.
    pub include_permanent_errors: Option<bool>,
    /// Whether what may pass counts, such as a backend that is away.
    pub include_recoverable_errors: Option<bool>,
    /// After which time it does; at once unless it is given.
    #[serde(with = "AnyDurationOrNone")]
    pub recovery_duration: Option<Duration>,
}

/// What is named is there, also where nothing stands behind it.
fn named<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

impl Default for HttpHealthConfig {
    fn default() -> Self {
        Self {
            endpoint: HealthCheckConfig::default().endpoint,
            transport: TransportOfPages::default(),
            tls: None,
            status: StatusConfig::default(),
            config: ShownConfig::default(),
        }
    }
}

impl Default for GrpcHealthConfig {
    fn default() -> Self {
        Self {
            endpoint: HostPort {
                port: 13132,
                ..HealthCheckConfig::default().endpoint
            },
            transport: TransportOfPages::default(),
            tls: None,
        }
    }
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/status".to_owned(),
        }
    }
}

impl Default for ShownConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            path: "/config".to_owned(),
        }
    }
}

impl ComponentHealthConfig {
    /// How long something may be the matter that may pass, if not for ever.
    fn recovery(&self) -> Option<Duration> {
        let is_included = self.include_recoverable_errors == Some(true);
        is_included.then(|| self.recovery_duration.unwrap_or_default())
    }

    /// The keys that are set, and not to what is done without them, and do nothing; and why. So do all without
    /// `use_v2`.
    pub fn idle(
        &self,
        use_v2: bool,
        has_grpc: bool,
    ) -> impl Iterator<Item = (&'static str, &'static str)> {
        let of_v2 = "does nothing without use_v2: true";
        let recoverable = self.include_recoverable_errors == Some(true);
        let keys = [
            (
                "include_permanent_errors",
                self.include_permanent_errors == Some(true),
                "does nothing here: whatever is the matter may pass, and counts as recoverable",
            ),
            ("include_recoverable_errors", recoverable && !use_v2, of_v2),
            (
                "include_recoverable_errors",
                recoverable && use_v2 && has_grpc,
                "holds at http.status alone: over grpc SERVING is told as long as requests are taken",
            ),
            (
                "recovery_duration",
                self.recovery_duration.is_some() && !(recoverable && use_v2),
                if use_v2 {
                    "does nothing without include_recoverable_errors: true"
                } else {
                    of_v2
                },
            ),
        ];
        keys.into_iter()
            .filter_map(|(key, is_idle, why)| is_idle.then_some((key, why)))
    }
}

impl HealthCheckV2Config {
    /// What it serves, and where.
    pub fn served(&self) -> Vec<Served<'_>> {
        if self.use_v2 {
            let http = self.http.as_ref().map(|http| Served {
                section: Some("http"),
                endpoint: http.endpoint.clone(),
                tls: http.tls.as_ref(),
                path: http.status.enabled.then(|| http.status.path.clone()),
                telling: Telling::Status,
                recovery: self.component_health.recovery(),
            });
            let grpc = self.grpc.as_ref().map(|grpc| Served {
                section: Some("grpc"),
                endpoint: grpc.endpoint.clone(),
                tls: grpc.tls.as_ref(),
                path: None,
                telling: Telling::Grpc,
                recovery: None,
            });
            return http.into_iter().chain(grpc).collect();
        }
        let HealthCheckConfig { endpoint, path, .. } = HealthCheckConfig::default();
        vec![Served {
            section: None,
            endpoint: self.endpoint.clone().unwrap_or(endpoint),
            tls: self.tls.as_ref(),
            path: Some(self.path.clone().unwrap_or(path)),
            telling: Telling::Available(self.response_body.clone()),
            recovery: None,
        }]
    }

    /// What is wrong with it: the keys that lead there, and why.
    pub fn mistake(&self) -> Option<(Vec<&'static str>, String)> {
        if !self.use_v2 {
            if self.http.is_some() {
                let why =
                    "holds with use_v2: true alone: add that, or write its endpoint beside it";
                return Some((vec!["http"], why.to_owned()));
            }
            if self.grpc.is_some() {
                return Some((
                    vec!["grpc"],
                    "holds with use_v2: true alone: add that".to_owned(),
                ));
            }
            let why = wrong_path(self.path.as_deref()?)?;
            return Some((vec!["path"], why));
        }
        let of_v1 = [
            ("endpoint", self.endpoint.is_some()),
            ("transport", self.transport.is_some()),
            ("path", self.path.is_some()),
            ("response_body", self.response_body.is_some()),
            ("tls", self.tls.is_some()),
        ];
        if let Some((key, _)) = of_v1.into_iter().find(|(_, is_set)| *is_set) {
            let why =
                "holds without use_v2 alone: http has endpoint, transport, tls and status.path";
            return Some((vec![key], why.to_owned()));
        }
        if self.http.is_none() && self.grpc.is_none() {
            let why =
                "needs to know what to serve: add http or grpc with nothing behind it, or more";
            return Some((vec!["use_v2"], why.to_owned()));
        }
        let http = self.http.as_ref()?;
        if http.config.enabled {
            let why = "would show the configuration to whoever asks, and no listener here does; remove it, \
                       and use slimspan print-config";
            return Some((vec!["http", "config", "enabled"], why.to_owned()));
        }
        if !http.status.enabled {
            return None;
        }
        let why = wrong_path(&http.status.path)?;
        Some((vec!["http", "status", "path"], why))
    }
}
