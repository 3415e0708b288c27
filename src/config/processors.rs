//! The configuration of the processors.

use bytesize::ByteSize;
use serde::Deserialize;

use super::id::ComponentId;
use super::units::{between, positive_size};

/// `artifact`: moves files out of telemetry into a store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactConfig {
    /// The `artifact_store` extension that keeps the files. Required.
    pub store: ComponentId,
    /// The decoded size in bytes from which a value is moved; at least 1.
    #[serde(default = "default_threshold", deserialize_with = "positive_size")]
    pub threshold: ByteSize,
    /// What happens to a request whose files cannot be stored.
    #[serde(default)]
    pub on_store_failure: OnStoreFailure,
}

impl ArtifactConfig {
    /// The defaults of everything but the store.
    pub fn new(store: ComponentId) -> Self {
        Self {
            store,
            threshold: default_threshold(),
            on_store_failure: OnStoreFailure::default(),
        }
    }
}

fn default_threshold() -> ByteSize {
    ByteSize::kib(8)
}

/// What happens to a request whose files cannot be stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreFailure {
    /// The request goes on unmodified.
    #[default]
    Forward,
    /// The sender is asked to try again later.
    Refuse,
    /// The request goes on with a mark in place of each file that could not be stored.
    Drop,
}

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
