use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// Where requests are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// What the arguments name: files, `-` for standard input; without any, standard input.
    pub(in crate::cli) fn of_arguments(files: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        if files.is_empty() {
            if io::stdin().is_terminal() {
                bail!("name the files to read, or pipe requests in");
            }
            return Ok(vec![Self::Stdin]);
        }
        let inputs: Vec<Self> = files
            .iter()
            .map(|file| {
                if file.as_os_str() == "-" {
                    Self::Stdin
                } else {
                    Self::File(file.clone())
                }
            })
            .collect();
        // A pipe can be read once.
        if inputs.iter().filter(|input| **input == Self::Stdin).count() > 1 {
            bail!("standard input (-) is named more than once");
        }
        Ok(inputs)
    }

    /// The bytes, as they are.
    pub(in crate::cli) fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path) => {
                let file = File::open(path).with_context(|| format!("cannot open {self}"))?;
                // Opening a folder works; reading it does not, with a message that names nothing.
                if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    bail!("{self} is a folder: name the files in it");
                }
                Box::new(file)
            }
            Self::Stdin => Box::new(io::stdin().lock()),
        })
    }

    /// The number of bytes, where that is known.
    pub(in crate::cli) fn len(&self) -> Option<u64> {
        let Self::File(path) = self else { return None };
        let metadata = path.metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// The path of a file.
    pub(in crate::cli) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin => None,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stdin => f.write_str("standard input"),
        }
    }
}
