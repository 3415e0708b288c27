//! The memory that requests may take.

use super::error::StartError;
use crate::admission::Limits;
use crate::config::{Config, MemoryLimit, MemoryLimiter, MemoryLimiterConfig};

/// The smallest limit of any pipeline or receiver: they share the receivers, and so the memory. There is one
/// even where nothing is configured.
pub(super) fn memory_limits(config: &Config, memory: Option<u64>) -> Result<Limits, StartError> {
    let mut smallest: Option<Limits> = None;
    for MemoryLimiter {
        section,
        id,
        config: limiter,
    } in config.memory_limiters()
    {
        let limits = limiter.limits(memory.unwrap_or_default());
        if matches!(limiter.limit, MemoryLimit::Percentage { .. }) {
            let Some(memory) = memory else {
                return Err(StartError::UnknownMemory {
                    section,
                    id: id.clone(),
                });
            };
            let largest = config.largest_request().map_or(0, |request| request.mib);
            let needed = Limits::SHARES * largest;
            if limits.limit_mib < needed {
                return Err(StartError::TooLittleMemory {
                    section,
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
    Ok(smallest.unwrap_or_else(|| {
        let limit = config.default_limit_mib();
        let limiter = MemoryLimiterConfig {
            limit: MemoryLimit::Mib { limit, spike: None },
            ..MemoryLimiterConfig::default()
        };
        limiter.limits(0)
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const CONFIG: &str = "\
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0, max_recv_msg_size_mib: 64}}}
  otlp/large: {protocols: {grpc: {endpoint: 127.0.0.1:0, max_recv_msg_size_mib: 1024}}}
processors:
  memory_limiter: {limit_percentage: 50}
exporters:
  debug:
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [debug]}
";

    #[test]
    fn a_part_of_the_memory_is_enough_for_the_receivers_that_are_used() {
        let (config, _) = Config::parse(CONFIG, "c.yaml", |_| None).unwrap();
        let limits = memory_limits(&config, Some(600 << 20)).unwrap();
        assert!(limits.limit_mib >= 256, "{limits:?}");
        let error = memory_limits(&config, Some(500 << 20)).unwrap_err();
        assert!(error.to_string().contains("256 are needed"), "{error}");
        let used = CONFIG.replace("[otlp]", "[otlp, otlp/large]");
        let (config, _) = Config::parse(&used, "c.yaml", |_| None).unwrap();
        let error = memory_limits(&config, Some(600 << 20)).unwrap_err();
        assert!(error.to_string().contains("4096 are needed"), "{error}");
    }

    #[test]
    fn without_a_limiter_there_is_room_for_the_largest_request() {
        for (mib, limit) in [(64, 512), (130, 520)] {
            let text = CONFIG
                .replace("processors: [memory_limiter], ", "")
                .replace("size_mib: 64", &format!("size_mib: {mib}"));
            let (config, _) = Config::parse(&text, "c.yaml", |_| None).unwrap();
            let limits = memory_limits(&config, None).unwrap();
            assert_eq!(limits.limit_mib, limit);
            assert_eq!(limits.spike_mib, limit / 5);
        }
    }

    /// It holds as soon as a receiver that is used names it, and no sooner.
    #[test]
    fn a_middleware_is_a_limit() {
        let extension = CONFIG
            .replace("processors:\n", "extensions:\n")
            .replace("limit_percentage: 50", "limit_mib: 300")
            .replace("processors: [memory_limiter], ", "")
            .replace("service:\n", "service:\n  extensions: [memory_limiter]\n");
        for (named, protocol, limit) in [
            ("otlp", "max_recv_msg_size_mib: 64", 300),
            ("otlp/large", "max_recv_msg_size_mib: 1024", 512),
        ] {
            let middlewares = format!("{protocol}, middlewares: [{{id: memory_limiter}}]");
            let text = extension.replace(protocol, &middlewares);
            let (config, told) = Config::parse(&text, "c.yaml", |_| None).unwrap();
            let limits = memory_limits(&config, None).unwrap();
            assert_eq!(limits.limit_mib, limit, "{named}");
            let told: Vec<String> = told.iter().map(ToString::to_string).collect();
            let is_idle = told.iter().any(|told| {
                told.contains(
                    "extensions.memory_limiter: does nothing: no receiver of a pipeline has it",
                )
            });
            assert_eq!(is_idle, named == "otlp/large", "{told:?}");
        }
        let text = extension
            .replace("limit_mib: 300", "limit_percentage: 50")
            .replace(
                "max_recv_msg_size_mib: 64",
                "max_recv_msg_size_mib: 64, middlewares: [{id: memory_limiter}]",
            );
        let (config, _) = Config::parse(&text, "c.yaml", |_| None).unwrap();
        let error = memory_limits(&config, Some(500 << 20)).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("extensions.memory_limiter.limit_percentage"),
            "{error}"
        );
    }
}
