//! What is written of requests and of the memory for them holds, and what is not written is fitted to it: requests are
//! as large as a limit has room for, and a limit has room for requests as large as they may be.

use std::collections::BTreeSet;

use bytesize::ByteSize;

use super::Config;
use super::components::{Component as _, ExtensionConfig, ProcessorConfig, ReceiverConfig};
use super::id::ComponentId;
use super::node::Node;
use super::path::{KeyPath, Step};
use super::processors::{MemoryLimit, MemoryLimiterConfig};
use crate::admission::Limits;
use crate::receivers::otlp::config::Protocols;

/// Fits both, where the tree does not say how much they are; returns what there is to tell of that. What is written
/// stays, and is looked at when all is checked. `memory` is what the machine has.
pub(super) fn fit(
    root: &Node,
    config: &mut Config,
    memory: impl Fn() -> Option<u64>,
) -> Vec<(KeyPath, String)> {
    let mut fitted = lower_requests(root, config, &memory);
    fitted.extend(raise_limits(root, config, &memory));
    fitted
}

/// Lowers what the receivers that are used take to what the smallest `memory_limiter` has room for, where the
/// tree does not say how much it is.
fn lower_requests(
    root: &Node,
    config: &mut Config,
    memory: impl Fn() -> Option<u64>,
) -> Vec<(KeyPath, String)> {
    let Some((limit, key)) = smallest(config, memory) else {
        return Vec::new();
    };
    let most = (limit / Limits::SHARES).max(1);
    let pipelines = config.service.pipelines.values();
    let used = pipelines.flat_map(|pipeline| pipeline.receivers.iter().cloned());
    let used: BTreeSet<ComponentId> = used.collect();
    let mut fitted = Vec::new();
    let told = |path: KeyPath, size: String, default: u64| {
        let needed = Limits::SHARES * default;
        let message = format!(
            "is {size}, a quarter of {key}, for nothing is written here, and {default} MiB need {needed} MiB there"
        );
        (path, message)
    };
    for (id, ReceiverConfig::Otlp(receiver)) in &mut config.receivers {
        if !used.contains(id) {
            continue;
        }
        let path = KeyPath::of([ReceiverConfig::SECTION]).key(id);
        let path = path.key("protocols");
        let Protocols { grpc, http } = &mut receiver.protocols;
        if let Some(grpc) = grpc {
            let path = path.key("grpc").key("max_recv_msg_size_mib");
            let default = grpc.max_recv_msg_size_mib;
            let most = u16::try_from(most).unwrap_or(u16::MAX);
            if most < default && !is_written(root, &path) {
                grpc.max_recv_msg_size_mib = most;
                fitted.push(told(path, most.to_string(), default.into()));
            }
        }
        if let Some(http) = http {
            let path = path.key("http").key("max_request_body_size");
            let default = http.max_request_body_size;
            if ByteSize::mib(most) < default && !is_written(root, &path) {
                http.max_request_body_size = ByteSize::mib(most);
                fitted.push(told(path, format!("{most}MiB"), default.as_u64() >> 20));
            }
        }
    }
    fitted
}

/// Raises limits to what the largest request needs, if the machine has as much: those of `memory_limiter`s that say none,
/// and the one that holds where there is no `memory_limiter`, which grows by itself.
fn raise_limits(
    root: &Node,
    config: &mut Config,
    memory: impl Fn() -> Option<u64>,
) -> Vec<(KeyPath, String)> {
    const DEFAULT: u64 = MemoryLimiterConfig::DEFAULT_MIB;
    let Some(request) = config.largest_request() else {
        return Vec::new();
    };
    let (needed, size) = (request.needed_mib(), request.path());
    if needed <= DEFAULT || memory().is_some_and(|memory| memory >> 20 < needed) {
        return Vec::new();
    }
    if config.memory_limiters().next().is_none() {
        let message = format!(
            "makes the memory limit {needed} MiB, four times this: no memory_limiter is used, and the default of \
             {DEFAULT} MiB has no room for it"
        );
        return vec![(size, message)];
    }
    let unwritten: BTreeSet<(&'static str, ComponentId)> = config
        .memory_limiters()
        .filter(|limiter| {
            let path = KeyPath::of([limiter.section]).key(limiter.id);
            let mut keys = ["limit_mib", "limit_percentage"].iter();
            !keys.any(|key| is_written(root, &path.key(key)))
        })
        .map(|limiter| (limiter.section, limiter.id.clone()))
        .collect();
    let mut raised = Vec::new();
    for (section, id) in unwritten {
        let processor = config
            .processors
            .get_mut(&id)
            .filter(|_| section == ProcessorConfig::SECTION);
        let ((Some(ProcessorConfig::MemoryLimiter(limiter)), _)
        | (None, Some(ExtensionConfig::MemoryLimiter(limiter)))) =
            (processor, config.extensions.get_mut(&id))
        else {
            continue;
        };
        if let MemoryLimit::Mib { limit, .. } = &mut limiter.limit {
            *limit = needed;
            let path = KeyPath::of([section]).key(id).key("limit_mib");
            let message = format!(
                "is {needed}, four times {size}, for nothing is written here, and the default of {DEFAULT} has no \
                 room for it"
            );
            raised.push((path, message));
        }
    }
    raised
}

/// The smallest limit of any that holds, which is that of all, in MiB, and its key.
fn smallest(config: &Config, memory: impl Fn() -> Option<u64>) -> Option<(u64, KeyPath)> {
    let limits = config.memory_limiters().filter_map(|limiter| {
        let (memory, key) = match limiter.config.limit {
            MemoryLimit::Mib { .. } => (0, "limit_mib"),
            MemoryLimit::Percentage { .. } => (memory()?, "limit_percentage"),
        };
        let path = KeyPath::of([limiter.section]).key(limiter.id).key(key);
        Some((limiter.config.limits(memory).limit_mib, path))
    });
    limits.min_by_key(|(limit, _)| *limit)
}

fn is_written(root: &Node, path: &KeyPath) -> bool {
    let mut steps = path.steps().iter();
    let value = steps.try_fold(root, |node, step| match step {
        Step::Key(key) => node.get(key).map(|entry| &entry.value),
        Step::Index(_) => None,
    });
    value.is_some_and(|value| !value.is_null())
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use super::super::check::check;
    use super::super::yaml;
    use super::*;

    /// The sizes in MiB, over gRPC and over HTTP, and what is told.
    fn sizes(limiter: &str, protocols: &str, used: bool) -> (u64, u64, Vec<String>) {
        let text = format!(
            "receivers:\n  otlp: {protocols}\n  otlp/b: {{protocols: {{grpc: {{endpoint: \"127.0.0.1:0\"}}}}}}\n\
             processors: {{memory_limiter: {limiter}}}\nexporters: {{debug: }}\nservice: {{pipelines: {{traces: \
             {{receivers: [{}], processors: [memory_limiter], exporters: [debug]}}}}}}\n",
            if used { "otlp" } else { "otlp/b" }
        );
        let root = yaml::parse(&text, &"c.yaml".into()).unwrap();
        let mut problems = Vec::new();
        let mut config = Config::read(&root, &mut Vec::new(), &mut problems);
        assert_eq!(problems, []);
        let told = fit(&root, &mut config, || Some(200 << 20));
        let told = told
            .into_iter()
            .map(|(path, message)| format!("{path}: {message}"));
        let told = told.filter(|told| !told.contains("otlp/b")).collect();
        let id: ComponentId = "otlp".parse().unwrap();
        let otlp = config.receivers.get(&id);
        let Some(ReceiverConfig::Otlp(otlp)) = otlp else {
            panic!("{config:?}");
        };
        let grpc = otlp.protocols.grpc.as_ref();
        let http = otlp.protocols.http.as_ref();
        (
            grpc.map_or(0, |grpc| grpc.max_recv_msg_size_mib.into()),
            http.map_or(0, |http| http.max_request_body_size.as_u64() >> 20),
            told,
        )
    }

    #[test]
    fn what_is_not_written_is_what_there_is_memory_for() {
        const GRPC: &str = "receivers.otlp.protocols.grpc.max_recv_msg_size_mib: ";
        const HTTP: &str = "receivers.otlp.protocols.http.max_request_body_size: ";
        let both = "{protocols: {grpc: {max_recv_msg_size_mib: 64}, http: {max_request_body_size: 64MiB}}}";
        let one =
            "{protocols: {grpc: {max_recv_msg_size_mib: 48}, http: {endpoint: \"127.0.0.1:0\"}}}";
        for (limiter, protocols, used, grpc, http, keys) in [
            ("{limit_mib: 128}", "", true, 32, 32, &[GRPC, HTTP][..]),
            (
                "{limit_mib: 255}",
                "{protocols: {grpc: }}",
                true,
                63,
                0,
                &[GRPC],
            ),
            (
                "{limit_mib: 16}",
                "{protocols: {http: }}",
                true,
                0,
                4,
                &[HTTP],
            ),
            // A hundred of the two hundred that there are.
            ("{limit_percentage: 50}", "", true, 25, 25, &[GRPC, HTTP]),
            ("{limit_mib: 256}", "", true, 64, 64, &[]),
            ("", "", true, 64, 64, &[]),
            ("{limit_mib: 128}", both, true, 64, 64, &[]),
            ("{limit_mib: 128}", one, true, 48, 32, &[HTTP]),
            ("{limit_mib: 128}", "", false, 64, 64, &[]),
        ] {
            let (of_grpc, of_http, told) = sizes(limiter, protocols, used);
            assert_eq!((of_grpc, of_http), (grpc, http), "{limiter} {protocols}");
            assert_eq!(told.len(), keys.len(), "{told:?}");
            for (told, key) in told.iter().zip(keys) {
                assert!(told.starts_with(key), "{told}");
                assert!(
                    told.contains("a quarter of processors.memory_limiter.limit_"),
                    "{told}"
                );
            }
        }
    }

    /// The limit, what is told, and what is wrong, where requests of 200 MiB are taken and there is so much memory.
    fn limit(
        limiter: Option<&str>,
        memory: fn() -> Option<u64>,
    ) -> (u64, Vec<String>, Vec<String>) {
        let (processors, used) = limiter.map_or((String::new(), ""), |limiter| {
            let processors = format!("processors: {{memory_limiter: {limiter}}}\n");
            (processors, "memory_limiter")
        });
        let text = format!(
            "receivers:\n  otlp: {{protocols: {{grpc: {{max_recv_msg_size_mib: 200}}}}}}\n{processors}exporters: \
             {{debug: }}\nservice: {{pipelines: {{traces: {{receivers: [otlp], processors: [{used}], exporters: \
             [debug]}}}}}}\n"
        );
        let root = yaml::parse(&text, &"c.yaml".into()).unwrap();
        let mut problems = Vec::new();
        let mut config = Config::read(&root, &mut Vec::new(), &mut problems);
        assert_eq!(problems, []);
        let told = fit(&root, &mut config, memory);
        let told = told
            .into_iter()
            .map(|(path, message)| format!("{path}: {message}"));
        let problems = check(&config, memory);
        let problems = problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message));
        let limits = config.memory_limiters();
        let limit = limits.map(|limiter| limiter.config.limits(0).limit_mib);
        let limit = limit.min().unwrap_or_else(|| config.default_limit_mib());
        (limit, told.collect(), problems.collect())
    }

    #[test]
    fn a_limit_that_nobody_wrote_has_room_for_what_is_written() {
        const SIZE: &str = "receivers.otlp.protocols.grpc.max_recv_msg_size_mib";
        const LIMIT: &str = "processors.memory_limiter.limit_mib";
        let enough: fn() -> Option<u64> = || Some(1000 << 20);
        let little: fn() -> Option<u64> = || Some(700 << 20);
        let unknown: fn() -> Option<u64> = || None;
        let makes = format!(
            "{SIZE}: makes the memory limit 800 MiB, four times this: no memory_limiter is used, and the default of \
             512 MiB has no room for it"
        );
        let is = format!(
            "{LIMIT}: is 800, four times {SIZE}, for nothing is written here, and the default of 512 has no room for \
             it"
        );
        let lower = format!(
            "{SIZE}: 200 needs a memory limit of 800 MiB, four times that, and there are 700 MiB: lower it to at most \
             175"
        );
        let too_little = format!(
            "{LIMIT}: 512 is too little for requests of 200 MiB: set it to at least 800, four times {SIZE}, or lower \
             that"
        );
        for (limiter, memory, limit_mib, told, wrong) in [
            (None, enough, 800, Some(&makes), None),
            (None, unknown, 800, Some(&makes), None),
            (None, little, 800, None, Some(&lower)),
            (Some("{check_interval: 1s}"), enough, 800, Some(&is), None),
            (Some("{}"), little, 512, None, Some(&too_little)),
            // What is written holds.
            (
                Some("{limit_mib: 512}"),
                enough,
                512,
                None,
                Some(&too_little),
            ),
            (Some("{limit_mib: 801}"), little, 801, None, None),
        ] {
            let (limit, is_told, is_wrong) = limit(limiter, memory);
            assert_eq!(limit, limit_mib, "{limiter:?}");
            assert_eq!(is_told.first(), told, "{limiter:?}: {is_told:?}");
            assert_eq!(is_wrong.first(), wrong, "{limiter:?}: {is_wrong:?}");
            assert!(is_told.len() < 2 && is_wrong.len() < 2, "{limiter:?}");
        }
    }
}
