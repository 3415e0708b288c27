//! Which limits of memory hold: all requests share one budget, whoever names it.

use super::Config;
use super::components::{Component as _, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use super::id::ComponentId;
use super::processors::MemoryLimiterConfig;
use crate::receivers::otlp::config::MiddlewareConfig;

/// A `memory_limiter` that holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryLimiter<'c> {
    /// The section of the file in which it stands.
    pub(crate) section: &'static str,
    pub(crate) id: &'c ComponentId,
    pub(crate) config: &'c MemoryLimiterConfig,
}

impl Config {
    /// The processors of pipelines, and then the extensions that receivers of pipelines have among their
    /// middlewares.
    pub(crate) fn memory_limiters(&self) -> impl Iterator<Item = MemoryLimiter<'_>> {
        let pipelines = self.service.pipelines.values();
        let processors = pipelines.flat_map(|pipeline| &pipeline.processors);
        let processors =
            processors.filter_map(move |id| match self.processors.get_key_value(id)? {
                (id, ProcessorConfig::MemoryLimiter(config)) => Some(MemoryLimiter {
                    section: ProcessorConfig::SECTION,
                    id,
                    config,
                }),
                _ => None,
            });
        let pipelines = self.service.pipelines.values();
        let receivers = pipelines.flat_map(|pipeline| &pipeline.receivers);
        let receivers = receivers.filter_map(move |id| self.receivers.get(id));
        let middlewares =
            receivers.flat_map(|ReceiverConfig::Otlp(receiver)| receiver.protocols.middlewares());
        let extensions = middlewares.filter_map(move |MiddlewareConfig { id }| {
            match self.extensions.get_key_value(id)? {
                (id, ExtensionConfig::MemoryLimiter(config)) => Some(MemoryLimiter {
                    section: ExtensionConfig::SECTION,
                    id,
                    config,
                }),
                _ => None,
            }
        });
        processors.chain(extensions)
    }
}
