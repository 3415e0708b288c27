//! The configuration of `retry_on_failure`, with the keys and defaults of the Collector.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::config::units::{AnyDuration, AtLeastOne, Fraction, PositiveDuration};

/// `retry_on_failure`: how often a request is sent again that the backend could not take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Whether anything is sent again.
    pub enabled: bool,
    /// The wait before the second attempt; more than 0.
    #[serde(with = "PositiveDuration")]
    pub initial_interval: Duration,
    /// How much longer or shorter than its interval a wait may be, as a part of it; from 0 to 1.
    #[serde(with = "Fraction")]
    pub randomization_factor: f64,
    /// By what the interval grows after each attempt; at least 1.
    #[serde(with = "AtLeastOne")]
    pub multiplier: f64,
    /// The longest interval; more than 0.
    #[serde(with = "PositiveDuration")]
    pub max_interval: Duration,
    /// The time after which a request is given up; 0 for never.
    #[serde(with = "AnyDuration")]
    pub max_elapsed_time: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_mins(5),
        }
    }
}

impl RetryConfig {
    /// The waits that it asks for.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            first: self.initial_interval,
            multiplier: self.multiplier,
            longest: self.max_interval,
            spread: self.randomization_factor,
        }
    }

    /// What is wrong between its keys: the key, and why. The Collector refuses the same.
    pub fn mistake(&self) -> Option<(&'static str, String)> {
        let longest = self.max_elapsed_time;
        if !self.enabled || longest.is_zero() {
            return None;
        }
        let (key, least) = [
            ("initial_interval", self.initial_interval),
            ("max_interval", self.max_interval),
        ]
        .into_iter()
        .find(|(_, interval)| *interval > longest)?;
        Some((
            "max_elapsed_time",
            format!("{longest:?} is less than the {least:?} of {key}; 0 retries for ever"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_which_nothing_could_be_repeated_is_a_mistake() {
        let with = |max_elapsed_time| RetryConfig {
            max_elapsed_time: Duration::from_secs(max_elapsed_time),
            ..RetryConfig::default()
        };
        for (seconds, named) in [(4, Some("initial_interval")), (29, Some("max_interval"))] {
            let mistake = with(seconds).mistake();
            assert!(mistake.is_some_and(|(_, why)| why.contains(named.unwrap_or_default())));
        }
        for seconds in [0, 30, 300] {
            assert_eq!(with(seconds).mistake(), None);
        }
        let off = RetryConfig {
            enabled: false,
            ..with(1)
        };
        assert_eq!(off.mistake(), None);
    }
}
