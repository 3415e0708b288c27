//! The configuration of `retry_on_failure`, with the keys and defaults of the Collector.

use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::backoff::Backoff;
use crate::config::units::{duration, positive_duration};

/// `retry_on_failure`: how often a request is sent again that the backend could not take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Whether anything is sent again.
    pub enabled: bool,
    /// The wait before the second attempt; more than 0.
    #[serde(deserialize_with = "positive_duration")]
    pub initial_interval: Duration,
    /// How much longer or shorter than its interval a wait may be, as a part of it; from 0 to 1.
    #[serde(deserialize_with = "fraction")]
    pub randomization_factor: f64,
    /// By what the interval grows after each attempt; at least 1.
    #[serde(deserialize_with = "growth")]
    pub multiplier: f64,
    /// The longest interval; more than 0.
    #[serde(deserialize_with = "positive_duration")]
    pub max_interval: Duration,
    /// The time after which a request is given up; 0 for never.
    #[serde(deserialize_with = "duration")]
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

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(D::Error::custom(format!(
            "{number} is not from 0 to 1, such as 0.5"
        )))
    }
}

fn growth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(deserializer)?;
    if number.is_finite() && number >= 1.0 {
        Ok(number)
    } else {
        Err(D::Error::custom(format!(
            "{number} is less than 1: intervals must not shrink, such as 1.5"
        )))
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
