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

/// Where text goes: `stdout`, `stderr`, or a file.
#[derive(Debug)]
pub(crate) struct Output {
    path: String,
    to: To,
    is_terminal: bool,
}

#[derive(Debug)]
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
    /// Opens a file to append to it, and makes it where it is missing.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        let (to, is_terminal) = match path {
            "stdout" => (To::Stdout, io::stdout().is_terminal()),
            "stderr" => (To::Stderr, io::stderr().is_terminal()),
            file => {
                let file = file.strip_prefix("file://").unwrap_or(file);
                let file = OpenOptions::new().create(true).append(true).open(file)?;
                (To::File(file), false)
            }
        };
        Ok(Self {
            path: path.to_owned(),
            to,
            is_terminal,
        })
    }

    /// Its path, as it was given.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether a person reads along.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes lines, all at once, so that those of several threads do not mingle.
    pub(crate) fn write(&self, lines: &str) -> io::Result<()> {
        match &self.to {
            To::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines.as_bytes())?;
                out.flush()
            }
            To::Stderr => io::stderr().lock().write_all(lines.as_bytes()),
            To::File(file) => (&*file).write_all(lines.as_bytes()),
        }
    }
}

fn open(key: &'static str, paths: &[String]) -> Result<Vec<Output>, LogError> {
    let open = |path: &String| {
        Output::open(path).map_err(|reason| LogError {
            key,
            path: path.clone(),
            reason,
        })
    };
    paths.iter().map(open).collect()
}
