use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::Bytes;
use bytesize::ByteSize;
use slimspan_proto::{Signal, count};

use super::{DebugConfig, Verbosity, render};
use crate::telemetry::ExporterCounts;
use crate::terminal::Style;

/// Larger requests are not decoded for display: empty messages of two bytes become structs of
/// hundreds, and nobody reads a mebibyte on a terminal.
const DECODED: usize = 1 << 20;

/// Requests that wait to be printed.
const WAITING: usize = 16;

/// Prints requests to standard output.
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
    /// Starts the thread. It colours what it prints where standard output is a terminal.
    pub fn new(config: &DebugConfig) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let printer = Printer {
            verbosity: config.verbosity,
            style: if io::stdout().is_terminal() {
                Style::Ansi
            } else {
                Style::Plain
            },
            left_out: Arc::clone(&left_out),
        };
        thread::Builder::new()
            .name("debug exporter".to_owned())
            .spawn(move || printer.run(&waiting))?;
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
    style: Style,
    left_out: Arc<AtomicU64>,
}

impl Printer {
    fn run(&self, waiting: &Receiver<(Signal, Bytes)>) {
        for (signal, request) in waiting {
            let left_out = match self.left_out.swap(0, Ordering::Relaxed) {
                0 => String::new(),
                count => {
                    format!("… {count} requests not shown: they came faster than they can be\n")
                }
            };
            let text = if request.len() <= DECODED {
                render(signal, &request, self.verbosity, self.style)
            } else {
                let size = ByteSize::b(request.len() as u64);
                format!("{signal}: {size}, too large to show\n")
            };
            let mut out = io::stdout().lock();
            let written = out
                .write_all(left_out.as_bytes())
                .and_then(|()| out.write_all(text.as_bytes()))
                .and_then(|()| out.flush());
            if let Err(error) = written {
                tracing::debug!("the debug exporter cannot print: {error}");
            }
        }
    }
}
