use std::io::{self, IsTerminal as _, Write as _};

use bytes::Bytes;
use bytesize::ByteSize;
use slimspan_proto::Signal;

use super::{DebugConfig, Verbosity, render};
use crate::terminal::Style;

/// Larger requests are not decoded for display: empty messages of two bytes become structs of
/// hundreds, and nobody reads a mebibyte on a terminal.
const DECODED: usize = 1 << 20;

/// Prints requests to standard output.
#[derive(Debug)]
pub struct DebugExporter {
    verbosity: Verbosity,
    style: Style,
}

impl DebugExporter {
    /// Colours what it prints where standard output is a terminal.
    pub fn new(config: &DebugConfig) -> Self {
        Self {
            verbosity: config.verbosity,
            style: if io::stdout().is_terminal() {
                Style::Ansi
            } else {
                Style::Plain
            },
        }
    }

    /// Prints `request`. A terminal that is gone is no reason to refuse telemetry.
    pub async fn export(&self, signal: Signal, request: Bytes) -> Bytes {
        let (verbosity, style) = (self.verbosity, self.style);
        let print = move || {
            // The lock is taken first, so that one request at a time is decoded.
            let mut out = io::stdout().lock();
            let text = if request.len() <= DECODED {
                render(signal, &request, verbosity, style)
            } else {
                let size = ByteSize::b(request.len() as u64);
                format!("{signal}: {size}, too large to show\n")
            };
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(print).await {
            tracing::debug!("the debug exporter cannot print: {error}");
        }
        Bytes::new()
    }
}
