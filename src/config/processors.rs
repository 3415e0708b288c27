//! The configuration of the processors.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::idle::GarbageCollection;
use super::units::{AnyDuration, AnyDurationOrNone, BetweenOrNone};
use crate::admission::Limits;

/// `memory_limiter`: bounds the memory that requests in flight may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Keys", into = "Keys")]
#[schemars(with = "Keys")]
pub struct MemoryLimiterConfig {
    /// The Collector polls its memory as often; here nothing is polled, and so nothing comes of it.
    pub check_interval: Duration,
    /// So does the Collector collect garbage; here there is none.
    pub garbage_collection: GarbageCollection,
    /// How much it is.
    pub limit: MemoryLimit,
    /// What is written of a limit of the other kind, and does nothing.
    pub passed_over: PassedOver,
}

/// A limit, and the part of it that is for requests that have begun; a fifth unless it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// In MiB.
    Mib {
        /// The limit.
        limit: u64,
        /// The part.
        spike: Option<u64>,
    },
    /// Of the memory that there is.
    Percentage {
        /// The limit.
        limit: u64,
        /// The part.
        spike: Option<u64>,
    },
}

/// What is written of a limit in percent where the one that holds is in MiB, or the other way round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOver {
    limit_percentage: Option<u64>,
    spike_limit_mib: Option<u64>,
    spike_limit_percentage: Option<u64>,
}

impl PassedOver {
    fn of(keys: &Keys) -> Self {
        if keys.limit_mib.is_none() && keys.limit_percentage.is_some() {
            return Self {
                spike_limit_mib: keys.spike_limit_mib,
                ..Self::default()
            };
        }
        Self {
            limit_percentage: keys.limit_percentage,
            spike_limit_percentage: keys.spike_limit_percentage,
            ..Self::default()
        }
    }

    /// Its keys, and why each does nothing.
    pub(super) fn idle(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let keys = [
            (
                "limit_percentage",
                self.limit_percentage,
                "does nothing beside limit_mib, which comes first",
            ),
            (
                "spike_limit_mib",
                self.spike_limit_mib,
                "does nothing with a limit in percent: spike_limit_percentage is the part of that",
            ),
            (
                "spike_limit_percentage",
                self.spike_limit_percentage,
                "does nothing with a limit in MiB: spike_limit_mib is the part of that",
            ),
        ];
        // A part of 0 is none that anybody asks for.
        let asked = keys
            .into_iter()
            .filter(|(_, value, _)| value.is_some_and(|value| value > 0));
        asked.map(|(key, _, why)| (key, why))
    }
}

/// The keys, which are those of the Collector. As there, a limit in MiB comes before one in percent.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    /// As in the Collector, which polls its memory as often; here nothing is polled.
    #[serde(with = "AnyDuration")]
    check_interval: Duration,
    /// The memory that requests in flight may take, in MiB.
    #[serde(with = "BetweenOrNone::<16, 16_777_216>")]
    limit_mib: Option<u64>,
    /// The part of it that is for requests that have begun, in MiB; a fifth unless it is given.
    #[serde(with = "BetweenOrNone::<0, 16_777_216>")]
    spike_limit_mib: Option<u64>,
    /// The memory that requests in flight may take, in percent of what there is.
    #[serde(with = "BetweenOrNone::<1, 100>")]
    limit_percentage: Option<u64>,
    /// The part of it that is for requests that have begun, in percent of what there is.
    #[serde(with = "BetweenOrNone::<0, 100>")]
    spike_limit_percentage: Option<u64>,
    /// As in the Collector; nothing here is collected as garbage.
    #[serde(with = "AnyDurationOrNone")]
    min_gc_interval_when_soft_limited: Option<Duration>,
    /// As in the Collector; nothing here is collected as garbage.
    #[serde(with = "AnyDurationOrNone")]
    min_gc_interval_when_hard_limited: Option<Duration>,
    /// As in the Collector; nothing here is collected as garbage.
    #[serde(with = "AnyDurationOrNone")]
    max_gc_interval_when_soft_limited: Option<Duration>,
    /// As in the Collector; nothing here is collected as garbage.
    #[serde(with = "AnyDurationOrNone")]
    max_gc_interval_when_hard_limited: Option<Duration>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            // What the Collector's documentation recommends: there the key is needed.
            check_interval: Duration::from_secs(1),
            limit_mib: None,
            spike_limit_mib: None,
            limit_percentage: None,
            spike_limit_percentage: None,
            min_gc_interval_when_soft_limited: None,
            min_gc_interval_when_hard_limited: None,
            max_gc_interval_when_soft_limited: None,
            max_gc_interval_when_hard_limited: None,
        }
    }
}

impl MemoryLimiterConfig {
    /// The limit where there is none in the configuration.
    pub const DEFAULT_MIB: u64 = 512;

    /// The limits on a machine, or in a group of processes, that has this many bytes.
    pub fn limits(&self, memory: u64) -> Limits {
        // As the Collector does, where nothing, or nothing but 0, is given.
        let spike_or_fifth = |limit, spike: Option<u64>| match spike {
            Some(spike) if spike > 0 => spike,
            _ => limit / 5,
        };
        match self.limit {
            MemoryLimit::Mib { limit, spike } => Limits {
                limit_mib: limit,
                spike_mib: spike_or_fifth(limit, spike),
            },
            MemoryLimit::Percentage { limit, spike } => {
                let part = |percentage| (memory / 100 * percentage) >> 20;
                Limits {
                    limit_mib: part(limit),
                    spike_mib: spike_or_fifth(part(limit), spike.map(part)),
                }
            }
        }
    }
}

impl Default for MemoryLimiterConfig {
    fn default() -> Self {
        Self {
            check_interval: Keys::default().check_interval,
            garbage_collection: GarbageCollection::default(),
            limit: MemoryLimit::Mib {
                limit: Self::DEFAULT_MIB,
                spike: None,
            },
            passed_over: PassedOver::default(),
        }
    }
}

impl From<MemoryLimiterConfig> for Keys {
    fn from(config: MemoryLimiterConfig) -> Self {
        let [min_soft, min_hard, max_soft, max_hard] = config.garbage_collection.0;
        let mut keys = Self {
            check_interval: config.check_interval,
            min_gc_interval_when_soft_limited: min_soft,
            min_gc_interval_when_hard_limited: min_hard,
            max_gc_interval_when_soft_limited: max_soft,
            max_gc_interval_when_hard_limited: max_hard,
            ..Self::default()
        };
        match config.limit {
            MemoryLimit::Mib { limit, spike } => {
                keys.limit_mib = Some(limit);
                keys.spike_limit_mib = spike;
            }
            MemoryLimit::Percentage { limit, spike } => {
                keys.limit_percentage = Some(limit);
                keys.spike_limit_percentage = spike;
            }
        }
        // What does nothing is printed, too, so that it is told again.
        let beside = config.passed_over;
        keys.limit_percentage = keys.limit_percentage.or(beside.limit_percentage);
        keys.spike_limit_mib = keys.spike_limit_mib.or(beside.spike_limit_mib);
        keys.spike_limit_percentage = keys
            .spike_limit_percentage
            .or(beside.spike_limit_percentage);
        keys
    }
}

impl TryFrom<Keys> for MemoryLimiterConfig {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let (limit, of, spike, key) = match (keys.limit_mib, keys.limit_percentage) {
            (None, Some(limit)) => {
                let spike = keys.spike_limit_percentage;
                let of = MemoryLimit::Percentage { limit, spike };
                (limit, of, spike, "percentage")
            }
            (limit, _) => {
                let limit = limit.unwrap_or(Self::DEFAULT_MIB);
                let spike = keys.spike_limit_mib;
                (limit, MemoryLimit::Mib { limit, spike }, spike, "mib")
            }
        };
        if let Some(spike) = spike
            && spike >= limit
        {
            return Err(format!(
                "spike_limit_{key} is a part of limit_{key} and must be less: {spike} is not less \
                 than {limit}"
            ));
        }
        Ok(Self {
            check_interval: keys.check_interval,
            garbage_collection: GarbageCollection([
                keys.min_gc_interval_when_soft_limited,
                keys.min_gc_interval_when_hard_limited,
                keys.max_gc_interval_when_soft_limited,
                keys.max_gc_interval_when_hard_limited,
            ]),
            limit: of,
            passed_over: PassedOver::of(&keys),
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::{de, yaml};
    use super::*;

    fn read(text: &str) -> Result<MemoryLimiterConfig, String> {
        de::from_node(&yaml::parse(text, &"c.yaml".into()).unwrap())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_keys_mean_what_they_mean_to_the_collector() {
        const MEMORY: u64 = 4000 << 20;
        for (text, limit_mib, spike_mib) in [
            ("{}", 512, 102),
            ("check_interval: 5s", 512, 102),
            ("check_interval: 0s", 512, 102),
            (
                "{min_gc_interval_when_soft_limited: 10s, max_gc_interval_when_hard_limited: 0}",
                512,
                102,
            ),
            ("limit_mib: 1000", 1000, 200),
            ("{limit_mib: 1000, spike_limit_mib: 0}", 1000, 200),
            ("{limit_mib: 1000, spike_limit_mib: 300}", 1000, 300),
            ("spike_limit_mib: 300", 512, 300),
            ("limit_percentage: 50", 2000, 400),
            (
                "{limit_percentage: 50, spike_limit_percentage: 30}",
                2000,
                1200,
            ),
            (
                "{limit_percentage: 100, spike_limit_percentage: 0}",
                4000,
                800,
            ),
            (
                "{limit_mib: 1000, limit_percentage: 50, spike_limit_percentage: 40}",
                1000,
                200,
            ),
        ] {
            let limits = read(text).unwrap().limits(MEMORY);
            let expected = Limits {
                limit_mib,
                spike_mib,
            };
            assert_eq!(limits, expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, says) in [
            ("limit_mib: 15", "must be from 16 to 16777216, found 15"),
            ("limit_percentage: 101", "must be from 1 to 100, found 101"),
            ("limit_percentage: 0", "must be from 1 to 100, found 0"),
            ("check_interval: 1", "is not a duration"),
            (
                "{limit_mib: 100, spike_limit_mib: 100}",
                "100 is not less than 100",
            ),
            (
                "{limit_percentage: 50, spike_limit_percentage: 60}",
                "spike_limit_percentage is a part of limit_percentage",
            ),
            ("min_gc_interval_when_soft_limited: 10", "is not a duration"),
            ("gc_interval: 10s", "has invalid keys"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
