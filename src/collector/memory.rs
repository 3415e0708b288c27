//! The memory that requests may take.

use super::error::StartError;
use crate::admission::Limits;
use crate::config::{Config, MemoryLimit, MemoryLimiterConfig, ProcessorConfig, ReceiverConfig};

/// The smallest limit of any pipeline: they share the receivers, and so the memory. There is one
/// even where nothing is configured.
pub(super) fn memory_limits(config: &Config, memory: Option<u64>) -> Result<Limits, StartError> {
    let used = config
        .service
        .pipelines
        .values()
        .flat_map(|wiring| &wiring.processors);
    let mut smallest: Option<Limits> = None;
    for id in used {
        let Some(ProcessorConfig::MemoryLimiter(limiter)) = config.processors.get(id) else {
            continue;
        };
        let limits = limiter.limits(memory.unwrap_or_default());
        if matches!(limiter.limit, MemoryLimit::Percentage { .. }) {
            let Some(memory) = memory else {
                return Err(StartError::UnknownMemory { id: id.clone() });
            };
            let largest = config
                .receivers
                .values()
                .map(|ReceiverConfig::Otlp(receiver)| {
                    u64::from(receiver.protocols.grpc.max_recv_msg_size_mib)
                });
            let needed = Limits::SHARES * largest.max().unwrap_or_default();
            if limits.limit_mib < needed {
                return Err(StartError::TooLittleMemory {
                    id: id.clone(),
                    limit: limits.limit_mib,
                    memory: memory >> 20,
                    needed,
                });
            }
        }
        if smallest.is_none_or(|smallest| limits.limit_mib < smallest.limit_mib) {
            smallest = Some(limits);
        }
    }
    Ok(smallest.unwrap_or_else(|| MemoryLimiterConfig::default().limits(0)))
}
