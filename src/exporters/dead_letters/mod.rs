//! A folder for what cannot go anywhere: requests that no backend takes and no sender sends again.
//!
//! Each is a file that `slimspan inspect` and `slimspan restore` read, as any OTLP tool does, with
//! a text beside it that says why it is there.

pub mod config;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use config::DeadLetterConfig;

/// The folder. Clones share it.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What it is configured at, for messages.
    key: String,
    folder: Option<PathBuf>,
    max_bytes: u64,
    /// One at a time: together they must not exceed the limit.
    writing: Mutex<()>,
}

/// Why a request could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Nobody wants it kept.
    #[error("it is not kept, because {key}.directory is null")]
    Off {
        /// Where that is configured.
        key: String,
    },
    /// There is no room left.
    #[error("it is not kept, because {} would hold more than {limit} bytes; see {key}.max_bytes", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        limit: u64,
        /// Where that is configured.
        key: String,
    },
    /// The folder cannot be written.
    #[error("it is not kept, because {} cannot be written: {reason}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

impl NotKept {
    /// Whether it was to be kept.
    pub fn is_wanted(&self) -> bool {
        !matches!(self, Self::Off { .. })
    }
}

impl DeadLetters {
    /// The folder of the exporter `name`. Nothing is made yet.
    pub fn new(name: &str, config: &DeadLetterConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                key: format!("exporters.{name}.dead_letters"),
                folder: config.directory.clone(),
                max_bytes: config.max_bytes.as_u64(),
                writing: Mutex::new(()),
            }),
        }
    }

    /// Keeps `request`, which cannot go because of `why`; returns where. When it is there, it is
    /// there for good.
    pub async fn keep(
        &self,
        signal: Signal,
        request: Bytes,
        why: String,
    ) -> Result<PathBuf, NotKept> {
        let shared = Arc::clone(&self.shared);
        let written = tokio::task::spawn_blocking(move || shared.keep(signal, &request, &why));
        written.await.unwrap_or_else(|error| {
            Err(NotKept::Io {
                folder: self.shared.folder.clone().unwrap_or_default(),
                reason: io::Error::other(error),
            })
        })
    }
}

impl Shared {
    fn keep(&self, signal: Signal, request: &[u8], why: &str) -> Result<PathBuf, NotKept> {
        let Some(folder) = &self.folder else {
            return Err(NotKept::Off {
                key: self.key.clone(),
            });
        };
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |reason| NotKept::Io {
            folder: folder.clone(),
            reason,
        };
        fs::create_dir_all(folder).map_err(failed)?;
        // Counted each time: people take files out of it.
        let used = size_of(folder).map_err(failed)?;
        if used + (request.len() + why.len()) as u64 > self.max_bytes {
            return Err(NotKept::Full {
                folder: folder.clone(),
                limit: self.max_bytes,
                key: self.key.clone(),
            });
        }
        write(folder, signal, request, why).map_err(failed)
    }
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        // One that is taken out meanwhile takes no room.
        size += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(size)
}

/// The reason first, so that there is no request without one.
fn write(folder: &Path, signal: Signal, request: &[u8], why: &str) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.6fZ");
    let digest = Digest::of(request).to_string();
    let name = format!("{now}-{}", digest.get(..12).unwrap_or(&digest));
    let path = folder.join(format!("{name}.{}.pb", signal.name()));
    put(folder, &folder.join(format!("{name}.txt")), why.as_bytes())?;
    put(folder, &path, request)?;
    File::open(folder)?.sync_all()?;
    Ok(path)
}

/// A file that has its name once it is whole and durable.
fn put(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use bytesize::ByteSize;

    use super::*;

    fn letters(directory: Option<PathBuf>, max_bytes: u64) -> DeadLetters {
        let config = DeadLetterConfig {
            directory,
            max_bytes: ByteSize::b(max_bytes),
        };
        DeadLetters::new("otlp_grpc", &config)
    }

    async fn keep(letters: &DeadLetters, request: &'static [u8]) -> Result<PathBuf, NotKept> {
        let request = Bytes::from_static(request);
        letters
            .keep(Signal::Traces, request, "too large".to_owned())
            .await
    }

    #[tokio::test]
    async fn a_request_is_kept_with_the_reason_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let letters = letters(Some(home.path().join("new/folder")), 1_000);
        let paths = [keep(&letters, b"one").await, keep(&letters, b"two").await];
        let [one, two] = paths.map(Result::unwrap);
        assert!(one < two, "in the order in which they came");
        assert_eq!(fs::read(&one).unwrap(), b"one");
        assert!(one.to_str().unwrap().ends_with(".traces.pb"));
        let beside = one.with_extension("").with_extension("txt");
        assert_eq!(fs::read(beside).unwrap(), b"too large");
        let files = fs::read_dir(home.path().join("new/folder")).unwrap();
        assert_eq!(files.count(), 4, "and no temporary ones");
    }

    #[tokio::test]
    async fn a_full_folder_takes_no_more_until_there_is_room() {
        let home = tempfile::tempdir().unwrap();
        let letters = letters(Some(home.path().to_owned()), 24);
        let first = keep(&letters, b"123456789012345").await.unwrap();
        let full = keep(&letters, b"1").await.unwrap_err();
        assert!(
            full.to_string()
                .contains("exporters.otlp_grpc.dead_letters.max_bytes")
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        fs::remove_file(first).unwrap();
        keep(&letters, b"1").await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_told() {
        let off = keep(&letters(None, 1_000), b"one").await.unwrap_err();
        assert!(off.to_string().contains("directory is null"));
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let broken = keep(&letters(Some(file), 1_000), b"one").await;
        assert!(matches!(broken, Err(NotKept::Io { .. })));
    }
}
