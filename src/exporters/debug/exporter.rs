use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use std::{mem, thread};

use bytes::Bytes;
use bytesize::ByteSize;
use slimspan_proto::{Signal, count};

use super::{DebugConfig, Verbosity, render};
use crate::telemetry::ExporterCounts;
use crate::telemetry::logs::config::SamplingConfig;
use crate::telemetry::logs::{Output, Sampling};
use crate::terminal::Style;

/// Larger requests are not decoded for display: empty messages of two bytes become structs of
/// hundreds, and nobody reads a mebibyte on a terminal.
const DECODED: usize = 1 << 20;

/// Requests that wait to be printed.
const WAITING: usize = 16;

/// After this time requests are counted anew, as in the Collector.
const TICK: Duration = Duration::from_secs(1);

/// Why it cannot print.
#[derive(Debug, thiserror::Error)]
pub enum DebugError {
    /// A file cannot be opened.
    #[error("output_paths: cannot write to {path}: {reason}")]
    Output {
        /// The file.
        path: String,
        /// Why.
        reason: io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Prints requests to standard output, or where it is told to.
///
/// A thread of its own prints: a terminal that is scrolled back, or a pipe that nobody reads,
/// holds up whoever writes to it, and must not hold up telemetry. What does not fit the queue is
/// not shown but counted.
#[derive(Debug)]
pub struct DebugExporter {
    queue: SyncSender<(Signal, Bytes)>,
    left_out: Arc<AtomicU64>,
    counts: Arc<ExporterCounts>,
}

impl DebugExporter {
    /// Opens the files, and starts the thread. It colours what it prints on a terminal.
    pub fn new(config: &DebugConfig) -> Result<Self, DebugError> {
        let (queue, waiting) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let outputs = config.output_paths.iter().map(|path| {
            Output::open(path).map_err(|reason| DebugError::Output {
                path: path.clone(),
                reason,
            })
        });
        let outputs: Vec<Output> = outputs.collect::<Result<_, _>>()?;
        let mut printer = Printer::new(config, Arc::clone(&left_out));
        thread::Builder::new()
            .name("debug exporter".to_owned())
            .spawn(move || printer.run(&waiting, &outputs))
            .map_err(DebugError::Thread)?;
        Ok(Self {
            queue,
            left_out,
            counts: Arc::default(),
        })
    }

    /// Counts there what it takes.
    #[must_use]
    pub fn counted(self, counts: Arc<ExporterCounts>) -> Self {
        Self { counts, ..self }
    }

    /// The component's id.
    pub fn id(&self) -> &str {
        &self.counts.exporter
    }

    /// Leaves `request` to be printed. Whether it is, is no reason to refuse telemetry.
    pub fn export(&self, signal: Signal, request: Bytes) -> Bytes {
        let items = count(signal, &request);
        self.counts.begin(signal, items).sent_all_but(0);
        if self.queue.try_send((signal, request)).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Bytes::new()
    }
}

struct Printer {
    verbosity: Verbosity,
    /// Requests that found no room among those that wait.
    left_out: Arc<AtomicU64>,
    sampling: Sampling<Signal>,
    /// Requests that were not shown because of it.
    passed_over: u64,
}

impl Printer {
    fn new(config: &DebugConfig, left_out: Arc<AtomicU64>) -> Self {
        Self {
            verbosity: config.verbosity,
            left_out,
            sampling: Sampling::new(&SamplingConfig {
                enabled: true,
                tick: TICK,
                initial: config.sampling_initial.into(),
                thereafter: config.sampling_thereafter.into(),
            }),
            passed_over: 0,
        }
    }

    fn run(&mut self, waiting: &Receiver<(Signal, Bytes)>, outputs: &[Output]) {
        for (signal, request) in waiting {
            let Some(not_shown) = self.admit(signal) else {
                continue;
            };
            for output in outputs {
                let style = if output.is_terminal() {
                    Style::Ansi
                } else {
                    Style::Plain
                };
                let text = self.text(signal, &request, style);
                if let Err(error) = output.write(&format!("{not_shown}{text}")) {
                    let path = output.path();
                    tracing::debug!("the debug exporter cannot print to {path}: {error}");
                }
            }
        }
    }

    /// What is printed of the requests before one that were not, if that one is.
    fn admit(&mut self, signal: Signal) -> Option<String> {
        if !self.sampling.admits(signal) {
            self.passed_over += 1;
            return None;
        }
        let not_shown = [
            (
                self.left_out.swap(0, Ordering::Relaxed),
                "they came faster than they can be",
            ),
            (
                mem::take(&mut self.passed_over),
                "sampling_initial and sampling_thereafter leave them out",
            ),
        ];
        let not_shown = not_shown.into_iter().filter(|(count, _)| *count > 0);
        let not_shown =
            not_shown.map(|(count, why)| format!("… {count} requests not shown: {why}\n"));
        Some(not_shown.collect())
    }

    /// What is printed of a request.
    fn text(&self, signal: Signal, request: &[u8], style: Style) -> String {
        if request.len() <= DECODED {
            return render(signal, request, self.verbosity, style);
        }
        let size = ByteSize::b(request.len() as u64);
        format!("{signal}: {size}, too large to show\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printer(sampling_initial: u32, sampling_thereafter: u32) -> Printer {
        let config = DebugConfig {
            sampling_initial,
            sampling_thereafter,
            ..DebugConfig::default()
        };
        Printer::new(&config, Arc::default())
    }

    /// Which of so many requests of a signal are shown, and what is told of the others.
    fn shown(printer: &mut Printer, signal: Signal, requests: u64) -> Vec<(u64, Option<String>)> {
        let texts = (1..=requests).map(|number| (number, printer.admit(signal)));
        let texts = texts.filter_map(|(number, text)| Some((number, text?)));
        let told = |text: String| {
            text.lines()
                .find(|line| line.contains("not shown"))
                .map(str::to_owned)
        };
        texts.map(|(number, text)| (number, told(text))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn in_each_second_the_first_are_shown_and_then_one_in_so_many() {
        let mut printer = printer(2, 3);
        let told = |count: u32| {
            Some(format!(
                "… {count} requests not shown: sampling_initial and sampling_thereafter leave them out"
            ))
        };
        let traces = shown(&mut printer, Signal::Traces, 9);
        assert_eq!(traces, [(1, None), (2, None), (5, told(2)), (8, told(2))]);
        // Each signal has its own.
        let logs = shown(&mut printer, Signal::Logs, 3);
        assert_eq!(logs, [(1, told(1)), (2, None)]);
        tokio::time::advance(TICK).await;
        let traces = shown(&mut printer, Signal::Traces, 2);
        assert_eq!(traces, [(1, told(1)), (2, None)]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_shown_unless_it_is_told_otherwise() {
        let config = DebugConfig::default();
        let mut printer = Printer::new(&config, Arc::new(AtomicU64::new(7)));
        let shown = shown(&mut printer, Signal::Metrics, 1000);
        assert_eq!(shown.len(), 1000);
        let told = "… 7 requests not shown: they came faster than they can be";
        assert_eq!(shown.first(), Some(&(1, Some(told.to_owned()))));
        assert!(shown.iter().skip(1).all(|(_, told)| told.is_none()));
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_are_shown_where_there_is_no_other() {
        let shown = shown(&mut printer(1, 0), Signal::Traces, 100);
        assert_eq!(shown, [(1, None)]);
    }
}
