//! The `file` exporter: requests go to a file, as the Collector's exporter of that name writes them.
//!
//! A request is acknowledged when all of it is in the file: written by one call, so that it is there
//! also after `kill -9`; with `fsync` it is on the disk by then. One thread writes what all pipelines
//! hand over, request after request, so lines never mix, and no more than one request at a time
//! takes the memory of its text.

mod aside;
pub mod config;
mod disk;
#[cfg(test)]
mod durable;
mod open;
mod ours;
mod output;
mod rotation;
mod tail;
mod writer;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread;

use bytes::Bytes;
use slimspan_proto::Signal;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use self::config::{Compression, FileConfig, Format};
use self::open::OpenError;
use self::output::Output;
use self::writer::{Failure, Job, Order, Writer, Written};
use crate::admission::Budget;
use crate::answer::Answer;
use crate::exporters::Terms;
use crate::refusal::{Culprit, Refusal};
use crate::telemetry::{Attempt, Counters, ExporterCounts, Watch};

/// Requests that wait to be written.
const WAITING: usize = 16;

/// Writes requests to a file.
#[derive(Debug)]
pub struct FileExporter {
    name: String,
    path: PathBuf,
    how: String,
    orders: mpsc::Sender<Order>,
    room: Arc<Semaphore>,
    counts: Arc<ExporterCounts>,
}

/// Why the exporter cannot start; the text begins with the key to change.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The system gives no thread.
    #[error("path: cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

impl FileExporter {
    /// Opens the file of the exporter `name`, which takes memory for JSON of `budget`. What is given up of
    /// damage is told the `counters`.
    pub fn open(
        name: String,
        config: &FileConfig,
        budget: Budget,
        counters: Arc<Counters>,
    ) -> Result<Self, StartError> {
        let (orders, received) = mpsc::channel();
        let writer = Writer::new(config, Output::open(config, counters)?, budget);
        thread::Builder::new()
            .name("file exporter".to_owned())
            .spawn(move || writer.run(&received))?;
        Ok(Self {
            name,
            path: config.path.clone(),
            how: how(config).to_owned(),
            orders,
            room: Arc::new(Semaphore::new(WAITING)),
            counts: Arc::default(),
        })
    }

    /// Counts there what becomes of requests.
    #[must_use]
    pub fn counted(self, counts: Arc<ExporterCounts>) -> Self {
        Self { counts, ..self }
    }

    /// The component's id.
    pub fn id(&self) -> &str {
        &self.counts.exporter
    }

    /// Writes `request`; returns when it is in the file.
    pub async fn export(
        &self,
        signal: Signal,
        request: Bytes,
        terms: &Terms,
    ) -> Result<Answer, Refusal> {
        let watch = Watch::start();
        let in_flight = terms.begin(&self.counts, signal, &request);
        let outcome = self.write(signal, request, terms.deadline).await;
        let shows = match &outcome {
            Err(refusal) if refusal.is_outage() => Attempt::Failed,
            _ => Attempt::Answered,
        };
        self.counts.attempted(false, watch.read(), shows);
        let rejected = |answer: &Answer| answer.rejected().unwrap_or(0);
        terms.ended(in_flight, outcome.as_ref().map(rejected));
        outcome
    }

    /// So many items of requests that it was not given again are handed back.
    pub fn not_sent(&self, signal: Signal, items: usize) {
        self.counts.ended(signal, items, items);
    }

    async fn write(
        &self,
        signal: Signal,
        request: Bytes,
        deadline: Instant,
    ) -> Result<Answer, Refusal> {
        let (done, outcome) = oneshot::channel();
        let written = async {
            let room = Arc::clone(&self.room).acquire_owned().await.ok()?;
            let job = Job {
                signal,
                request,
                done,
                _room: room,
            };
            self.orders.send(Order::Write(job)).ok()?;
            outcome.await.ok()
        };
        match timeout_at(deadline, written).await {
            Ok(Some(Ok(written))) => Ok(answer(written)),
            Ok(Some(Err(Failure::Malformed(malformed)))) => Err(malformed.into()),
            Ok(Some(Err(Failure::NoSchema(signal)))) => Err(Refusal::unimplemented(format!(
                "{}: {signal} are not written as JSON; use format: proto",
                self.name
            ))),
            Ok(Some(Err(Failure::TooLarge))) => Err(Refusal::too_costly(format!(
                "{}: the request is larger than the 4 GiB that its length can say",
                self.name
            ))),
            Ok(Some(Err(Failure::NoMemory))) => Err(self.unavailable(
                "requests in flight take all of the memory that memory_limiter.limit_mib leaves them",
            )),
            Ok(Some(Err(Failure::Io(error)))) => Err(self
                .unavailable(&error.to_string())
                // Where it cannot be synced, it may be there.
                .in_doubt(true)),
            Ok(None) => Err(self
                .unavailable("the thread that writes has ended")
                .in_doubt(true)),
            Err(_) => Err(self
                .unavailable("the disk takes longer than the sender waits")
                .in_doubt(true)),
        }
    }

    fn unavailable(&self, why: &str) -> Refusal {
        let path = self.path.display();
        let message = format!("{}: cannot write {path}: {why}", self.name);
        Refusal::unavailable(Culprit::Backend, message)
    }

    /// Brings to the disk by `until` what was written.
    pub async fn end(&self, until: Instant) {
        let (done, outcome) = oneshot::channel();
        if self.orders.send(Order::Sync(done)).is_ok() {
            // The thread tells what goes wrong.
            let _ = timeout_at(until, outcome).await;
        }
    }
}

fn answer(written: Written) -> Answer {
    match written.replaced {
        0 => Answer::success(),
        count => Answer::rejecting(
            0,
            &format!("{count} strings that are not UTF-8 were written with U+FFFD in them"),
        ),
    }
}

fn how(config: &FileConfig) -> &'static str {
    match (config.format, config.compression) {
        (Format::Json, Compression::None) => "OTLP/JSON, a request a line",
        (Format::Proto, Compression::None) => "OTLP in protobuf, each request after its length",
        (Format::Json, Compression::Zstd) => "OTLP/JSON in zstd, each request after its length",
        (Format::Proto, Compression::Zstd) => "OTLP in zstd, each request after its length",
    }
}

/// What is written where, for people.
impl fmt::Display for FileExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.how, self.path.display())
    }
}
