//! The configuration of `health_check`.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Served, Telling};
use crate::config::units::AnyDurationOrNone;
use crate::config::{HostPort, TransportOfPages};
use crate::tls::config::TlsServerConfig;

/// Says whether slimspan is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthCheckConfig {
    /// Where it listens.
    pub endpoint: HostPort,
    /// What connections are made of.
    pub transport: TransportOfPages,
    /// The path of the answer that the Collector gives, too.
    pub path: String,
    /// What that answer says, instead of JSON.
    pub response_body: Option<ResponseBody>,
    /// How connections are protected; not at all unless it is given.
    pub tls: Option<TlsServerConfig>,
    /// The Collector's look at its exporters, which does not work there; `/ready` knows of backends that fail.
    pub check_collector_pipeline: Option<PipelineCheck>,
}

/// What would be looked at, and is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PipelineCheck {
    /// Whether it is wanted, which changes nothing.
    pub enabled: bool,
    /// As in the Collector.
    #[serde(with = "AnyDurationOrNone")]
    pub interval: Option<Duration>,
    /// As in the Collector.
    pub exporter_failure_threshold: Option<u64>,
}

/// Answers in the configuration's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
pub struct ResponseBody {
    /// While requests are taken.
    pub healthy: String,
    /// Before and after that.
    pub unhealthy: String,
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            endpoint: HostPort {
                host: "127.0.0.1".to_owned(),
                port: 13133,
            },
            transport: TransportOfPages::default(),
            path: "/".to_owned(),
            response_body: None,
            tls: None,
            check_collector_pipeline: None,
        }
    }
}

impl PipelineCheck {
    /// The key that is set and does nothing, and why.
    pub fn idle(check: Option<&Self>) -> Option<(&'static str, &'static str)> {
        let why = "does nothing here, as in the Collector, where it does not work: /ready has 503 while a backend fails";
        check?.enabled.then_some(("enabled", why))
    }
}

impl HealthCheckConfig {
    /// What it serves, and where.
    pub fn served(&self) -> Served<'_> {
        Served {
            section: None,
            endpoint: self.endpoint.clone(),
            tls: self.tls.as_ref(),
            path: Some(self.path.clone()),
            telling: Telling::Available(self.response_body.clone()),
            recovery: None,
        }
    }

    /// What is wrong with it, and at which key.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        wrong_path(&self.path).map(|message| ("path", message))
    }
}

/// What is wrong with the path of an answer.
pub(super) fn wrong_path(path: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if !path.starts_with('/') || !path.chars().all(is_plain) {
        return Some(format!(
            "\"{path}\" is not a path: it begins with / and has letters, digits, -, _, . and ~"
        ));
    }
    let is_taken = ["/live", "/ready"].contains(&path);
    is_taken.then(|| format!("\"{path}\" has an answer of its own; take another path"))
}
