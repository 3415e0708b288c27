use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use super::LogError;
use super::config::LogsConfig;
use crate::telemetry::Seldom;

/// Where lines go.
pub(super) struct Outputs {
    lines: Vec<Output>,
    /// Where it is told that they could not go there.
    failures: Vec<Output>,
    failed: Mutex<Seldom>,
}

struct Output {
    path: String,
    to: To,
    is_terminal: bool,
}

enum To {
    Stdout,
    Stderr,
    File(File),
}

impl Outputs {
    /// Opens what is configured. Files are appended to, and made where they are missing.
    pub(super) fn open(config: &LogsConfig) -> Result<Self, LogError> {
        Ok(Self {
            lines: open("output_paths", &config.output_paths)?,
            failures: open("error_output_paths", &config.error_output_paths)?,
            failed: Mutex::default(),
        })
    }

    /// Writes a line to each of them, as it looks on a terminal or not.
    pub(super) fn write(&self, line: impl Fn(bool) -> String) {
        for output in &self.lines {
            if let Err(error) = output.write(&line(output.is_terminal)) {
                self.tell(output, &error);
            }
        }
    }

    fn tell(&self, output: &Output, error: &io::Error) {
        let failed = self.failed.lock();
        let failed = failed.unwrap_or_else(PoisonError::into_inner).occurred();
        let Some(times) = failed else { return };
        let path = &output.path;
        let line = format!("{times} lines of the log cannot be written to {path}: {error}\n");
        for output in &self.failures {
            // There is nowhere left to tell it.
            let _ = output.write(&line);
        }
    }
}

impl Output {
    fn write(&self, line: &str) -> io::Result<()> {
        // At once, so that lines of several threads do not mingle.
        match &self.to {
            To::Stdout => io::stdout().lock().write_all(line.as_bytes()),
            To::Stderr => io::stderr().lock().write_all(line.as_bytes()),
            To::File(file) => (&*file).write_all(line.as_bytes()),
        }
    }
}

fn open(key: &'static str, paths: &[String]) -> Result<Vec<Output>, LogError> {
    let open = |path: &String| {
        let (to, is_terminal) = match path.as_str() {
            "stdout" => (To::Stdout, io::stdout().is_terminal()),
            "stderr" => (To::Stderr, io::stderr().is_terminal()),
            file => {
                let file = file.strip_prefix("file://").unwrap_or(file);
                let file = OpenOptions::new().create(true).append(true).open(file);
                let file = file.map_err(|reason| LogError {
                    key,
                    path: path.clone(),
                    reason,
                })?;
                (To::File(file), false)
            }
        };
        Ok(Output {
            path: path.clone(),
            to,
            is_terminal,
        })
    };
    paths.iter().map(open).collect()
}
