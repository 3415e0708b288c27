//! What must fit into memory and onto disks.

use bytesize::ByteSize;

use super::{Check, not_configured, protocol_path, wrong_type};
use crate::admission::Limits;
use crate::config::components::{Component as _, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use crate::config::id::ComponentId;
use crate::config::memory::MemoryLimiter;
use crate::config::path::KeyPath;
use crate::config::processors::{MemoryLimit, MemoryLimiterConfig};
use crate::receivers::otlp::config::{MiddlewareConfig, Protocols};
use crate::storage::config::StoreConfig;

impl Check<'_> {
    /// What can never fit must not be admitted by the configuration. A compressed request is there
    /// as it came and as what it expands to, and each of these is charged twice.
    pub(super) fn memory_limits(&mut self) {
        let Some(request) = self.config.largest_request() else {
            return;
        };
        let (largest, needed) = (request.mib, request.needed_mib());
        // All pipelines share the memory, so the smallest limit is the limit of all.
        let limits = self.config.memory_limiters();
        let limits = limits.map(|limiter| match limiter.config.limit {
            MemoryLimit::Mib { limit, .. } => (limit, limiter),
            // How much that is turns out where it runs.
            MemoryLimit::Percentage { .. } => (u64::MAX, limiter),
        });
        let smallest = limits.min_by_key(|(limit, limiter)| (*limit, limiter.id));
        let size_key = request.path();
        let Some((limit, MemoryLimiter { section, id, .. })) = smallest else {
            // The default grows with the requests, and the machine does not.
            let is_more = needed > MemoryLimiterConfig::DEFAULT_MIB;
            let memory = is_more.then(self.memory).flatten();
            if let Some(memory) = memory.map(|bytes| bytes >> 20)
                && memory < needed
            {
                let message = format!(
                    "{largest} needs a memory limit of {needed} MiB, four times that, and there are {memory} MiB: \
                     lower it to at most {}",
                    memory / Limits::SHARES
                );
                self.report(size_key, message);
            }
            return;
        };
        if limit < needed {
            self.report(
                KeyPath::of([section]).key(id).key("limit_mib"),
                format!(
                    "{limit} is too little for requests of {largest} MiB: set it to at least \
                     {needed}, four times {size_key}, or lower that"
                ),
            );
        }
    }

    /// Only a limit of memory can stand before a receiver, and there is one for all requests.
    pub(super) fn middlewares(&mut self) {
        let config = self.config;
        for (receiver, ReceiverConfig::Otlp(of)) in &config.receivers {
            let Protocols { grpc, http } = &of.protocols;
            let grpc = grpc.as_ref().map(|grpc| ("grpc", &grpc.middlewares));
            let http = http.as_ref().map(|http| ("http", &http.middlewares));
            for (protocol, middlewares) in grpc.into_iter().chain(http) {
                let path = protocol_path(receiver, protocol).key("middlewares");
                for (index, MiddlewareConfig { id }) in middlewares.iter().enumerate() {
                    let message = match config.extensions.get(id) {
                        Some(ExtensionConfig::MemoryLimiter(_)) => continue,
                        Some(_) => {
                            let wrong = wrong_type(id, "a memory_limiter");
                            format!("{wrong}, and nothing else stands before receivers here")
                        }
                        None => {
                            let known = config.extensions.keys();
                            not_configured(ExtensionConfig::KIND, id, known)
                        }
                    };
                    self.report(path.index(index).key("id"), message);
                }
            }
        }
        let (processors, extensions): (Vec<_>, Vec<_>) = config
            .memory_limiters()
            .partition(|limiter| limiter.section == ProcessorConfig::SECTION);
        let differing = extensions.iter().find_map(|extension| {
            let differs =
                |processor: &&MemoryLimiter<'_>| processor.config.limit != extension.config.limit;
            Some((extension, processors.iter().find(differs)?))
        });
        if let Some((extension, processor)) = differing {
            self.report(
                KeyPath::of([extension.section]).key(extension.id),
                format!(
                    "has another limit than {}.{}, and all requests share one: give both the same, or remove \
                     one of them",
                    processor.section, processor.id
                ),
            );
        }
    }

    /// What waits in a spool is for one store, and any artifact must fit in.
    pub(super) fn spools(&mut self) {
        let config = self.config;
        let stores = || config.artifact_stores();
        let is_used = |id: &ComponentId| config.fills_spool_of(id);
        let request = config.largest_request();
        let (largest, size_key) = request.map_or((0, ""), |of| (of.mib, of.key));
        for (id, store) in stores().filter(|(id, _)| is_used(id)) {
            let path = KeyPath::of([ExtensionConfig::SECTION]).key(id).key("spool");
            let directory = &store.spool.directory;
            let same = |other: &StoreConfig| other.spool.directory == *directory;
            let other = stores().find(|(other, config)| {
                *other != id && same(config) && (!is_used(other) || *other < id)
            });
            if let Some((other, _)) = other {
                self.report(
                    path.key("directory"),
                    format!(
                        "{} is also the spool of extensions.{other}: give each store a folder of \
                         its own",
                        directory.display()
                    ),
                );
            }
            let needed = 2 * largest;
            if store.spool.max_bytes < ByteSize::mib(needed) {
                self.report(
                    path.key("max_bytes"),
                    format!(
                        "{} is too little for requests of {largest} MiB: set it to at least \
                         {needed}MiB, or lower {size_key}",
                        store.spool.max_bytes
                    ),
                );
            }
        }
    }

    /// What a replica counts as stored must not be removed meanwhile.
    pub(super) fn retention(&mut self) {
        for (id, store) in self.config.artifact_stores() {
            if let Some(mistake) = store.catalog.retention.mistake(store.refresh) {
                let path = KeyPath::of([ExtensionConfig::SECTION]).key(id);
                let path = path.key("catalog").key("retention").key("grace");
                self.report(path, mistake);
            }
        }
    }
}
