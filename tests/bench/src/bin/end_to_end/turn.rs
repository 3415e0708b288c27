//! One turn: a fresh collector under load for a few seconds.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::collector::Collector;
use crate::sender::Sender;
use crate::setup::{Setup, Way};

/// What does not count: connections are made, memory is touched for the first time.
const WARM_UP: Duration = Duration::from_millis(300);

/// What was measured in one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) requests: usize,
    pub(crate) seconds: f64,
    /// 10^9 bytes that the collector received.
    pub(crate) gigabytes: f64,
    pub(crate) cpu_seconds: f64,
    /// Bytes that the backend received for each byte that the collector received.
    pub(crate) passed_on: f64,
    /// Bytes of memory at the worst moment.
    pub(crate) peak_memory: u64,
    /// How long the sender waited for each answer, in ascending order.
    latencies: Vec<Duration>,
}

impl Turn {
    /// The time within which `percent` of the answers came, in milliseconds; below 100.
    pub(crate) fn latency(&self, percent: usize) -> f64 {
        let latency = self.latencies.get(self.latencies.len() * percent / 100);
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// Runs `program` as `setup` says for about `length`.
pub(crate) fn run(program: &Path, setup: &Setup, length: Duration) -> anyhow::Result<Turn> {
    let request = setup.load.request();
    let backend = Backend::start()?;
    let collector = Collector::start(program, setup.way, backend.address)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let sender = Sender::connect(collector.address).await?;
        let (load, fresh) = (setup.load, setup.way != Way::Known);
        sender.send(&request, load, fresh, WARM_UP).await?;

        let (cpu, passed_on, start) = (collector.cpu()?, backend.received(), Instant::now());
        let mut latencies = sender.send(&request, load, fresh, length).await?;
        let seconds = start.elapsed().as_secs_f64();
        let bytes = (latencies.len() * request.len()) as f64;
        latencies.sort_unstable();
        Ok(Turn {
            requests: latencies.len(),
            seconds,
            gigabytes: bytes / 1e9,
            cpu_seconds: (collector.cpu()?.saturating_sub(cpu)).as_secs_f64(),
            passed_on: (backend.received() - passed_on) as f64 / bytes,
            peak_memory: collector.peak_memory()?,
            latencies,
        })
    })
}
