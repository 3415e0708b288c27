//! What is wrong with a configuration, told so that a person finds the place.

use std::fmt;

/// One mistake, shown as `collector.yaml:12: exporters.debug: has invalid keys: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or another source.
    pub file: String,
    /// The line, counted from 1; none if it could not be read or has no lines.
    pub line: Option<usize>,
    /// The keys that lead to the mistake, joined by dots; empty for the whole file.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ConfigError {
    /// A mistake of a whole source.
    pub(super) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: None,
            path: String::new(),
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_location(f, &self.file, self.line, &self.path)?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConfigError {}

/// All the mistakes that were found, shown one per line. There is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// What is no mistake and may not be what is meant: an environment variable that is used, is not set and
/// has no default; a key that does nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The file, or another source.
    pub file: String,
    /// The line, counted from 1, if the source has lines.
    pub line: Option<usize>,
    /// The keys that lead to the value, joined by dots.
    pub path: String,
    /// What it is.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_location(f, &self.file, self.line, &self.path)?;
        f.write_str(&self.message)
    }
}

fn write_location(
    f: &mut fmt::Formatter<'_>,
    file: &str,
    line: Option<usize>,
    path: &str,
) -> fmt::Result {
    f.write_str(file)?;
    if let Some(line) = line {
        write!(f, ":{line}")?;
    }
    f.write_str(": ")?;
    if !path.is_empty() {
        write!(f, "{path}: ")?;
    }
    Ok(())
}
