//! One turn: a fresh collector under load for a few seconds, in short stretches.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::backend::Backend;
use crate::collector::Collector;
use crate::sender::Sender;
use crate::setup::{Load, Setup, Way};

/// What does not count: connections are made, memory is touched for the first time.
const WARM_UP: Duration = Duration::from_millis(300);

/// What was measured in one turn.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Bytes of requests that the collector received.
    pub(crate) bytes: f64,
    /// Bytes that the backend received.
    pub(crate) bytes_passed_on: f64,
    /// Bytes of memory at the worst moment.
    pub(crate) peak_memory: u64,
    /// How long the sender waited for each answer, in ascending order.
    latencies: Vec<Duration>,
}

impl Turn {
    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The time within which `percent` of the answers came, in milliseconds; below 100.
    pub(crate) fn latency(&self, percent: usize) -> f64 {
        let latency = self.latencies.get(self.latencies.len() * percent / 100);
        latency.copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// A fresh collector between a sender and a backend.
pub(crate) struct Contender {
    load: Load,
    fresh: bool,
    /// Whether only what comes for the second time counts.
    again: bool,
    request: Bytes,
    backend: Backend,
    collector: Collector,
    sender: Sender,
    turn: Turn,
}

impl Contender {
    /// Starts `program` as `setup` says and warms it up.
    pub(crate) async fn start(program: &Path, setup: &Setup) -> anyhow::Result<Self> {
        let backend = Backend::start()?;
        let collector = Collector::start(program, setup.way, backend.address)?;
        let sender = Sender::connect(collector.address).await?;
        let contender = Self {
            load: setup.load,
            fresh: setup.way.is_of_fresh(),
            again: setup.way == Way::Again,
            request: setup.load.request(),
            backend,
            collector,
            sender,
            turn: Turn::default(),
        };
        contender.send(WARM_UP).await?;
        Ok(contender)
    }

    /// Works for about `length`.
    pub(crate) async fn work(&mut self, length: Duration) -> anyhow::Result<()> {
        let behind = self.sender.serial();
        if self.again {
            // The first time, which another row has.
            self.send(length).await?;
        }
        let (cpu, passed_on) = (self.collector.cpu()?, self.backend.received());
        let start = Instant::now();
        let latencies = if self.again {
            let sent = self.sender.send_again(&self.request, self.load, behind);
            sent.await?
        } else {
            self.send(length).await?
        };
        let turn = &mut self.turn;
        turn.seconds += start.elapsed().as_secs_f64();
        turn.cpu_seconds += self.collector.cpu()?.saturating_sub(cpu).as_secs_f64();
        turn.bytes += (latencies.len() * self.request.len()) as f64;
        turn.bytes_passed_on += (self.backend.received() - passed_on) as f64;
        turn.latencies.extend(latencies);
        Ok(())
    }

    /// Ends the collector.
    pub(crate) fn finish(mut self) -> anyhow::Result<Turn> {
        self.turn.peak_memory = self.collector.peak_memory()?;
        self.turn.latencies.sort_unstable();
        Ok(self.turn)
    }

    async fn send(&self, length: Duration) -> anyhow::Result<Vec<Duration>> {
        let (request, load) = (&self.request, self.load);
        self.sender.send(request, load, self.fresh, length).await
    }
}
