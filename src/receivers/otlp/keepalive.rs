//! How long connections over gRPC live, with the keys of the Collector.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{AnyDuration, AnyDurationOrNone, PositiveDuration};
use crate::receivers::connections::Times;
use crate::receivers::server::{KEEPALIVE, KEEPALIVE_TIMEOUT};

/// `keepalive`: when connections end, and when their peers are asked whether they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepaliveConfig {
    /// What is done by itself.
    pub server_parameters: ServerParameters,
    /// What the Collector forbids to its senders; nothing of it has anything to do here.
    pub enforcement_policy: EnforcementPolicy,
}

/// What a listener does about its connections. Unlike in the Collector they do not live for ever, and
/// peers are asked often, unless it is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServerParameters {
    /// The time that a connection may be without a request; 0 for as long as it lives.
    #[serde(with = "AnyDuration")]
    pub max_connection_idle: Duration,
    /// The age at which the peer is told to connect again; 0 for never.
    #[serde(with = "AnyDuration")]
    pub max_connection_age: Duration,
    /// The time that its requests have to end then; more than 0.
    #[serde(with = "PositiveDuration")]
    pub max_connection_age_grace: Duration,
    /// The silence after which the peer is asked whether it is there; more than 0.
    #[serde(with = "PositiveDuration")]
    pub time: Duration,
    /// The time that it has for its answer; more than 0.
    #[serde(with = "PositiveDuration")]
    pub timeout: Duration,
}

impl ServerParameters {
    /// When its connections end.
    pub(super) fn times(&self) -> Times {
        let unless_zero = |time: Duration| Some(time).filter(|time| !time.is_zero());
        Times {
            idle: unless_zero(self.max_connection_idle),
            age: unless_zero(self.max_connection_age),
            grace: self.max_connection_age_grace,
            ..Times::default()
        }
    }
}

impl Default for ServerParameters {
    fn default() -> Self {
        let Times {
            idle, age, grace, ..
        } = Times::default();
        Self {
            max_connection_idle: idle.unwrap_or_default(),
            max_connection_age: age.unwrap_or_default(),
            max_connection_age_grace: grace,
            time: KEEPALIVE,
            timeout: KEEPALIVE_TIMEOUT,
        }
    }
}

/// `enforcement_policy`: how often peers of the Collector may ask whether it is there. Here they may as often
/// as they may send anything else that brings nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnforcementPolicy {
    /// As in the Collector.
    #[serde(with = "AnyDurationOrNone")]
    pub min_time: Option<Duration>,
    /// As in the Collector.
    pub permit_without_stream: Option<bool>,
}

impl EnforcementPolicy {
    /// The keys that are set.
    pub(crate) fn set(&self) -> impl Iterator<Item = &'static str> {
        let keys = [
            ("min_time", self.min_time.is_some()),
            (
                "permit_without_stream",
                self.permit_without_stream.is_some(),
            ),
        ];
        keys.into_iter()
            .filter_map(|(key, is_set)| is_set.then_some(key))
    }
}
