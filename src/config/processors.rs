//! The configuration of the processors.

use serde::Deserialize;

use super::units::between;

/// `memory_limiter`: bounds the memory that requests in flight may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryLimiterConfig {
    /// The memory of all requests in flight, in MiB; from 16 to 16 TiB.
    #[serde(deserialize_with = "between::<_, _, 16, 16_777_216>")]
    pub limit_mib: u64,
}

impl Default for MemoryLimiterConfig {
    fn default() -> Self {
        Self { limit_mib: 512 }
    }
}
