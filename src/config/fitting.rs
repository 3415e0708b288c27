//! How large a request may be where nobody says it: as large as there is memory for.

use std::collections::BTreeSet;

use bytesize::ByteSize;

use super::Config;
use super::components::{Component as _, ReceiverConfig};
use super::id::ComponentId;
use super::node::Node;
use super::path::{KeyPath, Step};
use super::processors::MemoryLimit;
use crate::admission::Limits;
use crate::receivers::otlp::config::Protocols;

/// Lowers what the receivers that are used take to what the smallest `memory_limiter` has room for, where the
/// tree does not say how much it is; returns what there is to tell of that. What is written stays, and is looked
/// at when all is checked. `memory` is what the machine has.
pub(super) fn fit(
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
}
