//! Which limits of memory hold, and what they must have room for: all requests share one budget, whoever names it.

use super::Config;
use super::components::{Component as _, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use super::id::ComponentId;
use super::path::KeyPath;
use super::processors::MemoryLimiterConfig;
use crate::admission::Limits;
use crate::receivers::otlp::config::{MiddlewareConfig, Protocols};

/// A `memory_limiter` that holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryLimiter<'c> {
    /// The section of the file in which it stands.
    pub(crate) section: &'static str,
    pub(crate) id: &'c ComponentId,
    pub(crate) config: &'c MemoryLimiterConfig,
}

/// How large a request may be, and where that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LargestRequest<'c> {
    pub(crate) mib: u64,
    receiver: &'c ComponentId,
    protocol: &'static str,
    pub(super) key: &'static str,
}

impl LargestRequest<'_> {
    /// The limit that has room for it, in MiB.
    pub(super) fn needed_mib(&self) -> u64 {
        self.mib.saturating_mul(Limits::SHARES)
    }

    /// Where it is configured.
    pub(super) fn path(&self) -> KeyPath {
        KeyPath::of([ReceiverConfig::SECTION])
            .key(self.receiver)
            .key("protocols")
            .key(self.protocol)
            .key(self.key)
    }
}

impl Config {
    /// The largest request that comes into any pipeline. What no pipeline uses is never started.
    pub(crate) fn largest_request(&self) -> Option<LargestRequest<'_>> {
        let pipelines = self.service.pipelines.values();
        let used = pipelines.flat_map(|pipeline| &pipeline.receivers);
        let sizes = used.filter_map(|id| {
            let (id, ReceiverConfig::Otlp(receiver)) = self.receivers.get_key_value(id)?;
            let Protocols { grpc, http } = &receiver.protocols;
            let grpc = grpc.as_ref().map(|grpc| LargestRequest {
                mib: u64::from(grpc.max_recv_msg_size_mib),
                receiver: id,
                protocol: "grpc",
                key: "max_recv_msg_size_mib",
            });
            let http = http.as_ref().map(|http| LargestRequest {
                mib: http.max_request_body_size.as_u64().div_ceil(1 << 20),
                receiver: id,
                protocol: "http",
                key: "max_request_body_size",
            });
            grpc.max(http)
        });
        sizes.max()
    }

    /// The limit where there is no `memory_limiter`, in MiB: the default, or what the largest request needs.
    pub(crate) fn default_limit_mib(&self) -> u64 {
        let needed = self.largest_request().map(|request| request.needed_mib());
        MemoryLimiterConfig::DEFAULT_MIB.max(needed.unwrap_or_default())
    }

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
