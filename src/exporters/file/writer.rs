//! The thread that writes.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use slimspan_proto::json::{self, WriteError};
use slimspan_proto::{Malformed, Signal};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::config::{self, FileConfig, Format};
use super::output::Output;
use crate::admission::{Budget, Lease};
use crate::compression::Compression;

/// What the thread is asked for.
pub(super) enum Order {
    Write(Job),
    /// All that was written is to be on the disk.
    Sync(oneshot::Sender<()>),
}

/// A request to be written.
pub(super) struct Job {
    pub(super) signal: Signal,
    pub(super) request: Bytes,
    pub(super) done: oneshot::Sender<Result<Written, Failure>>,
    pub(super) _room: OwnedSemaphorePermit,
}

/// A request that was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Strings that are not UTF-8.
    pub(super) replaced: usize,
}

/// Why a request could not be written.
#[derive(Debug)]
pub(super) enum Failure {
    Malformed(Malformed),
    /// There is no JSON for its signal.
    NoSchema(Signal),
    TooLarge,
    /// Requests in flight take all there is.
    NoMemory,
    Io(io::Error),
}

pub(super) struct Writer {
    output: Output,
    format: Format,
    compression: config::Compression,
    flush_interval: Duration,
    fsync: bool,
    /// Since when something that was written is not known to be on the disk.
    unsynced: Option<Instant>,
    /// Written, but acknowledged only when it is on the disk.
    held: Vec<(Job, Written)>,
    /// What JSON takes its memory of.
    budget: Budget,
}

impl Writer {
    pub(super) fn new(config: &FileConfig, output: Output, budget: Budget) -> Self {
        Self {
            output,
            format: config.format,
            compression: config.compression,
            flush_interval: config.flush_interval,
            fsync: config.fsync,
            unsynced: None,
            held: Vec::new(),
            budget,
        }
    }

    /// Writes until nobody can ask for it any more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        loop {
            // What is acknowledged only on the disk waits for no more than is there already: then
            // one sync is for all.
            let order = match orders.try_recv() {
                Ok(order) => order,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    self.acknowledge_held();
                    match self.wait(orders) {
                        Ok(order) => order,
                        Err(RecvTimeoutError::Timeout) => {
                            self.sync();
                            continue;
                        }
                        Err(RecvTimeoutError::Disconnected) => break,
                    }
                }
            };
            match order {
                Order::Write(job) => self.write(job),
                Order::Sync(done) => {
                    self.acknowledge_held();
                    self.output.finish();
                    self.unsynced = None;
                    let _ = done.send(());
                }
            }
            if self
                .unsynced
                .is_some_and(|since| since.elapsed() >= self.flush_interval)
            {
                self.acknowledge_held();
                self.sync();
            }
        }
        self.acknowledge_held();
        self.output.finish();
    }

    fn wait(&self, orders: &Receiver<Order>) -> Result<Order, RecvTimeoutError> {
        match self.unsynced {
            Some(since) => orders.recv_timeout(self.flush_interval.saturating_sub(since.elapsed())),
            None => orders.recv().map_err(RecvTimeoutError::from),
        }
    }

    fn write(&mut self, job: Job) {
        if job.done.is_closed() {
            // Nobody waits any more; the sender sends it again.
            return;
        }
        let outcome = self.record(job.signal, &job.request);
        let outcome = outcome.and_then(|(record, written, lease)| {
            if self.output.has_failed_to_sync() {
                // These are in the file that is left now.
                self.acknowledge_held();
            }
            self.output.append(&record).map_err(Failure::Io)?;
            drop((record, lease));
            self.unsynced.get_or_insert_with(Instant::now);
            Ok(written)
        });
        match outcome {
            Ok(written) if self.fsync => self.held.push((job, written)),
            outcome => {
                let _ = job.done.send(outcome);
            }
        }
    }

    /// A request as it stands in the file.
    fn record(
        &self,
        signal: Signal,
        request: &Bytes,
    ) -> Result<(Vec<u8>, Written, Lease), Failure> {
        let mut written = Written::default();
        let mut lease = self.budget.lease_for_copy();
        let mut record = match self.format {
            Format::Json => {
                let mut more = |bytes| lease.try_charge(bytes).is_ok();
                let text = json::write_charging(signal, request, &mut more);
                let text = text.map_err(|error| match error {
                    WriteError::Malformed(error) => Failure::Malformed(error),
                    WriteError::NoMemory(_) => Failure::NoMemory,
                    WriteError::NoSchema(signal) => Failure::NoSchema(signal),
                })?;
                written.replaced = text.replaced;
                text.text
            }
            Format::Proto => request.to_vec(),
        };
        match (self.format, self.compression) {
            (Format::Json, config::Compression::None) => {
                record.push(b'\n');
                return Ok((record, written, lease));
            }
            (Format::Proto, config::Compression::None) => {}
            (_, config::Compression::Zstd) => {
                let zstd = Compression::Zstd.compress(&record);
                record = zstd.map_err(Failure::Io)?;
            }
        }
        let length = u32::try_from(record.len()).map_err(|_| Failure::TooLarge)?;
        record.splice(0..0, length.to_be_bytes());
        Ok((record, written, lease))
    }

    /// Acknowledges what was written before, when it is on the disk.
    fn acknowledge_held(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let synced = self.output.sync();
        // If not, their senders are told so, and nothing waits for another sync.
        self.unsynced = None;
        for (job, written) in self.held.drain(..) {
            let outcome = match &synced {
                Ok(()) => Ok(written),
                Err(error) => Err(Failure::Io(io::Error::new(error.kind(), error.to_string()))),
            };
            let _ = job.done.send(outcome);
        }
    }

    /// Has brought to the disk what was written. Writing goes on meanwhile: a disk may take its time.
    fn sync(&mut self) {
        if self.unsynced.is_some() {
            let begun = self.output.sync_beside();
            // Where the last time is not over, what is new waits for the next.
            self.unsynced = (!begun).then(Instant::now);
        }
    }
}
